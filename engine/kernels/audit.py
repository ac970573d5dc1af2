"""Recomputing what the columns derive, and comparing."""

import numpy as np
from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import allocating, inner, kernel
from engine.kernels.effects import stale
from engine.kernels.promise import day_column, hour_column, hour_of
from engine.kernels.zones import MATRIX, SLOT_BITS, SLOT_MASK, STATE, VECTOR, Integers, State

RESERVED_IS_LEGS = 0
ALLOCATED_IS_WORK = 1
ATF_IS_FORMULA = 2
NEVER_NEGATIVE = 3
PENDING_IS_ZERO = 4
TOTAL_IS_SUM = 5
LEGS_ARE_COUNTED = 6
EXPIRY_IS_NOTED = 7
INDEX_FINDS_CELLS = 8
CAPACITY_IS_TAKEN = 9


@inner
def note(findings: Integers, count: int, invariant: int, subject: int, pair: tuple[int, int]) -> int:
    """Add a finding, ``pair = (expected, actual)``, while there is room; returns the new count."""
    if count < findings.shape[0]:
        findings[count, 0] = invariant
        findings[count, 1] = subject
        findings[count, 2] = pair[0]
        findings[count, 3] = pair[1]
    return count + 1


@allocating
def audit_reservations(state: State, expected: Integers, findings: Integers, count: int) -> int:
    """Legs of open reservations make RESERVED, and each open reservation is in the heap at the time it ends."""
    cells, reservations, held, expiry, counters = state[0], state[3], state[4], state[5], state[8]
    expected[:] = 0
    legs = np.int64(0)
    open_count = np.int64(0)
    for column in range(reservations.shape[1]):
        if reservations[c.RES_STATE, column] == c.STATE_HELD:
            open_count += 1
            leg = reservations[c.RES_LEG, column] - 1
            while leg >= 0:
                expected[held[c.HELD_SLOT, leg]] += held[c.HELD_UNITS, leg]
                legs += 1
                leg = held[c.HELD_NEXT, leg] - 1
    for slot in range(counters[c.SLOTS_USED]):
        if expected[slot] != cells[c.RESERVED, slot]:
            count = note(findings, count, RESERVED_IS_LEGS, slot, (expected[slot], cells[c.RESERVED, slot]))
    if legs != counters[c.HELD_OPEN]:
        count = note(findings, count, LEGS_ARE_COUNTED, c.HELD_OPEN, (legs, counters[c.HELD_OPEN]))
    if open_count != counters[c.RESERVATIONS_OPEN]:
        count = note(
            findings, count, LEGS_ARE_COUNTED, c.RESERVATIONS_OPEN, (open_count, counters[c.RESERVATIONS_OPEN])
        )
    noted = np.zeros(reservations.shape[1], dtype=np.int64)
    for at in range(counters[c.EXPIRY_COUNT]):
        if not stale(reservations, expiry, at):
            noted[expiry[c.EXPIRY_ID, at] % reservations.shape[1]] = 1
    if noted.sum() != open_count:
        count = note(findings, count, EXPIRY_IS_NOTED, 0, (open_count, noted.sum()))
    return count


@inner
def audit_index(state: State, findings: Integers, count: int) -> int:
    """Each SKU's chunk lists its cells in node order, and all chunks together every open cell."""
    cells, skus, index, counters = state[0], state[1], state[2], state[8]
    found = np.int64(0)
    for sku in range(skus.shape[1]):
        start = skus[c.INDEX_START, sku]
        found += skus[c.INDEX_COUNT, sku]
        for position in range(start, start + skus[c.INDEX_COUNT, sku]):
            node, slot = index[position] >> SLOT_BITS, index[position] & SLOT_MASK
            key = np.int64(sku) << SLOT_BITS | node
            if cells[c.KEY, slot] != key or (position > start and index[position - 1] >> SLOT_BITS >= node):
                count = note(findings, count, INDEX_FINDS_CELLS, slot, (key, cells[c.KEY, slot]))
    if found != counters[c.CELLS_OPEN]:
        count = note(findings, count, LEGS_ARE_COUNTED, c.CELLS_OPEN, (found, counters[c.CELLS_OPEN]))
    return count


