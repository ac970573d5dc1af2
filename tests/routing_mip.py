"""Two judges of the router that share no idea with it: a mixed-integer program for any solver, and an exhaustive
search.

Both read the ``World`` in words, never the arrays. The program knows lines, nodes, weight steps and parcels; it has no
notion of subsets. The search tries every partition of the lines and every node for every part.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from ortools.linear_solver import pywraplp

from tests.routing_worlds import CHANNEL, Plan, World


def candidates(world: World) -> list[int]:
    """Nodes the question may use."""
    return [
        node
        for node in range(world.nodes)
        if world.flags[node] & world.needs == world.needs
        and world.channels[node] >> CHANNEL & 1
        and world.zones[node] > 0
        and max(world.rates[world.zones[node]]) >= 0
        and node not in world.excluded
    ]


def free_units(world: World, line: int, node: int) -> int:
    return max(0, world.free.get((line, node), 0))


def carrier(world: World, node: int, grams: int) -> int:
    """The rule of the rate card, as one would explain it: full parcels of the heaviest offered break, then the rest."""
    ladder = [(b, r) for b, r in zip(world.breaks, world.rates[world.zones[node]], strict=True) if r >= 0]
    heaviest, top_rate = ladder[-1]
    cost = 0
    while grams > heaviest:
        cost += top_rate
        grams -= heaviest
    return cost + next(rate for bound, rate in ladder if grams <= bound)


def package_cost(world: World, node: int, lines: list[int]) -> int:
    units = sum(world.units[line] for line in lines)
    grams = sum(world.units[line] * world.grams[line] for line in lines)
    return carrier(world, node, grams) + world.package_costs[node] + world.unit_costs[node] * units


@dataclass(frozen=True)
class Best:
    """The one plan that the router's rules single out."""

    cost: int
    nodes_by_line: tuple[int, ...]
    package_masks: tuple[int, ...]


def search(world: World) -> Best | None:
    """Every plan there is, compared by (cost, packages, nodes by line, packages as masks, greater first)."""
    allowed = [
        [node for node in candidates(world) if free_units(world, line, node) >= world.units[line]]
        for line in range(world.lines)
    ]
    best: tuple[int, int, tuple[int, ...], tuple[int, ...]] | None = None
    for parts in _partitions(list(range(world.lines))):
        choices = [sorted(set.intersection(*(set(allowed[line]) for line in part))) for part in parts]
        for nodes in product(*choices):
            cost = sum(package_cost(world, node, part) for node, part in zip(nodes, parts, strict=True))
            where = dict.fromkeys(range(world.lines), -1)
            for node, part in zip(nodes, parts, strict=True):
                where.update(dict.fromkeys(part, node))
            masks = tuple(-sum(1 << line for line in part) for part in parts)
            key = (cost + world.penalty * (len(parts) - 1), len(parts), tuple(where.values()), masks)
            best = key if best is None or key < best else best
    return None if best is None else Best(best[0], best[2], tuple(-mask for mask in best[3]))


def _partitions(items: list[int]) -> list[list[list[int]]]:
    """Every partition, its parts in the order of their first items."""
    if not items:
        return [[]]
    first, rest = items[0], items[1:]
    found = []
    for size in range(1 << len(rest)):
        part = [first] + [item for place, item in enumerate(rest) if size >> place & 1]
        left = [item for item in rest if item not in part]
        found += [[part, *others] for others in _partitions(left)]
    return found


