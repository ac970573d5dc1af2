"""Cells: found through their SKU's chunk, opened in any order, and never moved."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest

from engine.kernels import columns as c
from engine.kernels.effects import apply_effects
from engine.kernels.stock import cell_at, cells_at, plan_cells
from engine.model import commands as m
from engine.model.limits import Limits
from engine.model.outcomes import Outcome
from engine.pool.pool import Pool
from engine.pool.stock import CapacityExhausted
from tests.builders import SMALL, Store, limits


def open_cells(pool: Pool, pairs: list[tuple[int, int]]) -> list[int]:
    slots, effects = pool.stock.plan(pairs, {})
    if effects:
        apply_effects(pool.state, np.array(effects, dtype=np.int64))
    return slots


def room(**changes: int) -> Limits:
    return limits(**({"skus_max": 64, "cells_max": 4_096, "nodes_max": 512} | changes))


@pytest.mark.parametrize("seed", range(5))
def test_cells_are_found_whatever_the_order_of_their_arrival(seed: int) -> None:
    chance = Random(seed)
    pool = Pool(room())
    known: dict[tuple[int, int], int] = {}
    pairs = [(sku, node) for sku in range(8) for node in range(60)]
    chance.shuffle(pairs)
    while pairs:
        some = [pairs.pop() for _ in range(min(len(pairs), chance.randint(1, 30)))]
        asked = some + chance.sample(list(known), min(len(known), 3)) + some[:2]
        slots = open_cells(pool, asked)
        for pair, slot in zip(asked, slots, strict=True):
            assert known.setdefault(pair, slot) == slot, f"seed {seed}"
    assert len(set(known.values())) == len(known), "no two cells share a slot"
    for (sku, node), slot in known.items():
        assert pool.stock.find(sku, node) == slot
        assert pool.names.cell(slot) == (sku, node)
    for sku in range(9):
        assert pool.stock.cells_of(sku) == sorted((node, slot) for (own, node), slot in known.items() if own == sku)
    assert pool.stock.find(3, 77) == pool.stock.find(9, 0) == -1
    assert pool.counter(c.CELLS_OPEN) == len(known)


def test_many_cells_are_looked_up_at_once() -> None:
    pool = Pool(room())
    open_cells(pool, [(1, 5), (1, 3), (2, 3)])
    slots = np.full(4, 99, dtype=np.int64)
    skus, nodes = np.array([1, 2, 2, 1], dtype=np.int64), np.array([3, 5, 3, 5], dtype=np.int64)
    cells_at((skus, nodes), pool.state[1], pool.state[2], slots)
    single = [cell_at(pool.state[1], pool.state[2], sku, node) for sku, node in zip(skus, nodes, strict=True)]
    assert slots.tolist() == single
    assert slots[1] == -1


def test_planning_opens_nothing() -> None:
    pool = Pool(room())
    before = [array.copy() for array in pool.state]
    slots, effects = pool.stock.plan([(1, 2), (0, 7), (1, 1), (1, 2)], {7: 5})
    assert len(set(slots)) == 3
    assert [row[0] for row in effects] == [c.OP_OPEN_CELL] * 3 + [c.OP_MOVE]
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(before, pool.state, strict=True))
    columns = pool.stock.plan_columns(np.array([1, 0, 1, 1]), np.array([2, 7, 1, 2]))
    assert columns[0].tolist() == slots
    assert [tuple(row) for row in columns[1].tolist()] == effects[:3]


def test_cells_of_one_sku_lie_close_together() -> None:
    pool = Pool(room())
    for node in range(100):
        open_cells(pool, [(0, node), (1, node)])
    slots = sorted(slot for _, slot in pool.stock.cells_of(0))
    runs = 1 + sum(after != before + 1 for before, after in pairwise(slots))
    assert runs <= 12, "extents grow by half"


def test_extents_run_out_before_a_slot_is_written_twice() -> None:
    pool = Pool(room(cells_max=16))
    assert open_cells(pool, [(sku, 0) for sku in range(4)]) == [0, 4, 8, 12]
    with pytest.raises(CapacityExhausted, match="cells_max"):
        pool.stock.plan([(4, 0)], {})
    with pytest.raises(CapacityExhausted):
        pool.stock.plan_columns(np.array([0, 4]), np.array([1, 0]))
    assert open_cells(pool, [(sku, node) for sku in range(4) for node in range(4)]) == list(range(16))
    assert pool.counter(c.CELLS_OPEN) == 16
    with pytest.raises(CapacityExhausted):
        pool.stock.plan([(0, 9)], {})


def test_one_sku_may_have_every_cell_there_is() -> None:
    pool = Pool(room(cells_max=512, nodes_max=512, skus_max=1))
    for node in reversed(range(0, 512, 2)):
        open_cells(pool, [(0, node)])
    open_cells(pool, [(0, node) for node in range(1, 512, 2) if node % 6 == 1])
    assert [node for node, _ in pool.stock.cells_of(0)] == sorted({*range(0, 512, 2), *range(1, 512, 6)})
    assert pool.counter(c.INDEX_USED) <= pool.state[2].size


def test_a_plan_counts_the_slots_it_needs() -> None:
    pool = Pool(SMALL)
    opened = np.array([(0, 1, 0, 0), (0, 2, 0, 0), (3, 1, 0, 0)], dtype=np.int64)
    assert plan_cells(pool.state[1], pool.state[8], opened) == 8
    assert opened.tolist() == [[0, 1, 0, 4], [0, 2, 1, 4], [3, 1, 4, 8]]


def test_a_large_first_delivery_lies_in_one_extent() -> None:
    pool = Pool(room())
    assert open_cells(pool, [(5, node) for node in range(37)]) == list(range(37))


def test_totals_follow_every_change() -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 7))
    store.tell(m.RecordSale, node_key="dc", channel_key="till", lines=(("A", 9),))
    pool = store.machine.pool
    totals = [pool.counter(at) for at in (c.AVAILABLE, c.SHORTAGE, c.SHORTAGE_CELLS, c.TOTAL_FIRST + c.ON_HAND)]
    assert totals == [7, 4, 1, 3]
    store.stock(("A", "dc", 0))
    totals = [pool.counter(at) for at in (c.AVAILABLE, c.SHORTAGE, c.SHORTAGE_CELLS, c.TOTAL_FIRST + c.ON_HAND)]
    assert totals == [7, 0, 0, 7]


@pytest.mark.parametrize("cells_max", [4, 5, 7, 9, 13])
def test_a_store_of_odd_size_takes_what_it_can(cells_max: int) -> None:
    """Whatever is refused leaves the store whole."""
    store = Store(limits(cells_max=cells_max))
    taken = refused = 0
    for sku in "ABCD":
        for node in ("dc", "east", "west", "lab"):
            outcome = store.tell(m.SetStock, sku_key=sku, node_key=node, on_hand_units=1).outcome
            assert outcome in (Outcome.OK, Outcome.CAPACITY_EXHAUSTED)
            taken += outcome == Outcome.OK
            refused += outcome != Outcome.OK
            store.audit()
    assert (taken, taken + refused) == (cells_max // 4 * 4, 16)
