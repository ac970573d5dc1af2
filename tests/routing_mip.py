"""Two judges of the router that share no idea with it: a mixed-integer program for any solver, and an exhaustive
search.

Both read the ``World`` in words, never the arrays. The program knows lines, nodes, weight steps and parcels; it has no
notion of subsets. The search tries every partition of the lines and every node for every part.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from ortools.linear_solver import pywraplp

from engine.kernels.zones import NEVER_SHIPS
from tests.routing_terms import arrival_day, lateness, left_out, other, unit_prices, worth
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
        and world.terms.ship_days.get(node, 0) < NEVER_SHIPS
        and not left_out(world.terms, node, world.zones[node])
        and node not in world.excluded
    ]


def free_units(world: World, line: int, node: int) -> int:
    return max(0, world.free.get((line, node), 0) - world.terms.keep)


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
    """What the router minimises: every term of a package at its weight."""
    units = sum(world.units[line] for line in lines)
    grams = sum(world.units[line] * world.grams[line] for line in lines)
    cost = carrier(world, node, grams) * world.terms.carrier_weight // 100 + fixed_cost(world, node)
    cost += unit_cost(world, node) * units
    return cost + sum(worth(world, line, node, world.units[line]) for line in lines if world.terms.price_weight)


def fixed_cost(world: World, node: int) -> int:
    """Weighted micros of a package beside the carrier."""
    handled = world.package_costs[node] * world.terms.handling_weight // 100
    return handled + other(world.terms, node, world.zones[node], 0)


def unit_cost(world: World, node: int) -> int:
    """Weighted micros of a unit beside its price."""
    handled = world.unit_costs[node] * world.terms.handling_weight // 100
    return handled + world.terms.performance.get(node, 0) * world.terms.performance_weight // 100


@dataclass(frozen=True)
class Best:
    """The one plan that the router's rules single out."""

    cost: int
    nodes_by_line: tuple[int, ...]
    package_masks: tuple[int, ...]


def least_score(world: World) -> int | None:
    """The least score of all plans in whole lines: every choice of what stays, every partition of the rest, every node."""
    together, scores = world.terms.together, []
    for stays in range(1 << world.lines):
        kept = [line for line in range(world.lines) if stays >> line & 1]
        if any(line not in world.terms.unserved for line in kept):
            continue
        if any((together[a] == together[b]) and (stays >> a ^ stays >> b) & 1 for a in together for b in together):
            continue
        left = sum(world.terms.unserved[line] for line in kept)
        served = [line for line in range(world.lines) if not stays >> line & 1]
        for parts in _partitions(served):
            torn = any(
                together.get(a) == together.get(b, 0) for part in parts for a in part for b in served if b not in part
            )
            if torn or len(parts) > (world.terms.packages_max or world.lines):
                continue
            costs = [_cheapest(world, part) for part in parts]
            if None not in costs:
                scores.append(left + sum(cost or 0 for cost in costs) + world.penalty * max(len(parts) - 1, 0))
    return min(scores, default=None)


