"""Orders and the work they become."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from engine.model import commands as m
from engine.model.orders import FulfillmentLine, FulfillmentOrder, Order, OrderLine
from engine.model.outcomes import (
    AfterAction,
    FulfillmentKind,
    FulfillmentState,
    OrderState,
    Outcome,
    Quantity,
    ReservationState,
    StockReason,
)
from engine.model.replies import Cost, OrderReply, Shortage
from engine.proof.oracle.claims import Box, Refused, ask, boxes_by_node, decide, pairs_of, rule_name
from engine.proof.oracle.days import take
from engine.proof.oracle.reservations import CLOSED, close, find
from engine.proof.oracle.rules import Question, policy_of
from engine.proof.oracle.state import Choice, HeldLeg, Hold, State

SHIP = FulfillmentKind.SHIP
Asked = list[tuple[str, int, int]]
"""(SKU, units, price) a line."""


def pair_of(state: State, line: FulfillmentLine) -> tuple[str, str]:
    return list(state.skus)[line.slot >> 32], list(state.nodes)[line.slot & 0xFFFF_FFFF]


def order_state(order: Order, work: Iterable[FulfillmentOrder]) -> OrderState:
    gone = any(line.fulfilled_units for line in order.lines)
    work = list(work)
    if all(line.allocated_units + line.short_units == 0 for line in order.lines):
        if any(each.store_node_index >= 0 and each.state.name in ("SHIPPED", "ARRIVED") for each in work):
            return OrderState.IN_FULFILLMENT
        return OrderState.COMPLETED if gone else OrderState.CANCELLED
    begun = (FulfillmentState.ACCEPTED, FulfillmentState.READY_FOR_PICKUP)
    if gone or any(each.state in begun for each in work):
        return OrderState.IN_FULFILLMENT
    if order.on_hold:
        return OrderState.ON_HOLD
    return OrderState.BACKORDERED if any(line.short_units for line in order.lines) else OrderState.ROUTED


def work_of(state: State, order: Order) -> list[FulfillmentOrder]:
    return [state.work[work_id] for work_id in order.fulfillment_order_ids]


def keep(state: State, order: Order) -> Order:
    """Write an order down with the state that its lines and its work tell; forget the oldest closed one when there are too many."""
    order = order._replace(state=order_state(order, work_of(state, order)))
    state.orders[order.order_id] = order
    closed = order.state in (OrderState.COMPLETED, OrderState.CANCELLED)
    if closed and order.order_id not in state.closed_orders:
        state.closed_orders.append(order.order_id)
    if len(state.closed_orders) > state.limits.closed_orders_remembered:
        oldest = state.orders.pop(state.closed_orders.pop(0))
        for work_id in oldest.fulfillment_order_ids:
            del state.work[work_id]
    return order


def make_work(
    state: State, order_id: int, question: Question, legs: Sequence[HeldLeg], boxes: Sequence[Box]
) -> list[FulfillmentOrder]:
    """One piece of work for each node, with its packages' costs; the units become allocated."""
    made = []
    grace_ns = policy_of(state, question.channel).grace_ns
    for node in state.nodes:
        own = [leg for leg in legs if leg.node == node]
        if not own:
            continue
        packages = [box for box in boxes if box.node == node]
        lines = tuple(
            FulfillmentLine(leg.line, state.sku_index(leg.sku), state.place((leg.sku, node)), leg.units) for leg in own
        )
        made.append(
            FulfillmentOrder(
                state.next_work_id,
                order_id,
                state.node_index(node),
                question.kind,
                FulfillmentState.OPEN,
                lines,
                sum(box.carrier for box in packages),
                sum(box.handling for box in packages),
                max((box.zone for box in packages), default=0),
                sum(box.grams for box in packages),
                state.now_ns,
                state.now_ns,
                ship_day=own[0].day,
                arrival_day=_arrival_day(state, question.service, own[0].day, packages),
                ready_hour=own[0].hour + 1,
                release_ns=state.now_ns + grace_ns if grace_ns and question.kind == SHIP else 0,
                store_node_index=state.node_index(question.store) if question.store else -1,
            )
        )
        state.work[state.next_work_id] = made[-1]
        state.next_work_id += 1
    allocate(state, made, 1)
    return made


def _arrival_day(state: State, service: str, ship_day: int, boxes: Sequence[Box]) -> int:
    """When the last package arrives; 0: no day was promised, or the rate card does not say how long one of them takes."""
    days = [0]
    for box in boxes if ship_day else ():
        transit = state.rate_cards[service].transit_days
        if not 1 <= box.zone <= len(transit):
            return 0
        days.append(ship_day + transit[box.zone - 1])
    return max(days)


