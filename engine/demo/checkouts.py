"""Where demand comes from: tills, the web shop's pages and baskets, and a marketplace's feed."""

from zlib import crc32

from google.protobuf.duration_pb2 import Duration

from engine.demo.caller import OK, PARTIAL
from engine.demo.scenario import Order
from engine.demo.stage import MINUTE_NS, Job, Stage
from engine.demo.stores import Stores
from engine.demo.tally import Figures
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2 as types

_HOLD = Duration(seconds=900)
_FORGOTTEN_HOLD = Duration(seconds=1)
"""For a basket that nobody releases. The scenario outruns the clock: fifteen minutes of the server would be days of the scenario."""
_BASKET_LIFE_NS = 15 * MINUTE_NS
_PICKUP_STORES_SHOWN = 3
"""Stores that a product page offers for collection."""


class Checkouts:
    """Makes orders of demand and hands them to the stores."""

    def __init__(self, stage: Stage, stores: Stores) -> None:
        self._stage = stage
        self._stores = stores
        self._ask = stage.caller.ask
        self._client = stage.caller.client

    async def sell_at_till(self, order: Order) -> None:
        """A buyer takes the goods from the shelf to the till: a fact."""
        figures = self._demand(order)
        self._stage.tally.till_channels.add(order.channel_key)
        request = inventory.RecordSaleRequest(
            request_id=self._stage.caller.next_id(),
            node_key=order.node_key,
            channel_key=order.channel_key,
            lines=_items(order),
            reference=order.order_key,
        )
        response = await self._ask("RecordSale", self._client.record_sale, request)
        if response.result.outcome != OK:
            self._refuse(order, figures)
            return
        figures.granted_units += _units(order)
        for cell in response.shortages:
            self._stores.miss(cell)

    async def order_for_pickup(self, order: Order) -> None:
        """A shopper holds the basket at a store, pays, and collects it there."""
        claim = reservations.ReservationRequest(
            channel_key=order.channel_key, lines=_items(order), pickup_node_key=order.node_key, ttl=_ttl(order)
        )
        await self._reserve_and_place(order, claim)

    async def order_for_shipping(self, order: Order) -> None:
        """A shopper looks at the options for the basket, holds it, and pays."""
        page = orders.GetFulfillmentOptionsRequest(
            channel_key=order.channel_key,
            lines=_items(order),
            ship_to=types.Destination(postal_code=order.postal_code),
            pickup_store_max=_PICKUP_STORES_SHOWN,
        )
        options = await self._ask("GetFulfillmentOptions", self._client.get_fulfillment_options, page)
        if not any(one.available and one.service_key == order.service_key for one in options.ship_options):
            self._turn_away(order)
            return
        claim = reservations.ReservationRequest(
            channel_key=order.channel_key,
            lines=_items(order),
            ship_to=types.Destination(postal_code=order.postal_code),
            service_key=order.service_key,
            ttl=_ttl(order),
        )
        await self._reserve_and_place(order, claim)

    async def ingest(self, order: Order) -> None:
        """A marketplace reports what it has sold: a fact."""
        figures = self._demand(order)
        request = orders.IngestOrderRequest(
            request_id=self._stage.caller.next_id(),
            channel_key=order.channel_key,
            order_key=order.order_key,
            customer_key=order.customer_key,
            lines=_priced_items(order),
            ship_to=types.Destination(postal_code=order.postal_code),
            service_key=order.service_key,
        )
        response = await self._ask("IngestOrder", self._client.ingest_order, request)
        if response.result.outcome not in {OK, PARTIAL}:
            self._refuse(order, figures)
            return
        short_units = sum(line.short_units for line in response.order.lines)
        granted_units = _units(order) - short_units
        figures.granted_units += granted_units
        if not granted_units:
            self._refuse(order, figures)
        self._hand_on(order, figures, response.order, short_units)

    async def _reserve_and_place(self, order: Order, claim: reservations.ReservationRequest) -> None:
        request = reservations.ReserveRequest(request_id=self._stage.caller.next_id(), reservation=claim)
        held = await self._ask("Reserve", self._client.reserve, request)
        if held.result.outcome != OK:
            self._turn_away(order)
            return
        if order.abandons:
            self._abandon(order, held.reservation.reservation_id)
            return
        figures = self._demand(order)
        place = orders.PlaceOrderRequest(
            request_id=self._stage.caller.next_id(),
            channel_key=order.channel_key,
            order_key=order.order_key,
            customer_key=order.customer_key,
            reservation_id=held.reservation.reservation_id,
            lines=_priced_items(order),
            ship_to=types.Destination(postal_code=order.postal_code) if order.postal_code else None,
        )
        placed = await self._ask("PlaceOrder", self._client.place_order, place)
        if placed.result.outcome != OK:
            self._refuse(order, figures)
            return
        figures.granted_units += _units(order)
        self._hand_on(order, figures, placed.order, 0)

    def _hand_on(self, order: Order, figures: Figures, placed: orders.Order, short_units: int) -> None:
        job = Job(
            order=order,
            order_id=placed.order_id,
            figures=figures,
            open_work=set(placed.fulfillment_order_ids),
            short_units=short_units,
            is_short=short_units > 0,
            must_reject=order.rejects is not None,
        )
        if order.returns:
            self._stage.jobs[order.channel_key, order.order_key] = job
        self._stores.begin(job)

    def _abandon(self, order: Order, reservation_id: int) -> None:
        self._stage.tally.at(order.channel_key, order.at_ns).abandoned_baskets += 1
        if not _is_forgotten(order):
            self._stage.later(_BASKET_LIFE_NS, self._release, reservation_id)

    async def _release(self, reservation_id: int) -> None:
        request = reservations.ReleaseReservationRequest(
            request_id=self._stage.caller.next_id(), reservation_id=reservation_id
        )
        await self._ask("ReleaseReservation", self._client.release_reservation, request)

    def _demand(self, order: Order) -> Figures:
        figures = self._stage.tally.at(order.channel_key, order.at_ns)
        figures.orders += not order.part
        figures.asked_units += _units(order)
        figures.value_micros += sum(line.units * line.unit_price_micros for line in order.lines)
        return figures

    def _turn_away(self, order: Order) -> None:
        """There is not enough for a shopper, who leaves."""
        if not order.abandons:
            self._refuse(order, self._demand(order))

    def _refuse(self, order: Order, figures: Figures) -> None:
        if not order.part:
            self._stage.tally.refuse(figures)


def _items(order: Order) -> list[types.LineItem]:
    return [types.LineItem(sku_key=line.sku_key, units=line.units) for line in order.lines]


def _priced_items(order: Order) -> list[orders.OrderItem]:
    return [
        orders.OrderItem(sku_key=line.sku_key, units=line.units, unit_price=types.Money(micros=line.unit_price_micros))
        for line in order.lines
    ]


def _units(order: Order) -> int:
    return sum(line.units for line in order.lines)


def _ttl(order: Order) -> Duration:
    return _FORGOTTEN_HOLD if order.abandons and _is_forgotten(order) else _HOLD


def _is_forgotten(order: Order) -> bool:
    """Whether an abandoned basket is left to the clock: every fourth is, the shop releases the others."""
    return crc32(order.order_key.encode()) % 4 == 0
