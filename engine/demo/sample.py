"""A scenario from one number: an invented chain in real US cities, and days of orders on it.

About 200 nodes, 2,000 SKUs and 7,000 orders a day. Warehouses hold everything, stores a part of it; stock is shallow on purpose, so that
packages are split, some tills sell what the books no longer have and some shoppers come too late.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from engine.demo.baskets import CHANNELS, Baskets, Keys, in_order, make_orders, place_of_line
from engine.demo.fates import DISPOSITIONS, MARKETPLACE, PICKUP, POS, SHIP, chance, draw_dispositions, draw_fates
from engine.demo.goods import Goods, choose_assortment, make_goods
from engine.demo.places import Regions, cities, distances, regions
from engine.demo.rates import default_policy, distance_chart, rate_cards
from engine.demo.scenario import (
    NS_PER_DAY,
    NS_PER_SECOND,
    Call,
    Node,
    NodeKind,
    Receipt,
    Return,
    ReturnLine,
    Scenario,
    StockColumns,
)

NODES = 200
SKUS = 2_000
ORDERS_A_DAY = 7_000
WAREHOUSE_CITIES = ("Newark, NJ", "Columbus, OH", "Atlanta, GA", "Fort Worth, TX", "Riverside, CA", "Reno, NV")
KIND_SHARES = (0.45, 0.15, 0.25, 0.15)
RETURN_SHARE = 0.05
SHIPS_SHARE = 0.3
EXCLUSIVE_SHARE = 0.12

_NETWORK, _GOODS, _ASSORTMENT, _STOCK, _DAYS = range(5)
_UNITS_SHARES = (0.74, 0.17, 0.04, 0.03, 0.01, 0.01)
_UNITS_A_LINE = 1.43
_LINES_AN_ORDER = 2.05
# Orders by hour of the day, 6 to 22.
_HOURS = np.array([1, 2, 4, 7, 9, 10, 12, 11, 10, 9, 9, 10, 10, 8, 6, 4, 2], dtype=np.float64)
_DELIVERY_NS = 5 * 3_600 * NS_PER_SECOND
_HOUR_NS = 3_600 * NS_PER_SECOND


@dataclass(frozen=True, slots=True)
class _Chain:
    """Everything that days are made from. ``stores`` and ``warehouses`` are node indexes; ``exclusives`` are SKUs
    that no store holds; ``cell_nodes`` and ``cell_skus`` are the node and SKU indexes of each cell,
    ``rates`` the units a day that each is expected to lose.
    """

    seed: int
    nodes: tuple[Node, ...]
    goods: Goods
    regions: Regions
    region_shares: NDArray[np.float64]
    stores: NDArray[np.int32]
    warehouses: NDArray[np.int32]
    exclusives: NDArray[np.int64]
    store_shares: NDArray[np.float64]
    assortments: tuple[NDArray[np.int64], ...]
    nearest_store: NDArray[np.int32]
    cell_nodes: NDArray[np.int32]
    cell_skus: NDArray[np.int32]
    rates: NDArray[np.float64]
    keys: Keys


def sample_scenario(seed: int = 1, *, day_count: int = 1, orders_a_day: int = ORDERS_A_DAY) -> Scenario:
    """The scenario of a seed: ``day_count`` days of about ``orders_a_day`` orders (give or take a tenth)."""
    if day_count < 1 or orders_a_day < 1:
        raise ValueError(f"day_count and orders_a_day must be at least 1, not {day_count} and {orders_a_day}")
    chain = _make_chain(seed, orders_a_day)
    spread = chance(seed, _DAYS).uniform(0.9, 1.1, day_count)
    order_counts = tuple(max(1, round(orders_a_day * float(factor))) for factor in spread)

    def make_opening(row_max: int) -> Iterator[StockColumns]:
        return _opening(chain, row_max)

    def make_day(index: int) -> Sequence[Call]:
        return _day(chain, index, order_counts[index])

    return Scenario(
        name=f"sample, seed {seed}",
        seed=seed,
        currency_code="USD",
        first_day=date(2026, 3, 2),
        nodes=chain.nodes,
        skus=chain.goods.skus,
        channels=CHANNELS,
        policies=(default_policy(),),
        rate_cards=rate_cards(),
        zone_chart=distance_chart(),
        order_counts=order_counts,
        cell_count=len(chain.cell_nodes),
        make_opening=make_opening,
        make_day=make_day,
    )


def _make_nodes(generator: np.random.Generator) -> tuple[Node, ...]:
    nodes: list[Node] = []
    for city in cities()[:NODES]:
        place = f"{city.name}, {city.state}"
        warehouse = place in WAREHOUSE_CITIES
        ships = bool(generator.random() < SHIPS_SHARE) or warehouse
        nodes.append(
            Node(
                node_key=f"{'W' if warehouse else 'S'}{len(nodes) + 1:03d}",
                name=f"{'Warehouse' if warehouse else 'Store'} {place}",
                kind=NodeKind.WAREHOUSE if warehouse else NodeKind.STORE,
                latitude=city.latitude,
                longitude=city.longitude,
                postal_code=city.postal_code,
                ships=ships,
                offers_pickup=not warehouse,
                accepts_returns=True,
                package_cost_micros=600_000 if warehouse else 1_400_000,
                unit_cost_micros=250_000 if warehouse else 600_000,
            )
        )
    return tuple(nodes)


def _make_chain(seed: int, orders_a_day: int) -> _Chain:
    nodes = _make_nodes(chance(seed, _NETWORK))
    goods = make_goods(chance(seed, _GOODS), SKUS)
    places = regions()
    is_store = np.array([node.kind is NodeKind.STORE for node in nodes])
    stores, warehouses = np.nonzero(is_store)[0].astype(np.int32), np.nonzero(~is_store)[0].astype(np.int32)
    population = np.array([city.population for city in cities()[:NODES]], dtype=np.float64)[stores]
    store_shares = population**0.5 / (population**0.5).sum()
    region_shares = places.populations / places.populations.sum()
    latitudes = np.array([node.latitude for node in nodes])
    longitudes = np.array([node.longitude for node in nodes])
    away = distances(places.latitudes, places.longitudes, latitudes, longitudes)

    generator = chance(seed, _ASSORTMENT)
    # The busiest store holds 40 % of the catalog, the quietest 20 %.
    size = 0.2 + 0.2 * np.linspace(1.0, 0.0, len(stores))
    exclusives = np.nonzero(generator.random(SKUS) < EXCLUSIVE_SHARE)[0]
    on_shelves = np.setdiff1d(np.arange(SKUS), exclusives)
    assortments = tuple(
        on_shelves[choose_assortment(generator, goods.popularity[on_shelves], round(share * SKUS))] for share in size
    )

    till_units = orders_a_day * (KIND_SHARES[POS] + KIND_SHARES[PICKUP]) * _LINES_AN_ORDER * _UNITS_A_LINE
    web_units = orders_a_day * (KIND_SHARES[SHIP] + KIND_SHARES[MARKETPLACE]) * _LINES_AN_ORDER * _UNITS_A_LINE
    warehouse_shares = np.bincount(away[:, warehouses].argmin(1), weights=region_shares, minlength=len(warehouses))
    cell_nodes = [np.full(len(skus), node, np.int32) for node, skus in zip(stores, assortments, strict=True)]
    rates = [
        till_units * share * goods.popularity[skus] / goods.popularity[skus].sum()
        for share, skus in zip(store_shares, assortments, strict=True)
    ]
    cell_nodes += [np.full(SKUS, node, np.int32) for node in warehouses]
    rates += [web_units * share * goods.popularity for share in warehouse_shares]
    return _Chain(
        seed=seed,
        nodes=nodes,
        goods=goods,
        regions=places,
        region_shares=region_shares,
        stores=stores,
        warehouses=warehouses,
        exclusives=exclusives,
        store_shares=store_shares,
        assortments=assortments,
        nearest_store=stores[away[:, stores].argmin(1)],
        cell_nodes=np.concatenate(cell_nodes),
        cell_skus=np.concatenate([*assortments, *[np.arange(SKUS)] * len(warehouses)]).astype(np.int32),
        rates=np.concatenate(rates),
        keys=Keys(
            nodes=tuple(node.node_key for node in nodes),
            skus=tuple(sku.sku_key for sku in goods.skus),
            services=tuple(card.service_key for card in rate_cards()),
        ),
    )


def _opening(chain: _Chain, row_max: int) -> Iterator[StockColumns]:
    """A week of a store's expected sales and a few pieces more; less than a day of a warehouse's, and just a day of web exclusives."""
    generator = chance(chain.seed, _STOCK)
    at_store = np.isin(chain.cell_nodes, chain.stores)
    exclusive = np.isin(chain.cell_skus, chain.exclusives)
    days = np.where(at_store, 7.0, np.where(exclusive, 1.2, 0.7))
    units = generator.poisson(days * chain.rates + np.where(at_store, 2.0, 0.1)) + np.where(at_store, 3, 0)
    for begin in range(0, len(units), row_max):
        part = slice(begin, begin + row_max)
        yield StockColumns(
            sku_keys=[chain.keys.skus[sku] for sku in chain.cell_skus[part].tolist()],
            node_keys=[chain.keys.nodes[node] for node in chain.cell_nodes[part].tolist()],
            on_hand_units=units[part].astype(np.int64),
            safety_stock_units=np.zeros(len(units[part]), np.int64),
        )


def _receipts(chain: _Chain, generator: np.random.Generator, day: int) -> Iterator[Receipt]:
    """Every other day a van at each store before it opens; every day a truck at each warehouse late in the morning."""
    units = generator.poisson(np.where(np.isin(chain.cell_nodes, chain.stores), 2.0, 1.0) * chain.rates)
    for node in range(len(chain.nodes)):
        store = chain.nodes[node].kind is NodeKind.STORE
        if store and (node + day) % 2:
            continue
        cells = np.nonzero((chain.cell_nodes == node) & (units > 0))[0]
        at_ns = day * NS_PER_DAY + _DELIVERY_NS + (0 if store else 6 * _HOUR_NS) + node * NS_PER_SECOND
        for begin in range(0, len(cells), 1_000):
            part = cells[begin : begin + 1_000]
            yield Receipt(
                node_key=chain.keys.nodes[node],
                reference=f"delivery-{day:03d}-{chain.keys.nodes[node]}-{begin // 1_000}",
                at_ns=at_ns,
                lines=tuple((chain.keys.skus[chain.cell_skus[cell]], int(units[cell])) for cell in part),
            )


def _day(chain: _Chain, day: int, count: int) -> list[Call]:
    generator = chance(chain.seed, _DAYS, day + 1)
    baskets = _draw_baskets(chain, generator, day, count)
    calls: list[Call] = list(_receipts(chain, generator, day))
    calls.extend(make_orders(baskets, chain.keys, 0, count))
    calls.extend(_returns(chain, generator, baskets, day))
    return in_order(calls)


def _draw_baskets(chain: _Chain, generator: np.random.Generator, day: int, count: int) -> Baskets:
    kinds = generator.choice(4, count, p=KIND_SHARES).astype(np.int8)
    hours = generator.choice(np.arange(6, 6 + len(_HOURS)), count, p=_HOURS / _HOURS.sum())
    in_day = hours * _HOUR_NS + generator.integers(0, _HOUR_NS // NS_PER_SECOND, count) * NS_PER_SECOND
    at_ns = np.sort(day * NS_PER_DAY + in_day)
    at_counter = (kinds == POS) | (kinds == PICKUP)
    store = generator.choice(len(chain.stores), count, p=chain.store_shares)
    region = generator.choice(len(chain.region_shares), count, p=chain.region_shares)
    lines = np.minimum(generator.geometric(0.48, count), 8)
    owner = np.repeat(np.arange(count), lines)
    skus = _draw_skus(chain, generator, np.where(at_counter, store, -1)[owner])
    # A SKU drawn twice for one order is taken once.
    _, first = np.unique(owner * SKUS + skus, return_index=True)
    kept = np.sort(first)
    owner, skus = owner[kept], skus[kept]
    fates = draw_fates(generator, kinds)
    customers = generator.integers(0, 40_000, count)
    room = at_ns + _HOUR_NS < (day + 1) * NS_PER_DAY
    return Baskets(
        kinds=kinds,
        at_ns=at_ns,
        nodes=np.where(at_counter, chain.stores[store], -1).astype(np.int32),
        postal_codes=["" if c else chain.regions.postal_codes[r] for c, r in zip(at_counter, region, strict=True)],
        order_keys=[f"{day:03d}-{number:05d}" for number in range(count)],
        customer_keys=["" if kind == POS else f"c{who:05d}" for kind, who in zip(kinds, customers, strict=True)],
        starts=np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))]),
        line_skus=skus.astype(np.int32),
        line_units=generator.choice(np.arange(1, 1 + len(_UNITS_SHARES)), len(skus), p=_UNITS_SHARES),
        line_prices=chain.goods.price_micros[skus],
        fates=fates,
        returned=room & ~fates.cancels & (generator.random(count) < RETURN_SHARE),
    )


def _draw_skus(chain: _Chain, generator: np.random.Generator, stores: NDArray[np.int64]) -> NDArray[np.int64]:
    """A SKU for each line: from the assortment of its store, or (-1) from the whole catalog."""
    where = generator.random(len(stores))
    skus = np.empty(len(stores), np.int64)
    for store in range(-1, len(chain.stores)):
        lines = np.nonzero(stores == store)[0]
        held = chain.assortments[store] if store >= 0 else np.arange(SKUS)
        bounds = np.cumsum(chain.goods.popularity[held])
        skus[lines] = held[np.searchsorted(bounds, where[lines] * bounds[-1], side="right").clip(0, len(held) - 1)]
    return skus


def _returns(chain: _Chain, generator: np.random.Generator, baskets: Baskets, day: int) -> Iterator[Return]:
    """One line of each returned order comes back before midnight: a day of the demo shows a whole life."""
    region_of = {postal_code: index for index, postal_code in enumerate(chain.regions.postal_codes)}
    rows = np.nonzero(baskets.returned)[0]
    earliest = baskets.at_ns[rows] + _HOUR_NS
    at_ns = generator.integers(earliest, (day + 1) * NS_PER_DAY)
    pick, keep, by_parcel = (generator.random(len(rows)) for _ in range(3))
    dispositions = draw_dispositions(generator, len(rows))
    for position, row in enumerate(rows.tolist()):
        begin, end = int(baskets.starts[row]), int(baskets.starts[row + 1])
        line = int(pick[position] * (end - begin))
        units = 1 + int(keep[position] * int(baskets.line_units[begin + line]))
        kind = int(baskets.kinds[row])
        order_key, line_index = place_of_line(kind, baskets.order_keys[row], line)
        postal_code = baskets.postal_codes[row]
        parcel = bool(postal_code) and by_parcel[position] < 0.3
        node = int(baskets.nodes[row]) if not postal_code else int(chain.nearest_store[region_of[postal_code]])
        yield Return(
            channel_key=CHANNELS[kind].channel_key,
            return_key=f"r-{baskets.order_keys[row]}",
            order_key="" if kind == POS else order_key,
            at_ns=int(at_ns[position]),
            node_key="" if parcel else chain.keys.nodes[node],
            postal_code=postal_code if parcel else "",
            lines=(
                ReturnLine(
                    line_index=-1 if kind == POS else line_index,
                    sku_key=chain.keys.skus[baskets.line_skus[begin + line]],
                    units=units,
                    disposition=DISPOSITIONS[dispositions[position]],
                ),
            ),
        )
