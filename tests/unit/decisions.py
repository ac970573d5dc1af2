"""Events written by hand, as the contract defines them."""

from collections.abc import Iterator
from itertools import count
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from engine.demo.recount import Recount
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2 as types

ON_HAND, RESERVED, ALLOCATED = types.QUANTITY_ON_HAND, types.QUANTITY_RESERVED, types.QUANTITY_ALLOCATED
COMMITTED, EXPIRED = reservations.RESERVATION_STATE_COMMITTED, reservations.RESERVATION_STATE_EXPIRED
OPEN = fulfillment.FULFILLMENT_ORDER_STATE_OPEN
ACCEPTED = fulfillment.FULFILLMENT_ORDER_STATE_ACCEPTED
SHIPPED = fulfillment.FULFILLMENT_ORDER_STATE_SHIPPED
CANCELLED = fulfillment.FULFILLMENT_ORDER_STATE_CANCELLED


class Journal:
    """Writes events with ascending sequences, one second apart, into a recount. ``events`` keeps them."""

    def __init__(self) -> None:
        self.recount = Recount()
        self.events: list[admin.Event] = []
        self.now_s = 0
        self._seqs: Iterator[int] = count(1)

    def add(
        self, command: str, *effects: admin.Effect, request_id: str | None = None, at_s: int | None = None
    ) -> Recount:
        seq = next(self._seqs)
        self.now_s = self.now_s + 1 if at_s is None else at_s
        event = admin.Event(
            journal_seq=seq,
            time=Timestamp(seconds=self.now_s),
            request_id=f"r{seq}" if request_id is None else request_id,
            command=command,
            outcome=types.OUTCOME_OK,
            effects=effects,
        )
        self.events.append(event)
        self.recount.take(event)
        return self.recount

    def skip(self) -> None:
        next(self._seqs)


def opened(sku: str = "tea", node: str = "north") -> admin.Effect:
    return admin.Effect(cell_opened=admin.CellOpened(sku_key=sku, node_key=node))


def moved(units: int, quantity: types.Quantity = ON_HAND, sku: str = "tea", node: str = "north") -> admin.Effect:
    change = admin.StockMoved(sku_key=sku, node_key=node, quantity=quantity, delta_units=units)
    return admin.Effect(stock_moved=change)


def held(units: int, reservation_id: int = 1, until_s: int = 1_000) -> admin.Effect:
    leg = types.Leg(line_index=0, sku_key="tea", node_key="north", units=units)
    stamp = Timestamp(seconds=until_s)
    change = admin.ReservationHeld(reservation_id=reservation_id, expire_time=stamp, legs=[leg])
    return admin.Effect(reservation_held=change)


def closed(state: reservations.ReservationState, reservation_id: int = 1) -> admin.Effect:
    return admin.Effect(reservation_closed=admin.ReservationClosed(reservation_id=reservation_id, state=state))


def ordered(order_id: int = 1, order_key: str = "o1", units: int = 2, **parts: Any) -> admin.Effect:
    line = orders.OrderLine(line_index=0, sku_key="tea", units=units, **parts)
    return admin.Effect(order=orders.Order(order_id=order_id, order_key=order_key, channel_key="web", lines=[line]))


def working(state: fulfillment.FulfillmentOrderState, units: int = 2, work_id: int = 7) -> admin.Effect:
    line = fulfillment.FulfillmentOrderLine(line_index=0, sku_key="tea", units=units)
    work = fulfillment.FulfillmentOrder(fulfillment_order_id=work_id, node_key="north", state=state, lines=[line])
    return admin.Effect(fulfillment_order=work)
