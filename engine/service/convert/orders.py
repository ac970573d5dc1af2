"""OrderService: options, placing, ingesting, cancelling, reading."""

from typing import Any

from engine.model.answers import OptionsAnswer, OrderAnswer, ShipOption
from engine.model.commands import (
    CancelOrder,
    Claim,
    Command,
    IngestOrder,
    Move,
    PlaceOrder,
    PricedLines,
    ReleaseOrder,
    RerouteOrder,
)
from engine.model.orders import Order
from engine.model.outcomes import CommandKind, FulfillmentKind, Outcome
from engine.model.queries import GetFulfillmentOptions, GetOrder
from engine.model.replies import OrderReply, RerouteReply
from engine.pool.names import Names
from engine.service.convert.calendars import due_day, promised_date
from engine.service.convert.entry import Entry
from engine.service.convert.wording import add_legs, add_shortages, fill_cost, fill_money, fill_time
from engine.service.fields import Check, Rules, fingerprint
from stockpool.v1 import orders_pb2 as pb

PICKUP_STORES_MAX = 50
SHIP_TO_STORES_MAX = 10
"""For each the router is asked."""
WORK_NAMED_MAX = 1_000


def get_fulfillment_options(request: pb.GetFulfillmentOptionsRequest, rules: Rules) -> GetFulfillmentOptions:
    """How the lines could reach the buyer."""
    check = rules.check()
    query = GetFulfillmentOptions(
        check.min_journal_seq(request.min_journal_seq),
        check.key("channel_key", request.channel_key),
        check.lines("lines", request.lines, "lines_per_order_max", check.limits.lines_per_order_max),
        check.postal_code("ship_to.postal_code", request.ship_to.postal_code),
        check.whole("pickup_store_max", request.pickup_store_max, 0, "pickup_stores_max", PICKUP_STORES_MAX),
        due_day(check, "promised_date", request.promised_date),
        check.whole("ship_to_store_max", request.ship_to_store_max, 0, "ship_to_stores_max", SHIP_TO_STORES_MAX),
    )
    check.done()
    return query


def _fill_options(response: pb.GetFulfillmentOptionsResponse, reply: OptionsAnswer, names: Names) -> None:
    for option in reply.ship_options:
        _fill_ship_option(response.ship_options.add(), option, names)
    for pickup in reply.pickup_options:
        store = response.pickup_options.add(
            node_key=names.node_keys[pickup.node_index],
            distance_metres=pickup.distance_metres,
            available=pickup.available,
            ready_date=promised_date(pickup.ready_day),
        )
        if pickup.ready_ns:
            fill_time(store.ready_time, pickup.ready_ns)
    for each in reply.store_options:
        added = response.ship_to_store_options.add(
            node_key=names.node_keys[each.node_index], distance_metres=each.distance_metres
        )
        _fill_ship_option(added.shipped, each.shipped, names)
    add_shortages(response.shortages, reply.shortages, names)


def _fill_ship_option(message: pb.ShipOption, option: ShipOption, names: Names) -> None:
    message.service_key, message.available = names.service_keys[option.service_index], option.available
    fill_cost(message.cost, option.cost, names)
    add_legs(message.legs, option.legs, names)
    message.ship_date, message.arrival_date = promised_date(option.ship_day), promised_date(option.arrival_day)


def _priced(check: Check, request: pb.PlaceOrderRequest | pb.IngestOrderRequest, least: int) -> PricedLines:
    check.lines("lines", request.lines, "lines_per_order_max", check.limits.lines_per_order_max, least)
    return tuple(
        [
            (line.sku_key, line.units, check.money(f"lines[{position}].unit_price", line.unit_price))
            for position, line in enumerate(request.lines)
        ]
    )


