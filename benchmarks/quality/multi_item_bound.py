"""The deterministic linear program (DLP) of the multi-item benchmark: demand is its mean, orders may be cut into fractions.

For every kind of order and city: u[item, center] units come from a center, y[center] packages, u <= y, and what is left is not sent. Its value
is the published yardstick, its duals say what a unit of stock is worth (Jasin and Sinha 2015). The bound is computed from the duals by
weak duality (``floor``) and so does not rest on the solver.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ortools.linear_solver import pywraplp

from benchmarks.quality.multi_item import ITEMS, PACKAGE_MICROS, Floats, Instance, Integers

MICROS = 1_000_000


class Solved(NamedTuple):
    """One solution."""

    value: float
    """Micros."""
    prices: Integers
    """int64[items, centers]: micros of one more unit, at least 0."""
    packages: list[Floats]
    """By kind: float64[cities, items of the kind, centers + 1], the share of each item that each center sends; the last: of nobody."""


class Program:
    """Made once for an instance; ``solve`` goes on from the last solution, for other stock and demand."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        solver = self._solver = pywraplp.Solver.CreateSolver("GLOP")
        # Without preprocessing the first solution of a large network takes three times as long, and each one after it a twentieth: only stock and
        # demand are others then, and the dual simplex goes on from where it stands.
        solver.SetSolverSpecificParametersAsString("use_preprocessing: false use_dual_simplex: true")
        self._infinity = solver.infinity()
        self._stock = {
            (item, center): solver.Constraint(-self._infinity, 0)
            for item in range(ITEMS)
            for center in range(instance.stock.shape[1])
            if instance.stock[item, center] >= 0
        }
        solver.Objective().SetMinimization()
        self._demand: dict[tuple[int, int], list[pywraplp.Constraint]] = {}
        self._sent: dict[tuple[int, int], dict[tuple[int, int], pywraplp.Variable]] = {}
        for kind, items in enumerate(instance.sets):
            for city in range(len(instance.item_costs)) if items else ():
                self._add(kind, city)

    def _add(self, kind: int, city: int) -> None:
        """The ways of one kind of order from one city."""
        instance, solver, infinity = self._instance, self._solver, self._infinity
        items, objective = instance.sets[kind], solver.Objective()
        demand, sent = self._demand.setdefault((kind, city), []), self._sent.setdefault((kind, city), {})
        packages: dict[int, pywraplp.Variable] = {}
        for item in items:
            whole = solver.Constraint(0, 0)
            demand.append(whole)
            unsent = solver.NumVar(0, infinity, "")
            whole.SetCoefficient(unsent, 1)
            objective.SetCoefficient(unsent, float(instance.unserved[city]) / MICROS)
            for center in np.flatnonzero(instance.stock[item] >= 0).tolist():
                unit = sent[item, center] = solver.NumVar(0, infinity, "")
                whole.SetCoefficient(unit, 1)
                self._stock[item, center].SetCoefficient(unit, 1)
                package = PACKAGE_MICROS if len(items) == 1 else 0  # of one item, it is the package
                objective.SetCoefficient(unit, (package + float(instance.item_costs[city, center])) / MICROS)
                if len(items) > 1:
                    if center not in packages:
                        packages[center] = solver.NumVar(0, infinity, "")
                        objective.SetCoefficient(packages[center], PACKAGE_MICROS / MICROS)
                    inside = solver.Constraint(-infinity, 0)
                    inside.SetCoefficient(unit, 1)
                    inside.SetCoefficient(packages[center], -1)

    def solve(self, stock: Integers, demand: Floats) -> Solved:
        """The optimum for units int64[items, centers] and orders float64[kinds, cities]."""
        for (item, center), row in self._stock.items():
            row.SetBounds(-self._infinity, float(stock[item, center]))
        for (kind, city), rows in self._demand.items():
            for row in rows:
                row.SetBounds(float(demand[kind, city]), float(demand[kind, city]))
        status = self._solver.Solve()
        assert status == pywraplp.Solver.OPTIMAL, status
        prices = np.zeros(stock.shape, np.int64)
        for at, row in self._stock.items():
            prices[at] = max(round(-row.dual_value() * MICROS), 0)
        return Solved(self._solver.Objective().Value() * MICROS, prices, self._shares(demand))

    def _shares(self, demand: Floats) -> list[Floats]:
        cities, centers = self._instance.item_costs.shape
        shares = [np.zeros((cities, len(items), centers + 1)) for items in self._instance.sets]
        for (kind, city), units in self._sent.items():
            items = self._instance.sets[kind]
            if demand[kind, city] > 0:
                for (item, center), unit in units.items():
                    shares[kind][city, items.index(item), center] = unit.solution_value() / demand[kind, city]
        for share in shares:
            share[..., -1] = 1
            np.clip(share, 0, 1, out=share)
            share[..., -1] = np.clip(1 - share[..., :-1].sum(axis=-1), 0, 1)
        return shares


def floor(instance: Instance, stock: Integers, demand: Floats, prices: Integers) -> float:
    """No plan for this demand costs less than so many micros, whatever ``prices`` >= 0 say of a unit (weak duality).

    Each order pays its cheapest way at cost + price, over all sets of centers; each unit of stock pays its price back.
    """
    total = -float((np.maximum(stock, 0) * prices).sum())
    centers = instance.item_costs.shape[1]
    for kind, items in enumerate(instance.sets):
        if not items:
            continue
        lines = list(items)
        each = instance.item_costs[:, None, :] + np.where(instance.stock[lines] >= 0, prices[lines], 1 << 50)
        least = np.broadcast_to(instance.unserved[:, None], each.shape[:2]).sum(axis=1)
        for chosen in _subsets(centers, len(items)):
            of_these = np.minimum(each[:, :, chosen].min(axis=2), instance.unserved[:, None])
            least = np.minimum(least, of_these.sum(axis=1) + len(chosen) * PACKAGE_MICROS)
        total += float((demand[kind] * least).sum())
    return total


def _subsets(count: int, most: int) -> list[list[int]]:
    masks = [mask for mask in range(1, 1 << count) if mask.bit_count() <= most]
    return [[at for at in range(count) if mask >> at & 1] for mask in masks]
