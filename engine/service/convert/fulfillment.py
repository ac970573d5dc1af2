"""FulfillmentService: the work of nodes."""

from collections.abc import Callable
from typing import Any

from engine.model.answers import FulfillmentOrdersAnswer
from engine.model.commands import Accept, Command, HandOver, MarkReady, Reject, Ship
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import CommandKind, FulfillmentState, RejectReason
from engine.model.queries import ListFulfillmentOrders
from engine.model.replies import FulfillmentReply
from engine.pool.names import Names
from engine.service.convert.calendars import promised_date
from engine.service.convert.entry import Entry
from engine.service.convert.wording import add_shortages, fill_money, fill_time
from engine.service.fields import Rules, allowed, fingerprint
from engine.service.paging import read_token, write_token
from stockpool.v1 import fulfillment_pb2 as pb

TRACKING_CHARACTERS_MAX = 64

_STATES = allowed(FulfillmentState)
_REASONS = allowed(RejectReason, without=(RejectReason.NONE,))
_CALL = "ListFulfillmentOrders"
WORK_TO_DO = (FulfillmentState.OPEN, FulfillmentState.ACCEPTED, FulfillmentState.READY_FOR_PICKUP)
ALL_STATES = tuple(FulfillmentState)


def list_fulfillment_orders(request: pb.ListFulfillmentOrdersRequest, rules: Rules) -> ListFulfillmentOrders:
    """Work of a node, of an order, or of both."""
    check = rules.check()
    seq = check.min_journal_seq(request.min_journal_seq)
    node_key = check.optional_key("node_key", request.node_key)
    order_id = check.optional_id("order_id", request.order_id)
    ship_to_node_key = check.optional_key("ship_to_node_key", request.ship_to_node_key)
    if not node_key and not order_id and not ship_to_node_key:
        check.wrong("node_key", "is missing, and so are order_id and ship_to_node_key; give at least one of them")
    if ship_to_node_key and (node_key or order_id):
        check.wrong("ship_to_node_key", "must be empty where node_key or order_id is given")
    page_size = check.page_size(request.page_size)
    check.count("states", len(request.states), "fulfillment_states_max", len(ALL_STATES), least=0)
    states = tuple([check.word(f"states[{at}]", state, _STATES) for at, state in enumerate(request.states)])
    check.done()
    states = states or (ALL_STATES if order_id or ship_to_node_key else WORK_TO_DO)
    after_id = read_token(_CALL, request.page_token)
    with_unreleased = request.with_unreleased or bool(order_id)
    return ListFulfillmentOrders(
        seq, node_key, order_id, states, after_id, page_size, with_unreleased, ship_to_node_key
    )


def fill_fulfillment_order(message: pb.FulfillmentOrder, work: FulfillmentOrder, order_key: str, names: Names) -> None:
    """A fulfillment order as it stands."""
    message.fulfillment_order_id = work.fulfillment_order_id
    message.order_id = work.order_id
    message.order_key = order_key
    message.node_key = names.node_keys[work.node_index]
    message.kind = int(work.kind)  # type: ignore[assignment]
    message.state = int(work.state)  # type: ignore[assignment]
    for line_index, sku_index, _, units in work.lines:
        message.lines.add(line_index=line_index, sku_key=names.sku_keys[sku_index], units=units)
    fill_money(message.carrier_cost, work.carrier_micros, names)
    fill_money(message.handling_cost, work.handling_micros, names)
    message.zone = work.zone
    message.weight_grams = work.weight_grams
    message.reject_reason = int(work.reject_reason)  # type: ignore[assignment]
    message.tracking = work.tracking
    fill_time(message.create_time, work.created_ns)
    fill_time(message.update_time, work.updated_ns)
    message.ship_date, message.arrival_date = promised_date(work.ship_day), promised_date(work.arrival_day)
    if work.ready_hour:
        message.ready_hour = work.ready_hour - 1
    if work.release_ns:
        fill_time(message.release_time, work.release_ns)
    if work.store_node_index >= 0:
        message.ship_to_node_key = names.node_keys[work.store_node_index]


def _fill_list(response: pb.ListFulfillmentOrdersResponse, reply: FulfillmentOrdersAnswer, names: Names) -> None:
    for work, order_key in zip(reply.fulfillment_orders, reply.order_keys, strict=True):
        fill_fulfillment_order(response.fulfillment_orders.add(), work, order_key, names)
    if reply.more and reply.fulfillment_orders:
        response.next_page_token = write_token(_CALL, reply.fulfillment_orders[-1].fulfillment_order_id)


def _step(make: Callable[[str, int, int], Command], kind: CommandKind) -> Callable[[Any, Rules], Command]:
    """Work for a step that needs nothing but the fulfillment order."""

    def work(request: Any, rules: Rules) -> Command:
        check = rules.check()
        request_id = check.request_id(request.request_id)
        fulfillment_order_id = check.id("fulfillment_order_id", request.fulfillment_order_id)
        check.done()
        return make(request_id, fingerprint(request, kind), fulfillment_order_id)

    return work


def reject(request: pb.RejectRequest, rules: Rules) -> Reject:
    """The node cannot do it."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    fulfillment_order_id = check.id("fulfillment_order_id", request.fulfillment_order_id)
    reason = check.word("reason", request.reason, _REASONS)
    check.done()
    return Reject(request_id, fingerprint(request, CommandKind.REJECT), fulfillment_order_id, reason)


def ship(request: pb.ShipRequest, rules: Rules) -> Ship:
    """The package has left."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    fulfillment_order_id = check.id("fulfillment_order_id", request.fulfillment_order_id)
    tracking = check.text("tracking", request.tracking, "tracking_characters_max", TRACKING_CHARACTERS_MAX)
    check.done()
    return Ship(request_id, fingerprint(request, CommandKind.SHIP), fulfillment_order_id, tracking)


def _fill_step(response: Any, reply: FulfillmentReply, names: Names) -> None:
    if reply.fulfillment_order is not None:
        fill_fulfillment_order(response.fulfillment_order, reply.fulfillment_order, reply.order_key, names)


def _fill_reject(response: pb.RejectResponse, reply: FulfillmentReply, names: Names) -> None:
    _fill_step(response, reply, names)
    for replacement in reply.replacements:
        fill_fulfillment_order(response.replacements.add(), replacement, reply.order_key, names)
    add_shortages(response.shortages, reply.shortages, names)


LIST_FULFILLMENT_ORDERS = Entry(list_fulfillment_orders, pb.ListFulfillmentOrdersResponse, _fill_list)
ACCEPT = Entry(_step(Accept, CommandKind.ACCEPT), pb.AcceptResponse, _fill_step)
REJECT = Entry(reject, pb.RejectResponse, _fill_reject)
SHIP = Entry(ship, pb.ShipResponse, _fill_step)
MARK_READY = Entry(_step(MarkReady, CommandKind.MARK_READY), pb.MarkReadyResponse, _fill_step)
HAND_OVER = Entry(_step(HandOver, CommandKind.HAND_OVER), pb.HandOverResponse, _fill_step)
