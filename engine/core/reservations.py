"""Deciding reservations: a ladder of guards, each giving one outcome; then the effects."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.core.batches import ask_many
from engine.core.claims import OUTCOME, Planner, Question, ask, cost_of, refused_by
from engine.core.displacement import room_for
from engine.core.draft import Draft
from engine.kernels import columns as c
from engine.kernels import reservations as kernels
from engine.kernels.zones import Integers
from engine.model.commands import BatchReserve, Claim, ExtendReservation, ReleaseReservation, Reserve
from engine.model.decisions import EffectRow
from engine.model.outcomes import FulfillmentKind, Outcome, ReservationState
from engine.model.replies import BatchReserveReply, ExtendReply, Leg, Plain, ReserveReply
from engine.pool.pool import Pool
from engine.pool.reservations import CLOSED_OUTCOME, Reservation
from engine.pool.stock import CapacityExhausted


def _hold_effects(pool: Pool, planner: Planner, asked: kernels.Asked) -> Integers:
    """OP_HOLD and OP_LEG rows of everything granted, row 0 left free. Raises CapacityExhausted."""
    reservations, legs = planner.counts
    pool.reservations.check_room(reservations, legs)
    effects = np.zeros((1 + reservations + legs, c.EFFECT_WIDTH), dtype=np.int64)
    kernels.write_holds(pool.state, pool.promises.arrays, asked, planner.granted, effects)
    return effects


class Judged(NamedTuple):
    """Consecutive Reserves, decided together. ``effects`` int64[n, 6] joins theirs behind a first row that is free for OP_AT;
    ``row_counts`` says how many of its rows belong to each reply.
    """

    replies: list[ReserveReply]
    row_counts: list[int]
    effects: Integers


def decide_reserves(pool: Pool, planner: Planner, claims: Sequence[Claim], now_ns: int) -> Judged:
    """Hold units for all lines of each claim, or what there is with ``allow_partial``; each after the ones before it.

    One kernel call, and the very answers that deciding and applying one by one gives. Raises CapacityExhausted when what was granted
    does not fit in all: then they must be decided one by one.
    """
    questions = [ask(pool, claim, now_ns) for claim in claims]
    asked = planner.ask_kernel(questions)
    effects = _hold_effects(pool, planner, asked)
    # From here on nothing may fail.
    rows, _, packages = planner.rows(len(questions))
    legs = _told_legs(pool, planner)
    replies, row_counts = [], []
    for question, row, shortages in zip(questions, rows, planner.shortages(questions, rows), strict=True):
        reservation_id, outcome = row[c.RESULT_ID], OUTCOME[row[c.RESULT_OUTCOME]]
        if not reservation_id:
            subject = question.subject if question.refusal else _why(pool, question, row)
            replies.append(ReserveReply(outcome, subject, shortages=shortages))
            row_counts.append(0)
            continue
        first, count = row[c.RESULT_FIRST_LEG], row[c.RESULT_LEG_COUNT]
        row_counts.append(1 + count)
        replies.append(
            ReserveReply(
                outcome,
                "",
                reservation_id,
                question.channel_index,
                question.kind,
                now_ns,
                question.expires_ns,
                tuple(legs[first : first + count]),
                cost_of(row, packages),
                shortages,
                question.due_day,
            )
        )
    return Judged(replies, row_counts, effects)


def matrix_of(rows: Sequence[EffectRow] | Integers) -> Integers:
    """Effects as a matrix."""
    return np.array(rows, dtype=np.int64).reshape(-1, c.EFFECT_WIDTH)


def _told_legs(pool: Pool, planner: Planner) -> list[Leg]:
    """All legs that were just granted, as callers are told them."""
    legs = planner.granted[1][: planner.counts[1]]
    lines, units = legs[:, c.LEG_LINE].tolist(), legs[:, c.LEG_UNITS].tolist()
    skus, nodes = pool.names.cells(legs[:, c.LEG_SLOT])
    return list(map(Leg, lines, skus, nodes, units))


def might_displace(pool: Pool, claim: Claim, reply: ReserveReply) -> bool:
    """Whether a claim that did not get everything might, if floating work gave way to it: then it is decided alone."""
    if claim.kind != FulfillmentKind.PICKUP or reply.outcome not in (Outcome.INSUFFICIENT_STOCK, Outcome.PARTIAL):
        return False
    return pool.orders.has_open_work(pool.names.nodes.find(claim.pickup_node_key))


def decide_reserve(pool: Pool, planner: Planner, command: Reserve, now_ns: int) -> Draft:
    """One claim. What is to be collected drives floating work away where that makes room for all of it."""
    try:
        judged = decide_reserves(pool, planner, (command.claim,), now_ns)
        reply = judged.replies[0]
        question = ask(pool, command.claim, now_ns)
        displaced = room_for(pool, planner, question, reply.outcome)
        if displaced is not None:
            with displaced.overlay(pool, planner).thought():
                pinned = decide_reserves(pool, planner, (command.claim,), now_ns)
            if pinned.replies[0].outcome == Outcome.OK:
                moves = displaced.draft(pool, now_ns)
                effects = np.concatenate([pinned.effects[:1], matrix_of(moves.effects), pinned.effects[1:]])
                return Draft(pinned.replies[0], effects, moves.documents)
    except CapacityExhausted as full:
        return Draft(ReserveReply(Outcome.CAPACITY_EXHAUSTED, full.limit))
    return Draft(reply, judged.effects)


def _why(pool: Pool, question: Question, row: list[int]) -> str:
    """What a refusal for lack of stock, or of a plan, speaks of."""
    if row[c.RESULT_OUTCOME] == Outcome.NO_PLAN:
        return refused_by(pool, question, Outcome.NO_PLAN, row[c.RESULT_RULE])
    return pool.names.sku_keys[question.lines[0][0]] if len(question.lines) == 1 else ""


def decide_batch_reserve(pool: Pool, planner: Planner, command: BatchReserve, now_ns: int) -> Draft:
    """Up to ``batch_items_max`` claims in one kernel call, each after the ones before it."""
    asked, subjects = ask_many(pool, command.claims, now_ns)
    planner.decide(asked)
    results = planner.granted[0][: len(command.claims)]
    outcomes = results[:, c.RESULT_OUTCOME]
    if command.all_or_nothing and bool((outcomes != Outcome.OK).any()):
        outcomes[(outcomes == Outcome.OK) | (outcomes == Outcome.PARTIAL)] = Outcome.BATCH_REFUSED
        return Draft(BatchReserveReply(Outcome.BATCH_REFUSED, "", _result_columns(asked, results), subjects))
    try:
        effects = _hold_effects(pool, planner, asked)
    except CapacityExhausted as full:
        return Draft(BatchReserveReply(Outcome.CAPACITY_EXHAUSTED, full.limit))
    return Draft(BatchReserveReply(Outcome.OK, "", _result_columns(asked, results), subjects), effects)


def _result_columns(asked: kernels.Asked, results: Integers) -> bytes:
    columns = np.zeros((len(results), 5), dtype="<i8")
    columns[:, 0] = results[:, c.RESULT_OUTCOME]
    columns[:, 1] = results[:, c.RESULT_ID]
    columns[:, 2] = np.where(results[:, c.RESULT_ID] > 0, asked[0][:, c.ITEM_EXPIRES], 0)
    columns[:, 3] = results[:, c.RESULT_LINE]
    columns[:, 4] = results[:, c.RESULT_AVAILABLE]
    return columns.tobytes()


def find_open(pool: Pool, reservation_id: int) -> Reservation | Outcome:
    """The reservation while it is held, else why it is not."""
    reservation = pool.reservations.get(reservation_id)
    if reservation is None:
        return Outcome.UNKNOWN_RESERVATION
    if reservation.state != ReservationState.HELD:
        return CLOSED_OUTCOME[reservation.state]
    return reservation


def decide_extend(pool: Pool, command: ExtendReservation, now_ns: int) -> Draft:
    """Move the end of an open reservation; creation to end has a cap."""
    found = find_open(pool, command.reservation_id)
    if isinstance(found, Outcome):
        return Draft(ExtendReply(found, str(command.reservation_id)))
    expires_ns = now_ns + command.ttl_ns
    if expires_ns - found.created_ns > pool.limits.reservation_hold_max_ns:
        return Draft(ExtendReply(Outcome.EXTENSION_LIMIT, "reservation_hold_max_ns", found.expires_ns))
    effects = [(c.OP_EXTEND, found.reservation_id, expires_ns, 0, 0, 0)]
    return Draft(ExtendReply(Outcome.OK, "", expires_ns), effects)


def decide_release(pool: Pool, command: ReleaseReservation) -> Draft:
    """Give the units back. Never fails for lack of stock."""
    found = find_open(pool, command.reservation_id)
    if isinstance(found, Outcome):
        return Draft(Plain(found, str(command.reservation_id)))
    effects = [(c.OP_CLOSE, found.reservation_id, ReservationState.RELEASED, 0, 0, 0)]
    return Draft(Plain(Outcome.OK), effects)


def expiry_effects(reservation_ids: Integers) -> Integers:
    """OP_CLOSE rows for reservations that have ended by the clock, row 0 left free."""
    effects = np.zeros((1 + len(reservation_ids), c.EFFECT_WIDTH), dtype=np.int64)
    effects[1:, 0] = c.OP_CLOSE
    effects[1:, 1] = reservation_ids
    effects[1:, 2] = ReservationState.EXPIRED
    return effects
