"""Parcels to a store: whose turn it is, what the store sees of them, and that they never are its stock."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.image import image_of
from engine.core.rebuilding import machine_of
from engine.model import commands as m
from engine.model import queries as q
from engine.model.outcomes import FulfillmentState, OrderState, Outcome
from tests.builders import Store, ship


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 2))
    return store


def to_east(store: Store, units: int = 1) -> Any:
    return store.place(ship([("A", units)], "", store_key="east")).order


ON_THE_WAY = q.ListFulfillmentOrders(0, "", 0, tuple(FulfillmentState), 0, 10, ship_to_node_key="east")


def on_the_way(store: Store) -> list[tuple[int, str]]:
    answer: Any = store.ask(ON_THE_WAY)
    return [(each.fulfillment_order_id, each.state.name) for each in answer.fulfillment_orders]


def test_the_whole_way(store: Store) -> None:
    order = to_east(store)
    (work_id,) = order.fulfillment_order_ids
    assert on_the_way(store) == [(work_id, "OPEN")]
    assert store.tell(m.HandOver, fulfillment_order_id=work_id).outcome == Outcome.INVALID_TRANSITION
    store.tell(m.Accept, fulfillment_order_id=work_id)
    assert owner(store, work_id) == "dc"
    store.tell(m.Ship, fulfillment_order_id=work_id, tracking="1Z")
    assert store.order(order.order_id).state == OrderState.IN_FULFILLMENT, "nobody has it yet"
    assert owner(store, work_id) == "east"
    assert store.tell(m.CancelOrder, order_id=order.order_id).outcome == Outcome.INVALID_TRANSITION
    assert store.tell(m.HandOver, fulfillment_order_id=work_id).outcome == Outcome.INVALID_TRANSITION
    assert store.tell(m.MarkReady, fulfillment_order_id=work_id).outcome == Outcome.OK
    assert on_the_way(store) == [(work_id, "ARRIVED")]
    assert store.cell("A", "east").on_hand == 0, "it never was the store's stock"
    assert store.tell(m.HandOver, fulfillment_order_id=work_id).outcome == Outcome.OK
    assert store.order(order.order_id).state == OrderState.COMPLETED
    assert on_the_way(store) == []
    assert store.cell("A", "dc").on_hand == 1
    assert store.ask(q.Audit(0, digest=False)).report.findings == ()


def owner(store: Store, work_id: int) -> str:
    answer: Any = store.ask(q.FindOwners(0, 0, 0, work_id))
    return store.machine.pool.names.node_keys[answer.node_index]


def test_what_goes_to_the_buyer_is_not_handed_over(store: Store) -> None:
    (work_id,) = store.place(ship([("A", 1)])).order.fulfillment_order_ids
    store.tell(m.Accept, fulfillment_order_id=work_id)
    store.tell(m.Ship, fulfillment_order_id=work_id, tracking="")
    for kind in (m.MarkReady, m.HandOver):
        assert store.tell(kind, fulfillment_order_id=work_id).outcome == Outcome.INVALID_TRANSITION


def test_what_moves_goes_to_the_store_all_the_same(store: Store) -> None:
    store.stock(("A", "dc", 0), ("A", "west", 1))
    order = to_east(store)
    store.stock(("A", "dc", 1))
    assert store.tell(m.RerouteOrder, moves=(m.Move(order.order_id),)).moved
    work = [*store.machine.pool.orders.work_of_order(store.order(order.order_id))]
    assert [(each.node_index, each.store_node_index) for each in work] == [(2, 1), (0, 1)]


def test_an_order_is_remembered_until_everything_was_handed_over(store: Store) -> None:
    """However many others close meanwhile."""
    order = to_east(store)
    (work_id,) = order.fulfillment_order_ids
    store.tell(m.Accept, fulfillment_order_id=work_id)
    store.tell(m.Ship, fulfillment_order_id=work_id, tracking="")
    for _ in range(2 * store.machine.pool.limits.closed_orders_remembered):
        store.tell(m.CancelOrder, order_id=store.place(ship([("A", 1)])).order.order_id)
    assert store.tell(m.MarkReady, fulfillment_order_id=work_id).outcome == Outcome.OK


def test_a_restart_knows_what_is_on_its_way(store: Store) -> None:
    (work_id,) = to_east(store).fulfillment_order_ids
    again = machine_of(image_of(store.machine), store.machine.pool.limits)
    told: Any = again.answer(ON_THE_WAY, store.now_ns)
    assert [each.fulfillment_order_id for each in told.fulfillment_orders] == [work_id]
