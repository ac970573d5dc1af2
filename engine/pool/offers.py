"""The offers that somebody watches: a matrix of them, chained by SKU. See ``kernels.offers`` for its rows.

Nothing of it is state. It belongs to whoever watches; the writer's thread reads and writes it only while it answers a look that was
given it, and its owner leaves it alone then.
"""

import numpy as np

from engine.kernels import offers as k
from engine.kernels.zones import Integers

GROWTH = 1 << 12


class Offers:
    """Offers of many owners. An owner has at most one of each SKU."""

    __slots__ = ("_free", "_used", "changed", "first", "table")

    def __init__(self, skus_max: int) -> None:
        self.first = np.zeros(skus_max, dtype=np.int64)
        """Position + 1 of the first offer of each SKU; 0: nobody watches it."""
        self.table = np.zeros((k.OFFER_ROWS, GROWTH), dtype=np.int64)
        self.changed = np.zeros(GROWTH, dtype=np.int64)
        """Where a refresh tells which offers have changed."""
        self._free = np.zeros(0, dtype=np.int64)
        self._used = 0

    def __len__(self) -> int:
        """Offers that are watched."""
        return self._used - self._free.size

    def add(self, owner: int, view: Integers, sku_indexes: Integers) -> Integers:
        """Offers to one view of SKUs, each named once. Returns their positions."""
        count = sku_indexes.size
        again, self._free = self._free[:count], self._free[count:]
        fresh = np.arange(self._used, self._used + count - again.size)
        self._used += fresh.size
        if self._used > self.changed.size:
            self._grow()
        at: Integers = np.concatenate((again, fresh))
        table = self.table
        table[: k.VIEW_FIELDS, at] = view[:, None]
        table[k.OFFER_UNITS, at] = -1
        table[k.OFFER_LOOK, at] = 0
        table[k.OFFER_OWNER, at] = owner
        table[k.OFFER_SKU, at] = sku_indexes
        following = self.first[sku_indexes]
        table[k.OFFER_NEXT, at] = following
        table[k.OFFER_PREVIOUS, at] = 0
        linked = following > 0
        table[k.OFFER_PREVIOUS, following[linked] - 1] = at[linked] + 1
        self.first[sku_indexes] = at + 1
        return at

    def drop(self, at: Integers) -> None:
        """Offers of one owner that nobody watches any more."""
        table = self.table
        following, previous = table[k.OFFER_NEXT, at], table[k.OFFER_PREVIOUS, at]
        inside, leading = previous > 0, previous == 0
        table[k.OFFER_NEXT, previous[inside] - 1] = following[inside]
        self.first[table[k.OFFER_SKU, at[leading]]] = following[leading]
        linked = following > 0
        table[k.OFFER_PREVIOUS, following[linked] - 1] = previous[linked]
        self._free = np.concatenate((at, self._free))

    def _grow(self) -> None:
        size = max(2 * self.changed.size, self._used)
        table = np.zeros((k.OFFER_ROWS, size), dtype=np.int64)
        table[:, : self.changed.size] = self.table
        self.table = table
        self.changed = np.zeros(size, dtype=np.int64)
