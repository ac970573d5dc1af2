"""Streams of orders and walk-ins against finite stock, drawn from a seed: what the policies are compared on.

Five warehouses and 500 stores stand at real cities of the USA, orders come from its three-digit ZIP areas by population. An order wants one
unit of one SKU. A walk-in takes a unit off the shelf of his store, or leaves without. Nothing is delivered while a stream runs. The
families differ in how much stock there is for the demand, and in how many SKUs share it.
"""

from __future__ import annotations

from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.demo.places import band_metres, cities, regions
from engine.demo.rates import GRAMS_PER_OUNCE, STEP_OUNCES, rate_cards
from engine.planning.prices import Costs
from engine.pool.network import distance_metres

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]

MICROS: Final = 1_000_000
WAREHOUSES: Final = 5
STORES: Final = 500
WAREHOUSE_HANDLING: Final = 900_000
STORE_HANDLING: Final = 2_200_000
"""Micros a unit: people who pack among customers take longer."""
STORE_SHARE: Final = 0.03
"""Of the stores, how many stock a SKU on average; every warehouse may."""
GOODWILL: Final = 15 * MICROS
"""What an order that cannot be sent costs beside its margin: more than any way to send it, so that no policy gains by refusing."""


class Family(NamedTuple):
    """Sizes. ``stock`` is units for each that is wanted on average."""

    name: str
    stock: float
    skus: int = 3_000
    orders: int = 6_000
    walk_ins: int = 18_000

    def scaled(self, scale: float) -> Family:
        """With as much demand a SKU, and fewer SKUs."""
        skus, orders, walk_ins = (max(round(scale * count), 1) for count in (self.skus, self.orders, self.walk_ins))
        return self._replace(skus=skus, orders=orders, walk_ins=walk_ins)


FAMILIES: Final = (
    Family("scarce", 0.8),
    Family("balanced", 1.1),
    Family("abundant", 1.6),
    Family("fast_balanced", 1.1, skus=300),
)
"""Orders want one SKU each, so that SKUs do not meet: their number is the size of the sample, and demand a SKU is the difficulty."""


class Stream(NamedTuple):
    """One drawn world and all that happens in it, in order of time. The cells of SKU i are ``first[i] : first[i + 1]``."""

    first: Integers
    nodes: Integers
    """int64[cells]"""
    units: Integers
    """int64[cells]: at the beginning"""
    costs: Costs
    grams: Integers
    """int64[skus]"""
    places: Floats
    """float64[2, nodes]: latitude and longitude"""
    order_rates: Floats
    """float64[skus]: orders on average over the whole stream"""
    walk_in_rates: Floats
    """float64[cells]"""
    region_shares: Floats
    times: Floats
    """float64[events], from 0 to 1"""
    cells: Integers
    """int64[events]: the cell that a walk-in wants, -1 for an order"""
    skus: Integers
    regions: Integers
    """int64[events]: where an order goes"""


def drawn(family: Family, seed: int) -> Stream:
    """The stream of a family and seed; the same numbers whenever it is drawn."""
    chance = np.random.default_rng([seed, family.skus, round(family.stock * 100)])
    sizes, places, handling = _places(chance)
    falling = np.power(chance.permutation(family.skus) + 12.0, -0.95).astype(np.float64)
    popularity: Floats = falling / falling.sum()
    first, nodes = _assortment(chance, popularity, len(handling))
    owners = np.repeat(np.arange(family.skus), np.diff(first))
    weights: Floats = popularity[owners] * np.where(nodes < WAREHOUSES, 0.0, sizes[nodes])
    walk_in_rates: Floats = family.walk_ins * weights / weights.sum()
    order_rates: Floats = family.orders * popularity
    units = _stock(chance, family, (owners, nodes), (order_rates, walk_in_rates))
    areas = regions()
    shares: Floats = np.maximum(areas.populations, 1_000.0)
    prices = np.exp(chance.normal(np.log(19.0), 0.75, family.skus)).clip(2, 300)
    margin = np.rint(0.4 * prices * MICROS).astype(np.int64)
    grams, rates = _rates(
        np.clip(420.0 * (prices / 19.0) ** 0.7 * np.exp(chance.normal(0.0, 0.7, family.skus)), 20, 25_000)
    )
    costs = Costs(_zones(places), rates, handling, margin + GOODWILL, margin)
    ordered, walked = chance.poisson(order_rates), chance.poisson(walk_in_rates)
    cells = np.concatenate([np.full(ordered.sum(), -1), np.repeat(np.arange(len(nodes)), walked)])
    skus = np.concatenate([np.repeat(np.arange(family.skus), ordered), np.repeat(owners, walked)])
    going = chance.choice(len(shares), len(cells), p=shares / shares.sum())
    times = chance.random(len(cells))
    turn = np.argsort(times, kind="stable")
    return Stream(
        first, nodes, units, costs, grams, places, order_rates, walk_in_rates, shares / shares.sum(), times[turn], cells[turn], skus[turn], going[turn]
    )  # fmt: skip


