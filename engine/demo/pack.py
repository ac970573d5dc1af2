"""A scenario from a pack of real orders: twelve months over 1,573 nodes, in the words of ``scenario``.

Real: SKUs, units, prices, days and hours of the orders, positions of the stores, published zones and rates. Derived by seed: the weight of
each SKU (no source has any), stock and deliveries (``pack_supply``), what happens to an order (``fates``), and which order a return
belongs to where its customer is known (``pack_returns``).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from engine.demo.baskets import CHANNELS, Baskets, Keys, in_order, make_orders, place_of_line
from engine.demo.fates import DISPOSITIONS, POS, Fates, chance, draw_fates
from engine.demo.pack_columns import (
    Catalog,
    OrderColumns,
    PackError,
    PackTables,
    Places,
    arrange_catalog,
    arrange_orders,
    arrange_places,
    arrange_rate_cards,
    arrange_returns,
    arrange_zone_pairs,
)
from engine.demo.pack_returns import ReturnPlan, plan_returns
from engine.demo.pack_supply import OPENING, Outlets, Supply, make_supply
from engine.demo.places import band_metres, distances, regions
from engine.demo.scenario import (
    NS_PER_DAY,
    NS_PER_SECOND,
    Call,
    Node,
    NodeKind,
    Receipt,
    Return,
    ReturnLine,
    RoutingPolicy,
    Scenario,
    Sku,
    StockColumns,
    ZoneChart,
)

UNIT_GRAMS = 170
"""Mean weight of a unit: the six ounces at which the pack's own price figures were made."""
SHIPS_SHARE = 0.2
WAREHOUSE_SHARE = 0.7
_NETWORK, _WEIGHTS, _FATES = 30, 31, 32
_RECEIPT_NS = 5 * 3_600 * NS_PER_SECOND
_LINES_PER_RECEIPT = 1_000


@dataclass(frozen=True, slots=True)
class _Year:
    """Everything that days are made from."""

    baskets: Baskets
    keys: Keys
    supply: Supply
    returns: ReturnPlan
    nearest_drop_off: dict[str, int]
    drop_offs: NDArray[np.int32]


def pack_scenario(pack: PackTables, seed: int = 1) -> Scenario:
    """The scenario of a pack.

    A day of the scenario is a day of the calendar; some have no orders. Takes some seconds and about half a gigabyte: orders stay columns, and
    each day's calls are made when it is asked for.

    Raises:
        PackError: the pack has no warehouse, or no store that ships.
    """
    places, catalog = arrange_places(pack.nodes), arrange_catalog(pack.catalog)
    orders = arrange_orders(pack, places, catalog)
    nodes = _nodes(places, seed)
    cards = arrange_rate_cards(pack.prices)
    outlets = _outlets(nodes, places)
    supply = make_supply(orders, outlets, len(catalog.keys), seed)
    fates = draw_fates(chance(seed, _FATES), orders.kinds)
    returns = plan_returns(orders, arrange_returns(pack.returns, catalog, orders.first_day), fates.cancels, seed)
    keys = Keys(places.keys, catalog.keys, tuple(card.service_key for card in cards))
    year = _Year(
        baskets=_baskets(orders, fates, returns),
        keys=keys,
        supply=supply,
        returns=returns,
        nearest_drop_off=_nearest_drop_off(places),
        drop_offs=places.of_kind("store"),
    )
    day_count = int(orders.days[-1]) + 1
    opening = supply.of_day(OPENING)

    def make_opening(row_max: int) -> Iterator[StockColumns]:
        return _opening(year, row_max)

    def make_day(day: int) -> Sequence[Call]:
        return _day(year, day)

    return Scenario(
        name=f"{pack.name}, seed {seed}",
        seed=seed,
        currency_code="USD",
        first_day=orders.first_day,
        nodes=nodes,
        skus=_skus(catalog, seed),
        channels=CHANNELS,
        policies=(RoutingPolicy("default", 1_500_000, True, cards[0].service_key),),
        rate_cards=cards,
        zone_chart=_zone_chart(pack, places),
        order_counts=tuple(np.bincount(orders.days, minlength=day_count).tolist()),
        cell_count=opening.stop - opening.start,
        make_opening=make_opening,
        make_day=make_day,
    )


