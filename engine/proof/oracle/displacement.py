"""Floating work gives way to what is pinned: the cheapest move first, again until there is room."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from engine.model import commands as m
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import FulfillmentKind, FulfillmentState, Outcome, Quantity, StockReason
from engine.model.replies import OrderReply, ReserveReply
from engine.proof.oracle import orders, reservations
from engine.proof.oracle.claims import Grant, Refused, ask, decide
from engine.proof.oracle.orders import allocate, pair_of
from engine.proof.oracle.rerouting import (
    Floating,
    as_it_stands,
    floating_of,
    given_back,
    hold,
    is_later,
    is_split,
    move,
)
from engine.proof.oracle.rules import Question
from engine.proof.oracle.state import Choice, Pair, State

WORK_LOOKED_AT, ORDERS_ASKED = 256, 16
Gone = list[tuple[Floating, Grant]]


def make_room(state: State, wanted: Choice, lacking: Choice, *, keep_day: bool) -> tuple[Gone, Choice]:
    """Who gives way and to where, and what is still lacking. Changes nothing."""
    gone: Gone = []
    left = dict(lacking)
    _allocate_units(state, wanted, 1)
    with _undone(state, wanted, gone):
        for pair in lacking:
            while left[pair] > 0:
                best = _cheapest(state, pair, wanted, gone, keep_day=keep_day)
                if best is None:
                    break
                floating, grant = best
                allocate(state, floating.work, -1)
                hold(state, grant.legs, 1)
                gone.append(best)
                for each in floating.work:
                    for line in each.lines:
                        if pair_of(state, line) in left:
                            left[pair_of(state, line)] -= line.units
                for leg in grant.legs:
                    if (leg.sku, leg.node) in left:
                        left[leg.sku, leg.node] += leg.units
    return gone, {pair: units for pair, units in left.items() if units > 0}


def _allocate_units(state: State, wanted: Choice, sign: int) -> None:
    for pair, units in wanted.items():
        state.move(pair, Quantity.ALLOCATED, sign * units, StockReason.ALLOCATION)


@contextmanager
def _undone(state: State, wanted: Choice, gone: Gone) -> Iterator[None]:
    """Whatever is done meanwhile is undone."""
    yield
    for floating, grant in reversed(gone):
        hold(state, grant.legs, -1)
        allocate(state, floating.work, 1)
    _allocate_units(state, wanted, -1)


def _cheapest(state: State, pair: Pair, wanted: Choice, gone: Gone, *, keep_day: bool) -> tuple[Floating, Grant] | None:
    best: tuple[int, int, Floating, Grant] | None = None
    for floating in _at(state, pair, {each.order.order_id for each, _ in gone}):
        with given_back(state, [floating]):
            grant = decide(state, floating.question, iter(()))
        if grant.outcome != Outcome.OK or is_split(grant) or pair in {(leg.sku, leg.node) for leg in grant.legs}:
            continue
        with _as_before(state, wanted, gone):
            before = as_it_stands(state, floating)
            later = before is not None and is_later(state, floating, grant)
        if keep_day and later:
            continue
        assert grant.cost is not None
        extra = grant.cost.total - before if before is not None else -(1 << 62)
        if best is None or (extra, floating.order.order_id) < best[:2]:
            best = extra, floating.order.order_id, floating, grant
    return (best[2], best[3]) if best else None


@contextmanager
def _as_before(state: State, wanted: Choice, gone: Gone) -> Iterator[None]:
    """What an order costs where it is does not depend on what is wanted now, or on who has gone."""
    for floating, grant in reversed(gone):
        hold(state, grant.legs, -1)
        allocate(state, floating.work, 1)
    _allocate_units(state, wanted, -1)
    yield
    _allocate_units(state, wanted, 1)
    for floating, grant in gone:
        allocate(state, floating.work, -1)
        hold(state, grant.legs, 1)


def _at(state: State, pair: Pair, seen: set[int]) -> Iterator[Floating]:
    """Orders with floating work that holds units of the cell, the newest work first, none of those that were seen."""
    node = state.node_index(pair[1])
    open_here = [each for each in state.work.values() if each.is_open and each.node_index == node]
    asked = 0
    for each in list(reversed(open_here))[:WORK_LOOKED_AT]:
        holds = pair in {pair_of(state, line) for line in each.lines}
        if asked < ORDERS_ASKED and each.order_id not in seen and _floats(each) and holds:
            seen.add(each.order_id)
            asked += 1
            yield floating_of(state, state.orders[each.order_id])


def _floats(work: FulfillmentOrder) -> bool:
    return work.kind == FulfillmentKind.SHIP and work.state == FulfillmentState.OPEN


def carry_out(state: State, gone: Gone) -> None:
    """They move."""
    if gone:
        move(state, [floating for floating, _ in gone], [grant for _, grant in gone], 0)


def sale(state: State, command: m.RecordSale) -> None:
    """Who gives way to what a till has sold, as far as anybody can."""
    if command.channel_key not in state.channels:
        return
    wanted: Choice = {}
    for sku, units in command.lines:
        if (sku, command.node_key) in state.cells:
            wanted[sku, command.node_key] = wanted.get((sku, command.node_key), 0) + units
    if command.node_key not in state.nodes or any(sku not in state.skus for sku, _ in command.lines):
        return
    short = {pair: min(units, units - state.atf(pair)) for pair, units in wanted.items()}
    gone, _ = make_room(state, wanted, {pair: units for pair, units in short.items() if units > 0}, keep_day=False)
    carry_out(state, gone)


def reserve(state: State, command: m.Reserve, choices: Iterator[Choice]) -> ReserveReply:
    """Hold; what is to be collected drives others away where it then gets everything."""
    gone = _room_for(state, command.claim, books=False)
    if gone:
        full = reservations.room(state, 1, len(command.claim.lines))
        if full:
            return ReserveReply(Outcome.CAPACITY_EXHAUSTED, full)
        carry_out(state, gone)
    reply = reservations.reserve(state, command, choices)
    for _ in gone:
        next(choices, None)
    return reply


def place(state: State, command: m.PlaceOrder, choices: Iterator[Choice]) -> OrderReply:
    """Order, likewise."""
    claim = command.claim
    known = any(
        order.order_key == command.order_key and list(state.channels)[order.channel_index] == command.channel_key
        for order in state.orders.values()
    )
    if claim is not None and not known and command.channel_key in state.channels:
        gone = _room_for(state, claim, books=True)
        carry_out(state, gone)
        for _ in gone:
            next(choices, None)
    return orders.place(state, command, choices)


def _room_for(state: State, claim: m.Claim, *, books: bool) -> Gone:
    """Who gives way so that all of the claim can be collected; nobody where that does not suffice, or is not needed."""
    try:
        question = ask(state, claim, books=books)
    except Refused:
        return []
    if question.kind != FulfillmentKind.PICKUP or not _is_short(state, question):
        return []
    wanted: Choice = {}
    for sku, units in question.lines:
        if (sku, question.destination) not in state.cells:
            return []
        wanted[sku, question.destination] = wanted.get((sku, question.destination), 0) + units
    lacking = {pair: units - state.atf(pair) for pair, units in wanted.items() if units > state.atf(pair)}
    gone, left = make_room(state, wanted, lacking, keep_day=True)
    if left:
        return []
    for floating, grant in gone:
        allocate(state, floating.work, -1)
        hold(state, grant.legs, 1)
    suffices = decide(state, question, iter(())).outcome == Outcome.OK
    for floating, grant in reversed(gone):
        hold(state, grant.legs, -1)
        allocate(state, floating.work, 1)
    return gone if suffices else []


def _is_short(state: State, question: Question) -> bool:
    return decide(state, question, iter(())).outcome in (Outcome.INSUFFICIENT_STOCK, Outcome.PARTIAL)
