"""Cells behind a small Python face: finding, reading, and planning where new ones will lie."""

from collections.abc import Sequence

import numpy as np

from engine.kernels import columns as c
from engine.kernels import stock as kernels
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, State
from engine.kernels.zones import Stock as StockArrays
from engine.model.decisions import EffectRow
from engine.model.outcomes import StockReason
from engine.model.replies import Cell

_READ_ROWS = (
    c.KEY,
    c.ATF,
    c.ON_HAND,
    c.DAMAGED,
    c.QUALITY_CONTROL,
    c.DISPLAY,
    c.IN_RETURN,
    c.RESERVED,
    c.ALLOCATED,
    c.SAFETY_STOCK,
    c.INCOMING,
)


class CapacityExhausted(Exception):
    """A limit of the store itself is reached; the argument names it."""

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit


def move(slot: int, row: int, delta: int, reason: StockReason) -> EffectRow:
    """The effect that changes one quantity of a cell."""
    return (c.OP_MOVE, slot, row, delta, reason, 0)


class Stock:
    """The cells of the pool."""

    def __init__(self, state: State, cells_max: int) -> None:
        self._cells, self._skus, self._index = state[0], state[1], state[2]
        self._feeds, self._counters = state[7], state[8]
        self._cells_max = cells_max

    @property
    def arrays(self) -> StockArrays:
        """What kernels see: ``(cells, skus, index)``."""
        return self._cells, self._skus, self._index

    def find(self, sku_index: int, node_index: int) -> int:
        """Slot of a SKU at a node, −1 when it has no cell there."""
        return int(kernels.cell_at(self._skus, self._index, sku_index, node_index))

    def units(self, slot: int, row: int) -> int:
        """One quantity of a cell."""
        return int(self._cells[row, slot])

    def source_seq(self, source_index: int, slot: int) -> int:
        """Last number a feed gave for a cell; 0 when none."""
        return int(self._feeds[source_index, slot])

    def cell(self, slot: int) -> Cell:
        """All quantities of a cell."""
        key, *quantities = self._cells[_READ_ROWS, slot].tolist()
        return Cell(key >> SLOT_BITS, key & SLOT_MASK, *quantities)

    def cells_of(self, sku_index: int) -> list[tuple[int, int]]:
        """(node index, slot) of every cell of a SKU, in node order."""
        start = self._skus[c.INDEX_START, sku_index]
        entries = self._index[start : start + self._skus[c.INDEX_COUNT, sku_index]].tolist()
        return [(entry >> SLOT_BITS, entry & SLOT_MASK) for entry in entries]

    def slots_of_sku(self, sku_index: int) -> Integers:
        """Slots of every cell of a SKU, in node order."""
        start = self._skus[c.INDEX_START, sku_index]
        slots: Integers = self._index[start : start + self._skus[c.INDEX_COUNT, sku_index]] & SLOT_MASK
        return slots

    def slots_of(self, sku_indexes: Integers, node_indexes: Integers) -> Integers:
        """Slots of many pairs, −1 where there is no cell."""
        slots = np.empty(sku_indexes.size, dtype=np.int64)
        kernels.cells_at((sku_indexes, node_indexes), self._skus, self._index, slots)
        return slots

    def plan(self, pairs: Sequence[tuple[int, int]], safety_stock: dict[int, int]) -> tuple[list[int], list[EffectRow]]:
        """Slots of (SKU, node) pairs and the effects that open those that are missing.

        ``safety_stock`` has the units that a new cell of a node starts with, for nodes where they are not 0. Raises
        CapacityExhausted when the new cells do not fit.
        """
        slots = [self.find(*pair) for pair in pairs]
        missing = sorted({pair for pair, slot in zip(pairs, slots, strict=True) if slot < 0})
        if not missing:
            return slots, []
        rows = self._plan_rows(np.array(missing, dtype=np.int64))
        planned = {(sku, node): slot for sku, node, slot, _ in rows}
        effects: list[EffectRow] = [(c.OP_OPEN_CELL, *row, 0) for row in rows]
        for (_, node), slot in planned.items():
            if node in safety_stock:
                effects.append(move(slot, c.SAFETY_STOCK, safety_stock[node], StockReason.POLICY))
        return [planned.get(pair, slot) for pair, slot in zip(pairs, slots, strict=True)], effects

    def plan_columns(self, sku_indexes: Integers, node_indexes: Integers) -> tuple[Integers, Integers]:
        """The same for columns: slots, and OP_OPEN_CELL effects int64[k, 6]. Raises CapacityExhausted."""
        slots = self.slots_of(sku_indexes, node_indexes)
        missing = np.flatnonzero(slots < 0)
        effects = np.zeros((0, c.EFFECT_WIDTH), dtype=np.int64)
        if missing.size:
            keys = sku_indexes[missing] << SLOT_BITS | node_indexes[missing]
            unique, inverse = np.unique(keys, return_inverse=True)
            rows = np.array(
                self._plan_rows(np.stack((unique >> SLOT_BITS, unique & SLOT_MASK), axis=1)), dtype=np.int64
            )
            effects = np.zeros((unique.size, c.EFFECT_WIDTH), dtype=np.int64)
            effects[:, 0] = c.OP_OPEN_CELL
            effects[:, 1:5] = rows
            slots[missing] = rows[inverse, 2]
        return slots, effects

    def _plan_rows(self, pairs: Integers) -> list[tuple[int, int, int, int]]:
        opened = np.zeros((len(pairs), 4), dtype=np.int64)
        opened[:, :2] = pairs
        if kernels.plan_cells(self._skus, self._counters, opened) > self._cells_max:
            raise CapacityExhausted("cells_max")
        return [(sku, node, slot, end) for sku, node, slot, end in opened.tolist()]
