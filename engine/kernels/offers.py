"""Offers: what a view (a channel, a kind of fulfilment, perhaps one node) may sell of a SKU, for those who ask once and for those who
watch. One function says what a view is offered, so that the two cannot disagree.

Neither array here is part of the state. ``marks`` int64[MARK_ROWS, skus + 1] is written by whoever applies; ``offers``, a matrix
int64[offers, OFFER_FIELDS] with the chain of each SKU through it, by whoever has the writer's ear.
"""

from typing import Final

from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import inner, kernel
from engine.kernels.reach import ats
from engine.kernels.stock import find_cell
from engine.kernels.zones import MATRIX, SLOT_BITS, STOCK, VECTOR, Integers, Stock, serves

# marks[row, sku]; the last column is nobody's, see MARK_QUEUE.
MARK_SEQ: Final = 0
"""No decision after this one has changed what anybody is offered of the SKU."""
MARK_WAITS: Final = 1
"""1: the SKU is in the queue."""
MARK_QUEUE: Final = 2
"""The queue of SKUs that have changed since it was last taken, in order; its length is in the last column."""
MARK_ROWS: Final = 3

# view[field], and the first fields of offers[offer, field], which is a line of the processor's cache
VIEW_CHANNEL: Final = 0
VIEW_NEEDS: Final = 1
"""FLAG_... bits that a node needs."""
VIEW_NODE: Final = 2
"""−1: all of the channel."""
VIEW_FIELDS: Final = 3
OFFER_UNITS: Final = 3
"""What is offered; −1: not looked at yet."""
OFFER_LOOK: Final = 4
"""Number of the look that last found them to be others."""
OFFER_SKU: Final = 5
OFFER_NEXT: Final = 6
OFFER_PREVIOUS: Final = 7
"""Position + 1 of its neighbours in the chain of offers of its SKU; 0: none."""
OFFER_FIELDS: Final = 8

# terms[row, 2 * channel + (1 for pickup, else 0)]
TERM_THRESHOLD: Final = 0
"""In: units that the channel keeps back."""
TERM_SKU: Final = 1
TERM_POOLED: Final = 2
"""Scratch: ATS less the threshold, and of which SKU."""
TERM_ROWS: Final = 3

# progress[field]
PROGRESS_LOOK: Final = 0
"""In: the number of this look."""
PROGRESS_BUDGET: Final = 1
"""In and out: what may be spent, in cells that are run through (4 ns); the last SKU may exceed it."""
PROGRESS_CHANGED: Final = 2
"""In and out: offers whose units are others now."""
PROGRESS_FIELDS: Final = 3

SKU_COST: Final = 24
OFFER_COST: Final = 4
"""What it costs to come to a SKU and to an offer, in cells: what lies elsewhere in memory is waited for."""

Marked = tuple[Integers, Integers, Integers, Integers]
Chained = tuple[Integers, Integers, Integers]
MARKED: Final = types.UniTuple(MATRIX, 4)
CHAINED: Final = types.Tuple([MATRIX, VECTOR, VECTOR])


@inner
def offered(stock: Stock, nodes: Integers, sku: int, pooled: int, view: tuple[int, int, int]) -> int:
    """Units that a view is offered of ``sku``; ``pooled``: ATS of its channel for its kind, less the channel's threshold.

    One node offers what it has, but never more than the channel may sell at all, for the threshold is kept over all nodes.
    """
    cells, skus, index = stock
    channel, needs, node = view
    units = max(pooled, 0)
    if node >= 0:
        slot = find_cell(skus, index, sku, node)
        if slot < 0 or not serves(nodes[c.NODE_FLAGS, node], nodes[c.NODE_CHANNELS, node], needs, channel):
            return 0
        units = min(units, max(cells[c.ATF, slot], 0))
    return units


@kernel(types.void(STOCK, MATRIX, VECTOR, types.int64, MATRIX))
def find_offers(stock: Stock, nodes: Integers, view: Integers, threshold: int, found: Integers) -> None:
    """What one view is offered of many SKUs: ``found[0]`` are SKU indexes, −1 where there is no SKU, and ``found[1]`` gets the units."""
    channel, needs, node = view[VIEW_CHANNEL], view[VIEW_NEEDS], view[VIEW_NODE]
    for i in range(found.shape[1]):
        sku = found[0, i]
        found[1, i] = 0
        if sku >= 0:
            pooled = ats(stock, nodes, sku, channel, needs) - threshold
            found[1, i] = offered(stock, nodes, sku, pooled, (channel, needs, node))


