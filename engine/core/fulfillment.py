"""Deciding fulfillment orders: making them from a plan, and every step of their life."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from engine.core.claims import Package, Planner, Question, value_of
from engine.core.draft import Draft, Work
from engine.kernels import columns as c
from engine.model.commands import Accept, HandOver, MarkReady, Reject, Ship
from engine.model.decisions import EffectRow
from engine.model.orders import ON_THE_WAY_STATES, FulfillmentLine, FulfillmentOrder, Order, OrderLine, Routing
from engine.model.outcomes import (
    CommandKind,
    FulfillmentKind,
    FulfillmentState,
    OrderState,
    Outcome,
    RejectReason,
    StockReason,
)
from engine.model.replies import Cost, FulfillmentReply, Shortage
from engine.pool.pool import Pool
from engine.pool.reservations import Held
from engine.pool.stock import move

OPEN, ACCEPTED, READY = FulfillmentState.OPEN, FulfillmentState.ACCEPTED, FulfillmentState.READY_FOR_PICKUP

TRANSITIONS: dict[tuple[FulfillmentKind, FulfillmentState], tuple[FulfillmentState, ...]] = {
    (FulfillmentKind.SHIP, FulfillmentState.ACCEPTED): (OPEN,),
    (FulfillmentKind.SHIP, FulfillmentState.SHIPPED): (ACCEPTED,),
    (FulfillmentKind.SHIP, FulfillmentState.REJECTED): (OPEN, ACCEPTED),
    (FulfillmentKind.SHIP, FulfillmentState.ARRIVED): (FulfillmentState.SHIPPED,),
    (FulfillmentKind.SHIP, FulfillmentState.HANDED_OVER): (FulfillmentState.ARRIVED,),
    (FulfillmentKind.PICKUP, FulfillmentState.ACCEPTED): (OPEN,),
    (FulfillmentKind.PICKUP, FulfillmentState.READY_FOR_PICKUP): (OPEN, ACCEPTED),
    (FulfillmentKind.PICKUP, FulfillmentState.HANDED_OVER): (READY,),
    (FulfillmentKind.PICKUP, FulfillmentState.REJECTED): (OPEN, ACCEPTED, READY),
}
"""From which states a state can be reached. What is not here is refused."""


def make_work(
    pool: Pool, order: Order, legs: Sequence[Held], packages: Sequence[Package], now_ns: int, *, after: int = 0
) -> list[FulfillmentOrder]:
    """One fulfillment order a node, nodes in order of index; costs are the sums of the node's packages.

    ``after``: fulfillment orders that the same decision has made before.
    """
    cell = pool.names.cell
    lines: defaultdict[int, list[FulfillmentLine]] = defaultdict(list)
    promised: dict[int, int] = {}
    for line, slot, units, when in legs:
        sku, node = cell(slot)
        lines[node].append(FulfillmentLine(line, sku, slot, units))
        promised[node] = max(when, promised.get(node, 0))
    boxes: defaultdict[int, list[Package]] = defaultdict(list)
    for box in packages:
        boxes[box.node_index].append(box)
    first_id = pool.orders.next_fulfillment_order_id + after
    grace_ns = pool.network.policy_of(order.channel_index).grace_ns if order.kind == FulfillmentKind.SHIP else 0
    return [
        FulfillmentOrder(
            first_id + count,
            order.order_id,
            node,
            order.kind,
            OPEN,
            tuple(lines[node]),
            sum(box.carrier_micros for box in boxes[node]),
            sum(box.handling_micros for box in boxes[node]),
            max((box.zone for box in boxes[node]), default=0),
            sum(box.weight_grams for box in boxes[node]),
            now_ns,
            now_ns,
            ship_day=promised[node] & c.WHEN_DAY,
            arrival_day=_arrival_day(pool, order, promised[node] & c.WHEN_DAY, boxes[node]),
            ready_hour=promised[node] >> c.WHEN_HOUR,
            release_ns=now_ns + grace_ns if grace_ns else 0,
            store_node_index=order.pickup_node_index if order.ships_to_store else -1,
        )
        for count, node in enumerate(sorted(lines))
    ]


def routing_of(pool: Pool, kind: CommandKind, cost: Cost | None) -> Routing:
    """What an order keeps of the plan that the decision under way makes firm."""
    if cost is None:
        return Routing(pool.seq + 1, kind)
    return Routing(
        pool.seq + 1, kind, cost.total, cost.split_penalty, cost.package_count, cost.exact, late_micros=cost.lateness
    )


def when_of(work: FulfillmentOrder) -> int:
    """Day and hour in one, as kernels count what is taken of them; see ``kernels.columns``."""
    return work.ship_day | work.ready_hour << c.WHEN_HOUR


def _arrival_day(pool: Pool, order: Order, ship_day: int, boxes: Sequence[Package]) -> int:
    """The day on which the last package of a node arrives; 0 when that of any is not known, and for pickup."""
    days = [pool.network.arrival_day(order.service_index, box.zone, ship_day) for box in boxes]
    return max(days) if days and all(days) else 0


def allocation(work: Sequence[FulfillmentOrder], sign: int, *, orders: int = 1, done: bool = False) -> list[EffectRow]:
    """Effects that make the units of work firm (1), or give them back (−1); and the same with the capacity of its day.

    ``orders`` 0: a part of work that goes on. ``done``: the units have left, and their day has no more room than before.
    """
    effects = [
        move(line.slot, c.ALLOCATED, sign * line.units, StockReason.ALLOCATION) for each in work for line in each.lines
    ]
    for each in work:
        if each.ship_day:
            units = sum([line.units for line in each.lines])
            effects.append((c.OP_CAPACITY, each.node_index, when_of(each), sign * orders, sign * units, int(done)))
    return effects


def order_state(lines: Sequence[OrderLine], work: Iterable[FulfillmentOrder], *, on_hold: bool = False) -> OrderState:
    """State of an order from its lines and its fulfillment orders."""
    known = list(work)
    states = [each.state for each in known]
    if not any(line.open_units for line in lines):
        if any(each.store_node_index >= 0 and each.state in ON_THE_WAY_STATES for each in known):
            return OrderState.IN_FULFILLMENT
        return OrderState.COMPLETED if any(line.fulfilled_units for line in lines) else OrderState.CANCELLED
    if any(line.fulfilled_units for line in lines) or any(state in (ACCEPTED, READY) for state in states):
        return OrderState.IN_FULFILLMENT
    if on_hold:
        return OrderState.ON_HOLD
    return OrderState.BACKORDERED if any(line.short_units for line in lines) else OrderState.ROUTED


def with_work(pool: Pool, order: Order, lines: Sequence[OrderLine], changed: Sequence[FulfillmentOrder]) -> Order:
    """The order with these lines after these fulfillment orders changed or were added."""
    present = {work.fulfillment_order_id: work for work in pool.orders.work_of_order(order)}
    present.update((work.fulfillment_order_id, work) for work in changed)
    return order._replace(
        lines=tuple(lines),
        fulfillment_order_ids=tuple(present),
        state=order_state(lines, present.values(), on_hold=order.on_hold),
    )


def _step(
    pool: Pool, fulfillment_order_id: int, target: FulfillmentState, now_ns: int
) -> tuple[Order, FulfillmentOrder] | FulfillmentReply:
    """The order and its work in the state aimed at, or the refusal."""
    work = pool.orders.fulfillment_orders.get(fulfillment_order_id)
    if work is None:
        return FulfillmentReply(Outcome.UNKNOWN_FULFILLMENT_ORDER, str(fulfillment_order_id))
    order = pool.orders.orders[work.order_id]
    from_store = work.kind == FulfillmentKind.SHIP and target in (
        FulfillmentState.ARRIVED,
        FulfillmentState.HANDED_OVER,
    )
    if work.state not in TRANSITIONS.get((work.kind, target), ()) or (from_store and work.store_node_index < 0):
        return FulfillmentReply(Outcome.INVALID_TRANSITION, work.state.name, work, order.order_key)
    return order, work._replace(state=target, updated_ns=now_ns)


def _progress(pool: Pool, fulfillment_order_id: int, target: FulfillmentState, now_ns: int) -> Draft:
    """A step without an effect on stock."""
    found = _step(pool, fulfillment_order_id, target, now_ns)
    if isinstance(found, FulfillmentReply):
        return Draft(found)
    order, work = found
    return Draft(
        FulfillmentReply(Outcome.OK, "", work, order.order_key),
        (),
        (work, with_work(pool, order, order.lines, (work,))),
    )


def decide_accept(pool: Pool, command: Accept, now_ns: int) -> Draft:
    """The node takes the work."""
    return _progress(pool, command.fulfillment_order_id, ACCEPTED, now_ns)


def decide_mark_ready(pool: Pool, command: MarkReady, now_ns: int) -> Draft:
    """The goods wait for the buyer: in the store that had them, or the one that a parcel has come to."""
    work = pool.orders.fulfillment_orders.get(command.fulfillment_order_id)
    to_store = work is not None and work.store_node_index >= 0
    return _progress(pool, command.fulfillment_order_id, FulfillmentState.ARRIVED if to_store else READY, now_ns)


def _depart(
    pool: Pool, fulfillment_order_id: int, target: FulfillmentState, reason: StockReason, tracking: str, now_ns: int
) -> Draft:
    """The goods leave: on hand and allocated fall together."""
    found = _step(pool, fulfillment_order_id, target, now_ns)
    if isinstance(found, FulfillmentReply):
        return Draft(found)
    order, work = found
    work = work._replace(tracking=tracking)
    effects = allocation((work,), -1, done=True)
    effects += [move(line.slot, c.ON_HAND, -line.units, reason) for line in work.lines]
    lines = list(order.lines)
    for leg in work.lines:
        line = lines[leg.line_index]
        lines[leg.line_index] = line._replace(
            allocated_units=line.allocated_units - leg.units, fulfilled_units=line.fulfilled_units + leg.units
        )
    documents = (work, with_work(pool, order, lines, (work,)))
    return Draft(FulfillmentReply(Outcome.OK, "", work, order.order_key), effects, documents)


def decide_ship(pool: Pool, command: Ship, now_ns: int) -> Draft:
    """The package has left."""
    return _depart(
        pool, command.fulfillment_order_id, FulfillmentState.SHIPPED, StockReason.SHIPMENT, command.tracking, now_ns
    )


def decide_hand_over(pool: Pool, command: HandOver, now_ns: int) -> Draft:
    """The buyer has it. What came to the store in a parcel was never its stock."""
    work = pool.orders.fulfillment_orders.get(command.fulfillment_order_id)
    if work is not None and work.store_node_index >= 0:
        return _progress(pool, command.fulfillment_order_id, FulfillmentState.HANDED_OVER, now_ns)
    return _depart(pool, command.fulfillment_order_id, FulfillmentState.HANDED_OVER, StockReason.HANDOVER, "", now_ns)


def reject_effects(pool: Pool, work: FulfillmentOrder, reason: RejectReason) -> list[EffectRow]:
    """Give the units back, then correct the node's stock by what the reason says about it."""
    # Who is too busy, or closed, has no more time for the day than before.
    effects = allocation((work,), -1, done=reason in (RejectReason.TOO_BUSY, RejectReason.CLOSED))
    by_slot: defaultdict[int, int] = defaultdict(int)
    for line in work.lines:
        by_slot[line.slot] += line.units
    for slot, units in by_slot.items():
        if reason == RejectReason.NOT_IN_STOCK:
            free = pool.stock.units(slot, c.ATF) + units
            if free > 0:
                effects.append(move(slot, c.ON_HAND, -free, StockReason.REJECTION))
        elif reason == RejectReason.MISMATCH:
            effects.append(move(slot, c.ON_HAND, -units, StockReason.REJECTION))
        elif reason == RejectReason.DAMAGED:
            effects.append(move(slot, c.DAMAGED, units, StockReason.REJECTION))
        elif reason == RejectReason.WORN_DISPLAY:
            effects.append(move(slot, c.DISPLAY, units, StockReason.REJECTION))
    return effects


