"""BatchReserve over the wire: messages of 1,000 reservations of two lines, eight messages in flight, every one durable, on a server that has
taken its memory.

Routed ones are shipped (each SKU lies at a few nodes); the others are pinned to a store that has both lines. Beside these, in columns, in the
same rounds: what the journal alone takes of the very same records, one hot SKU in every reservation, and a start that replays it all.
"""

from __future__ import annotations

import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from benchmarks.caller import BATCH, BATCH_ITEMS, COLUMNS
from benchmarks.history import Note
from benchmarks.load import PEAK, ROOM, Load, Measured, loaded
from benchmarks.stocking import copy_journal, journaled
from benchmarks.world import World
from engine.core.machine import Machine
from engine.journal import Record, open_journal
from engine.journal.codec import decode, encode
from engine.kernels import columns as c
from engine.model.limits import Limits
from engine.pool.memory import pretouched
from engine.recovery import advance

ROUNDS = 3
IN_FLIGHT = 8
FEW_CELLS = World(skus=100_000, nodes=200, cells_per_sku=10)
MANY_CELLS = World(skus=100_000, nodes=200, cells_per_sku=200)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_batch_reserve(world: World, stocked: Path, url: str, scale: float, note: Note) -> None:
    copy_journal(f"sqlite:///{stocked}", url)
    store = "sqlite" if url.startswith("sqlite") else "pg"
    command = [sys.executable, "-m", "benchmarks.echo_server", url]
    with loaded(command, world, callers=1, wire=True, environment=PEAK) as load:
        for call, calls in ((BATCH, 40), (COLUMNS, 200)):
            for pickup, place in ((False, "_routed"), (True, "")):
                rounds = [batches(load, call, max(4, int(calls * scale)), pickup=pickup) for _ in range(ROUNDS + 1)]
                made = rounds[1:]
                tag = f"{'_rows' if call == BATCH else ''}{place}"
                note(f"batch_1000{tag}_{store}_per_s", median(per_s(one) for one in made), "1/s")
                cpu_us = median(one.server_cpu_us for one in made) / BATCH_ITEMS
                note(f"batch_1000{tag}_{store}_server_cpu_us", cpu_us, "us")


def test_batch_beside_its_journal(world: World, stocked_url: str, tmp_path: Path, scale: float, note: Note) -> None:
    calls = max(4, int(300 * scale))
    uniform: list[float] = []
    hot: list[float] = []
    journal: list[float] = []
    command = [sys.executable, "-m", "benchmarks.echo_server", stocked_url]
    with loaded(command, world, callers=1, wire=True, environment=PEAK) as load:
        world_seq = last_seq(stocked_url)
        batches(load, COLUMNS, calls)
        for turn in range(ROUNDS):
            seq = last_seq(stocked_url)
            uniform.append(per_s(batches(load, COLUMNS, calls)))
            journal.append(append_per_s(stocked_url, seq, tmp_path / f"alone-{turn}.db"))
            hot.append(per_s(batches(load, COLUMNS, calls, hot=True)))
    note("batch_over_journal", ratio(uniform, journal), "ratio")
    note("journal_alone_per_s", median(journal), "1/s")
    note("hot_over_uniform", ratio(hot, uniform), "ratio")
    replay = [replay_per_s(stocked_url, world_seq) for _ in range(ROUNDS)]
    note("replay_over_batch", ratio(replay, uniform), "ratio")
    note("replay_columns_per_s", median(replay), "1/s")


@pytest.mark.long
def test_cells(tmp_path: Path, scale: float, note: Note) -> None:
    calls = max(4, int(300 * scale))
    made: list[list[float]] = []
    urls = [f"sqlite:///{tmp_path / name}" for name in ("few.db", "many.db")]
    worlds = (FEW_CELLS, MANY_CELLS)
    for url, held in zip(urls, worlds, strict=True):
        journaled(url, held, limits=Limits(cells_max=1 << 25))
    command = [sys.executable, "-m", "benchmarks.echo_server"]
    large = PEAK | {"STOCKPOOL_LIMITS__CELLS_MAX": str(21 << 20)}
    with (
        loaded([*command, urls[0]], worlds[0], 1, wire=True, environment=large) as few,
        loaded([*command, urls[1]], worlds[1], 1, wire=True, environment=large) as many,
    ):
        for turn in range(ROUNDS + 1):
            rates = [per_s(batches(load, COLUMNS, calls)) for load in (few, many)]
            if turn:
                made.append(rates)
    note("cells_20m_over_1m", median(of_many / of_few for of_few, of_many in made), "ratio")


def batches(load: Load, call: str, calls: int, *, pickup: bool = True, hot: bool = False) -> Measured:
    """One round; every reservation was granted."""
    made = load.run(call, calls, IN_FLIGHT, pickup=pickup, hot=hot)
    assert made.granted == made.calls * BATCH_ITEMS, "a reservation was refused"
    return made


def per_s(made: Measured) -> float:
    """Reservations a second."""
    return made.calls_per_s * BATCH_ITEMS


def ratio(ones: list[float], others: list[float]) -> float:
    """The median of the rounds' ratios."""
    return median(one / other for one, other in zip(ones, others, strict=True))


def last_seq(url: str) -> int:
    """Where a journal ends that somebody else writes."""
    with closing(open_journal(url, owner=False)) as journal:
        return journal.last_seq()


def append_per_s(url: str, after_seq: int, path: Path) -> float:
    """Reservations a second that an empty SQLite journal takes of the decisions behind ``after_seq``: a commit a batch."""
    with closing(open_journal(url, owner=False)) as source:
        batches = [each for record in source.read(after_seq + 1) for each in decode(record)]
    bodies = [encode([each]).body for each in batches]
    with closing(open_journal(f"sqlite:///{path}")) as journal:
        begun = time.perf_counter()
        for seq, body in enumerate(bodies):
            journal.append(Record(seq + 1, 1, body), expected_seq=seq)
        elapsed_s = time.perf_counter() - begun
    return len(bodies) * BATCH_ITEMS / elapsed_s


def replay_per_s(url: str, after_seq: int) -> float:
    """Reservations a second that a start replays of the batches behind ``after_seq``."""
    with pretouched():
        machine = Machine(Limits(**ROOM))
    with closing(open_journal(url, owner=False)) as journal:
        advance(machine, journal, to_seq=after_seq)
        held = machine.pool.counter(c.RESERVATIONS_OPEN)
        begun = time.perf_counter()
        advance(machine, journal)
        elapsed_s = time.perf_counter() - begun
    return (machine.pool.counter(c.RESERVATIONS_OPEN) - held) / elapsed_s