def _places(chance: np.random.Generator) -> tuple[Floats, Floats, Integers]:
    """(size float64[nodes], latitude and longitude float64[2, nodes], handling int64[nodes]); warehouses first, stores near the cities they serve."""
    known = cities()
    population = np.array([city.population for city in known], np.float64)
    at_cities = np.array([(city.latitude, city.longitude) for city in known]).T
    hubs = np.argsort(-population)[[0, 1, 2, 3, 4]]
    share = population**0.75
    at = np.concatenate([hubs, chance.choice(len(known), STORES, p=share / share.sum())])
    scatter = np.where(np.arange(len(at)) < WAREHOUSES, 0.0, 0.4)
    places = at_cities[:, at] + scatter * np.array([chance.normal(size=len(at)) for _ in at_cities])
    handling = np.where(np.arange(len(at)) < WAREHOUSES, WAREHOUSE_HANDLING, STORE_HANDLING).astype(np.int64)
    return chance.lognormal(0.0, 0.5, len(at)), places, handling


def _zones(places: Floats) -> NDArray[np.uint8]:
    """uint8[regions, nodes], as the network of the engine finds them."""
    areas = regions()
    metres = [
        distance_metres(latitude, longitude, areas.latitudes, areas.longitudes)
        for latitude, longitude in places.T.tolist()
    ]
    return (1 + np.searchsorted(band_metres(), np.array(metres).T)).astype(np.uint8)


def _assortment(chance: np.random.Generator, popularity: Floats, node_count: int) -> tuple[Integers, Integers]:
    """(first int64[skus + 1], nodes int64[cells]): stores stock popular SKUs more often, warehouses nine of ten."""
    likely = np.minimum(STORE_SHARE * np.sqrt(popularity / np.sqrt(popularity).mean() ** 2), 0.9)
    held = chance.random((len(popularity), node_count)) < likely[:, None]
    held[:, :WAREHOUSES] = chance.random((len(popularity), WAREHOUSES)) < 0.9
    first = np.zeros(len(popularity) + 1, np.int64)
    first[1:] = np.cumsum(held.sum(1))
    return first, np.nonzero(held)[1].astype(np.int64)


def _stock(
    chance: np.random.Generator, family: Family, cells: tuple[Integers, Integers], rates: tuple[Floats, Floats]
) -> Integers:
    """Stores get their walk-ins and a third of the SKU's orders, warehouses the rest, all with luck, ``family.stock`` times as much."""
    (owners, nodes), (order_rates, walk_in_rates) = cells, rates
    store = nodes >= WAREHOUSES
    stores = np.maximum(np.bincount(owners, store, len(order_rates)), 1)
    houses = np.maximum(np.bincount(owners, ~store, len(order_rates)), 1)
    mean = walk_in_rates + order_rates[owners] * np.where(store, 1 / 3 / stores[owners], 2 / 3 / houses[owners])
    return chance.poisson(family.stock * mean * chance.gamma(4.0, 0.25, len(nodes))).astype(np.int64)


def _rates(grams: Floats) -> tuple[Integers, Integers]:
    """(grams int64[skus], the heaviest of their steps; int64[skus, zones]: the ground service's price of one unit in a package of its own,
    nothing in zone 0).
    """
    card = rate_cards()[0]
    step = np.searchsorted(np.array(STEP_OUNCES) * GRAMS_PER_OUNCE, grams)
    rates = np.hstack([np.full((len(grams), 1), -1), card.price_micros[:, step].T])
    return card.step_grams[step], rates.astype(np.int64)
