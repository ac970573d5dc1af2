"""Work of the nodes: every step from every state, and what a rejection does to stock, order and plan."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.fulfillment import TRANSITIONS
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Channel, Node, Region, ZoneChart
from engine.model.outcomes import FulfillmentKind, FulfillmentState, OrderState, Outcome, RejectReason, StockReason
from engine.model.replies import Shortage
from tests.builders import CHART, NODES, PICKUP, REGIONS, SHIP, Store, limits, pickup, ship

STEPS: dict[FulfillmentState, type[m.Command]] = {
    FulfillmentState.ACCEPTED: m.Accept,
    FulfillmentState.SHIPPED: m.Ship,
    FulfillmentState.READY_FOR_PICKUP: m.MarkReady,
    FulfillmentState.HANDED_OVER: m.HandOver,
    FulfillmentState.REJECTED: m.Reject,
}
ROUTES = {
    (SHIP, FulfillmentState.OPEN): (),
    (SHIP, FulfillmentState.ACCEPTED): (FulfillmentState.ACCEPTED,),
    (SHIP, FulfillmentState.SHIPPED): (FulfillmentState.ACCEPTED, FulfillmentState.SHIPPED),
    (SHIP, FulfillmentState.REJECTED): (FulfillmentState.REJECTED,),
    (PICKUP, FulfillmentState.OPEN): (),
    (PICKUP, FulfillmentState.ACCEPTED): (FulfillmentState.ACCEPTED,),
    (PICKUP, FulfillmentState.READY_FOR_PICKUP): (FulfillmentState.READY_FOR_PICKUP,),
    (PICKUP, FulfillmentState.HANDED_OVER): (FulfillmentState.READY_FOR_PICKUP, FulfillmentState.HANDED_OVER),
    (PICKUP, FulfillmentState.REJECTED): (FulfillmentState.REJECTED,),
}
"""How to bring work into each state that it can be in."""
ALLOWED = {
    (SHIP, "OPEN"): {"ACCEPTED", "REJECTED"},
    (SHIP, "ACCEPTED"): {"SHIPPED", "REJECTED"},
    (SHIP, "SHIPPED"): {"ARRIVED"},  # to a store, as the next: see test_store_parcels
    (SHIP, "ARRIVED"): {"HANDED_OVER"},
    (PICKUP, "OPEN"): {"ACCEPTED", "READY_FOR_PICKUP", "REJECTED"},
    (PICKUP, "ACCEPTED"): {"READY_FOR_PICKUP", "REJECTED"},
    (PICKUP, "READY_FOR_PICKUP"): {"HANDED_OVER", "REJECTED"},
}
"""The contract's table, written down a second time."""


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5))
    return store


def step(store: Store, work_id: int, target: FulfillmentState, reason: RejectReason = RejectReason.TOO_BUSY) -> Any:
    fields: dict[str, Any] = {"reason": reason} if target == FulfillmentState.REJECTED else {}
    reply = store.tell(STEPS[target], fulfillment_order_id=work_id, **fields)
    store.audit()
    return reply


def reject(store: Store, work_id: int, reason: RejectReason) -> Any:
    return step(store, work_id, FulfillmentState.REJECTED, reason)


@pytest.mark.parametrize(("kind", "state"), ROUTES)
@pytest.mark.parametrize("target", STEPS)
def test_every_step_from_every_state(
    store: Store, kind: FulfillmentKind, state: FulfillmentState, target: FulfillmentState
) -> None:
    store.place(ship([("B", 1)]) if kind == SHIP else pickup([("B", 1)]))
    for each in ROUTES[kind, state]:
        assert step(store, 1, each).outcome in (Outcome.OK, Outcome.PARTIAL)
    before = store.machine.digest(), store.work(1)[0]
    reply = step(store, 1, target)
    if target.name in ALLOWED.get((kind, state.name), set()):
        assert reply.outcome in (Outcome.OK, Outcome.PARTIAL)
        assert reply.fulfillment_order.state == target
    else:
        assert (reply.outcome, reply.subject) == (Outcome.INVALID_TRANSITION, state.name)
        assert store.work(1)[0] == before[1]
        assert reply.fulfillment_order == before[1]


def test_the_table_of_steps_is_closed() -> None:
    assert {
        (kind, source.name, target.name) for (kind, target), sources in TRANSITIONS.items() for source in sources
    } == {(kind, source, target) for (kind, source), targets in ALLOWED.items() for target in targets}


