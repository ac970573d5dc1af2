"""A refresh of prices: what is read of the pool, piece by piece, and what is found from it, away from the server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, carrier_cost
from engine.planning.demand import History, expected
from engine.planning.futures import Forecast, sampled
from engine.planning.history import DAY_NS, Ordered, Wanted, read_orders, read_sales
from engine.planning.prices import Cells, Costs, Demands, prices
from engine.planning.walk_ins import DEMAND_ONE, kept_values

if TYPE_CHECKING:  # the process that plans has no pool, and need not load its kernels
    from engine.pool.pool import Pool

CELLS_A_LOOK: Final = 1 << 15
SKUS_A_LOOK: Final = 1 << 12
MOVEMENTS_A_LOOK: Final = 1 << 16
ORDERS_A_LOOK: Final = 1 << 9
"""How much the writer copies at a time: some milliseconds."""
ORDERS_MAX: Final = 1 << 16
"""Orders that the forecast is made from at most: the newest ones."""
ROWS_A_PART: Final = 4_096
"""How many cells one SetPrices brings: some milliseconds of the writer."""
DEADBAND: Final = 32
"""What changes by less than this part of itself stays as it is: a forecast is not better than that, and each change is journaled."""
FUTURES: Final = 8
SEED: Final = 0
"""Always the same futures: prices move with the forecast and the stock, and not by chance."""
UNSERVED_RATIO: Final = 2
"""A wanted unit that is not sent costs so many times the dearest way of sending it at least: no plan leaves one behind to save postage."""


class Piece(NamedTuple):
    """The cells of some SKUs as they are, by SKU and node. ``next_sku``: where to read on, −1 when that was all."""

    cells: Integers
    """int64[rows, cells]: rows KEY, ATF, PRICE and DEMAND of the cells, unless others were asked for."""
    skus: Integers
    """int64[3, skus]: grams, margin and value of a unit, in micros."""
    next_sku: int


class Lanes(NamedTuple):
    """The network as far as a unit's way depends on it."""

    zones: NDArray[np.uint8]
    """uint8[regions, nodes]; 0: the node does not ship."""
    rates: Integers
    """int64[services, zones, steps]"""
    breaks: Integers
    """int64[services, steps]"""
    node_costs: Integers
    """int64[2, nodes]: micros a package, micros a unit."""


class Horizon(NamedTuple):
    """The time that is looked at: ``sales`` and ``orders``, the histories of both, say what is wanted in the next ``days``."""

    sales: History
    orders: History
    days: int


class Rows(NamedTuple):
    """Cells that are to have another price or demand."""

    skus: Integers
    nodes: Integers
    prices: Integers
    demands: Integers


def read_cells(pool: Pool, first_sku: int, rows: Sequence[int] = (c.KEY, c.ATF, c.PRICE, c.DEMAND)) -> Piece:
    """Rows of the cells of whole SKUs from ``first_sku`` on: about CELLS_A_LOOK, but of one SKU at least."""
    cells, directory, index = pool.stock.arrays
    total = len(pool.names.skus)
    counts = directory[c.INDEX_COUNT, first_sku : min(first_sku + SKUS_A_LOOK, total)]
    taken = max(int(np.searchsorted(np.cumsum(counts), CELLS_A_LOOK, side="right")), min(len(counts), 1))
    following = first_sku + taken
    starts, counts = directory[c.INDEX_START, first_sku:following], counts[:taken]
    ends = np.cumsum(counts)
    slots = index[np.arange(ends[-1] if taken else 0) + np.repeat(starts - (ends - counts), counts)] & SLOT_MASK
    skus = pool.network.skus[first_sku:following]
    told = [(sku.weight_grams, sku.unit_margin_micros, sku.unit_value_micros) for sku in skus]
    return Piece(
        np.array([cells[row, slots] for row in rows]),
        np.array(told, np.int64).reshape(-1, 3).T.copy(),
        following if following < total else -1,
    )


def read_lanes(pool: Pool) -> Lanes:
    """The network; the largest piece of all that is read at once."""
    nodes, zones, rates, breaks, *_ = pool.network.arrays
    node_count, region_count = len(pool.network.nodes), len(pool.names.regions)
    needs = c.FLAG_OPEN | c.FLAG_SHIPS
    ships = nodes[c.NODE_FLAGS, :node_count] & needs == needs
    return Lanes(
        zones[:region_count, :node_count] * ships.astype(np.uint8),
        rates.copy(),
        breaks.copy(),
        nodes[c.NODE_PACKAGE_COST : c.NODE_UNIT_COST + 1, :node_count].copy(),
    )


