"""Moving work that no node has begun: give everything back, route it again, and see whether that is better."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.model import commands as m
from engine.model.orders import FulfillmentOrder, Order
from engine.model.outcomes import FulfillmentKind, FulfillmentState, Outcome, Quantity, StockReason
from engine.model.replies import RerouteReply
from engine.proof.oracle.claims import Grant, decide, pairs_of
from engine.proof.oracle.days import take
from engine.proof.oracle.fulfillment import again
from engine.proof.oracle.orders import allocate, keep, make_work, pair_of, work_of
from engine.proof.oracle.rules import Question, policy_of
from engine.proof.oracle.state import Choice, HeldLeg, State


@dataclass
class Floating:
    """An order, its floating work, and what is asked for it."""

    order: Order
    work: list[FulfillmentOrder]
    line_indexes: list[int]
    question: Question
    proposed: Choice


def reroute(state: State, command: m.RerouteOrder, choices: Iterator[Choice]) -> RerouteReply:
    chosen = list(choices)
    found = []
    for each in command.moves:
        floating = _floating(state, each)
        if isinstance(floating, RerouteReply):
            return floating
        found.append(floating)
    before = [as_it_stands(state, each) for each in found]
    grants = _elsewhere(state, found, chosen)
    if isinstance(grants, RerouteReply):
        return grants
    unmoved = RerouteReply(Outcome.OK, "", tuple(each.order for each in found))
    if not chosen and any(is_split(grant) for grant in grants):
        return unmoved  # which split the engine thought of is not known
    saving, must_go = 0, False
    for floating, old, new in zip(found, before, grants, strict=True):
        if new.outcome != Outcome.OK or (old is not None and is_later(state, floating, new)):
            return unmoved
        assert new.cost is not None
        if old is None:
            must_go = True
        else:
            saving += old - new.cost.total
    if not must_go and saving < max(1, command.saving_micros_min):
        return unmoved
    return move(state, found, grants, saving)


def _floating(state: State, move: m.Move) -> Floating | RerouteReply:
    order = state.orders.get(move.order_id)
    if order is None:
        return RerouteReply(Outcome.UNKNOWN_ORDER, str(move.order_id))
    shipped = order.kind == FulfillmentKind.SHIP
    work = [each for each in work_of(state, order) if each.state == FulfillmentState.OPEN and shipped]
    if move.work_ids and list(move.work_ids) != [each.fulfillment_order_id for each in work]:
        return RerouteReply(Outcome.STALE_PLAN, str(move.order_id))
    if not work:
        return RerouteReply(Outcome.INVALID_TRANSITION, order.state.name, (order,))
    proposed: Choice = {}
    for sku, node, count in move.legs:
        if (sku, node) not in state.cells:
            return RerouteReply(Outcome.STALE_PLAN, str(move.order_id))
        proposed[sku, node] = proposed.get((sku, node), 0) + count
    floating = floating_of(state, order)
    floating.proposed = proposed
    return floating


def floating_of(state: State, order: Order) -> Floating:
    """What floats of an order, for the engine to choose."""
    work = [
        each
        for each in work_of(state, order)
        if each.state == FulfillmentState.OPEN and each.kind == FulfillmentKind.SHIP
    ]
    units: dict[int, int] = {}
    for each in work:
        for line in each.lines:
            units[line.line_index] = units.get(line.line_index, 0) + line.units
    indexes = sorted(units)
    question = again(state, order, [(order.lines[at].sku_index, units[at]) for at in indexes], [])
    return Floating(order, work, indexes, question, {})


@contextmanager
def given_back(state: State, found: list[Floating]) -> Iterator[None]:
    for floating in found:
        allocate(state, floating.work, -1)
    yield
    for floating in found:
        allocate(state, floating.work, 1)


@contextmanager
def _fenced(state: State, question: Question, cells: Choice) -> Iterator[None]:
    """Nothing but these cells: a SKU that comes from one of them may have all that is there, else each gives exactly its units."""
    kept = max([rule.candidates.keep_units for rule in policy_of(state, question.channel).rules], default=0)
    skus = [sku for sku, _ in cells]
    everything = 1 << 62
    state.fence = {
        (sku, node): units + kept if skus.count(sku) > 1 else everything for (sku, node), units in cells.items()
    }
    yield
    state.fence = None


def as_it_stands(state: State, floating: Floating) -> int | None:
    """What the work costs where it is; ``None`` when it cannot be done there."""
    standing: Choice = {}
    for each in floating.work:
        for line in each.lines:
            pair = pair_of(state, line)
            standing[pair] = standing.get(pair, 0) + line.units
    skus = [sku for sku, _ in standing]
    is_split = any(skus.count(sku) > 1 for sku in skus)
    with given_back(state, [floating]), _fenced(state, floating.question, standing):
        grant = decide(state, floating.question, iter(()))
        if grant.outcome == Outcome.OK and is_split:
            grant = decide(state, floating.question, iter([standing]))
    return grant.cost.total if grant.outcome == Outcome.OK and grant.cost else None


def _elsewhere(state: State, found: list[Floating], chosen: list[Choice]) -> list[Grant] | RerouteReply:
    """One order after the other gets what those before it leave."""
    grants: list[Grant] = []
    with given_back(state, found):
        try:
            for at, floating in enumerate(found):
                choice = iter(chosen[at : at + 1])
                if floating.proposed:
                    free_to_choose = decide(state, floating.question, iter(()))
                    with _fenced(state, floating.question, floating.proposed):
                        grant = decide(state, floating.question, iter(()))
                        if grant.outcome == Outcome.OK and _units_by_sku(floating.proposed) == _asked(floating):
                            grant = decide(state, floating.question, iter([floating.proposed]))
                    later_rule = _rank(state, grant) > _rank(state, free_to_choose)
                    if grant.outcome != Outcome.OK or later_rule or pairs_of(grant.legs) != floating.proposed:
                        return RerouteReply(Outcome.STALE_PLAN, str(floating.order.order_id))
                else:
                    grant = decide(state, floating.question, choice)
                hold(state, grant.legs, 1)
                grants.append(grant)
        finally:
            for grant in grants:
                hold(state, grant.legs, -1)
    return grants


def _units_by_sku(choice: Choice) -> dict[str, int]:
    units: dict[str, int] = {}
    for (sku, _), count in choice.items():
        units[sku] = units.get(sku, 0) + count
    return units


def _asked(floating: Floating) -> dict[str, int]:
    return _units_by_sku({(sku, str(at)): units for at, (sku, units) in enumerate(floating.question.lines)})


def _rank(state: State, grant: Grant) -> int:
    names = [rule.name for policy in state.policies.values() for rule in policy.rules]
    return names.index(grant.rule) if grant.rule in names else -1


def hold(state: State, legs: list[HeldLeg], sign: int) -> None:
    nodes = set()
    for leg in legs:
        state.move((leg.sku, leg.node), Quantity.ALLOCATED, sign * leg.units, StockReason.ALLOCATION)
        take(state, leg.node, (leg.day, leg.hour), sign * (leg.node not in nodes), sign * leg.units)
        nodes.add(leg.node)


def is_split(grant: Grant) -> bool:
    skus = [sku for sku, _ in pairs_of(grant.legs)]
    return len(skus) > len(set(skus))


def is_later(state: State, floating: Floating, grant: Grant) -> bool:
    before = [each.arrival_day for each in floating.work]
    if not all(before):
        return False
    with _trial(state):
        made = make_work(state, floating.order.order_id, floating.question, grant.legs, grant.boxes)
        allocate(state, made, -1)
    return not all(0 < each.arrival_day <= max(before) for each in made)


@contextmanager
def _trial(state: State) -> Iterator[None]:
    first_id = state.next_work_id
    yield
    for work_id in range(first_id, state.next_work_id):
        del state.work[work_id]
    state.next_work_id = first_id


def move(state: State, found: list[Floating], grants: list[Grant], saving: int) -> RerouteReply:
    plans = []
    for floating, grant in zip(found, grants, strict=True):
        legs = [leg._replace(line=floating.line_indexes[leg.line]) for leg in grant.legs]
        kept = [each for each in floating.work if _keeps(state, each, legs)]
        plans.append((legs, kept, [each for each in floating.work if each not in kept]))
    if not any(gone for _, _, gone in plans):
        return RerouteReply(Outcome.OK, "", tuple(each.order for each in found))
    for _, _, gone in plans:
        allocate(state, gone, -1)
        for each in gone:
            state.work[each.fulfillment_order_id] = each._replace(state=FulfillmentState.MOVED, updated_ns=state.now_ns)
    orders = []
    for floating, grant, (legs, kept, _) in zip(found, grants, plans, strict=True):
        nodes = list(state.nodes)
        stays = [nodes[each.node_index] for each in kept]
        new = make_work(
            state,
            floating.order.order_id,
            floating.question,
            [leg for leg in legs if leg.node not in stays],
            [box for box in grant.boxes if box.node not in stays],
        )
        release_ns = max(each.release_ns for each in floating.work)
        for each in new:
            state.work[each.fulfillment_order_id] = each._replace(release_ns=release_ns)
        ids = (*floating.order.fulfillment_order_ids, *(each.fulfillment_order_id for each in new))
        orders.append(keep(state, floating.order._replace(fulfillment_order_ids=ids)))
    return RerouteReply(Outcome.OK, "", tuple(orders), moved=True, saving_micros=saving)


def _keeps(state: State, work: FulfillmentOrder, legs: list[HeldLeg]) -> bool:
    node = list(state.nodes)[work.node_index]
    here = sorted((leg.line, leg.sku, leg.units) for leg in legs if leg.node == node)
    return here == sorted((line.line_index, pair_of(state, line)[0], line.units) for line in work.lines)
