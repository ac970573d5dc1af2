"""The day on which a package leaves each node that is asked for now: from calendars as tables, the present, and the capacity left.

The tables say for every service, node and day until when a package must be asked for to leave on it (``pool.calendars``); here
they meet the time and what a node has promised already. A full day moves the ship day on to the next one that is not. All of it is scratch:
what was decided with it is in the journal, so replay needs none.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import inner, kernel
from engine.kernels.zones import CUBE, MATRIX, NEVER_SHIPS, VECTOR, Integers

Slots: TypeAlias = tuple[Integers, Integers]
Promise: TypeAlias = tuple[Integers, Integers, Integers, Integers, Integers, Integers, Integers, Slots]
"""``days[row, node, k]`` (the k-th day on which goods leave, ascending, 0 behind the last), ``latest[row, node, k]`` (the last
nanosecond to ask for it), ``at[row, node]`` (the first k whose latest has not passed), ``ship_days[row, node]`` (the answer: the first day from there
on that has room, or NEVER_SHIPS; 0 without a calendar), ``most[4, node]`` (orders and units a day, 0: any number; then 1 when
the node has a calendar, and orders for collection an hour), ``capacity`` (state, see ``columns``), ``span`` (see SPAN_...), and ``slots``:
where an hour has a maximum the ``when`` of each hour [node, k] and the last nanosecond to ask for it take the place of days for
collection, in the answer, too.

Row ``service + 1`` is a carrier service; row COLLECTED has the days on which goods become ready for collection."""
PROMISE: Final = types.Tuple([CUBE, CUBE, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, types.UniTuple(MATRIX, 2)])

COLLECTED: Final = 0
SPAN_ROWS: Final = 0
"""Rows in use; 0 when no node has a calendar."""
SPAN_NODES: Final = 1
SPAN_END: Final = 2
"""The first day beyond the horizon."""
SPAN_EPOCH: Final = 3
SPAN_SLOTS_END: Final = 4
"""The first day of which no hour is promised."""
SPAN_MARKS: Final = 5
"""SPAN_MARKS + node: the epoch in which the node was last asked about."""


@inner
def day_column(node: int, when: int) -> int:
    """The column of capacity for the day of ``when``."""
    return node * c.CAPACITY_WIDTH + (when & c.WHEN_DAY) % c.CAPACITY_DAYS


@inner
def hour_of(when: int) -> int:
    """24 * day + hour; below 0 without an hour."""
    hour = when >> c.WHEN_HOUR
    return 24 * (when & c.WHEN_DAY) + hour - 1 if hour > 0 else np.int64(-1)


@inner
def hour_column(node: int, when: int) -> int:
    """The column of capacity for the hour of ``when``, which must have one."""
    return node * c.CAPACITY_WIDTH + c.CAPACITY_DAYS + hour_of(when) % c.CAPACITY_HOURS


@inner
def apply_column(capacity: Integers, column: int, day: int, changes: tuple[int, int, bool]) -> None:
    """So many more orders and units of the day, or the hour, that a column is to be about, unless a later one has taken it."""
    orders, units, done = changes
    if day < capacity[c.CAPACITY_DAY, column]:
        return
    if day > capacity[c.CAPACITY_DAY, column]:
        for row in range(c.CAPACITY_STATE_ROWS):
            capacity[row, column] = 0
        capacity[c.CAPACITY_DAY, column] = day
    capacity[c.CAPACITY_ORDERS, column] += orders
    capacity[c.CAPACITY_UNITS, column] += units
    if done:
        capacity[c.CAPACITY_ORDERS_DONE, column] -= orders
        capacity[c.CAPACITY_UNITS_DONE, column] -= units


@inner
def apply_capacity(capacity: Integers, where: tuple[int, int], orders: int, units: int, done: bool) -> None:
    """OP_CAPACITY: ``where = (node, when)`` has so many more orders and units open; ``done``: they have left, or come back."""
    node, when = where
    apply_column(capacity, day_column(node, when), when & c.WHEN_DAY, (orders, units, done))
    if when >> c.WHEN_HOUR > 0:
        apply_column(capacity, hour_column(node, when), hour_of(when), (orders, units, done))
    if not done:
        note_touched(capacity, node)


@inner
def note_touched(capacity: Integers, node: int) -> None:
    """List a node whose days are to be settled anew. A full list means all nodes."""
    count = capacity[c.CAPACITY_TOUCHED, 0] + 1
    if count < capacity.shape[1]:
        capacity[c.CAPACITY_TOUCHED, 0] = count
        capacity[c.CAPACITY_TOUCHED, count] = node


@inner
def taken(capacity: Integers, column: int, day: int, row: int) -> int:
    """Orders (``row`` 0) or units (1) that are promised for the day or hour of a column, done on it, or pending."""
    count = capacity[c.CAPACITY_ORDERS_PENDING + row, column]
    if capacity[c.CAPACITY_DAY, column] == day:
        count += capacity[c.CAPACITY_ORDERS + row, column] + capacity[c.CAPACITY_ORDERS_DONE + row, column]
    return count


@inner
def is_full(promise: Promise, node: int, when: int) -> bool:
    """Whether a node has promised all it can do on a day, or in an hour of it. The order that reaches the maximum of units is taken whole."""
    most, capacity = promise[4], promise[5]
    day, column = when & c.WHEN_DAY, day_column(node, when)
    for row in range(2):
        if most[row, node] > 0 and taken(capacity, column, day, row) >= most[row, node]:
            return True
    if when >> c.WHEN_HOUR == 0 or most[3, node] == 0:
        return False
    return taken(capacity, hour_column(node, when), hour_of(when), 0) >= most[3, node]


@inner
def settle(promise: Promise, node: int) -> None:
    """Say anew on which day a package leaves a node, by every service, and when goods are ready for collection."""
    days, _, at, ship_days, most, _, span, slots = promise
    if most[2, node] == 0:
        return
    for row in range(span[SPAN_ROWS]):
        k = at[row, node]
        ship_days[row, node] = NEVER_SHIPS
        choices, end = days[row, node], span[SPAN_END]
        if row == COLLECTED and most[3, node] > 0:
            choices, end = slots[0][node], span[SPAN_SLOTS_END]
        while k < choices.shape[0] and choices[k] > 0 and choices[k] & c.WHEN_DAY < end:
            if not is_full(promise, node, choices[k]):
                ship_days[row, node] = choices[k]
                break
            k += 1


@kernel(types.void(PROMISE))
def settle_touched(promise: Promise) -> None:
    """Settle the nodes whose capacity has changed."""
    capacity = promise[5]
    count = capacity[c.CAPACITY_TOUCHED, 0]
    if count == 0:
        return
    capacity[c.CAPACITY_TOUCHED, 0] = 0
    if count >= min(promise[6][SPAN_NODES], capacity.shape[1] - 1):
        for node in range(promise[6][SPAN_NODES]):
            settle(promise, node)
        return
    for entry in range(1, count + 1):
        settle(promise, capacity[c.CAPACITY_TOUCHED, entry])


@inner
def is_first(promise: Promise, node: int) -> bool:
    """Whether the node was not asked about since the last ``begin_marks``."""
    span = promise[6]
    if span[SPAN_MARKS + node] == span[SPAN_EPOCH]:
        return False
    span[SPAN_MARKS + node] = span[SPAN_EPOCH]
    return True


@inner
def begin_marks(promise: Promise) -> None:
    """Begin a new set of nodes for ``is_first``."""
    promise[6][SPAN_EPOCH] += 1


@inner
def take_pending(promise: Promise, where: tuple[int, int], orders: int, units: int) -> None:
    """An item of the batch that is being decided has taken this of a node's day; what comes after it sees that."""
    node, when = where
    capacity, column = promise[5], day_column(node, when)
    capacity[c.CAPACITY_ORDERS_PENDING, column] += orders
    capacity[c.CAPACITY_UNITS_PENDING, column] += units
    if when >> c.WHEN_HOUR > 0:
        capacity[c.CAPACITY_ORDERS_PENDING, hour_column(node, when)] += orders
    if is_full(promise, node, when):
        settle(promise, node)


