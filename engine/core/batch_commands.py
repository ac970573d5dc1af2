"""Deciding batches of releases, adjustments and commits: what the single commands decide one after the other, in one decision."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from engine.core.draft import Draft
from engine.core.orders import Earlier, place_reserved
from engine.core.stock import default_safety_stock, found_in
from engine.kernels import batches as kernels
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.commands import BatchAdjustStock, BatchCommit, BatchRelease, PlaceOrder
from engine.model.decisions import Document, EffectRow
from engine.model.outcomes import Outcome, ReservationState, StockReason
from engine.model.replies import BatchReply, OrderReply
from engine.pool.pool import Pool
from engine.pool.reservations import CLOSED_OUTCOME
from engine.pool.stock import CapacityExhausted, move

_WIDTH = 5
_TOLD = np.array(
    [Outcome.UNKNOWN_RESERVATION, Outcome.OK, *(CLOSED_OUTCOME[ReservationState(state)] for state in (2, 3, 4))],
    dtype=np.int64,
)
"""By the state of a reservation, what asking to close it gives."""


def _numbers(values: ArrayLike) -> Integers:
    return np.ascontiguousarray(values, dtype=np.int64)


def _columns(*columns: ArrayLike) -> bytes:
    """The first columns of a ``BatchReply``; the others are 0."""
    rows = np.zeros((len(_numbers(columns[0])), _WIDTH), dtype="<i8")
    for at, column in enumerate(columns):
        rows[:, at] = column
    return rows.tobytes()


def decide_batch_release(pool: Pool, command: BatchRelease) -> Draft:
    """Give the units back. Never fails for lack of stock."""
    channel = pool.names.channels.find(command.channel_key)
    if channel < 0:
        return Draft(BatchReply(Outcome.UNKNOWN_CHANNEL, command.channel_key))
    ids = _numbers(command.reservation_ids)
    outcomes = np.zeros(ids.size, dtype=np.int64)
    effects = np.zeros((1 + ids.size, c.EFFECT_WIDTH), dtype=np.int64)
    rows = kernels.plan_releases((pool.state[3], _TOLD), ids, channel, outcomes, effects)
    return Draft(BatchReply(Outcome.OK, "", _columns(outcomes)), effects[:rows])


def decide_batch_adjust(pool: Pool, command: BatchAdjustStock) -> Draft:
    """Change a quantity of many cells by differences, each row after the ones before it; it may not fall below zero."""
    rows = len(command.sku_keys) or len(command.sku_indexes)
    skus = found_in(pool.names.skus, command.sku_keys, command.sku_indexes, rows)
    nodes = found_in(pool.names.nodes, command.node_keys, command.node_indexes, rows)
    deltas = np.array(np.broadcast_to(_numbers(command.delta_units), rows))
    outcomes = np.where(skus < 0, int(Outcome.UNKNOWN_SKU), np.where(nodes < 0, int(Outcome.UNKNOWN_NODE), 0))
    quantity = command.quantity - 1
    # A cell that is not there has nothing to take; it is opened by the first row that brings something.
    slots = np.full(rows, -1, dtype=np.int64)
    known = np.flatnonzero(outcomes == 0)
    slots[known] = pool.stock.slots_of(skus[known], nodes[known])
    bringing = _bringing(known[slots[known] < 0], skus, nodes, deltas)
    try:
        slots[bringing], opening = pool.stock.plan_columns(skus[bringing], nodes[bringing])
    except CapacityExhausted as full:
        return Draft(BatchReply(Outcome.CAPACITY_EXHAUSTED, full.limit))
    fresh = _fresh_stock(pool, opening)
    balances = np.zeros(rows, dtype=np.int64)
    with _Opened(pool, fresh if quantity == c.SAFETY_STOCK else ()):
        kernels.plan_adjusts(pool.state[0], quantity, slots, deltas, balances)
    outcomes[(outcomes == 0) & (slots < 0)] = Outcome.INSUFFICIENT_STOCK
    outcomes[outcomes == 0] = Outcome.OK
    if command.all_or_nothing and bool((outcomes != Outcome.OK).any()):
        outcomes[outcomes == Outcome.OK] = Outcome.BATCH_REFUSED
        return Draft(BatchReply(Outcome.BATCH_REFUSED, "", _columns(outcomes)))
    good = np.flatnonzero(outcomes == Outcome.OK)
    moves = np.zeros((good.size, c.EFFECT_WIDTH), dtype=np.int64)
    moves[:, 0], moves[:, 2], moves[:, 4] = c.OP_MOVE, quantity, command.reason
    moves[:, 1], moves[:, 3] = slots[good], deltas[good]
    starts = np.array(fresh, dtype=np.int64).reshape(-1, c.EFFECT_WIDTH)
    effects = np.concatenate([np.zeros((1, c.EFFECT_WIDTH), dtype=np.int64), opening, starts, moves])
    return Draft(BatchReply(Outcome.OK, "", _columns(outcomes, balances)), effects, (), command.reference)


def _bringing(missing: Integers, skus: Integers, nodes: Integers, deltas: Integers) -> Integers:
    """Of the rows without a cell those from the first on that brings something to it."""
    if not missing.size:
        return missing
    pairs = skus[missing] << 32 | nodes[missing]
    opened: set[int] = set()
    kept = []
    for row, pair in zip(missing.tolist(), pairs.tolist(), strict=True):
        if pair in opened or deltas[row] > 0:
            opened.add(pair)
            kept.append(row)
    return np.array(kept, dtype=np.int64)


def _fresh_stock(pool: Pool, opening: Integers) -> list[EffectRow]:
    """The safety stock that new cells begin with."""
    defaults = default_safety_stock(pool, set(opening[:, 2].tolist()))
    return [
        move(slot, c.SAFETY_STOCK, defaults[node], StockReason.POLICY)
        for _, _, node, slot, _, _ in opening.tolist()
        if node in defaults
    ]


class _Opened:
    """While a batch is judged, new cells count as having what they will begin with; afterwards nothing is changed."""

    def __init__(self, pool: Pool, fresh: Sequence[EffectRow]) -> None:
        self._row = pool.state[0][c.SAFETY_STOCK]
        self._fresh = fresh

    def __enter__(self) -> None:
        for _, slot, _, units, _, _ in self._fresh:
            self._row[slot] += units

    def __exit__(self, *error: object) -> None:
        for _, slot, _, units, _, _ in self._fresh:
            self._row[slot] -= units


def decide_batch_commit(pool: Pool, command: BatchCommit, now_ns: int) -> Draft:
    """Make orders of reservations, each after the ones before it, of everything that they hold."""
    channel = pool.names.channels.find(command.channel_key)
    if channel < 0:
        return Draft(BatchReply(Outcome.UNKNOWN_CHANNEL, command.channel_key))
    customers = command.customer_keys or [""] * len(command.order_keys)
    earlier = Earlier()
    effects: list[EffectRow] = []
    documents: list[Document] = []
    told: list[tuple[int, int]] = []
    for reservation_id, order_key, customer_key in zip(
        _numbers(command.reservation_ids).tolist(), command.order_keys, customers, strict=True
    ):
        one = PlaceOrder("", 0, command.channel_key, order_key, customer_key, (), reservation_id)
        draft = place_reserved(pool, one, channel, now_ns, earlier)
        reply = draft.reply
        assert isinstance(reply, OrderReply)
        order = reply.order
        told.append((reply.outcome, order.order_id if order else reply.existing_order_id))
        if order is not None:
            earlier.note(order, reservation_id)
            effects += draft.effects
            documents += draft.documents
    outcomes, order_ids = zip(*told, strict=True)
    return Draft(BatchReply(Outcome.OK, "", _columns(outcomes, order_ids)), effects, tuple(documents))
