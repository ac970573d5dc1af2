"""Speed: the shape of the work, never its seconds. What ten times as much costs is counted, within one run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from random import Random
from types import FrameType
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from engine.journal.codec import encode
from engine.kernels import columns as c
from engine.kernels import reach
from engine.kernels.effects import apply_effects
from engine.model import commands as m
from engine.model.network import Sku
from engine.model.orders import Order
from engine.model.outcomes import OrderState, Outcome, RejectReason
from engine.pool import pool as pools
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from tests.builders import NODES, SMALL, Store, pickup, ship
from tests.failures.cases import case
from tests.failures.rush import Rush, by_decision, outcomes
from tests.service.world import Outcome as Wire
from tests.service.world import lines, place

PLACES = ("dc", "east", "west")
WIDE = 2
"""How much more the same work may cost in a larger store, or as part of a larger job."""


def keys(count: int) -> list[str]:
    return [f"sku-{at:06}" for at in range(count)]


def stocked(sku_count: int, units: int = 9) -> Store:
    """A store of so many SKUs, each at three nodes."""
    roomy = replace(
        SMALL, skus_max=1 << 16, cells_max=1 << 18, request_ids_remembered=1 << 16, movements_remembered=1 << 12
    )
    store = Store(roomy)
    every = keys(sku_count)
    for at in range(0, sku_count, 1_000):
        store.tell(m.PutSkus, skus=tuple(Sku(key, weight_grams=100) for key in every[at : at + 1_000]))
    for node in PLACES:
        for at in range(0, sku_count, 20_000):
            import_rows(store, [(key, node, units) for key in every[at : at + 20_000]])
    return store


def import_rows(store: Store, rows: Sequence[tuple[str, str, int]]) -> Any:
    sku_keys, node_keys, units = zip(*rows, strict=True)
    reply = store.tell(m.ImportStock, sku_keys=sku_keys, node_keys=node_keys, on_hand_units=units)
    assert reply.outcome == Outcome.OK
    return reply


@dataclass
class Work:
    """What was done: calls of Python functions, calls that changed the state, their rows, decisions, and bytes for the journal."""

    calls: int = 0
    applied: int = 0
    rows: int = 0
    decisions: int = 0
    written: int = 0


@contextmanager
def counted(store: Store) -> Iterator[Work]:
    """Counts the work in the store meanwhile."""
    work, first = Work(), len(store.decisions)

    def apply(state: Any, effects: Any) -> None:
        work.applied += 1
        work.rows += len(effects)
        apply_effects(state, effects)

    def profile(_: FrameType, event: str, __: object) -> None:
        work.calls += event in {"call", "c_call"}

    with patch.object(pools, "apply_effects", apply):
        sys.setprofile(profile)
        try:
            yield work
        finally:
            sys.setprofile(None)
    made = store.decisions[first:]
    work.decisions = len(made)
    work.written = sum(len(encode([decision]).body) for decision in made)


def once(store: Store, action: Callable[[], object]) -> Work:
    with counted(store) as work:
        action()
    return work


@case(73)
def test_updates_take_longer_the_more_there_are() -> None:
    """magento/inventory#2306: the two-thousandth update costs what the first one did, in a small store and in a large one."""

    def update(store: Store, every: Sequence[str], first: int, count: int) -> Work:
        with counted(store) as work:
            for at in range(first, first + count):
                fields: dict[str, Any] = {
                    "sku_key": every[at % len(every)],
                    "node_key": PLACES[at % 3],
                    "on_hand_units": at + 100,
                }
                store.tell(m.SetStock, **fields)
        assert (work.decisions, work.applied) == (count, count)
        return work

    small, large = stocked(20), stocked(20_000)
    some = update(small, keys(20), 0, 200)
    many = update(small, keys(20), 200, 2_000)
    elsewhere = update(large, keys(20_000), 200, 2_000)
    for work in (many, elsewhere):
        assert work.rows == some.rows * 10
        assert work.calls <= some.calls * 10 * WIDE
        assert work.written <= some.written * 10 * WIDE


class Counted(np.ndarray[Any, np.dtype[np.int64]]):
    """An array that counts how often it is read."""

    reads = 0

    def __getitem__(self, key: Any) -> Any:
        Counted.reads += 1
        return super().__getitem__(key)


def reads_of_ats(store: Store, sku: int) -> tuple[int, int]:
    """Availability of a SKU for the first channel, and how many elements were read for it."""
    stock = tuple(array.view(Counted) for array in store.machine.pool.stock.arrays)
    Counted.reads = 0
    kernel = getattr(reach.ats, "py_func", reach.ats)
    units = kernel(stock, store.machine.pool.network.node_rows, sku, 0, c.FLAG_OPEN | c.FLAG_SHIPS)
    return int(units), Counted.reads


