"""Routing rules by the book: which are for a question, and what each makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.model.network import Node
from engine.model.outcomes import AfterAction, FulfillmentKind
from engine.model.policies import ANY, Applies, Candidates, RoutingPolicy, Rule
from engine.proof.oracle.days import promised
from engine.proof.oracle.state import Pair, State

SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP
VALUE_MAX = 2**62 - 1


@dataclass(frozen=True)
class Question:
    """A claim whose keys are all known. ``fact``: thresholds do not count. ``books``: it may be booked without units."""

    channel: str
    kind: FulfillmentKind
    destination: str
    service: str
    lines: tuple[tuple[str, int], ...]
    partial: bool = False
    fact: bool = False
    excluded: tuple[str, ...] = ()
    value: int = 0
    books: bool = False
    due_day: int = 0
    """Day by which arrival was promised; 0: none."""
    store: str = ""
    """Where shipped goods are collected, and whence none are sent."""


@dataclass(frozen=True)
class Way:
    """What a rule makes of a question. ``after`` ``None``: the request decides."""

    name: str
    candidates: Candidates
    unit_split: bool
    packages_max: int
    split_penalty: int
    after: AfterAction | None

    @property
    def may_wait(self) -> bool:
        """Whether an order is booked although it gets nothing."""
        return self.after in (AfterAction.HOLD, AfterAction.BACKORDER)

    def grants_part(self, question: Question) -> bool:
        """Whether some units are granted when there are not all."""
        if question.books and self.may_wait:
            return self.after == AfterAction.BACKORDER
        if self.after == AfterAction.REFUSE:
            return question.fact
        return self.after == AfterAction.PARTIAL or (self.after != AfterAction.NEXT and question.partial)


def value_of(state: State, lines: tuple[tuple[str, int], ...]) -> int:
    """What rules take (SKU, units) to be worth."""
    return min(sum(units * state.skus[sku].unit_value_micros for sku, units in lines), VALUE_MAX)


def policy_of(state: State, channel: str) -> RoutingPolicy:
    return state.policies[state.channels[channel].policy_key]


def ways(state: State, question: Question) -> Iterator[Way]:
    """What the rules that are for the question make of it, in their order; nothing when none is for it."""
    policy = policy_of(state, question.channel)
    if question.kind == PICKUP:
        yield Way("", Candidates(), True, 0, policy.split_penalty_micros, None)
        return
    found = [rule for rule in policy.rules or (Rule(""),) if is_for(rule.applies, question)]
    for rule in found:
        after: AfterAction | None = rule.after
        if rule is found[-1] and after == AfterAction.NEXT:
            after = None
        yield _way(policy, rule, after, question)


def _way(policy: RoutingPolicy, rule: Rule, after: AfterAction | None, question: Question) -> Way:
    form = rule.form
    packages_max = form.packages_max
    if question.value < form.split_value_micros_min:
        packages_max = 1
    unit_split = policy.allow_unit_split if form.unit_split is None else form.unit_split
    return Way(
        rule.name, rule.candidates, unit_split and packages_max != 1, packages_max, policy.split_penalty_micros, after
    )


def is_for(applies: Applies, question: Question) -> bool:
    """Whether everything holds that a rule says of its orders."""
    units = sum(units for _, units in question.lines)
    kinds = len({sku for sku, _ in question.lines})
    prefixes = applies.region_prefixes
    return (
        (not applies.service_keys or question.service in applies.service_keys)
        and _within(question.value, applies.value_micros_min, applies.value_micros_max)
        and _within(units, applies.units_min, applies.units_max)
        and _within(kinds, applies.lines_min, applies.lines_max)
        and (not prefixes or any(question.destination.startswith(prefix) for prefix in prefixes))
    )


def _within(value: int, least: int, most: int) -> bool:
    return value >= least and (most == 0 or value <= most)


def may_serve(state: State, candidates: Candidates, node: Node, region: str) -> bool:
    """Whether a node passes everything that a rule says of nodes."""
    groups, distance_km_max = set(node.groups), candidates.distance_km_max
    if candidates.groups_any and not groups.intersection(candidates.groups_any):
        return False
    if groups.intersection(candidates.groups_none):
        return False
    if candidates.kinds and node.kind not in candidates.kinds:
        return False
    return not distance_km_max or round(state.metres(region, node) / 1_000) <= distance_km_max


def free(state: State, candidates: Candidates, pair: Pair) -> int:
    """Units that a cell has to give under a rule; behind a fence no more than it lets through, beside what rules may keep."""
    units = state.atf(pair)
    if state.fence is not None:
        units = min(units, state.fence.get(pair, 0))
    return max(0, units - candidates.keep_units)


def is_timely(state: State, question: Question, way: Way, node: str) -> bool:
    """Whether a node keeps what was promised as well as the rule wants: an arrival that nobody knows never does."""
    if not question.due_day or way.candidates.late_days_max == ANY:
        return True
    day = arrival_day(state, node, question.destination, question.service)
    return 0 < day <= question.due_day + way.candidates.late_days_max


def arrival_day(state: State, node: str, region: str, service: str) -> int:
    """When a package that is asked for now arrives; 0: not known."""
    ship_day, zone = promised(state, node, SHIP, service)[0], state.zone(region, node)
    transit = state.rate_cards[service].transit_days
    return ship_day + transit[zone - 1] if ship_day and 1 <= zone <= len(transit) else 0
