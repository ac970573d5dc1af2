"""WatchAvailability against a replay: what was told of a decision is what a machine knows that stops there."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from random import Random
from typing import Any

import pytest

from engine.core.machine import Machine
from engine.journal.codec import decode
from engine.journal.memory import MemoryJournal
from engine.model import queries as q
from engine.model.outcomes import FulfillmentKind
from engine.service import watching
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import reservations_pb2 as reservations
from tests.service.test_watching import PICKUP, SHIP, SKUS, asked, units
from tests.service.world import LIMITS, Outcome, World, lines, nodes, open_world, reserve

WATCHED: list[tuple[str, FulfillmentKind, str, tuple[str, ...]]] = [
    ("web", SHIP, "", ()),
    ("web", SHIP, "", ("sku-1", "sku-2", "later")),
    ("web", SHIP, "east", ("sku-1", "sku-3")),
    ("till", PICKUP, "", ("sku-2", "sku-1")),
    ("till", PICKUP, "shop-e", ()),
    ("market", SHIP, "", ("sku-5", "sku-4", "sku-1")),
]


class Watching:
    """A watcher that notes what it knows after every message. Its stream breaks now and then, and it goes on."""

    def __init__(self, world: World, at: int, chance: Random) -> None:
        self.world = world
        self.view = WATCHED[at]
        self.chance = chance
        self.knows: dict[str, int | None] = {}
        self.seq = 0
        self.notes: list[tuple[int, bool, dict[str, int | None], dict[str, int | None]]] = []
        """Seq, whether it knows everything, what it was told, what it knows."""

    def request(self) -> inventory.WatchAvailabilityRequest:
        channel_key, kind, node_key, sku_keys = self.view
        return asked(*sku_keys, channel_key=channel_key, kind=int(kind), node_key=node_key, from_seq=self.seq)

    async def run(self) -> None:
        while True:
            fresh = True
            async with aclosing(self.world.client.watch_availability(self.request())) as stream:
                async for part in stream:
                    if fresh and part.complete:
                        self.knows = {}
                    fresh = False
                    told = units(part)
                    self.knows |= told
                    self.seq = part.resume_seq
                    whole = part.resume_seq == part.result.journal_seq
                    self.notes.append((part.result.journal_seq, whole, told, dict(self.knows)))
                    if self.seq and self.chance.random() < 0.2:
                        break


async def stir(world: World, chance: Random) -> None:
    """One random change."""
    client, sku, node = world.client, chance.choice(SKUS), chance.choice(["east", "west", "shop-e", "shop-w"])
    action = chance.randrange(8)
    if action <= 2:
        await world.stock(sku, node, chance.randrange(20))
    elif action == 3:
        kept = await client.reserve(reserve((sku, chance.randint(1, 3))))
        if kept.reservation.reservation_id and chance.random() < 0.5:
            release = reservations.ReleaseReservationRequest(reservation_id=kept.reservation.reservation_id)
            await client.release_reservation(release)
    elif action == 4:
        sale = inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines((sku, 1)))
        await client.record_sale(sale)
    elif action == 5:
        change = inventory.SetStockRequest(sku_key=sku, node_key=node, safety_stock_units=chance.randrange(3))
        await client.set_stock(change)
    elif action == 6:
        one = chance.choice(nodes()[:4])
        one.closed = chance.random() < 0.3
        await client.put_nodes(network.PutNodesRequest(nodes=[one]))
    else:
        skus = [network.Sku(sku_key=chance.choice(["later", "last", sku]))]
        await client.put_skus(network.PutSkusRequest(skus=skus))
        await world.stock(skus[0].sku_key, node, 3)


def states(journal: MemoryJournal, seqs: set[int]) -> dict[int, list[dict[str, int | None]]]:
    """What each view is offered after these decisions, by a machine that replays them one by one."""
    machine, found = Machine(LIMITS), {}
    for record in journal.read():
        for decision in decode(record):
            machine.apply(decision)
            if decision.seq in seqs:
                found[decision.seq] = [offers(machine, *view) for view in WATCHED]
    return found


def offers(
    machine: Machine, channel_key: str, kind: FulfillmentKind, node_key: str, sku_keys: tuple[str, ...]
) -> dict[str, int | None]:
    keys = sku_keys or tuple(machine.pool.names.sku_keys)
    answer: Any = machine.answer(q.GetAvailability(0, channel_key, keys, kind, node_key), machine.now_ns)
    return {each.sku_key: each.ats_units if each.outcome == Outcome.OK else None for each in answer.availabilities}


@pytest.mark.parametrize("seed", range(2))
async def test_what_is_told_is_what_a_replay_tells(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Units told are those after the decision that the message names; and whoever was told everything knows everything."""
    monkeypatch.setattr(watching, "TICK_S", 0.011)
    monkeypatch.setattr("engine.core.watching.BUDGET", 4)
    chance, journal = Random(seed), MemoryJournal()
    async with open_world(journal=journal, filled=True) as world:
        watchers = [Watching(world, at, Random(seed + at)) for at in range(len(WATCHED))]
        tasks = [asyncio.create_task(each.run()) for each in watchers]
        for _ in range(100):
            await stir(world, chance)
            if chance.random() < 0.3:
                await asyncio.sleep(0.02)
        now = states(journal, {world.writer.last_seq})[world.writer.last_seq]
        try:
            async with asyncio.timeout(20):
                while [each.knows for each in watchers] != now:
                    assert not any(task.done() for task in tasks), f"seed {seed}"
                    await asyncio.sleep(0.05)
        except TimeoutError:
            assert [each.knows for each in watchers] == now, f"seed {seed}"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    known = states(journal, {note[0] for each in watchers for note in each.notes})
    for at, each in enumerate(watchers):
        for seq, whole, told, knows in each.notes:
            truth = known[seq][at]
            assert told.items() <= truth.items(), f"seed {seed}, watcher {at}, seq {seq}"
            assert not whole or knows == truth, f"seed {seed}, watcher {at}, seq {seq}"
