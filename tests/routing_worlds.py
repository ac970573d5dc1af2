"""Small worlds for the router, written straight into the arrays: stock, network, one question, and what the router
answered."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.kernels import columns as c
from engine.kernels.links import routing_work
from engine.kernels.routing import route
from engine.kernels.workspace import routing_answer
from engine.kernels.zones import PADDING, SLOT_BITS, Network
from tests.routing_terms import Terms

Integers = NDArray[np.int64]

SHIPS = c.FLAG_OPEN | c.FLAG_SHIPS
CHANNEL, REGION, SERVICE = 1, 1, 0


@dataclass(frozen=True)
class World:
    """One routing problem in plain words. ``free`` maps (line, node) to free units; a missing pair has no cell at
    all."""

    free: dict[tuple[int, int], int]
    units: list[int]
    grams: list[int]
    zones: list[int]
    """Zone of each node to the region of the question, 0: no lane."""
    rates: list[list[int]]
    """Micros by zone and weight step, -1: not offered. Row 0 stands for no zone and is never to be read."""
    breaks: list[int]
    package_costs: list[int]
    unit_costs: list[int]
    flags: list[int]
    channels: list[int]
    penalty: int = 0
    unit_split: int = 0
    needs: int = SHIPS
    excluded: list[int] = field(default_factory=list)
    pending: dict[tuple[int, int], int] = field(default_factory=dict)
    terms: Terms = field(default_factory=Terms)

    @property
    def nodes(self) -> int:
        return len(self.zones)

    @property
    def lines(self) -> int:
        return len(self.units)


def world(nodes: int, units: list[int], free: dict[tuple[int, int], int], **changes: Any) -> World:
    """A world with nothing special about it: every node ships, zone 1, one rate step, everything weighs 100 grams."""
    plain = World(
        free=free,
        units=units,
        grams=[100] * len(units),
        zones=[1] * nodes,
        rates=[[0], [500]],
        breaks=[10_000],
        package_costs=[0] * nodes,
        unit_costs=[0] * nodes,
        flags=[SHIPS] * nodes,
        channels=[1 << CHANNEL] * nodes,
    )
    return replace(plain, **changes)


@dataclass(frozen=True)
class Arrays:
    """The same problem as the kernels take it."""

    stock: tuple[Integers, Integers, Integers]
    network: Network
    question: tuple[Integers, Integers]

    @classmethod
    def of(cls, world: World, seed: int = 0) -> Arrays:
        return cls(_stock(world, Random(seed)), _network(world), _question(world))


def _stock(world: World, chance: Random) -> tuple[Integers, Integers, Integers]:
    """SKU of line i is 2i + 1; slots come in random order, as after a day of new cells, and one spare SKU sits in
    between."""
    pairs = sorted(world.free)
    slots = list(range(len(pairs) + 3))
    chance.shuffle(slots)
    cells = np.full((c.CELL_ROWS, len(slots)), -(1 << 40), np.int64)  # a slot that is not ours shows at once
    cells[[c.PENDING, c.PRICE, c.DEMAND]] = 0
    skus = np.zeros((c.SKU_ROWS, 2 * world.lines + 2), np.int64)
    index: list[int] = []
    for line in range(world.lines):
        held = [(node, slots[place]) for place, (row, node) in enumerate(pairs) if row == line]
        index += [-1]  # between two chunks lies room for cells to come
        skus[c.INDEX_START, 2 * line + 1] = len(index)
        skus[c.INDEX_COUNT, 2 * line + 1] = len(held)
        skus[c.SKU_MARGIN, 2 * line + 1] = world.terms.margins.get(line, 0)
        for node, slot in held:
            pending = world.pending.get((line, node), 0)
            cells[c.ATF, slot] = world.free[line, node] + pending
            cells[c.PENDING, slot] = pending
            cells[c.PRICE, slot] = world.terms.prices.get((line, node), 0)
            cells[c.DEMAND, slot] = world.terms.demand.get((line, node), 0)
            cells[c.KEY, slot] = (2 * line + 1) << SLOT_BITS | node
            index.append(node << SLOT_BITS | slot)
    return cells, skus, np.array([*index, -1], np.int64)


def _network(world: World) -> Network:
    nodes = np.zeros((c.NODE_ROWS, world.nodes), np.int64)
    nodes[c.NODE_FLAGS], nodes[c.NODE_CHANNELS] = world.flags, world.channels
    nodes[c.NODE_PACKAGE_COST], nodes[c.NODE_UNIT_COST] = world.package_costs, world.unit_costs
    zones = np.zeros((REGION + 1, world.nodes), np.uint8)
    zones[REGION] = world.zones
    steps = len(world.breaks) + 2
    rates = np.full(
        (SERVICE + 2, len(world.rates), steps), 3, np.int64
    )  # what lies behind the padding must not be read
    rates[SERVICE, :, : len(world.breaks)] = world.rates
    breaks = np.full((SERVICE + 2, steps), PADDING, np.int64)
    breaks[SERVICE, : len(world.breaks)] = world.breaks
    days = np.zeros((SERVICE + 2, world.nodes), np.int64)
    transit = np.zeros(rates.shape[:2], np.int64)
    distances = np.zeros(zones.shape, np.uint16)
    terms = world.terms
    for row, told in (
        (nodes[c.NODE_GROUPS], terms.node_groups), (nodes[c.NODE_PERFORMANCE], terms.performance),
        (nodes[c.NODE_CAPACITY_PRICE], terms.capacity_price), (distances[REGION], terms.distances),
        (days[SERVICE], terms.ship_days), (transit[SERVICE], terms.transit),
    ):  # fmt: skip
        for place, value in told.items():
            row[place] = value
    return nodes, zones, rates, breaks, distances, days, transit


def _question(world: World) -> tuple[Integers, Integers]:
    order = np.zeros(c.ORDER_WIDTH, np.int64)
    order[c.ORDER_CHANNEL], order[c.ORDER_REGION], order[c.ORDER_SERVICE] = CHANNEL, REGION, SERVICE
    order[c.ORDER_NEEDS] = world.needs
    order[c.ORDER_CARRIER_WEIGHT] = order[c.ORDER_HANDLING_WEIGHT] = 100
    order[c.ORDER_SPLIT_PENALTY], order[c.ORDER_UNIT_SPLIT] = world.penalty, world.unit_split
    order[c.ORDER_EXCLUDED_COUNT] = len(world.excluded)
    order[c.ORDER_EXCLUDED : c.ORDER_EXCLUDED + len(world.excluded)] = world.excluded
    terms = world.terms
    for field_, value in (
        (c.ORDER_CARRIER_WEIGHT, terms.carrier_weight), (c.ORDER_HANDLING_WEIGHT, terms.handling_weight),
        (c.ORDER_PRICE_WEIGHT, terms.price_weight), (c.ORDER_PERFORMANCE_WEIGHT, terms.performance_weight),
        (c.ORDER_CAPACITY_WEIGHT, terms.capacity_weight), (c.ORDER_LATE_WEIGHT, terms.late_weight),
        (c.ORDER_PACKAGES_MAX, terms.packages_max), (c.ORDER_GROUPS_ANY, terms.groups_any),
        (c.ORDER_GROUPS_NONE, terms.groups_none), (c.ORDER_DISTANCE_MAX, terms.distance_max),
        (c.ORDER_KEEP_UNITS, terms.keep), (c.ORDER_DUE_DAY, terms.due_day),
        (c.ORDER_LATE_DAYS_MAX, terms.late_days_max), (c.ORDER_LATE_COST, terms.late_cost),
    ):  # fmt: skip
        order[field_] = value
    lines = np.zeros((world.lines, c.LINE_WIDTH), np.int64)
    for line in range(world.lines):
        unserved, together = world.terms.unserved.get(line, -1), world.terms.together.get(line, 0)
        lines[line] = 2 * line + 1, world.units[line], world.grams[line], unserved, together
    return order, lines


@dataclass(frozen=True)
class Plan:
    """What the router answered."""

    status: int
    cost: int
    score: int
    split: int
    exact: int
    legs: list[tuple[int, int, int, int]]
    """(line, node, units, package), as ordered by the router."""
    packages: list[tuple[int, int, int, int, int]]
    """(node, zone, grams, carrier, handling)."""
    extras: list[tuple[int, int, int, int, int]]
    """(price, other, ship day, arrival day, lateness) of each package."""

    def nodes_by_line(self) -> tuple[int, ...]:
        return tuple(node for _, node, _, _ in self.legs)

    def package_masks(self) -> tuple[int, ...]:
        masks = [0] * len(self.packages)
        for line, _, _, package in self.legs:
            masks[package] |= 1 << line
        return tuple(masks)


WORK = routing_work(64)
"""Shared by all tests on purpose: nothing a call leaves behind may show in the next."""


def ask(arrays: Arrays, work: Any = WORK, legs_max: int = 256) -> Plan:
    """Route, from an answer full of rubbish."""
    answer = routing_answer(legs_max)
    for array in answer:
        array.fill(-77)
    status = route(arrays.stock, arrays.network, arrays.question, work, answer)
    plan, legs, packages = answer
    assert status == plan[c.PLAN_STATUS]
    keys = arrays.stock[0][c.KEY]
    return Plan(
        status=int(status),
        cost=int(plan[c.PLAN_COST]),
        score=int(plan[c.PLAN_SCORE]),
        split=int(plan[c.PLAN_SPLIT]),
        exact=int(plan[c.PLAN_EXACT]),
        legs=[
            (int(leg[c.LEG_LINE]), _node(keys, leg), int(leg[c.LEG_UNITS]), int(leg[c.LEG_PACKAGE]))
            for leg in legs[: plan[c.PLAN_LEGS]]
        ],
        packages=[_package(package) for package in packages[: plan[c.PLAN_PACKAGES]]],
        extras=[_extras(package) for package in packages[: plan[c.PLAN_PACKAGES]]],
    )


def _package(package: Integers) -> tuple[int, int, int, int, int]:
    node, zone, grams, carried, handling = (int(value) for value in package[: c.PACKAGE_HANDLING + 1])
    return node, zone, grams, carried, handling


def _extras(package: Integers) -> tuple[int, int, int, int, int]:
    price, other, ship_day, arrival_day, late = (int(value) for value in package[c.PACKAGE_PRICE : c.PACKAGE_WIDTH])
    return price, other, ship_day, arrival_day, late


def _node(keys: Integers, leg: Integers) -> int:
    key = int(keys[leg[c.LEG_SLOT]])
    assert key >> SLOT_BITS == 2 * leg[c.LEG_LINE] + 1, "the slot of another SKU"
    return key & ((1 << SLOT_BITS) - 1)


def random_world(chance: Random, *, nodes_max: int, lines_max: int, fair_rates: bool = False) -> World:
    """A world drawn from many awkward kinds at once.

    ``fair_rates``: sending two packages from one node never costs less than sending one, as with any real rate card.
    """
    nodes, lines = chance.randint(1, nodes_max), chance.randint(1, lines_max)
    money = chance.choice([(0, 0), (0, 1), (0, 3), (1, 1_000), (100_000, 9_000_000)])
    density = chance.choice([0.3, 0.6, 1.0])
    units = [chance.choice([1, 1, 2, 3, 7]) for _ in range(lines)]
    free = {
        (line, node): chance.choice([-2, 0, 1, 2, 3, 8, 30])
        for line in range(lines)
        for node in range(nodes)
        if chance.random() < density
    }
    if density == 1.0 and chance.random() < 0.5:
        free = dict.fromkeys(free, 50)
    zone_count = chance.randint(1, 4)
    trouble = chance.random() < 0.3
    flags = [SHIPS | c.FLAG_PICKUP] * nodes
    channels = [chance.choice([1 << CHANNEL, 3 << CHANNEL])] * nodes
    zones = [chance.randint(0 if trouble else 1, zone_count) for _ in range(nodes)]
    if trouble:
        flags = [chance.choice([SHIPS, SHIPS, c.FLAG_OPEN, c.FLAG_SHIPS, 0]) for _ in range(nodes)]
        channels = [chance.choice([1 << CHANNEL, 3 << CHANNEL, 1, 0]) for _ in range(nodes)]
    rates, breaks = _rates(chance, zone_count, money, fair=fair_rates)
    same = chance.random() < 0.3
    excluded = chance.sample(range(nodes), min(nodes, chance.choice([0, 0, 1, 3])))
    usable = [node for node in range(nodes) if flags[node] & SHIPS == SHIPS and zones[node] and node not in excluded]
    if usable and chance.random() < 0.85:  # most worlds shall have an answer
        for line in range(lines):
            free[line, chance.choice(usable)] = units[line] + chance.choice([0, 0, 5])
    return World(
        free=free,
        units=units,
        grams=[chance.choice([0, 1, 100, 333, 500, 1_000, 2_600]) for _ in range(lines)],
        zones=zones,
        rates=rates,
        breaks=breaks,
        package_costs=_drawn(chance, money, nodes, same=same),
        unit_costs=_drawn(chance, money, nodes, same=same),
        flags=flags,
        channels=channels,
        penalty=chance.randint(*money),
        excluded=excluded,
        pending={pair: chance.choice([0, 0, 1, 5]) for pair in free},
    )


def _drawn(chance: Random, money: tuple[int, int], count: int, *, same: bool) -> list[int]:
    return [chance.randint(*money)] * count if same else [chance.randint(*money) for _ in range(count)]


def _rates(chance: Random, zones: int, money: tuple[int, int], *, fair: bool) -> tuple[list[list[int]], list[int]]:
    if fair:
        steps, width = chance.randint(1, 5), chance.choice([100, 500, 1_000])
        rates = [[0] * steps]
        for _ in range(zones):
            base, slope = chance.randint(*money), chance.randint(*money)
            rates.append([base + slope * (step + 1) for step in range(steps)])
        return rates, [width * (step + 1) for step in range(steps)]
    breaks = sorted(chance.sample([1, 100, 500, 700, 1_000, 2_000, 5_000], chance.randint(1, 4)))
    rates = [[0] * len(breaks)]
    for _ in range(zones):
        rates.append([chance.choice([-1, chance.randint(*money), chance.randint(*money)]) for _ in breaks])
    return rates, breaks