def rerouted(pool: Pool, order: Order, work: FulfillmentOrder) -> Question:
    """The claim for what a node gave back: shipping, anywhere but where the order was rejected before."""
    return routed_again(pool, order, ((leg.sku_index, leg.units) for leg in work.lines), (work.node_index,))


def routed_again(pool: Pool, order: Order, lines: Iterable[tuple[int, int]], refusers: Iterable[int] = ()) -> Question:
    """The claim for (SKU, units) of an order that need a node: a fact, and none of the nodes that rejected the order before.

    Nor the store to which it is shipped. Its rules take it to be worth what the whole order is.
    """
    refused = [each.node_index for each in pool.orders.work_of_order(order) if each.state == FulfillmentState.REJECTED]
    shipped = order.kind == FulfillmentKind.SHIP
    store = (order.pickup_node_index,) if order.ships_to_store else ()
    return Question(
        0, "", order.kind, order.channel_index, order.region_index if shipped else order.pickup_node_index,
        order.service_index, tuple(lines), partial=True, fact=True,
        excluded=tuple(dict.fromkeys([*store, *refusers, *reversed(refused)]))[: c.EXCLUDED_MAX],
        value_micros=value_of(pool, ((line.sku_index, line.units) for line in order.lines)),
        due_day=order.promised_day,
        store_index=order.pickup_node_index if shipped else -1,
    )  # fmt: skip


