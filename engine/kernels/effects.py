"""The one kernel that changes state: it folds effects into it, live and on replay alike. It never decides.

The state that kernels hold (``zones.State``) is a tuple, always in this order:
``(cells, skus, index, reservations, held, expiry, movements, feeds, counters, capacity)``; see ``columns`` for their rows.
``feeds[source, slot]`` is the last number a feed gave for a cell.
"""

from typing import Final

import numpy as np
from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import inlined, inner, kernel
from engine.kernels.promise import apply_capacity
from engine.kernels.stock import apply_open_cell, apply_units
from engine.kernels.zones import MATRIX, SLOT_MASK, STATE, VECTOR, Integers, State

FETCH_ROWS: Final = 64
"""Effects whose cells are read before they are applied: what the processor's first cache holds of them."""
TIDY_MAX: Final = 1 << 14
"""Stale entries that are dropped one by one in a call."""


@inlined
def apply_move(state: State, slot: int, row: int, delta: int, reason: int) -> None:
    """Change a quantity; a physical one leaves an entry in the movement ring."""
    cells, movements, counters = state[0], state[6], state[8]
    apply_units(cells, counters, slot, row, delta)
    if row < c.PHYSICAL_ROWS:
        position = counters[c.MOVEMENT_NEXT]
        at = position % movements.shape[1]
        movements[c.MOVEMENT_SEQ, at] = counters[c.SEQ]
        movements[c.MOVEMENT_NS, at] = counters[c.NOW_NS]
        movements[c.MOVEMENT_SLOT, at] = slot
        movements[c.MOVEMENT_QUANTITY, at] = row
        movements[c.MOVEMENT_DELTA, at] = delta
        movements[c.MOVEMENT_BALANCE, at] = cells[row, slot]
        movements[c.MOVEMENT_REASON, at] = reason
        movements[c.MOVEMENT_PREVIOUS, at] = cells[c.MOVED, slot]
        cells[c.MOVED, slot] = position + 1
        counters[c.MOVEMENT_NEXT] = position + 1


@inner
def precedes(expiry: Integers, a: int, b: int) -> bool:
    """Whether heap entry ``a`` ends before ``b``; equal times by id."""
    if expiry[c.EXPIRY_NS, a] != expiry[c.EXPIRY_NS, b]:
        return expiry[c.EXPIRY_NS, a] < expiry[c.EXPIRY_NS, b]
    return expiry[c.EXPIRY_ID, a] < expiry[c.EXPIRY_ID, b]


@inner
def apply_swap(expiry: Integers, a: int, b: int) -> None:
    """Exchange two heap entries."""
    for row in range(c.EXPIRY_ROWS):
        kept = expiry[row, a]
        expiry[row, a] = expiry[row, b]
        expiry[row, b] = kept


@inner
def apply_sink(expiry: Integers, at: int, count: int) -> None:
    """Let the entry at ``at`` sink to its place in a heap of ``count``."""
    while True:
        child = 2 * at + 1
        if child >= count:
            return
        if child + 1 < count and precedes(expiry, child + 1, child):
            child += 1
        if not precedes(expiry, child, at):
            return
        apply_swap(expiry, child, at)
        at = child


@inner
def stale(reservations: Integers, expiry: Integers, at: int) -> bool:
    """Whether a heap entry no longer says when an open reservation ends."""
    column = expiry[c.EXPIRY_ID, at] % reservations.shape[1]
    return not (
        reservations[c.RES_ID, column] == expiry[c.EXPIRY_ID, at]
        and reservations[c.RES_STATE, column] == c.STATE_HELD
        and reservations[c.RES_EXPIRES, column] == expiry[c.EXPIRY_NS, at]
    )