def allocate(state: State, work: Iterable[FulfillmentOrder], sign: int, *, day_is_free: bool = True) -> None:
    """``day_is_free`` false: the work is over, and the node has no more time on its day than before."""
    for each in work:
        if day_is_free:
            units = sum(line.units for line in each.lines)
            take(state, list(state.nodes)[each.node_index], (each.ship_day, each.ready_hour - 1), sign, sign * units)
        for line in each.lines:
            state.move(pair_of(state, line), Quantity.ALLOCATED, sign * line.units, StockReason.ALLOCATION)


def _make(
    state: State,
    command: m.PlaceOrder | m.IngestOrder,
    question: Question,
    postal_code: str,
    asked: Asked,
    legs: Sequence[HeldLeg],
    boxes: Sequence[Box],
    *,
    on_hold: bool = False,
) -> Order:
    order_id = state.next_order_id
    state.next_order_id += 1
    lines = []
    for at, (sku, units, price) in enumerate(asked):
        got = sum(leg.units for leg in legs if leg.line == at)
        lines.append(OrderLine(state.sku_index(sku), units, price, allocated_units=got, short_units=units - got))
    shipped = question.kind == SHIP
    work = make_work(state, order_id, question, legs, boxes)
    order = Order(
        order_id,
        command.order_key,
        state.channel_index(question.channel),
        question.kind,
        OrderState.ROUTED,
        command.customer_key,
        postal_code,
        state.regions.index(question.destination) if shipped else -1,
        state.node_index(question.destination if not shipped else question.store)
        if not shipped or question.store
        else -1,
        state.service_index(question.service) if shipped else -1,
        tuple(lines),
        tuple(each.fulfillment_order_id for each in work),
        state.now_ns,
        isinstance(command, m.IngestOrder),
        on_hold=on_hold,
        promised_day=question.due_day,
    )
    return keep(state, order)


def _duplicate(state: State, channel: str, order_key: str) -> OrderReply | None:
    channel_index = state.channel_index(channel)
    for order in state.orders.values():
        if (order.channel_index, order.order_key) == (channel_index, order_key):
            return OrderReply(Outcome.DUPLICATE_ORDER, order_key, existing_order_id=order.order_id)
    return None


def _direct(
    state: State, command: m.PlaceOrder | m.IngestOrder, claim: m.Claim, choices: Iterator[Choice], *, fact: bool
) -> OrderReply:
    try:
        question = ask(state, claim, fact=fact, books=True)
    except Refused as refused:
        refusal = OrderReply(refused.outcome, refused.subject)
        if refused.outcome < Outcome.DUPLICATE_ORDER:
            return refusal
        return _duplicate(state, claim.channel_key, command.order_key) or refusal
    duplicate = _duplicate(state, claim.channel_key, command.order_key)
    if duplicate:
        return duplicate
    grant = decide(state, question, choices)
    if not grant.legs and not fact and not grant.waits:
        return OrderReply(grant.outcome, rule_name(grant), shortages=grant.shortages)
    asked = [(sku, units, price) for (sku, units), (_, _, price) in zip(claim.lines, command.lines, strict=True)]
    on_hold = grant.waits == AfterAction.HOLD
    postal_code = state.nodes[question.store].postal_code if question.store else claim.postal_code
    order = _make(state, command, question, postal_code, asked, grant.legs, grant.boxes, on_hold=on_hold)
    shortages = shortages_of(order)
    return OrderReply(Outcome.PARTIAL if shortages else Outcome.OK, "", order, grant.cost, shortages)


def shortages_of(order: Order) -> tuple[Shortage, ...]:
    return tuple(
        Shortage(at, line.sku_index, line.units, line.units - line.short_units)
        for at, line in enumerate(order.lines)
        if line.short_units
    )


def place(state: State, command: m.PlaceOrder, choices: Iterator[Choice]) -> OrderReply:
    if command.channel_key not in state.channels:
        return OrderReply(Outcome.UNKNOWN_CHANNEL, command.channel_key)
    if command.claim is not None:
        return _direct(state, command, command.claim, choices, fact=False)
    for sku, _, _ in command.lines:
        if sku not in state.skus:
            return OrderReply(Outcome.UNKNOWN_SKU, sku)
    hold = find(state, command.reservation_id)
    if hold is not None and hold.channel != command.channel_key:
        hold = None
    if command.postal_code:
        region = state.region_of(command.postal_code)
        if not region or (hold is not None and (hold.kind != SHIP or hold.store or hold.destination != region)):
            return OrderReply(Outcome.UNKNOWN_DESTINATION, command.postal_code)
    if hold is None:
        return OrderReply(Outcome.UNKNOWN_RESERVATION, str(command.reservation_id))
    duplicate = _duplicate(state, command.channel_key, command.order_key)
    if duplicate:
        return duplicate
    if hold.state != ReservationState.HELD:
        return OrderReply(CLOSED[hold.state], str(command.reservation_id))
    taken = _take(hold, command.lines)
    if isinstance(taken, str):
        return OrderReply(Outcome.UNITS_EXCEEDED, taken)
    return _commit(state, command, hold, *taken)


