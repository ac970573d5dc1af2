"""How long one order takes in the router, called from Python: nodes x lines x share of the nodes that stock a SKU.

`pytest benchmarks/test_routing.py` prints the table. Each round routes another order drawn from the same world (SKUs,
region, units), so that neither caches nor branch prediction learn one order by heart.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np
import pytest

from benchmarks.history import Note
from engine.kernels import columns as c
from engine.kernels.links import routing_work
from engine.kernels.routing import route
from engine.kernels.workspace import routing_answer
from engine.kernels.zones import PADDING, SLOT_BITS

SKUS, REGIONS, ZONES, STEPS, QUESTIONS = 400, 50, 9, 20, 512
MICROS = 1_000_000
CASES = [
    (505, 3, 0.15),
    (505, 8, 0.15),
    (505, 3, 0.60),
    (1_573, 3, 0.15),
    (1_573, 3, 0.60),
    (1_573, 8, 0.60),
    (5_005, 3, 0.15),
    (5_005, 8, 0.15),
    (5_005, 3, 1.0),
    (5_005, 8, 1.0),
    (5_005, 10, 1.0),
]
PRICED = [(505, 3, 0.15), (505, 8, 0.15), (1_573, 3, 0.60), (5_005, 3, 0.15), (5_005, 8, 0.15), (5_005, 8, 1.0)]
"""Cases that also run with a price on every unit, half of them newsvendor prices, and with every other term of the cost."""
SPLIT = [(505, 1, 6), (505, 2, 6), (5_005, 1, 6), (505, 1, 40)]
"""Nodes, lines, units a line: more than any node has of the first line."""
NOTED = {
    (505, 3, 0.15): "",
    (505, 8, 0.15): "",
    (1_573, 3, 0.60): "",
    (1_573, 8, 0.60): "",
    (5_005, 3, 0.15): "",
    (5_005, 8, 0.15): "",
    (5_005, 3, 1.0): "_all",
    (5_005, 8, 1.0): "_all",
    (5_005, 10, 1.0): "_all",
}
"""Cases that go into the history, and how their names end: ``_all`` where every node stocks every SKU."""


def stock(chance: np.random.Generator, nodes: int, share: float) -> tuple[Any, Any, Any]:
    """Every SKU at ``share`` of the nodes, its slots in a row, shuffled within it; one cell in ten is sold out."""
    held = max(2, int(nodes * share))
    cells = np.zeros((c.CELL_ROWS, SKUS * held), np.int64)
    skus = np.zeros((c.SKU_ROWS, SKUS), np.int64)
    index = np.empty(SKUS * held, np.int64)
    cells[c.ATF] = chance.integers(3, 40, SKUS * held) * (chance.random(SKUS * held) < 0.9)
    cells[c.PRICE] = chance.integers(0, 5 * MICROS, SKUS * held)
    cells[c.DEMAND] = chance.integers(0, 20 * 1_024, SKUS * held) * (chance.random(SKUS * held) < 0.5)
    skus[c.SKU_MARGIN] = chance.integers(1, 30, SKUS) * MICROS
    for sku in range(SKUS):
        first = sku * held
        skus[c.INDEX_START, sku], skus[c.INDEX_COUNT, sku] = first, held
        where = np.sort(chance.choice(nodes, held, replace=False))
        index[first : first + held] = where << SLOT_BITS | (first + chance.permutation(held))
    return cells, skus, index


def network(chance: np.random.Generator, count: int) -> Any:
    """Costs of their own for every node, eight zones, a concave rate card of 20 steps."""
    nodes = np.zeros((c.NODE_ROWS, count), np.int64)
    nodes[c.NODE_FLAGS] = c.FLAG_OPEN | c.FLAG_SHIPS
    nodes[c.NODE_CHANNELS] = 0b111
    nodes[c.NODE_PACKAGE_COST] = chance.integers(500, 3_000, count) * 1_000
    nodes[c.NODE_UNIT_COST] = chance.integers(100, 900, count) * 1_000
    nodes[c.NODE_PERFORMANCE] = chance.integers(0, 300, count) * 1_000
    nodes[c.NODE_CAPACITY_PRICE] = chance.integers(0, 900, count) * 1_000
    zones = chance.integers(1, ZONES, (REGIONS, count)).astype(np.uint8)
    rates = np.zeros((1, ZONES, STEPS), np.int64)
    rates[0] = (4 + np.arange(ZONES)[:, None] * 0.9 + np.arange(STEPS)[None, :] * 0.6) * MICROS
    breaks = np.full((1, STEPS), PADDING, np.int64)
    breaks[0] = 454 * (1 + np.arange(STEPS))
    days, transit = np.zeros((1, count), np.int64), np.zeros((1, ZONES), np.int64)
    return nodes, zones, rates, breaks, np.zeros(zones.shape, np.uint16), days, transit


def questions(chance: np.random.Generator, line_count: int) -> list[tuple[Any, Any]]:
    drawn = []
    for _ in range(QUESTIONS):
        order = np.zeros(c.ORDER_WIDTH, np.int64)
        order[c.ORDER_CHANNEL], order[c.ORDER_REGION] = 1, chance.integers(REGIONS)
        order[c.ORDER_NEEDS], order[c.ORDER_SPLIT_PENALTY] = c.FLAG_OPEN | c.FLAG_SHIPS, 2 * MICROS
        order[c.ORDER_CARRIER_WEIGHT] = order[c.ORDER_HANDLING_WEIGHT] = 100
        lines = np.zeros((line_count, c.LINE_WIDTH), np.int64)
        lines[:, c.LINE_SKU] = chance.choice(SKUS, line_count, replace=False)
        lines[:, c.LINE_UNITS] = chance.integers(1, 4, line_count)
        lines[:, c.LINE_GRAMS] = chance.integers(50, 1_500, line_count)
        lines[:, c.LINE_UNSERVED] = -1
        drawn.append((order, lines))
    return drawn


def measure(benchmark: Any, note: Note, name: str, asked: tuple[Any, Any, list[tuple[Any, Any]]]) -> None:
    """Route the questions of ``asked`` (stock, network, questions) in turn; note median and p99 under ``name``, unless it is empty."""
    shelves, paths, drawn = asked
    work, answer = routing_work(paths[0].shape[1]), routing_answer(64)
    following = cycle(drawn)

    def ask() -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (shelves, paths, next(following), work, answer), {}

    benchmark.pedantic(route, setup=ask, rounds=3_000, warmup_rounds=200)
    assert answer[0][c.PLAN_STATUS] == c.STATUS_ROUTED
    assert answer[0][c.PLAN_EXACT] == 1
    p99_us = float(np.percentile(benchmark.stats.stats.data, 99)) * 1e6
    benchmark.extra_info["p99_us"] = round(p99_us, 1)
    if name:
        note(f"{name}_us", benchmark.stats.stats.median * 1e6, "us")
        note(f"{name}_p99_us", p99_us, "us")


@pytest.mark.parametrize(("nodes", "lines", "share"), CASES)
def test_route(benchmark: Any, note: Note, nodes: int, lines: int, share: float) -> None:
    chance = np.random.default_rng(1)
    ending = NOTED.get((nodes, lines, share))
    name = "" if ending is None else f"route_{lines}_lines_{nodes}_nodes{ending}"
    measure(benchmark, note, name, (stock(chance, nodes, share), network(chance, nodes), questions(chance, lines)))


@pytest.mark.parametrize(("nodes", "lines", "share"), PRICED)
def test_route_by_price(benchmark: Any, note: Note, nodes: int, lines: int, share: float) -> None:
    chance = np.random.default_rng(2)
    drawn = questions(chance, lines)
    for order, _ in drawn:
        order[[c.ORDER_PRICE_WEIGHT, c.ORDER_PERFORMANCE_WEIGHT, c.ORDER_CAPACITY_WEIGHT]] = 100
    name = f"route_by_price_{lines}_lines_{nodes}_nodes_{round(100 * share)}_per_cent"
    measure(benchmark, note, name, (stock(chance, nodes, share), network(chance, nodes), drawn))


@pytest.mark.parametrize(("nodes", "lines", "units"), SPLIT)
def test_route_split_by_units(benchmark: Any, note: Note, nodes: int, lines: int, units: int) -> None:
    """The first line is larger than any node's stock, which is 1 to 3 units."""
    chance = np.random.default_rng(3)
    shelves, drawn = stock(chance, nodes, 0.15), questions(chance, lines)
    shelves[0][c.ATF] = np.minimum(shelves[0][c.ATF], chance.integers(1, 4, shelves[0].shape[1]))
    for order, asked in drawn:
        order[c.ORDER_UNIT_SPLIT] = 1
        asked[0, c.LINE_UNITS] = units
        asked[1:, c.LINE_UNITS] = 1
    measure(
        benchmark,
        note,
        f"route_split_{lines}_lines_{units}_units_{nodes}_nodes",
        (shelves, network(chance, nodes), drawn),
    )
