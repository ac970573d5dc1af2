"""What the state remembers of what was wanted: sales to walk-ins, and orders, read piece by piece."""

from __future__ import annotations

import pytest

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS
from engine.model import commands as m
from engine.model.limits import SECOND_NS
from engine.planning.history import read_orders, read_sales
from tests.builders import EPOCH_NS, Store, limits, pickup, ship

HOUR_NS = 3_600 * SECOND_NS


def key(sku: int, node: int) -> int:
    return sku << SLOT_BITS | node


def sales_of(store: Store, since_ns: int, count: int) -> tuple[list[tuple[int, ...]], int, int]:
    """Rows of (key, time, units), how far back they reach, and in how many pieces they came."""
    rows: list[tuple[int, ...]] = []
    before = pieces = 0
    while True:
        piece = read_sales(store.machine.pool, since_ns, before, count)
        rows += zip(*(column.tolist() for column in piece.sales), strict=True)
        before, pieces = piece.before, pieces + 1
        if not before:
            return sorted(rows), piece.oldest_ns, pieces


@pytest.mark.parametrize("remembered", [64, 16])
def test_sales_are_read_in_pieces_as_far_as_they_are_remembered(remembered: int) -> None:
    store = Store(limits(movements_remembered=remembered))
    store.stock(("A", "east", 50), ("B", "west", 50))
    for hour in range(12):
        store.wait(HOUR_NS)
        sku, node = ("A", "east") if hour % 3 else ("B", "west")
        store.tell(m.RecordSale, channel_key="till", node_key=node, lines=((sku, hour + 1),))
        store.tell(m.ReceiveStock, node_key=node, lines=((sku, 1),))
    pool = store.machine.pool
    keys = {pool.stock.find(0, 1): key(0, 1), pool.stock.find(1, 2): key(1, 2)}
    ring = pool.state[6]
    told = sorted(
        (keys[int(ring[c.MOVEMENT_SLOT, at])], int(ring[c.MOVEMENT_NS, at]), -int(ring[c.MOVEMENT_DELTA, at]))
        for at in range(min(pool.counter(c.MOVEMENT_NEXT), remembered))
        if ring[c.MOVEMENT_DELTA, at] < 0
    )
    assert len(told) == (12 if remembered == 64 else 8)
    for count in (1, 3, 64):
        rows, oldest_ns, pieces = sales_of(store, 0, count)
        assert rows == told
        assert oldest_ns == EPOCH_NS + (5 * HOUR_NS if remembered == 16 else 0)
        assert (pieces == 1) == (count == 64)
    since_ns = store.now_ns - 2 * HOUR_NS
    assert sales_of(store, since_ns, 3)[0] == [row for row in told if row[1] >= since_ns]
    assert sales_of(Store(), 0, 8)[::2] == ([], 1)


def orders_of(store: Store, since_ns: int, count: int) -> tuple[list[tuple[int, ...]], int, int]:
    """Rows of (order, SKU, time, units, region), how far back they reach, and how many orders there are."""
    rows: list[tuple[int, ...]] = []
    before = total = 0
    while True:
        piece = read_orders(store.machine.pool, since_ns, before, count)
        keys, times_ns, units = (column.tolist() for column in piece.ordered.wanted)
        skus = [each >> SLOT_BITS for each in keys]
        rows += zip(piece.ordered.orders.tolist(), skus, times_ns, units, piece.ordered.regions.tolist(), strict=True)
        before, total = piece.before, total + piece.order_count
        if not before:
            return sorted(rows), piece.oldest_ns, total


def test_orders_are_read_as_far_back_as_none_is_missing() -> None:
    store = Store(limits(closed_orders_remembered=2))
    store.stock(("A", "dc", 50), ("B", "dc", 50), ("A", "east", 50))
    claims = [ship([("A", 1)]), ship([("B", 3), ("A", 2)], "90001"), pickup([("A", 1)]), ship([("B", 4)])]
    told: list[tuple[int, ...]] = []
    for number, claim in enumerate(claims, 1):
        store.wait(HOUR_NS)
        assert store.place(claim, f"o-{number}").outcome == 1
        region = {"10001": 0, "90001": 1}.get(claim.postal_code, -1)
        if region >= 0:
            told += [(number, "AB".index(sku), store.now_ns, units, region) for sku, units in claim.lines]
    for count in (1, 2, 100):
        assert orders_of(store, 0, count) == (sorted(told), EPOCH_NS + HOUR_NS, 3)
    since_ns = EPOCH_NS + 3 * HOUR_NS
    assert orders_of(store, since_ns, 1)[0] == [row for row in told if row[2] >= since_ns]
    for number in (1, 2, 3):  # the first that was closed is forgotten
        lines = tuple((line, units) for line, (_, units) in enumerate(claims[number - 1].lines))
        assert store.tell(m.CancelOrder, order_id=number, lines=lines).outcome == 1
    assert orders_of(store, 0, 100)[0] == sorted(row for row in told if row[0] > 1)
    assert orders_of(Store(), 0, 10)[::2] == ([], 0)
