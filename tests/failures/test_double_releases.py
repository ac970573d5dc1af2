"""Units given back twice or not at all: closed tables, and books that stay right whatever happens at the same instant."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from itertools import product
from random import Random
from typing import Any

import pytest
from google.protobuf.message import Message

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.outcomes import (
    CommandKind,
    FulfillmentKind,
    FulfillmentState,
    Outcome,
    RejectReason,
    ReservationState,
)
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from tests.builders import MINUTE_NS, SMALL, Store, day, pickup, ship
from tests.failures.cases import case
from tests.failures.rush import Rush
from tests.service.world import Outcome as Wire
from tests.service.world import lines, place, reserve

SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP


def release(store: Store, reservation_id: int) -> Outcome:
    return Outcome(store.tell(m.ReleaseReservation, reservation_id=reservation_id).outcome)


def cancel(store: Store, order_id: int, *units: tuple[int, int]) -> Outcome:
    return Outcome(store.tell(m.CancelOrder, order_id=order_id, lines=units).outcome)


STEPS: dict[str, tuple[type[m.Command], FulfillmentState]] = {
    "accept": (m.Accept, FulfillmentState.ACCEPTED),
    "ready": (m.MarkReady, FulfillmentState.READY_FOR_PICKUP),
    "hand over": (m.HandOver, FulfillmentState.HANDED_OVER),
    "ship": (m.Ship, FulfillmentState.SHIPPED),
    "reject": (m.Reject, FulfillmentState.REJECTED),
    "cancel": (m.CancelOrder, FulfillmentState.CANCELLED),
}
PATHS: dict[tuple[FulfillmentKind, tuple[str, ...]], set[str]] = {
    (SHIP, ()): {"accept", "reject", "cancel"},
    (SHIP, ("accept",)): {"ship", "reject", "cancel"},
    (SHIP, ("accept", "ship")): set(),
    (SHIP, ("reject",)): {"cancel"},
    (SHIP, ("cancel",)): set(),
    (PICKUP, ()): {"accept", "ready", "reject", "cancel"},
    (PICKUP, ("accept",)): {"ready", "reject", "cancel"},
    (PICKUP, ("ready",)): {"hand over", "reject", "cancel"},
    (PICKUP, ("ready", "hand over")): set(),
    (PICKUP, ("reject",)): {"cancel"},
    (PICKUP, ("cancel",)): set(),
}
"""How far the work of an order has come, and the only steps that are possible then. After a reject the order, now short, may still be
cancelled."""


def _step(store: Store, step: str) -> Any:
    if step == "cancel":
        return store.tell(m.CancelOrder, order_id=1, lines=())
    if step == "reject":
        return store.tell(m.Reject, fulfillment_order_id=1, reason=RejectReason.TOO_BUSY)
    return store.tell(STEPS[step][0], fulfillment_order_id=1)


@case(28)
@pytest.mark.parametrize(("path", "step"), list(product(PATHS, STEPS)))
def test_from_shipped_to_refunded_adds_units(path: tuple[FulfillmentKind, tuple[str, ...]], step: str) -> None:
    """PrestaShop/PrestaShop#22756: from each state only the steps of the table are possible; any other one moves no unit."""
    kind, done = path
    store = Store()
    store.stock(("A", "east", 5))
    assert store.place((ship if kind == SHIP else pickup)([("A", 2)])).outcome == Outcome.OK
    for earlier in done:
        assert _step(store, earlier).outcome in (Outcome.OK, Outcome.PARTIAL)
    before = store.cell("A", "east")
    answer = _step(store, step)
    if step in PATHS[path]:
        assert answer.outcome in (Outcome.OK, Outcome.PARTIAL)
        assert "reject" in done or store.work(1)[0].state == STEPS[step][1]
    else:
        assert answer.outcome == Outcome.INVALID_TRANSITION
        assert store.cell("A", "east") == before
    store.audit()


PHYSICAL = {
    CommandKind.SET_STOCK, CommandKind.ADJUST_STOCK, CommandKind.RECEIVE_STOCK, CommandKind.RECORD_SALE,
    CommandKind.IMPORT_STOCK, CommandKind.SHIP, CommandKind.HAND_OVER, CommandKind.REJECT, CommandKind.RECEIVE_RETURN,
}  # fmt: skip
"""Where somebody saw goods come, go, or be missing."""


