"""What a unit earns where it lies: walk-ins take it off the shelf (the newsvendor)."""

from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import Integers

Floats: TypeAlias = NDArray[np.float64]

DEMAND_ONE: Final = 1024
"""A walk-in demand of one unit."""
DEVIATIONS: Final = 9.0
"""Standard deviations beyond which a Poisson demand is taken for certain or impossible."""


def kept_values(margins: Integers, walk_ins: Integers, left: Integers) -> Integers:
    """What units earn: margin x P(demand >= left), rounded down to micros, for a Poisson demand of mean ``walk_ins`` / 1024.

    Arrays of one length. The left-th unit is sold just when as many are wanted (Littlewood 1972; Zipkin, Foundations of Inventory
    Management, 2000).
    """
    means, reach = _spread(walk_ins)
    values = np.where((left <= 0) | (left <= means - reach), margins, 0)
    between = np.flatnonzero((margins > 0) & (means > 0) & (left > 0) & (np.abs(left - means) < reach))
    values[between] = (margins[between] * _tails(means[between], left[between])).astype(np.int64)
    return values


def wanted_at_most(walk_ins: Integers) -> Integers:
    """Units beyond which ``kept_values`` are 0 whatever the margin."""
    means, reach = _spread(walk_ins)
    return np.where(means > 0, np.ceil(means + reach), 0).astype(np.int64)


def _spread(walk_ins: Integers) -> tuple[Floats, Floats]:
    means: Floats = np.maximum(walk_ins, 0) / DEMAND_ONE
    return means, DEVIATIONS * np.sqrt(means + 1.0)


def _tails(means: Floats, left: Integers) -> Floats:
    """P(demand >= left) = sum over k >= left of exp(-mean) mean^k / k!, term by term until nothing is added."""
    if not len(left):
        return np.zeros(0)
    terms = np.exp(left * np.log(means) - means - _log_factorials(left))
    tails, k = terms.copy(), left.astype(np.float64)
    while True:
        k += 1
        terms *= means / k
        if not (terms > 1e-12).any():
            return np.minimum(tails, 1.0)
        tails += terms


def _log_factorials(numbers: Integers) -> Floats:
    """Natural logarithms, by Stirling's series where a table would be long: beyond 256 its error is below 1e-15 of the value."""
    table = np.concatenate([np.zeros(1), np.cumsum(np.log(np.arange(1.0, 257.0)))])
    x = np.maximum(numbers, 1).astype(np.float64)
    series = x * np.log(x) - x + 0.5 * np.log(2 * np.pi * x) + 1 / (12 * x) - 1 / (360 * x**3)
    return np.where(numbers <= 256, table[np.minimum(numbers, 256)], series)
