"""Plays an instance of the multi-item benchmark, order by order: the production router, and the published policies beside it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.quality.multi_item import ITEMS, PACKAGE_MICROS, PERIODS, SIZES, Floats, Instance, Integers
from benchmarks.quality.multi_item_bound import Program
from engine.kernels import columns as c
from engine.kernels.links import routing_work
from engine.kernels.routing import route
from engine.kernels.workspace import routing_answer
from engine.kernels.zones import SLOT_BITS

Choose = Callable[[int, int, Integers], Integers]
"""From kind, city and the units left int64[items, centers] to the center of each item, −1: not sent."""


def cost_of(instance: Instance, city: int, centers: Integers) -> int:
    """Micros of one order whose items come from these centers."""
    sent = centers[centers >= 0]
    packages = len(np.unique(sent)) * PACKAGE_MICROS
    unserved = (len(centers) - len(sent)) * int(instance.unserved[city])
    return packages + int(instance.item_costs[city, sent].sum()) + unserved


def played(instance: Instance, choose: Choose) -> int:
    """Micros that all orders cost, chosen one by one."""
    left, total = np.maximum(instance.stock, 0), 0
    for kind, city in instance.orders.tolist():
        items = list(instance.sets[kind])
        if items:
            centers = choose(kind, city, left)
            sent = centers >= 0
            left[np.array(items)[sent], centers[sent]] -= 1
            total += cost_of(instance, city, centers)
    assert left.min() >= 0, "a policy sent what was not there"
    return total


# Published policies


def closest(instance: Instance) -> Choose:
    """Each item from the closest center that has it."""

    def choose(kind: int, city: int, left: Integers) -> Integers:
        there = left[list(instance.sets[kind])] > 0
        centers = np.where(there, instance.item_costs[city], np.iinfo(np.int64).max).argmin(axis=1)
        return np.where(there.any(axis=1), centers, -1)

    return choose


def rounded(instance: Instance, shares: list[Floats], seed: int, *, together: bool) -> Choose:
    """Each item from a center drawn by its share in the DLP; from the closest one that has it when that one has none left.

    ``together``: the items of an order share one exponential clock a center, and each goes to the center whose clock, slowed by its share,
    rings first. Every item has the same chances as before, and items meet (Ma 2023); else every item draws for itself (Jasin and
    Sinha 2015).
    """
    chance, nearest = np.random.default_rng([seed, together]), closest(instance)

    def choose(kind: int, city: int, left: Integers) -> Integers:
        share = shares[kind][city]
        clocks = chance.exponential(size=(1 if together else len(share), share.shape[1]))
        with np.errstate(divide="ignore"):
            centers = (clocks / share).argmin(axis=1)
        items = list(instance.sets[kind])
        unsent = centers == share.shape[1] - 1
        empty = left[items, np.where(unsent, 0, centers)] <= 0
        return np.where(unsent | empty, nearest(kind, city, left), centers)

    return choose


# Production


class Router:
    """The production kernel over an instance: a service a city, since prices differ by city and center, and a step of weight an item."""

    def __init__(self, instance: Instance) -> None:
        cities, centers = instance.item_costs.shape
        self._instance = instance
        self._cells = np.zeros((c.CELL_ROWS, ITEMS * centers), np.int64)
        skus = np.zeros((c.SKU_ROWS, ITEMS), np.int64)
        skus[c.INDEX_START], skus[c.INDEX_COUNT] = np.arange(ITEMS) * centers, centers
        index = np.tile(np.arange(centers) << SLOT_BITS, ITEMS) | np.arange(ITEMS * centers)
        self._stock = (self._cells, skus, index)
        nodes = np.zeros((c.NODE_ROWS, centers), np.int64)
        nodes[c.NODE_FLAGS], nodes[c.NODE_CHANNELS] = c.FLAG_OPEN | c.FLAG_SHIPS, 1
        zones = np.tile(np.arange(1, centers + 1, dtype=np.uint8), (cities, 1))
        rates = np.full((cities, centers + 1, SIZES), -1, np.int64)
        rates[:, 1:] = PACKAGE_MICROS + instance.item_costs[:, :, None] * np.arange(1, SIZES + 1)
        breaks = np.tile(np.arange(1, SIZES + 1), (cities, 1))
        nowhere = np.zeros((cities, centers), np.int64)
        self._network = (
            nodes,
            zones,
            rates,
            breaks,
            zones.astype(np.uint16),
            nowhere,
            np.zeros((cities, centers + 1), np.int64),
        )
        self._work, self._answer = routing_work(centers), routing_answer(c.LINES_MAX)
        self._order = np.zeros(c.ORDER_WIDTH, np.int64)
        self._order[c.ORDER_NEEDS] = c.FLAG_OPEN | c.FLAG_SHIPS
        self._order[[c.ORDER_CARRIER_WEIGHT, c.ORDER_HANDLING_WEIGHT, c.ORDER_PRICE_WEIGHT]] = 100
        self._lines = [self._lines_of(items) for items in instance.sets]

    @staticmethod
    def _lines_of(items: tuple[int, ...]) -> Integers:
        lines = np.zeros((len(items), c.LINE_WIDTH), np.int64)
        lines[:, c.LINE_SKU], lines[:, c.LINE_UNITS], lines[:, c.LINE_GRAMS] = items, 1, 1
        return lines

    def set_prices(self, prices: Integers) -> None:
        """What a unit is worth, int64[items, centers]."""
        self._cells[c.PRICE] = prices.ravel()

    def choose(self, kind: int, city: int, left: Integers) -> Integers:
        """See ``Choose``."""
        self._cells[c.ATF] = left.ravel()
        lines = self._lines[kind]
        lines[:, c.LINE_UNSERVED] = self._instance.unserved[city]
        self._order[c.ORDER_REGION] = self._order[c.ORDER_SERVICE] = city
        assert route(self._stock, self._network, (self._order, lines), self._work, self._answer) == c.STATUS_ROUTED
        plan, legs, _ = self._answer
        centers = np.full(len(lines), -1, np.int64)
        count = plan[c.PLAN_LEGS]
        centers[legs[:count, c.LEG_LINE]] = legs[:count, c.LEG_SLOT] % left.shape[1]
        return centers


def priced(instance: Instance, program: Program, refreshes: int) -> Choose:
    """The production kernel at the DLP's prices, found anew a number of times from what is left of stock and of the horizon; 0: without prices."""
    router, period = Router(instance), -1
    times = np.flatnonzero([bool(instance.sets[kind]) for kind, _ in instance.orders.tolist()])
    due = {PERIODS * at // refreshes for at in range(refreshes)} if refreshes else set()
    moments = iter(times.tolist())

    def choose(kind: int, city: int, left: Integers) -> Integers:
        nonlocal period
        before, period = period, next(moments)
        if due.intersection(range(before + 1, period + 1)):
            router.set_prices(program.solve(left, instance.chances * (PERIODS - period)).prices)
        return router.choose(kind, city, left)

    return choose
