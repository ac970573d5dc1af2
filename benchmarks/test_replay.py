"""How fast a server replays its journal when it starts, from a SQLite file: decisions a second, by what was decided.

Every journal begins with the same small world; what it takes to replay that alone is taken off.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from benchmarks.history import Note
from benchmarks.load import SERVE, hear, piped
from benchmarks.stocking import BEGIN_NS, claim, journaled
from benchmarks.world import World
from engine.model import commands as m
from engine.model.decisions import Decision
from engine.model.orders import ReceivedItem
from engine.model.outcomes import Disposition, RejectReason

GROUP = 20
BATCH = 1_000
ROUNDS = 3
WORLD = World(skus=500, nodes=50, cells_per_sku=10)
Play = Callable[[Callable[[m.Command], Decision], int], Iterator[None]]
"""Decides about so many commands through what it is given; yields where a group of the writer ends."""


def play_reserves(decide: Callable[[m.Command], Decision], count: int) -> Iterator[None]:
    """Reserve, and for every other one a release."""
    for number, ask in enumerate(WORLD.asks(count * 2 // 3, pickup=False, seed=21)):
        made: Any = decide(m.Reserve(f"reserve-{number}", number, claim(ask))).reply
        if number % 2:
            decide(m.ReleaseReservation(f"release-{number}", number, made.reservation_id))
        if number % (GROUP * 2 // 3) == 0:
            yield


def play_batches(decide: Callable[[m.Command], Decision], count: int) -> Iterator[None]:
    """Batches of 1,000 reservations, one a group; of these the reservations are counted."""
    asks = WORLD.asks(count * BATCH, pickup=False, seed=22)
    for number in range(count):
        claims = m.ClaimColumns.of(claim(next(asks), BEGIN_NS) for _ in range(BATCH))
        decide(m.BatchReserve(f"batch-{number}", number, claims))
        yield


def play_orders(decide: Callable[[m.Command], Decision], count: int) -> Iterator[None]:
    """Orders from a reservation, directly and as facts; each is worked on to its end, some are rejected first or come back."""
    chance = random.Random(23)
    decided = 0
    for number, ask in enumerate(WORLD.asks(count, pickup=False, seed=24)):
        if decided >= count:
            return
        for command in _order(decide, chance, number, claim(ask)):
            decide(command)
            decided += 1
        yield


def _order(
    decide: Callable[[m.Command], Decision], chance: random.Random, number: int, what: m.Claim
) -> Iterator[m.Command]:
    """The rest of an order's life after its placing, as commands to be decided."""
    key, lines = f"order-{number}", tuple((sku_key, units, 9_990_000) for sku_key, units in what.lines)
    if number % 3 == 0:
        held: Any = decide(m.Reserve(f"hold-{key}", number, what)).reply
        placed: Any = decide(m.PlaceOrder(f"place-{key}", number, "web", key, "c", lines, held.reservation_id)).reply
    elif number % 3 == 1:
        placed = decide(m.PlaceOrder(f"place-{key}", number, "web", key, "c", lines, 0, what)).reply
    else:
        placed = decide(m.IngestOrder(f"ingest-{key}", number, key, "c", lines, what)).reply
    for work_id in placed.order.fulfillment_order_ids:
        if chance.random() < 0.05:
            reject = m.Reject(f"reject-{work_id}", work_id, work_id, RejectReason.MISMATCH)
            made: Any = decide(reject).reply
            replacements = [work.fulfillment_order_id for work in made.replacements]
        else:
            replacements = [work_id]
        for each in replacements:
            yield m.Accept(f"accept-{each}", each, each)
            yield m.Ship(f"ship-{each}", each, each, "1Z999AA10123456784")
    if chance.random() < 0.1:
        order_id = placed.order.order_id
        taken_back: Any = decide(
            m.AuthorizeReturn(f"return-{key}", number, "web", order_id, ((0, "", 1),), what.postal_code)
        ).reply
        items = (ReceivedItem(0, 1, Disposition.RESTOCK),)
        yield m.ReceiveReturn(f"receive-{key}", number, taken_back.goods.return_id, "", items)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, float]:
    """Where the world ends in every journal, and how many seconds it takes to replay it."""
    path = tmp_path_factory.mktemp("world") / "journal.db"
    seq = journaled(f"sqlite:///{path}", WORLD).seq
    return seq, median(replay_s(path, seq) for _ in range(ROUNDS))


@pytest.mark.parametrize(
    ("what", "play", "count"),
    [("", play_reserves, 60_000), ("_batched", play_batches, 200), ("_orders", play_orders, 30_000)],
)
def test_replay(
    world: tuple[int, float], tmp_path: Path, scale: float, note: Note, what: str, play: Play, count: int
) -> None:
    world_seq, world_s = world
    path = tmp_path / "journal.db"
    live = journaled(f"sqlite:///{path}", WORLD, lambda decide: play(decide, int(count * scale)))
    span_s = median(replay_s(path, live.seq) for _ in range(ROUNDS)) - world_s
    reservations = BATCH if play is play_batches else 1
    note(f"replay{what}_per_s", (live.seq - world_seq) * reservations / span_s, "1/s")


def replay_s(path: Path, seq: int) -> float:
    """Seconds that a server says it took to replay a journal that ends at a sequence: a copy, for the server adds to it."""
    with piped([*SERVE, f"sqlite:///{shutil.copy(path, path.with_name('served.db'))}"]) as server:
        told = json.loads(hear(server))
    assert told["journal_seq"] == seq
    return float(told["replay_s"])
