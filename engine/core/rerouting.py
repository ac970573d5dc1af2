"""Moving floating work: what is to be shipped and no node has begun may go to a better node, with its units, in one decision.

Whoever proposes (a person, a wave, the engine itself) only proposes: whether the units are free, what the rules say, what is promised and
what it saves is found out here, from what is so now. What has gone stale is refused, and stays where it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from engine.core.claims import Plan, Planner, Question
from engine.core.draft import Draft
from engine.core.fulfillment import allocation, make_work, routed_again, routing_of, with_work
from engine.core.overlay import Cells, Overlay, fence_of
from engine.model.commands import Move, RerouteOrder
from engine.model.decisions import Document, EffectRow
from engine.model.orders import FulfillmentOrder, Order
from engine.model.outcomes import CommandKind, FulfillmentState, Outcome
from engine.model.replies import RerouteReply
from engine.pool.pool import Pool

NOWHERE = 1 << 62
"""Micros: the score of work that stands where it cannot be done, for the node is closed or the rules have changed."""


class Floating(NamedTuple):
    """The floating work of an order, and what is to become of it."""

    order: Order
    work: tuple[FulfillmentOrder, ...]
    line_indexes: tuple[int, ...]
    """Of the order, for the lines of the question."""
    question: Question
    proposed: Cells
    """Empty: the router chooses."""


class Standing(NamedTuple):
    """What the floating work of an order costs as it stands."""

    score: int
    """NOWHERE: it cannot be done there."""
    arrival_day: int
    """When the last package arrives; 0: not known."""


def floating_work(pool: Pool, order: Order) -> tuple[FulfillmentOrder, ...]:
    """Work of the order that another node may still do."""
    return tuple([work for work in pool.orders.work_of_order(order) if work.floats])


def cells_of(work: Iterable[FulfillmentOrder]) -> Cells:
    """Units by slot."""
    units: defaultdict[int, int] = defaultdict(int)
    for each in work:
        for line in each.lines:
            units[line.slot] += line.units
    return tuple(units.items())


def question_of(pool: Pool, order: Order, work: Iterable[FulfillmentOrder]) -> tuple[Question, tuple[int, ...]]:
    """The claim for the units of floating work, a line for each of the order's that has any; and which lines those are."""
    units: defaultdict[int, int] = defaultdict(int)
    for each in work:
        for line in each.lines:
            units[line.line_index] += line.units
    indexes = tuple(sorted(units))
    return routed_again(pool, order, [(order.lines[at].sku_index, units[at]) for at in indexes]), indexes


def decide_reroute(pool: Pool, planner: Planner, command: RerouteOrder, now_ns: int) -> Draft:
    """Give back the floating units of all the orders and take them again elsewhere, if all of them find a place and it saves enough.

    An order keeps the day on which it was to arrive, unless it stands where it cannot be done.
    """
    found = []
    for move in command.moves:
        floating = _floating(pool, move)
        if isinstance(floating, RerouteReply):
            return Draft(floating)
        found.append(floating)
    plans = _plans(pool, planner, found)
    if isinstance(plans, RerouteReply):
        return Draft(plans)
    unmoved = Draft(RerouteReply(Outcome.OK, "", tuple([each.order for each in found])))
    saving, any_gain = 0, False
    for floating, plan in zip(found, plans, strict=True):
        standing = standing_of(pool, planner, floating)
        if plan.outcome != Outcome.OK or is_later(pool, floating, plan, standing):
            return unmoved
        any_gain |= standing.score == NOWHERE
        saving += standing.score - plan.score_micros if standing.score != NOWHERE else 0
    if not any_gain and saving < max(command.saving_micros_min, 1):
        return unmoved
    return moved(pool, found, plans, saving, now_ns)


def floating_of(pool: Pool, order: Order) -> Floating:
    """What floats of an order, for the router to choose."""
    work = floating_work(pool, order)
    question, indexes = question_of(pool, order, work)
    return Floating(order, work, indexes, question, ())


def _floating(pool: Pool, move: Move) -> Floating | RerouteReply:
    order = pool.orders.orders.get(move.order_id)
    if order is None:
        return RerouteReply(Outcome.UNKNOWN_ORDER, str(move.order_id))
    work = floating_work(pool, order)
    if move.work_ids and move.work_ids != tuple([each.fulfillment_order_id for each in work]):
        return RerouteReply(Outcome.STALE_PLAN, str(move.order_id))
    if not work:
        return RerouteReply(Outcome.INVALID_TRANSITION, order.state.name, (order,))
    names = pool.names
    cells: defaultdict[int, int] = defaultdict(int)
    for sku_key, node_key, units in move.legs:
        sku, node = names.skus.find(sku_key), names.nodes.find(node_key)
        slot = pool.stock.find(sku, node) if min(sku, node) >= 0 else -1
        if slot < 0:
            return RerouteReply(Outcome.STALE_PLAN, str(move.order_id))
        cells[slot] += units
    return floating_of(pool, order)._replace(proposed=tuple(cells.items()))