def _commit(state: State, command: m.PlaceOrder, hold: Hold, asked: Asked, legs: list[HeldLeg]) -> OrderReply:
    shipped = hold.kind == SHIP
    boxes = boxes_by_node(state, hold.destination, hold.service, pairs_of(legs)) if shipped else []
    question = Question(
        hold.channel, hold.kind, hold.destination, hold.service, (), due_day=hold.due_day, store=hold.store
    )
    close(state, hold, ReservationState.COMMITTED)
    postal_code = command.postal_code or (hold.destination if shipped else "")
    if hold.store:
        postal_code = state.nodes[hold.store].postal_code
    order = _make(state, command, question, postal_code, asked, legs, boxes)
    cost = None
    if shipped:
        penalty = state.policies[state.channels[hold.channel].policy_key].split_penalty_micros * (len(boxes) - 1)
        carrier, handling = sum(box.carrier for box in boxes), sum(box.handling for box in boxes)
        cost = Cost(carrier + handling + penalty, carrier, handling, penalty, len(boxes), exact=False)
    return OrderReply(Outcome.OK, "", order, cost)


def _take(hold: Hold, lines: m.PricedLines) -> tuple[Asked, list[HeldLeg]] | str:
    """What an order takes out of a reservation; the SKU of which it wants too much."""
    if not lines:
        numbers = list(dict.fromkeys(leg.line for leg in hold.legs))
        legs = [leg._replace(line=numbers.index(leg.line)) for leg in hold.legs]
        of_line = [[leg for leg in legs if leg.line == at] for at in range(len(numbers))]
        return [(own[0].sku, sum(leg.units for leg in own), 0) for own in of_line], legs
    left = [[leg, leg.units] for leg in hold.legs]
    taken: dict[tuple[int, str, str, int, int], int] = {}
    for at, (sku, units, _) in enumerate(lines):
        wanted = units
        for entry in left:
            leg, there = entry
            assert isinstance(leg, HeldLeg)
            assert isinstance(there, int)
            units_here = min(wanted, there) if leg.sku == sku else 0
            if units_here:
                entry[1] = there - units_here
                wanted -= units_here
                key = at, sku, leg.node, leg.day, leg.hour
                taken[key] = taken.get(key, 0) + units_here
        if wanted:
            return sku
    return list(lines), [HeldLeg(*key[:3], units, *key[3:]) for key, units in taken.items()]


def ingest(state: State, command: m.IngestOrder, choices: Iterator[Choice]) -> OrderReply:
    return _direct(state, command, command.claim, choices, fact=True)


def cancel(state: State, command: m.CancelOrder) -> OrderReply:
    order = state.orders.get(command.order_id)
    if order is None:
        return OrderReply(Outcome.UNKNOWN_ORDER, str(command.order_id))
    wanted = [0] * len(order.lines)
    for index, units in command.lines:
        if index >= len(wanted):
            return OrderReply(Outcome.UNKNOWN_LINE, str(index), order)
        wanted[index] += units
    opened = [line.allocated_units + line.short_units for line in order.lines]
    if not any(opened):
        return OrderReply(Outcome.INVALID_TRANSITION, order.state.name, order)
    wanted = wanted if command.lines else list(opened)
    for index, units in enumerate(wanted):
        if units > opened[index]:
            return OrderReply(Outcome.UNITS_EXCEEDED, str(index), order)
    lines = []
    for index, line in enumerate(order.lines):
        short = min(wanted[index], line.short_units)
        lines.append(
            line._replace(
                short_units=line.short_units - short,
                allocated_units=line.allocated_units - (wanted[index] - short),
                cancelled_units=line.cancelled_units + wanted[index],
            )
        )
        wanted[index] -= short
    active = [each for each in work_of(state, order) if each.is_open]
    for work in sorted(active, key=lambda each: (each.state, each.fulfillment_order_id)):
        _take_out(state, work, wanted)
    after = keep(state, order._replace(lines=tuple(lines)))
    return OrderReply(Outcome.OK, "", after)


def _take_out(state: State, work: FulfillmentOrder, wanted: list[int]) -> None:
    """Give back what is wanted of a piece of work; all of it: it is cancelled."""
    kept = []
    touched = False
    for line in work.lines:
        units = min(wanted[line.line_index], line.units)
        wanted[line.line_index] -= units
        touched = touched or units > 0
        state.move(pair_of(state, line), Quantity.ALLOCATED, -units, StockReason.ALLOCATION)
        if units < line.units:
            kept.append(line._replace(units=line.units - units))
    if touched:
        units = sum(line.units for line in work.lines) - sum(line.units for line in kept)
        take(state, list(state.nodes)[work.node_index], (work.ship_day, work.ready_hour - 1), 0 if kept else -1, -units)
        change: dict[str, Any] = {"lines": tuple(kept)} if kept else {"state": FulfillmentState.CANCELLED}
        state.work[work.fulfillment_order_id] = work._replace(**change, updated_ns=state.now_ns)