def _cheapest(world: World, lines: list[int]) -> int | None:
    """Cheapest package of these lines."""
    senders = [
        node for node in candidates(world) if all(free_units(world, line, node) >= world.units[line] for line in lines)
    ]
    return min((package_cost(world, node, lines) for node in senders), default=None)


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
        self._hold_together()
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
        self.whole = {}
        self.worth = []
        self.served = {
            line: solver.IntVar(0 if line in world.terms.unserved else 1, 1, "") for line in range(world.lines)
        }
        for line in range(world.lines):
            holders = [sender for sender in self.senders if free_units(world, line, sender[0]) >= world.units[line]]
            for sender in holders:
                self.whole[line, sender] = solver.BoolVar("")
                self.units[line, sender] = world.units[line] * self.whole[line, sender]
                self.worth.append(worth(world, line, sender[0], world.units[line]) * self.whole[line, sender])
            if split_units and not holders:
                for sender in self.senders:
                    self.units[line, sender] = self._units_one_by_one(line, sender[0])

    def _units_one_by_one(self, line: int, node: int) -> pywraplp.LinearExpr:
        """Units of a line that is split, each at its own price: they rise, so the cheapest go first by themselves."""
        terms = self.world.terms
        taken = [
            self.solver.BoolVar("") for _ in range(min(free_units(self.world, line, node), self.world.units[line]))
        ]
        prices = unit_prices(self.world, line, node)
        self.worth += [unit * (price * terms.price_weight / 100) for unit, price in zip(taken, prices, strict=False)]
        return sum(taken) + 0 * self.served[line]

    def _serve_lines(self) -> None:
        """Every unit of every line is sent, or none of it where it may stay."""
        for line in range(self.world.lines):
            sent = [units for (row, _), units in self.units.items() if row == line]
            self.solver.Add(sum(sent) == self.world.units[line] * self.served[line])

    def _hold_together(self) -> None:
        """Lines of one group are in one package, or all stay."""
        together = self.world.terms.together
        for line, group in together.items():
            for other_line in [each for each in together if together[each] == group and each > line]:
                self.solver.Add(self.served[line] == self.served[other_line])
                for sender in self.senders:
                    mine, theirs = self.whole.get((line, sender), 0), self.whole.get((other_line, sender), 0)
                    self.solver.Add(mine + 0 * self.served[line] == theirs)
            if list(together.values()).count(group) > 1:  # what travels with others is never split
                split = [
                    units
                    for (row, sender), units in self.units.items()
                    if row == line and (row, sender) not in self.whole
                ]
                self.solver.Add(sum(split) + 0 * self.served[line] == 0)

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
        some = self.solver.BoolVar("")
        self.solver.Add(some <= sum(self.open.values()))
        limit = world.terms.packages_max or len(self.senders)
        self.solver.Add(sum(self.open.values()) + 0 * some <= limit)
        weight = world.terms.carrier_weight / 100
        terms = [-world.penalty * some, *self.worth]
        terms += [world.terms.unserved.get(line, 0) * (1 - served) for line, served in self.served.items()]
        for sender in self.senders:
            node = sender[0]
            rates = world.rates[world.zones[node]]
            mine = [step for (other, step) in self.steps if other == sender]
            terms += [weight * rates[step] * self.steps[sender, step] for step in mine]
            terms.append(weight * rates[mine[-1]] * self.parcels[sender])
            terms.append((fixed_cost(world, node) + world.penalty) * self.open[sender])
            terms += [unit_cost(world, node) * units for (_, whose), units in self.units.items() if whose == sender]
        self.solver.Minimize(sum(terms))


def audit(world: World, plan: Plan) -> None:
    """Check a plan by its own numbers: every unit served or whole lines left, from stock that is there, by candidates, at the cost and the
    score it states."""
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
    terms = world.terms
    left = [line for line in range(world.lines) if served[line] == 0 and world.units[line] > 0]
    assert all(served[line] == world.units[line] or line in left for line in range(world.lines))
    assert all(line in terms.unserved for line in left)
    _audit_groups(world, plan, left)
    assert [leg[:2] for leg in plan.legs] == sorted(leg[:2] for leg in plan.legs)
    cost = world.penalty * max(len(plan.packages) - 1, 0)
    assert plan.split == cost
    assert len(plan.packages) <= (terms.packages_max or len(plan.packages))
    score = cost + sum(terms.unserved[line] for line in left)
    for place, (node, zone, grams, carried, handling) in enumerate(plan.packages):
        inside = [(line, units) for line, _, units, package in plan.legs if package == place]
        assert inside, "an empty package"
        assert zone == world.zones[node]
        assert grams == sum(world.grams[line] * units for line, units in inside)
        assert carried == carrier(world, node, grams)
        total = sum(units for _, units in inside)
        assert handling == world.package_costs[node] + world.unit_costs[node] * total
        value = sum(worth(world, line, node, units) for line, units in inside) if terms.price_weight else 0
        assert plan.extras[place] == (
            value,
            other(terms, node, zone, total),
            terms.ship_days.get(node, 0),
            arrival_day(terms, node, zone),
            lateness(terms, node, zone),
        )
        cost += carried + handling
        score += (
            carried * terms.carrier_weight // 100 + fixed_cost(world, node) + unit_cost(world, node) * total + value
        )
    assert plan.cost == cost
    assert plan.score == score


def _audit_groups(world: World, plan: Plan, left: list[int]) -> None:
    """What travels together is in one package, or stays together."""
    together = world.terms.together
    for group in {group for group in together.values() if list(together.values()).count(group) > 1}:
        members = [line for line in together if together[line] == group and world.units[line] > 0]
        packages = {package for line, _, _, package in plan.legs if line in members}
        assert len(packages) <= 1
        assert not packages or not set(members) & set(left)
