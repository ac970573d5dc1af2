"""The steps of work, and what a rejection changes."""

from __future__ import annotations

from collections.abc import Iterator

from engine.model import commands as m
from engine.model.orders import FulfillmentOrder, Order
from engine.model.outcomes import FulfillmentKind, FulfillmentState, Outcome, Quantity, RejectReason, StockReason
from engine.model.replies import FulfillmentReply, OrderReply, Shortage
from engine.proof.oracle.claims import decide, node_refusal
from engine.proof.oracle.orders import allocate, keep, make_work, pair_of, shortages_of, work_of
from engine.proof.oracle.rules import Question, value_of
from engine.proof.oracle.state import Choice, State

EXCLUDED_MAX = 16
STEPS: dict[FulfillmentKind, dict[str, tuple[str, ...]]] = {
    FulfillmentKind.SHIP: {
        "OPEN": ("ACCEPTED", "REJECTED"),
        "ACCEPTED": ("SHIPPED", "REJECTED"),
        "SHIPPED": ("ARRIVED",),
        "ARRIVED": ("HANDED_OVER",),
    },
    FulfillmentKind.PICKUP: {
        "OPEN": ("ACCEPTED", "READY_FOR_PICKUP", "REJECTED"),
        "ACCEPTED": ("READY_FOR_PICKUP", "REJECTED"),
        "READY_FOR_PICKUP": ("HANDED_OVER", "REJECTED"),
    },
}
TARGETS: dict[type[m.Command], FulfillmentState] = {
    m.Accept: FulfillmentState.ACCEPTED,
    m.Ship: FulfillmentState.SHIPPED,
    m.MarkReady: FulfillmentState.READY_FOR_PICKUP,
    m.HandOver: FulfillmentState.HANDED_OVER,
    m.Reject: FulfillmentState.REJECTED,
}
Step = m.Accept | m.Ship | m.MarkReady | m.HandOver | m.Reject


def step(state: State, command: Step, choices: Iterator[Choice]) -> FulfillmentReply:
    work = state.work.get(command.fulfillment_order_id)
    if work is None:
        return FulfillmentReply(Outcome.UNKNOWN_FULFILLMENT_ORDER, str(command.fulfillment_order_id))
    order, target = state.orders[work.order_id], TARGETS[type(command)]
    to_store = work.store_node_index >= 0
    if to_store and isinstance(command, m.MarkReady):
        target = FulfillmentState.ARRIVED
    only_to_store = work.kind == FulfillmentKind.SHIP and target.name in ("ARRIVED", "HANDED_OVER")
    if target.name not in STEPS[work.kind].get(work.state.name, ()) or (only_to_store and not to_store):
        return FulfillmentReply(Outcome.INVALID_TRANSITION, work.state.name, work, order.order_key)
    work = work._replace(state=target, updated_ns=state.now_ns)
    if isinstance(command, m.Reject):
        return _reject(state, work._replace(reject_reason=command.reason), order, choices)
    if isinstance(command, m.Ship):
        work = work._replace(tracking=command.tracking)
    state.work[work.fulfillment_order_id] = work
    if target == FulfillmentState.SHIPPED or (target == FulfillmentState.HANDED_OVER and not to_store):
        order = _leave(state, work, order)
    keep(state, order)
    return FulfillmentReply(Outcome.OK, "", work, order.order_key)


def _leave(state: State, work: FulfillmentOrder, order: Order) -> Order:
    allocate(state, [work], -1, day_is_free=False)
    reason = StockReason.SHIPMENT if work.state == FulfillmentState.SHIPPED else StockReason.HANDOVER
    lines = list(order.lines)
    for leg in work.lines:
        state.move(pair_of(state, leg), Quantity.ON_HAND, -leg.units, reason)
        line = lines[leg.line_index]
        lines[leg.line_index] = line._replace(
            allocated_units=line.allocated_units - leg.units, fulfilled_units=line.fulfilled_units + leg.units
        )
    return order._replace(lines=tuple(lines))


def _reject(state: State, work: FulfillmentOrder, order: Order, choices: Iterator[Choice]) -> FulfillmentReply:
    question = _elsewhere(state, work, order)
    grant = decide(state, question, choices) if order.kind == FulfillmentKind.SHIP else None
    state.work[work.fulfillment_order_id] = work
    too_busy = work.reject_reason in (RejectReason.TOO_BUSY, RejectReason.CLOSED)
    allocate(state, [work], -1, day_is_free=not too_busy)
    _correct(state, work)
    legs = [] if grant is None else [leg._replace(line=work.lines[leg.line].line_index) for leg in grant.legs]
    made = make_work(state, order.order_id, question, legs, [] if grant is None else grant.boxes)
    shortages = []
    lines = list(order.lines)
    for index in dict.fromkeys(leg.line_index for leg in work.lines):
        asked = sum(leg.units for leg in work.lines if leg.line_index == index)
        got = sum(leg.units for leg in legs if leg.line == index)
        if got < asked:
            line = lines[index]
            short = asked - got
            lines[index] = line._replace(
                allocated_units=line.allocated_units - short, short_units=line.short_units + short
            )
            shortages.append(Shortage(index, line.sku_index, asked, got))
    ids = (*order.fulfillment_order_ids, *(each.fulfillment_order_id for each in made))
    keep(state, order._replace(lines=tuple(lines), fulfillment_order_ids=ids))
    outcome = Outcome.PARTIAL if shortages else Outcome.OK
    return FulfillmentReply(outcome, "", work, order.order_key, tuple(made), tuple(shortages))


