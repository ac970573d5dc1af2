"""How close to the best a wave comes in the time it is given: 1,000, 5,000 and 10,000 orders over 505 nodes.

A wave ends when the gap that is aimed at is proved, or when its time is up. The OR-Tools libraries are loaded before the clock starts.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.history import Note
from engine.kernels import columns as c
from engine.kernels.zones import PADDING, SLOT_BITS, Network, Stock
from engine.planning.problem import Orders, Problem
from engine.planning.wave import Effort, plan_wave

NODES, WAREHOUSES, SKUS, REGIONS, TOWNS = 505, 5, 10_000, 400, 40
ZONE_MILES = [50, 150, 300, 600, 1_000, 1_400, 1_800]
STEPS = 20
MICROS = 1_000_000
UNSERVED = 20 * MICROS
WAVES = [(1_000, 1.0, 0.002), (5_000, 5.0, 0.001), (10_000, 30.0, 0.0015)]
"""Orders, seconds, and the gap aimed at."""

Places = NDArray[np.float64]


def places(chance: np.random.Generator) -> tuple[Places, Places]:
    """Miles east and north of nodes and regions: warehouses anywhere, stores and regions around towns."""
    towns = chance.random((TOWNS, 2)) * [2_500, 1_400]
    stores = towns[chance.integers(0, TOWNS, NODES - WAREHOUSES)] + chance.normal(0, 50, (NODES - WAREHOUSES, 2))
    nodes = np.vstack([chance.random((WAREHOUSES, 2)) * [2_500, 1_400], stores])
    return nodes, towns[chance.integers(0, TOWNS, REGIONS)] + chance.normal(0, 75, (REGIONS, 2))


def network(chance: np.random.Generator) -> Network:
    """Zones by distance, a rate card of 20 pounds, stores that handle dearer than warehouses."""
    where, regions = places(chance)
    miles = np.sqrt(((regions[:, None, :] - where[None]) ** 2).sum(-1))
    zones = (np.searchsorted(ZONE_MILES, miles) + 1).astype(np.uint8)
    is_store = np.arange(NODES) >= WAREHOUSES
    nodes = np.zeros((c.NODE_ROWS, NODES), np.int64)
    nodes[c.NODE_FLAGS], nodes[c.NODE_CHANNELS] = c.FLAG_OPEN | c.FLAG_SHIPS, 1
    nodes[c.NODE_PACKAGE_COST] = np.where(is_store, chance.integers(1_000, 2_000, NODES), 800) * 1_000
    nodes[c.NODE_UNIT_COST] = np.where(is_store, chance.integers(300, 800, NODES), 200) * 1_000
    zone, step = np.arange(9)[:, None], np.arange(STEPS)[None]
    rates = ((4.2 + zone * 0.55 + step * (0.25 + 0.09 * zone)) * MICROS).astype(np.int64)[None]
    breaks = np.full((1, STEPS), PADDING, np.int64)
    breaks[0] = 454 * (1 + np.arange(STEPS))
    days, transit = np.zeros((1, NODES), np.int64), np.zeros((1, 9), np.int64)
    return nodes, zones, rates, breaks, np.zeros(zones.shape, np.uint16), days, transit


def stock(chance: np.random.Generator, wanted: Places) -> Stock:
    """``wanted``: units of each SKU that 10,000 orders want. Stores that carry a SKU, most of the popular ones and one in seven of the
    others, have a unit each and share half of that; three warehouses of five have three each and share the rest.
    """
    directory = np.zeros((c.SKU_ROWS, len(wanted)), np.int64)
    index, units, used = [], [], 0
    for sku, expected in enumerate(wanted):
        holds = chance.random(NODES) < 0.15 + 0.45 * min(1, expected / 30)
        holds[:WAREHOUSES] = chance.random(WAREHOUSES) < 0.6
        nodes = np.flatnonzero(holds)
        is_store = nodes >= WAREHOUSES
        share = np.where(is_store, expected / 2 / max(is_store.sum(), 1), expected / 10)
        units.append(np.where(is_store, 1, 3) + chance.poisson(share))
        directory[c.INDEX_START, sku], directory[c.INDEX_COUNT, sku] = used, len(nodes)
        index.append(nodes << SLOT_BITS | (used + np.arange(len(nodes))))
        used += len(nodes)
    cells = np.zeros((c.CELL_ROWS, used), np.int64)
    cells[c.ATF] = np.concatenate(units)
    return cells, directory, np.concatenate(index)


def wave_world(count: int) -> Problem:
    """``count`` orders of one to six lines of popular and less popular SKUs; a line may stay unserved, at a penalty."""
    chance = np.random.default_rng(1)
    paths = network(chance)
    popularity = chance.permutation(1 / (np.arange(SKUS) + 10.0) ** 0.8)
    popularity /= popularity.sum()
    grams = chance.integers(80, 2_500, SKUS)
    sizes = chance.choice([1, 2, 3, 4, 5, 6], count, p=[0.45, 0.25, 0.14, 0.08, 0.05, 0.03])
    lines = np.zeros((sizes.sum(), c.LINE_WIDTH), np.int64)
    wanted = np.concatenate([chance.choice(SKUS, size, replace=False, p=popularity) for size in sizes])
    known, lines[:, c.LINE_SKU] = np.unique(wanted, return_inverse=True)
    lines[:, c.LINE_UNITS] = chance.choice([1, 2, 3], len(lines), p=[0.8, 0.15, 0.05])
    lines[:, c.LINE_GRAMS], lines[:, c.LINE_UNSERVED] = grams[wanted], UNSERVED
    asked = np.zeros((count, c.ORDER_WIDTH), np.int64)
    asked[:, c.ORDER_REGION], asked[:, c.ORDER_NEEDS] = chance.integers(0, REGIONS, count), c.FLAG_OPEN | c.FLAG_SHIPS
    asked[:, c.ORDER_SPLIT_PENALTY] = MICROS
    asked[:, [c.ORDER_CARRIER_WEIGHT, c.ORDER_HANDLING_WEIGHT, c.ORDER_PRICE_WEIGHT]] = 100
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Problem(stock(chance, popularity[known] * 10_000 * 2.2 * 1.25), paths, Orders(asked, lines, first))


@pytest.mark.parametrize(("count", "seconds", "gap"), WAVES)
def test_wave(note: Note, scale: float, count: int, seconds: float, gap: float) -> None:
    plan_wave(wave_world(20), 1.0, effort=Effort(gap=0.0))
    wave = plan_wave(wave_world(int(count * scale)), seconds, effort=Effort(gap=gap))
    assert wave.bound <= wave.score <= wave.sequential_score
    note(f"wave_{count}_gap", 100 * wave.gap, "%")
    note(f"wave_{count}_s", wave.seconds, "s")
    note(f"wave_{count}_saving_percent", 100 * (1 - wave.score / wave.sequential_score), "%")
