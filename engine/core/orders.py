"""Deciding orders: from a reservation, directly, as a fact, and their cancellation."""

from collections import defaultdict
from collections.abc import Sequence

from engine.core.claims import BOOKED, Package, Plan, Planner, Question, ask, refused_by
from engine.core.displacement import new_work, room_for
from engine.core.draft import Draft
from engine.core.fulfillment import allocation, make_work, order_state, routing_of, with_work
from engine.kernels import columns as c
from engine.kernels.subsets import PER_CENT
from engine.kernels.terms import LATE_DAYS_MAX, PACK_MAX
from engine.model.commands import CancelOrder, IngestOrder, PlaceOrder, PricedLines
from engine.model.decisions import EffectRow
from engine.model.orders import FulfillmentOrder, Order, OrderLine
from engine.model.outcomes import (
    CommandKind,
    FulfillmentKind,
    FulfillmentState,
    OrderState,
    Outcome,
    ReservationState,
)
from engine.model.replies import Cost, OrderReply, Shortage
from engine.pool.pool import Pool
from engine.pool.reservations import CLOSED_OUTCOME, Held, Reservation


class Earlier:
    """Orders that the same decision has made before, of reservations."""

    def __init__(self) -> None:
        self.order_ids: dict[str, int] = {}
        """By key."""
        self.reservation_ids: set[int] = set()
        self.work_count = 0

    def note(self, order: Order, reservation_id: int) -> None:
        """One more."""
        self.order_ids[order.order_key] = order.order_id
        self.reservation_ids.add(reservation_id)
        self.work_count += len(order.fulfillment_order_ids)


_NOTHING = Earlier()


def _new_order(
    pool: Pool, question: Question, command: PlaceOrder | IngestOrder, postal_code: str, now_ns: int
) -> Order:
    """The order before its lines and work are known."""
    shipped = question.kind == FulfillmentKind.SHIP
    return Order(
        pool.orders.next_order_id,
        command.order_key,
        question.channel_index,
        question.kind,
        OrderState.ROUTED,
        command.customer_key,
        postal_code,
        question.destination if shipped else -1,
        question.store_index if shipped else question.destination,
        question.service_index,
        (),
        (),
        now_ns,
        isinstance(command, IngestOrder),
        promised_day=question.due_day,
    )


def _lines(asked: Sequence[tuple[int, int, int]], legs: Sequence[Held]) -> tuple[OrderLine, ...]:
    """Order lines of (SKU, units, price); what the legs do not cover is short."""
    allocated: defaultdict[int, int] = defaultdict(int)
    for leg in legs:
        allocated[leg.line_index] += leg.units
    return tuple(
        OrderLine(sku, units, price, allocated_units=allocated[line], short_units=units - allocated[line])
        for line, (sku, units, price) in enumerate(asked)
    )


def _draft(
    pool: Pool,
    order: Order,
    legs: Sequence[Held],
    packages: Sequence[Package],
    reply: OrderReply,
    effects: list[EffectRow],
    *,
    after: int = 0,
) -> Draft:
    """Allocate the legs and hand out the work. From here on nothing may fail."""
    work = make_work(pool, order, legs, packages, order.placed_ns, after=after)
    order = order._replace(
        fulfillment_order_ids=tuple(each.fulfillment_order_id for each in work),
        state=order_state(order.lines, work, on_hold=order.on_hold),
    )
    return Draft(reply._replace(order=order), effects + allocation(work, 1), (*work, order))


def _priced(question: Question, lines: PricedLines) -> list[tuple[int, int, int]]:
    return [(sku, units, lines[at][2]) for at, (sku, units) in enumerate(question.lines)]


def _duplicate(pool: Pool, channel: int, order_key: str) -> OrderReply | None:
    existing = pool.orders.order_of_key(channel, order_key)
    return OrderReply(Outcome.DUPLICATE_ORDER, order_key, existing_order_id=existing) if existing else None


def _claim_refusal(pool: Pool, question: Question, channel: int, order_key: str) -> OrderReply | None:
    """Why a claim cannot become an order, before stock is looked at: a used key stands between unknown names and unfit nodes."""
    refusal = OrderReply(Outcome(question.refusal), question.subject) if question.refusal else None
    if refusal is not None and refusal.outcome < Outcome.DUPLICATE_ORDER:
        return refusal
    return _duplicate(pool, channel, order_key) or refusal


