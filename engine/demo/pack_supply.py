"""Stock for a pack of real orders: no source says what was on the shelves, so it is derived from the demand, by seed.

**Shelves** (tills and pickup). Two of three times a store sells a SKU only once a year: its past says nothing about it. But a till cannot sell
what is not there, so the sales themselves say what must have been delivered: their units come with the store's weekly van, up to
eight days earlier. One line in eighty was booked late, days after the sale: that till sells what the books do not have.

**The pool** (parcels). Each week every SKU is brought up to a level made from the trailing four weeks of parcels, all nodes together, as a
buyer would who does not know the future. Nothing precedes the first day, so its own first four weeks stand for the past, with an error
of the buyers; so they do when a SKU is new. What is bought goes by cases to warehouses and to the stores that ship, by where buyers live.

**Wholesale.** Most lines of hundreds of units were agreed beforehand: they come to a warehouse within a week before the order.

**Display.** Each store opens with a few pieces of some hundred popular SKUs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.demo.fates import PICKUP, POS, chance
from engine.demo.goods import choose_assortment
from engine.demo.pack_columns import OrderColumns

WEEK = 7
OPENING = -1
"""The day on which opening stock is there."""
BOOKED_LATE = 0.012
DISPLAY_SKUS = {"store": 400, "kiosk": 40}
WHOLESALE_UNITS = 240
AGREED_SHARE = 0.85
MISTAKE_UNITS = 10_000
"""A line of more is a slip of the pen (two of them were cancelled within minutes): nobody prepares for it."""
LEVEL_WEEKS = 2.0
LEVEL_DEVIATIONS = 2.2
"""The pool is brought up to so many weeks of demand and standard deviations of a week (lines come at random, each with its units)."""
_SHELF, _POOL, _DISPLAY, _AGREED = 10, 11, 12, 13


@dataclass(frozen=True, slots=True)
class Supply:
    """Units that arrive, by day, node and SKU, in this order; ``OPENING`` first. ``days`` int32, ``nodes`` and ``skus`` int32, ``units`` int64."""

    days: NDArray[np.int32]
    nodes: NDArray[np.int32]
    skus: NDArray[np.int32]
    units: NDArray[np.int64]

    def of_day(self, day: int) -> slice:
        """Where the rows of a day are."""
        first, stop = np.searchsorted(self.days, [day, day + 1])
        return slice(int(first), int(stop))


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where stock may lie: ``kinds`` of all nodes; ``pool_nodes`` int32 and ``pool_shares`` float64 (sum 1) say where the pool's stock
    goes, ``warehouses`` int32 are some of them.
    """

    kinds: tuple[str, ...]
    pool_nodes: NDArray[np.int32]
    pool_shares: NDArray[np.float64]
    warehouses: NDArray[np.int32]


def make_supply(orders: OrderColumns, outlets: Outlets, sku_count: int, seed: int) -> Supply:
    """Everything that arrives in the time of the orders."""
    case = case_units(orders, sku_count)
    parts = [
        _shelves(orders, seed),
        _display(orders, outlets, case, seed),
        _agreed(orders, outlets, seed),
        _pool(orders, outlets, case, seed),
    ]
    days, nodes, skus, units = (np.concatenate(column) for column in zip(*parts, strict=True))
    # One number for day, node and SKU, to add up what arrives together.
    code = ((days + 1) * len(outlets.kinds) + nodes) * sku_count + skus
    distinct, group = np.unique(code, return_inverse=True)
    total = np.bincount(group, weights=units).astype(np.int64)
    day_node, sku = np.divmod(distinct, sku_count)
    day, node = np.divmod(day_node, len(outlets.kinds))
    kept = total > 0
    return Supply(
        (day[kept] - 1).astype(np.int32), node[kept].astype(np.int32), sku[kept].astype(np.int32), total[kept]
    )