@case(74)
def test_one_sku_is_found_by_looking_at_all_rows() -> None:
    """magento/inventory#1950: what is available of a SKU is read from its own cells: as many of them in a store of 150 cells as in one of
    150,000.
    """
    small, large = stocked(50), stocked(50_000)
    assert large.machine.pool.counter(c.CELLS_OPEN) == 150_000
    for store in (small, large):
        for at in (0, 49):
            found = [reads_of_ats(each, 4 + at) for each in (small, store)]
            assert found[0] == found[1]
            assert found[0][0] == 27
            assert found[0][1] <= 2 + 3 * 6, "a handful of reads for each of three cells"
    last = keys(50_000)[-1]
    asked = [once(small, lambda: small.ats(keys(50)[-1])), once(large, lambda: large.ats(last))]
    assert asked[1].calls <= asked[0].calls * WIDE
    held = [
        once(small, lambda: small.reserve(ship([(keys(50)[-1], 9)]))),
        once(large, lambda: large.reserve(ship([(last, 9)]))),
    ]
    assert held[1].calls <= held[0].calls * WIDE
    assert held[1].rows == held[0].rows


@case(75)
def test_an_import_does_its_work_twice() -> None:
    """magento/inventory#2059, magento/inventory#2002: 39,000 rows are two messages, two decisions, one row of effects to open a cell and one
    to fill it; the same file again changes nothing, and a file with ten new numbers changes ten cells.
    """
    store = stocked(13_000, units=0)
    rows = [(key, node, at % 50 + 1) for node in PLACES for at, key in enumerate(keys(13_000))]
    parts = (rows[:20_000], rows[20_000:])

    def everything() -> None:
        for part in parts:
            import_rows(store, part)

    assert store.machine.pool.counter(c.CELLS_OPEN) == 39_000
    first = once(store, everything)
    assert (first.decisions, first.applied, first.rows) == (2, 2, 2 + 39_000)
    again = once(store, everything)
    assert again.decisions == 2
    assert again.rows <= 2
    rows[100:110] = [(key, node, 77) for key, node, _ in rows[100:110]]
    parts = (rows[:20_000], rows[20_000:])
    changed = once(store, everything)
    assert changed.rows <= 2 + 10
    assert changed.written < first.written / 10
    store.audit()


async def pages(call: Any, request: Any, field: str) -> list[Any]:
    """All entries of a paged call, walked until it says that there are no more."""
    found: list[Any] = []
    for _ in range(500):
        response = await call(request)
        assert response.result.outcome == Wire.OK
        found += getattr(response, field)
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token
    pytest.fail("the walk does not end")


@case(76)
@pytest.mark.parametrize("size", [1, 3, 50])
async def test_a_page_without_matches_ends_the_walk(rush: Rush, size: int) -> None:
    """magento/inventory#3351: however many SKUs in a row have no stock and however many orders in a row do not fit the filter, those
    behind them are found.
    """
    skus = await rush.skus(60)
    await rush.world.stock(skus[-1], "shop-e", 70)
    request = inventory.BatchGetAvailabilityRequest(channel_key="till", sku_keys=skus, kind=2)  # type: ignore[arg-type]
    answer = await rush.client.batch_get_availability(request)
    assert [each.ats_units for each in answer.availabilities] == [0] * 59 + [70]
    walked = await pages(rush.client.list_skus, network.ListSkusRequest(page_size=size), "skus")
    assert [sku.sku_key for sku in walked][-60:] == skus
    placed = [
        (await rush.client.place_order(place(f"{skus[-1]}-{at}", (skus[-1], 1), pickup_node_key="shop-e"))).order
        for at in range(70)
    ]
    cancels = [orders.CancelOrderRequest(order_id=order.order_id) for order in placed[:60]]
    assert outcomes(await rush.call("cancel_order", cancels)) == {Wire.OK: 60}
    works = [order.fulfillment_order_ids[0] for order in placed]
    ready = [fulfillment.MarkReadyRequest(fulfillment_order_id=work) for work in works[-2:]]
    await rush.call("mark_ready", ready)
    for state, expected in ((1, works[60:68]), (3, works[68:]), (7, works[:60])):
        listed = fulfillment.ListFulfillmentOrdersRequest(node_key="shop-e", states=[state], page_size=size)  # type: ignore[list-item]
        walked = await pages(rush.client.list_fulfillment_orders, listed, "fulfillment_orders")
        found = [work.fulfillment_order_id for work in walked]
        assert [work for work in found if work >= works[0]] == expected
    moves = inventory.ListMovementsRequest(sku_key=skus[-1], node_key="shop-e", page_size=size)
    assert [move.delta_units for move in await pages(rush.client.list_movements, moves, "movements")] == [70]