def _baskets(orders: OrderColumns, fates: Fates, returns: ReturnPlan) -> Baskets:
    returned = np.zeros(len(orders.kinds), np.bool_)
    returned[returns.rows[returns.rows >= 0]] = True
    return Baskets(
        kinds=orders.kinds,
        at_ns=orders.at_ns,
        nodes=orders.nodes,
        postal_codes=orders.postal_codes,
        order_keys=[str(number) for number in orders.numbers.tolist()],
        customer_keys=[str(customer) if customer else "" for customer in orders.customers.tolist()],
        starts=orders.starts,
        line_skus=orders.line_skus,
        line_units=orders.line_units,
        line_prices=orders.line_prices,
        fates=fates,
        returned=returned & (orders.kinds != POS),
    )


def _nodes(places: Places, seed: int) -> tuple[Node, ...]:
    """Stores offer pickup and take returns, and one of five ships; warehouses ship and take returns. Kiosks show goods and take returns;
    lockers hold nothing: they are open nodes without stock.
    """
    generator = chance(seed, _NETWORK)
    ships = generator.random(len(places.keys)) < SHIPS_SHARE
    nodes = []
    for index, kind in enumerate(places.kinds):
        warehouse, store = kind == "warehouse", kind == "store"
        nodes.append(
            Node(
                node_key=places.keys[index],
                name=places.names[index],
                kind=NodeKind.WAREHOUSE if warehouse else NodeKind.STORE,
                latitude=float(places.latitudes[index]),
                longitude=float(places.longitudes[index]),
                postal_code=places.postal_codes[index],
                ships=warehouse or (store and bool(ships[index])),
                offers_pickup=store or kind == "kiosk",
                accepts_returns=kind != "locker",
                package_cost_micros=600_000 if warehouse else 1_400_000,
                unit_cost_micros=50_000 if warehouse else 120_000,
            )
        )
    return tuple(nodes)


def _skus(catalog: Catalog, seed: int) -> tuple[Sku, ...]:
    """Weights grow with the square root of the price, give or take a half; 20 grams to 10 kilograms."""
    generator = chance(seed, _WEIGHTS)
    price = np.maximum(catalog.price_micros, 10_000)
    spread = np.exp(generator.normal(-0.08, 0.4, len(price)))
    grams = np.clip(np.rint(UNIT_GRAMS * np.sqrt(price / np.median(price)) * spread), 20, 10_000).astype(np.int64)
    return tuple(
        Sku(key, title[:200], weight, value)
        for key, title, weight, value in zip(
            catalog.keys, catalog.titles, grams.tolist(), catalog.price_micros.tolist(), strict=True
        )
    )


def _outlets(nodes: tuple[Node, ...], places: Places) -> Outlets:
    """The pool lies at warehouses (seven parts) and stores that ship (three parts), by how many people live nearest to each."""
    buyers = regions()
    shares, members = [], []
    for kind, part in (("warehouse", WAREHOUSE_SHARE), ("store", 1 - WAREHOUSE_SHARE)):
        chosen = np.array([index for index in places.of_kind(kind) if nodes[index].ships], np.int32)
        if not len(chosen):
            raise PackError(f"the pack has no {kind} that ships")
        away = distances(buyers.latitudes, buyers.longitudes, places.latitudes[chosen], places.longitudes[chosen])
        near = np.bincount(away.argmin(1), weights=buyers.populations, minlength=len(chosen))
        members.append(chosen)
        shares.append(part * near / near.sum())
    share = np.concatenate(shares)
    return Outlets(places.kinds, np.concatenate(members), share / share.sum(), places.of_kind("warehouse"))


def _zone_chart(pack: PackTables, places: Places) -> ZoneChart:
    """The distance rule, and before it the published pairs that start where a node is."""
    areas = regions()
    pairs = arrange_zone_pairs(pack.zone_pairs)
    origins = {code[:3] for code in places.postal_codes}
    position = {key: index for index, key in enumerate(areas.keys)}
    kept = [
        (position[origin], position[destination], zone)
        for origin, destination, zone in zip(pairs.origins, pairs.destinations, pairs.zones.tolist(), strict=True)
        if origin in origins and origin in position and destination in position
    ]
    table = np.array(kept, np.int32).reshape(-1, 3)
    return ZoneChart(
        region_keys=areas.keys,
        latitudes=areas.latitudes,
        longitudes=areas.longitudes,
        band_metres=band_metres(),
        pair_origins=np.ascontiguousarray(table[:, 0]),
        pair_destinations=np.ascontiguousarray(table[:, 1]),
        pair_zones=np.ascontiguousarray(table[:, 2]),
    )


