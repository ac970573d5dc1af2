"""Explaining a plan: the router is asked again, in the state of then, and once more for each next best plan.

Nothing here knows how the router decides: what is told is what the production code does.
"""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.core.claims import Plan, Planner, Question, reply_legs
from engine.core.overlay import Overlay, fence_of
from engine.kernels import columns as c
from engine.kernels.questions import SHIP_NEEDS
from engine.kernels.terms import LATE_DAYS_MAX
from engine.kernels.zones import NEVER_SHIPS, PADDING, Integers
from engine.model.explanations import Alternative, AskedRule, Dropped, ExplainedPackage, ExplainedPlan, Replayed
from engine.model.outcomes import AfterAction, DropReason, FulfillmentKind, RuleVerdict
from engine.model.replies import Cell
from engine.pool.pool import Pool

ALTERNATIVES_MAX = 3
_CANDIDATE = 0
_REASONS = [
    DropReason.COLLECTED_THERE, DropReason.CLOSED, DropReason.NOT_IN_CHANNEL, DropReason.DOES_NOT_SHIP,
    DropReason.REJECTED_BEFORE, DropReason.NO_LANE, DropReason.RULE, DropReason.NO_STOCK, DropReason.NOT_ENOUGH_STOCK,
    DropReason.NO_SHIP_DAY, DropReason.ARRIVAL_UNKNOWN, DropReason.LATE,
]  # fmt: skip
"""In the order in which they are told."""
Flags = NDArray[np.bool]


def explain(
    pool: Pool, planner: Planner, question: Question, granted: dict[int, int], *, proposed: bool = False
) -> Replayed:
    """Route ``question`` again in the present state of the pool, and tell why the plan is what it is.

    ``granted``: units by slot that the plan of then gave; ``reproduced`` says whether they are the same again. ``proposed``: they were
    proposed from outside, and what the router would have chosen by itself is an alternative. Changes nothing.
    """
    fence = fence_of(pool, tuple(granted.items())) if proposed else None
    plan = Overlay(pool, planner).plan(question, fence)
    again: dict[int, int] = {}
    for leg in plan.legs:
        again[leg.slot] = again.get(leg.slot, 0) + leg.units
    told = _plan(pool, question, plan)
    shipped = question.kind == FulfillmentKind.SHIP
    found = _alternatives(pool, planner, question, told, proposed=proposed) if shipped else []
    reasons = _reasons(pool, question, plan.rule) if shipped else np.zeros(1, dtype=np.int64)
    counts = np.bincount(reasons, minlength=max(DropReason) + 1).tolist()
    return Replayed(
        pool.seq + 1,
        0,
        again == granted,
        question.kind,
        pool.network.channels[question.channel_index].policy_key,
        question.destination,
        question.service_index,
        question.lines,
        len(reasons),
        counts[_CANDIDATE],
        tuple(Dropped(reason, counts[reason]) for reason in DropReason if counts[reason]),
        told,
        tuple(found),
        _cells(pool, question, [told, *(each.plan for each in found)]),
        pool.network.policy_of(question.channel_index).version,
        _rules(pool, question, plan.verdicts) if shipped else (),
        AfterAction(plan.after) if plan.after != c.AFTER_REQUEST else None,
        price_plan=pool.network.price_plan,
        due_day=question.due_day,
    )


def _rules(pool: Pool, question: Question, verdicts: int) -> tuple[AskedRule, ...]:
    rules = pool.network.policy_of(question.channel_index).rules
    mask = (1 << c.VERDICT_BITS) - 1
    return tuple(
        AskedRule(rule.name, RuleVerdict(verdicts >> at * c.VERDICT_BITS & mask)) for at, rule in enumerate(rules)
    )


