"""Arithmetic of batches and bundles: lines that draw on one cell, and books that must balance after a change of mind."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model import commands as m
from engine.model.network import Sku
from engine.model.outcomes import Outcome
from stockpool.v1 import network_pb2, reservations_pb2
from stockpool.v1.types_pb2 import LineItem
from tests.builders import MINUTE_NS, Store, pickup, ship
from tests.failures.cases import case
from tests.failures.rush import Rush, outcomes
from tests.service.world import Outcome as Wire
from tests.service.world import claim, place, reserve


def quantities(store: Store) -> Integers:
    """Every quantity of every cell in use: what must be as before once all is undone."""
    state = store.machine.pool.state
    copied: Integers = state[0][: c.PENDING, : state[8][c.SLOTS_USED]].copy()
    return copied


@case(14)
@pytest.mark.parametrize(("channel", "units", "left"), [("web", (5, 4), 3), ("mall", (4, 4), 3), ("app", (4, 3), 2)])
def test_two_lines_are_checked_against_the_same_number(channel: str, units: tuple[int, int], left: int) -> None:
    """medusajs/medusa#16502: two lines that fit alone and not together are refused, as one cart and as one batch, where units of
    several nodes may be joined, where they may not, and where a channel does not see all of them.
    """
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 3))
    together = [("A", count) for count in units]
    for line in together:
        held = store.reserve(ship([line], channel=channel))
        assert held.outcome == Outcome.OK
        store.tell(m.ReleaseReservation, reservation_id=held.reservation_id)
    before = quantities(store)
    assert store.reserve(ship(together, channel=channel)).outcome == Outcome.INSUFFICIENT_STOCK
    assert store.place(ship(together, channel=channel)).outcome == Outcome.INSUFFICIENT_STOCK
    assert (quantities(store) == before).all()
    claims = m.ClaimColumns.of([ship([line], channel=channel) for line in together])
    reply = store.tell(m.BatchReserve, claims=claims)
    first, second = np.frombuffer(reply.columns, dtype="<i8").reshape(-1, 5).tolist()
    assert (first[0], second[0], second[4]) == (Outcome.OK, Outcome.INSUFFICIENT_STOCK, left)
    store.audit()


@case(15)
@pytest.mark.parametrize("seed", [15])
def test_the_same_sku_twice_slips_through(seed: int) -> None:
    """vendurehq/vendure#2702: lines of one SKU get exactly what one line of all their units gets."""
    chance = Random(seed)
    granted = 0
    for _ in range(40):
        stock = [(sku, node, chance.randint(0, 4)) for sku in "AB" for node in ("dc", "east", "west")]
        lines = [(chance.choice("AB"), chance.randint(1, 3)) for _ in range(chance.randint(2, 6))]
        merged = [(sku, sum(units for key, units in lines if key == sku)) for sku in dict.fromkeys(dict(lines))]
        cut, whole = Store(), Store()
        cut.stock(*stock)
        whole.stock(*stock)
        got, expected = cut.reserve(ship(lines)), whole.reserve(ship(merged))
        assert (got.outcome, got.cost) == (expected.outcome, expected.cost), (stock, lines)
        assert (quantities(cut) == quantities(whole)).all()
        granted += got.outcome == Outcome.OK
    assert 5 < granted < 35, "both answers were seen"


@case(16)
@pytest.mark.parametrize("shipped", [0, 1, 2])
def test_ship_and_cancel_both_compensate(shipped: int) -> None:
    """magento/inventory#1246, magento/inventory#1849: parts of one order are shipped, the others cancelled, each again and again:
    what may be sold is what is there.
    """
    store = Store()
    homes = {"A": "dc", "B": "east", "C": "west"}
    store.stock(*((sku, node, 100) for sku, node in homes.items()))
    order = store.place(ship([(sku, 5) for sku in homes])).order
    assert len(order.fulfillment_order_ids) == 3, "one package from each place"
    for work in order.fulfillment_order_ids[:shipped]:
        for step in (m.Accept, m.Ship, m.Ship):
            store.tell(step, fulfillment_order_id=work)
    cancels = [store.tell(m.CancelOrder, order_id=order.order_id, lines=()).outcome for _ in range(2)]
    assert cancels == [Outcome.OK, Outcome.INVALID_TRANSITION]
    for work in order.fulfillment_order_ids:
        assert store.tell(m.Ship, fulfillment_order_id=work).outcome == Outcome.INVALID_TRANSITION
    for at, (sku, node) in enumerate(homes.items()):
        left = 95 if at < shipped else 100
        cell = store.cell(sku, node)
        assert (cell.on_hand, cell.atf, store.ats(sku)) == (left, left, left)
    store.audit()