def case_units(orders: OrderColumns, sku_count: int) -> NDArray[np.int64]:
    """Units of a SKU that travel together, int64[skus]: what three of four lines ask for at most, 1 to 48."""
    case = np.ones(sku_count, np.int64)
    sequence = np.lexsort((orders.line_units, orders.line_skus))
    counts = np.bincount(orders.line_skus, minlength=sku_count)
    starts = np.cumsum(counts) - counts
    sold = counts > 0
    case[sold] = orders.line_units[sequence][(starts + (counts * 3) // 4)[sold].clip(max=len(sequence) - 1)]
    return case.clip(1, 48)


_Rows = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]


def _shelves(orders: OrderColumns, seed: int) -> _Rows:
    """What tills and pickups need: days, nodes, SKUs and units."""
    generator = chance(seed, _SHELF)
    owners = orders.line_orders
    lines = np.nonzero(np.isin(orders.kinds[owners], (POS, PICKUP)))[0]
    owners = owners[lines]
    sold, nodes = orders.days[owners], orders.nodes[owners].astype(np.int64)
    late = generator.random(len(lines)) < BOOKED_LATE
    wanted = np.where(late, sold + generator.integers(1, 8, len(lines)), sold - generator.integers(0, 3, len(lines)))
    # The van comes on the store's own day of the week: the last one before, or the next one for what was late.
    behind = (wanted - nodes) % WEEK
    day = np.where(late, wanted + (-behind) % WEEK, wanted - behind)
    # What fills half a van has one of its own, on the morning of the sale.
    day = np.where((orders.line_units[lines] >= WHOLESALE_UNITS) & ~late, sold, day)
    day = np.maximum(day, OPENING)
    kept = day <= orders.days[-1]
    return day[kept], nodes[kept], orders.line_skus[lines][kept].astype(np.int64), orders.line_units[lines][kept]


def _display(orders: OrderColumns, outlets: Outlets, case: NDArray[np.int64], seed: int) -> _Rows:
    """One piece to a case of the SKUs that each store and kiosk shows; popular in the first four weeks, likelier shown."""
    generator = chance(seed, _DISPLAY)
    early = orders.line_orders < np.searchsorted(orders.at_ns, 4 * WEEK * 86_400 * 10**9)
    demand = np.bincount(orders.line_skus[early], minlength=len(case)).astype(np.float64)
    known = np.nonzero(demand)[0]
    nodes, skus = [], []
    for node, kind in enumerate(outlets.kinds):
        size = min(DISPLAY_SKUS.get(kind, 0), len(known))
        if size:
            shown = known[choose_assortment(generator, demand[known], size)]
            nodes.append(np.full(len(shown), node, np.int64))
            skus.append(shown)
    if not nodes:
        return (np.empty(0, np.int64),) * 4
    sku = np.concatenate(skus)
    units = generator.integers(1, case[sku] + 1)
    return np.full(len(sku), OPENING, np.int64), np.concatenate(nodes), sku, units


def _parcel_lines(orders: OrderColumns) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Lines of parcels, and the order of each."""
    owners = orders.line_orders
    lines = np.nonzero(~np.isin(orders.kinds[owners], (POS, PICKUP)))[0]
    return lines, owners[lines]


def _agreed(orders: OrderColumns, outlets: Outlets, seed: int) -> _Rows:
    """Most wholesale lines, at a warehouse a day to a week before their order."""
    generator = chance(seed, _AGREED)
    lines, owners = _parcel_lines(orders)
    units = orders.line_units[lines]
    known = (units >= WHOLESALE_UNITS) & (units < MISTAKE_UNITS) & (generator.random(len(lines)) < AGREED_SHARE)
    lines, owners = lines[known], owners[known]
    day = np.maximum(OPENING, orders.days[owners] - generator.integers(1, 8, len(lines)))
    places = outlets.warehouses[generator.integers(0, len(outlets.warehouses), len(lines))]
    return day, places.astype(np.int64), orders.line_skus[lines].astype(np.int64), orders.line_units[lines]


def _weekly_parcels(orders: OrderColumns, sku_count: int) -> NDArray[np.float64]:
    """Retail parcels by week and SKU, float64[2, weeks, skus]: units, and the sum of the squares of their lines."""
    lines, owners = _parcel_lines(orders)
    retail = orders.line_units[lines] < WHOLESALE_UNITS
    lines, owners = lines[retail], owners[retail]
    weeks = int(orders.days[-1]) // WEEK + 1
    code = orders.days[owners] // WEEK * sku_count + orders.line_skus[lines]
    units = orders.line_units[lines].astype(np.float64)
    sums = [np.bincount(code, weights=column, minlength=weeks * sku_count) for column in (units, units**2)]
    return np.stack(sums, dtype=np.float64).reshape(2, weeks, sku_count)


def _pool(orders: OrderColumns, outlets: Outlets, case: NDArray[np.int64], seed: int) -> _Rows:
    """Weekly purchases up to a level, as cases at the pool's nodes. The first one is opening stock."""
    generator = chance(seed, _POOL)
    sold, squares = _weekly_parcels(orders, len(case))
    position = np.zeros(len(case))
    days, nodes, skus, units = [], [], [], []
    for week in range(len(sold)):
        ahead, behind = slice(week, week + 4), slice(max(0, week - 4), max(1, week))
        slip = np.exp(generator.normal(0.0, 0.25, len(case)))
        new = sold[:week].sum(0) == 0
        rate = np.where(new, sold[ahead].mean(0) * slip, sold[behind].mean(0))
        variance = np.where(new, squares[ahead].mean(0) * slip**2, squares[behind].mean(0))
        level = LEVEL_WEEKS * rate + LEVEL_DEVIATIONS * np.sqrt(variance)
        cases = np.ceil(np.maximum(0.0, level - position) / case).astype(np.int64)
        position = np.maximum(0.0, position + cases * case - sold[week])
        sku = np.repeat(np.arange(len(case)), cases)
        days.append(np.full(len(sku), week * WEEK if week else OPENING, np.int64))
        nodes.append(generator.choice(outlets.pool_nodes, len(sku), p=outlets.pool_shares).astype(np.int64))
        skus.append(sku)
        units.append(case[sku])
    return np.concatenate(days), np.concatenate(nodes), np.concatenate(skus), np.concatenate(units)
