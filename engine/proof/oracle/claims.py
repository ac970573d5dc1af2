"""Who gets which units: what a claim may have, and the cheapest plan by trying every plan there is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from math import prod
from typing import Any, NamedTuple

from engine.model.commands import Claim
from engine.model.outcomes import AfterAction, FulfillmentKind, Outcome
from engine.model.replies import Cost, Leg, Shortage
from engine.proof.oracle.days import promised
from engine.proof.oracle.rules import Question, Way, free, is_timely, may_serve, policy_of, value_of, ways
from engine.proof.oracle.state import Choice, HeldLeg, Pair, State

SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP
SPLIT_STATES_MAX, SPLIT_PACKAGES_MAX, SPLIT_STEPS_MAX = 1 << 10, 127, 1 << 22
"""Above them the engine may split an order by units at more than the least cost, and says so: states (units + 1 of each line that is split,
2 of the others), packages, states x states x packages."""
SPLITS_CHECKED_MAX = 16
"""States up to which the oracle looks for the cheapest split itself."""


class Refused(Exception):
    """The claim cannot even be asked."""

    def __init__(self, outcome: Outcome, subject: str) -> None:
        super().__init__(outcome, subject)
        self.outcome, self.subject = outcome, subject


class Box(NamedTuple):
    """A package."""

    node: str
    zone: int
    grams: int
    carrier: int
    handling: int


class Grant(NamedTuple):
    """What a claim got."""

    outcome: Outcome
    legs: list[HeldLeg]
    boxes: list[Box]
    cost: Cost | None
    shortages: tuple[Shortage, ...]
    waits: AfterAction | None = None
    """An order is booked although it gets nothing: HOLD or BACKORDER."""
    rule: str = ""
    """The last rule that was tried."""

    def told(self, state: State) -> tuple[Leg, ...]:
        return tuple(
            Leg(leg.line, state.sku_index(leg.sku), state.node_index(leg.node), leg.units) for leg in self.legs
        )


def ask(state: State, claim: Claim, *, fact: bool = False, books: bool = False) -> Question:
    """The claim, or Refused for the first thing that is wrong."""
    if claim.channel_key not in state.channels:
        raise Refused(Outcome.UNKNOWN_CHANNEL, claim.channel_key)
    for sku, _ in claim.lines:
        if sku not in state.skus:
            raise Refused(Outcome.UNKNOWN_SKU, sku)
    partial = claim.allow_partial or fact
    if claim.kind == PICKUP:
        node = claim.pickup_node_key
        if node not in state.nodes:
            raise Refused(Outcome.UNKNOWN_NODE, node)
        refusal = node_refusal(state, node, claim.channel_key, offers=state.nodes[node].offers_pickup)
        if refusal is not None:
            raise Refused(refusal, node)
        value = value_of(state, claim.lines)
        return Question(claim.channel_key, PICKUP, node, "", claim.lines, partial, fact, (), value, books)
    store = claim.store_key
    if store and store not in state.nodes:
        raise Refused(Outcome.UNKNOWN_NODE, store)
    region = state.region_of(state.nodes[store].postal_code if store else claim.postal_code)
    if not region:
        raise Refused(Outcome.UNKNOWN_DESTINATION, store or claim.postal_code)
    service = claim.service_key or policy_of(state, claim.channel_key).default_service_key
    if service not in state.rate_cards:
        raise Refused(Outcome.UNKNOWN_SERVICE, service)
    if store:
        refusal = node_refusal(state, store, claim.channel_key, offers=state.nodes[store].offers_pickup)
        if refusal is not None:
            raise Refused(refusal, store)
    excluded = (store,) if store else ()
    value = value_of(state, claim.lines)
    return Question(
        claim.channel_key,
        SHIP,
        region,
        service,
        claim.lines,
        partial,
        fact,
        excluded,
        value,
        books,
        claim.due_day,
        store,
    )


def node_refusal(state: State, node: str, channel: str, *, offers: bool) -> Outcome | None:
    """Why a node cannot do for a channel what it was asked to."""
    if not state.serves(node, channel):
        return Outcome.NODE_NOT_IN_CHANNEL
    if state.nodes[node].closed:
        return Outcome.NODE_CLOSED
    return None if offers else Outcome.NODE_LACKS_SERVICE


def on_offer(state: State, channel: str, kind: FulfillmentKind, sku: str) -> int:
    """Free units at all nodes of a channel that do what ``kind`` says."""
    return sum(
        state.free((sku, node)) for node in state.nodes if state.serves(node, channel) and state.does(node, kind)
    )


def candidates(state: State, question: Question, way: Way) -> list[str]:
    """Nodes that may serve the question in this way, in order of index."""
    if question.kind == PICKUP:
        return [question.destination]
    return [
        key
        for key, node in state.nodes.items()
        if state.serves(key, question.channel)
        and state.does(key, SHIP)
        and key not in question.excluded
        and may_serve(state, way.candidates, node, question.destination)
        and state.carrier(question.service, state.zone(question.destination, key), 0) is not None
        and (node.calendar is None or promised(state, key, SHIP, question.service)[0])
        and is_timely(state, question, way, key)
    ]


def available(state: State, question: Question, way: Way, sku: str) -> int:
    """Units of a SKU that the question may have in all."""
    frees = [free(state, way.candidates, (sku, node)) for node in candidates(state, question, way)]
    units = sum(frees) if way.unit_split else max(frees, default=0)
    threshold = state.channels[question.channel].threshold_units
    if threshold and not question.fact:
        units = min(units, on_offer(state, question.channel, question.kind, sku) - threshold)
    return max(units, 0)


def decide(state: State, question: Question, choices: Iterator[Choice]) -> Grant:
    """What the question gets, by the first rule that serves it in full or says what follows. Changes nothing.

    The next choice of the engine is used up when units are granted. Without one the oracle makes its own plan: the cheapest, or where a line
    must be split any that is allowed.
    """
    grant = Grant(Outcome.NO_PLAN, [], [], None, ())
    for way in ways(state, question):
        grant = _attempt(state, question, way, choices)._replace(rule=way.name)
        if grant.outcome == Outcome.OK:
            return grant
        if way.after != AfterAction.NEXT:
            waits = way.after if way.may_wait and question.books else None
            return grant._replace(waits=waits)
    return grant


def rule_name(grant: Grant) -> str:
    """The rule that allowed no plan; empty when stock was missing, or no rule is for the question."""
    return grant.rule if grant.outcome == Outcome.NO_PLAN else ""


def _attempt(state: State, question: Question, way: Way, choices: Iterator[Choice]) -> Grant:
    left = {sku: available(state, question, way, sku) for sku, _ in question.lines}
    there = []
    for sku, units in question.lines:
        there.append(max(left[sku], 0))
        left[sku] -= units
    shortages = tuple(
        Shortage(line, state.sku_index(sku), units, there[line])
        for line, (sku, units) in enumerate(question.lines)
        if there[line] < units
    )
    granted = [min(units, there[line]) for line, (_, units) in enumerate(question.lines)]
    refusal = Grant(Outcome.INSUFFICIENT_STOCK if shortages else Outcome.NO_PLAN, [], [], None, shortages)
    if shortages and not (way.grants_part(question) and any(granted)):
        return refusal
    wanted: dict[str, int] = {}
    for (sku, _), units in zip(question.lines, granted, strict=True):
        if units:
            wanted[sku] = wanted.get(sku, 0) + units
    if not is_possible(state, question, way, wanted):
        return refusal
    choice = next(choices, None)
    if choice:
        _require_cheapest_split(state, question, way, wanted, choice)
    else:
        choice = _any_plan(state, question, way, wanted)
    boxes, cost = _price(state, question, way, wanted, choice)
    legs = _legs(state, question, granted, choice)
    return Grant(Outcome.PARTIAL if shortages else Outcome.OK, legs, boxes, cost, shortages)


def is_possible(state: State, question: Question, way: Way, wanted: dict[str, int]) -> bool:
    """Whether units that are there can be sent in so few packages. Rules that limit packages do not split lines in this proof."""
    if question.kind == PICKUP or not way.packages_max:
        return True
    may = candidates(state, question, way)
    whole = {sku: [node for node in may if free(state, way.candidates, (sku, node)) >= wanted[sku]] for sku in wanted}
    return any(
        all(any(all(node in whole[sku] for sku in group) for node in may) for group in groups)
        for groups in partitions(list(wanted))
        if len(groups) <= way.packages_max
    )


def _legs(state: State, question: Question, granted: list[int], choice: Choice) -> list[HeldLeg]:
    """The choice shared out to the lines: lines in order, each from the lower nodes first."""
    left = dict(choice)
    days = {node: promised(state, node, question.kind, question.service) for _, node in choice}
    legs = []
    for line, (sku, _) in enumerate(question.lines):
        wanted = granted[line]
        for node in state.nodes:
            units = min(wanted, left.get((sku, node), 0))
            if units:
                left[sku, node] -= units
                wanted -= units
                legs.append(HeldLeg(line, sku, node, units, *days[node]))
        assert wanted == 0, "the choice does not cover the line"
    assert not any(left.values()), "the choice has more than was granted"
    return legs


def _whole(state: State, question: Question, way: Way, wanted: dict[str, int]) -> dict[str, list[str]]:
    """The nodes that can give all that is wanted of a SKU."""
    may, rule = candidates(state, question, way), way.candidates
    return {sku: [node for node in may if free(state, rule, (sku, node)) >= units] for sku, units in wanted.items()}


def _any_plan(state: State, question: Question, way: Way, wanted: dict[str, int]) -> Choice:
    may = candidates(state, question, way)
    whole = _whole(state, question, way, wanted)
    if question.kind == SHIP and all(whole.values()):
        plan = _cheapest(state, question, way, wanted, whole)
        return {(sku, box.node): wanted[sku] for box, group in plan for sku in group}
    choice: Choice = {}
    for sku, units in wanted.items():
        left = units
        for node in whole[sku][:1] or may:
            taken = min(left, free(state, way.candidates, (sku, node)))
            left -= taken
            if taken:
                choice[sku, node] = taken
    return choice


def _price(
    state: State, question: Question, way: Way, wanted: dict[str, int], choice: Choice
) -> tuple[list[Box], Cost | None]:
    """Check the choice, and what it costs. Where every line fits into one node, it must be the one cheapest plan."""
    may = candidates(state, question, way)
    for (sku, node), units in choice.items():
        assert node in may, f"{node} may not serve this"
        assert 0 < units <= free(state, way.candidates, (sku, node)), f"{units} of {sku} are not free at {node}"
    whole = _whole(state, question, way, wanted)
    for sku in wanted:
        nodes = [node for own, node in choice if own == sku]
        assert not whole[sku] or len(nodes) == 1, f"{sku} was split although {whole[sku]} has it all"
    if question.kind == PICKUP:
        return [], None
    exact = all(whole.values())
    if exact:
        plan = _cheapest(state, question, way, wanted, whole)
        boxes = [box for box, _ in plan]
        assert choice == {(sku, box.node): wanted[sku] for box, skus in plan for sku in skus}, "not the cheapest plan"
    else:
        boxes = boxes_by_node(state, question.destination, question.service, choice)
        exact = _splits_exactly(state, wanted, whole)
    carrier, handling = sum(box.carrier for box in boxes), sum(box.handling for box in boxes)
    split = way.split_penalty * (len(boxes) - 1)
    return boxes, Cost(carrier + handling + split, carrier, handling, split, len(boxes), exact)


def _splits_exactly(state: State, wanted: dict[str, int], whole: dict[str, list[str]]) -> bool:
    """Whether the engine splits lines so small as these exactly."""
    states = _split_states(wanted, whole)
    packages = min(sum(1 if whole[sku] else units for sku, units in wanted.items()), len(state.nodes))
    return packages <= SPLIT_PACKAGES_MAX and states <= SPLIT_STATES_MAX and states**2 * packages <= SPLIT_STEPS_MAX


def _split_states(wanted: dict[str, int], whole: dict[str, list[str]]) -> int:
    return prod(2 if whole[sku] else units + 1 for sku, units in wanted.items())


def _require_cheapest_split(state: State, question: Question, way: Way, wanted: dict[str, int], choice: Choice) -> None:
    """Where lines must be split, the engine's choice costs no more than any other, as far as it promises that and it is soon found out."""
    whole = _whole(state, question, way, wanted)
    if question.kind == PICKUP or all(whole.values()) or _split_states(wanted, whole) > SPLITS_CHECKED_MAX:
        return
    boxes = boxes_by_node(state, question.destination, question.service, choice)
    cost = sum(box.carrier + box.handling for box in boxes) + way.split_penalty * (len(boxes) - 1)
    cheapest = _cheapest_split(state, question, way, wanted, whole)
    assert cost == cheapest or not _splits_exactly(state, wanted, whole), "not the cheapest split"


