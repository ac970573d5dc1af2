"""A server made of paper: answers the player's calls from a script, and remembers them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import date
from itertools import count
from typing import Any, cast

import numpy as np

from engine.client import AsyncClient
from engine.demo.player import Player
from engine.demo.scenario import Call, Channel, RoutingPolicy, Scenario, StockColumns, ZoneChart
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types

OK = types.OUTCOME_OK
PARTIAL = types.OUTCOME_PARTIAL
INSUFFICIENT = types.OUTCOME_INSUFFICIENT_STOCK


class PaperServer:
    """Has every method of the client that a player uses.

    ``short`` are the SKUs that no node has, ``packages`` in how many an order leaves. ``calls`` lists the names of the calls in order.
    ``instead`` has answers of its own for some of them; ``before`` is called with the name of each call.
    """

    def __init__(self, *, short: Sequence[str] = (), packages: int = 1) -> None:
        self.short = set(short)
        self.packages = packages
        self.calls: list[str] = []
        self.requests: list[Any] = []
        self.shortage_at_till: types.CellQuantities | None = None
        self.failure: Exception | None = None
        self.instead: dict[str, Any] = {}
        self.before: Callable[[str], None] = lambda _: None
        self._ids = count(1)
        self._orders: dict[int, orders.Order] = {}
        self._work: dict[int, fulfillment.FulfillmentOrder] = {}
        self._holds: dict[int, reservations.ReservationRequest] = {}

    def __getattr__(self, name: str) -> Callable[[Any], Awaitable[Any]]:
        answer = getattr(type(self), f"answer_{name}")

        async def call(request: Any) -> Any:
            self.before(name)
            self.calls.append(name)
            self.requests.append(request)
            if self.failure is not None:
                raise self.failure
            return self.instead[name] if name in self.instead else answer(self, request)

        return call

    @property
    def counts(self) -> Counter[str]:
        """How often each call was made."""
        return Counter(self.calls)

    def answer_record_sale(self, _: inventory.RecordSaleRequest) -> inventory.RecordSaleResponse:
        shortages = [self.shortage_at_till] if self.shortage_at_till is not None else []
        return inventory.RecordSaleResponse(result=_result(), shortages=shortages)

    def answer_receive_stock(self, _: inventory.ReceiveStockRequest) -> inventory.ReceiveStockResponse:
        return inventory.ReceiveStockResponse(result=_result())

    def answer_get_fulfillment_options(
        self, request: orders.GetFulfillmentOptionsRequest
    ) -> orders.GetFulfillmentOptionsResponse:
        there = not any(line.sku_key in self.short for line in request.lines)
        option = orders.ShipOption(service_key="ground", available=there)
        return orders.GetFulfillmentOptionsResponse(result=_result(), ship_options=[option])

    def answer_reserve(self, request: reservations.ReserveRequest) -> reservations.ReserveResponse:
        if any(line.sku_key in self.short for line in request.reservation.lines):
            return reservations.ReserveResponse(result=_result(INSUFFICIENT))
        reservation_id = next(self._ids)
        self._holds[reservation_id] = request.reservation
        held = reservations.Reservation(reservation_id=reservation_id)
        return reservations.ReserveResponse(result=_result(), reservation=held)

    def answer_release_reservation(
        self, _: reservations.ReleaseReservationRequest
    ) -> reservations.ReleaseReservationResponse:
        return reservations.ReleaseReservationResponse(result=_result())

    def answer_place_order(self, request: orders.PlaceOrderRequest) -> orders.PlaceOrderResponse:
        node_key = self._holds.pop(request.reservation_id).pickup_node_key
        return orders.PlaceOrderResponse(result=_result(), order=self._order(request.lines, node_key))

    def answer_ingest_order(self, request: orders.IngestOrderRequest) -> orders.IngestOrderResponse:
        order = self._order(request.lines, "")
        outcome = PARTIAL if any(line.short_units for line in order.lines) else OK
        return orders.IngestOrderResponse(result=_result(outcome), order=order)

    def answer_cancel_order(self, request: orders.CancelOrderRequest) -> orders.CancelOrderResponse:
        return orders.CancelOrderResponse(result=_result(), order=self._orders[request.order_id])

    def answer_get_order(self, request: orders.GetOrderRequest) -> orders.GetOrderResponse:
        return orders.GetOrderResponse(result=_result(), order=self._orders[request.order_id])

    def answer_accept(self, request: fulfillment.AcceptRequest) -> fulfillment.AcceptResponse:
        return fulfillment.AcceptResponse(result=_result(), fulfillment_order=self._work[request.fulfillment_order_id])

    def answer_ship(self, request: fulfillment.ShipRequest) -> fulfillment.ShipResponse:
        return fulfillment.ShipResponse(result=_result(), fulfillment_order=self._work[request.fulfillment_order_id])

    def answer_mark_ready(self, request: fulfillment.MarkReadyRequest) -> fulfillment.MarkReadyResponse:
        return fulfillment.MarkReadyResponse(
            result=_result(), fulfillment_order=self._work[request.fulfillment_order_id]
        )

    def answer_hand_over(self, request: fulfillment.HandOverRequest) -> fulfillment.HandOverResponse:
        return fulfillment.HandOverResponse(
            result=_result(), fulfillment_order=self._work[request.fulfillment_order_id]
        )

    def answer_reject(self, request: fulfillment.RejectRequest) -> fulfillment.RejectResponse:
        rejected = self._work[request.fulfillment_order_id]
        if rejected.kind == types.FULFILLMENT_KIND_PICKUP:
            order = self._orders[rejected.order_id]
            for line in order.lines:
                line.short_units = line.units
            return fulfillment.RejectResponse(result=_result(PARTIAL), fulfillment_order=rejected)
        replacement = self._new_work(rejected.order_id, "elsewhere", rejected.lines, rejected.kind)
        return fulfillment.RejectResponse(result=_result(), fulfillment_order=rejected, replacements=[replacement])

    def answer_authorize_return(self, _: returns.AuthorizeReturnRequest) -> returns.AuthorizeReturnResponse:
        return returns.AuthorizeReturnResponse(result=_result(), return_order=returns.Return(return_id=next(self._ids)))

    def answer_receive_return(self, _: returns.ReceiveReturnRequest) -> returns.ReceiveReturnResponse:
        return returns.ReceiveReturnResponse(result=_result())

    def _order(self, items: Sequence[orders.OrderItem], node_key: str) -> orders.Order:
        order = orders.Order(order_id=next(self._ids))
        for index, item in enumerate(items):
            short = item.units if item.sku_key in self.short else 0
            order.lines.add(line_index=index, sku_key=item.sku_key, units=item.units, short_units=short)
        there = [
            fulfillment.FulfillmentOrderLine(line_index=line.line_index, sku_key=line.sku_key, units=line.units)
            for line in order.lines
            if not line.short_units
        ]
        kind = types.FULFILLMENT_KIND_PICKUP if node_key else types.FULFILLMENT_KIND_SHIP
        for number in range(self.packages if there else 0):
            lines = there if not number else []
            work = self._new_work(order.order_id, node_key or f"node{number}", lines, kind)
            order.fulfillment_order_ids.append(work.fulfillment_order_id)
        self._orders[order.order_id] = order
        return order

    def _new_work(
        self, order_id: int, node_key: str, lines: Sequence[fulfillment.FulfillmentOrderLine], kind: Any
    ) -> fulfillment.FulfillmentOrder:
        work = fulfillment.FulfillmentOrder(
            fulfillment_order_id=next(self._ids),
            order_id=order_id,
            node_key=node_key,
            kind=kind,
            zone=3,
            carrier_cost=types.Money(micros=7_000_000),
            handling_cost=types.Money(micros=1_000_000),
            lines=lines,
        )
        self._work[work.fulfillment_order_id] = work
        return work


def _result(outcome: types.Outcome = OK) -> types.Result:
    return types.Result(outcome=outcome)


def paper_scenario(*days: Sequence[Call]) -> Scenario:
    """A scenario of these days, without a network or stock."""
    return Scenario(
        name="paper",
        seed=1,
        currency_code="USD",
        first_day=date(2026, 3, 2),
        nodes=(),
        skus=(),
        channels=(Channel("web", "Web", 0, "default"),),
        policies=(RoutingPolicy("default", 0, True, "ground"),),
        rate_cards=(),
        zone_chart=ZoneChart(
            (), np.empty(0), np.empty(0), *(np.empty(0, np.int64),), *(np.empty(0, np.int32) for _ in range(3))
        ),
        order_counts=tuple(len(day) for day in days),
        cell_count=0,
        make_opening=lambda _: iter(list[StockColumns]()),
        make_day=lambda index: days[index],
    )


def paper_player(*days: Sequence[Call]) -> Player:
    """A player of these days against a server made of paper."""
    return Player(cast(AsyncClient, PaperServer()), paper_scenario(*days), in_flight=4)
