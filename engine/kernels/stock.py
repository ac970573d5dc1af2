"""Cells: finding one, opening one, changing a quantity, and planning where new ones will lie.

A SKU's cells are found through its chunk of ``index``: entries ``node << 32 | slot`` in node order, so that a scan by the router
runs through one piece of memory and ties fall to the lower node. Slots of a SKU come from extents that grow by half, hence
its quantities lie close together too, and a new cell moves nobody.
"""

from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import inner, kernel
from engine.kernels.zones import MATRIX, SLOT_BITS, SLOT_MASK, VECTOR, Integers, Stock


@inner
def position_of(skus: Integers, index: Integers, sku: int, node: int) -> int:
    """Position in ``index`` of the first entry of ``sku`` whose node is not below ``node``."""
    low = skus[c.INDEX_START, sku]
    high = low + skus[c.INDEX_COUNT, sku]
    while low < high:
        middle = (low + high) >> 1
        if index[middle] >> SLOT_BITS < node:
            low = middle + 1
        else:
            high = middle
    return low


@inner
def find_cell(skus: Integers, index: Integers, sku: int, node: int) -> int:
    """Slot of ``sku`` at ``node``, −1 when there is none."""
    position = position_of(skus, index, sku, node)
    if position < skus[c.INDEX_START, sku] + skus[c.INDEX_COUNT, sku] and index[position] >> SLOT_BITS == node:
        return index[position] & SLOT_MASK
    return -1


@kernel(types.int64(MATRIX, VECTOR, types.int64, types.int64))
def cell_at(skus: Integers, index: Integers, sku: int, node: int) -> int:
    """Slot of ``sku`` at ``node``, −1 when there is none."""
    return find_cell(skus, index, sku, node)


@kernel(types.void(types.UniTuple(VECTOR, 2), MATRIX, VECTOR, VECTOR))
def cells_at(keys: tuple[Integers, Integers], skus: Integers, index: Integers, slots: Integers) -> None:
    """Slots of many pairs: ``keys = (sku_indexes, node_indexes)``; ``slots`` gets −1 where there is none."""
    sku_indexes, node_indexes = keys
    for i in range(slots.size):
        slots[i] = find_cell(skus, index, sku_indexes[i], node_indexes[i])


@kernel(types.int64(MATRIX, VECTOR, MATRIX))
def plan_cells(skus: Integers, counters: Integers, opened: Integers) -> int:
    """Where new cells will lie, without opening them.

    ``opened[i] = (sku, node, slot, extent_end)``, sorted by SKU, each pair once and not open yet: slot and extent_end are
    filled in. Returns the number of slots that will be in use, for comparison with the capacity.
    """
    used = counters[c.SLOTS_USED]
    at = 0
    while at < opened.shape[0]:
        sku = opened[at, 0]
        last = at
        while last < opened.shape[0] and opened[last, 0] == sku:
            last += 1
        next_slot = skus[c.EXTENT_NEXT, sku]
        extent_end = skus[c.EXTENT_END, sku]
        count = skus[c.INDEX_COUNT, sku]
        for i in range(at, last):
            if next_slot == extent_end:
                next_slot = used
                extent_end = used + max(c.EXTENT_MIN, max(last - i, count >> 1))
                used = extent_end
            opened[i, 2] = next_slot
            opened[i, 3] = extent_end
            next_slot += 1
            count += 1
        at = last
    return used


@inner
def chunk_class(entries: int) -> int:
    """K of the smallest chunk of CHUNK_MIN << k entries that holds ``entries``."""
    size_class = 0
    while c.CHUNK_MIN << size_class < entries:
        size_class += 1
    return size_class


@inner
def apply_chunk_growth(skus: Integers, index: Integers, counters: Integers, sku: int) -> None:
    """Move the SKU's chunk of ``index`` to one of twice the size; the old one joins the free chain of its class."""
    capacity = skus[c.INDEX_CAPACITY, sku]
    start = skus[c.INDEX_START, sku]
    size_class = chunk_class(capacity + 1)
    free = counters[c.CHUNK_FREE + size_class]
    if free > 0:
        target = free - 1
        counters[c.CHUNK_FREE + size_class] = index[target]
    else:
        target = counters[c.INDEX_USED]
        counters[c.INDEX_USED] = target + (c.CHUNK_MIN << size_class)
    for i in range(skus[c.INDEX_COUNT, sku]):
        index[target + i] = index[start + i]
    if capacity > 0:
        old_class = chunk_class(capacity)
        index[start] = counters[c.CHUNK_FREE + old_class]
        counters[c.CHUNK_FREE + old_class] = start + 1
    skus[c.INDEX_START, sku] = target
    skus[c.INDEX_CAPACITY, sku] = c.CHUNK_MIN << size_class


@inner
def apply_open_cell(stock: Stock, counters: Integers, effect: Integers) -> None:
    """OP_OPEN_CELL: ``effect = (op, sku, node, slot, extent_end, _)``."""
    cells, skus, index = stock
    sku, node, slot = effect[1], effect[2], effect[3]
    if skus[c.INDEX_COUNT, sku] == skus[c.INDEX_CAPACITY, sku]:
        apply_chunk_growth(skus, index, counters, sku)
    position = position_of(skus, index, sku, node)
    end = skus[c.INDEX_START, sku] + skus[c.INDEX_COUNT, sku]
    for i in range(end, position, -1):
        index[i] = index[i - 1]
    index[position] = node << SLOT_BITS | slot
    skus[c.INDEX_COUNT, sku] += 1
    skus[c.EXTENT_NEXT, sku] = slot + 1
    skus[c.EXTENT_END, sku] = effect[4]
    counters[c.SLOTS_USED] = max(counters[c.SLOTS_USED], effect[4])
    counters[c.CELLS_OPEN] += 1
    cells[c.KEY, slot] = sku << SLOT_BITS | node


@inner
def apply_units(cells: Integers, counters: Integers, slot: int, row: int, delta: int) -> None:
    """Change one quantity of a cell; ATF and the totals follow."""
    cells[row, slot] += delta
    counters[c.TOTAL_FIRST + row] += delta
    before = cells[c.ATF, slot]
    after = before + c.ATF_SIGN[row] * delta
    cells[c.ATF, slot] = after
    counters[c.AVAILABLE] += max(after, 0) - max(before, 0)
    counters[c.SHORTAGE] += max(-after, 0) - max(-before, 0)
    counters[c.SHORTAGE_CELLS] += int(after < 0) - int(before < 0)
