"""The plans that the orders of a wave might get: made by the router at prices plus duals, kept once each, chosen among by the wave.

Everything is in the wave's own measure, the *score*: what the router minimises, with the price of a cell taken as that of the next
unit it sells, whatever the wave takes from it. So a plan's score does not depend on what other orders get.
"""

from typing import Any, NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels import waves as kernels
from engine.kernels.links import routing_work
from engine.kernels.workspace import routing_answer
from engine.kernels.zones import SLOT_MASK, Integers
from engine.planning.problem import Problem, Takes

LEGS_MAX = 256
"""Legs of one plan; a plan of more is none."""
PER_CENT = 100


class Judged(NamedTuple):
    """Plans in full, as the router writes them: ``plans[order]``; its legs begin at ``starts[order, 0]``, its packages at
    ``starts[order, 1]``, and PLAN_LEGS and PLAN_PACKAGES say how many they are. ``used``: legs and packages of all.
    """

    plans: Integers
    legs: Integers
    packages: Integers
    starts: Integers
    used: Integers

    def legs_of(self, order: int) -> Integers:
        """int64[legs, LEG_WIDTH]: what the order's plan takes; a view."""
        start = self.starts[order, 0]
        return self.legs[start : start + self.plans[order, c.PLAN_LEGS]]

    def packages_of(self, order: int) -> Integers:
        """int64[packages, PACKAGE_WIDTH] of the order's plan; a view."""
        start = self.starts[order, 1]
        return self.packages[start : start + self.plans[order, c.PLAN_PACKAGES]]