def _plan(pool: Pool, question: Question, plan: Plan) -> ExplainedPlan:
    boxes = tuple(
        ExplainedPackage(
            box.node_index,
            box.zone,
            box.weight_grams,
            box.carrier_micros,
            box.handling_micros,
            box.price_micros,
            box.late_micros,
            box.other_micros - box.late_micros,
            box.ship_day,
            box.arrival_day,
        )
        for box in plan.packages
    )
    rules = pool.network.policy_of(question.channel_index).rules
    rule = rules[plan.rule - 1].name if 0 < plan.rule <= len(rules) else ""
    return ExplainedPlan(
        plan.outcome, reply_legs(pool, plan.legs), boxes, plan.cost, plan.shortages, rule, plan.score_micros
    )


def _alternatives(
    pool: Pool, planner: Planner, question: Question, chosen: ExplainedPlan, *, proposed: bool
) -> list[Alternative]:
    """The next best plans, best first.

    Each plan found is left out by taking one of its nodes away, in every way (Murty 1968, Lawler 1972): the best of what then remains
    is the best plan that has not all nodes of any better one. Ends early when no more nodes can be excluded.
    """
    found: list[Alternative] = []
    heap: list[tuple[int, int, tuple[int, ...], ExplainedPlan]] = []
    seen: set[tuple[int, ...]] = set()
    better = [chosen.nodes]
    branches: list[tuple[tuple[int, ...], ExplainedPlan]] = [((), chosen)]
    if proposed:
        own = _asked_without(pool, planner, question, question.excluded)
        heapq.heappush(heap, (-own.units, own.score_micros, (), own))
    while len(found) < ALTERNATIVES_MAX:
        for without, plan in branches:
            for node in sorted(plan.nodes):
                names = tuple(sorted((*without, node)))
                excluded = (*question.excluded, *names)
                if names not in seen and len(excluded) <= c.EXCLUDED_MAX:
                    seen.add(names)
                    next_best = _asked_without(pool, planner, question, excluded)
                    if next_best.units:
                        heapq.heappush(heap, (-next_best.units, next_best.score_micros, names, next_best))
        if not heap:
            break
        _, score, without, plan = heapq.heappop(heap)
        branches = [(without, plan)]
        if not any(nodes <= plan.nodes for nodes in better):
            better.append(plan.nodes)
            found.append(Alternative(without, plan, score - chosen.score_micros, chosen.units - plan.units))
    return found


def _asked_without(pool: Pool, planner: Planner, question: Question, excluded: tuple[int, ...]) -> ExplainedPlan:
    """The plan without some nodes: of a later rule, where those before it serve the order only from them."""
    asked = question._replace(excluded=excluded)
    return _plan(pool, asked, planner.plan(asked))


def _reasons(pool: Pool, question: Question, rule: int) -> Integers:
    """By node: 0 for a candidate, else the DropReason. ``rule``: 1 + the one that decided; 0: none is for the question."""
    network = pool.network
    count = len(network.nodes)
    flags, channels = network.node_rows[c.NODE_FLAGS, :count], network.node_rows[c.NODE_CHANNELS, :count]
    refused = np.zeros(count, dtype=np.bool)
    refused[list(question.excluded)] = True
    able = (flags & SHIP_NEEDS == SHIP_NEEDS) & (channels >> question.channel_index & 1 == 1)
    reached = _reached(pool, question, count)
    leaving = network.ship_days[question.service_index, :count] < NEVER_SHIPS
    allowed, keep_units = _ruled(pool, question, rule, count)
    dated, timely = _timely(pool, question, rule, count)
    may_serve = able & reached & leaving & ~refused & allowed & timely
    holding, serving = _stocked(pool, question, may_serve, keep_units)
    reasons = np.select(
        [
            np.arange(count) == question.store_index,
            flags & c.FLAG_OPEN == 0,
            channels >> question.channel_index & 1 == 0,
            flags & c.FLAG_SHIPS == 0,
            refused,
            ~reached,
            ~allowed,
            ~holding,
            ~serving,
            ~leaving,
            ~timely & ~dated,
            ~timely,
        ],
        _REASONS,
        _CANDIDATE,
    )
    return reasons.astype(np.int64)