def _elsewhere(state: State, work: FulfillmentOrder, order: Order) -> Question:
    """Shipped units may come from any node that has not rejected this order, the sixteen latest of them remembered."""
    given_back = [(leg.sku_index, leg.units) for leg in work.lines]
    return again(state, order, given_back, [work.node_index])


def again(state: State, order: Order, lines: list[tuple[int, int]], refusers: list[int]) -> Question:
    nodes, skus = list(state.nodes), list(state.skus)
    rejected = [each.node_index for each in work_of(state, order) if each.state == FulfillmentState.REJECTED]
    shipped = order.kind == FulfillmentKind.SHIP
    store = [order.pickup_node_index] if shipped and order.pickup_node_index >= 0 else []
    excluded = list(dict.fromkeys([*store, *refusers, *reversed(rejected)]))[:EXCLUDED_MAX]
    return Question(
        list(state.channels)[order.channel_index],
        order.kind,
        state.regions[order.region_index] if shipped else nodes[order.pickup_node_index],
        list(state.rate_cards)[order.service_index] if shipped else "",
        tuple((skus[sku], units) for sku, units in lines),
        partial=True,
        fact=True,
        excluded=tuple(nodes[node] for node in excluded),
        value=value_of(state, tuple((skus[line.sku_index], line.units) for line in order.lines)),
        due_day=order.promised_day,
        store=nodes[store[0]] if store else "",
    )


def release(state: State, command: m.ReleaseOrder, choices: Iterator[Choice]) -> OrderReply:
    """Short units look for a node again."""
    order = state.orders.get(command.order_id)
    if order is None:
        return OrderReply(Outcome.UNKNOWN_ORDER, str(command.order_id))
    short = [at for at, line in enumerate(order.lines) if line.short_units]
    if not short:
        return OrderReply(Outcome.INVALID_TRANSITION, order.state.name, order)
    if order.kind == FulfillmentKind.PICKUP:
        node = list(state.nodes)[order.pickup_node_index]
        channel = list(state.channels)[order.channel_index]
        refusal = node_refusal(state, node, channel, offers=state.nodes[node].offers_pickup)
        if refusal is not None:
            return OrderReply(refusal, node, order)
    wanted = [(order.lines[at].sku_index, order.lines[at].short_units) for at in short]
    question = again(state, order, wanted, [])
    grant = decide(state, question, choices)
    legs = [leg._replace(line=short[leg.line]) for leg in grant.legs]
    made = make_work(state, order.order_id, question, legs, grant.boxes)
    lines = list(order.lines)
    for leg in legs:
        line = lines[leg.line]
        lines[leg.line] = line._replace(
            allocated_units=line.allocated_units + leg.units, short_units=line.short_units - leg.units
        )
    ids = (*order.fulfillment_order_ids, *(each.fulfillment_order_id for each in made))
    after = keep(state, order._replace(lines=tuple(lines), fulfillment_order_ids=ids, on_hold=False))
    shortages = shortages_of(after)
    return OrderReply(Outcome.PARTIAL if shortages else Outcome.OK, "", after, grant.cost, shortages)


def _correct(state: State, work: FulfillmentOrder) -> None:
    """What the reason says about the node's stock."""
    units: dict[tuple[str, str], int] = {}
    for leg in work.lines:
        pair = pair_of(state, leg)
        units[pair] = units.get(pair, 0) + leg.units
    for pair, count in units.items():
        reason = work.reject_reason
        if reason == RejectReason.NOT_IN_STOCK and state.atf(pair) > 0:
            state.move(pair, Quantity.ON_HAND, -state.atf(pair), StockReason.REJECTION)
        elif reason == RejectReason.MISMATCH:
            state.move(pair, Quantity.ON_HAND, -count, StockReason.REJECTION)
        elif reason == RejectReason.DAMAGED:
            state.move(pair, Quantity.DAMAGED, count, StockReason.REJECTION)
        elif reason == RejectReason.WORN_DISPLAY:
            state.move(pair, Quantity.DISPLAY, count, StockReason.REJECTION)
