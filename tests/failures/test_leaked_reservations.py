"""Reservations that leak, get lost or are given back twice: each is closed once, and takes along exactly what it held."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from engine.client import StockpoolError
from engine.core.machine import Machine
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.network import Sku
from engine.model.orders import ReceivedItem
from engine.model.outcomes import (
    Disposition,
    FulfillmentKind,
    Outcome,
)
from engine.recovery import recover
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1.types_pb2 import QUANTITY_RESERVED
from tests.builders import MINUTE_NS, SMALL, Store, pickup, priced, ship
from tests.failures.cases import case
from tests.failures.rush import Rush, outcomes
from tests.service.world import Outcome as Wire
from tests.service.world import lines, place, reserve

SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP


def release(store: Store, reservation_id: int) -> Outcome:
    return Outcome(store.tell(m.ReleaseReservation, reservation_id=reservation_id).outcome)


def cancel(store: Store, order_id: int, *units: tuple[int, int]) -> Outcome:
    return Outcome(store.tell(m.CancelOrder, order_id=order_id, lines=units).outcome)


def _checkouts(store: Store) -> Iterator[m.Command]:
    """Three shoppers: one buys, one gives back, one leaves."""
    claim = ship([("A", 2), ("B", 1)])
    yield store.make(m.Reserve, claim=claim)
    yield store.make(m.Reserve, claim=pickup([("A", 1)]))
    yield store.make(m.Reserve, claim=ship([("A", 1)], ttl_ns=MINUTE_NS))
    yield store.make(m.ExtendReservation, reservation_id=1, ttl_ns=30 * MINUTE_NS)
    order: dict[str, Any] = {"channel_key": "web", "order_key": "o1", "customer_key": "", "reservation_id": 1}
    yield store.make(m.PlaceOrder, lines=priced(claim.lines), **order)
    yield store.make(m.ReleaseReservation, reservation_id=2)
    for step in (m.Accept, m.Ship):
        yield store.make(step, fulfillment_order_id=1)
    yield store.make(m.CancelOrder, order_id=1, lines=())


@case(20)
def test_a_rolled_back_workflow_keeps_its_units() -> None:
    """medusajs/medusa#13625: after a crash at any step the same requests lead to the same end, and when nobody comes back no unit stays
    reserved.
    """
    store = Store()
    store.stock(("A", "east", 5), ("B", "dc", 5))
    begun = len(store.decisions)
    commands = list(_checkouts(store))
    for command in commands:
        assert store.submit(command).outcome == Outcome.OK, command
    journal, whole = store.journal(), store.machine.digest()
    for seq in range(begun, len(store.decisions) + 1):
        again, abandoned = (_restarted(recover(journal, SMALL, to_seq=seq), store.now_ns) for _ in range(2))
        for command in commands:
            again.submit(command)
        assert again.machine.digest() == whole, f"crashed after decision {seq}"
        abandoned.wait(SMALL.reservation_hold_max_ns)
        abandoned.sweep()
        assert abandoned.machine.pool.total(c.RESERVED) == 0
        abandoned.audit()


def _restarted(machine: Machine, now_ns: int) -> Store:
    store = Store(network=False)
    store.machine, store.now_ns = machine, now_ns
    return store


@case(21)
async def test_a_fulfilled_order_leaves_its_reservation(rush: Rush) -> None:
    """medusajs/medusa#11266: fifty shoppers reserve, order, ship, cancel or give back at the same time; in the end nothing is held, and
    only what was shipped is gone.
    """
    sku = await rush.sku(east=150, west=150)

    async def shopper(number: int) -> int:
        client, shipped = rush.clients[number], 0
        for turn in range(3):
            held = await client.reserve(reserve((sku, 2)))
            assert held.result.outcome == Wire.OK
            reservation_id = held.reservation.reservation_id
            if (number + turn) % 3 == 0:
                await client.release_reservation(reservations.ReleaseReservationRequest(reservation_id=reservation_id))
                continue
            placed = await client.place_order(place(f"{sku}-{number}-{turn}", (sku, 1), reservation_id=reservation_id))
            if (number + turn) % 3 == 1:
                await client.cancel_order(orders.CancelOrderRequest(order_id=placed.order.order_id))
                continue
            for work in placed.order.fulfillment_order_ids:
                await client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
                await client.ship(fulfillment.ShipRequest(fulfillment_order_id=work))
                shipped += 1
        return shipped

    shipped = await rush.at_once(shopper(number) for number in range(50))
    cells = (await rush.cells(sku)).values()
    assert sum(cell.reserved_units + cell.allocated_units for cell in cells) == 0
    assert sum(shipped) == 50
    assert sum(cell.on_hand_units for cell in cells) == sum(cell.atf_units for cell in cells) == 300 - 50


@case(22)
async def test_reserved_units_fall_below_zero(rush: Rush) -> None:
    """medusajs/medusa#12401, medusajs/medusa#11131: a hold given back by a hundred callers is given back once. Reserved units belong to
    reservations, so no call writes over them; what tills took below zero a count sets right.
    """
    sku = await rush.sku(east=5, shop_e=1)
    held = (await rush.client.reserve(reserve((sku, 3)))).reservation.reservation_id
    request = reservations.ReleaseReservationRequest(reservation_id=held)
    answers = await rush.call("release_reservation", [request] * 100)
    assert outcomes(answers) == {Wire.OK: 1, Wire.RESERVATION_RELEASED: 99}
    cell = await rush.cell(sku)
    assert (cell.reserved_units, cell.atf_units) == (0, 5)
    with pytest.raises(StockpoolError) as refused:
        await rush.client.adjust_stock(
            inventory.AdjustStockRequest(sku_key=sku, node_key="east", quantity=QUANTITY_RESERVED, delta_units=-1)
        )
    assert [problem.field for problem in refused.value.fields] == ["quantity"]
    sale = inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines((sku, 4)))
    assert (await rush.client.record_sale(sale)).shortages[0].on_hand_units == -3
    await rush.world.stock(sku, "shop-e", 2)
    assert (await rush.cell(sku, "shop-e")).atf_units == 2


def _partly_shipped(units: int) -> tuple[Store, int]:
    """An order of ten of which ``units`` have left, from a stock of ten."""
    store = Store()
    store.stock(("A", "east", units), ("A", "dc", 10 - units))
    order = store.place(ship([("A", 10)])).order
    for work in store.work(order.order_id):
        if store.machine.pool.names.nodes.keys[work.node_index] == "east" and units:
            store.tell(m.Accept, fulfillment_order_id=work.fulfillment_order_id)
            assert store.tell(m.Ship, fulfillment_order_id=work.fulfillment_order_id).outcome == Outcome.OK
    return store, order.order_id


@case(23)
@pytest.mark.parametrize("shipped", [0, 1, 6, 7, 9])
def test_a_cancel_after_part_was_shipped_gives_back_everything(shipped: int) -> None:
    """magento/inventory#1881: only what is still open is given back, and asking for more is refused."""
    store, order_id = _partly_shipped(shipped)
    assert cancel(store, order_id, (0, 10 - shipped + 1)) == Outcome.UNITS_EXCEEDED
    assert cancel(store, order_id) == Outcome.OK
    assert cancel(store, order_id) == Outcome.INVALID_TRANSITION
    line = store.order(order_id).lines[0]
    assert (line.fulfilled_units, line.cancelled_units, line.allocated_units) == (shipped, 10 - shipped, 0)
    assert store.ats("A") == 10 - shipped
    store.audit()


