"""What one unit of a SKU at a node is worth: the scenario LP of the prices.

For each SKU and each sampled future, orders of the horizon meet the present stock: a transportation problem. A unit may

* go to a region that wants one, at carrier plus handling cost;
* stay in the shop, where the k-th unit earns the newsvendor's margin x P(walk-ins want at least k), see ``walk_ins``;

and a wanted unit that nobody sends costs the SKU's penalty. With V the least cost, the price of a cell is V without one of its units
less V: what it costs the network to do without the unit. That is a dual of the cell's stock row, the greatest of them where the
optimum has many. Vertex duals of a solver would be any of them; the greatest is unique, so that prices do not hang on the solver or
the order of rows. The mean over the futures is the price (Acimovic and Graves 2015 price with such duals; Talluri and van Ryzin
1999 average them over samples).

All is linear in the number of wanted units, not of cells: a SKU that is wanted D times in a future needs the D + 1 cheapest cells of
each region only, for any dearer cell could be changed against one of these.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import Integers
from engine.planning.walk_ins import kept_values, wanted_at_most

VALUE_MAX: Final = 1 << 40
"""Micros, a million of the currency: penalties and margins above it count as this much. Keeps the sums of a flow in 64 bits."""
PLACE_BITS: Final = 22
"""A SKU lies at 4 million nodes at most: cost and place of a lane share 63 bits."""
SHELF_MAX: Final = 1024
"""Units of one cell that are valued one by one; deeper ones count as the last of these."""
CHUNK: Final = 1 << 18
"""Lanes looked at in one go: bounds memory, changes no price."""


class Cells(NamedTuple):
    """Stock. The cells of SKU i are ``first[i] : first[i + 1]`` of the other arrays."""

    first: Integers
    """int64[skus + 1]"""
    nodes: Integers
    """int64[cells]"""
    units: Integers
    """int64[cells]: units that may be promised; below 1: none."""
    walk_ins: Integers
    """int64[cells]: units that walk-ins are expected to want within the horizon, in 1/1024."""

    @property
    def sku_count(self) -> int:
        """How many SKUs there are."""
        return len(self.first) - 1


class Costs(NamedTuple):
    """What serving costs, in micros a unit."""

    zones: NDArray[np.uint8]
    """uint8[regions, nodes]; 0, or a zone without a rate: the node does not serve the region."""
    rates: Integers
    """int64[skus, zones]: one unit carried into a zone; below 0: not carried."""
    handling: Integers
    """int64[nodes]: one unit leaving the node, its share of the package included."""
    unserved: Integers
    """int64[skus]: a wanted unit that is not sent. Without it a price would know no upper bound."""
    margin: Integers
    """int64[skus]: a walk-in who does not find his unit."""


class Demands(NamedTuple):
    """Sampled orders of the horizon, a row for each SKU and region that wants units in a scenario; in any order, rows may repeat."""

    scenario_count: int
    scenarios: Integers
    skus: Integers
    regions: Integers
    units: Integers
    """1 or more a row."""


class _Lanes(NamedTuple):
    """Ways from a cell to a wanted row in one future, in row order. ``rows`` and ``spots`` index what follows."""

    rows: Integers
    spots: Integers
    costs: Integers
    wanted: Integers
    """int64[rows]: units"""
    unserved: Integers
    """int64[rows]"""
    futures: Integers
    """int64[rows]: which SKU in which future; rows of different ones never meet."""
    cells: Integers
    """int64[spots]: index into ``Cells``; a cell has a spot in every future."""
    scenarios: Integers
    """int64[spots]"""
    totals: Integers
    """int64[spots]: units wanted of the SKU in that future: no more ever leave the cell."""


class _Shelves(NamedTuple):
    """What the shop loses with units that leave a spot, one after the other: nothing for the first ``free`` ones, then
    ``values[first[i] : first[i + 1]]``, rising; the last value stands for all that follow.
    """

    first: Integers
    """int64[spots + 1]"""
    values: Integers
    free: Integers
    """int64[spots]"""
    sizes: Integers
    """int64[spots]: units behind the free ones, as far as anybody may want them."""


def prices(cells: Cells, costs: Costs, demands: Demands) -> Integers:
    """Micros that one unit of each cell is worth: int64[cells]. Pure, deterministic, the same for any order of the demand rows.

    A cell without units has what the first one would earn of walk-ins.

    Raises:
        ValueError: an index or quantity of ``demands`` is outside its range; the message names the column.
    """
    _check(cells, costs, demands)
    owners = np.repeat(np.arange(cells.sku_count), np.diff(cells.first))
    ceilings = np.minimum(costs.unserved, VALUE_MAX)[owners]
    margins = np.minimum(costs.margin, VALUE_MAX)[owners]
    idle = kept_values(margins, cells.walk_ins, np.maximum(cells.units, 1))
    total = idle * demands.scenario_count
    for lanes in _lanes(cells, costs, demands, np.minimum(idle, ceilings)):
        spots = lanes.cells
        shelves = _shelves(cells, margins, ceilings, lanes)
        taken, flows = _optimum(lanes, shelves)
        worth = _greatest_duals(lanes, shelves, taken, flows)
        np.add.at(total, spots, np.maximum(worth, idle[spots]) - idle[spots])
    return (total + demands.scenario_count // 2) // demands.scenario_count


def _check(cells: Cells, costs: Costs, demands: Demands) -> None:
    if demands.scenario_count < 1:
        raise ValueError("scenario_count is below 1: prices need one future at least")
    for name, values, low, high in (
        ("scenarios", demands.scenarios, 0, demands.scenario_count),
        ("skus", demands.skus, 0, cells.sku_count),
        ("regions", demands.regions, 0, len(costs.zones)),
        ("units", demands.units, 1, 1 << 31),
    ):
        if len(values) and (values.min() < low or values.max() >= high):
            raise ValueError(f"{name} of the demand must lie from {low} to {high - 1}")


def _lanes(cells: Cells, costs: Costs, demands: Demands, idle: Integers) -> Iterator[_Lanes]:
    """The lanes that an optimum may use, some whole SKUs at a time. ``idle``: what the last unit of each cell earns in the shop."""
    regions = len(costs.zones)
    keys = (demands.skus * demands.scenario_count + demands.scenarios) * regions + demands.regions
    keys, inverse = np.unique(keys, return_inverse=True)
    wanted = np.bincount(inverse, weights=demands.units, minlength=len(keys)).astype(np.int64)
    futures, region = np.divmod(keys, regions)
    _, inverse = np.unique(futures, return_inverse=True)
    totals = np.bincount(inverse, weights=wanted).astype(np.int64)[inverse]
    skus = futures // demands.scenario_count
    held = np.diff(cells.first)[skus]
    # SKUs at equally many nodes together: the matrix of a chunk has a row for each wanted row and little padding.
    order = np.lexsort((keys, held))
    ends = np.flatnonzero(np.append(np.diff(skus[order]) != 0, True)) + 1
    start = 0
    while start < len(order):
        fits = ends[(ends > start) & ((ends - start) * held[order[ends - 1]] <= CHUNK)]
        end = int(fits[-1]) if len(fits) else int(ends[ends > start][0])
        rows = order[start:end]
        start = end
        lane_rows, lane_cells, lane_costs = _cheapest(cells, costs, (skus[rows], region[rows], totals[rows]), idle)
        spots, at = np.unique(futures[rows][lane_rows] * len(idle) + lane_cells, return_inverse=True)
        spot_totals = np.zeros(len(spots), np.int64)
        spot_totals[at] = totals[rows][lane_rows]
        yield _Lanes(
            lane_rows,
            at,
            lane_costs,
            wanted[rows],
            np.minimum(costs.unserved, VALUE_MAX)[skus[rows]],
            futures[rows],
            spots % len(idle),
            spots // len(idle) % demands.scenario_count,
            spot_totals,
        )


def _cheapest(
    cells: Cells, costs: Costs, wanted: tuple[Integers, Integers, Integers], idle: Integers
) -> tuple[Integers, Integers, Integers]:
    """(row, cell, cost) of the lanes of each row to its cheapest cells, one more of these than the SKU is ``wanted`` (sku, region, total).

    Lanes that cost as much as not serving are left out.
    """
    skus, regions, totals = wanted
    first, held = cells.first[skus], np.diff(cells.first)[skus]
    width = int(held.max(initial=0))
    places = np.arange(width)
    there = np.minimum(first[:, None] + places, max(len(idle) - 1, 0))
    if not width:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64)
    nodes = cells.nodes[there]
    zones = costs.zones[regions[:, None], nodes].astype(np.int64)
    known = (zones > 0) & (zones < costs.rates.shape[1])
    carried = np.where(known, costs.rates[skus[:, None], np.where(known, zones, 0)], -1)
    lane_costs = carried + costs.handling[nodes]
    full = lane_costs + idle[there]
    penalty = np.minimum(costs.unserved, VALUE_MAX)[skus][:, None]
    usable = (places < held[:, None]) & (carried >= 0) & (cells.units[there] > 0) & (full < penalty)
    ranked = np.sort(np.where(usable, full << PLACE_BITS | places, np.iinfo(np.int64).max), axis=1)
    chosen = (ranked < np.iinfo(np.int64).max) & (places <= totals[:, None])
    rows, _ = np.nonzero(chosen)
    place = ranked[chosen] & (1 << PLACE_BITS) - 1
    return rows, there[rows, place], lane_costs[rows, place]


def _shelves(cells: Cells, margins: Integers, ceilings: Integers, lanes: _Lanes) -> _Shelves:
    spots = lanes.cells
    units, walk_ins = cells.units[spots], cells.walk_ins[spots]
    free = np.maximum(units - np.where(margins[spots] > 0, wanted_at_most(walk_ins), 0), 0)
    sizes = np.minimum(units - free, lanes.totals + 1)
    deep = np.minimum(sizes, SHELF_MAX)
    first = np.zeros(len(spots) + 1, np.int64)
    first[1:] = np.cumsum(deep)
    owner = np.repeat(np.arange(len(spots)), deep)
    step = np.arange(first[-1]) - first[owner]
    values = kept_values(margins[spots][owner], walk_ins[owner], (units - free)[owner] - step)
    return _Shelves(first, np.minimum(values, ceilings[spots][owner]), free, sizes)


def _optimum(lanes: _Lanes, shelves: _Shelves) -> tuple[Integers, Integers]:
    """A cheapest flow of the wanted units: (units that leave each spot, units on each lane).

    Where each row may have its cheapest lane without getting in another's way, that is the optimum; the rest is solved.
    """
    flows = np.zeros(len(lanes.rows), np.int64)
    best = np.flatnonzero(np.diff(lanes.rows, prepend=-1))  # the cheapest lane of a row comes first
    flows[best] = lanes.wanted[lanes.rows[best]]
    taken = np.zeros(len(lanes.cells), np.int64)
    np.add.at(taken, lanes.spots, flows)
    crowded = best[(taken > np.maximum(shelves.free, 1))[lanes.spots[best]]]
    contested = np.isin(lanes.futures, lanes.futures[lanes.rows[crowded]])[lanes.rows]
    if len(crowded):
        taken[lanes.spots[contested]] = 0
        flows[contested] = _flow(lanes, shelves, np.flatnonzero(contested))
        np.add.at(taken, lanes.spots[contested], flows[contested])
    return taken, flows


def _flow(lanes: _Lanes, shelves: _Shelves, chosen: Integers) -> Integers:
    """Units on the ``chosen`` lanes in a cheapest flow of their rows."""
    from ortools.graph.python import min_cost_flow

    used_spots, lane_spots = np.unique(lanes.spots[chosen], return_inverse=True)
    used_rows, lane_rows = np.unique(lanes.rows[chosen], return_inverse=True)
    wanted = lanes.wanted[used_rows]
    # Nodes of the graph: the world at 0, spots, rows. A unit is bought from its shelf, through the world, for what it would earn there.
    spots, rows = 1 + np.arange(len(used_spots)), 1 + len(used_spots) + np.arange(len(used_rows))
    first, counts = shelves.first[used_spots], np.diff(shelves.first)[used_spots]
    owners = np.repeat(np.arange(len(used_spots)), counts)
    step = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
    sizes = np.where(step + 1 < counts[owners], 1, shelves.sizes[used_spots][owners] - step)
    solver = min_cost_flow.SimpleMinCostFlow()
    add = solver.add_arcs_with_capacity_and_unit_cost
    add(np.zeros(len(owners), np.int64), spots[owners], sizes, shelves.values[first[owners] + step])
    add(np.zeros(len(spots), np.int64), spots, shelves.free[used_spots], np.zeros(len(spots), np.int64))
    sent = add(spots[lane_spots], rows[lane_rows], wanted[lane_rows], lanes.costs[chosen])
    add(np.zeros(len(rows), np.int64), rows, wanted, lanes.unserved[used_rows])
    solver.set_nodes_supplies(np.append(0, rows), np.append(wanted.sum(), -wanted))
    status = solver.solve()
    if status != solver.OPTIMAL:  # serving nobody is feasible, and every cost is bounded
        raise RuntimeError(f"the flow of the prices ended with {status}")
    found: Integers = solver.flows(sent).astype(np.int64)
    return found


def _greatest_duals(lanes: _Lanes, shelves: _Shelves, taken: Integers, flows: Integers) -> Integers:
    """What it costs to do without one unit of each spot: shortest paths in what the flow left over (Bellman and Ford).

    A missing unit is made up for by the next one of the shelf, or by one that went to a region, which then takes another or goes without.
    """
    depth = taken - shelves.free
    last = shelves.first[1:] - 1
    worth = np.full(len(taken), VALUE_MAX, np.int64)
    left = np.flatnonzero((depth >= 0) & (depth < shelves.sizes))
    worth[left] = shelves.values[np.minimum(shelves.first[left] + depth[left], last[left])]
    worth[depth < 0] = 0
    needs = lanes.unserved.copy()
    used = np.flatnonzero(flows)
    starts = np.flatnonzero(np.diff(lanes.rows, prepend=-1))
    served = lanes.rows[starts]
    while len(starts):
        before = worth.copy()
        another = np.minimum.reduceat(lanes.costs + worth[lanes.spots], starts)
        needs[served] = np.minimum(lanes.unserved[served], another)
        np.minimum.at(worth, lanes.spots[used], needs[lanes.rows[used]] - lanes.costs[used])
        if np.array_equal(before, worth):
            break
    return worth