def read_all(pool: Pool, now_ns: int, history_days: int, horizon_days: int) -> list[Any]:
    """Everything that ``find_prices`` is given, at once: for those whom nobody waits for. A server reads the same piece by piece."""
    since_ns = now_ns - history_days * DAY_NS
    sold = read_sales(pool, since_ns, 0, pool.state[6].shape[1])
    placed = read_orders(pool, since_ns, 0, ORDERS_MAX)
    sales, orders = (History(max(min(now_ns, read.oldest_ns), since_ns), now_ns) for read in (sold, placed))
    pieces = [read_cells(pool, 0)]
    while pieces[-1].next_sku >= 0:
        pieces.append(read_cells(pool, pieces[-1].next_sku))
    return [sold.sales, placed.ordered, Horizon(sales, orders, horizon_days), read_lanes(pool), *pieces]


def find_prices(parts: list[Any]) -> Iterator[Rows]:
    """What is to be written, in parts of ``ROWS_A_PART``; for ``planning.worker``.

    The parts are one ``Horizon``, one ``Lanes``, and any number of ``Wanted`` (sales), of ``Ordered``, and of ``Piece`` in order of their SKUs.
    """
    (horizon,) = [part for part in parts if isinstance(part, Horizon)]
    (lanes,) = [part for part in parts if isinstance(part, Lanes)]
    pieces = [part for part in parts if isinstance(part, Piece)]
    keys, free, old_prices, old_demands = np.concatenate([piece.cells for piece in pieces], axis=1)
    skus = np.concatenate([piece.skus for piece in pieces], axis=1)
    sales = _joined([part for part in parts if isinstance(part, Wanted)])
    demands = expected(keys, sales, horizon.sales, horizon.days)
    first = np.searchsorted(keys >> SLOT_BITS, np.arange(skus.shape[1] + 1))
    cells = Cells(first, keys & SLOT_MASK, free, demands)
    worth = _worth(cells, skus, lanes, horizon, [part for part in parts if isinstance(part, Ordered)])
    moved = np.flatnonzero(_differs(old_prices, worth) | _differs(old_demands, demands))
    for start in range(0, len(moved), ROWS_A_PART):
        at = moved[start : start + ROWS_A_PART]
        yield Rows(keys[at] >> SLOT_BITS, keys[at] & SLOT_MASK, worth[at], demands[at])


def _worth(cells: Cells, skus: Integers, lanes: Lanes, horizon: Horizon, read: list[Ordered]) -> Integers:
    """Prices where orders to come give a unit more than the newsvendor does, which routing computes by itself from present stock; else 0."""
    worth = np.zeros(len(cells.nodes), np.int64)
    wanted = _joined([part.wanted for part in read])
    known = wanted.times_ns >= horizon.orders.begin_ns
    if not known.any():
        return worth
    regions, services, orders = (
        np.concatenate([getattr(part, name) for part in read])[known] for name in ("regions", "services", "orders")
    )
    units = wanted.units[known]
    weights = horizon.orders.weights(wanted.times_ns[known]) * units
    shares = np.bincount(regions, weights, len(lanes.zones)).astype(np.float64)
    sku_keys = np.arange(skus.shape[1]) << SLOT_BITS
    rates = expected(sku_keys, wanted, horizon.orders, horizon.days) / DEMAND_ONE
    service = int(np.bincount(services, weights).argmax())
    package_units = max(round(units.sum() / len(np.unique(orders))), 1)
    costs = _costs(skus, lanes, service, package_units)
    demands: Demands = sampled(Forecast(rates, shares), FUTURES, SEED)
    found = prices(cells, costs, demands)
    kept = kept_values(np.repeat(costs.margin, np.diff(cells.first)), cells.walk_ins, np.maximum(cells.units, 1))
    return np.where(found > kept, found, worth)


def _costs(skus: Integers, lanes: Lanes, service: int, package_units: int) -> Costs:
    """What a unit costs that travels as one of ``package_units`` alike in a package of the service that is asked for most."""
    grams, margins, values = skus
    zone_count = lanes.rates.shape[1]
    weights, at = np.unique(grams * package_units, return_inverse=True)
    by_weight = np.full((len(weights), zone_count), -1, np.int64)
    for row, weight in enumerate(weights.tolist()):
        for zone in range(1, zone_count):
            carried = int(carrier_cost(lanes.rates, lanes.breaks, service, zone, weight))
            by_weight[row, zone] = carried // package_units if carried >= 0 else -1
    handling = lanes.node_costs[0] // package_units + lanes.node_costs[1]
    dearest = by_weight.max(axis=1)[at] + handling.max(initial=0)
    unserved = np.maximum(np.maximum(values, margins), UNSERVED_RATIO * np.maximum(dearest, 0))
    return Costs(lanes.zones, by_weight[at], handling, unserved, margins)


def _joined(parts: list[Wanted]) -> Wanted:
    empty = np.zeros(0, np.int64)
    return Wanted(*(np.concatenate([empty, *(part[at] for part in parts)]) for at in range(len(Wanted._fields))))


def _differs(before: Integers, after: Integers) -> Any:
    """Where a difference is worth an entry in the journal: any from or to nothing, others by their size."""
    return (np.abs(after - before) * DEADBAND > before) & (after != before)