def _cheapest_split(
    state: State, question: Question, way: Way, wanted: dict[str, int], whole: dict[str, list[str]]
) -> int:
    """The least cost of sending everything, one package a node: what could be sent so far, and by whom next."""
    penalty = way.split_penalty
    skus = list(wanted)
    served = {(0,) * len(skus): -penalty}
    for node in candidates(state, question, way):
        parts = [
            (0, wanted[sku])
            if node in whole[sku]
            else range(0 if whole[sku] else min(free(state, way.candidates, (sku, node)), wanted[sku]) + 1)
            for sku in skus
        ]
        after = dict(served)
        for given in product(*[part or (0,) for part in parts]):
            if any(given):
                units = {sku: count for sku, count in zip(skus, given, strict=True) if count}
                box = box_of(state, question.destination, question.service, node, units)
                for before, spent in served.items():
                    total = tuple(one + two for one, two in zip(before, given, strict=True))
                    cost = spent + box.carrier + box.handling + penalty
                    after[total] = min(after.get(total, cost), cost)
        served = after
    return served[tuple(wanted.values())]


def box_of(state: State, region: str, service: str, node: str, units: dict[str, int]) -> Box:
    """One package of some units of some SKUs; a service that does not go there any more charges nothing."""
    zone = state.zone(region, node)
    grams = sum(state.skus[sku].weight_grams * count for sku, count in units.items())
    found = state.nodes[node]
    handling = found.package_cost_micros + found.unit_cost_micros * sum(units.values())
    return Box(node, zone, grams, state.carrier(service, zone, grams) or 0, handling)