def place_order(request: pb.PlaceOrderRequest, rules: Rules) -> Command:
    """From a reservation, or directly."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    channel_key = check.key("channel_key", request.channel_key)
    order_key = check.key("order_key", request.order_key)
    customer_key = check.optional_key("customer_key", request.customer_key)
    reservation_id = check.optional_id("reservation_id", request.reservation_id)
    lines = _priced(check, request, 0 if reservation_id else 1)
    service_key = check.optional_key("service_key", request.service_key)
    way = request.WhichOneof("fulfillment")
    claim, postal_code = None, ""
    if not reservation_id:
        claim = _claim(check, request, channel_key, lines, service_key)
    elif request.promised_date:
        check.wrong("promised_date", "must be empty: the reservation's own decides; give it to Reserve")
    elif way in ("pickup_node_key", "ship_to_node_key"):
        check.wrong(way, "must be absent: the reservation's own store decides")
    elif way == "ship_to":
        postal_code = check.postal_code("ship_to.postal_code", request.ship_to.postal_code)
    check.done()
    return PlaceOrder(
        request_id,
        fingerprint(request, CommandKind.PLACE_ORDER),
        channel_key,
        order_key,
        customer_key,
        lines,
        reservation_id,
        claim,
        postal_code,
    )


def _claim(
    check: Check, request: pb.PlaceOrderRequest, channel_key: str, lines: PricedLines, service_key: str
) -> Claim:
    plain = tuple([(sku_key, units) for sku_key, units, _ in lines])
    way = request.WhichOneof("fulfillment")
    if way == "pickup_node_key":
        node_key = check.key("pickup_node_key", request.pickup_node_key)
        due_day(check, "promised_date", request.promised_date, collected=True)
        return Claim(channel_key, plain, FulfillmentKind.PICKUP, "", node_key, service_key)
    if way == "ship_to_node_key":
        store_key = check.key("ship_to_node_key", request.ship_to_node_key)
        day = due_day(check, "promised_date", request.promised_date)
        return Claim(
            channel_key, plain, FulfillmentKind.SHIP, service_key=service_key, due_day=day, store_key=store_key
        )
    if way is None:
        check.wrong("fulfillment", "is missing; give ship_to, pickup_node_key, ship_to_node_key or reservation_id")
        return Claim(channel_key, plain, FulfillmentKind.SHIP)
    postal_code = check.postal_code("ship_to.postal_code", request.ship_to.postal_code)
    day = due_day(check, "promised_date", request.promised_date)
    return Claim(channel_key, plain, FulfillmentKind.SHIP, postal_code, "", service_key, due_day=day)


def ingest_order(request: pb.IngestOrderRequest, rules: Rules) -> IngestOrder:
    """Already sold elsewhere."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    channel_key = check.key("channel_key", request.channel_key)
    order_key = check.key("order_key", request.order_key)
    customer_key = check.optional_key("customer_key", request.customer_key)
    lines = _priced(check, request, 1)
    postal_code = check.postal_code("ship_to.postal_code", request.ship_to.postal_code)
    service_key = check.optional_key("service_key", request.service_key)
    day = due_day(check, "promised_date", request.promised_date)
    check.done()
    plain = tuple([(sku_key, units) for sku_key, units, _ in lines])
    claim = Claim(channel_key, plain, FulfillmentKind.SHIP, postal_code, "", service_key, due_day=day)
    mark = fingerprint(request, CommandKind.INGEST_ORDER)
    return IngestOrder(request_id, mark, order_key, customer_key, lines, claim)


def release_order(request: pb.ReleaseOrderRequest, rules: Rules) -> ReleaseOrder:
    """An order on hold, or with short units."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    order_id = check.id("order_id", request.order_id)
    check.done()
    return ReleaseOrder(request_id, fingerprint(request, CommandKind.RELEASE_ORDER), order_id)


def reroute_order(request: pb.RerouteOrderRequest, rules: Rules) -> RerouteOrder:
    """An order whose units might be better off elsewhere."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    order_id = check.id("order_id", request.order_id)
    saving = check.cost("saving_min", request.saving_min)
    known = request.fulfillment_order_ids
    check.count("fulfillment_order_ids", len(known), "fulfillment_orders_named_max", WORK_NAMED_MAX, least=0)
    work_ids = tuple([check.id(f"fulfillment_order_ids[{at}]", each) for at, each in enumerate(known)])
    check.done()
    mark = fingerprint(request, CommandKind.REROUTE_ORDER)
    return RerouteOrder(request_id, mark, (Move(order_id, work_ids),), saving)