def decide_place(pool: Pool, planner: Planner, command: PlaceOrder, now_ns: int) -> Draft:
    """Make an order, from a reservation or with plan and units in this one decision."""
    channel = pool.names.channels.find(command.channel_key)
    if channel < 0:
        return Draft(OrderReply(Outcome.UNKNOWN_CHANNEL, command.channel_key))
    if command.claim is None:
        return place_reserved(pool, command, channel, now_ns)
    question = ask(pool, command.claim, now_ns, books=True)
    refusal = _claim_refusal(pool, question, channel, command.order_key)
    if refusal is not None:
        return Draft(refusal)
    plan = planner.plan(question)
    displaced = room_for(pool, planner, question, plan.outcome)
    if displaced is not None:
        with displaced.overlay(pool, planner).thought():
            pinned = planner.plan(question)
        if pinned.outcome == Outcome.OK:
            moves = displaced.draft(pool, now_ns)
            draft = _booked(pool, question, command, pinned, now_ns, after=new_work(pool, moves))
            effects, documents = [*moves.effects, *draft.effects], moves.documents + draft.documents
            return draft._replace(effects=effects, documents=documents)
    if not plan.granted and plan.after not in BOOKED:
        return Draft(
            OrderReply(plan.outcome, refused_by(pool, question, plan.outcome, plan.rule), shortages=plan.shortages)
        )
    return _booked(pool, question, command, plan, now_ns)


def decide_ingest(pool: Pool, planner: Planner, command: IngestOrder, now_ns: int) -> Draft:
    """Book an order that was sold elsewhere: what no node has is short. Refused only when it cannot be understood, or was
    booked before.
    """
    question = ask(pool, command.claim, now_ns, fact=True, books=True)
    channel = pool.names.channels.find(command.claim.channel_key)
    refusal = _claim_refusal(pool, question, channel, command.order_key)
    if refusal is not None:
        return Draft(refusal)
    return _booked(pool, question, command, planner.plan(question), now_ns)


def _booked(
    pool: Pool, question: Question, command: PlaceOrder | IngestOrder, plan: Plan, now_ns: int, *, after: int = 0
) -> Draft:
    """Make the order, whatever the plan granted; the rest is short, and waits on hold where a rule says so."""
    postal_code = command.claim.postal_code if command.claim else ""
    if question.store_index >= 0:
        postal_code = pool.network.nodes[question.store_index].postal_code
    order = _new_order(pool, question, command, postal_code, now_ns)
    lines = _lines(_priced(question, command.lines), plan.legs)
    kind = CommandKind.INGEST_ORDER if order.ingested else CommandKind.PLACE_ORDER
    on_hold = plan.after == c.AFTER_HOLD and not plan.granted
    order = order._replace(lines=lines, routings=(routing_of(pool, kind, plan.cost),), on_hold=on_hold)
    shortages = shortages_of(lines)
    reply = OrderReply(Outcome.PARTIAL if shortages else Outcome.OK, "", None, plan.cost, shortages)
    return _draft(pool, order, plan.legs, plan.packages, reply, [], after=after)


def shortages_of(lines: Sequence[OrderLine]) -> tuple[Shortage, ...]:
    """Lines with short units; what is allocated is what there was."""
    return tuple(
        Shortage(index, line.sku_index, line.units, line.units - line.short_units)
        for index, line in enumerate(lines)
        if line.short_units
    )


def _reserved_refusal(
    pool: Pool, command: PlaceOrder, channel: int, found: Reservation | None, earlier: Earlier
) -> OrderReply | None:
    """Why a reservation cannot become this order, whatever it holds. The guards stand in the order of their outcomes' numbers."""
    for sku_key, _, _ in command.lines:
        if sku_key not in pool.names.skus.index_of:
            return OrderReply(Outcome.UNKNOWN_SKU, sku_key)
    if command.postal_code:
        region = pool.network.region_of(command.postal_code)
        # Goods to be collected go to no address of the buyer, hence none lies in their region.
        elsewhere = found is not None and (
            found.kind == FulfillmentKind.PICKUP or found.store_index >= 0 or found.destination != region
        )
        if region < 0 or elsewhere:
            return OrderReply(Outcome.UNKNOWN_DESTINATION, command.postal_code)
    if found is None:
        return OrderReply(Outcome.UNKNOWN_RESERVATION, str(command.reservation_id))
    existing = earlier.order_ids.get(command.order_key) or pool.orders.order_of_key(channel, command.order_key)
    if existing:
        return OrderReply(Outcome.DUPLICATE_ORDER, command.order_key, existing_order_id=existing)
    state = ReservationState.COMMITTED if found.reservation_id in earlier.reservation_ids else found.state
    return None if state == ReservationState.HELD else OrderReply(CLOSED_OUTCOME[state], str(command.reservation_id))


