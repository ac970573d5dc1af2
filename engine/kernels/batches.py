"""What a batch gains from being one: its claims spread out for ``plan_claims`` in one pass, and its stock fetched before it is needed."""

from typing import Final, TypeAlias

import numpy as np
from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import inner, kernel
from engine.kernels.stock import find_cell
from engine.kernels.zones import MATRIX, SLOT_MASK, VECTOR, Integers, Stock

Claims: TypeAlias = tuple[Integers, Integers, Integers, Integers, Integers]
"""``alike[ITEM_WIDTH]`` (what all items have in common), ``line_counts[n]``, ``places[n or 1]`` (region or node indexes), ``skus[m]``,
``units[m]``. −1 stands for an unknown key."""
CLAIMS: Final = types.UniTuple(VECTOR, 5)

FETCH_FROM: Final = 8
"""Fewer items are not worth a pass of their own."""
CELLS_FETCHED: Final = 8
"""Cells of a SKU that are fetched for a shipped item."""
PICKUP_NEEDS: Final = c.FLAG_OPEN | c.FLAG_PICKUP
RELEASED: Final = 3
"""RES_STATE of a reservation that was given back."""
ASK: Final = -1
"""ITEM_OUTCOME of an item of which the columns do not tell all."""


@kernel(types.int64(CLAIMS, VECTOR, MATRIX, MATRIX, MATRIX))
def spread_claims(claims: Claims, sku_grams: Integers, node_rows: Integers, items: Integers, lines: Integers) -> int:
    """Fill ``items`` and ``lines`` from columns. An item with an unknown key, or at a store that does not hand goods over to its channel, has
    ITEM_OUTCOME ASK; returns how many.
    """
    alike, line_counts, places, skus, units = claims
    shipped = alike[c.ITEM_KIND] == c.KIND_SHIP
    channel = alike[c.ITEM_CHANNEL]
    able = channel >= 0 and (alike[c.ITEM_SERVICE] >= 0 or not shipped)
    asked = np.int64(0)
    line = np.int64(0)
    for i in range(items.shape[0]):
        for field in range(c.ITEM_WIDTH):
            items[i, field] = alike[field]
        place = places[i] if places.size > 1 else places[0]
        items[i, c.ITEM_DESTINATION] = place
        items[i, c.ITEM_FIRST_LINE] = line
        items[i, c.ITEM_LINE_COUNT] = line_counts[i]
        known = able and place >= 0
        if known and not shipped:
            known = node_rows[c.NODE_CHANNELS, place] >> channel & 1 == 1
            known = known and node_rows[c.NODE_FLAGS, place] & PICKUP_NEEDS == PICKUP_NEEDS
        for at in range(line, line + line_counts[i]):
            known = known and skus[at] >= 0
            lines[at, c.LINE_SKU] = skus[at]
            lines[at, c.LINE_UNITS] = units[at]
            lines[at, c.LINE_GRAMS] = sku_grams[max(skus[at], 0)]
            lines[at, c.LINE_UNSERVED] = -1
            lines[at, c.LINE_GROUP] = 0
        line += line_counts[i]
        if not known:
            items[i, c.ITEM_OUTCOME] = ASK
            asked += 1
    return asked