@allocating
def audit_cells(state: State, findings: Integers, count: int) -> int:
    """Each cell on its own, and the totals over all of them."""
    cells, counters = state[0], state[8]
    totals = np.zeros(c.QUANTITY_ROWS, dtype=np.int64)
    available = np.int64(0)
    shortage = np.int64(0)
    short_cells = np.int64(0)
    for slot in range(counters[c.SLOTS_USED]):
        atf = np.int64(0)
        for row in range(c.QUANTITY_ROWS):
            atf += c.ATF_SIGN[row] * cells[row, slot]
            totals[row] += cells[row, slot]
            if cells[row, slot] < 0 and row != c.ON_HAND:
                count = note(findings, count, NEVER_NEGATIVE, slot, (np.int64(0), cells[row, slot]))
        if atf != cells[c.ATF, slot]:
            count = note(findings, count, ATF_IS_FORMULA, slot, (atf, cells[c.ATF, slot]))
        if cells[c.PENDING, slot] != 0:
            count = note(findings, count, PENDING_IS_ZERO, slot, (np.int64(0), cells[c.PENDING, slot]))
        available += max(atf, np.int64(0))
        shortage += max(-atf, np.int64(0))
        short_cells += atf < 0
    for row in range(c.QUANTITY_ROWS):
        if totals[row] != counters[c.TOTAL_FIRST + row]:
            count = note(findings, count, TOTAL_IS_SUM, row, (totals[row], counters[c.TOTAL_FIRST + row]))
    if available != counters[c.AVAILABLE]:
        count = note(findings, count, TOTAL_IS_SUM, c.AVAILABLE, (available, counters[c.AVAILABLE]))
    if shortage != counters[c.SHORTAGE]:
        count = note(findings, count, TOTAL_IS_SUM, c.SHORTAGE, (shortage, counters[c.SHORTAGE]))
    if short_cells != counters[c.SHORTAGE_CELLS]:
        count = note(findings, count, TOTAL_IS_SUM, c.SHORTAGE_CELLS, (short_cells, counters[c.SHORTAGE_CELLS]))
    return count


@inner
def expect_work(capacity: Integers, expected: Integers, where: tuple[int, int], taken: tuple[int, int]) -> None:
    """Add orders and units to what is expected of a node's day, and of its hour when there is one, unless a later one has the column."""
    node, when = where
    if when == 0:
        return
    column, day = day_column(node, when), when & c.WHEN_DAY
    for _ in range(2):
        if day >= capacity[c.CAPACITY_DAY, column]:
            expected[0, column] += taken[0]
            expected[1, column] += taken[1]
        if when >> c.WHEN_HOUR == 0:
            return
        column, day = hour_column(node, when), hour_of(when)


@kernel(types.int64(STATE, MATRIX, MATRIX), long=True, allocates=True)
def audit_capacity(state: State, work: Integers, findings: Integers) -> int:
    """Compare what nodes have promised for their days with open reservations and open work; returns how many differ.

    ``work[k] = (node, when, orders, units)`` of all open fulfillment orders with a day. ``findings`` as in ``audit_state``; the
    subject is a column of capacity. Days that a later one has taken the column from are forgotten on both sides.
    """
    cells, reservations, held, capacity = state[0], state[3], state[4], state[9]
    expected = np.zeros((2, capacity.shape[1]), dtype=np.int64)
    count = np.int64(0)
    for i in range(work.shape[0]):
        expect_work(capacity, expected, (work[i, 0], work[i, 1]), (work[i, 2], work[i, 3]))
    for at in range(reservations.shape[1]):
        leg = reservations[c.RES_LEG, at] - 1 if reservations[c.RES_STATE, at] == c.STATE_HELD else -1
        while leg >= 0:
            node = cells[c.KEY, held[c.HELD_SLOT, leg]] & SLOT_MASK
            taken = held[c.HELD_WORK, leg]
            expect_work(capacity, expected, (node, taken >> 1), (taken & 1, held[c.HELD_UNITS, leg]))
            leg = held[c.HELD_NEXT, leg] - 1
    for column in range(capacity.shape[1]):
        for row, wanted in ((c.CAPACITY_ORDERS, expected[0, column]), (c.CAPACITY_UNITS, expected[1, column])):
            if capacity[row, column] != wanted:
                count = note(findings, count, CAPACITY_IS_TAKEN, column, (wanted, capacity[row, column]))
        pending = capacity[c.CAPACITY_ORDERS_PENDING, column] + capacity[c.CAPACITY_UNITS_PENDING, column]
        if pending != 0:
            count = note(findings, count, PENDING_IS_ZERO, column, (np.int64(0), pending))
    return count


@kernel(types.int64(STATE, MATRIX, VECTOR, MATRIX), long=True, allocates=True)
def audit_state(state: State, allocated: Integers, expected: Integers, findings: Integers) -> int:
    """Compare every derived quantity with what it is derived from; returns how many differ.

    ``allocated[k] = (slot, units)`` of all open fulfillment orders; ``expected`` int64[slots in use] is scratch. ``findings[i] =
    (invariant, subject, expected, actual)`` gets the first ones; the subject is a slot, or a row of ``counters``.
    """
    cells, counters = state[0], state[8]
    count = audit_reservations(state, expected, findings, np.int64(0))
    expected[:] = 0
    for i in range(allocated.shape[0]):
        expected[allocated[i, 0]] += allocated[i, 1]
    for slot in range(counters[c.SLOTS_USED]):
        if expected[slot] != cells[c.ALLOCATED, slot]:
            count = note(findings, count, ALLOCATED_IS_WORK, slot, (expected[slot], cells[c.ALLOCATED, slot]))
    count = audit_index(state, findings, count)
    return audit_cells(state, findings, count)