@case(77)
def test_a_count_of_ten_thousand_lines_takes_more_than_ten_of_a_thousand() -> None:
    """odoo/odoo#22476, odoo/odoo#56769: a count is one decision and one change of the state, whatever its length; ten times the lines are
    ten times the work. Units have no serial numbers, so a line is a line.
    """
    store = stocked(10_000)
    found: list[Work] = []
    for count in (1_000, 10_000):
        rows = [(key, "dc", 10 + count // 1_000) for key in keys(count)]
        found.append(once(store, lambda rows=rows: import_rows(store, rows)))  # type: ignore[misc]
    short, long = found
    assert (short.decisions, short.applied, long.decisions, long.applied) == (1, 1, 1, 1)
    assert (short.rows, long.rows) == (1 + 1_000, 1 + 10_000)
    assert long.calls <= short.calls * 10 * WIDE
    assert long.written <= short.written * 10 * WIDE


@case(78)
@pytest.mark.parametrize("seed", [78])
async def test_postings_at_the_same_time_leave_a_wrong_balance(rush: Rush, seed: int) -> None:
    """frappe/erpnext#51562: the ledger of a cell is in the order of the decisions, each balance follows from the one before, and each
    answer told the balance that the ledger has.
    """
    chance = Random(seed)
    sku = await rush.sku(shop_e=20)
    changes = [chance.choice([-3, -2, -1, 1, 2, 3, 4]) for _ in range(200)]
    adjusted, received, sold = await rush.at_once(
        [
            rush.call("adjust_stock", [_adjust(sku, delta) for delta in changes]),
            rush.call("receive_stock", [inventory.ReceiveStockRequest(node_key="shop-e", lines=lines((sku, 2)))] * 50),
            rush.call(
                "record_sale",
                [inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines((sku, 3)))] * 50,
            ),
        ]
    )
    assert outcomes([*received, *sold]) == {Wire.OK: 100}
    request = inventory.ListMovementsRequest(sku_key=sku, node_key="shop-e", page_size=40)
    ledger = (await pages(rush.client.list_movements, request, "movements"))[::-1]
    assert (ledger[0].delta_units, ledger[0].balance_units) == (20, 20)
    for before, after in pairwise(ledger):
        assert after.journal_seq > before.journal_seq
        assert after.balance_units == before.balance_units + after.delta_units
    balances = {move.journal_seq: move.balance_units for move in ledger}
    done = [answer for answer in by_decision(adjusted) if answer.result.outcome == Wire.OK]
    assert [answer.cell.on_hand_units for answer in done] == [balances[answer.result.journal_seq] for answer in done]
    assert len(ledger) == 1 + len(done) + 100
    assert (await rush.cell(sku, "shop-e")).on_hand_units == ledger[-1].balance_units


def _adjust(sku: str, delta: int) -> inventory.AdjustStockRequest:
    return inventory.AdjustStockRequest(sku_key=sku, node_key="shop-e", delta_units=delta)


@case(79)
def test_one_disabled_destination_fails_everything() -> None:
    """openlinker-project/openlinker#2704: what becomes of a closed node is a rule: nothing new goes there, its open work stays until it is
    rejected and is then routed elsewhere, a request that only it could serve is refused, a fact is short.
    """
    store = Store()
    store.stock(("A", "east", 9), ("A", "west", 9))
    begun = store.place(ship([("A", 2)])).order
    assert [work.node_index for work in store.work(begun.order_id)] == [1]
    close(store, "east")
    assert store.ats("A") == 9
    assert [work.node_index for work in store.work(store.place(ship([("A", 2)])).order.order_id)] == [2]
    assert store.reserve(pickup([("A", 1)])).outcome == Outcome.NODE_CLOSED
    (work,) = store.work(begun.order_id)
    assert work.is_open
    moved = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.CLOSED)
    assert (moved.outcome, [each.node_index for each in moved.replacements]) == (Outcome.OK, [2])
    assert store.cell("A", "east").on_hand == 9, "closed is not empty"
    close(store, "east", "west")
    assert (store.ats("A"), store.reserve(ship([("A", 1)])).outcome) == (0, Outcome.INSUFFICIENT_STOCK)
    fact: Order = store.ingest(ship([("A", 1)])).order
    assert (fact.state, fact.short_units) == (OrderState.BACKORDERED, 1)
    close(store)
    assert store.ats("A") == 18 - 2 - 2
    assert store.place(ship([("A", 14)])).outcome == Outcome.OK
    store.audit()


def close(store: Store, *closed: str) -> None:
    """These nodes are closed, and no others."""
    store.tell(m.PutNodes, nodes=tuple(node._replace(closed=node.node_key in closed) for node in NODES))
