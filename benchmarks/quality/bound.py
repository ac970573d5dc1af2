"""What the stream would have cost at best, had everything been known: a bound that no policy can beat.

Known demand makes a transportation problem: units of a cell go to regions that ordered, or stay for the walk-ins who came. The optimum comes from
a minimum cost flow; the bound is computed from its duals by weak duality, ``dual_bound``, which holds for any prices whatever. So the
bound does not rest on the solver, and where it meets the flow's cost, both are exact.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from ortools.graph.python import min_cost_flow

from benchmarks.quality.streams import Integers, Stream


class Known(NamedTuple):
    """All that happened, as a transportation problem. The lanes of a row lie side by side."""

    wanted: Integers
    """int64[rows]: orders of one SKU from one region"""
    unserved: Integers
    """int64[rows]"""
    lane_rows: Integers
    lane_cells: Integers
    lane_costs: Integers
    free: Integers
    """int64[cells]: units beyond those that walk-ins take"""
    kept: Integers
    """int64[cells]: units that walk-ins take when nobody else does"""
    margin: Integers
    """int64[cells]"""
    lost: int
    """Micros: walk-ins beyond all stock, lost whatever one does."""


class Bound(NamedTuple):
    """``flow_micros``: the cost of the best plan; ``dual_micros``: no plan costs less. Equal when both are exact."""

    flow_micros: int
    dual_micros: int


def known(stream: Stream) -> Known:
    """The stream with its times forgotten."""
    costs, regions = stream.costs, len(stream.region_shares)
    is_order = stream.cells < 0
    keys, wanted = np.unique(stream.skus[is_order] * regions + stream.regions[is_order], return_counts=True)
    skus, region = np.divmod(keys, regions)
    held = np.diff(stream.first)[skus]
    rows = np.repeat(np.arange(len(keys)), held)
    cells = np.arange(len(rows)) + np.repeat(stream.first[skus] - (np.cumsum(held) - held), held)
    there = stream.units[cells] > 0
    rows, cells = rows[there], cells[there]
    nodes = stream.nodes[cells]
    lane_costs = costs.rates[skus[rows], costs.zones[region[rows], nodes]] + costs.handling[nodes]
    came = np.bincount(stream.cells[~is_order], minlength=len(stream.nodes))
    kept = np.minimum(came, stream.units)
    margin = np.repeat(costs.margin, np.diff(stream.first))
    return Known(
        wanted.astype(np.int64),
        costs.unserved[skus],
        rows,
        cells,
        lane_costs,
        stream.units - kept,
        kept,
        margin,
        int(((came - kept) * margin).sum()),
    )


def hindsight(stream: Stream) -> Bound:
    """The least that the stream costs, by a plan and by a proof."""
    problem = known(stream)
    cost, flows, out = _flow(problem)
    return Bound(cost + problem.lost, dual_bound(problem, _duals(problem, flows, out)))


def dual_bound(problem: Known, prices: Integers) -> int:
    """No plan costs less, whatever ``prices`` int64[cells] >= 0 say of a unit (weak duality).

    Each order pays its cheapest lane with the price of the unit there, or its penalty; each unit that is there pays its price back, less
    what a walk-in would lose.
    """
    paid = problem.unserved.copy()
    np.minimum.at(paid, problem.lane_rows, problem.lane_costs + prices[problem.lane_cells])
    back = problem.free * prices + problem.kept * np.maximum(prices - problem.margin, 0)
    return int((problem.wanted * paid).sum() - back.sum()) + problem.lost


def _flow(problem: Known) -> tuple[int, Integers, Integers]:
    """(cost, units on each lane, units that leave each cell) of a cheapest plan."""
    cell_count, row_count = len(problem.free), len(problem.wanted)
    cells, rows = 1 + np.arange(cell_count), 1 + cell_count + np.arange(row_count)
    world, world_rows = np.zeros(cell_count, np.int64), np.zeros(row_count, np.int64)
    solver = min_cost_flow.SimpleMinCostFlow()
    add = solver.add_arcs_with_capacity_and_unit_cost
    first = add(world, cells, problem.free, world)
    second = add(world, cells, problem.kept, problem.margin)
    lanes = add(
        cells[problem.lane_cells], rows[problem.lane_rows], problem.wanted[problem.lane_rows], problem.lane_costs
    )
    add(world_rows, rows, problem.wanted, problem.unserved)
    solver.set_nodes_supplies(np.append(0, rows), np.append(problem.wanted.sum(), -problem.wanted))
    status = solver.solve()
    assert status == solver.OPTIMAL, status
    return solver.optimal_cost(), solver.flows(lanes), solver.flows(first) + solver.flows(second)


def _duals(problem: Known, flows: Integers, out: Integers) -> Integers:
    """Prices of the cells at the optimum: least distances in the residual graph."""
    prices = np.where(out < problem.free, 0, problem.margin)
    prices[out >= problem.free + problem.kept] = np.iinfo(np.int64).max >> 8
    used = np.flatnonzero(flows)
    while True:
        before = prices.copy()
        paid = problem.unserved.copy()
        np.minimum.at(paid, problem.lane_rows, problem.lane_costs + prices[problem.lane_cells])
        np.minimum.at(prices, problem.lane_cells[used], paid[problem.lane_rows[used]] - problem.lane_costs[used])
        if np.array_equal(before, prices):
            break
    # A cell that nothing left and that has no units is worth nothing to anybody.
    prices[(problem.free + problem.kept) == 0] = 0
    return prices