@case(24)
@pytest.mark.parametrize("shipped", [0, 1, 6, 7, 9])
def test_a_cancel_after_part_was_shipped_gives_back_nothing(shipped: int) -> None:
    """magento/inventory#1887: the next buyer gets every unit that did not leave."""
    store, order_id = _partly_shipped(shipped)
    assert store.reserve(ship([("A", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    assert cancel(store, order_id, (0, 10 - shipped)) == Outcome.OK
    assert store.place(ship([("A", 10 - shipped)])).outcome == Outcome.OK
    store.audit()


@case(25)
@pytest.mark.parametrize("disposition", Disposition)
def test_a_refund_without_restock_gives_units_back(disposition: Disposition) -> None:
    """magento/inventory#2859: a return speaks of goods alone, and what becomes of them decides what may be sold again: units that are not
    put back are not there.
    """
    store = Store()
    store.stock(("A", "east", 5))
    order = store.place(ship([("A", 3)])).order
    for step in (m.Accept, m.Ship):
        store.tell(step, fulfillment_order_id=1)
    journey: dict[str, Any] = {
        "channel_key": "web",
        "order_id": order.order_id,
        "lines": ((0, "", 3),),
        "drop_off_node_key": "east",
    }
    goods = store.tell(m.AuthorizeReturn, **journey).goods
    assert store.ats("A") == 2, "to authorise a return brings nothing back"
    items = (ReceivedItem(0, 3, disposition),)
    assert store.tell(m.ReceiveReturn, return_id=goods.return_id, node_key="", items=items).outcome == Outcome.OK
    kept = disposition in (Disposition.RESTOCK, Disposition.REFURBISH, Disposition.QUARANTINE)
    cell = store.cell("A", "east")
    assert (cell.on_hand, cell.incoming, cell.reserved, cell.allocated) == (5 if kept else 2, 0, 0, 0)
    assert store.ats("A") == (5 if disposition == Disposition.RESTOCK else 2)
    store.audit()


@case(26)
def test_a_release_without_its_reservation_counts() -> None:
    """magento/inventory#2130: what is released must be held: an unknown id, a closed one and another one's order give nothing back."""
    store = Store()
    store.stock(("A", "east", 1))
    held = store.reserve(ship([("A", 1)])).reservation_id
    before = store.cell("A", "east")
    assert [release(store, one) for one in (held + 1, 2**40)] == [Outcome.UNKNOWN_RESERVATION] * 2
    assert cancel(store, 1) == Outcome.UNKNOWN_ORDER
    assert store.cell("A", "east") == before
    assert store.commit(held).outcome == Outcome.OK
    assert release(store, held) == Outcome.RESERVATION_COMMITTED
    assert store.ats("A") == 0, "sold out, and nothing salable"
    store.audit()


@case(27)
def test_a_renamed_sku_loses_its_reservations() -> None:
    """magento/inventory#2773: titles change, keys do not: there is no call that renames or deletes, and a new key is another SKU."""
    store = Store()
    store.stock(("A", "east", 5))
    store.reserve(ship([("A", 2)]))
    before = store.cell("A", "east")
    store.tell(m.PutSkus, skus=(Sku("A", "Aardvark", 900), Sku("Aardvark")))
    assert store.cell("A", "east") == before
    assert (store.ats("A"), store.ats("Aardvark")) == (3, 0)
    calls = [method.name for method in network.DESCRIPTOR.services_by_name["NetworkService"].methods]
    assert {name for name in calls if not name.startswith(("Get", "List"))} == {
        "PutNodes", "PutSkus", "PutChannels", "PutRateCard", "PutZoneChart", "PutRoutingPolicy",
        "ActivateRoutingPolicy",
    }  # fmt: skip