def test_what_leaves_falls_on_hand_and_allocated_together(store: Store) -> None:
    store.place(ship([("A", 2), ("B", 1)]))
    step(store, 1, FulfillmentState.ACCEPTED)
    assert store.order(1).state == OrderState.IN_FULFILLMENT
    before = store.ats("A")
    store.tell(m.Ship, fulfillment_order_id=1, tracking="1Z999")
    assert store.work(1)[0].tracking == "1Z999"
    cell = store.cell("A", "east")
    assert (cell.on_hand, cell.allocated, store.ats("A")) == (1, 0, before)
    assert store.order(1).state == OrderState.COMPLETED
    assert store.order(1).lines[0].fulfilled_units == 2
    (move, _) = store.ask(q.ListMovements(0, "A", "east", 0, 10)).movements
    assert (move.delta_units, move.balance_units, move.reason) == (-2, 1, StockReason.SHIPMENT)
    store.audit()


@pytest.mark.parametrize(
    ("reason", "on_hand", "damaged", "display", "atf"),
    [
        (RejectReason.NOT_IN_STOCK, 1, 0, 0, 0),
        (RejectReason.MISMATCH, 3, 0, 0, 2),
        (RejectReason.DAMAGED, 5, 2, 0, 2),
        (RejectReason.WORN_DISPLAY, 5, 0, 2, 2),
        (RejectReason.TOO_BUSY, 5, 0, 0, 4),
        (RejectReason.CLOSED, 5, 0, 0, 4),
    ],
)
def test_a_rejection_corrects_stock_by_its_reason(
    store: Store, reason: RejectReason, on_hand: int, damaged: int, display: int, atf: int
) -> None:
    store.reserve(ship([("B", 1)]))
    store.place(pickup([("B", 2)]))
    reject(store, 1, reason)
    cell = store.cell("B", "east")
    assert (cell.on_hand, cell.damaged, cell.display, cell.atf) == (on_hand, damaged, display, atf)
    assert (cell.reserved, cell.allocated) == (1, 0)
    assert store.work(1)[0].reject_reason == reason


@pytest.mark.parametrize("reason", [RejectReason.NOT_IN_STOCK, RejectReason.MISMATCH, RejectReason.DAMAGED])
def test_several_lines_on_one_cell_are_corrected_once(store: Store, reason: RejectReason) -> None:
    store.place(pickup([("B", 2), ("B", 1)]))
    assert len(store.work(1)[0].lines) == 2
    reject(store, 1, reason)
    cell = store.cell("B", "east")
    expected = {RejectReason.NOT_IN_STOCK: (0, 0), RejectReason.MISMATCH: (2, 2), RejectReason.DAMAGED: (5, 2)}
    assert (cell.on_hand, cell.atf) == expected[reason]
    assert [line.short_units for line in store.order(1).lines] == [2, 1]


def test_nothing_in_stock_leaves_a_shortage_alone(store: Store) -> None:
    store.place(pickup([("B", 2)]))
    store.tell(m.RecordSale, node_key="east", channel_key="till", lines=(("B", 6),))
    assert store.cell("B", "east").atf == -3
    reject(store, 1, RejectReason.NOT_IN_STOCK)
    assert (store.cell("B", "east").on_hand, store.cell("B", "east").atf) == (-1, -1)


def test_rejected_units_are_routed_elsewhere_in_the_same_decision(store: Store) -> None:
    store.place(ship([("A", 2), ("A", 1)]))
    decided = len(store.decisions)
    reply = reject(store, 1, RejectReason.DAMAGED)
    assert len(store.decisions) == decided + 1
    (replacement,) = reply.replacements
    assert (replacement.node_index, [line.units for line in replacement.lines]) == (0, [2, 1])
    assert [line.line_index for line in replacement.lines] == [0, 1]
    order = store.order(1)
    assert order.fulfillment_order_ids == (1, 2)
    assert order.state == OrderState.ROUTED
    assert [line.allocated_units for line in order.lines] == [2, 1]


def test_what_no_other_node_has_is_short(store: Store) -> None:
    store.place(ship([("A", 3), ("B", 1)], to="10001"))
    assert [work.node_index for work in store.work(1)] == [1]
    store.stock(("A", "dc", 2))
    reply = reject(store, 1, RejectReason.TOO_BUSY)
    assert reply.outcome == Outcome.PARTIAL
    assert reply.shortages == (Shortage(0, 0, 3, 2), Shortage(1, 1, 1, 0))
    assert [(line.allocated_units, line.short_units) for line in store.order(1).lines] == [(2, 1), (0, 1)]
    assert store.order(1).state == OrderState.BACKORDERED