@case(29)
@pytest.mark.parametrize("seed", range(4))
def test_a_reopened_order_invents_a_unit(seed: int) -> None:
    """PrestaShop/PrestaShop#36024, PrestaShop/PrestaShop#36123: on hand moves with goods alone, whatever is promised, cancelled or comes
    to an end; and nothing reopens an order.
    """
    store = Store()
    store.stock(("A", "east", 15))
    order = store.place(ship([("A", 1)]), "first").order
    assert cancel(store, order.order_id) == Outcome.OK
    assert store.tell(m.Accept, fulfillment_order_id=1).outcome == Outcome.INVALID_TRANSITION
    assert store.place(ship([("A", 1)]), "first").outcome == Outcome.DUPLICATE_ORDER
    assert (store.cell("A", "east").on_hand, store.ats("A")) == (15, 15)
    gone = store.place(ship([("A", 2)])).order.fulfillment_order_ids[0]
    for step in (m.Accept, m.Ship):
        store.tell(step, fulfillment_order_id=gone)
    missing = store.place(ship([("A", 3)])).order.fulfillment_order_ids[0]
    store.tell(m.Reject, fulfillment_order_id=missing, reason=RejectReason.MISMATCH)
    assert store.cell("A", "east").on_hand == 15 - 2 - 3
    moved = set()
    for decision in [*store.decisions, *day(seed).decisions]:
        rows = () if decision.effects is None else decision.effects.tolist()
        if any(row[0] == c.OP_MOVE and row[2] == c.ON_HAND for row in rows):
            moved.add(decision.kind)
    assert {CommandKind.SHIP, CommandKind.REJECT, CommandKind.RECORD_SALE} <= moved <= PHYSICAL