@inner
def drop_pending(promise: Promise, node: int, when: int) -> None:
    """The batch is over: nothing is pending on this day."""
    capacity, column = promise[5], day_column(node, when)
    full = is_full(promise, node, when)
    capacity[c.CAPACITY_ORDERS_PENDING, column] = 0
    capacity[c.CAPACITY_UNITS_PENDING, column] = 0
    if when >> c.WHEN_HOUR > 0:
        capacity[c.CAPACITY_ORDERS_PENDING, hour_column(node, when)] = 0
    if full:
        settle(promise, node)


@kernel(types.void(PROMISE, MATRIX))
def set_pending(promise: Promise, days: Integers) -> None:
    """What counts as taken while a decision is thought out; below zero: given back. ``days``: rows (node, day, orders, units)."""
    capacity = promise[5]
    for row in range(days.shape[0]):
        node, column = days[row, 0], day_column(days[row, 0], days[row, 1])
        if min(days[row, 2], days[row, 3]) < 0 and capacity[c.CAPACITY_DAY, column] != days[row, 1]:
            continue  # what is given back of a day that a later one has followed is of no use to anybody
        capacity[c.CAPACITY_ORDERS_PENDING, column] = days[row, 2]
        capacity[c.CAPACITY_UNITS_PENDING, column] = days[row, 3]
        settle(promise, node)


@kernel(types.int64(PROMISE, types.int64))
def refresh_days(promise: Promise, now_ns: int) -> int:
    """Say on which day a package leaves every node that is asked for at ``now_ns``, by every service.

    Returns the last nanosecond for which this holds unless capacity changes: the next moment at which a latest passes.
    """
    days, latest, at, _, most, capacity, span, slots = promise
    until = np.int64(np.iinfo(np.int64).max)
    for node in range(span[SPAN_NODES]):
        for row in range(span[SPAN_ROWS] if most[2, node] > 0 else 0):
            choices, last = days[row, node], latest[row, node]
            if row == COLLECTED and most[3, node] > 0:
                choices, last = slots[0][node], slots[1][node]
            k = np.int64(0)
            while k < choices.shape[0] and choices[k] > 0 and last[k] < now_ns:
                k += 1
            at[row, node] = k
            if k < choices.shape[0] and choices[k] > 0:
                until = min(until, last[k])
        settle(promise, node)
    capacity[c.CAPACITY_TOUCHED, 0] = 0
    return until