@inner
def apply_compaction(reservations: Integers, expiry: Integers, counters: Integers) -> None:
    """Make the heap anew from the open reservations, one entry each: called when it is full, or most of it has gone stale.

    From the reservations and not from the entries, because entries that are alike may all be alive.
    """
    kept = 0
    for column in range(reservations.shape[1]):
        if reservations[c.RES_STATE, column] == c.STATE_HELD:
            expiry[c.EXPIRY_NS, kept] = reservations[c.RES_EXPIRES, column]
            expiry[c.EXPIRY_ID, kept] = reservations[c.RES_ID, column]
            kept += 1
    counters[c.EXPIRY_COUNT] = kept
    for at in range(kept // 2 - 1, -1, -1):
        apply_sink(expiry, at, kept)


@inner
def apply_expiry(state: State, reservation_id: int, expires_ns: int) -> None:
    """Note when a reservation ends; its column says so already."""
    reservations, expiry, counters = state[3], state[5], state[8]
    if counters[c.EXPIRY_COUNT] == expiry.shape[1]:
        apply_compaction(reservations, expiry, counters)
        return
    at = counters[c.EXPIRY_COUNT]
    counters[c.EXPIRY_COUNT] = at + 1
    expiry[c.EXPIRY_NS, at] = expires_ns
    expiry[c.EXPIRY_ID, at] = reservation_id
    while at > 0:
        parent = (at - 1) >> 1
        if not precedes(expiry, at, parent):
            return
        apply_swap(expiry, at, parent)
        at = parent


@inner
def apply_tidy(state: State) -> None:
    """Drop stale entries from the top of the heap. When very many end at once, making it anew costs less than as many sinkings."""
    reservations, expiry, counters = state[3], state[5], state[8]
    sunk = 0
    while counters[c.EXPIRY_COUNT] > 0 and stale(reservations, expiry, 0):
        if sunk == TIDY_MAX:
            apply_compaction(reservations, expiry, counters)
            return
        sunk += 1
        last = counters[c.EXPIRY_COUNT] - 1
        counters[c.EXPIRY_COUNT] = last
        apply_swap(expiry, 0, last)
        apply_sink(expiry, 0, last)


@inlined
def apply_hold(state: State, effect: Integers) -> None:
    """OP_HOLD: a reservation without legs yet."""
    reservations, counters = state[3], state[8]
    column = effect[1] % reservations.shape[1]
    if reservations[c.RES_STATE, column] == c.STATE_HELD:
        raise ValueError("open_reservations_max")
    reservations[c.RES_ID, column] = effect[1]
    reservations[c.RES_STATE, column] = c.STATE_HELD
    reservations[c.RES_EXPIRES, column] = effect[2]
    reservations[c.RES_CREATED, column] = counters[c.NOW_NS]
    reservations[c.RES_CHANNEL, column] = effect[3]
    reservations[c.RES_DESTINATION, column] = effect[4]
    reservations[c.RES_META, column] = effect[5]
    reservations[c.RES_LEG, column] = 0
    counters[c.RESERVATION_NEXT] = effect[1] + 1
    counters[c.RESERVATIONS_OPEN] += 1
    apply_expiry(state, effect[1], effect[2])


@inlined
def apply_leg(state: State, effect: Integers) -> None:
    """OP_LEG: units of an open reservation. Legs are chained newest first; readers turn them round."""
    cells, reservations, held, counters = state[0], state[3], state[4], state[8]
    free = counters[c.HELD_FREE]
    if free > 0:
        leg = free - 1
        counters[c.HELD_FREE] = held[c.HELD_NEXT, leg]
    else:
        leg = counters[c.HELD_USED]
        if leg == held.shape[1]:
            raise ValueError("reservation_legs_max")
        counters[c.HELD_USED] = leg + 1
    column = effect[1] % reservations.shape[1]
    held[c.HELD_SLOT, leg] = effect[2]
    held[c.HELD_UNITS, leg] = effect[3]
    held[c.HELD_LINE, leg] = effect[4]
    held[c.HELD_NEXT, leg] = reservations[c.RES_LEG, column]
    reservations[c.RES_LEG, column] = leg + 1
    held[c.HELD_WORK, leg] = effect[5]
    counters[c.HELD_OPEN] += 1
    apply_units(cells, counters, effect[2], c.RESERVED, effect[3])
    if effect[5] != 0:
        node = cells[c.KEY, effect[2]] & SLOT_MASK
        apply_capacity(state[9], (node, effect[5] >> 1), effect[5] & 1, effect[3], False)


@inlined
def apply_close(state: State, effect: Integers) -> None:
    """OP_CLOSE: the reservation ends; its units are free, its legs are forgotten."""
    cells, reservations, held, counters = state[0], state[3], state[4], state[8]
    column = effect[1] % reservations.shape[1]
    reservations[c.RES_STATE, column] = effect[2]
    leg = reservations[c.RES_LEG, column] - 1
    while leg >= 0:
        apply_units(cells, counters, held[c.HELD_SLOT, leg], c.RESERVED, -held[c.HELD_UNITS, leg])
        work = held[c.HELD_WORK, leg]
        if work != 0:
            node = cells[c.KEY, held[c.HELD_SLOT, leg]] & SLOT_MASK
            apply_capacity(state[9], (node, work >> 1), -(work & 1), -held[c.HELD_UNITS, leg], False)
        following = held[c.HELD_NEXT, leg] - 1
        held[c.HELD_NEXT, leg] = counters[c.HELD_FREE]
        counters[c.HELD_FREE] = leg + 1
        counters[c.HELD_OPEN] -= 1
        leg = following
    reservations[c.RES_LEG, column] = 0
    counters[c.RESERVATIONS_OPEN] -= 1


@inner
def fetch_cells(state: State, effects: Integers, first: int) -> int:
    """Read what the next effects will change of cells; returns a sum that means nothing, so that it is read at all.

    Applying them waits for one cell after the other to come from memory. Here nothing waits for anything, so the waits overlap: a batch is
    applied in two thirds of the time, and replayed, when nobody has read its cells just before, in half of it.
    """
    cells, reservations, held = state[0], state[3], state[4]
    seen = np.int64(0)
    for i in range(first, min(first + FETCH_ROWS, effects.shape[0])):
        slot = np.int64(-1)
        if effects[i, 0] == c.OP_LEG:
            slot = effects[i, 2]
        elif effects[i, 0] == c.OP_CLOSE:
            leg = reservations[c.RES_LEG, effects[i, 1] % reservations.shape[1]] - 1
            if leg >= 0:
                slot = held[c.HELD_SLOT, leg]
        if slot >= 0:
            seen += cells[c.RESERVED, slot] + cells[c.ATF, slot]
    return seen


@kernel(types.int64(STATE, MATRIX))
def apply_effects(state: State, effects: Integers) -> int:
    """Fold ``effects`` int64[n, EFFECT_WIDTH] into the state, in order. They are trusted: only decide and the journal make them.

    What is returned means nothing, see ``fetch_cells``.

    Raises ValueError with the name of the limit that is lower than when the effects were decided; the state is then spoilt.
    """
    cells, skus, index, reservations, feeds, counters = state[0], state[1], state[2], state[3], state[7], state[8]
    capacity = state[9]
    seen = np.int64(0)
    for i in range(effects.shape[0]):
        effect = effects[i]
        operation = effect[0]
        if i % FETCH_ROWS == 0:
            seen += fetch_cells(state, effects, i)
        if operation == c.OP_MOVE:
            apply_move(state, effect[1], effect[2], effect[3], effect[4])
        elif operation == c.OP_LEG:
            apply_leg(state, effect)
        elif operation == c.OP_HOLD:
            apply_hold(state, effect)
        elif operation == c.OP_CLOSE:
            apply_close(state, effect)
        elif operation == c.OP_AT:
            counters[c.SEQ] = effect[1]
            counters[c.NOW_NS] = effect[2]
        elif operation == c.OP_OPEN_CELL:
            if effect[1] >= skus.shape[1]:
                raise ValueError("skus_max")
            if effect[4] > cells.shape[1]:
                raise ValueError("cells_max")
            apply_open_cell((cells, skus, index), counters, effect)
        elif operation == c.OP_EXTEND:
            reservations[c.RES_EXPIRES, effect[1] % reservations.shape[1]] = effect[2]
            apply_expiry(state, effect[1], effect[2])
        elif operation == c.OP_FEED:
            if effect[1] >= feeds.shape[0]:
                raise ValueError("sources_max")
            feeds[effect[1], effect[2]] = effect[3]
        elif operation == c.OP_PRICE:
            cells[c.PRICE, effect[1]] = effect[2]
            cells[c.DEMAND, effect[1]] = effect[3]
        elif operation == c.OP_CAPACITY:
            if (effect[1] + 1) * c.CAPACITY_WIDTH > capacity.shape[1]:
                raise ValueError("nodes_max")
            apply_capacity(capacity, (effect[1], effect[2]), effect[3], effect[4], effect[5] != 0)
    apply_tidy(state)
    return seen


@kernel(types.int64(MATRIX, MATRIX, VECTOR, types.int64, VECTOR), allocates=True)
def due(reservations: Integers, expiry: Integers, counters: Integers, now_ns: int, out: Integers) -> int:
    """Ids of open reservations that end at or before ``now_ns``, into ``out``, in no order; returns how many (at most its size).

    Entries up to a time are the top of the heap, a connected part of the tree: it is walked without being changed. The same id
    may come twice when it was extended to a time it had before.
    """
    found = 0
    if counters[c.EXPIRY_COUNT] == 0 or expiry[c.EXPIRY_NS, 0] > now_ns:
        return found
    waiting = np.empty(128, dtype=np.int64)  # depth first: at most one sibling a level waits
    waiting[0] = 0
    top = 1
    while top > 0 and found < out.size:
        top -= 1
        at = waiting[top]
        if not stale(reservations, expiry, at):
            out[found] = expiry[c.EXPIRY_ID, at]
            found += 1
        for child in (2 * at + 2, 2 * at + 1):
            if child < counters[c.EXPIRY_COUNT] and expiry[c.EXPIRY_NS, child] <= now_ns:
                waiting[top] = child
                top += 1
    return found
