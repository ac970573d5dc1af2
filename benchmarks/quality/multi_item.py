"""The public multi-item benchmark of W. Ma, "Order-optimal correlated rounding for fulfilling multi-item e-commerce orders" (2023), which
follows Jasin and Sinha (2015): orders of several items from a few cities, a fixed cost for every package.

The instances are drawn as published; cities and centers come from a folder that is not part of the project. Money is in micros.
"""

from __future__ import annotations

import csv
from itertools import combinations
from math import asin, cos, sin, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

ITEMS, SIZES, SETS_A_SIZE, PERIODS = 20, 5, 5, 10_000
PACKAGE_MICROS, ITEM_MICROS, MILE_MICROS = 8_759_000, 423_000, 541
CARRIES = 0.75
"""Probability that a center carries an item."""
EXTRA = 0.5
"""Standard deviations of its demand that a center has beyond the mean."""
EARTH_MILES = 3_958.8


class Instance(NamedTuple):
    """One drawn world, and the orders that came."""

    sets: tuple[tuple[int, ...], ...]
    """Items of each kind of order; the last is the empty one."""
    chances: Floats
    """float64[kinds, cities]: probability of an order of a kind from a city in one period."""
    item_costs: Integers
    """int64[cities, centers]: micros for an item from a center, beside PACKAGE_MICROS a package."""
    unserved: Integers
    """int64[cities]: micros for an item that is not sent."""
    stock: Integers
    """int64[items, centers]; −1: the center does not carry the item."""
    orders: Integers
    """int64[periods, 2]: kind and city of each order."""


def places(folder: Path, *, large: bool) -> tuple[Floats, Floats, Floats]:
    """Cities (degrees), their shares of the population, centers (degrees)."""
    tag = "" if large else "_warmup"
    with (folder / f"cities{tag}.csv").open(encoding="utf-8-sig") as file:
        cities = [row for row in csv.reader(file) if row]
    with (folder / f"fulfillment_centers{tag}.csv").open(encoding="utf-8-sig") as file:
        centers = [row for row in csv.reader(file) if row]
    people = np.array([float(row[4]) for row in cities])
    return (
        np.array([[float(row[2]), float(row[3])] for row in cities]),
        people / people.sum(),
        np.array([[float(row[2]), float(row[3])] for row in centers]),
    )


def drawn(folder: Path, seed: int, *, large: bool) -> Instance:
    """The instance of a seed."""
    chance = np.random.default_rng([seed, large])
    cities, shares, centers = places(folder, large=large)
    miles = np.array([[_miles(city, center) for center in centers] for city in cities])
    item_costs = np.rint(ITEM_MICROS + MILE_MICROS * miles).astype(np.int64)
    sets: list[tuple[int, ...]] = []
    weights: list[float] = []
    empty, *by_size = chance.random(1 + SIZES)
    for size in range(1, 1 + SIZES):
        every = list(combinations(range(ITEMS), size))
        sets += [every[at] for at in chance.choice(len(every), SETS_A_SIZE, replace=False)]
        within = chance.random(SETS_A_SIZE)
        weights += (by_size[size - 1] * within / within.sum()).tolist()
    kinds = np.array([*weights, empty])
    chances = np.outer(kinds / kinds.sum(), shares)
    carried = chance.random((ITEMS, len(centers))) < CARRIES
    flat = chance.choice(chances.size, PERIODS, p=chances.ravel())
    return Instance(
        (*sets, ()),
        chances,
        item_costs,
        2 * PACKAGE_MICROS + item_costs.max(axis=1),
        _stock(sets, chances, miles, carried),
        np.stack(np.divmod(flat, len(cities)), axis=1).astype(np.int64),
    )


def _stock(sets: list[tuple[int, ...]], chances: Floats, miles: Floats, carried: NDArray[np.bool]) -> Integers:
    """Mean demand of the cities whose closest carrying center it is, and half a standard deviation."""
    stock = np.full(carried.shape, -1, np.int64)
    for item, has in enumerate(carried):
        asks = chances[[row for row, items in enumerate(sets) if item in items]].sum(axis=0)
        nearest = np.where(has, miles, np.inf).argmin(axis=1)
        for center in np.flatnonzero(has):
            rate = float(asks[nearest == center].sum())
            stock[item, center] = round(PERIODS * rate + EXTRA * sqrt(PERIODS * rate * (1 - rate)))
    return stock


def _miles(one: Floats, two: Floats) -> float:
    """Great-circle distance."""
    (latitude, longitude), (other, far) = np.radians(one), np.radians(two)
    half = sin((other - latitude) / 2) ** 2 + cos(latitude) * cos(other) * sin((far - longitude) / 2) ** 2
    return 2 * EARTH_MILES * asin(sqrt(half))
