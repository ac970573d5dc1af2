"""Adjustments, counts, receipts and till sales: what they change, what refuses them, and in which order."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Node, Sku
from engine.model.outcomes import Outcome, Quantity, StockReason
from tests.builders import Store, limits, ship


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "east", 10))
    return store


def adjust(store: Store, delta: int, quantity: Quantity = Quantity.ON_HAND, sku: str = "A", node: str = "east") -> Any:
    reply = store.tell(
        m.AdjustStock, sku_key=sku, node_key=node, quantity=quantity, delta_units=delta, reason=StockReason.CORRECTION
    )
    store.audit()
    return reply


def put(store: Store, sku: str = "A", node: str = "east", **fields: Any) -> Any:
    reply = store.tell(m.SetStock, sku_key=sku, node_key=node, **fields)
    store.audit()
    return reply


def sell(store: Store, *lines: tuple[str, int], node: str = "east", channel: str = "till") -> Any:
    reply = store.tell(m.RecordSale, node_key=node, channel_key=channel, lines=lines)
    store.audit()
    return reply


# AdjustStock


@pytest.mark.parametrize(
    ("quantity", "atf"),
    [
        (Quantity.ON_HAND, 14),
        (Quantity.DAMAGED, 6),
        (Quantity.QUALITY_CONTROL, 6),
        (Quantity.DISPLAY, 6),
        (Quantity.IN_RETURN, 6),
        (Quantity.SAFETY_STOCK, 6),
        (Quantity.INCOMING, 10),
    ],
)
def test_each_quantity_moves_atf_its_own_way(store: Store, quantity: Quantity, atf: int) -> None:
    reply = adjust(store, 4, quantity)
    assert reply.outcome == Outcome.OK
    assert reply.cell == store.cell("A", "east")
    assert reply.cell.atf == atf
    assert adjust(store, -4, quantity).cell.atf == 10


def test_an_adjustment_may_not_take_below_zero(store: Store) -> None:
    refused = adjust(store, -11)
    assert (refused.outcome, refused.subject, refused.cell.on_hand) == (Outcome.INSUFFICIENT_STOCK, "A", 10)
    assert adjust(store, -10).cell.on_hand == 0


def test_an_adjustment_may_break_a_promise(store: Store) -> None:
    store.reserve(ship([("A", 8)]))
    assert adjust(store, -5).cell.atf == -3


def test_a_negative_quantity_can_be_brought_up_step_by_step(store: Store) -> None:
    sell(store, ("A", 15))
    assert adjust(store, 2).outcome == Outcome.OK
    assert store.cell("A", "east").on_hand == -3
    assert adjust(store, -1).outcome == Outcome.INSUFFICIENT_STOCK


def test_an_adjustment_opens_a_cell(store: Store) -> None:
    reply = adjust(store, 3, node="west")
    assert reply.outcome == Outcome.OK
    assert reply.cell == store.cell("A", "west")


# SetStock


def test_a_count_is_compared_with_what_the_caller_saw(store: Store) -> None:
    refused = put(store, on_hand_units=7, expected_on_hand_units=9)
    assert (refused.outcome, refused.cell.on_hand) == (Outcome.STALE_QUANTITY, 10)
    assert put(store, on_hand_units=7, expected_on_hand_units=10).cell.on_hand == 7


def test_a_comparison_with_a_cell_that_is_not_there_sees_zero(store: Store) -> None:
    assert put(store, node="west", on_hand_units=7, expected_on_hand_units=1).outcome == Outcome.STALE_QUANTITY
    assert store.machine.pool.counter(c.CELLS_OPEN) == 1
    assert put(store, node="west", on_hand_units=7, expected_on_hand_units=0).outcome == Outcome.OK


def test_a_late_or_repeated_feed_changes_nothing(store: Store) -> None:
    assert put(store, on_hand_units=5, source_key="wms", source_seq=7).outcome == Outcome.OK
    for seq in (7, 6, 1):
        refused = put(store, on_hand_units=99, source_key="wms", source_seq=seq)
        assert (refused.outcome, refused.subject, refused.cell.on_hand) == (Outcome.STALE_SOURCE, "wms", 5)
    assert put(store, on_hand_units=6, source_key="wms", source_seq=8).outcome == Outcome.OK
    assert put(store, on_hand_units=9, source_key="erp", source_seq=1).outcome == Outcome.OK, "another feed"
    assert put(store, node="west", on_hand_units=9, source_key="wms", source_seq=1).outcome == Outcome.OK, (
        "another cell"
    )


def test_a_stale_feed_is_told_before_a_stale_quantity(store: Store) -> None:
    put(store, source_key="wms", source_seq=7)
    fields: dict[str, Any] = {"on_hand_units": 1, "expected_on_hand_units": 3, "source_key": "wms"}
    assert put(store, source_seq=7, **fields).outcome == Outcome.STALE_SOURCE
    assert put(store, source_seq=8, **fields).outcome == Outcome.STALE_QUANTITY
    assert put(store, on_hand_units=1, source_key="wms", source_seq=8).outcome == Outcome.OK, "8 was not used up"


def test_a_full_store_is_told_after_a_stale_quantity() -> None:
    store = Store(limits(cells_max=4))
    store.stock(("A", "east", 1))
    assert put(store, "B", on_hand_units=1).outcome == Outcome.CAPACITY_EXHAUSTED
    assert put(store, "B", on_hand_units=1, expected_on_hand_units=5).outcome == Outcome.STALE_QUANTITY


def test_feeds_run_out(store: Store) -> None:
    for at, source in enumerate(("wms", "erp")):
        assert put(store, on_hand_units=at, source_key=source, source_seq=1).outcome == Outcome.OK
    refused = put(store, on_hand_units=9, source_key="pim", source_seq=1)
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "sources_max")
    stale = put(store, on_hand_units=9, source_key="pim", source_seq=1, expected_on_hand_units=77)
    assert stale.outcome == Outcome.STALE_QUANTITY
    assert store.cell("A", "east").on_hand == 1
    assert put(store, on_hand_units=2, source_key="erp", source_seq=2).outcome == Outcome.OK


def test_a_new_cell_starts_with_the_safety_stock_of_its_node(store: Store) -> None:
    store.tell(m.PutNodes, nodes=(Node("hub", default_safety_stock_units=3),))
    reply = put(store, node="hub", on_hand_units=5)
    assert (reply.cell.safety_stock, reply.cell.atf) == (3, 2)
    assert put(store, "B", "hub", on_hand_units=5, safety_stock_units=1).cell.safety_stock == 1
    assert adjust(store, 2, node="hub").cell.safety_stock == 3, "only once"
    store.tell(m.PutNodes, nodes=(Node("hub", default_safety_stock_units=9),))
    assert store.cell("A", "hub").safety_stock == 3, "present cells keep theirs"


def test_a_count_below_what_is_promised_is_a_shortage(store: Store) -> None:
    store.reserve(ship([("A", 8)]))
    assert put(store, on_hand_units=8).cell.atf == 0
    assert put(store, on_hand_units=5).cell.atf == -3
    status = store.ask(q.GetStatus(0)).report
    assert (status.shortage_units, status.shortage_cell_count, status.available_units) == (3, 1, 0)


# ReceiveStock, RecordSale


def test_a_receipt_books_every_line(store: Store) -> None:
    lines = (("A", 1), ("B", 2), ("A", 3))
    assert store.tell(m.ReceiveStock, node_key="east", lines=lines).outcome == Outcome.OK
    assert (store.cell("A", "east").on_hand, store.cell("B", "east").on_hand) == (14, 2)
    store.audit()


def test_a_sale_is_a_fact(store: Store) -> None:
    store.reserve(ship([("A", 8)]))
    reply = sell(store, ("A", 5), ("C", 2), ("A", 1))
    assert reply.outcome == Outcome.OK
    assert [(cell.sku_index, cell.on_hand, cell.atf) for cell in reply.shortages] == [(0, 4, -4), (2, -2, -2)]
    assert reply.shortages == (store.cell("A", "east"), store.cell("C", "east"))


def test_a_sale_is_booked_at_a_node_that_the_channel_does_not_sell(store: Store) -> None:
    assert sell(store, ("A", 1), node="dc", channel="till").outcome == Outcome.OK


@pytest.mark.parametrize(
    ("channel", "lines", "node", "outcome", "subject"),
    [
        ("?", (("A", 1), ("Z", 1)), "nowhere", Outcome.UNKNOWN_CHANNEL, "?"),
        ("till", (("A", 1), ("Z", 1)), "nowhere", Outcome.UNKNOWN_SKU, "Z"),
        ("till", (("A", 1),), "nowhere", Outcome.UNKNOWN_NODE, "nowhere"),
    ],
)
def test_what_a_sale_does_not_know(
    store: Store, channel: str, lines: Any, node: str, outcome: int, subject: str
) -> None:
    refused = sell(store, *lines, node=node, channel=channel)
    assert (refused.outcome, refused.subject) == (outcome, subject)
    assert store.cell("A", "east").on_hand == 10


def test_a_receipt_names_an_unknown_sku_before_an_unknown_node(store: Store) -> None:
    lines = (("A", 1), ("Z", 1))
    refused = store.tell(m.ReceiveStock, node_key="nowhere", lines=lines)
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_SKU, "Z")


def test_a_sale_that_needs_more_cells_than_there_are_books_nothing() -> None:
    store = Store(limits(cells_max=8))
    store.stock(("A", "east", 5), ("B", "east", 5))
    refused = sell(store, ("A", 1), ("C", 1))
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "cells_max")
    assert store.cell("A", "east").on_hand == 5
    assert store.machine.pool.counter(c.CELLS_OPEN) == 2


def test_a_sale_of_a_thousand_lines_tells_a_thousand_shortages() -> None:
    store = Store(limits(skus_max=1_024, cells_max=8_192, batch_items_max=1_024))
    skus = tuple(f"S{at}" for at in range(1_000))
    store.tell(m.PutSkus, skus=tuple(map(Sku, skus)))
    reply = sell(store, *((sku, 1) for sku in skus))
    assert len(reply.shortages) == 1_000
    assert all(cell.on_hand == -1 for cell in reply.shortages)