def _plans(pool: Pool, planner: Planner, found: Sequence[Floating]) -> list[Plan] | RerouteReply:
    """The plans of the orders, one after the other, each from what the ones before it leave."""
    overlay = Overlay(pool, planner)
    for floating in found:
        overlay.give_back(floating.work)
    plans = []
    for floating in found:
        plan = overlay.plan(floating.question)
        if floating.proposed:
            first_rule = plan.rule
            plan = overlay.plan(floating.question, fence_of(pool, floating.proposed))
            # The rules come first: what an earlier one can serve a later one does not get, however cheap.
            if plan.outcome != Outcome.OK or plan.rule > first_rule or _units(plan) != dict(floating.proposed):
                return RerouteReply(Outcome.STALE_PLAN, str(floating.order.order_id))
        overlay.take(plan.legs)
        plans.append(plan)
    return plans


def _units(plan: Plan) -> dict[int, int]:
    units: defaultdict[int, int] = defaultdict(int)
    for leg in plan.legs:
        units[leg.slot] += leg.units
    return dict(units)


def standing_of(pool: Pool, planner: Planner, floating: Floating) -> Standing:
    """What the order's work costs where it stands, by the prices and rules of now."""
    overlay = Overlay(pool, planner)
    overlay.give_back(floating.work)
    plan = overlay.plan(floating.question, fence_of(pool, cells_of(floating.work)))
    arrivals = [each.arrival_day for each in floating.work]
    score = plan.score_micros if plan.outcome == Outcome.OK else NOWHERE
    return Standing(score, max(arrivals) if all(arrivals) else 0)


def is_later(pool: Pool, floating: Floating, plan: Plan, standing: Standing) -> bool:
    """Whether a plan does not keep the day on which the order was to arrive."""
    if not standing.arrival_day or standing.score == NOWHERE:
        return False
    made = make_work(pool, floating.order, plan.legs, plan.packages, 0)
    return any(not 0 < each.arrival_day <= standing.arrival_day for each in made)


def moved(pool: Pool, found: Sequence[Floating], plans: Sequence[Plan], saving: int, now_ns: int) -> Draft:
    """The work of the orders as the plans say. A node that keeps the same units of an order keeps its fulfillment order."""
    effects: list[EffectRow] = []
    documents: list[Document] = []
    orders: list[Order] = []
    count, changed = 0, False
    for floating, plan in zip(found, plans, strict=True):
        legs = [leg._replace(line_index=floating.line_indexes[leg.line_index]) for leg in plan.legs]
        release_ns = max([each.release_ns for each in floating.work])
        made = make_work(pool, floating.order, legs, plan.packages, now_ns, after=count)
        kept = {each.node_index: each for each in floating.work if _same_units(each, made)}
        new = [
            each._replace(
                fulfillment_order_id=pool.orders.next_fulfillment_order_id + count + at, release_ns=release_ns
            )
            for at, each in enumerate([each for each in made if each.node_index not in kept])
        ]
        count += len(new)
        gone = [each for each in floating.work if each.node_index not in kept]
        changed |= bool(gone)
        left = [each._replace(state=FulfillmentState.MOVED, updated_ns=now_ns) for each in gone]
        effects += allocation(gone, -1) + allocation(new, 1)
        after = with_work(pool, floating.order, floating.order.lines, (*left, *new))
        if gone:
            routing = routing_of(pool, CommandKind.REROUTE_ORDER, plan.cost)._replace(proposed=bool(floating.proposed))
            after = after._replace(routings=(*after.routings, routing))
        # What stays is told again, so that the journal has the plans of all in one place.
        documents += (*left, *kept.values(), *new, after)
        orders.append(after)
    if not changed:
        return Draft(RerouteReply(Outcome.OK, "", tuple(orders)))
    return Draft(RerouteReply(Outcome.OK, "", tuple(orders), changed, saving), effects, tuple(documents))


def _same_units(work: FulfillmentOrder, made: Iterable[FulfillmentOrder]) -> bool:
    return any(set(each.lines) == set(work.lines) for each in made if each.node_index == work.node_index)