class Plans:
    """Plans of the orders of one problem, and the router's opinion of them. Keeps a copy of the stock, with duals in row PRICE."""

    def __init__(self, problem: Problem, unserved_micros: int) -> None:
        """``unserved_micros``: penalty of an order with a line that must be served, when it is not."""
        cells, skus, index = problem.stock
        questions, lines, first = problem.orders
        self._cells = cells.copy()
        self._cells[c.PENDING] = 0
        self._stock = (self._cells, skus, index)
        self._prices = np.zeros(cells.shape[1], np.int64)
        kernels.price_units(self._stock, self._prices)
        self._cells[c.DEMAND] = 0  # PRICE now says it all
        self._cells[c.ATF] = self.free = np.maximum(cells[c.ATF] - kept_units(questions), 0)
        """Units there are, by slot."""
        self._network = problem.network
        self._weights = questions[:, c.ORDER_PRICE_WEIGHT].copy()
        asked = questions.copy()
        asked[:, c.ORDER_KEEP_UNITS] = 0  # they are no longer in the stock
        asked[:, c.ORDER_PRICE_WEIGHT] = (
            PER_CENT  # the weight of an order goes into PRICE: a dual counts in full for everybody
        )
        self._orders = (asked, np.ascontiguousarray(lines), first)
        self.count = len(questions)
        """Orders."""
        self.everyone = np.arange(self.count)
        self.penalties = penalties_of(lines[:, c.LINE_UNSERVED], first, unserved_micros)
        """Score of an order that is not served."""
        self.told = np.zeros((kernels.TOLD_ROWS, self.count), np.int64)
        """What the router said when each order was last asked, see ``kernels.waves``."""
        self._duals = np.zeros(len(self.free), np.int64)
        self._stale = np.ones(self.count, np.bool_)  # told of other duals than self._duals
        self._sku_of = sku_of_slots(skus, index, len(self.free))
        self._lines_of = (lines[:, c.LINE_SKU], np.repeat(self.everyone, np.diff(first)))
        self._room = (routing_work(problem.network[0].shape[1]), routing_answer(LEGS_MAX))
        self._cells_of = (np.zeros(cells.shape[1], np.int64), np.zeros(cells.shape[1], np.int64))
        none, empty = np.zeros(0, np.int64), np.zeros((0, 0), np.int64)
        nowhere = (none, none, np.zeros(self.count + 1, np.int64))
        self._nothing_given: tuple[Any, Any] = (nowhere, (empty, empty, empty, empty, none))
        latest = np.zeros(self.count, np.int64)
        self._store = (
            np.zeros((kernels.PLANS_ROWS, 8 * self.count + 64), np.int64),
            np.zeros((kernels.TAKE_ROWS, 24 * self.count + 16 * LEGS_MAX), np.int64),
            latest,
            np.zeros(2, np.int64),
        )

    # What there is

    @property
    def used(self) -> int:
        """Plans made so far; those made earlier keep their places."""
        return int(self._store[3][kernels.PLANS_USED])

    @property
    def rows(self) -> Integers:
        """plans[PLANS_ROWS, plan], a view that is good until more plans are made."""
        return self._store[0][:, : self.used]

    @property
    def takes(self) -> Integers:
        """takes[TAKE_ROWS, take], a view likewise."""
        return self._store[1][:, : self._store[3][kernels.TAKES_USED]]

    @property
    def wanted(self) -> Integers:
        """By slot, the sum over orders of the most units that any plan of the order takes."""
        return self._cells_of[1]

    def usage(self, chosen: Integers) -> Integers:
        """Units taken by slot when order i gets plan ``chosen[i]`` (−1: none)."""
        in_use = np.zeros(self.used, np.bool_)
        in_use[chosen[chosen >= 0]] = True
        takes = self.takes[:, in_use[self.takes[kernels.TAKE_PLAN]]]
        used = np.bincount(takes[kernels.TAKE_SLOT], takes[kernels.TAKE_UNITS], len(self.free))
        return used.astype(np.int64)

    def scores(self, chosen: Integers) -> Integers:
        """Score of each order with plan ``chosen[i]``, or of not serving it (−1)."""
        if not self.used:
            return self.penalties.copy()
        return np.where(chosen >= 0, self.rows[kernels.PLANS_SCORE, chosen], self.penalties)

    def taken(self, chosen: Integers) -> Takes:
        """What the orders take with these plans."""
        served = chosen >= 0
        counts = np.zeros(self.count, np.int64)
        counts[served] = self.rows[kernels.PLANS_COUNT, chosen[served]]
        first = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        starts = np.zeros(self.count, np.int64)
        starts[served] = self.rows[kernels.PLANS_FIRST, chosen[served]]
        takes = self.takes[:, np.arange(first[-1]) + np.repeat(starts - first[:-1], counts)]
        return Takes(takes[kernels.TAKE_SLOT].copy(), takes[kernels.TAKE_UNITS].copy(), first)

    # What the router says

    def ask(self, duals: Integers) -> Integers:
        """Least score of each order as if it were alone, at price + ``duals``; its plan is kept.

        Returns int64[orders], of which none is above the true minimum. Only orders that see another dual than when they were last
        asked are asked again: an answer depends on the cells of the order's own SKUs alone.
        """
        changed = np.zeros(self._stock[1].shape[1], np.bool_)
        changed[self._sku_of[duals != self._duals]] = True
        seen = np.flatnonzero(changed[self._lines_of[0]])
        self._stale[self._lines_of[1][seen]] = True
        self._duals = duals.copy()
        self._run_asking(duals, np.flatnonzero(self._stale))
        self._stale[:] = False
        minima: Integers = np.minimum(self.told[kernels.TOLD_FLOOR], self.penalties)
        return minima

    def explore(self, duals: Integers, asked: Integers) -> None:
        """Keep the plans that these orders would get at other duals."""
        self._run_asking(duals, asked)
        self._stale[asked] = True

    def _run_asking(self, duals: Integers, asked: Integers) -> None:
        self._by_weight(kernels.TASK_ASK, duals, asked, self._outcome(self.everyone))

    def settle(self, chosen: Integers, duals: Integers, asked: Integers) -> None:
        """One order of ``asked`` after the other gets the best plan that the others leave it, scores at price + ``duals``.

        ``chosen`` is changed in place.
        """
        self._cells[c.PENDING] = self.usage(chosen)
        self._by_weight(kernels.TASK_SETTLE, duals, asked, self._outcome(chosen))
        self._cells[c.PENDING] = 0

    def judge(self, given: Takes) -> tuple[Judged, Integers]:
        """The router's plan of each order from exactly the units given to it, whatever the others get: in full, and where it is kept
        (−1: it has none).
        """
        total = len(given.slots)
        judged = Judged(
            np.zeros((self.count, c.PLAN_WIDTH), np.int64),
            np.zeros((total, c.LEG_WIDTH), np.int64),
            np.zeros((total, c.PACKAGE_WIDTH), np.int64),
            np.zeros((self.count, 2), np.int64),
            np.zeros(2, np.int64),
        )
        chosen = np.full(self.count, -1)
        outcome, nothing = self._outcome(chosen), np.zeros(len(self.free), np.int64)
        self._by_weight(kernels.TASK_JUDGE, nothing, self.everyone, outcome, (tuple(given), tuple(judged)))
        return judged, chosen

    def _outcome(self, chosen: Integers) -> tuple[Integers, Integers, Integers]:
        return self.told, chosen, self.penalties

    def _by_weight(
        self,
        task: int,
        duals: Integers,
        asked: Integers,
        outcome: tuple[Integers, Integers, Integers],
        judging: tuple[Any, Any] | None = None,
    ) -> None:
        """Run the kernel over orders, growing the store. Those to whom prices weigh the same come together, each group in its order."""
        self._cells_of[0][:] = duals
        given, written = judging or self._nothing_given
        weights = self._weights[asked]
        for weight in np.unique(weights):
            self._cells[c.PRICE] = self._prices * weight // PER_CENT + duals
            group = asked[weights == weight]
            while len(group):
                job = (task, self._store, self._cells_of, group, outcome, given, written)
                group = group[int(kernels.plan_each(self._stock, self._network, self._orders, self._room, job)) :]
                if len(group):
                    self._grow()

    def _grow(self) -> None:
        plans, takes, latest, used = self._store
        self._store = (_doubled(plans), _doubled(takes), latest, used)


