"""ImportStock: rows that agree, rows that repeat, rows that are refused, and messages that do not fit."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Node
from engine.model.outcomes import Outcome, StockReason
from engine.model.replies import RowRefusal
from tests.builders import Store, limits


@pytest.fixture
def store() -> Store:
    return Store()


def load(store: Store, *rows: tuple[Any, ...], **fields: Any) -> Any:
    """Rows of (SKU, node, on hand[, safety stock])."""
    columns: list[tuple[Any, ...]] = list(zip(*rows, strict=True))
    names = ("sku_keys", "node_keys", "on_hand_units", "safety_stock_units")
    named: dict[str, Any] = dict(zip(names, columns, strict=False))
    reply = store.tell(m.ImportStock, **named, **fields)
    store.audit()
    return reply


def quantities(store: Store, sku: str, node: str) -> tuple[int, int]:
    cell = store.cell(sku, node)
    return cell.on_hand, cell.safety_stock


def test_rows_bring_cells_to_their_counts(store: Store) -> None:
    store.stock(("A", "east", 9))
    reply = load(store, ("A", "east", 5, 1), ("B", "dc", 7, -1), ("A", "west", 0, 0))
    assert reply[:4] == (Outcome.OK, "", 3, 3)
    assert [quantities(store, *pair) for pair in (("A", "east"), ("B", "dc"), ("A", "west"))] == [
        (5, 1),
        (7, 0),
        (0, 0),
    ]


def test_one_node_stands_for_all_rows(store: Store) -> None:
    reply = store.tell(m.ImportStock, sku_keys=("A", "B"), node_keys=("dc",), on_hand_units=(3, 4))
    assert reply.outcome == Outcome.OK
    assert [quantities(store, sku, "dc") for sku in "AB"] == [(3, 0), (4, 0)]


def test_the_last_row_of_a_cell_wins(store: Store) -> None:
    reply = load(store, ("A", "dc", 5), ("B", "dc", 1), ("A", "dc", 3), ("A", "dc", 4))
    assert reply.applied_count == 4
    assert quantities(store, "A", "dc") == (4, 0)
    moves = store.ask(q.ListMovements(0, "A", "dc", 0, 10)).movements
    assert [move.delta_units for move in moves] == [4], "one movement, not three"


def test_a_row_that_leaves_safety_stock_alone_leaves_that_of_an_earlier_row(store: Store) -> None:
    load(store, ("A", "dc", 5, 2), ("A", "dc", 6, -1))
    assert quantities(store, "A", "dc") == (6, 2)
    load(store, ("A", "dc", 5, 3), ("A", "dc", 6, 4), ("A", "dc", 7, -1), ("A", "dc", 8, -1))
    assert quantities(store, "A", "dc") == (8, 4)


def test_a_row_that_agrees_moves_nothing(store: Store) -> None:
    load(store, ("A", "dc", 5, 2))
    load(store, ("A", "dc", 5, 2))
    assert len(store.ask(q.ListMovements(0, "A", "dc", 0, 10)).movements) == 1


def test_new_cells_start_with_the_safety_stock_of_their_node(store: Store) -> None:
    store.tell(m.PutNodes, nodes=(Node("hub", default_safety_stock_units=3), Node("den", default_safety_stock_units=1)))
    load(
        store, ("A", "hub", 10, -1), ("B", "hub", 10, 5), ("C", "hub", 10, 3), ("A", "den", 10, -1), ("A", "dc", 10, -1)
    )
    pairs = (("A", "hub"), ("B", "hub"), ("C", "hub"), ("A", "den"), ("A", "dc"))
    assert [quantities(store, *pair)[1] for pair in pairs] == [3, 5, 3, 1, 0]
    load(store, ("D", "hub", 10))
    assert quantities(store, "D", "hub") == (10, 3)
    load(store, ("A", "hub", 11, 0))
    assert quantities(store, "A", "hub") == (11, 0), "a present cell has no default"


def test_bad_rows_are_told_and_the_others_go_in(store: Store) -> None:
    load(store, ("B", "dc", 1), source_key="wms", source_seq=4)
    reply = load(
        store,
        ("Z", "nowhere", 1), ("A", "nowhere", 1), ("A", "dc", 2), ("B", "dc", 9), ("Z", "dc", 1),
        source_key="wms", source_seq=4,
    )  # fmt: skip
    assert reply[:4] == (Outcome.PARTIAL, "", 5, 1)
    assert reply.refusals == (
        RowRefusal(0, Outcome.UNKNOWN_SKU, "Z"),
        RowRefusal(1, Outcome.UNKNOWN_NODE, "nowhere"),
        RowRefusal(3, Outcome.STALE_SOURCE, "wms"),
        RowRefusal(4, Outcome.UNKNOWN_SKU, "Z"),
    )
    assert (quantities(store, "A", "dc"), quantities(store, "B", "dc")) == ((2, 0), (1, 0))


def test_all_or_nothing_means_nothing(store: Store) -> None:
    reply = load(store, ("A", "dc", 2), ("Z", "dc", 1), source_key="wms", source_seq=4, all_or_nothing=True)
    assert reply[:4] == (Outcome.BATCH_REFUSED, "", 2, 0)
    assert reply.refusals == (RowRefusal(1, Outcome.UNKNOWN_SKU, "Z"),)
    assert store.machine.pool.counter(c.CELLS_OPEN) == 0
    assert not store.machine.pool.names.sources.keys
    reply = load(store, ("A", "dc", 2), ("B", "dc", 1), source_key="wms", source_seq=4, all_or_nothing=True)
    assert reply[:4] == (Outcome.OK, "", 2, 2)


def test_rows_of_one_message_are_not_stale_to_each_other(store: Store) -> None:
    reply = load(store, ("A", "dc", 2), ("A", "dc", 3), source_key="wms", source_seq=1)
    assert reply.outcome == Outcome.OK
    assert quantities(store, "A", "dc") == (3, 0)
    assert load(store, ("A", "dc", 9), source_key="wms", source_seq=1).refusals[0].outcome == Outcome.STALE_SOURCE
    assert load(store, ("A", "dc", 9), source_key="wms", source_seq=2).outcome == Outcome.OK


def test_a_message_of_bad_rows_only_applies_nothing(store: Store) -> None:
    reply = load(store, ("Z", "dc", 2), ("Z", "dc", 2))
    assert reply[:4] == (Outcome.PARTIAL, "", 2, 0)


def test_a_message_that_does_not_fit_is_refused_whole() -> None:
    store = Store(limits(cells_max=8))
    reply = load(store, ("A", "dc", 1), ("B", "dc", 1), ("C", "dc", 1))
    assert reply[:4] == (Outcome.CAPACITY_EXHAUSTED, "cells_max", 3, 0)
    assert store.machine.pool.counter(c.CELLS_OPEN) == 0
    assert load(store, ("A", "dc", 1), ("B", "dc", 1)).outcome == Outcome.OK


def test_feeds_run_out(store: Store) -> None:
    for source in ("one", "two"):
        assert load(store, ("A", "dc", 1), source_key=source, source_seq=1).outcome == Outcome.OK
    reply = load(store, ("A", "dc", 5), source_key="three", source_seq=1)
    assert reply[:4] == (Outcome.CAPACITY_EXHAUSTED, "sources_max", 1, 0)


def test_only_the_first_thousand_bad_rows_are_told(store: Store) -> None:
    reply = load(store, *(("Z", "dc", 1) for _ in range(1_500)))
    assert (reply.row_count, reply.applied_count, len(reply.refusals)) == (1_500, 0, 1_000)


def test_movements_say_import(store: Store) -> None:
    load(store, ("A", "dc", 5, 2))
    (move,) = store.ask(q.ListMovements(0, "A", "dc", 0, 10)).movements
    assert (move.reason, move.delta_units, move.balance_units) == (StockReason.IMPORT, 5, 5)


@pytest.mark.parametrize("seed", range(6))
def test_an_import_is_the_same_as_its_rows_one_by_one(seed: int) -> None:
    chance = Random(seed)
    nodes = (Node("n0", default_safety_stock_units=2), Node("n1"), Node("n2", default_safety_stock_units=1))
    whole, single = Store(), Store()
    for store in (whole, single):
        store.tell(m.PutNodes, nodes=nodes)
    for _ in range(8):
        rows = [
            (chance.choice("ABCD"), f"n{chance.randrange(3)}", chance.randrange(4), chance.randrange(-1, 3))
            for _ in range(chance.randint(1, 9))
        ]
        assert load(whole, *rows).outcome == Outcome.OK
        for row in rows:
            load(single, row)
        for sku in "ABCD":
            for node in ("n0", "n1", "n2"):
                assert quantities(whole, sku, node) == quantities(single, sku, node), f"seed {seed}: {rows}"
