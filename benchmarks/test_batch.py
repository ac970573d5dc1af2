"""BatchReserve over the wire: messages of 1,000 reservations of two lines, two messages in flight, every one durable.

Routed ones are shipped (each SKU lies at a few nodes); the others are pinned to a store that has both lines. Beside these, in columns, in the
same rounds: what the journal alone takes of the very same records, one hot SKU in every reservation, and a start that replays it all.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from benchmarks.caller import BATCH, BATCH_ITEMS, COLUMNS
from benchmarks.history import Note
from benchmarks.load import LIMITS, SERVE, Load, Measured, hear, loaded, piped
from benchmarks.stocking import copy_journal, journaled
from benchmarks.world import World
from engine.journal import Record, open_journal
from engine.model.limits import Limits

ROUNDS = 3
IN_FLIGHT = 2
FEW_CELLS = World(skus=100_000, nodes=200, cells_per_sku=10)
MANY_CELLS = World(skus=100_000, nodes=200, cells_per_sku=200)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_batch_reserve(world: World, stocked: Path, url: str, scale: float, note: Note) -> None:
    copy_journal(f"sqlite:///{stocked}", url)
    store = "sqlite" if url.startswith("sqlite") else "pg"
    with loaded([sys.executable, "-m", "benchmarks.echo_server", url], world, callers=1) as load:
        for call, calls in ((BATCH, 40), (COLUMNS, 200)):
            for pickup, place in ((False, "_routed"), (True, "")):
                rounds = [batches(load, call, max(4, int(calls * scale)), pickup=pickup) for _ in range(ROUNDS + 1)]
                made = rounds[1:]
                tag = f"{'_rows' if call == BATCH else ''}{place}"
                note(f"batch_1000{tag}_{store}_per_s", median(per_s(one) for one in made), "1/s")
                cpu_us = median(one.server_cpu_us for one in made) / BATCH_ITEMS
                note(f"batch_1000{tag}_{store}_server_cpu_us", cpu_us, "us")


def test_batch_beside_its_journal(
    world: World, stocked: Path, stocked_url: str, tmp_path: Path, scale: float, note: Note
) -> None:
    calls = max(4, int(300 * scale))
    uniform: list[float] = []
    hot: list[float] = []
    journal: list[float] = []
    with loaded([sys.executable, "-m", "benchmarks.echo_server", stocked_url], world, callers=1) as load:
        batches(load, COLUMNS, calls)
        for turn in range(ROUNDS):
            seq = last_seq(stocked_url)
            uniform.append(per_s(batches(load, COLUMNS, calls)))
            journal.append(append_per_s(stocked_url, seq, tmp_path / f"alone-{turn}.db"))
            hot.append(per_s(batches(load, COLUMNS, calls, hot=True)))
    note("batch_over_journal", ratio(uniform, journal), "ratio")
    note("journal_alone_per_s", median(journal), "1/s")
    note("hot_over_uniform", ratio(hot, uniform), "ratio")
    world_s = median(replay_s(stocked, tmp_path / "served.db") for _ in range(ROUNDS))
    made_s = median(replay_s(database(stocked_url), tmp_path / "served.db") for _ in range(ROUNDS)) - world_s
    reservations = calls * BATCH_ITEMS * (1 + 2 * ROUNDS)
    note("replay_over_batch", reservations / made_s / median(uniform), "ratio")


@pytest.mark.long
def test_cells(tmp_path: Path, scale: float, note: Note) -> None:
    calls = max(4, int(300 * scale))
    made: list[list[float]] = []
    urls = [f"sqlite:///{tmp_path / name}" for name in ("few.db", "many.db")]
    worlds = (FEW_CELLS, MANY_CELLS)
    for url, held in zip(urls, worlds, strict=True):
        journaled(url, held, limits=Limits(cells_max=1 << 25))
    command = [sys.executable, "-m", "benchmarks.echo_server"]
    with loaded([*command, urls[0]], worlds[0], 1) as few, loaded([*command, urls[1]], worlds[1], 1) as many:
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
    """Reservations a second that an empty SQLite journal takes of the records behind ``after_seq``, each a batch or more, the very same bytes."""
    with closing(open_journal(url, owner=False)) as source:
        bodies = [(record.count, record.body) for record in source.read(after_seq + 1)]
    seq = 0
    with closing(open_journal(f"sqlite:///{path}")) as journal:
        begun = time.perf_counter()
        for count, body in bodies:
            journal.append(Record(seq + 1, count, body), expected_seq=seq)
            seq += count
        elapsed_s = time.perf_counter() - begun
    return seq * BATCH_ITEMS / elapsed_s


def database(url: str) -> Path:
    """The file of a SQLite journal."""
    return Path(url.removeprefix("sqlite:///"))


def replay_s(journal: Path, copy: Path) -> float:
    """Seconds that a server says it took to replay a journal: a copy, for the server adds to it."""
    shutil.copy(journal, copy)
    with piped([*SERVE, f"sqlite:///{copy}"], environment=os.environ | LIMITS) as server:
        return float(json.loads(hear(server))["replay_s"])
