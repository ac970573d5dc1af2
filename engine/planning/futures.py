"""Sampled futures of a forecast, for ``prices``: what is ordered of each SKU from each region within the horizon.

Chance is a hash of seed, SKU, future and unit, so that futures stay what they were while the forecast moves: half the rate keeps the first units
of each future and drops the others (common random numbers). Each number is drawn once from each of as many equal slices of its
distribution as there are futures, in an order of its own: few futures then cover what many independent ones would.
"""

from statistics import NormalDist
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import Integers
from engine.planning.prices import Demands

Floats: TypeAlias = NDArray[np.float64]

RATE_MAX: Final = 1e9
"""Units of one SKU within a horizon that a forecast may speak of."""
COUNTED_MAX: Final = 256.0
"""A Poisson number of a larger mean is drawn from the normal distribution."""


class Forecast(NamedTuple):
    """What will be ordered within the horizon."""

    rates: Floats
    """float64[skus]: units on average."""
    shares: Floats
    """float64[regions]: how likely a unit is for each region; any scale. Neighbours in space should be neighbours here: slices are then areas."""


def sampled(forecast: Forecast, scenario_count: int, seed: int) -> Demands:
    """Poisson demand by SKU, each unit for a region of its own.

    Raises:
        ValueError: a rate or share is negative, absurd or no number, or nobody has a share; the message names it.
    """
    rates, shares = forecast
    if not (np.isfinite(rates).all() and (rates >= 0).all() and (rates <= RATE_MAX).all()):
        raise ValueError(f"rates of the forecast must lie from 0 to {RATE_MAX:g} units of a SKU")
    if not (np.isfinite(shares).all() and (shares >= 0).all() and shares.sum() > 0):
        raise ValueError("shares of the forecast must not be negative, and one at least must be above 0")
    if scenario_count < 1:
        raise ValueError("scenario_count is below 1: prices need one future at least")
    scenarios = np.repeat(np.arange(scenario_count), len(rates))
    skus = np.tile(np.arange(len(rates)), scenario_count)
    counts = _poisson(rates[skus], _slices(seed, scenarios, scenario_count, skus, np.zeros_like(skus)))
    rows = np.repeat(np.arange(len(counts)), counts)
    unit = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    bounds = np.cumsum(shares)
    drawn = _slices(seed, scenarios[rows], scenario_count, skus[rows], unit + 1) * bounds[-1]
    last = int(np.flatnonzero(shares)[-1])
    regions = np.minimum(np.searchsorted(bounds, drawn, side="right"), last)
    return Demands(scenario_count, scenarios[rows], skus[rows], regions, np.ones(len(rows), np.int64))


def _slices(seed: int, scenarios: Integers, scenario_count: int, skus: Integers, draw: Integers) -> Floats:
    """Numbers in [0, 1): for each SKU and draw one from each slice of 1 / scenario_count, scenarios in a hashed order of slices."""
    known = _hashed(_hashed(np.full(len(skus), seed), skus), draw)
    turn = (known >> np.uint64(32)).astype(np.int64)
    odd = (known & np.uint64(0xFFFF)).astype(np.int64)
    strides = np.array([step for step in range(1, scenario_count + 1) if np.gcd(step, scenario_count) == 1])
    slices = (turn + scenarios * strides[odd % len(strides)]) % scenario_count
    within = (_hashed(known, scenarios) >> np.uint64(11)).astype(np.float64) / (1 << 53)
    found: Floats = (slices + within) / scenario_count
    return found


def _hashed(state: NDArray[np.integer], values: Integers) -> NDArray[np.uint64]:
    """One step of SplitMix64 (Steele, Lea and Flood 2014), with a value mixed in."""
    mixed = (
        state.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        + values.astype(np.uint64)
        + np.uint64(0x632BE59BD9B4E019)
    )
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)


def _poisson(means: Floats, uniform: Floats) -> Integers:
    """The Poisson number below which a share of ``uniform`` lies."""
    counts = np.zeros(len(means), np.int64)
    few = np.flatnonzero((means > 0) & (means <= COUNTED_MAX))
    term = np.exp(-means[few])
    below, number = term.copy(), 0
    while len(few := few[(more := (below <= uniform[few]) & (number < 4 * COUNTED_MAX))]):
        number += 1
        term = term[more] * means[few] / number
        below = below[more] + term
        counts[few] = number
    normal = NormalDist()
    for at in np.flatnonzero(means > COUNTED_MAX):
        deviations = normal.inv_cdf(min(max(float(uniform[at]), 1e-15), 1 - 1e-15))
        counts[at] = max(round(means[at] + deviations * means[at] ** 0.5), 0)
    return counts