@case(30)
@pytest.mark.parametrize("tries_again", [True, False])
def test_a_failed_payment_keeps_the_hold_or_loses_it(tries_again: bool) -> None:
    """woocommerce/woocommerce#55396, woocommerce/woocommerce#66303: the checkout says what a failed payment means: the hold is kept for
    another try, up to a cap, or given back at once.
    """
    store = Store()
    store.stock(("A", "east", 1))
    held = store.reserve(ship([("A", 1)], ttl_ns=10 * MINUTE_NS)).reservation_id
    store.wait(9 * MINUTE_NS)
    if not tries_again:
        assert release(store, held) == Outcome.OK
        assert store.place(ship([("A", 1)])).outcome == Outcome.OK, "the next buyer need not wait for the tenth minute"
        return
    extended = store.tell(m.ExtendReservation, reservation_id=held, ttl_ns=10 * MINUTE_NS)
    assert extended.expires_ns == store.now_ns + 10 * MINUTE_NS
    store.wait(9 * MINUTE_NS)
    assert store.place(ship([("A", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    for_ever = store.tell(m.ExtendReservation, reservation_id=held, ttl_ns=SMALL.reservation_hold_max_ns)
    assert for_ever.outcome == Outcome.EXTENSION_LIMIT
    assert store.commit(held).outcome == Outcome.OK
    store.audit()


@case(31)
async def test_a_cancel_during_the_deduction_gives_back_too_much(rush: Rush) -> None:
    """EasyAbp/EShop#221: order and give-back of one hold, shipment and cancel of one order, at the same instant: one of the two happens,
    and the units are there once.
    """
    sku = await rush.sku(east=120)
    held = [answer.reservation.reservation_id for answer in await rush.call("reserve", [reserve((sku, 1))] * 100)]
    pairs = await _race(
        rush,
        "place_order",
        [place(f"{sku}-{one}", reservation_id=one) for one in held],
        "release_reservation",
        [reservations.ReleaseReservationRequest(reservation_id=one) for one in held],
    )
    ordered, given_back = (Wire.OK, Wire.RESERVATION_COMMITTED), (Wire.RESERVATION_RELEASED, Wire.OK)
    assert {(placed.result.outcome, gone.result.outcome) for placed, gone in pairs} == {ordered, given_back}
    made = [placed.order for placed, _ in pairs if placed.result.outcome == Wire.OK]
    made += [(await rush.client.place_order(place(f"{sku}-x{at}", (sku, 1)))).order for at in range(20)]
    works = [order.fulfillment_order_ids[0] for order in made]
    await rush.call("accept", [fulfillment.AcceptRequest(fulfillment_order_id=work) for work in works])
    pairs = await _race(
        rush,
        "ship",
        [fulfillment.ShipRequest(fulfillment_order_id=work) for work in works],
        "cancel_order",
        [orders.CancelOrderRequest(order_id=order.order_id) for order in made],
    )
    left_first, cancelled_first = (Wire.OK, Wire.INVALID_TRANSITION), (Wire.INVALID_TRANSITION, Wire.OK)
    ends = Counter((shipped.result.outcome, cancelled.result.outcome) for shipped, cancelled in pairs)
    assert ends.keys() == {left_first, cancelled_first}
    cell = await rush.cell(sku)
    left = 120 - ends[left_first]
    assert (cell.on_hand_units, cell.atf_units, cell.reserved_units, cell.allocated_units) == (left, left, 0, 0)


async def _race(
    rush: Rush, method: str, requests: Sequence[Message], rival: str, others: Sequence[Message]
) -> list[tuple[Any, Any]]:
    """Both calls about each thing at once, by two clients, the one and the other leaving first by turns."""

    async def pair(at: int) -> tuple[Any, Any]:
        # Connections are read in some order, so each caller is the one in half of the pairs and the rival in the others.
        one, two = rush.clients[at % 100], rush.clients[99 - at % 100]
        calls = [getattr(one, method)(requests[at]), getattr(two, rival)(others[at])]
        answers = await asyncio.gather(*(calls if at % 2 else reversed(calls)))
        return (answers[0], answers[1]) if at % 2 else (answers[1], answers[0])

    return await rush.at_once(pair(at) for at in range(len(requests)))


@case(32)
def test_stock_below_what_is_held_makes_the_cancel_impossible() -> None:
    """Sylius/Sylius#9435: giving back never fails for lack of stock, neither for a hold nor for an order."""
    store = Store()
    store.stock(("A", "east", 6))
    held = store.reserve(ship([("A", 2)])).reservation_id
    order_id = store.place(ship([("A", 2)])).order.order_id
    store.reserve(ship([("A", 2)], ttl_ns=MINUTE_NS))
    store.stock(("A", "east", 0))
    assert store.cell("A", "east").atf == -6, "the shortage shows"
    assert release(store, held) == Outcome.OK
    assert cancel(store, order_id, (0, 1)) == Outcome.OK
    assert cancel(store, order_id) == Outcome.OK
    store.wait(MINUTE_NS)
    store.sweep()
    assert store.machine.pool.reservations.get(2).state == ReservationState.EXPIRED  # type: ignore[union-attr]
    assert store.cell("A", "east").atf == 0
    store.audit()


@case(33)
async def test_reserved_units_and_their_documents_drift(rush: Rush) -> None:
    """odoo/odoo#62139, odoo/odoo#24555, odoo/odoo#154905, odoo/odoo#79180: an auditor who looks all the time, while many clients do
    everything at once, never finds a difference.
    """
    skus = await rush.skus(4, east=40, west=40, shop_e=10)
    ended = asyncio.Event()

    async def auditor() -> int:
        audits = 0
        while not ended.is_set():
            answer = await rush.client.audit_invariants(admin.AuditInvariantsRequest())
            assert not answer.findings, answer
            audits += 1
        return audits

    async def busy(number: int) -> None:
        client, chance = rush.clients[number], Random(number)
        for turn in range(6):
            sku, units = chance.choice(skus), chance.randint(1, 3)
            held = (await client.reserve(reserve((sku, units), allow_partial=True))).reservation.reservation_id
            if not held:
                pass  # sold out for now
            elif turn % 2:
                await client.release_reservation(reservations.ReleaseReservationRequest(reservation_id=held))
            else:
                placed = await client.place_order(place(f"{sku}-{number}-{turn}", reservation_id=held))
                for work in placed.order.fulfillment_order_ids:
                    request = fulfillment.RejectRequest(fulfillment_order_id=work, reason=chance.randint(1, 6))  # type: ignore[arg-type]
                    await client.reject(request)
                await client.cancel_order(orders.CancelOrderRequest(order_id=placed.order.order_id))
            await client.receive_stock(inventory.ReceiveStockRequest(node_key="west", lines=lines((sku, 2))))

    watching = asyncio.create_task(auditor())
    try:
        await rush.at_once(busy(number) for number in range(25))
    finally:
        ended.set()
    assert await watching > 5


@case(34)
def test_a_count_is_refused_while_units_are_reserved() -> None:
    """frappe/erpnext#49382: a count is a fact. Down to what is reserved nothing happens; below, it is booked all the same, and the answer
    shows how many promised units are not there.
    """
    store = Store()
    store.stock(("A", "east", 10))
    held = store.reserve(ship([("A", 4)])).reservation_id
    for counted, free in ((7, 3), (4, 0), (3, -1), (0, -4)):
        answer = store.tell(m.SetStock, sku_key="A", node_key="east", on_hand_units=counted)
        assert (answer.outcome, answer.cell.on_hand, answer.cell.atf) == (Outcome.OK, counted, free)
        assert store.ats("A") == max(free, 0)
    lost = store.tell(m.ReceiveStock, node_key="east", lines=(("A", 6),))
    assert lost.outcome == Outcome.OK
    for delta, outcome in ((-2, Outcome.OK), (-1, Outcome.OK), (-4, Outcome.INSUFFICIENT_STOCK)):
        adjusted = store.tell(m.AdjustStock, sku_key="A", node_key="east", quantity=1, delta_units=delta, reason=0)
        assert adjusted.outcome == outcome
    assert store.cell("A", "east").atf == 3 - 4
    assert release(store, held) == Outcome.OK
    assert store.ats("A") == 3
    store.audit()
