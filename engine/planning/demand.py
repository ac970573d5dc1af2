"""What will be wanted, from what was: a rate a day for each cell, by day of the week.

Sales are thinned out with age by halves. The pattern of the week is that of the whole store, for a cell alone sells too little to have one. A
cell's rate is drawn to that of its SKU at nodes which sell to walk-ins, as strongly as ``PRIOR_DAYS`` of sales there would (Gamma-Poisson
shrinkage): one that happened to sell nothing lately is not taken for one where nobody ever comes. What was not there could not be sold, so
demand is underrated where a shelf stood empty.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers
from engine.planning.history import DAY_NS, Wanted
from engine.planning.walk_ins import DEMAND_ONE

WEEK_DAYS: Final = 7
HALF_LIFE_DAYS: Final = 14.0
PRIOR_DAYS: Final = 7.0
WEEKDAY_PRIOR_DAYS: Final = 2.0
"""How strongly a day of the week is drawn to the mean."""
Floats = NDArray[np.float64]


class History(NamedTuple):
    """How far back it was looked, and when that was. A history shorter than a day counts as a day: an hour says nothing of a night."""

    begin_ns: int
    now_ns: int

    @property
    def days(self) -> Integers:
        """Numbers of the days in it, the last one under way."""
        return np.arange(min(self.begin_ns, self.now_ns - DAY_NS) // DAY_NS, self.now_ns // DAY_NS + 1)

    def weights(self, times_ns: Integers) -> Floats:
        """How much what happened then counts, by the day."""
        found: Floats = 0.5 ** ((self.now_ns // DAY_NS - times_ns // DAY_NS) / HALF_LIFE_DAYS)
        return found


def expected(keys: Integers, wanted: Wanted, history: History, horizon_days: int) -> Integers:
    """Units that will be wanted of each cell within the horizon, in 1/1024. ``keys``: of all cells that are asked about, ascending."""
    days, weights = history.days, history.weights(history.days * DAY_NS)
    begin_ns = min(history.begin_ns, history.now_ns - DAY_NS)
    covered = (np.minimum((days + 1) * DAY_NS, history.now_ns) - np.maximum(days * DAY_NS, begin_ns)) / DAY_NS
    at = np.minimum(np.searchsorted(keys, wanted.keys), max(len(keys) - 1, 0))
    known = wanted.times_ns >= begin_ns
    known &= (keys[at] == wanted.keys) if len(keys) else False
    weighed = (history.weights(wanted.times_ns) * wanted.units)[known]
    by_day = _summed((wanted.times_ns[known] // DAY_NS - days[0]).clip(0, len(days) - 1), weighed, len(days))
    pattern = _pattern(days, weights * covered, by_day)
    exposure = float((weights * covered * pattern[days % WEEK_DAYS]).sum())
    rates = _rates(keys, _summed(at[known], weighed, len(keys)), exposure)
    ahead = pattern[(days[-1] + 1 + np.arange(horizon_days)) % WEEK_DAYS].sum()
    found: Integers = np.rint(np.maximum(rates, 0.0) * ahead * DEMAND_ONE).astype(np.int64)
    return found


def _summed(places: Integers, values: Floats, count: int) -> Floats:
    """By place, the sum of the values there."""
    return np.bincount(places, values, count).astype(np.float64)


def _pattern(days: Integers, covered: Floats, units: Floats) -> Floats:
    """How busy each day of the week is, 1 on average; the week begins on a Thursday, as the epoch did."""
    mean = units.sum() / covered.sum()
    if mean <= 0:
        return np.ones(WEEK_DAYS)
    weekday = days % WEEK_DAYS
    sold = np.bincount(weekday, units, WEEK_DAYS) + WEEKDAY_PRIOR_DAYS * mean
    pattern: Floats = sold / (np.bincount(weekday, covered, WEEK_DAYS) + WEEKDAY_PRIOR_DAYS) / mean
    return pattern


def _rates(keys: Integers, sold: Floats, exposure: float) -> Floats:
    """Units a day of each cell."""
    skus, nodes = keys >> SLOT_BITS, keys & SLOT_MASK
    if not len(keys):
        return np.zeros(0)
    serves = np.bincount(nodes, sold > 0) > 0  # nodes that sold anything to walk-ins
    shelves = serves[nodes].astype(np.float64)
    means = np.bincount(skus, sold) / (np.maximum(np.bincount(skus, shelves), 1) * exposure)
    rates: Floats = shelves * (sold + PRIOR_DAYS * means[skus]) / (exposure + PRIOR_DAYS)
    return rates