@inner
def mark_sku(marks: Integers, sku: int, seq: int) -> None:
    """The SKU has changed by ``seq``."""
    marks[MARK_SEQ, sku] = seq
    if marks[MARK_WAITS, sku] == 0:
        marks[MARK_WAITS, sku] = 1
        last = marks.shape[1] - 1
        marks[MARK_QUEUE, marks[MARK_QUEUE, last]] = sku
        marks[MARK_QUEUE, last] += 1


@kernel(types.void(MARKED, MATRIX, types.int64))
def mark_changes(marked: Marked, effects: Integers, seq: int) -> None:
    """Mark every SKU of which effects change what is offered. To be called before they are applied: the legs of a reservation are
    forgotten with it. A SKU too many does no harm.

    ``marked``: cells, reservations and held legs of the state, and ``marks``; ``seq``: of the last decision with these effects.
    """
    cells, reservations, held, marks = marked
    for i in range(effects.shape[0]):
        operation = effects[i, 0]
        if operation == c.OP_MOVE:
            if c.ATF_SIGN[effects[i, 2]] != 0:
                mark_sku(marks, cells[c.KEY, effects[i, 1]] >> SLOT_BITS, seq)
        elif operation == c.OP_LEG:
            mark_sku(marks, cells[c.KEY, effects[i, 2]] >> SLOT_BITS, seq)
        elif operation == c.OP_OPEN_CELL:
            # The moves into it find a slot that is nobody's yet.
            mark_sku(marks, effects[i, 1], seq)
        elif operation == c.OP_CLOSE:
            column = effects[i, 1] % reservations.shape[1]
            # One that is only held by these effects is not there yet, and its legs are among them.
            if reservations[c.RES_ID, column] == effects[i, 1] and reservations[c.RES_STATE, column] == c.STATE_HELD:
                leg = reservations[c.RES_LEG, column] - 1
                while leg >= 0:
                    mark_sku(marks, cells[c.KEY, held[c.HELD_SLOT, leg]] >> SLOT_BITS, seq)
                    leg = held[c.HELD_NEXT, leg] - 1


@kernel(types.int64(STOCK, MATRIX, CHAINED, MATRIX, VECTOR))
def refresh_offers(stock: Stock, nodes: Integers, chained: Chained, terms: Integers, progress: Integers) -> int:
    """Bring the offers of SKUs up to date, in order, as far as the budget goes. Returns how many SKUs were looked at.

    ``chained``: the matrix of offers; the position + 1 of the first offer of each SKU; and the SKUs. ``terms``: see TERM_ROWS.
    """
    offers, first, skus = chained
    budget = progress[PROGRESS_BUDGET]
    terms[TERM_SKU] = -1
    done = 0
    while done < skus.size and budget > 0:
        sku = skus[done]
        at = first[sku] - 1
        if at >= 0:
            budget -= SKU_COST
        while at >= 0:
            channel, needs = offers[at, VIEW_CHANNEL], offers[at, VIEW_NEEDS]
            term = 2 * channel + (needs & c.FLAG_PICKUP != 0)
            if terms[TERM_SKU, term] != sku:
                terms[TERM_SKU, term] = sku
                terms[TERM_POOLED, term] = ats(stock, nodes, sku, channel, needs) - terms[TERM_THRESHOLD, term]
                budget -= stock[1][c.INDEX_COUNT, sku]
            budget -= OFFER_COST
            units = offered(stock, nodes, sku, terms[TERM_POOLED, term], (channel, needs, offers[at, VIEW_NODE]))
            if units != offers[at, OFFER_UNITS]:
                offers[at, OFFER_UNITS] = units
                offers[at, OFFER_LOOK] = progress[PROGRESS_LOOK]
                progress[PROGRESS_CHANGED] += 1
            at = offers[at, OFFER_NEXT] - 1
        done += 1
    progress[PROGRESS_BUDGET] = budget
    return done
