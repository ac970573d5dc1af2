"""Splits, returns, edits: whatever becomes of an order's work or of its goods, each unit is in one place."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.client import StockpoolError
from engine.model import commands as m
from engine.model.outcomes import (
    FulfillmentState,
    OrderState,
    Outcome,
    RejectReason,
)
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import returns_pb2 as returns
from tests.builders import NODES, Store, ship
from tests.failures.cases import case
from tests.failures.rush import Rush, outcomes
from tests.service.world import Outcome as Wire
from tests.service.world import place


def send(store: Store, work_id: int) -> None:
    for step in (m.Accept, m.Ship):
        assert store.tell(step, fulfillment_order_id=work_id).outcome == Outcome.OK


def sold(*lines: tuple[str, int], stock: int = 20) -> tuple[Store, int]:
    """An order that has been shipped, and its id."""
    store = Store()
    store.stock(*((sku, "east", stock) for sku, _ in lines))
    order = store.place(ship(list(lines))).order
    for work in order.fulfillment_order_ids:
        send(store, work)
    return store, order.order_id


def authorise(store: Store, order_id: int, *lines: tuple[int, int], **journey: str) -> Any:
    """A return of (line of the order, units), by parcel unless it is brought somewhere."""
    goods = tuple((index, "", units) for index, units in lines)
    way = journey or {"postal_code": "10001"}
    return store.tell(m.AuthorizeReturn, channel_key="web", order_id=order_id, lines=goods, **way)


@case(61)
@pytest.mark.parametrize("seed", range(5))
def test_new_shipments_drop_the_line_whose_stock_is_gone(seed: int) -> None:
    """spree/spree#10086: work is rejected and made anew until no node is left; at each step every line keeps its units, allocated or
    short, and what is allocated is what the open work says.
    """
    chance = Random(seed)
    store = Store()
    store.stock(*((sku, node, chance.randint(1, 3)) for sku in "AB" for node in ("dc", "east", "west")))
    wanted = (("A", 3), ("B", 2))
    order_id = store.place(ship(list(wanted))).order.order_id
    rejected = 0
    while work := [each for each in store.work(order_id) if each.state == FulfillmentState.OPEN]:
        reason = chance.choice([RejectReason.NOT_IN_STOCK, RejectReason.MISMATCH, RejectReason.TOO_BUSY])
        chosen = chance.choice(work).fulfillment_order_id
        reply = store.tell(m.Reject, fulfillment_order_id=chosen, reason=reason)
        assert (reply.outcome == Outcome.PARTIAL) == bool(reply.shortages)
        rejected += 1
        lines = store.order(order_id).lines
        assert [line.units for line in lines] == [units for _, units in wanted]
        open_work = [each for each in store.work(order_id) if each.is_open]
        refused = {each.node_index for each in store.work(order_id) if each.state == FulfillmentState.REJECTED}
        assert not refused & {each.node_index for each in reply.replacements}, "nobody is asked twice"
        for index, line in enumerate(lines):
            allocated = sum(leg.units for each in open_work for leg in each.lines if leg.line_index == index)
            assert (line.allocated_units, line.allocated_units + line.short_units) == (allocated, line.units)
        store.audit()
    assert rejected >= 3
    assert store.order(order_id).state == OrderState.BACKORDERED
    assert store.order(order_id).short_units == 5


@case(63)
async def test_a_return_never_restocks(rush: Rush) -> None:
    """saleor/saleor#16667: what is put back is for sale in the answer itself, in the store that received it, for any channel that has
    it.
    """
    sku = await rush.sku(east=2)
    order = (await rush.client.place_order(place(f"{sku}-1", (sku, 2)))).order
    work = order.fulfillment_order_ids[0]
    await rush.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
    await rush.client.ship(fulfillment.ShipRequest(fulfillment_order_id=work))
    assert await rush.world.available(sku) == 0
    items = [returns.ReturnItem(line_index=0, units=2)]
    way = returns.AuthorizeReturnRequest(
        channel_key="web", order_id=order.order_id, lines=items, drop_off_node_key="shop-e"
    )
    goods = (await rush.client.authorize_return(way)).return_order
    assert await rush.world.available(sku) == 0, "expected is not there"
    received = returns.ReceivedItem(line_index=0, units=2, disposition=returns.DISPOSITION_RESTOCK)
    answer = await rush.client.receive_return(
        returns.ReceiveReturnRequest(return_id=goods.return_id, items=[received], node_key="east")
    )
    assert answer.return_order.lines[0].restocked_units == 2
    again = await rush.client.place_order(place(f"{sku}-2", (sku, 2)))
    assert again.result.outcome == Wire.OK, "brought elsewhere than expected, and sold at once"
    cells = await rush.cells(sku)
    assert (cells["east"].on_hand_units, cells["shop-e"].incoming_units) == (2, 0)


@case(65)
def test_a_cancelled_item_is_shipped() -> None:
    """solidusio/solidus#2947: units that were cancelled do not leave with the others, and are for sale again; work that was cancelled
    whole cannot be shipped at all.
    """
    store = Store()
    store.stock(("A", "east", 4), ("B", "east", 4), ("C", "dc", 4))
    order = store.place(ship([("A", 2), ("B", 3), ("C", 1)])).order
    cancels = ((0, 2), (1, 1), (2, 1))
    assert store.tell(m.CancelOrder, order_id=order.order_id, lines=cancels).outcome == Outcome.OK
    for work in store.work(order.order_id):
        if work.state == FulfillmentState.CANCELLED:
            for step in (m.Accept, m.Ship):
                reply = store.tell(step, fulfillment_order_id=work.fulfillment_order_id)
                assert reply.outcome == Outcome.INVALID_TRANSITION
        else:
            send(store, work.fulfillment_order_id)
    done = store.order(order.order_id)
    assert [(line.fulfilled_units, line.cancelled_units) for line in done.lines] == [(0, 2), (2, 1), (0, 1)]
    assert done.state == OrderState.COMPLETED
    assert [store.cell(sku, node).on_hand for sku, node in (("A", "east"), ("B", "east"), ("C", "dc"))] == [4, 2, 4]
    assert [store.ats(sku) for sku in "ABC"] == [4, 2, 4]
    store.audit()


@case(66)
@pytest.mark.parametrize("bad", [0, 1])
def test_a_return_location_is_accepted_when_any_item_fits(bad: int) -> None:
    """medusajs/medusa#13497: a place takes returns or it does not, of whatever SKU, so it fits all items or none; and one item that may
    not come back stops the whole return.
    """
    store, order_id = sold(("A", 2), ("B", 2))
    good = authorise(store, order_id, (0, 1), (1, 1), drop_off_node_key="lab")
    assert (good.outcome, len(good.goods.lines)) == (Outcome.OK, 2)
    for node, outcome in (("dc", Outcome.NODE_LACKS_SERVICE), ("moon", Outcome.UNKNOWN_NODE)):
        assert authorise(store, order_id, (0, 1), (1, 1), drop_off_node_key=node).outcome == outcome
    incoming = [store.cell(sku, "lab").incoming for sku in "AB"]
    units = [(at, 2 if at == bad else 1) for at in range(2)]
    refused = authorise(store, order_id, *units)
    assert (refused.outcome, refused.subject) == (Outcome.UNITS_EXCEEDED, str(bad))
    assert [store.cell(sku, "lab").incoming for sku in "AB"] == incoming == [1, 1]
    store.tell(m.PutNodes, nodes=tuple(node._replace(accepts_returns=False) for node in NODES))
    assert authorise(store, order_id, (0, 1)).outcome == Outcome.NO_RETURN_NODE
    rules = [field.name for field in network.Sku.DESCRIPTOR.fields if "return" in field.name]
    assert not rules, "a SKU has its own rule now: test that all items of a return must fit"


@case(67)
async def test_adding_to_a_return_again_makes_duplicate_lines(rush: Rush) -> None:
    """medusajs/medusa#14936: of what was bought once, as many units come back as went out, however often and by however many callers
    they are added; the same request is the same return.
    """
    sku = await rush.sku(east=5)
    order = (await rush.client.place_order(place(f"{sku}-1", (sku, 5)))).order
    work = order.fulfillment_order_ids[0]
    await rush.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
    await rush.client.ship(fulfillment.ShipRequest(fulfillment_order_id=work))
    request = returns.AuthorizeReturnRequest(
        channel_key="web",
        order_id=order.order_id,
        lines=[returns.ReturnItem(line_index=0, units=2)],
        drop_off_node_key="shop-e",
    )
    again = returns.AuthorizeReturnRequest(request_id=f"{sku}-again")
    again.MergeFrom(request)
    first, others = await rush.at_once(
        [rush.call("authorize_return", [again] * 20), rush.call("authorize_return", [request] * 20)]
    )
    made = {answer.return_order.return_id for answer in [*first, *others] if answer.result.outcome == Wire.OK}
    assert len(made) == 2, "two of five, twice"
    assert len({answer.SerializeToString() for answer in first}) == 1
    assert outcomes(others)[Wire.UNITS_EXCEEDED] >= 18
    assert (await rush.order(order.order_id)).lines[0].returned_units == 4
    assert (await rush.cell(sku, "shop-e")).incoming_units == 4
    twice = returns.AuthorizeReturnRequest()
    twice.CopyFrom(request)
    twice.lines.extend([returns.ReturnItem(line_index=0, units=1)])
    twice.lines[0].units = 1
    with pytest.raises(StockpoolError) as refused:
        await rush.client.authorize_return(twice)
    assert [problem.field for problem in refused.value.fields] == ["lines[1].line_index"]
