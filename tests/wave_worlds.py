"""Small worlds of many orders in plain words, and the exact program over every plan that there is: the judge of waves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import exp, isqrt
from random import Random

import numpy as np
from ortools.linear_solver import pywraplp

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, Network
from engine.planning.problem import Orders, Problem

REFUSED = 1_000_000
"""Micros of an order that is not served though it must be, in these worlds."""
STEP_GRAMS, STEPS = 500, 20


@dataclass(frozen=True)
class Line:
    """``unserved``: micros for leaving it out; below 0: it must be served."""

    sku: int
    units: int
    unserved: int


@dataclass(frozen=True)
class Order:
    region: int
    lines: tuple[Line, ...]
    may_split: bool
    penalty: int
    price_weight: int


@dataclass(frozen=True)
class Plan:
    """``taken[sku, node]`` units, at this score."""

    score: int
    taken: dict[tuple[int, int], int]


@dataclass(frozen=True)
class WaveWorld:
    """``free[sku, node]`` units; ``rates[zone]`` micros of the first weight step and of each further one."""

    free: dict[tuple[int, int], int]
    prices: dict[tuple[int, int], int]
    demand: dict[tuple[int, int], int]
    margins: list[int]
    grams: list[int]
    zones: list[list[int]]
    """By region and node; 0: no lane."""
    rates: list[tuple[int, int]]
    package_costs: list[int]
    unit_costs: list[int]
    keep: int
    orders: list[Order]

    @cached_property
    def worth(self) -> dict[tuple[int, int], int]:
        """Micros of the next unit of each cell: its price, or the margin times the chance that walk-ins want all there are."""
        return {
            cell: max(
                self.prices[cell],
                self.margins[cell[0]] * chance_of(isqrt(self.demand[cell]) ** 2 / 1024, self.free[cell]) // 65_536,
            )
            for cell in self.free
        }

    def capacity(self, cell: tuple[int, int]) -> int:
        return max(self.free.get(cell, 0) - self.keep, 0)

    def plan(self, order: Order, taken: dict[tuple[int, int], int]) -> Plan:
        """What it costs to serve ``order`` with these units: one package a node; lines without units stay unserved."""
        nodes = sorted({node for _, node in taken})
        score = order.penalty * max(len(nodes) - 1, 0)
        for node in nodes:
            held = {sku: units for (sku, other), units in taken.items() if other == node}
            weight = sum(self.grams[sku] * units for sku, units in held.items())
            first, further = self.rates[self.zones[order.region][node]]
            score += first + further * (max(-(-weight // STEP_GRAMS), 1) - 1)
            score += self.package_costs[node] + self.unit_costs[node] * sum(held.values())
        for cell, units in taken.items():
            score += self.worth[cell] * order.price_weight // 100 * units
        served = {sku for sku, _ in taken}
        score += sum(line.unserved for line in order.lines if line.sku not in served)
        return Plan(score, taken)

    def plans(self, order: Order) -> list[Plan]:
        """Every plan of one order on the whole stock, and that of not serving it."""
        refused = any(line.unserved < 0 for line in order.lines)
        found = [Plan(REFUSED if refused else sum(line.unserved for line in order.lines), {})]
        nodes = [node for node, zone in enumerate(self.zones[order.region]) if zone > 0]
        choices = [self._choices(order, line, nodes) for line in order.lines]
        every = ({cell: units for part in parts for cell, units in part.items()} for parts in product(*choices))
        return found + [self.plan(order, taken) for taken in every if taken]

    def _choices(self, order: Order, line: Line, nodes: list[int]) -> list[dict[tuple[int, int], int]]:
        """Ways to serve one line; {}: not at all."""
        ways: list[dict[tuple[int, int], int]] = [] if line.unserved < 0 else [{}]
        every = product(*(range(min(line.units, self.capacity((line.sku, node))) + 1) for node in nodes))
        whole = [amounts for amounts in every if sum(amounts) == line.units]
        return ways + [
            {(line.sku, node): units for node, units in zip(nodes, amounts, strict=True) if units}
            for amounts in whole
            if order.may_split or max(amounts) == line.units
        ]

    def optimum(self) -> int:
        """The least score of all orders together, by an integer program over every plan."""
        solver = pywraplp.Solver.CreateSolver("SCIP")
        used: dict[tuple[int, int], list[pywraplp.LinearExpr]] = {}
        terms = []
        for order in self.orders:
            plans = self.plans(order)
            picks = [solver.BoolVar("") for _ in plans]
            solver.Add(sum(picks) == 1)
            for pick, plan in zip(picks, plans, strict=True):
                terms.append(plan.score * pick)
                for cell, units in plan.taken.items():
                    used.setdefault(cell, []).append(units * pick)
        for cell, takes in used.items():
            solver.Add(sum(takes) <= self.capacity(cell))
        solver.Minimize(sum(terms))
        parameters = pywraplp.MPSolverParameters()
        parameters.SetDoubleParam(pywraplp.MPSolverParameters.RELATIVE_MIP_GAP, 0.0)
        assert solver.Solve(parameters) == pywraplp.Solver.OPTIMAL
        return round(solver.Objective().Value())


def chance_of(mean: float, units: int) -> int:
    """P(a Poisson demand of this mean is at least ``units``), in 1/65,536, as the tables of prices hold it."""
    term, below = exp(-mean), 0.0
    for fewer in range(units):
        below += term
        term *= mean / (fewer + 1)
    return round((1.0 - below if units > 0 else 1.0) * 65_536)


def random_world(seed: int) -> WaveWorld:
    """A few nodes and SKUs, stock for most of what is wanted, orders that get in each other's way."""
    chance = Random(seed)
    nodes, skus, regions = chance.randint(2, 4), chance.randint(1, 4), chance.randint(1, 3)
    cells = [(sku, node) for sku in range(skus) for node in range(nodes) if chance.random() < 0.8] or [(0, 0)]
    priced = chance.random() < 0.5
    optional, may_split = chance.random() < 0.5, chance.random() < 0.5

    def line(sku: int) -> Line:
        return Line(sku, chance.choice([1, 1, 2, 3]), chance.randint(20_000, 60_000) if optional else -1)

    def order() -> Order:
        wanted = chance.sample(range(skus), chance.randint(1, min(skus, 3)))
        weight = chance.choice([100, 100, 0, 37])
        return Order(chance.randrange(regions), tuple(map(line, wanted)), may_split, chance.randint(0, 2_000), weight)

    return WaveWorld(
        free={cell: chance.randint(0, 4) for cell in cells},
        prices={cell: chance.randint(0, 9_000) if priced else 0 for cell in cells},
        demand={cell: chance.randint(0, 3_000) if priced else 0 for cell in cells},
        margins=[chance.randint(0, 20_000) for _ in range(skus)],
        grams=[chance.randint(50, 900) for _ in range(skus)],
        zones=[[chance.choice([0, 1, 1, 2, 3]) for _ in range(nodes)] for _ in range(regions)],
        rates=[(0, 0), *((4_000 + 2_500 * zone + chance.randint(0, 500), 300 * zone) for zone in range(3))],
        package_costs=[chance.randint(0, 4_000) for _ in range(nodes)],
        unit_costs=[chance.randint(0, 900) for _ in range(nodes)],
        keep=chance.choice([0, 0, 1]),
        orders=[order() for _ in range(chance.randint(1, 7))],
    )