@case(17)
def test_a_reservation_lands_on_the_parent() -> None:
    """magento/magento2#30877: there are no parents. A line names one SKU, and its own cells alone change."""
    store = Store()
    store.tell(m.PutSkus, skus=(Sku("shirt"), Sku("shirt-red"), Sku("shirt-blue")))
    for sku in ("shirt", "shirt-red", "shirt-blue"):
        store.stock((sku, "dc", 2))
    before = quantities(store)
    assert store.reserve(ship([("shirt-red", 2)])).outcome == Outcome.OK
    changed = np.flatnonzero((quantities(store) != before).any(axis=0))
    assert [store.machine.pool.names.cell(int(slot)) for slot in changed] == [(5, 0)]
    assert [store.ats(sku) for sku in ("shirt", "shirt-red", "shirt-blue")] == [2, 0, 2]
    assert store.place(ship([("shirt-red", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    assert {field.name for field in LineItem.DESCRIPTOR.fields} == {"sku_key", "units"}
    assert not [field.name for field in network_pb2.Sku.DESCRIPTOR.fields if "parent" in field.name]


def _reserve_and_release(store: Store, claim: m.Claim) -> None:
    store.tell(m.ReleaseReservation, reservation_id=store.reserve(claim).reservation_id)


def _reserve_and_let_go(store: Store, claim: m.Claim) -> None:
    store.reserve(claim)
    store.wait(60 * MINUTE_NS)


def _place_and_cancel(store: Store, claim: m.Claim) -> None:
    _cancel(store, store.place(claim))


def _reserve_place_and_cancel(store: Store, claim: m.Claim) -> None:
    held = store.reserve(claim).reservation_id
    _cancel(store, store.commit(held, order_key=f"c{held}", channel_key=claim.channel_key))


def _ingest_and_cancel(store: Store, claim: m.Claim) -> None:
    _cancel(store, store.ingest(claim))


def _cancel(store: Store, reply: Any) -> None:
    """Line by line and unit by unit."""
    for index, line in enumerate(reply.order.lines if reply.order else ()):
        for _ in range(line.open_units):
            cancelled = store.tell(m.CancelOrder, order_id=reply.order.order_id, lines=((index, 1),))
            assert cancelled.outcome == Outcome.OK


@case(18)
@pytest.mark.parametrize("seed", [18])
@pytest.mark.parametrize(
    "there_and_back",
    [_reserve_and_release, _reserve_and_let_go, _place_and_cancel, _reserve_place_and_cancel, _ingest_and_cancel],
)
def test_order_and_cancel_leave_a_trace(there_and_back: Callable[[Store, m.Claim], None], seed: int) -> None:
    """PrestaShop/PrestaShop#28713: doing and undoing is identity, in every quantity of every cell."""
    chance = Random(seed)
    store = Store()
    store.stock(*((sku, node, chance.randint(2, 6)) for sku in "ABC" for node in ("dc", "east", "west")))
    for _ in range(25):
        store.sweep()
        before = quantities(store)
        lines = [(chance.choice("ABC"), chance.randint(1, 5)) for _ in range(chance.randint(1, 4))]
        kind = chance.choice([ship, ship, pickup] if there_and_back is not _ingest_and_cancel else [ship])
        there_and_back(store, kind(lines, allow_partial=True))
        store.sweep()
        assert (quantities(store) == before).all(), lines
        store.audit()


@case(19)
async def test_an_item_named_twice_waits_for_itself(rush: Rush) -> None:
    """medusajs/medusa#11403: carts and batches full of one SKU are answered like any other, a hundred at a time."""
    sku = await rush.sku(east=600, west=600)
    ten = [(sku, 1)] * 10
    twice = reservations_pb2.BatchReserveRequest(reservations=[claim((sku, 1), (sku, 1))] * 10)
    reserved, placed, batches = await rush.at_once(
        [
            rush.call("reserve", [reserve(*ten)] * 40),
            rush.call("place_order", [place(f"{sku}-{at}", *ten) for at in range(40)]),
            rush.call("batch_reserve", [twice] * 20),
        ]
    )
    assert outcomes([*reserved, *placed, *batches]) == {Wire.OK: 100}
    assert {result.outcome for answer in batches for result in answer.results} == {Wire.OK}
    assert sum(cell.atf_units for cell in (await rush.cells(sku)).values()) == 0