def place_reserved(pool: Pool, command: PlaceOrder, channel: int, now_ns: int, earlier: Earlier = _NOTHING) -> Draft:
    """Turn a reservation into an order; units that the order does not take are given back."""
    found = pool.reservations.get(command.reservation_id)
    if found is not None and found.channel_index != channel:
        found = None  # another channel's reservation is not this caller's to take, nor to know of
    refusal = _reserved_refusal(pool, command, channel, found, earlier)
    if refusal is not None or found is None:
        return Draft(refusal or OrderReply(Outcome.UNKNOWN_RESERVATION))
    taken = _taken(pool, command.lines, found)
    if isinstance(taken, str):
        return Draft(OrderReply(Outcome.UNITS_EXCEEDED, taken))
    asked, legs = taken
    question = Question(
        0,
        "",
        found.kind,
        channel,
        found.destination,
        found.service_index,
        tuple(line[:2] for line in asked),
        partial=False,
        due_day=found.due_day,
        store_index=found.store_index,
    )
    packages = reserved_packages(pool, found, legs)
    postal_code = command.postal_code
    if found.kind == FulfillmentKind.SHIP and not postal_code:
        postal_code = pool.names.region_keys[found.destination]
        if found.store_index >= 0:
            postal_code = pool.network.nodes[found.store_index].postal_code
    cost = _cost(pool, channel, packages) if packages else None
    made = routing_of(pool, CommandKind.PLACE_ORDER, cost)
    made = made._replace(reservation_id=found.reservation_id, reserved_ns=found.created_ns)
    order = _new_order(pool, question, command, postal_code, now_ns)
    order_id = order.order_id + len(earlier.order_ids)
    order = order._replace(order_id=order_id, lines=_lines(asked, legs), routings=(made,))
    effects: list[EffectRow] = [(c.OP_CLOSE, found.reservation_id, ReservationState.COMMITTED, 0, 0, 0)]
    reply = OrderReply(Outcome.OK, "", None, cost)
    return _draft(pool, order, legs, packages, reply, effects, after=earlier.work_count)


def _taken(pool: Pool, lines: PricedLines, found: Reservation) -> tuple[list[tuple[int, int, int]], list[Held]] | str:
    """(SKU, units, price) and legs that an order takes from a reservation; the SKU key when it asks for more than is held.

    Lines match by SKU, in order. No lines: everything held, one line for each line of the reservation that holds units.
    """
    cell = pool.names.cell
    if not lines:
        by_line: defaultdict[int, list[Held]] = defaultdict(list)
        for leg in found.legs:
            by_line[leg.line_index].append(leg)
        whole = [(cell(held[0].slot)[0], sum(leg.units for leg in held), 0) for held in by_line.values()]
        return whole, [leg._replace(line_index=at) for at, held in enumerate(by_line.values()) for leg in held]
    left = [[cell(leg.slot)[0], leg.slot, leg.units] for leg in found.legs]
    promised = {leg.slot: leg.when for leg in found.legs}
    asked: list[tuple[int, int, int]] = []
    taken: defaultdict[tuple[int, int], int] = defaultdict(int)
    for at, (sku_key, units, price) in enumerate(lines):
        sku = pool.names.skus.find(sku_key)
        asked.append((sku, units, price))
        wanted = units
        for entry in left:
            if entry[0] == sku and entry[2] and wanted:
                take = min(wanted, entry[2])
                entry[2] -= take
                wanted -= take
                taken[at, entry[1]] += take
        if wanted:
            return sku_key
    # One leg a line and cell, however the reservation's own lines were cut: a node's work never has more lines than the order.
    return asked, [Held(at, slot, units, promised[slot]) for (at, slot), units in taken.items()]


def reserved_packages(pool: Pool, found: Reservation, legs: Sequence[Held]) -> tuple[Package, ...]:
    """Packages of a shipped reservation, one a node, priced by today's rate card."""
    if found.kind == FulfillmentKind.PICKUP:
        return ()
    network = pool.network
    load: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])
    for leg in legs:
        sku, node = pool.names.cell(leg.slot)
        load[node][0] += leg.units * network.skus[sku].weight_grams
        load[node][1] += leg.units
    packages = []
    leaving = {pool.names.cell(leg.slot)[1]: leg.day for leg in legs}
    for node, (grams, units) in sorted(load.items()):
        zone = int(network.zones[found.destination, node])
        carrier = max(network.carrier_micros(found.service_index, zone, grams), 0)
        handling = network.nodes[node].package_cost_micros + units * network.nodes[node].unit_cost_micros
        arrival_day = network.arrival_day(found.service_index, zone, leaving[node])
        late = late_micros(pool, found.channel_index, found.due_day, arrival_day)
        packages.append(
            Package(
                node, zone, grams, carrier, min(handling, c.COST_MAX), other_micros=late, ship_day=leaving[node],
                arrival_day=arrival_day, late_micros=late,
            )
        )  # fmt: skip
    return tuple(packages)


