"""Explaining an order from the journal: the state before each of its plans is replayed, and the router is asked again.

The journal says who decided what; the state at that place and the code of today say why. A plan that today's code would not make any more
is told so (``reproduced``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from engine.core.claims import Question, value_of
from engine.core.fulfillment import rerouted
from engine.core.machine import Machine
from engine.core.rerouting import cells_of, floating_work, question_of
from engine.core.waiting import asked_again
from engine.journal import Journal, JournalCut
from engine.journal.codec import decode
from engine.kernels import columns as c
from engine.model.decisions import Decision
from engine.model.explanations import Explanation, Replayed
from engine.model.limits import Limits
from engine.model.orders import FulfillmentOrder, Order, Routing
from engine.model.outcomes import CommandKind, FulfillmentKind, FulfillmentState
from engine.model.replies import ReserveReply
from engine.recovery import SnapshotMissing, advance, recover
from engine.snapshots import SnapshotFolder

RESERVING = (CommandKind.RESERVE, CommandKind.BATCH_RESERVE)


class Unexplained(Exception):
    """Why the state of a plan cannot be had, in words."""


class Asked(NamedTuple):
    """What the router was asked and what it gave: units by slot. ``taken``: units by slot that the batch had given before."""

    question: Question
    granted: dict[int, int]
    taken: dict[int, int]
    order_id: int = 0
    reservation_id: int = 0


def explain_order(
    journal: Journal,
    limits: Limits,
    order: Order,
    snapshots: SnapshotFolder | None = None,
    *,
    replay_max: int | None = None,
) -> tuple[Explanation, ...]:
    """Every plan of the order, in order.

    ``replay_max``: so many decisions are replayed at most to come to the state of a plan; one that lies farther from any snapshot is told
    without it. Raises JournalError when the journal is damaged.
    """
    explained = []
    machine: Machine | None = None
    for routing in order.routings:
        try:
            decision = _decision(journal, routing)
            if machine is None or machine.seq >= decision.seq:
                _require_near(decision.seq, snapshots, replay_max)
                machine = recover(journal, limits, to_seq=decision.seq - 1, snapshots=snapshots)
            advance(machine, journal, to_seq=decision.seq - 1)
            explained.append(Explanation(routing, _explained(machine, decision, order, routing)))
        except (Unexplained, JournalCut, SnapshotMissing) as obstacle:
            machine = None
            explained.append(Explanation(routing, None, str(obstacle)))
    return tuple(explained)


def _require_near(seq: int, snapshots: SnapshotFolder | None, replay_max: int | None) -> None:
    if replay_max is None:
        return
    before = [each.seq for each in (snapshots.snapshots() if snapshots else ()) if each.seq < seq]
    first_seq = max([0, *before])
    if seq - first_seq > replay_max:
        raise Unexplained(
            f"it was decided {seq - first_seq:,} decisions after the nearest state that is kept, and the server replays {replay_max:,} at most; "
            "ask `stockpool order explain ID --journal URL`"
        )


def _explained(machine: Machine, decision: Decision, order: Order, routing: Routing) -> Replayed:
    if routing.kind == CommandKind.REROUTE_ORDER:
        asked = _moved(machine, decision, order.order_id)
    elif decision.kind in RESERVING:
        asked = next(each for each in reserved(machine, decision) if each.reservation_id == routing.reservation_id)
    elif decision.kind == CommandKind.REJECT:
        asked = _rejected(machine, decision, order.order_id, routing.rejected_id)
    elif decision.kind == CommandKind.RELEASE_ORDER:
        question = asked_again(machine.pool, machine.pool.orders.orders[order.order_id])
        asked = Asked(question, _new_units(decision, order.order_id), {})
    else:
        asked = placed(machine, decision, order.order_id)
    return machine.explain(asked.question, asked.granted, asked.taken, decision.now_ns, proposed=routing.proposed)


def placed(machine: Machine, decision: Decision, order_id: int) -> Asked:
    """What the router was asked for an order that did not come from a reservation."""
    order = next(each for each in decision.documents if isinstance(each, Order) and each.order_id == order_id)
    shipped = order.kind == FulfillmentKind.SHIP
    lines = tuple((line.sku_index, line.units) for line in order.lines)
    question = Question(
        0,
        "",
        order.kind,
        order.channel_index,
        order.region_index if shipped else order.pickup_node_index,
        order.service_index,
        lines,
        partial=order.ingested,
        fact=order.ingested,
        value_micros=value_of(machine.pool, lines),
        books=True,
        due_day=order.promised_day,
        excluded=(order.pickup_node_index,) if order.ships_to_store else (),
        store_index=order.pickup_node_index if shipped else -1,
    )
    return Asked(question, _new_units(decision, order_id), _given_way(decision), order_id)


def _rejected(machine: Machine, decision: Decision, order_id: int, rejected_id: int) -> Asked:
    work = next(
        each
        for each in decision.documents
        if isinstance(each, FulfillmentOrder) and each.fulfillment_order_id == rejected_id
    )
    question = rerouted(machine.pool, machine.pool.orders.orders[order_id], work)
    return Asked(question, _new_units(decision, order_id), {})


def _moved(machine: Machine, decision: Decision, order_id: int) -> Asked:
    """What floated was given back, and those before this order took theirs again: by all orders that move together, or by one after the other
    where they give way to something, whose units were taken before.
    """
    pool, taken = machine.pool, defaultdict[int, int](int, _pinned(decision))
    made = [each for each in decision.documents if isinstance(each, Order)]
    orders = [each.order_id for each in made if each.order_id in pool.orders.orders]
    at = orders.index(order_id)
    together = decision.kind == CommandKind.REROUTE_ORDER
    for moved_id in orders if together else orders[: at + 1]:
        for slot, units in cells_of(floating_work(pool, pool.orders.orders[moved_id])):
            taken[slot] -= units
    for earlier_id in orders[:at]:
        for slot, units in _new_units(decision, earlier_id).items():
            taken[slot] += units
    order = pool.orders.orders[order_id]
    question, _ = question_of(pool, order, floating_work(pool, order))
    return Asked(question, _new_units(decision, order_id), dict(taken))


def _pinned(decision: Decision) -> dict[int, int]:
    """Units by slot that a decision took where work had to give way: sold at a till, held or ordered to be collected."""
    units: defaultdict[int, int] = defaultdict(int)
    for operation, first, second, third, _, _ in [] if decision.effects is None else decision.effects.tolist():
        if operation == c.OP_MOVE and second == c.ON_HAND:
            units[first] -= third
        elif operation == c.OP_LEG:
            units[second] += third
    for each in decision.documents:
        if isinstance(each, FulfillmentOrder) and each.kind == FulfillmentKind.PICKUP:
            for line in each.lines:
                units[line.slot] += line.units
    return dict(units)


def _given_way(decision: Decision) -> dict[int, int]:
    """Units by slot that floating work left for what the decision pinned, below zero: they were free to it."""
    units: defaultdict[int, int] = defaultdict(int)
    for each in decision.documents:
        if isinstance(each, FulfillmentOrder) and each.state == FulfillmentState.MOVED:
            for line in each.lines:
                units[line.slot] -= line.units
    return dict(units)


def _new_units(decision: Decision, order_id: int) -> dict[int, int]:
    """Units by slot of the work that the decision made."""
    units: defaultdict[int, int] = defaultdict(int)
    for each in decision.documents:
        if isinstance(each, FulfillmentOrder) and each.order_id == order_id and each.state == FulfillmentState.OPEN:
            for line in each.lines:
                units[line.slot] += line.units
    return dict(units)


def reserved(machine: Machine, decision: Decision) -> Iterator[Asked]:
    """What the router was asked for each reservation that the decision made, in order.

    What was asked for is what was granted and, where the reply tells it, what was not. ``taken`` goes on growing as the next ones are asked for.
    """
    taken: defaultdict[int, int] = defaultdict(int, _given_way(decision))
    holds: list[tuple[list[int], list[list[int]]]] = []
    for row in [] if decision.effects is None else decision.effects.tolist():
        if row[0] == c.OP_HOLD:
            holds.append((row, []))
        elif row[0] == c.OP_LEG:
            holds[-1][1].append(row)
    for hold, legs in holds:
        yield _held(machine, decision, hold, legs)._replace(taken=taken)
        for leg in legs:
            taken[leg[2]] += leg[3]


def _held(machine: Machine, decision: Decision, hold: list[int], legs: list[list[int]]) -> Asked:
    _, reservation_id, _, channel, destination, meta = hold
    granted: defaultdict[int, int] = defaultdict(int)
    by_line: dict[int, tuple[int, int]] = {}
    for leg in legs:
        slot, units, line = leg[2], leg[3], leg[4]
        granted[slot] += units
        by_line[line] = (machine.pool.names.cell(slot)[0], by_line.get(line, (0, 0))[1] + units)
    shortages = decision.reply.shortages if isinstance(decision.reply, ReserveReply) else ()
    for short in shortages:
        by_line[short.line_index] = (short.sku_index, short.requested_units)
    lines = tuple(by_line[line] for line in sorted(by_line))
    store = (meta >> c.META_STORE_SHIFT) - 1
    question = Question(
        0,
        "",
        FulfillmentKind(meta & c.META_KIND_MASK),
        channel,
        destination,
        (meta >> c.META_SERVICE_SHIFT & c.META_SERVICE_MASK) - 1,
        lines,
        partial=bool(shortages),
        value_micros=value_of(machine.pool, lines),
        due_day=meta >> c.META_DUE_SHIFT & c.META_DUE_MASK,
        excluded=() if store < 0 else (store,),
        store_index=store,
    )
    return Asked(question, dict(granted), {}, reservation_id=reservation_id)


def _decision(journal: Journal, routing: Routing) -> Decision:
    """The decision that made the plan. Raises Unexplained when it was cut off."""
    first_seq = journal.first_seq()
    if routing.seq < first_seq:
        raise Unexplained(f"the journal begins at seq {first_seq}: what came before was cut off")
    if not routing.reservation_id:
        return next(each for each in _record(journal, routing.seq) if each.seq == routing.seq)
    low, high = first_seq, routing.seq
    while low < high:  # the first decision that is not older than the reservation: times never go back
        middle = (low + high) // 2
        record = _record(journal, middle)
        if record[-1].now_ns < routing.reserved_ns:
            low = record[-1].seq + 1
        else:
            high = min(middle, record[0].seq)
    while low <= routing.seq:
        record = _record(journal, low)
        for decision in record:
            if decision.now_ns > routing.reserved_ns:
                raise Unexplained("the journal was cut off behind its reservation")
            if _holds(decision, routing.reservation_id):
                return decision
        low = record[-1].seq + 1
    raise Unexplained("the journal was cut off behind its reservation")


def _record(journal: Journal, seq: int) -> list[Decision]:
    return decode(next(journal.read(seq, limit=1)))


def _holds(decision: Decision, reservation_id: int) -> bool:
    if decision.kind not in RESERVING or decision.effects is None:
        return False
    effects = decision.effects
    return bool(((effects[:, 0] == c.OP_HOLD) & (effects[:, 1] == reservation_id)).any())
