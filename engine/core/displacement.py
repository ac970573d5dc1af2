"""Displacement: who stands at a till, or was told to come to this store, gets the units that floating work only happens to keep there.

The work that costs least to do elsewhere moves first, in the very decision that takes the units. No line is divided for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from engine.core.claims import Plan, Planner, Question
from engine.core.draft import Draft
from engine.core.overlay import Overlay
from engine.core.rerouting import NOWHERE, Floating, floating_of, is_later, moved, standing_of
from engine.kernels import columns as c
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import FulfillmentKind, Outcome
from engine.pool.pool import Pool

WORK_LOOKED_AT = 256
"""Open work of a node that is looked through, the newest first: it is the least likely to be begun."""
ORDERS_ASKED = 16
"""Orders for which another place is looked for, for each cell."""
_INSUFFICIENT = (Outcome.INSUFFICIENT_STOCK, Outcome.PARTIAL)


class Displaced(NamedTuple):
    """Orders that give way, and their new plans."""

    found: list[Floating]
    plans: list[Plan]
    lacking: dict[int, int]
    """Units by slot that are still lacking."""

    def overlay(self, pool: Pool, planner: Planner) -> Overlay:
        """The state when they have moved."""
        overlay = Overlay(pool, planner)
        for floating, plan in zip(self.found, self.plans, strict=True):
            overlay.give_back(floating.work)
            overlay.take(plan.legs)
        return overlay

    def draft(self, pool: Pool, now_ns: int) -> Draft:
        """Effects and documents of the moves."""
        return moved(pool, self.found, self.plans, 0, now_ns)


def make_room(
    pool: Pool, planner: Planner, wanted: Mapping[int, int], lacking: Mapping[int, int], *, keep_day: bool
) -> Displaced:
    """Move work away until ``lacking`` units by slot are free, or nobody else can. ``wanted``: units by slot that are to be taken.

    ``keep_day``: only orders that arrive no later for it.
    """
    overlay = Overlay(pool, planner)
    overlay.take_units(wanted)
    left = dict(lacking)
    found: list[Floating] = []
    plans: list[Plan] = []
    for slot in lacking:
        while left[slot] > 0:
            best = _cheapest(pool, planner, overlay, slot, found, keep_day=keep_day)
            if best is None:
                break
            floating, plan = best
            overlay.give_back(floating.work)
            overlay.take(plan.legs)
            found.append(floating)
            plans.append(plan)
            for work in floating.work:
                for line in work.lines:
                    if line.slot in left:
                        left[line.slot] -= line.units
            for leg in plan.legs:
                if leg.slot in left:
                    left[leg.slot] += leg.units
    return Displaced(found, plans, {slot: units for slot, units in left.items() if units > 0})


def _cheapest(
    pool: Pool, planner: Planner, overlay: Overlay, slot: int, gone: list[Floating], *, keep_day: bool
) -> tuple[Floating, Plan] | None:
    """Whose move away from the cell costs least, ties to the older order, and where to."""
    best: tuple[int, int, Floating, Plan] | None = None
    seen = {floating.order.order_id for floating in gone}
    for floating in islice(_floating_at(pool, slot, seen), ORDERS_ASKED):
        trial = overlay.copy()
        trial.give_back(floating.work)
        plan = trial.plan(floating.question)
        if plan.outcome != Outcome.OK or _is_divided(pool, plan) or slot in {leg.slot for leg in plan.legs}:
            continue
        standing = standing_of(pool, planner, floating)
        if keep_day and is_later(pool, floating, plan, standing):
            continue
        extra = plan.score_micros - standing.score if standing.score != NOWHERE else -NOWHERE
        if best is None or (extra, floating.order.order_id) < best[:2]:
            best = extra, floating.order.order_id, floating, plan
    return best[2:] if best else None


def _floating_at(pool: Pool, slot: int, seen: set[int]) -> Iterator[Floating]:
    node = pool.names.cell(slot)[1]
    for work in islice(pool.orders.latest_work_of_node(node), WORK_LOOKED_AT):
        if work.order_id not in seen and work.floats and slot in {line.slot for line in work.lines}:
            seen.add(work.order_id)
            yield floating_of(pool, pool.orders.orders[work.order_id])


def _is_divided(pool: Pool, plan: Plan) -> bool:
    """Whether units of a SKU come from several nodes."""
    cells = {leg.slot for leg in plan.legs}
    return len(cells) > len({pool.names.cell(slot)[0] for slot in cells})


def new_work(pool: Pool, moves: Draft) -> int:
    """How many fulfillment orders the draft of some moves makes."""
    first_id = pool.orders.next_fulfillment_order_id
    return sum(
        [isinstance(each, FulfillmentOrder) and each.fulfillment_order_id >= first_id for each in moves.documents]
    )


def room_for(pool: Pool, planner: Planner, question: Question, outcome: Outcome) -> Displaced | None:
    """Room for goods that are to be collected, where floating work keeps them; None: it would not suffice."""
    if not may_displace(pool, question, outcome):
        return None
    wanted: Counter[int] = Counter()
    for sku, units in question.lines:
        slot = pool.stock.find(sku, question.destination)
        if slot < 0:
            return None
        wanted[slot] += units
    lacking = {slot: units - pool.stock.units(slot, c.ATF) for slot, units in wanted.items()}
    displaced = make_room(pool, planner, wanted, {slot: n for slot, n in lacking.items() if n > 0}, keep_day=True)
    return displaced if displaced.found and not displaced.lacking else None


def may_displace(pool: Pool, question: Question, outcome: Outcome) -> bool:
    """Whether it is worth looking for work that could give way."""
    pinned = question.kind == FulfillmentKind.PICKUP and not question.refusal
    return pinned and outcome in _INSUFFICIENT and pool.orders.has_open_work(question.destination)


def room_for_sale(pool: Pool, planner: Planner, sold: Mapping[int, int]) -> Displaced:
    """Work that a till sale of so many units by slot drives away: as far as it can be done elsewhere, on whatever day, for the units
    are gone.
    """
    short = {slot: min(units, units - pool.stock.units(slot, c.ATF)) for slot, units in sold.items()}
    return make_room(pool, planner, sold, {slot: units for slot, units in short.items() if units > 0}, keep_day=False)
