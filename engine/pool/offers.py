"""The offers that somebody watches: what each view is offered of each SKU, once for all who watch it. See ``kernels.offers`` for the fields.

Nothing of it is state. It belongs to whoever watches; the writer's thread reads and writes it only while it answers a look that was
given it, and its owner leaves it alone then.
"""

from typing import NamedTuple

import numpy as np

from engine.kernels import offers as k
from engine.kernels.zones import Integers

GROWTH = 1 << 12


class View(NamedTuple):
    """A channel, what its nodes need (FLAG_... bits), and a node; −1: all of the channel."""

    channel_index: int
    needs: int
    node_index: int


class Offers:
    """Offers by view and SKU, counted by those who watch them, chained by SKU."""

    __slots__ = ("_at", "_free", "_used", "_uses", "first", "table")

    def __init__(self, skus_max: int) -> None:
        self.first = np.zeros(skus_max, dtype=np.int64)
        """Position + 1 of the first offer of each SKU; 0: nobody watches it."""
        self.table = np.zeros((GROWTH, k.OFFER_FIELDS), dtype=np.int64)
        self._uses = np.zeros(GROWTH, dtype=np.int64)
        self._at: dict[View, dict[int, int]] = {}  # position of each SKU's offer to a view
        self._free = np.zeros(0, dtype=np.int64)
        self._used = 0

    def __len__(self) -> int:
        """Offers that are watched."""
        return self._used - self._free.size

    def add(self, view: View, sku_indexes: Integers) -> tuple[Integers, Integers]:
        """One more watches the offers to a view of SKUs, each named once. Returns their positions, and the SKUs that nobody had watched."""
        at = self._at.get(view, {})
        found = np.array([at.get(sku, -1) for sku in sku_indexes.tolist()], dtype=np.int64)
        missing = np.flatnonzero(found < 0)
        fresh = sku_indexes[missing]
        if fresh.size:
            found[missing] = self._open(view, fresh)
            self._at.setdefault(view, at).update(zip(fresh.tolist(), found[missing].tolist(), strict=True))
        self._uses[found] += 1
        return found, fresh

    def _open(self, view: View, sku_indexes: Integers) -> Integers:
        again, self._free = self._free[: sku_indexes.size], self._free[sku_indexes.size :]
        at: Integers = np.concatenate((again, np.arange(self._used, self._used + sku_indexes.size - again.size)))
        self._used += sku_indexes.size - again.size
        if self._used > self._uses.size:
            self._grow()
        table = self.table
        table[at, : k.VIEW_FIELDS] = view
        table[at, k.OFFER_UNITS] = -1
        table[at, k.OFFER_LOOK] = 0
        table[at, k.OFFER_SKU] = sku_indexes
        following = self.first[sku_indexes]
        table[at, k.OFFER_NEXT] = following
        table[at, k.OFFER_PREVIOUS] = 0
        linked = following > 0
        table[following[linked] - 1, k.OFFER_PREVIOUS] = at[linked] + 1
        self.first[sku_indexes] = at + 1
        return at

    def drop(self, view: View, at: Integers) -> None:
        """One of those who watch these offers to a view watches them no more."""
        self._uses[at] -= 1
        at = at[self._uses[at] == 0]
        if not at.size:
            return
        table, positions = self.table, self._at[view]
        following, previous = table[at, k.OFFER_NEXT], table[at, k.OFFER_PREVIOUS]
        inside, leading = previous > 0, previous == 0
        table[previous[inside] - 1, k.OFFER_NEXT] = following[inside]
        self.first[table[at[leading], k.OFFER_SKU]] = following[leading]
        linked = following > 0
        table[following[linked] - 1, k.OFFER_PREVIOUS] = previous[linked]
        for sku in table[at, k.OFFER_SKU].tolist():
            del positions[sku]
        if not positions:
            del self._at[view]
        self._free = np.concatenate((at, self._free))

    def _grow(self) -> None:
        size = max(2 * self._uses.size, self._used)
        table, uses = np.zeros((size, k.OFFER_FIELDS), dtype=np.int64), np.zeros(size, dtype=np.int64)
        table[: self._uses.size], uses[: self._uses.size] = self.table, self._uses
        self.table, self._uses = table, uses