def problem_of_world(world: WaveWorld, seed: int) -> Problem:
    """The world as planning takes it; slots lie in random order."""
    slots = list(range(len(world.free) + 2))
    Random(seed).shuffle(slots)
    cells = np.zeros((c.CELL_ROWS, len(slots)), np.int64)
    skus = np.zeros((c.SKU_ROWS, len(world.grams)), np.int64)
    skus[c.SKU_MARGIN] = world.margins
    index = []
    for place, (sku, node) in enumerate(sorted(world.free)):
        slot, cell = slots[place], (sku, node)
        cells[c.ATF, slot], cells[c.PRICE, slot] = world.free[cell], world.prices[cell]
        cells[c.DEMAND, slot], cells[c.KEY, slot] = world.demand[cell], sku << SLOT_BITS | node
        skus[c.INDEX_COUNT, sku] += 1
        index.append(node << SLOT_BITS | slot)
    ends = np.cumsum(skus[c.INDEX_COUNT])
    skus[c.INDEX_START] = ends - skus[c.INDEX_COUNT]
    return Problem((cells, skus, np.array(index, np.int64)), _network(world), _orders(world))


def _network(world: WaveWorld) -> Network:
    nodes = np.zeros((c.NODE_ROWS, len(world.package_costs)), np.int64)
    nodes[c.NODE_FLAGS], nodes[c.NODE_CHANNELS] = c.FLAG_OPEN | c.FLAG_SHIPS, 1
    nodes[c.NODE_PACKAGE_COST], nodes[c.NODE_UNIT_COST] = world.package_costs, world.unit_costs
    zones = np.array(world.zones, np.uint8)
    rates = np.array([[[first + more * step for step in range(STEPS)] for first, more in world.rates]], np.int64)
    breaks = np.array([[STEP_GRAMS * (step + 1) for step in range(STEPS)]], np.int64)
    days, transit = np.zeros((1, nodes.shape[1]), np.int64), np.zeros((1, len(world.rates)), np.int64)
    return nodes, zones, rates, breaks, np.zeros(zones.shape, np.uint16), days, transit


def _orders(world: WaveWorld) -> Orders:
    asked = np.zeros((len(world.orders), c.ORDER_WIDTH), np.int64)
    asked[:, c.ORDER_NEEDS] = c.FLAG_OPEN | c.FLAG_SHIPS
    asked[:, [c.ORDER_CARRIER_WEIGHT, c.ORDER_HANDLING_WEIGHT]] = 100
    asked[:, c.ORDER_KEEP_UNITS] = world.keep
    rows = []
    for place, order in enumerate(world.orders):
        asked[place, c.ORDER_REGION], asked[place, c.ORDER_SPLIT_PENALTY] = order.region, order.penalty
        asked[place, c.ORDER_UNIT_SPLIT] = order.may_split
        asked[place, c.ORDER_PRICE_WEIGHT] = order.price_weight
        rows += [[line.sku, line.units, world.grams[line.sku], line.unserved, 0] for line in order.lines]
    first = np.cumsum([0, *(len(order.lines) for order in world.orders)])
    return Orders(asked, np.array(rows, np.int64).reshape(-1, c.LINE_WIDTH), first.astype(np.int64))
