"""Explaining a plan: the router is asked again, in the state of then, and once more for each next best plan.

Nothing here knows how the router decides: what is told is what the production code does.
"""

import heapq
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engine.core.claims import Plan, Planner, Question, reply_legs
from engine.kernels import columns as c
from engine.kernels.reservations import SHIP_NEEDS
from engine.kernels.zones import NEVER_SHIPS, PADDING, Integers
from engine.model.explanations import Alternative, Dropped, ExplainedPackage, ExplainedPlan, Replayed
from engine.model.outcomes import DropReason, FulfillmentKind
from engine.model.replies import Cell
from engine.pool.pool import Pool

ALTERNATIVES_MAX = 3
_CANDIDATE = 0
Flags = NDArray[np.bool]


def explain(pool: Pool, planner: Planner, question: Question, granted: dict[int, int]) -> Replayed:
    """Route ``question`` again in the present state of the pool, and tell why the plan is what it is.

    ``granted``: units by slot that the plan of then gave; ``reproduced`` says whether they are the same again. Changes nothing.
    """
    plan = planner.plan(question)
    again: dict[int, int] = {}
    for leg in plan.legs:
        again[leg.slot] = again.get(leg.slot, 0) + leg.units
    told = _plan(pool, plan)
    shipped = question.kind == FulfillmentKind.SHIP
    found = _alternatives(pool, planner, question, told) if shipped else []
    reasons = _reasons(pool, question) if shipped else np.zeros(1, dtype=np.int64)
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
        price_plan=pool.network.price_plan,
    )


def _plan(pool: Pool, plan: Plan) -> ExplainedPlan:
    boxes = tuple(
        ExplainedPackage(box.node_index, box.zone, box.weight_grams, box.carrier_micros, box.handling_micros)
        for box in plan.packages
    )
    return ExplainedPlan(plan.outcome, reply_legs(pool, plan.legs), boxes, plan.cost, plan.shortages)


def _alternatives(pool: Pool, planner: Planner, question: Question, chosen: ExplainedPlan) -> list[Alternative]:
    """The next best plans, best first.

    Each plan found is left out by taking one of its nodes away, in every way (Murty 1968, Lawler 1972): the best of what then remains
    is the best plan that has not all nodes of any better one. Ends early when no more nodes can be excluded.
    """
    found: list[Alternative] = []
    heap: list[tuple[int, int, tuple[int, ...], ExplainedPlan]] = []
    seen: set[tuple[int, ...]] = set()
    better = [chosen.nodes]
    branches: list[tuple[tuple[int, ...], ExplainedPlan]] = [((), chosen)]
    while len(found) < ALTERNATIVES_MAX:
        for without, plan in branches:
            for node in sorted(plan.nodes):
                names = tuple(sorted((*without, node)))
                excluded = (*question.excluded, *names)
                if names not in seen and len(excluded) <= c.EXCLUDED_MAX:
                    seen.add(names)
                    next_best = _plan(pool, planner.plan(question._replace(excluded=excluded)))
                    if next_best.units:
                        heapq.heappush(heap, (-next_best.units, _total(next_best), names, next_best))
        if not heap:
            break
        _, total, without, plan = heapq.heappop(heap)
        branches = [(without, plan)]
        if not any(nodes <= plan.nodes for nodes in better):
            better.append(plan.nodes)
            found.append(Alternative(without, plan, total - _total(chosen), chosen.units - plan.units))
    return found


def _total(plan: ExplainedPlan) -> int:
    return plan.cost.total if plan.cost is not None else 0


def _reasons(pool: Pool, question: Question) -> Integers:
    """By node: 0 for a candidate, else the DropReason."""
    network = pool.network
    count = len(network.nodes)
    flags, channels = network.node_rows[c.NODE_FLAGS, :count], network.node_rows[c.NODE_CHANNELS, :count]
    refused = np.zeros(count, dtype=np.bool)
    refused[list(question.excluded)] = True
    able = (flags & SHIP_NEEDS == SHIP_NEEDS) & (channels >> question.channel_index & 1 == 1)
    reached = _reached(pool, question, count)
    leaving = network.ship_days[question.service_index, :count] < NEVER_SHIPS
    holding, serving = _stocked(pool, question, able & reached & leaving & ~refused)
    reasons = np.select(
        [
            flags & c.FLAG_OPEN == 0,
            channels >> question.channel_index & 1 == 0,
            flags & c.FLAG_SHIPS == 0,
            refused,
            ~reached,
            ~holding,
            ~serving,
            ~leaving,
        ],
        list(DropReason),
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


def _stocked(pool: Pool, question: Question, able: Flags) -> tuple[Flags, Flags]:
    """Nodes with a free unit of any line; and those that can serve a line: all of it, or a part where no ``able`` node has it all."""
    cells = pool.stock.arrays[0]
    units_of: dict[int, int] = {}
    for sku, units in question.lines:
        units_of[sku] = units_of.get(sku, 0) + units
    holding, serving = np.zeros(len(able), dtype=np.bool), np.zeros(len(able), dtype=np.bool)
    for sku, units in units_of.items():
        free = np.zeros(len(able), dtype=np.int64)
        for node, slot in pool.stock.cells_of(sku):
            free[node] = cells[c.ATF, slot] - cells[c.PENDING, slot]
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
