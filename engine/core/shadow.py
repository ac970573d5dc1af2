"""Deciding a claim twice, under what is in force and under a draft: what would be otherwise, and what that costs."""

from typing import NamedTuple

from engine.core.claims import Plan, Planner, Question
from engine.kernels.zones import Integers
from engine.model.shadows import EXAMPLES_MAX, ShadowExample, ShadowSide, ShadowTally
from engine.pool.pool import Pool


class Compared(NamedTuple):
    """The two plans for one claim."""

    question: Question
    active: Plan
    draft: Plan
    days_later: int | None
    """By how much later the last package arrives under the draft; None where a day is not known."""


def compare(pool: Pool, planner: Planner, question: Question, rules: Integers) -> Compared:
    """Ask the router under the channel's policy and under other compiled ``rules``, on the present state. Changes nothing."""
    active, draft = planner.plan(question), planner.plan_under(question, rules)
    first, second = (_arrival_day(pool, question, plan) for plan in (active, draft))
    return Compared(question, active, draft, second - first if first and second else None)


def _arrival_day(pool: Pool, question: Question, plan: Plan) -> int:
    """The day on which the last package arrives; 0 when that of any is not known."""
    days = [pool.network.arrival_day(question.service_index, box.zone, box.ship_day) for box in plan.packages]
    return max(days) if days and all(days) else 0


def units_by_slot(plan: Plan) -> dict[int, int]:
    """Units that a plan takes from each cell."""
    units: dict[int, int] = {}
    for leg in plan.legs:
        units[leg.slot] = units.get(leg.slot, 0) + leg.units
    return units


def counted(tally: ShadowTally, compared: Compared, example: ShadowExample | None) -> ShadowTally:
    """The tally with one more claim; with ``example`` its plans differ."""
    active_units, draft_units = (sum(leg.units for leg in plan.legs) for plan in (compared.active, compared.draft))
    alike = active_units == draft_units
    dated = alike and compared.days_later is not None
    return tally._replace(
        compared_count=tally.compared_count + 1,
        different_count=tally.different_count + (example is not None),
        more_count=tally.more_count + (draft_units > active_units),
        fewer_count=tally.fewer_count + (draft_units < active_units),
        alike_count=tally.alike_count + alike,
        active_units=tally.active_units + active_units,
        draft_units=tally.draft_units + draft_units,
        active=_with(tally.active, compared.active) if alike else tally.active,
        draft=_with(tally.draft, compared.draft) if alike else tally.draft,
        dated_count=tally.dated_count + dated,
        days_later=tally.days_later + (compared.days_later or 0 if dated else 0),
        examples=tally.examples if example is None else (*tally.examples, example)[-EXAMPLES_MAX:],
    )


def _with(side: ShadowSide, plan: Plan) -> ShadowSide:
    if plan.cost is None:
        return side
    cost = plan.cost
    return ShadowSide(
        side.package_count + cost.package_count,
        side.carrier_micros + cost.carrier,
        side.handling_micros + cost.handling,
        side.split_micros + cost.split_penalty,
    )


def example_of(pool: Pool, compared: Compared, seq: int, order_id: int, reservation_id: int) -> ShadowExample | None:
    """What is told of a claim whose plans differ; None when they take the same units from the same cells."""
    active, draft = units_by_slot(compared.active), units_by_slot(compared.draft)
    if active == draft:
        return None
    names = pool.names

    def nodes(slots: dict[int, int]) -> tuple[str, ...]:
        return tuple(names.node_keys[node] for node in sorted({names.cell(slot)[1] for slot in slots}))

    def micros(plan: Plan) -> int:
        return plan.cost.total if plan.cost is not None else 0

    return ShadowExample(
        seq, order_id, reservation_id, sum(units for _, units in compared.question.lines),
        sum(active.values()), micros(compared.active), nodes(active),
        sum(draft.values()), micros(compared.draft), nodes(draft),
        compared.days_later or 0,
    )  # fmt: skip