@inner
def fetch_stock(stock: Stock, items: Integers, lines: Integers, slots: Integers) -> None:
    """Read what deciding the items will read of stock, and forget it. ``slots``, an entry a line, is scratch; something of what was read
    is left in it, so that it is read at all.

    Deciding goes from one thing to the next and waits for each to come from memory. Here nothing waits for anything, so the
    waits overlap: a batch over stock that is larger than the processor's caches is decided in half the time. Hence a pass for each step, and
    the cells in one of their own: a search that goes the wrong way would stop what is read ahead.
    """
    cells, skus, index = stock
    seen = np.int64(0)
    for line in range(lines.shape[0]):
        sku = max(lines[line, c.LINE_SKU], np.int64(0))
        seen += skus[c.INDEX_START, sku] + skus[c.INDEX_COUNT, sku]
        slots[line] = 0
    for line in range(lines.shape[0]):
        seen += index[skus[c.INDEX_START, max(lines[line, c.LINE_SKU], np.int64(0))]]
    for i in range(items.shape[0]):
        first = items[i, c.ITEM_FIRST_LINE]
        for line in range(first, first + items[i, c.ITEM_LINE_COUNT]):
            sku = lines[line, c.LINE_SKU]
            if items[i, c.ITEM_OUTCOME] != 0 or sku < 0:
                continue
            if items[i, c.ITEM_KIND] == c.KIND_PICKUP:
                slots[line] = max(find_cell(skus, index, sku, items[i, c.ITEM_DESTINATION]), np.int64(0))
                continue
            start = skus[c.INDEX_START, sku]
            for position in range(start, start + min(skus[c.INDEX_COUNT, sku], np.int64(CELLS_FETCHED))):
                slot = index[position] & SLOT_MASK
                seen += cells[c.ATF, slot] + cells[c.PENDING, slot] + cells[c.RESERVED, slot]
    for line in range(lines.shape[0]):
        slot = slots[line]
        seen += cells[c.ATF, slot] + cells[c.PENDING, slot] + cells[c.RESERVED, slot]
    slots[0] = seen


@kernel(types.int64(types.Tuple([MATRIX, VECTOR]), VECTOR, types.int64, VECTOR, MATRIX), allocates=True)
def plan_releases(
    held: tuple[Integers, Integers], ids: Integers, channel: int, outcomes: Integers, effects: Integers
) -> int:
    """Which of the reservations ``ids`` of a channel can be released now, each once: ``outcomes`` of all, and OP_CLOSE rows from ``effects[1]`` on.

    ``held``: the reservations' columns, and by RES_STATE the outcome of asking to release one (entry 0: it is not known). Returns the
    rows in use.
    """
    reservations, told = held
    size = np.int64(16)
    while size < 2 * ids.size:
        size *= 2
    seen = np.zeros(size, dtype=np.int64)  # a hash set: ids are counters, so that their low bits differ
    row = np.int64(1)
    for i in range(ids.size):
        wanted = ids[i]
        column = wanted % reservations.shape[1]
        if wanted < 1 or reservations[c.RES_ID, column] != wanted or reservations[c.RES_CHANNEL, column] != channel:
            outcomes[i] = told[0]
            continue
        at = wanted & (size - 1)
        while seen[at] != 0 and seen[at] != wanted:
            at = (at + 1) & (size - 1)
        if seen[at] == wanted:
            outcomes[i] = told[RELEASED]
            continue
        outcomes[i] = told[reservations[c.RES_STATE, column]]
        if reservations[c.RES_STATE, column] == c.STATE_HELD:
            seen[at] = wanted
            effects[row, 0] = c.OP_CLOSE
            effects[row, 1] = wanted
            effects[row, 2] = RELEASED
            row += 1
    return row


@kernel(types.int64(MATRIX, types.int64, VECTOR, VECTOR, VECTOR))
def plan_adjusts(cells: Integers, quantity: int, slots: Integers, deltas: Integers, balances: Integers) -> int:
    """Change a quantity of cells row by row, as far as it does not fall below zero; a row that lowers one that is below zero already is
    refused, one that brings it up is not.

    ``slots``: −1 for a row that is refused anyway. A row that is refused gets slot −1 as well; ``balances`` the quantity after
    each row. Uses the PENDING row, which is zero again on return. Returns how many rows were refused here.
    """
    refused = np.int64(0)
    for i in range(slots.size):
        slot = slots[i]
        if slot < 0:
            continue
        balance = cells[quantity, slot] + cells[c.PENDING, slot]
        balances[i] = balance
        if deltas[i] < 0 and balance + deltas[i] < 0:
            slots[i] = ~slot
            refused += 1
            continue
        cells[c.PENDING, slot] += deltas[i]
        balances[i] = balance + deltas[i]
    for i in range(slots.size):
        if slots[i] >= 0:
            cells[c.PENDING, slots[i]] = 0
        else:
            slots[i] = -1
    return refused
