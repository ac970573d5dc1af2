"""What units are worth where they lie: the part of a routing decision that knows of tomorrow.

The price of the next unit to leave a cell is the greater of two: what planning found it to be worth to the network (PRICE), and what
the shop itself expects to lose with it, the newsvendor's margin x P(walk-ins want all the units left), with a Poisson demand of mean
DEMAND (Littlewood 1972; Zipkin, Foundations of Inventory Management, 2000). The second follows the stock by itself: no refresh is
needed when a unit leaves.

The probabilities come from tables, in 1/65,536 and worked out in decimals: every machine reads the same ones, hence decides alike.
"""

from decimal import Decimal, localcontext
from math import sqrt
from typing import Final

import numpy as np

from engine.kernels.compiled import inner
from engine.kernels.zones import Integers

DEMAND_ONE: Final = 1024
"""DEMAND of one unit."""
CERTAIN: Final = 1 << 16
"""A probability of one."""
MEANS: Final = 256
"""Means of the table: number b stands for (b / 32) squared, and a mean in between is taken for the one below it."""
LEFT_MAX: Final = 64
"""Units left that the table knows; above it, and above its means, the normal distribution is good enough."""
DEVIATIONS: Final = 160
"""Steps of the table of the normal distribution on either side, 1/32 of a standard deviation each."""
VALUE_MAX: Final = 1 << 49
"""Micros that the units of one line are never worth more than: sums over an order stay below COST_MAX."""
MARGIN_MAX: Final = 1 << 46
"""Micros of a SKU's margin that count: times a probability it stays in 64 bits."""


def poisson_table() -> Integers:
    """``[mean, left]``: P(demand >= left) in 1/CERTAIN, rounded to the nearest."""
    table = np.zeros((MEANS, LEFT_MAX), np.int64)
    with localcontext() as context:
        context.prec = 40
        for number in range(MEANS):
            mean = Decimal(number * number) / 1024
            term, below = (-mean).exp(), Decimal(0)
            for left in range(LEFT_MAX):
                table[number, left] = int((1 - below) * CERTAIN + Decimal("0.5"))
                below += term
                term *= mean / (left + 1)
    return table


def normal_table() -> Integers:
    """``[DEVIATIONS + steps]``: P(Z >= steps / 32) in 1/CERTAIN, by Simpson's rule over each step."""
    with localcontext() as context:
        context.prec = 40
        step = Decimal(1) / 32
        scale = 1 / (2 * Decimal("3.141592653589793238462643383279502884197")).sqrt()

        def density(x: Decimal) -> Decimal:
            return scale * (-x * x / 2).exp()

        tail, tails = Decimal("0.5"), [Decimal("0.5")]
        for number in range(DEVIATIONS):
            start = number * step
            tail -= step / 6 * (density(start) + 4 * density(start + step / 2) + density(start + step))
            tails.append(tail)
        both = [1 - each for each in tails[:0:-1]] + tails
        return np.array([int(each * CERTAIN + Decimal("0.5")) for each in both], np.int64)


_POISSON: Final = poisson_table()
_NORMAL: Final = normal_table()


@inner
def wanted_at_least(demand: int, units: int) -> int:
    """P(a Poisson demand >= units) in 1/CERTAIN; ``demand`` is its mean in 1/DEMAND_ONE."""
    if units <= 0:
        return np.int64(CERTAIN)
    number = int(sqrt(demand))
    if number < MEANS and units < LEFT_MAX:
        return _POISSON[number, units]
    mean = demand / DEMAND_ONE
    steps = int(32.0 * (units - 0.5 - mean) / sqrt(mean))
    return _NORMAL[min(max(steps, -DEVIATIONS), DEVIATIONS) + DEVIATIONS]


def tail_of(demand: Integers, units: Integers) -> Integers:
    """``wanted_at_least`` of many: P(a Poisson demand >= units) in 1/CERTAIN, by cell; ``demand`` its mean in 1/DEMAND_ONE."""
    number = np.sqrt(demand).astype(np.int64)
    known = (number < MEANS) & (units < LEFT_MAX)
    tails = _POISSON[np.where(known, number, 0), np.where(known, np.maximum(units, 0), 0)]
    mean = np.maximum(demand, 1) / DEMAND_ONE
    steps = np.clip((32.0 * (units - 0.5 - mean) / np.sqrt(mean)), -DEVIATIONS, DEVIATIONS).astype(np.int64)
    tails = np.where(known, tails, _NORMAL[steps + DEVIATIONS])
    return np.where(units <= 0, CERTAIN, tails)


@inner
def units_price(cell: tuple[int, int, int], margin: int, units: int) -> int:
    """Micros that the next ``units`` of a cell are worth, one after the other; ``cell`` = (PRICE, DEMAND, free units), ``margin`` the
    SKU's SKU_MARGIN. VALUE_MAX at most. Scalars only: this is asked for every cell that a scan finds.
    """
    price, demand, left = cell
    if demand <= 0 or margin <= 0:
        return np.int64(VALUE_MAX) if float(price) * units > VALUE_MAX else price * units
    margin = min(margin, np.int64(MARGIN_MAX))
    total = np.int64(0)
    for unit in range(units):
        wanted = wanted_at_least(demand, left - unit)
        if wanted == CERTAIN:  # and so it is of all that follow
            rest = max(price, margin)
            return np.int64(VALUE_MAX) if float(rest) * units > VALUE_MAX else total + rest * (units - unit)
        total += max(price, margin * wanted >> 16)
        if total > VALUE_MAX:
            return np.int64(VALUE_MAX)
    return min(total, np.int64(VALUE_MAX))