def boxes_by_node(state: State, region: str, service: str, choice: Choice) -> list[Box]:
    """One package a node."""
    boxes = []
    for node in state.nodes:
        units = {sku: count for (sku, at), count in choice.items() if at == node}
        if units:
            boxes.append(box_of(state, region, service, node, units))
    return boxes


def _cheapest(
    state: State, question: Question, way: Way, wanted: dict[str, int], whole: dict[str, list[str]]
) -> list[tuple[Box, list[str]]]:
    """Every way to put the lines into packages and the packages onto nodes; the best by cost, packages, nodes, packages' lines."""
    skus = list(wanted)
    best: tuple[tuple[Any, ...], list[tuple[Box, list[str]]]] | None = None
    for groups in partitions(skus):
        if 0 < way.packages_max < len(groups):
            continue
        senders = [[node for node in state.nodes if all(node in whole[sku] for sku in group)] for group in groups]
        for nodes in product(*senders):
            plan = [
                (
                    box_of(state, question.destination, question.service, node, {sku: wanted[sku] for sku in group}),
                    group,
                )
                for node, group in zip(nodes, groups, strict=True)
            ]
            cost = sum(box.carrier + box.handling for box, _ in plan) + way.split_penalty * (len(plan) - 1)
            of_sku = {sku: state.node_index(box.node) for box, group in plan for sku in group}
            masks = tuple(-sum(1 << skus.index(sku) for sku in group) for group in groups)
            rank = (cost, len(plan), tuple(of_sku[sku] for sku in skus), masks)
            if best is None or rank < best[0]:
                best = rank, plan
    assert best is not None
    return best[1]


def partitions(items: list[str]) -> Iterator[list[list[str]]]:
    """Every way to put items into groups; groups in the order of their first items."""
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for groups in partitions(rest):
        yield [[first], *groups]
        for at in range(len(groups)):
            yield [[first, *groups[at]], *groups[:at], *groups[at + 1 :]]


def pairs_of(legs: list[HeldLeg]) -> Choice:
    """Units by cell."""
    units: dict[Pair, int] = {}
    for leg in legs:
        units[leg.sku, leg.node] = units.get((leg.sku, leg.node), 0) + leg.units
    return units