def cancel_order(request: pb.CancelOrderRequest, rules: Rules) -> CancelOrder:
    """Units that have not left."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    order_id = check.id("order_id", request.order_id)
    most = check.limits.lines_per_order_max
    check.count("lines", len(request.lines), "lines_per_order_max", most, least=0)
    lines = tuple([(line.line_index, line.units) for line in request.lines])
    for position, (line_index, units) in enumerate(lines):
        check.whole(f"lines[{position}].line_index", line_index, 0, "lines_per_order_max", most - 1)
        check.units(f"lines[{position}].units", units)
    check.distinct("lines", "line_index", [line_index for line_index, _ in lines])
    reference = check.reference(request.reference)
    check.done()
    return CancelOrder(request_id, fingerprint(request, CommandKind.CANCEL_ORDER), order_id, lines, reference)


def get_order(request: pb.GetOrderRequest | pb.ExplainOrderRequest, rules: Rules) -> GetOrder:
    """By id, or by channel and key."""
    check = rules.check()
    order_id = check.optional_id("order_id", request.order_id)
    channel_key = order_key = ""
    if not order_id:
        channel_key = check.key("channel_key", request.channel_key)
        order_key = check.key("order_key", request.order_key)
    seq = check.min_journal_seq(request.min_journal_seq)
    check.done()
    return GetOrder(seq, order_id, channel_key, order_key)


def fill_order(message: pb.Order, order: Order, names: Names) -> None:
    """An order as it stands."""
    message.order_id = order.order_id
    message.order_key = order.order_key
    message.channel_key = names.channel_keys[order.channel_index]
    message.kind = int(order.kind)  # type: ignore[assignment]
    message.state = int(order.state)  # type: ignore[assignment]
    message.customer_key = order.customer_key
    if order.kind == FulfillmentKind.SHIP:
        message.ship_to.postal_code = order.postal_code
        if order.service_index >= 0:
            message.service_key = names.service_keys[order.service_index]
    if order.pickup_node_index >= 0:
        message.pickup_node_key = names.node_keys[order.pickup_node_index]
    for position, line in enumerate(order.lines):
        added = message.lines.add(
            line_index=position,
            sku_key=names.sku_keys[line.sku_index],
            units=line.units,
            allocated_units=line.allocated_units,
            fulfilled_units=line.fulfilled_units,
            cancelled_units=line.cancelled_units,
            short_units=line.short_units,
            returned_units=line.returned_units,
        )
        fill_money(added.unit_price, line.unit_price_micros, names)
    message.fulfillment_order_ids.extend(order.fulfillment_order_ids)
    fill_time(message.place_time, order.placed_ns)
    message.ingested = order.ingested
    message.promised_date = promised_date(order.promised_day)


def _fill_routed(response: Any, reply: OrderReply, names: Names) -> None:
    if reply.order is not None:
        fill_order(response.order, reply.order, names)
    if reply.cost is not None:
        fill_cost(response.cost, reply.cost, names)
    add_shortages(response.shortages, reply.shortages, names)


def _fill_placed(response: Any, reply: OrderReply, names: Names) -> None:
    _fill_routed(response, reply, names)
    response.existing_order_id = reply.existing_order_id


def _fill_order(response: Any, reply: OrderReply | OrderAnswer, names: Names) -> None:
    if reply.order is not None:
        fill_order(response.order, reply.order, names)


def _fill_rerouted(response: pb.RerouteOrderResponse, reply: RerouteReply, names: Names) -> None:
    for order in reply.orders:
        fill_order(response.order, order, names)
    if reply.outcome == Outcome.OK:
        response.moved = reply.moved
        fill_money(response.saving, reply.saving_micros, names)


GET_FULFILLMENT_OPTIONS = Entry(get_fulfillment_options, pb.GetFulfillmentOptionsResponse, _fill_options)
PLACE_ORDER = Entry(place_order, pb.PlaceOrderResponse, _fill_placed)
INGEST_ORDER = Entry(ingest_order, pb.IngestOrderResponse, _fill_placed)
RELEASE_ORDER = Entry(release_order, pb.ReleaseOrderResponse, _fill_routed)
REROUTE_ORDER = Entry(reroute_order, pb.RerouteOrderResponse, _fill_rerouted)
CANCEL_ORDER = Entry(cancel_order, pb.CancelOrderResponse, _fill_order)
GET_ORDER = Entry(get_order, pb.GetOrderResponse, _fill_order)
