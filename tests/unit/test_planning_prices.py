"""Prices of the scenario LP against the plainest reading of them: solve the whole world again without the unit."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from itertools import product

import numpy as np
import pytest

from engine.planning.prices import VALUE_MAX, Cells, Costs, Demands, prices
from engine.planning.walk_ins import kept_values

MICROS = 1_000_000


def ints(values: object) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


def tail(mean: float, left: int) -> float:
    """P(Poisson(mean) >= left), term by term."""
    return (
        1 - sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(left))
        if mean
        else float(left <= 0)
    )


def least_cost(units: list[int], keeps: list[list[int]], ways: list[list[int | None]], unserved: int) -> int:
    """The least cost over all assignments of wanted units to nodes; ``keeps[node][k]``: earned in the shop by its unit k + 1."""
    best = math.inf
    for sent in product(range(-1, len(units)), repeat=len(ways)):
        left = [there - sent.count(node) for node, there in enumerate(units)]
        costs = [unserved if node < 0 else ways[row][node] for row, node in enumerate(sent)]
        if min(left, default=0) < 0 or None in costs:
            continue
        kept = sum(keeps[node][k] for node, there in enumerate(left) for k in range(there))
        best = min(best, sum(cost for cost in costs if cost is not None) - kept)
    return int(best)


def world(chance: random.Random) -> tuple[Cells, Costs, Demands]:
    """One to three SKUs at up to four nodes, five regions, one to three futures."""
    skus, nodes, regions, scenarios = chance.randint(1, 3), 4, 5, chance.randint(1, 3)
    held = [sorted(chance.sample(range(nodes), chance.randint(0, 4))) for _ in range(skus)]
    count = sum(map(len, held))
    cells = Cells(
        ints(np.cumsum([0, *map(len, held)])),
        ints([node for each in held for node in each]),
        ints([chance.randint(0, 3) for _ in range(count)]),
        ints([chance.choice([0, 300, 1024, 4000]) for _ in range(count)]),
    )
    costs = Costs(
        np.array([[chance.randint(0, 4) for _ in range(nodes)] for _ in range(regions)], np.uint8),
        ints([[-1, *(chance.choice([-1, 3, 5, 8]) * MICROS for _ in range(3))] for _ in range(skus)]),
        ints([chance.randint(0, 3) * MICROS // 2 for _ in range(nodes)]),
        ints([chance.randint(0, 20) * MICROS for _ in range(skus)]),
        ints([chance.choice([0, 2, 9, 30]) * MICROS for _ in range(skus)]),
    )
    rows = [
        (scenario, sku, chance.randrange(regions), 1)
        for scenario in range(scenarios)
        for sku in range(skus)
        for _ in range(chance.randint(0, 4))
    ]
    columns = [ints(column) for column in zip(*rows, strict=True)] if rows else [ints([])] * 4
    return cells, costs, Demands(scenarios, *columns)


def brute(cells: Cells, costs: Costs, demands: Demands) -> Iterator[tuple[int, float]]:
    """(cell, price) of each cell with units."""
    for sku in range(cells.sku_count):
        own = range(cells.first[sku], cells.first[sku + 1])
        nodes, units = cells.nodes[own], [int(cells.units[cell]) for cell in own]
        margin, unserved = int(costs.margin[sku]), int(costs.unserved[sku])
        keeps = [[int(margin * tail(cells.walk_ins[cell] / 1024, k)) for k in range(1, 4)] for cell in own]
        ways: list[list[list[int | None]]] = [[] for _ in range(demands.scenario_count)]
        for scenario, row_sku, region, wanted in zip(*demands[1:], strict=True):
            if row_sku == sku:
                zones = costs.zones[region, nodes]
                rates = [costs.rates[sku, zone] if 0 < zone < 4 else -1 for zone in zones]
                way = [
                    None if rate < 0 else int(rate + costs.handling[node])
                    for rate, node in zip(rates, nodes, strict=True)
                ]
                ways[scenario] += [way] * wanted
        for place, cell in enumerate(own):
            if units[place]:
                fewer = [*units[:place], units[place] - 1, *units[place + 1 :]]
                losses = [
                    least_cost(fewer, keeps, each, unserved) - least_cost(units, keeps, each, unserved) for each in ways
                ]
                yield cell, sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(60))
def test_a_price_is_what_doing_without_the_unit_costs(seed: int) -> None:
    cells, costs, demands = world(random.Random(seed))
    found = prices(cells, costs, demands)
    for cell, expected in brute(cells, costs, demands):
        assert found[cell] == pytest.approx(expected, abs=3), (
            f"seed {seed}, cell {cell}"
        )  # each kept unit is rounded down


@pytest.mark.parametrize("seed", range(20))
def test_more_demand_never_lowers_a_price_and_more_stock_never_raises_one(seed: int) -> None:
    chance = random.Random(seed)
    cells, costs, demands = world(chance)
    before = prices(cells, costs, demands)
    wanted = Demands(
        demands.scenario_count,
        np.append(demands.scenarios, 0),
        np.append(demands.skus, chance.randrange(cells.sku_count)),
        np.append(demands.regions, chance.randrange(5)),
        np.append(demands.units, 1),
    )
    assert (prices(cells, costs, wanted) >= before - 4).all(), f"seed {seed}"
    stocked = cells._replace(units=cells.units + ints([chance.randint(0, 1) for _ in cells.units]))
    there = cells.units > 0
    assert (prices(stocked, costs, demands)[there] <= before[there] + 4).all(), f"seed {seed}"


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_rows_and_the_size_of_a_chunk_change_nothing(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(seed)
    cells, costs, demands = world(chance)
    before = prices(cells, costs, demands)
    order = ints(chance.sample(range(len(demands.skus)), len(demands.skus)))
    shuffled = demands._replace(
        scenarios=demands.scenarios[order],
        skus=demands.skus[order],
        regions=demands.regions[order],
        units=demands.units[order],
    )
    monkeypatch.setattr("engine.planning.prices.CHUNK", 1)
    assert np.array_equal(prices(cells, costs, shuffled), before), f"seed {seed}"


def test_a_world_without_cells_or_demand() -> None:
    none, zero = ints([]), ints([0])
    costs = Costs(np.ones((1, 1), np.uint8), ints([[-1, 5]]), ints([0]), ints([9]), ints([4 * MICROS]))
    nobody = Demands(2, none, none, none, none)
    assert not len(prices(Cells(ints([0, 0]), none, none, none), costs, nobody))
    assert not len(prices(Cells(ints([0, 0]), none, none, none), costs, Demands(1, zero, zero, zero, ints([1]))))
    kept = prices(Cells(ints([0, 1]), ints([0]), ints([0]), ints([1024])), costs, nobody)
    assert kept == pytest.approx(4 * MICROS * tail(1, 1), abs=1)


def test_absurd_costs_stay_in_range() -> None:
    far = 1 << 62
    costs = Costs(np.ones((1, 1), np.uint8), ints([[-1, 5]]), ints([0]), ints([far]), ints([far]))
    cells = Cells(ints([0, 1]), ints([0]), ints([1 << 40]), ints([1 << 40]))
    found = prices(cells, costs, Demands(1, ints([0]), ints([0]), ints([0]), ints([(1 << 31) - 1])))
    assert 0 <= found[0] <= VALUE_MAX


@pytest.mark.parametrize("column", ["scenarios", "skus", "regions", "units"])
def test_a_demand_outside_its_range_is_refused_by_name(column: str) -> None:
    costs = Costs(np.ones((1, 1), np.uint8), ints([[-1, 5]]), ints([0]), ints([9]), ints([0]))
    cells = Cells(ints([0, 1]), ints([0]), ints([1]), ints([0]))
    columns = {"scenarios": ints([0]), "skus": ints([0]), "regions": ints([0]), "units": ints([1])}
    with pytest.raises(ValueError, match="scenario_count"):
        prices(cells, costs, Demands(0, **columns))
    with pytest.raises(ValueError, match=f"^{column} "):
        prices(cells, costs, Demands(1, **{**columns, column: ints([-1])}))


@pytest.mark.parametrize("mean", [0.01, 0.5, 3.0, 40.0, 120.0])
def test_kept_values_are_the_newsvendors(mean: float) -> None:
    left = ints(range(-1, 170))
    found = kept_values(np.full(171, MICROS, np.int64), np.full(171, round(mean * 1024), np.int64), left)
    exact = [MICROS * tail(round(mean * 1024) / 1024, max(k, 0)) for k in range(-1, 170)]
    assert found == pytest.approx(exact, abs=1.01)


def test_kept_values_of_large_and_of_no_demand() -> None:
    means = ints([1 << 40, 1 << 40, 0, 1024, -5])
    left = ints([1, 1 << 31, 1, 0, 1])
    assert kept_values(np.full(5, 7, np.int64), means, left).tolist() == [7, 0, 0, 7, 0]
