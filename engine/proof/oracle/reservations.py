"""Reservations: held, extended, released, expired."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.model import commands as m
from engine.model.outcomes import Outcome, Quantity, ReservationState, StockReason
from engine.model.replies import ExtendReply, Plain, ReserveReply
from engine.proof.oracle.claims import Grant, Refused, ask, decide, rule_name
from engine.proof.oracle.days import take
from engine.proof.oracle.rules import Question
from engine.proof.oracle.state import Choice, Hold, State

BatchRow = tuple[int, int, int, int, int]
"""Outcome, reservation id, end, first short line (−1: none), units there were for it."""
HELD = ReservationState.HELD
CLOSED = {
    ReservationState.COMMITTED: Outcome.RESERVATION_COMMITTED,
    ReservationState.RELEASED: Outcome.RESERVATION_RELEASED,
    ReservationState.EXPIRED: Outcome.RESERVATION_EXPIRED,
}


def find(state: State, reservation_id: int) -> Hold | None:
    """A reservation, unless it never was, or a later one has taken its place in memory."""
    return state.holds.get(reservation_id)


def close(state: State, hold: Hold, ending: ReservationState) -> None:
    for leg in hold.legs:
        state.move((leg.sku, leg.node), Quantity.RESERVED, -leg.units, StockReason.UNSPECIFIED)
    _take_days(state, hold, -1)
    hold.legs = []
    hold.state = ending


def expire(state: State) -> bool:
    """End what has ended by the clock; whether anything had."""
    due = [hold for hold in state.holds.values() if hold.state == HELD and hold.expires_ns <= state.now_ns]
    for hold in due:
        close(state, hold, ReservationState.EXPIRED)
    return bool(due)


def room(state: State, grants: int, legs: int) -> str:
    """The limit that so many more reservations and legs would break; empty: they fit."""
    held = [hold for hold in state.holds.values() if hold.state == HELD]
    if len(held) + grants > state.limits.open_reservations_max:
        return "open_reservations_max"
    if sum(len(hold.legs) for hold in held) + legs > state.limits.reservation_legs_max:
        return "reservation_legs_max"
    return ""


def _hold(state: State, question: Question, grant: Grant, expires_ns: int) -> Hold:
    """Twice as many places as may be held: an id takes the place of the one that many ids before it, unless that is held."""
    places = 2 * state.limits.open_reservations_max
    reservation_id = state.next_hold_id
    # A batch may take more places than there are; it is refused afterwards.
    for _ in range(places):
        other = state.hold_places.get(reservation_id % places, 0)
        if not other or state.holds[other].state != HELD:
            state.holds.pop(other, None)
            break
        reservation_id += 1
    state.hold_places[reservation_id % places] = reservation_id
    hold = Hold(
        reservation_id, HELD, question.channel, question.kind, question.destination, question.service,
        state.now_ns, expires_ns, list(grant.legs), question.due_day, question.store,
    )  # fmt: skip
    state.holds[reservation_id] = hold
    state.next_hold_id = reservation_id + 1
    for leg in hold.legs:
        state.move((leg.sku, leg.node), Quantity.RESERVED, leg.units, StockReason.UNSPECIFIED)
    _take_days(state, hold, 1)
    return hold


def _take_days(state: State, hold: Hold, sign: int) -> None:
    """One order at each node, with all its units there."""
    for node, *when in {(leg.node, leg.day, leg.hour) for leg in hold.legs}:
        units = sum(leg.units for leg in hold.legs if leg.node == node)
        take(state, node, (when[0], when[1]), sign, sign * units)


def _ends(state: State, claim: m.Claim) -> int:
    return state.now_ns + (claim.ttl_ns or state.limits.reservation_ttl_default_ns)


def reserve(state: State, command: m.Reserve, choices: Iterator[Choice]) -> ReserveReply:
    claim = command.claim
    try:
        question = ask(state, claim)
    except Refused as refused:
        return ReserveReply(refused.outcome, refused.subject)
    grant = decide(state, question, choices)
    if not grant.legs:
        subject = claim.lines[0][0] if len(claim.lines) == 1 else ""
        if grant.outcome == Outcome.NO_PLAN:
            subject = rule_name(grant)
        return ReserveReply(grant.outcome, subject, shortages=grant.shortages)
    full = room(state, 1, len(grant.legs))
    if full:
        return ReserveReply(Outcome.CAPACITY_EXHAUSTED, full)
    hold = _hold(state, question, grant, _ends(state, claim))
    return ReserveReply(
        grant.outcome, "", hold.reservation_id, state.channel_index(question.channel), question.kind, state.now_ns,
        hold.expires_ns, grant.told(state), grant.cost, grant.shortages, question.due_day,
    )  # fmt: skip


def _notes(state: State) -> dict[str, Any]:
    """What a batch may change, as it is now: it adds holds and takes units, and touches no other hold."""
    cells = {pair: dict(cell) for pair, cell in state.cells.items()}
    return {
        "cells": cells,
        "taken": dict(state.taken),
        "holds": dict(state.holds),
        "hold_places": dict(state.hold_places),
        "next_hold_id": state.next_hold_id,
    }


def batch_reserve(
    state: State, command: m.BatchReserve, choices: Iterator[Choice]
) -> tuple[Outcome, str, list[BatchRow], list[tuple[int, str]]]:
    """Outcome and subject of the batch, a row an item, and the keys of items with unknown ones."""
    if isinstance(command.claims, m.ClaimArrays):
        raise TypeError("the oracle knows no indexes; ask it by keys")
    before = _notes(state)
    rows: list[BatchRow] = []
    subjects: list[tuple[int, str]] = []
    for item, claim in enumerate(command.claims):
        try:
            question = ask(state, claim)
        except Refused as refused:
            rows.append((refused.outcome, 0, 0, -1, 0))
            subjects += [(item, refused.subject)] if refused.subject else []
            continue
        grant = decide(state, question, choices)
        short = grant.shortages[0] if grant.shortages else None
        line, there = (short.line_index, short.available_units) if short else (-1, 0)
        if grant.legs:
            hold = _hold(state, question, grant, _ends(state, claim))
            rows.append((grant.outcome, hold.reservation_id, hold.expires_ns, line, there))
        else:
            rows.append((grant.outcome, 0, 0, line, there))
    if command.all_or_nothing and any(row[0] != Outcome.OK for row in rows):
        vars(state).update(before)
        granted = (Outcome.OK, Outcome.PARTIAL)
        rows = [(Outcome.BATCH_REFUSED, 0, 0, row[3], row[4]) if row[0] in granted else row for row in rows]
        return Outcome.BATCH_REFUSED, "", rows, subjects
    full = room(state, 0, 0)
    if full:
        vars(state).update(before)
        return Outcome.CAPACITY_EXHAUSTED, full, [], []
    return Outcome.OK, "", rows, subjects


def extend(state: State, command: m.ExtendReservation) -> ExtendReply:
    hold = find(state, command.reservation_id)
    if hold is None or hold.state != HELD:
        outcome = Outcome.UNKNOWN_RESERVATION if hold is None else CLOSED[hold.state]
        return ExtendReply(outcome, str(command.reservation_id))
    expires_ns = state.now_ns + command.ttl_ns
    if expires_ns > hold.created_ns + state.limits.reservation_hold_max_ns:
        return ExtendReply(Outcome.EXTENSION_LIMIT, "reservation_hold_max_ns", hold.expires_ns)
    hold.expires_ns = expires_ns
    return ExtendReply(Outcome.OK, "", expires_ns)


def release(state: State, command: m.ReleaseReservation) -> Plain:
    hold = find(state, command.reservation_id)
    if hold is None or hold.state != HELD:
        outcome = Outcome.UNKNOWN_RESERVATION if hold is None else CLOSED[hold.state]
        return Plain(outcome, str(command.reservation_id))
    close(state, hold, ReservationState.RELEASED)
    return Plain(Outcome.OK)
