"""The least that a known demand could have cost: for one SKU, a flow of its units through time to those who want them.

Units arrive at a cell on some day and stay there until they leave for a demand of that day or a later one; a demand that gets none
pays its penalty. With a cost for each unit and lane this is a transportation problem over time, which a minimum cost flow solves
exactly, in integers (Ahuja, Magnanti and Orlin 1993, chapter 9). That nothing is cheaper does not rest on the solver: prices of the units,
found from its flow, prove it by weak duality, ``dual_bound``.
"""

from typing import NamedTuple

import numpy as np

from engine.kernels.zones import Integers

_UNBOUNDED = 1 << 55
"""Worth of a unit that is used up, as long as nothing says what it is."""


class Arrivals(NamedTuple):
    """Units of one SKU that come to a cell on a day: opening stock on day 0, receipts. In any order; rows may repeat."""

    cells: Integers
    """Numbers of cells, any that are not negative."""
    days: Integers
    units: Integers


class Demands(NamedTuple):
    """Units of one SKU that are wanted on a day, and what each that nobody serves costs."""

    days: Integers
    units: Integers
    penalties: Integers


class Lanes(NamedTuple):
    """Which cell may serve which demand (its row in ``Demands``), and what each unit costs."""

    demands: Integers
    cells: Integers
    costs: Integers


def least_costs(arrivals: Arrivals, demands: Demands, lanes: Lanes) -> Integers:
    """What each demand costs in a cheapest flow: int64[demands], penalties included. The sum is the least possible, for demands and arrivals
    known in advance; how it is shared out among the demands is one of the ways in which it can be.
    """
    from ortools.graph.python import min_cost_flow

    # A node for each cell and day of an arrival; the stock of a cell flows from each to the next.
    keys, place = np.unique(np.stack([arrivals.cells, arrivals.days]), axis=1, return_inverse=True)
    units = np.bincount(place.ravel(), weights=arrivals.units, minlength=keys.shape[1]).astype(np.int64)
    stores, wanted = 1 + np.arange(keys.shape[1]), 1 + keys.shape[1] + np.arange(len(demands.units))
    total = int(demands.units.sum())
    solver = min_cost_flow.SimpleMinCostFlow()
    add = solver.add_arcs_with_capacity_and_unit_cost
    come = add(np.zeros(len(stores), np.int64), stores, units, np.zeros(len(stores), np.int64))
    later = np.flatnonzero(np.diff(keys[0]) == 0)
    stay = add(stores[later], stores[later + 1], np.full(len(later), total), np.zeros(len(later), np.int64))
    unserved = add(np.zeros(len(wanted), np.int64), wanted, demands.units, demands.penalties)
    store = _latest_store(keys, lanes.cells, demands.days[lanes.demands])
    some = np.flatnonzero((store >= 0) & (lanes.costs < demands.penalties[lanes.demands]))
    used = lanes.demands[some]
    sent = add(stores[store[some]], wanted[used], demands.units[used], lanes.costs[some])
    solver.set_nodes_supplies(np.append(0, wanted), np.append(total, -demands.units))
    status = solver.solve()
    if status != solver.OPTIMAL:  # serving nobody is feasible, and every cost is bounded
        raise RuntimeError(f"the flow of the hindsight bound ended with {status}")
    found: Integers = solver.flows(unserved) * demands.penalties
    np.add.at(found, used, solver.flows(sent) * lanes.costs[some])
    problem = Problem(units, later, demands, used, store[some], lanes.costs[some])
    flow = Flow(solver.flows(come), solver.flows(stay), solver.flows(sent))
    proved = dual_bound(problem, worths(problem, flow))
    if proved != found.sum():
        raise RuntimeError(f"the flow of the hindsight bound costs {found.sum()}, and only {proved} is proved")
    return found


class Problem(NamedTuple):
    """Stores of units, those of a cell one after the other by day: int64[stores] units that come, ``later``: stores whose units may wait for the
    next one; and lanes from stores to rows of the demands, each with its cost.
    """

    units: Integers
    later: Integers
    demands: Demands
    lane_demands: Integers
    lane_stores: Integers
    lane_costs: Integers


class Flow(NamedTuple):
    """Units that are used of each store, that wait at each of ``later``, and that go along each lane."""

    come: Integers
    stay: Integers
    sent: Integers


def dual_bound(problem: Problem, worth: Integers) -> int:
    """No plan costs less, whatever ``worth`` int64[stores] >= 0 says of a unit, as long as none is worth more for having waited.

    Each wanted unit pays its cheapest lane with the worth of the unit there, or its penalty; each unit that comes pays its worth back.
    """
    if (worth < 0).any() or (worth[problem.later] < worth[problem.later + 1]).any():
        raise ValueError("a unit may not be worth less than nothing, nor more for having waited")
    return int((problem.demands.units * _paid(problem, worth)).sum() - (problem.units * worth).sum())


def worths(problem: Problem, flow: Flow) -> Integers:
    """What a unit of each store is worth beside a cheapest flow: int64[stores], least distances in the residual graph."""
    worth = np.where(flow.come < problem.units, 0, _UNBOUNDED)
    used, waited = np.flatnonzero(flow.sent), problem.later[flow.stay > 0]
    while True:
        before = worth.copy()
        paid = _paid(problem, worth)
        np.minimum.at(worth, problem.lane_stores[used], paid[problem.lane_demands[used]] - problem.lane_costs[used])
        worth[problem.later + 1] = np.minimum(worth[problem.later + 1], worth[problem.later])
        worth[waited] = np.minimum(worth[waited], worth[waited + 1])
        if np.array_equal(before, worth):
            return worth


def _paid(problem: Problem, worth: Integers) -> Integers:
    """What each demand pays for a unit: int64[demands]."""
    paid = problem.demands.penalties.copy()
    np.minimum.at(paid, problem.lane_demands, problem.lane_costs + worth[problem.lane_stores])
    return paid


def _latest_store(keys: Integers, cells: Integers, days: Integers) -> Integers:
    """For each cell and day the store that holds what has arrived there by then; −1: nothing has."""
    span = int(max(keys[1].max(initial=0), days.max(initial=0))) + 1
    found = np.searchsorted(keys[0] * span + keys[1], cells * span + days, side="right") - 1
    here = (found >= 0) & (keys[0][np.maximum(found, 0)] == cells) if keys.shape[1] else np.zeros(len(cells), np.bool_)
    return np.where(here, found, -1)