def decide_reject(pool: Pool, planner: Planner, command: Reject, now_ns: int) -> Draft:
    """The node cannot do it: its stock is corrected, and shipped units are routed elsewhere in the same decision.

    The pickup store was the buyer's choice, hence rejected pickup work is short. Nothing of this order goes back to a node that
    rejected it, so the plan does not depend on the corrections made here.
    """
    found = _step(pool, command.fulfillment_order_id, FulfillmentState.REJECTED, now_ns)
    if isinstance(found, FulfillmentReply):
        return Draft(found)
    order, work = found
    work = work._replace(reject_reason=command.reason)
    effects = reject_effects(pool, work, command.reason)
    replaced = Work((), [], None)
    if order.kind == FulfillmentKind.SHIP:
        question = rerouted(pool, order, work)
        plan = planner.plan(question)
        legs = [leg._replace(line_index=work.lines[leg.line_index].line_index) for leg in plan.legs]
        made = make_work(pool, order, legs, plan.packages, now_ns)
        replaced = Work(tuple(made), allocation(made, 1), plan.cost)
        again = routing_of(pool, CommandKind.REJECT, plan.cost)._replace(rejected_id=work.fulfillment_order_id)
        order = order._replace(routings=(*order.routings, again))
    lines, shortages = _lines_after_reject(order, work, replaced.fulfillment_orders)
    changed = (work, *replaced.fulfillment_orders)
    reply = FulfillmentReply(
        Outcome.PARTIAL if shortages else Outcome.OK, "", work, order.order_key, replaced.fulfillment_orders, shortages
    )
    return Draft(reply, effects + replaced.effects, (*changed, with_work(pool, order, lines, changed)))


def _lines_after_reject(
    order: Order, work: FulfillmentOrder, replacements: Sequence[FulfillmentOrder]
) -> tuple[list[OrderLine], tuple[Shortage, ...]]:
    """The order's lines, units that found no other node moved from allocated to short, and these as shortages."""
    lost: defaultdict[int, int] = defaultdict(int)
    asked: defaultdict[int, int] = defaultdict(int)
    for leg in work.lines:
        lost[leg.line_index] += leg.units
        asked[leg.line_index] += leg.units
    for each in replacements:
        for leg in each.lines:
            lost[leg.line_index] -= leg.units
    lines = list(order.lines)
    shortages = []
    for index, units in lost.items():
        if units:
            line = lines[index]
            lines[index] = line._replace(
                allocated_units=line.allocated_units - units, short_units=line.short_units + units
            )
            shortages.append(Shortage(index, line.sku_index, asked[index], asked[index] - units))
    return lines, tuple(shortages)