def test_nothing_of_an_order_returns_to_a_node_that_rejected_it(store: Store) -> None:
    store.stock(("A", "west", 3))
    store.place(ship([("A", 1)]))
    seen = []
    replies: list[Any] = []
    for work_id in (1, 2, 3):
        work = store.work(1)[-1]
        assert work.fulfillment_order_id == work_id
        seen.append(work.node_index)
        replies.append(reject(store, work_id, RejectReason.TOO_BUSY))
    assert sorted(seen) == [0, 1, 2]
    assert (replies[-1].outcome, replies[-1].replacements) == (Outcome.PARTIAL, ())
    assert store.order(1).state == OrderState.BACKORDERED
    assert store.place(ship([("A", 1)])).outcome == Outcome.OK, "another order may go there"


def test_a_long_memory_of_rejections_keeps_the_latest_sixteen() -> None:
    nodes = tuple(Node(f"n{at:02}", latitude=40.0, longitude=-75.0 - at / 10) for at in range(20))
    store = Store(limits(nodes_max=32))
    store.tell(m.PutNodes, nodes=nodes)
    store.stock(*(("A", node.node_key, 1) for node in nodes))
    store.place(ship([("A", 1)]))
    seen: list[int] = []
    for work_id in range(1, 18):
        seen.append(store.work(1)[-1].node_index)
        assert reject(store, work_id, RejectReason.TOO_BUSY).outcome == Outcome.OK
    assert len(set(seen)) == 17
    assert store.work(1)[-1].node_index == seen[0], "the seventeenth rejection pushes the first one out"


def test_a_threshold_does_not_stand_in_the_way_of_a_new_route(store: Store) -> None:
    store.stock(("A", "dc", 7), ("A", "east", 2))
    store.place(ship([("A", 7)], channel="app"))
    assert [work.node_index for work in store.work(1)] == [0]
    assert store.ats("A", "app") == 0
    reply = reject(store, 1, RejectReason.MISMATCH)
    assert [line.units for work in reply.replacements for line in work.lines] == [2]


def test_a_pickup_that_was_rejected_goes_nowhere_else(store: Store) -> None:
    store.stock(("A", "west", 9))
    store.place(pickup([("A", 2)]))
    reply = reject(store, 1, RejectReason.NOT_IN_STOCK)
    assert (reply.outcome, reply.replacements) == (Outcome.PARTIAL, ())
    assert store.order(1).state == OrderState.BACKORDERED


def test_partly_cancelled_work_is_rejected_with_what_is_left(store: Store) -> None:
    store.place(ship([("A", 3)]))
    store.tell(m.CancelOrder, order_id=1, lines=((0, 1),))
    reply = reject(store, 1, RejectReason.MISMATCH)
    assert store.cell("A", "east").on_hand == 1
    assert [line.units for line in reply.replacements[0].lines] == [2]


def test_work_goes_on_when_the_network_changed_under_it(store: Store) -> None:
    store.place(ship([("A", 2)]))
    farther = (*REGIONS, Region("10", 41.0, -75.0))
    store.tell(m.PutZoneChart, zone_chart=ZoneChart(farther, CHART.band_metres[:1]))
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(closed=True),))
    store.tell(m.PutChannels, channels=(Channel("web", node_keys=("dc",)),))
    assert step(store, 1, FulfillmentState.ACCEPTED).outcome == Outcome.OK
    reply = reject(store, 1, RejectReason.CLOSED)
    assert [work.node_index for work in reply.replacements] == [0]
    assert reply.replacements[0].zone == 2


def test_a_step_on_forgotten_work_is_unknown() -> None:
    store = Store(limits(closed_orders_remembered=1))
    store.stock(("A", "dc", 9))
    for _ in range(2):
        store.place(ship([("A", 1)]))
        work_id = store.machine.pool.orders.next_fulfillment_order_id - 1
        step(store, work_id, FulfillmentState.ACCEPTED)
        step(store, work_id, FulfillmentState.SHIPPED)
    assert step(store, 1, FulfillmentState.SHIPPED).outcome == Outcome.UNKNOWN_FULFILLMENT_ORDER
    assert step(store, 2, FulfillmentState.SHIPPED).outcome == Outcome.INVALID_TRANSITION
    assert step(store, 99, FulfillmentState.SHIPPED).outcome == Outcome.UNKNOWN_FULFILLMENT_ORDER