def _reached(pool: Pool, question: Question, count: int) -> Flags:
    """Nodes with a zone in which the service is offered."""
    network = pool.network
    breaks, rates = network.breaks[question.service_index], network.rates[question.service_index]
    offered = ((rates >= 0) & (breaks > 0) & (breaks < PADDING)).any(axis=1)
    offered[0] = False
    zones = network.zones[question.destination, :count].astype(np.int64)
    reached: Flags = offered[np.where(zones < len(offered), zones, 0)]
    return reached


def _ruled(pool: Pool, question: Question, rule: int, count: int) -> tuple[Flags, int]:
    """Nodes that the rule allows, and the units that it keeps in every cell."""
    if not rule:
        return np.zeros(count, dtype=np.bool), 0
    network = pool.network
    _, first_rule, _ = network.claim_rules[question.channel_index]
    row = network.rulebook.rules[first_rule + rule - 1]
    groups = network.node_rows[c.NODE_GROUPS, :count]
    allowed = groups & row[c.RULE_GROUPS_NONE] == 0
    if row[c.RULE_GROUPS_ANY]:
        allowed &= groups & row[c.RULE_GROUPS_ANY] != 0
    if row[c.RULE_DISTANCE_MAX]:
        allowed &= network.distances[question.destination, :count] <= row[c.RULE_DISTANCE_MAX]
    return allowed, int(row[c.RULE_KEEP_UNITS])


def _timely(pool: Pool, question: Question, rule: int, count: int) -> tuple[Flags, Flags]:
    """Nodes whose arrival is known; and those that are not too late for the rule. Where no day was promised all are both."""
    dated = timely = np.ones(count, dtype=np.bool)
    if not rule or not question.due_day:
        return dated, timely
    network = pool.network
    _, first_rule, _ = network.claim_rules[question.channel_index]
    days_max = network.rulebook.rules[first_rule + rule - 1, c.RULE_LATE_DAYS_MAX]
    if days_max >= LATE_DAYS_MAX:
        return dated, timely
    leaves = network.ship_days[question.service_index, :count]
    zones = network.zones[question.destination, :count].astype(np.int64)
    transit = network.transit[question.service_index]
    road = transit[np.where(zones < len(transit), zones, 0)]
    dated = (leaves > 0) & (leaves < NEVER_SHIPS) & (road < NEVER_SHIPS)
    timely = dated & (leaves + road - question.due_day <= days_max)
    return dated, timely


def _stocked(pool: Pool, question: Question, able: Flags, keep_units: int) -> tuple[Flags, Flags]:
    """Nodes with a free unit of any line; and those that can serve a line: all of it, or a part where no ``able`` node has it all."""
    cells = pool.stock.arrays[0]
    units_of: dict[int, int] = {}
    for sku, units in question.lines:
        units_of[sku] = units_of.get(sku, 0) + units
    holding, serving = np.zeros(len(able), dtype=np.bool), np.zeros(len(able), dtype=np.bool)
    for sku, units in units_of.items():
        free = np.zeros(len(able), dtype=np.int64)
        for node, slot in pool.stock.cells_of(sku):
            free[node] = cells[c.ATF, slot] - cells[c.PENDING, slot] - keep_units
        whole = free >= units
        holding |= free > 0
        serving |= whole if (whole & able).any() else free > 0
    return holding, serving


def _cells(pool: Pool, question: Question, plans: Sequence[ExplainedPlan]) -> tuple[Cell, ...]:
    nodes = sorted(frozenset().union(*(plan.nodes for plan in plans)))
    if question.kind == FulfillmentKind.PICKUP:
        nodes = [question.destination]
    skus = dict.fromkeys(sku for sku, _ in question.lines)
    slots = [pool.stock.find(sku, node) for node in nodes for sku in skus]
    return tuple(pool.stock.cell(slot) for slot in slots if slot >= 0)
