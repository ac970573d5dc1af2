"""Which SKUs have changed, for those who watch what is offered of them. Beside the state, not in it: a replay leaves nothing here."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels import offers as k
from engine.kernels.offers import mark_changes
from engine.kernels.zones import Integers, State
from engine.model import decisions as d

NEVER = -1
Flags = NDArray[np.bool_]


class Changes:
    """Marks of changed SKUs, and their queue. Written by whoever applies, from ``begin`` on; before that it costs nothing."""

    __slots__ = ("_arrays", "_state", "began_seq", "everything_seq", "everything_waits", "marks")

    def __init__(self, state: State) -> None:
        self._state = state
        self.began_seq = NEVER
        """Changes after this one are known; −1: none are."""
        self.everything_seq = NEVER
        """The last decision that may have changed what is offered of any SKU."""
        self.everything_waits = False
        """There was one since the last look."""

    def begin(self, seq: int) -> None:
        """Note changes from the decision after ``seq`` on."""
        cells, skus, reservations, held = self._state[0], self._state[1], self._state[3], self._state[4]
        self.marks = np.zeros((k.MARK_ROWS, skus.shape[1] + 1), dtype=np.int64)
        self._arrays = (cells, reservations, held, self.marks)
        self.everything_seq = NEVER
        self.everything_waits = True
        self.began_seq = seq

    def end(self) -> None:
        """Note no more."""
        self.began_seq = NEVER

    def note(self, seq: int, effects: Integers | None, documents: tuple[d.Document, ...]) -> None:
        """These are about to be applied. ``seq``: of the decision, or of the last one when several go together."""
        if self.began_seq < 0:
            return
        if effects is not None:
            mark_changes(self._arrays, effects, seq)
        for document in documents:
            kind: type[Any] = type(document)
            if kind is d.NodePut or kind is d.ChannelPut:
                self.everything_seq, self.everything_waits = seq, True
            elif isinstance(document, d.SkuPut):
                self.marks[k.MARK_SEQ, document.at] = seq

    @property
    def waiting(self) -> Integers:
        """The SKUs that have changed and were not looked at since, int64[n], in the order of their change; good until the next one."""
        queue = self.marks[k.MARK_QUEUE]
        waiting: Integers = queue[: queue[-1]]
        return waiting

    def add(self, sku_indexes: Integers) -> None:
        """These SKUs, each named once, wait as well."""
        fresh = sku_indexes[self.marks[k.MARK_WAITS, sku_indexes] == 0]
        queue, count = self.marks[k.MARK_QUEUE], int(self.marks[k.MARK_QUEUE, -1])
        queue[count : count + fresh.size] = fresh
        queue[-1] = count + fresh.size
        self.marks[k.MARK_WAITS, fresh] = 1

    def looked_at(self, count: int) -> None:
        """The first so many of those that wait were looked at."""
        waiting = self.waiting
        self.marks[k.MARK_WAITS, waiting[:count]] = 0
        left = waiting.size - count
        waiting[:left] = waiting[count:].copy()
        self.marks[k.MARK_QUEUE, -1] = left

    def waits(self, sku_indexes: Integers) -> Flags:
        """Whether each SKU has changed and was not looked at since."""
        waits: Flags = self.marks[k.MARK_WAITS, sku_indexes] != 0
        return waits

    def changed_after(self, seq: int, sku_indexes: Integers) -> Flags:
        """Whether what is offered of each SKU may have changed after ``seq``, which is not before ``began_seq``."""
        if self.everything_seq > seq:
            return np.ones(sku_indexes.size, dtype=np.bool_)
        changed: Flags = self.marks[k.MARK_SEQ, sku_indexes] > seq
        return changed