class Program:
    """The mixed-integer program of one order. ``copies``: packages that one node may send."""

    def __init__(self, world: World, copies: int, *, split_units: bool = False) -> None:
        self.world = world
        self.solver = pywraplp.Solver.CreateSolver("SCIP")
        self.senders = [(node, copy) for node in candidates(world) for copy in range(copies)]
        self._variables(split_units=split_units)
        self._serve_lines()
        self._stay_within_stock()
        self._weigh_packages()
        self._cost()

    def solve(self) -> int | None:
        """The least cost, None when there is no plan."""
        parameters = pywraplp.MPSolverParameters()
        parameters.SetDoubleParam(pywraplp.MPSolverParameters.RELATIVE_MIP_GAP, 0.0)
        status = self.solver.Solve(parameters)
        if status == pywraplp.Solver.INFEASIBLE:
            return None
        assert status == pywraplp.Solver.OPTIMAL, status
        return round(self.solver.Objective().Value())

    def _variables(self, *, split_units: bool) -> None:
        """``units[line, sender]`` in whole lines, or in units where a line must be split; ``steps``, ``parcels`` and
        ``open``."""
        world, solver = self.world, self.solver
        self.open = {sender: solver.BoolVar("") for sender in self.senders}
        self.steps = {
            (sender, step): solver.BoolVar("")
            for sender in self.senders
            for step, rate in enumerate(world.rates[world.zones[sender[0]]])
            if rate >= 0
        }
        self.parcels = {sender: solver.IntVar(0, solver.infinity(), "") for sender in self.senders}
        self.units = {}
        for line in range(world.lines):
            holders = [sender for sender in self.senders if free_units(world, line, sender[0]) >= world.units[line]]
            for sender in holders:
                self.units[line, sender] = world.units[line] * solver.BoolVar("")
            if split_units and not holders:
                for sender in self.senders:
                    self.units[line, sender] = solver.IntVar(0, free_units(world, line, sender[0]), "")

    def _serve_lines(self) -> None:
        """Every unit of every line is sent."""
        for line in range(self.world.lines):
            sent = [units for (row, _), units in self.units.items() if row == line]
            self.solver.Add(sum(sent) == self.world.units[line] if sent else self.open_never())

    def open_never(self) -> pywraplp.LinearConstraint:
        """A condition nobody can meet."""
        return self.solver.IntVar(0, 0, "") >= 1

    def _stay_within_stock(self) -> None:
        """The packages of one node together take no more than it has; a package that is not open holds nothing."""
        world = self.world
        for (line, sender), units in self.units.items():
            self.solver.Add(units <= world.units[line] * self.open[sender])
        for line in range(world.lines):
            for node in {node for node, _ in self.senders}:
                taken = [units for (row, (sender, _)), units in self.units.items() if (row, sender) == (line, node)]
                if taken:
                    self.solver.Add(sum(taken) <= free_units(world, line, node))

    def _weigh_packages(self) -> None:
        """An open package pays for full parcels of the heaviest break and one step, whose bounds enclose what
        remains."""
        world = self.world
        for sender in self.senders:
            held = [(row, units) for (row, other), units in self.units.items() if other == sender]
            grams = sum(world.grams[row] * units for row, units in held)
            mine = [step for (other, step) in self.steps if other == sender]
            chosen = [self.steps[sender, step] for step in mine]
            lower, low, high = 0, [], []
            for step in mine:
                low.append(lower * self.steps[sender, step])
                high.append(world.breaks[step] * self.steps[sender, step])
                lower = world.breaks[step] + 1
            full = world.breaks[mine[-1]] * self.parcels[sender]
            self.solver.Add(sum(low) + full <= grams)
            self.solver.Add(grams <= sum(high) + full)
            self.solver.Add(sum(chosen) <= self.open[sender])
            self.solver.Add(sum(chosen) + self.parcels[sender] >= self.open[sender])

    def _cost(self) -> None:
        """Carrier, package and unit costs, and the penalty for every package but one."""
        world = self.world
        terms = [-world.penalty]
        for sender in self.senders:
            node = sender[0]
            rates = world.rates[world.zones[node]]
            mine = [step for (other, step) in self.steps if other == sender]
            terms += [rates[step] * self.steps[sender, step] for step in mine]
            terms.append(rates[mine[-1]] * self.parcels[sender])
            terms.append((world.package_costs[node] + world.penalty) * self.open[sender])
            terms += [world.unit_costs[node] * units for (_, other), units in self.units.items() if other == sender]
        self.solver.Minimize(sum(terms))


def audit(world: World, plan: Plan) -> None:
    """Check a plan by its own numbers: every unit served, from stock that is there, by candidates, at the cost it
    states."""
    served = [0] * world.lines
    allowed = set(candidates(world))
    taken: dict[tuple[int, int], int] = {}
    for line, node, units, package in plan.legs:
        assert units > 0
        assert node in allowed
        assert plan.packages[package][0] == node
        assert (line, node) not in taken, "two legs of one line at one node"
        taken[line, node] = units
        assert units <= free_units(world, line, node)
        served[line] += units
    assert served == world.units
    assert [leg[:2] for leg in plan.legs] == sorted(leg[:2] for leg in plan.legs)
    cost = world.penalty * (len(plan.packages) - 1)
    assert plan.split == cost
    for place, (node, zone, grams, carried, handling) in enumerate(plan.packages):
        inside = [(line, units) for line, _, units, package in plan.legs if package == place]
        assert inside, "an empty package"
        assert zone == world.zones[node]
        assert grams == sum(world.grams[line] * units for line, units in inside)
        assert carried == carrier(world, node, grams)
        assert handling == world.package_costs[node] + world.unit_costs[node] * sum(units for _, units in inside)
        cost += carried + handling
    assert plan.cost == cost