def late_micros(pool: Pool, channel_index: int, due_day: int, arrival_day: int) -> int:
    """What a channel's policy of today says of a package that arrives on a day; nothing when no day was promised."""
    policy = pool.network.policy_of(channel_index)
    each = policy.late_penalty_micros * policy.weights.lateness // PER_CENT
    return min(each * days_late(due_day, arrival_day), PACK_MAX >> 2)


def days_late(due_day: int, arrival_day: int) -> int:
    """Days after the promised one, as ``kernels.terms`` counts them; 0 when none was promised."""
    if not due_day:
        return 0
    return min(max(arrival_day - due_day, 0), LATE_DAYS_MAX) if arrival_day else LATE_DAYS_MAX


def _cost(pool: Pool, channel: int, packages: Sequence[Package]) -> Cost:
    carrier = min(sum(box.carrier_micros for box in packages), c.COST_MAX)
    handling = min(sum(box.handling_micros for box in packages), c.COST_MAX)
    split = pool.network.policy_of(channel).split_penalty_micros * (len(packages) - 1)
    lateness = sum(box.late_micros for box in packages)
    total = min(carrier + handling + split + lateness, c.COST_MAX)
    return Cost(total, carrier, handling, split, len(packages), exact=False, lateness=lateness)


def decide_cancel(pool: Pool, command: CancelOrder, now_ns: int) -> Draft:
    """Cancel units that have not left: short ones first, then those that no node has begun to work on."""
    order = pool.orders.orders.get(command.order_id)
    if order is None:
        return Draft(OrderReply(Outcome.UNKNOWN_ORDER, str(command.order_id)))
    wanted = dict.fromkeys(range(len(order.lines)), 0)
    for index, units in command.lines:
        if index not in wanted:
            return Draft(OrderReply(Outcome.UNKNOWN_LINE, str(index), order))
        wanted[index] += units
    if not any(line.open_units for line in order.lines):
        return Draft(OrderReply(Outcome.INVALID_TRANSITION, order.state.name, order))
    if not command.lines:
        wanted = {index: line.open_units for index, line in enumerate(order.lines)}
    for index, units in wanted.items():
        if units > order.lines[index].open_units:
            return Draft(OrderReply(Outcome.UNITS_EXCEEDED, str(index), order))
    # From here on nothing may fail.
    lines = list(order.lines)
    for index, units in wanted.items():
        line = lines[index]
        short = min(units, line.short_units)
        wanted[index] = units - short
        lines[index] = line._replace(
            short_units=line.short_units - short,
            allocated_units=line.allocated_units - (units - short),
            cancelled_units=line.cancelled_units + units,
        )
    changed, effects = _cancel_work(pool, order, wanted, now_ns)
    after = with_work(pool, order, lines, changed)
    return Draft(OrderReply(Outcome.OK, "", after), effects, (*changed, after), command.reference)


def _cancel_work(
    pool: Pool, order: Order, wanted: dict[int, int], now_ns: int
) -> tuple[list[FulfillmentOrder], list[EffectRow]]:
    """Take units out of open work, least advanced first; work with nothing left is cancelled."""
    changed: list[FulfillmentOrder] = []
    effects: list[EffectRow] = []
    for work in sorted(
        (each for each in pool.orders.work_of_order(order) if each.is_open), key=lambda each: each.state
    ):
        kept = []
        given_back = []
        for leg in work.lines:
            units = min(wanted[leg.line_index], leg.units)
            wanted[leg.line_index] -= units
            if units:
                given_back.append(leg._replace(units=units))
            if units < leg.units:
                kept.append(leg._replace(units=leg.units - units))
        if not given_back:
            continue
        effects += allocation((work._replace(lines=tuple(given_back)),), -1, orders=0 if kept else 1)
        if kept:
            changed.append(work._replace(lines=tuple(kept), updated_ns=now_ns))
        else:
            changed.append(work._replace(state=FulfillmentState.CANCELLED, updated_ns=now_ns))
    return changed, effects
