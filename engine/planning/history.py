"""What was wanted, as the state remembers it: sales to walk-ins, and orders to be shipped.

The ring of stock movements and the order book are the history: they are part of the state, so every replay has the same one, and there is
nothing else to keep. They have the newest ``movements_remembered`` movements and ``closed_orders_remembered`` closed orders; where more
happened in the time that is looked back, they tell of less of it. Both are read newest first, a piece at a time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, Integers
from engine.model.orders import Order
from engine.model.outcomes import StockReason

if TYPE_CHECKING:  # the process that plans has no pool, and need not load its kernels
    from engine.pool.pool import Pool

DAY_NS: Final = 86_400 * 1_000_000_000


class Wanted(NamedTuple):
    """What was wanted of cells, in no order that matters."""

    keys: Integers
    """Row KEY of the cell; of what was ordered of a SKU, that of node 0."""
    times_ns: Integers
    units: Integers


class SalesRead(NamedTuple):
    """A piece of the history, newest first. ``before``: where to read on, 0 when that was all; ``oldest_ns``: how far back it reaches."""

    sales: Wanted
    before: int
    oldest_ns: int


def read_sales(pool: Pool, since_ns: int, before: int, count: int) -> SalesRead:
    """Look through up to ``count`` movements older than position ``before`` of the ring (0: from the newest on), no older than ``since_ns``."""
    ring, cells, following = pool.state[6], pool.state[0], pool.counter(c.MOVEMENT_NEXT)
    end = min(before or following, following)
    first = max(end - count, following - ring.shape[1], 0)
    if first >= end:  # overwritten meanwhile, or nothing ever moved
        return SalesRead(Wanted(*(np.zeros(0, np.int64) for _ in Wanted._fields)), 0, pool.counter(c.NOW_NS))
    places = np.arange(first, end) % ring.shape[1]
    times_ns = ring[c.MOVEMENT_NS, places]
    sold = (
        (ring[c.MOVEMENT_REASON, places] == StockReason.SALE)
        & (ring[c.MOVEMENT_QUANTITY, places] == c.ON_HAND)
        & (times_ns >= since_ns)
    )
    at = places[sold]
    sales = Wanted(cells[c.KEY, ring[c.MOVEMENT_SLOT, at]], times_ns[sold], -ring[c.MOVEMENT_DELTA, at])
    is_all = first == max(following - ring.shape[1], 0) or times_ns[0] < since_ns
    return SalesRead(sales, 0 if is_all else first, int(times_ns[0]))


class Ordered(NamedTuple):
    """What was ordered to be shipped: a row for each line, those of an order one after the other."""

    wanted: Wanted
    regions: Integers
    services: Integers
    orders: Integers
    """Ids: which rows are of one order."""


class OrdersRead(NamedTuple):
    """A piece of the history. ``before``: where to read on, 0 when that was all; ``oldest_ns``: how far back it reaches."""

    ordered: Ordered
    order_count: int
    before: int
    oldest_ns: int


def read_orders(pool: Pool, since_ns: int, before: int, count: int) -> OrdersRead:
    """Look through up to ``count`` orders below the id ``before`` (0: from the newest on), placed no earlier than ``since_ns``.

    Ends at the first that is not remembered any more: from there on there are holes.
    """
    records = pool.orders.orders
    following = before or pool.orders.next_order_id
    rows: list[tuple[int, ...]] = []
    oldest_ns, is_all = pool.counter(c.NOW_NS), False
    for order_id in range(following - 1, max(following - 1 - count, 0), -1):
        kept = records.peek(order_id)
        order = records.decode(kept) if isinstance(kept, bytes) else kept
        is_all = not isinstance(order, Order) or order.placed_ns < since_ns
        if not isinstance(order, Order) or is_all:
            break
        oldest_ns = order.placed_ns
        if order.region_index >= 0:
            told = order.region_index, order.service_index, order_id
            rows += [(line.sku_index << SLOT_BITS, order.placed_ns, line.units, *told) for line in order.lines]
    keys, times_ns, units, regions, services, orders = np.array(rows, np.int64).reshape(-1, 6).T.copy()
    lowest = max(following - 1 - count, 0) + 1
    return OrdersRead(
        Ordered(Wanted(keys, times_ns, units), regions, services, orders),
        len(set(orders.tolist())),
        0 if is_all or lowest == 1 else lowest,
        oldest_ns,
    )