def _nearest_drop_off(places: Places) -> dict[str, int]:
    """The store nearest to each three-digit ZIP area."""
    areas, stores = regions(), places.of_kind("store")
    away = distances(areas.latitudes, areas.longitudes, places.latitudes[stores], places.longitudes[stores])
    return dict(zip(areas.keys, stores[away.argmin(1)].tolist(), strict=True))


def _opening(year: _Year, row_max: int) -> Iterator[StockColumns]:
    rows = year.supply.of_day(OPENING)
    for begin in range(rows.start, rows.stop, row_max):
        part = slice(begin, min(begin + row_max, rows.stop))
        units = year.supply.units[part]
        yield StockColumns(
            sku_keys=[year.keys.skus[sku] for sku in year.supply.skus[part].tolist()],
            node_keys=[year.keys.nodes[node] for node in year.supply.nodes[part].tolist()],
            on_hand_units=units.copy(),
            safety_stock_units=np.zeros(len(units), np.int64),
        )


def _day(year: _Year, day: int) -> list[Call]:
    first, stop = np.searchsorted(year.baskets.at_ns, [day * NS_PER_DAY, (day + 1) * NS_PER_DAY])
    calls: list[Call] = list(_receipts(year, day))
    calls.extend(make_orders(year.baskets, year.keys, int(first), int(stop)))
    calls.extend(_return(year, position) for position in year.returns.of_day(day))
    return in_order(calls)


def _receipts(year: _Year, day: int) -> Iterator[Receipt]:
    """Deliveries of a day, node by node, before the first store opens."""
    rows = year.supply.of_day(day)
    nodes = year.supply.nodes[rows]
    starts = rows.start + np.nonzero(np.diff(nodes, prepend=-1))[0]
    for begin, end in pairwise([*starts.tolist(), rows.stop]):
        node = int(year.supply.nodes[begin])
        for first in range(begin, end, _LINES_PER_RECEIPT):
            part = slice(first, min(first + _LINES_PER_RECEIPT, end))
            skus, units = year.supply.skus[part].tolist(), year.supply.units[part].tolist()
            yield Receipt(
                node_key=year.keys.nodes[node],
                reference=f"delivery-{day}-{year.keys.nodes[node]}-{(first - begin) // _LINES_PER_RECEIPT}",
                at_ns=day * NS_PER_DAY + _RECEIPT_NS + node * NS_PER_SECOND,
                lines=tuple((year.keys.skus[sku], count) for sku, count in zip(skus, units, strict=True)),
            )


def _return(year: _Year, position: int) -> Return:
    plan, baskets = year.returns, year.baskets
    row = int(plan.rows[position])
    kind = int(baskets.kinds[row]) if row >= 0 else POS
    postal_code = baskets.postal_codes[row] if row >= 0 else ""
    parcel = bool(postal_code) and bool(plan.by_parcel[position])
    order_key, line_index = "", -1
    if kind != POS:
        order_key, line_index = place_of_line(kind, baskets.order_keys[row], int(plan.lines[position]))
    if row >= 0 and baskets.nodes[row] >= 0:
        node = int(baskets.nodes[row])
    elif postal_code:
        node = year.nearest_drop_off[postal_code[:3]]
    else:
        # Nobody knows where they bought it: the same customer always comes to the same store.
        node = int(year.drop_offs[int(plan.customers[position]) % len(year.drop_offs)])
    return Return(
        channel_key=CHANNELS[kind].channel_key,
        return_key=f"r{position}",
        order_key=order_key,
        at_ns=int(plan.at_ns[position]),
        node_key="" if parcel else year.keys.nodes[node],
        postal_code=postal_code if parcel else "",
        lines=(
            ReturnLine(
                line_index=line_index,
                sku_key=year.keys.skus[plan.skus[position]],
                units=int(plan.units[position]),
                disposition=DISPOSITIONS[plan.dispositions[position]],
            ),
        ),
    )
