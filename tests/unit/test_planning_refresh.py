"""Refreshes of prices: what is read of the pool, what is found, and what is worth writing."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from engine.kernels.zones import SLOT_BITS, SLOT_MASK
from engine.model import commands as m
from engine.model.network import Sku
from engine.planning import refresh
from engine.planning.demand import History
from engine.planning.history import DAY_NS, Ordered, Wanted, read_orders, read_sales
from engine.planning.refresh import ROWS_A_PART, Horizon, Lanes, Piece, Rows, find_prices, read_cells, read_lanes
from engine.planning.walk_ins import DEMAND_ONE
from tests.builders import EPOCH_NS, SKUS, Store, ship

NOW_NS = EPOCH_NS // DAY_NS * DAY_NS
NO_LANES = Lanes(
    np.zeros((1, 1), np.uint8), np.zeros((1, 2, 1), np.int64), np.zeros((1, 1), np.int64), np.zeros((2, 1), np.int64)
)


def week(days: int = 7) -> Horizon:
    """A history of so many days, and the day that follows."""
    history = History(NOW_NS - days * DAY_NS, NOW_NS)
    return Horizon(history, history, 1)


def piece(keys: Any, prices: Any = 0, demands: Any = 0) -> Piece:
    cells = np.stack(np.broadcast_arrays(keys, np.int64(5), prices, demands))
    return Piece(cells, np.zeros((3, int(np.max(keys) >> SLOT_BITS) + 1), np.int64), -1)


@pytest.mark.parametrize("seed", range(5))
def test_cells_are_read_in_pieces_of_whole_skus(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = Random(seed)
    store = Store()
    store.tell(m.PutSkus, skus=(SKUS[0]._replace(unit_margin_micros=3, unit_value_micros=9),))
    pairs = [(sku, node) for sku in "ABCD" for node in ("dc", "east", "west") if rng.random() < 0.6]
    rng.shuffle(pairs)
    for sku, node in pairs:
        store.stock((sku, node, 5))
    if pairs:
        sku, node = pairs[0]
        fields: dict[str, Any] = {
            "sku_keys": (sku,),
            "node_keys": (node,),
            "price_micros": (7,),
            "demand_1024ths": (9,),
        }
        store.tell(m.SetPrices, plan_key="p", complete=True, **fields)
    names = store.machine.pool.names
    for count in (1, 4, 100):
        monkeypatch.setattr(refresh, "CELLS_A_LOOK", count)
        found: list[tuple[Any, ...]] = []
        skus: list[list[int]] = []
        first_sku = 0
        while first_sku >= 0:
            read = read_cells(store.machine.pool, first_sku)
            for key, *said in read.cells.T.tolist():
                found.append((names.sku_keys[key >> SLOT_BITS], names.node_keys[key & SLOT_MASK], *said))
            skus += read.skus.T.tolist()
            first_sku = read.next_sku
        assert [row[:2] for row in found] == sorted(pairs), f"seed {seed}"
        assert all(row[2:] == ((5, 7, 9) if row[:2] == pairs[0] else (5, 0, 0)) for row in found), f"seed {seed}"
        assert skus == [[500, 3, 9], [1_500, 0, 0], [0, 0, 0], [100, 0, 0]]


def test_a_store_without_anything_has_nothing_to_read() -> None:
    read = read_cells(Store(network=False).machine.pool, 0)
    assert (read.cells.shape, read.skus.shape, read.next_sku) == ((4, 0), (3, 0), -1)
    assert list(find_prices([read, week(), read_lanes(Store(network=False).machine.pool)])) == []


def test_what_hardly_changes_is_left_alone() -> None:
    keys = np.arange(3) << SLOT_BITS
    sold = Wanted(np.repeat(keys, 7), np.tile(NOW_NS - np.arange(1, 8) * DAY_NS, 3), np.ones(21, np.int64))
    (rows,) = find_prices([sold, week(), NO_LANES, piece(keys, 0, np.array([1_024, 1_050, 900]))])
    assert rows.skus.tolist() == [2]
    assert rows.demands.tolist() == [DEMAND_ONE]
    (rows,) = find_prices([sold, week(), NO_LANES, piece(keys, np.array([0, 5, 0]), 1_024)])
    assert (rows.skus.tolist(), rows.prices.tolist()) == ([1], [0])


def test_much_is_written_in_parts() -> None:
    count = 2 * ROWS_A_PART + 1
    keys = np.arange(count) << SLOT_BITS
    sold = Wanted(keys, np.full(count, NOW_NS - DAY_NS), np.ones(count, np.int64))
    sizes = [len(rows.skus) for rows in find_prices([piece(keys), sold, week(1), NO_LANES])]
    assert sizes == [ROWS_A_PART, ROWS_A_PART, 1]


def refreshed(store: Store) -> dict[tuple[str, str], tuple[int, int]]:
    """What a refresh now would write: price and demand of cells."""
    pool, now_ns = store.machine.pool, store.now_ns
    sold, placed = read_sales(pool, 0, 0, 1_000), read_orders(pool, 0, 0, 1_000)
    horizon = Horizon(History(sold.oldest_ns, now_ns), History(placed.oldest_ns, now_ns), 7)
    parts = [sold.sales, placed.ordered, horizon, read_lanes(pool), read_cells(pool, 0)]
    names = pool.names
    return {
        (names.sku_keys[sku], names.node_keys[node]): (price, demand)
        for rows in find_prices(parts)
        for sku, node, price, demand in zip(*(column.tolist() for column in Rows(*rows)), strict=True)
    }


def test_a_unit_that_orders_will_need_has_a_price_where_it_is_scarce() -> None:
    store = Store()
    store.tell(m.PutSkus, skus=(Sku("A", "Ant", 500, unit_value_micros=30_000_000), Sku("B", "Bee", 500)))
    store.stock(("A", "dc", 100), ("A", "east", 8), ("B", "dc", 100), ("B", "east", 100), ("B", "west", 5))
    assert refreshed(store) == {}
    for day in range(6):
        store.wait(DAY_NS // 2)
        assert store.place(ship([("A", 1)], "10001"), f"a-{day}").outcome == 1
        assert store.place(ship([("B", 1)], "10001"), f"b-{day}").outcome == 1
    found = refreshed(store)
    assert found["A", "east"][0] > 0, "next door to all buyers, and few"
    assert ("A", "dc") not in found, "more than anybody will want"
    assert ("B", "east") not in found
    assert all(demand == 0 for _, demand in found.values()), "nobody walked in"


def test_what_walk_ins_alone_want_has_a_demand_and_no_price() -> None:
    store = Store()
    store.tell(m.PutSkus, skus=(Sku("A", "Ant", 500, unit_margin_micros=5_000_000),))
    store.stock(("A", "dc", 100), ("A", "east", 9))
    for _ in range(4):
        store.wait(DAY_NS)
        store.tell(m.RecordSale, channel_key="till", node_key="east", lines=(("A", 1),))
    found = refreshed(store)
    assert [*found] == [("A", "east")]
    price, demand = found["A", "east"]
    assert price == 0, "routing computes it from the demand, the margin and what is left"
    assert 3 * DEMAND_ONE < demand < 8 * DEMAND_ONE


def test_orders_that_are_older_than_the_history_do_not_count() -> None:
    key = np.zeros(1, np.int64)
    old = Ordered(Wanted(key, np.array([NOW_NS - 30 * DAY_NS]), np.array([9])), key, key, key)
    assert list(find_prices([old, week(), NO_LANES, piece(key)])) == []
