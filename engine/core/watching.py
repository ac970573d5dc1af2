"""What watched offers are now: the look that those who watch take at the state, between two groups of commands."""

from typing import NamedTuple

import numpy as np

from engine.kernels import offers as k
from engine.kernels.offers import refresh_offers
from engine.kernels.zones import Integers
from engine.pool.changes import Changes
from engine.pool.offers import Offers
from engine.pool.pool import Pool

BUDGET = 1 << 18
"""What one look may spend, once for the SKUs that have changed and once for those that are new: in cells, a millisecond or so, for which the
writer's callers wait."""


class Round(NamedTuple):
    """What a look found."""

    number: int
    """Of the look; the first is 1."""
    seq: int
    """The last decision it saw."""
    sku_count: int
    changes: Changes
    """What may be asked for changes after a decision at any time: it knows at least those up to ``seq``."""
    filled: int
    """How many of the SKUs that were to be filled were looked at."""
    waiting: int
    """How many SKUs have changed and are not looked at yet: what is known of their offers is of an earlier look."""
    changed: int
    """How many offers were found to be others, or looked at for the first time."""


class Watching:
    """Those who look, one for all who watch."""

    __slots__ = ("_looks", "offers")

    def __init__(self, offers: Offers) -> None:
        self.offers = offers
        self._looks = 0

    def look(self, pool: Pool, fill: Integers) -> Round:
        """Bring the offers up to date of SKUs that have changed, and of those in ``fill``, as far as the budgets go."""
        changes, offers = pool.changes, self.offers
        if changes.began_seq < 0:
            changes.begin(pool.seq)
        if changes.everything_waits:
            changes.everything_waits = False
            changes.add(np.flatnonzero(offers.first))
        self._looks += 1
        progress = np.zeros(k.PROGRESS_FIELDS, dtype=np.int64)
        progress[k.PROGRESS_LOOK] = self._looks
        terms = _terms(pool)
        changes.looked_at(self._refresh(pool, changes.waiting, terms, progress))
        filled = self._refresh(pool, fill, terms, progress)
        return Round(
            self._looks,
            pool.seq,
            len(pool.names.skus),
            changes,
            filled,
            changes.waiting.size,
            int(progress[k.PROGRESS_CHANGED]),
        )

    def _refresh(self, pool: Pool, sku_indexes: Integers, terms: Integers, progress: Integers) -> int:
        offers = self.offers
        progress[k.PROGRESS_BUDGET] = BUDGET
        chained = (offers.table, offers.first, sku_indexes)
        return int(refresh_offers(pool.stock.arrays, pool.network.node_rows, chained, terms, progress))


def _terms(pool: Pool) -> Integers:
    terms = np.zeros((k.TERM_ROWS, 2 * pool.limits.channels_max), dtype=np.int64)
    for index, channel in enumerate(pool.network.channels):
        terms[k.TERM_THRESHOLD, 2 * index : 2 * index + 2] = channel.threshold_units
    return terms
