"""Returns: where goods go back to, how many may, what becomes of them, and which refusal comes first."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Node
from engine.model.orders import ReceivedItem
from engine.model.outcomes import Disposition, Outcome, Quantity, ReturnState, StockReason
from tests.builders import NODES, Store, limits, ship


def sell(store: Store, *lines: tuple[str, int], shipped: bool = True) -> int:
    """An order whose goods have left; its id."""
    order = store.place(ship(lines)).order
    for work in store.work(order.order_id) if shipped else ():
        for step in (m.Accept, m.Ship):
            assert store.tell(step, fulfillment_order_id=work.fulfillment_order_id).outcome == Outcome.OK
    return int(order.order_id)


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 10), ("B", "dc", 10))
    sell(store, ("A", 3), ("B", 2))
    return store


def authorise(store: Store, *lines: tuple[int, str, int], order_id: int = 1, **fields: Any) -> Any:
    whole: dict[str, Any] = {"channel_key": "web", "order_id": order_id, "lines": lines} | fields
    if not fields.keys() & {"postal_code", "drop_off_node_key"}:
        whole["postal_code"] = "10001"
    reply = store.tell(m.AuthorizeReturn, **whole)
    store.audit()
    return reply


def receive(store: Store, *items: tuple[int, int, Disposition], node: str = "", return_id: int = 1) -> Any:
    received = tuple(ReceivedItem(*item) for item in items)
    reply = store.tell(m.ReceiveReturn, return_id=return_id, node_key=node, items=received)
    store.audit()
    return reply


# Authorising


def test_the_cheapest_node_that_takes_returns_is_chosen(store: Store) -> None:
    goods = authorise(store, (0, "", 1)).goods
    assert (goods.node_index, goods.cost_micros, goods.state) == (1, 4_000_000 + 100_000, ReturnState.AUTHORISED)
    assert authorise(store, (0, "", 1), postal_code="90001").goods.node_index == 2
    # From the middle east and lab are both in zone 2; the lab handles for nothing.
    assert authorise(store, (1, "", 1), postal_code="50001").goods.node_index == 3


def test_costs_count_the_weight_of_all_units(store: Store) -> None:
    goods = authorise(store, (0, "", 3), (1, "", 2)).goods
    assert goods.cost_micros == 6_000_000 + 5 * 100_000, "4,500 g"


def test_expected_units_are_incoming_and_not_available(store: Store) -> None:
    authorise(store, (0, "", 2), (0, "", 1))
    cell = store.cell("A", "east")
    assert (cell.incoming, cell.on_hand, cell.atf) == (3, 0, 0)
    assert store.order(1).lines[0].returned_units == 3


def test_goods_may_be_brought_to_a_node(store: Store) -> None:
    goods = authorise(store, (0, "", 2), drop_off_node_key="west").goods
    assert (goods.node_index, goods.cost_micros) == (2, 2 * 50_000)


def test_goods_may_come_back_without_an_order(store: Store) -> None:
    goods = authorise(store, (-1, "C", 2), (-1, "C", 1), order_id=0).goods
    assert [(line.order_line_index, line.sku_index, line.authorised_units) for line in goods.lines] == [
        (-1, 2, 2),
        (-1, 2, 1),
    ]
    assert store.cell("C", "east").incoming == 3


def test_no_more_comes_back_than_went_out(store: Store) -> None:
    assert authorise(store, (0, "", 4)).outcome == Outcome.UNITS_EXCEEDED
    assert authorise(store, (0, "", 2), (0, "", 2)).outcome == Outcome.UNITS_EXCEEDED
    assert authorise(store, (0, "", 2), (1, "", 3)).subject == "1"
    assert store.order(1).lines[0].returned_units == 0
    assert authorise(store, (0, "", 2)).outcome == Outcome.OK
    assert authorise(store, (0, "", 2)).outcome == Outcome.UNITS_EXCEEDED
    assert authorise(store, (0, "", 1)).outcome == Outcome.OK


def test_what_has_not_left_cannot_come_back(store: Store) -> None:
    order_id = sell(store, ("A", 1), shipped=False)
    assert authorise(store, (0, "", 1), order_id=order_id).outcome == Outcome.UNITS_EXCEEDED


def test_refusals_of_a_return_come_in_the_order_of_their_numbers(store: Store) -> None:
    store.tell(m.PutNodes, nodes=(NODES[3]._replace(closed=True), Node("annex", accepts_returns=True)))
    far: dict[str, Any] = {"postal_code": "77777", "order_id": 9}
    assert authorise(store, (7, "", 9), channel_key="?", **far).outcome == Outcome.UNKNOWN_CHANNEL
    assert authorise(store, (-1, "Z", 1), order_id=0, drop_off_node_key="?").outcome == Outcome.UNKNOWN_SKU
    assert authorise(store, (7, "", 9), order_id=9, drop_off_node_key="?").outcome == Outcome.UNKNOWN_NODE
    assert authorise(store, (7, "", 9), service_key="?", **far).outcome == Outcome.UNKNOWN_DESTINATION
    assert authorise(store, (7, "", 9), order_id=9, service_key="?").outcome == Outcome.UNKNOWN_SERVICE
    assert authorise(store, (7, "", 9), order_id=9, drop_off_node_key="lab").outcome == Outcome.UNKNOWN_ORDER
    assert authorise(store, (7, "", 9), drop_off_node_key="lab").outcome == Outcome.UNKNOWN_LINE
    mall: dict[str, Any] = {"channel_key": "mall", "order_id": 0}
    assert authorise(store, (-1, "A", 9), drop_off_node_key="lab", **mall).outcome == Outcome.NODE_NOT_IN_CHANNEL
    assert authorise(store, (0, "", 9), drop_off_node_key="lab").outcome == Outcome.NODE_CLOSED
    assert authorise(store, (0, "", 9), drop_off_node_key="dc").outcome == Outcome.NODE_LACKS_SERVICE
    assert authorise(store, (0, "", 9)).outcome == Outcome.UNITS_EXCEEDED
    assert store.machine.pool.orders.next_return_id == 1


def test_another_channels_order_is_not_known(store: Store) -> None:
    assert authorise(store, (0, "", 1), channel_key="app").outcome == Outcome.UNKNOWN_ORDER


def test_nobody_may_take_the_goods_back(store: Store) -> None:
    store.tell(m.PutNodes, nodes=tuple(node._replace(accepts_returns=False) for node in NODES))
    assert authorise(store, (0, "", 1)).outcome == Outcome.NO_RETURN_NODE
    assert authorise(store, (0, "", 9)).outcome == Outcome.UNITS_EXCEEDED
    assert authorise(store, (-1, "A", 1), order_id=0).outcome == Outcome.NO_RETURN_NODE


def test_a_service_that_does_not_go_there_is_no_way_back(store: Store) -> None:
    store.tell(m.PutNodes, nodes=tuple(node._replace(accepts_returns=node.node_key == "west") for node in NODES))
    assert authorise(store, (0, "", 1), service_key="express").outcome == Outcome.NO_RETURN_NODE
    assert authorise(store, (0, "", 1)).goods.node_index == 2


def test_a_return_that_needs_more_cells_than_there_are_changes_nothing() -> None:
    store = Store(limits(cells_max=4))
    store.stock(("A", "dc", 10))
    sell(store, ("A", 3))
    store.tell(m.PutNodes, nodes=(Node("hub", accepts_returns=True),))
    refused = authorise(store, (-1, "B", 1), order_id=0, drop_off_node_key="hub")
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "cells_max")
    assert authorise(store, (0, "", 1), drop_off_node_key="hub").outcome == Outcome.OK, "the extent has room"
    assert store.order(1).lines[0].returned_units == 1


# Receiving


@pytest.mark.parametrize(
    ("disposition", "on_hand", "quality_control", "in_return", "sellable"),
    [
        (Disposition.RESTOCK, 2, 0, 0, 2),
        (Disposition.REFURBISH, 2, 0, 2, 0),
        (Disposition.QUARANTINE, 2, 2, 0, 0),
        (Disposition.RETURN_TO_VENDOR, 0, 0, 0, 0),
        (Disposition.SCRAP, 0, 0, 0, 0),
        (Disposition.MISSING, 0, 0, 0, 0),
    ],
)
@pytest.mark.parametrize("node", ["", "east", "west", "dc"])
def test_each_disposition_at_the_expected_and_at_another_node(
    store: Store, disposition: Disposition, on_hand: int, quality_control: int, in_return: int, sellable: int, node: str
) -> None:
    authorise(store, (0, "", 3))
    before = store.cell("A", node or "east"), store.ats("A")
    reply = receive(store, (0, 2, disposition), node=node)
    assert (reply.outcome, reply.goods.state) == (Outcome.OK, ReturnState.PARTLY_RECEIVED)
    assert reply.goods == store.goods(1)
    line = reply.goods.lines[0]
    assert (line.received_units, line.restocked_units) == (2, 2 if disposition == Disposition.RESTOCK else 0)
    cell = store.cell("A", node or "east")
    assert cell.on_hand - before[0].on_hand == on_hand
    assert (cell.quality_control, cell.in_return) == (quality_control, in_return)
    assert store.ats("A") - before[1] == sellable
    assert store.cell("A", "east").incoming == 1, "expected there, wherever they arrived"


def test_units_are_counted_line_by_line_over_all_items(store: Store) -> None:
    authorise(store, (0, "", 3), (1, "", 1))
    assert receive(store, (0, 2, Disposition.RESTOCK), (0, 2, Disposition.SCRAP)).outcome == Outcome.UNITS_EXCEEDED
    assert receive(store, (1, 2, Disposition.RESTOCK)).subject == "1"
    assert receive(store, (2, 1, Disposition.RESTOCK)).outcome == Outcome.UNKNOWN_LINE
    assert store.cell("A", "east").incoming == 3
    reply = receive(store, (0, 2, Disposition.RESTOCK), (0, 1, Disposition.SCRAP), (1, 1, Disposition.MISSING))
    assert (reply.outcome, reply.goods.state) == (Outcome.OK, ReturnState.RECEIVED)
    assert [(line.received_units, line.restocked_units) for line in reply.goods.lines] == [(3, 2), (1, 0)]
    assert (store.cell("A", "east").incoming, store.cell("B", "east").incoming) == (0, 0)
    refused = receive(store, (0, 1, Disposition.RESTOCK))
    assert (refused.outcome, refused.subject) == (Outcome.INVALID_TRANSITION, "RECEIVED")


def test_refusals_of_a_receipt_come_in_the_order_of_their_numbers(store: Store) -> None:
    authorise(store, (0, "", 1))
    assert receive(store, (9, 9, Disposition.SCRAP), node="?", return_id=9).outcome == Outcome.UNKNOWN_NODE
    assert receive(store, (9, 9, Disposition.SCRAP), return_id=9).outcome == Outcome.UNKNOWN_RETURN
    assert receive(store, (0, 9, Disposition.SCRAP), (9, 1, Disposition.SCRAP)).outcome == Outcome.UNKNOWN_LINE
    receive(store, (0, 1, Disposition.SCRAP))
    assert receive(store, (9, 1, Disposition.SCRAP)).outcome == Outcome.UNKNOWN_LINE
    assert receive(store, (0, 9, Disposition.SCRAP)).outcome == Outcome.INVALID_TRANSITION


def test_goods_that_never_touch_the_shelf_open_no_cell() -> None:
    store = Store(limits(cells_max=8))
    store.stock(("A", "dc", 5), ("A", "east", 0), ("A", "west", 0), ("A", "lab", 0), ("B", "dc", 1))
    sell(store, ("A", 3))
    authorise(store, (0, "", 3), drop_off_node_key="east")
    store.tell(m.PutNodes, nodes=(Node("hub"),))
    cells = store.machine.pool.counter(c.CELLS_OPEN)
    for disposition in (Disposition.SCRAP, Disposition.MISSING):
        assert receive(store, (0, 1, disposition), node="hub").outcome == Outcome.OK
    assert store.machine.pool.counter(c.CELLS_OPEN) == cells
    refused = receive(store, (0, 1, Disposition.RESTOCK), node="hub")
    assert refused.outcome == Outcome.CAPACITY_EXHAUSTED
    assert store.goods(1).lines[0].received_units == 2


def test_an_expectation_that_was_written_off_does_not_go_below_zero(store: Store) -> None:
    authorise(store, (0, "", 3), (1, "", 2))
    fields: dict[str, Any] = {"node_key": "east", "quantity": Quantity.INCOMING, "reason": StockReason.CORRECTION}
    assert store.tell(m.AdjustStock, sku_key="A", delta_units=-2, **fields).outcome == Outcome.OK
    items = (0, 1, Disposition.RESTOCK), (0, 2, Disposition.RESTOCK), (1, 2, Disposition.RESTOCK)
    assert receive(store, *items).outcome == Outcome.OK
    assert (store.cell("A", "east").incoming, store.cell("A", "east").on_hand) == (0, 3)
    assert store.cell("B", "east").incoming == 0


def test_restocked_units_can_be_reserved_at_once(store: Store) -> None:
    store.stock(("A", "dc", 0))
    authorise(store, (0, "", 2))
    assert store.reserve(ship([("A", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    receive(store, (0, 1, Disposition.RESTOCK), node="west")
    assert store.reserve(ship([("A", 1)])).outcome == Outcome.OK


def test_a_return_outlives_its_order() -> None:
    store = Store(limits(closed_orders_remembered=1))
    store.stock(("A", "dc", 10))
    sell(store, ("A", 3))
    authorise(store, (0, "", 2))
    sell(store, ("A", 1))
    assert store.ask(q.GetOrder(0, 1)).outcome == Outcome.UNKNOWN_ORDER
    assert authorise(store, (0, "", 1)).outcome == Outcome.UNKNOWN_ORDER
    assert receive(store, (0, 2, Disposition.RESTOCK)).goods.state == ReturnState.RECEIVED


def test_an_authorised_return_does_not_bring_a_closed_order_back_to_the_front() -> None:
    store = Store(limits(closed_orders_remembered=2))
    store.stock(("A", "dc", 10))
    for _ in range(2):
        sell(store, ("A", 1))
    authorise(store, (0, "", 1))
    sell(store, ("A", 1))
    assert list(store.machine.pool.orders.orders) == [2, 3]
    store.audit()


def test_received_returns_are_forgotten_oldest_first(store: Store) -> None:
    for at in range(6):
        authorise(store, (-1, "D", 1), order_id=0)
        receive(store, (0, 1, Disposition.RESTOCK), return_id=at + 1)
    authorise(store, (-1, "D", 1), order_id=0)
    assert list(store.machine.pool.orders.returns) == [3, 4, 5, 6, 7]
    assert receive(store, (0, 1, Disposition.RESTOCK), return_id=1).outcome == Outcome.UNKNOWN_RETURN
    assert receive(store, (0, 1, Disposition.RESTOCK), return_id=6).outcome == Outcome.INVALID_TRANSITION