def _doubled(matrix: Integers) -> Integers:
    return np.concatenate([matrix, np.zeros_like(matrix)], axis=1)


def sku_of_slots(skus: Integers, index: Integers, slots: int) -> Integers:
    """SKU of each slot; 0 for a slot that no SKU has."""
    counts = skus[c.INDEX_COUNT]
    ends = np.cumsum(counts)
    positions = np.arange(counts.sum()) + np.repeat(skus[c.INDEX_START] - (ends - counts), counts)
    found = np.zeros(slots, np.int64)
    found[index[positions] & SLOT_MASK] = np.repeat(np.arange(len(counts)), counts)
    return found


def kept_units(questions: Integers) -> int:
    """ORDER_KEEP_UNITS of all orders; ValueError when they differ."""
    kept = np.unique(questions[:, c.ORDER_KEEP_UNITS])
    if len(kept) > 1:
        raise ValueError(
            f"orders of one wave keep the same units in every cell, these {kept.tolist()}: plan them apart"
        )
    return int(kept[0]) if len(kept) else 0


def penalties_of(unserved: Integers, first: Integers, refused: int) -> Integers:
    """Score of leaving each order unserved: LINE_UNSERVED of its lines summed, or ``refused`` where one of them must be served."""
    sums = np.concatenate([[0], np.cumsum(np.maximum(unserved, 0))])
    musts = np.concatenate([[0], np.cumsum(unserved < 0)])
    return np.where(musts[first[1:]] > musts[first[:-1]], refused, sums[first[1:]] - sums[first[:-1]]).astype(np.int64)
