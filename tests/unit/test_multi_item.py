"""The multi-item benchmark on a drawn network of two cities: its bound bounds, its policies keep the rules, prices help."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from benchmarks.quality.multi_item import PACKAGE_MICROS, PERIODS, Instance, drawn
from benchmarks.quality.multi_item_bound import Program, floor
from benchmarks.quality.multi_item_player import Router, closest, cost_of, played, priced, rounded

CITIES = "\ufeffAlbany,New York,42.65,-73.75,900000\nReno,Nevada,39.53,-119.81,500000\n"
CENTERS = "BOS1,MA,42.36,-71.06\nLAX1,CA,34.05,-118.24\nORD1,IL,41.88,-87.63\n"


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    folder = tmp_path_factory.mktemp("network")
    (folder / "cities_warmup.csv").write_text(CITIES, encoding="utf-8")
    (folder / "fulfillment_centers_warmup.csv").write_text(CENTERS, encoding="utf-8")
    return drawn(folder, 3, large=False)


def test_the_bound_is_proved_by_its_own_prices(instance: Instance) -> None:
    program, demand = Program(instance), instance.chances * PERIODS
    solved = program.solve(np.maximum(instance.stock, 0), demand)
    assert floor(instance, instance.stock, demand, solved.prices) >= solved.value * (1 - 1e-6)
    assert floor(instance, instance.stock, demand, solved.prices * 0) <= solved.value * 1.2
    for kind, share in enumerate(solved.packages):
        assert np.allclose(share.sum(axis=-1), 1), instance.sets[kind]


def test_the_router_finds_the_cheapest_way_of_every_order(instance: Instance) -> None:
    router, chance = Router(instance), np.random.default_rng(5)
    left = np.minimum(np.maximum(instance.stock, 0), chance.integers(0, 2, instance.stock.shape))
    prices = chance.integers(0, 10**7, left.shape)
    router.set_prices(prices)
    for kind, items in enumerate(instance.sets[:15]):
        for city in range(2):
            centers = router.choose(kind, city, left)
            least = min(
                cost_of(instance, city, np.array(way))
                + sum(int(prices[at, to]) for at, to in zip(items, way, strict=True) if to >= 0)
                for way in product(range(-1, 3), repeat=len(items))
                if all(to < 0 or left[at, to] > 0 for at, to in zip(items, way, strict=True))
            )
            paid = sum(int(prices[at, to]) for at, to in zip(items, centers.tolist(), strict=True) if to >= 0)
            assert cost_of(instance, city, centers) + paid == least


def test_prices_help_and_published_policies_keep_the_rules(instance: Instance) -> None:
    program = Program(instance)
    solved = program.solve(np.maximum(instance.stock, 0), instance.chances * PERIODS)
    costs = [
        played(instance, choose)
        for choose in (
            priced(instance, program, 5),
            priced(instance, program, 0),
            rounded(instance, solved.packages, 1, together=True),
            rounded(instance, solved.packages, 1, together=False),
            closest(instance),
        )
    ]
    assert costs[0] < min(costs[1:]), costs
    assert min(costs) > PACKAGE_MICROS * PERIODS / 2
