"""Batches of releases, adjustments and commits decide what the single commands decide one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.journal.codec import encode
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import Limits
from engine.model.orders import Order
from engine.model.outcomes import Outcome, Quantity, StockReason
from engine.service.convert import batches as convert
from engine.service.convert import wire
from engine.service.convert.imports import Gathered, import_message
from engine.service.errors import InvalidRequest
from engine.service.fields import Rules
from stockpool.v1 import inventory_pb2, orders_pb2, reservations_pb2
from tests.builders import Store, limits, pickup, ship

SEEDS = range(40)
SKUS, NODES = ("A", "B", "C", "Z"), ("dc", "east", "west", "lab", "nowhere")
QUANTITIES = (Quantity.ON_HAND, Quantity.DAMAGED, Quantity.SAFETY_STOCK, Quantity.INCOMING)


def rows(reply: Any) -> list[list[int]]:
    told: list[list[int]] = np.frombuffer(reply.columns, dtype="<i8").reshape(-1, 5).tolist()
    return told


def held(seed: int) -> Store:
    """A store with reservations of two channels, some of them closed."""
    chance, store = Random(seed), Store()
    store.stock(("A", "dc", 40), ("B", "east", 40))
    for _ in range(12):
        lines = [("A", chance.randint(1, 2))]
        channel = chance.choice(("web", "web", "app"))
        store.reserve(ship(lines, channel=channel) if chance.random() < 0.7 else pickup([("B", 1)], "east"))
    for reservation_id in chance.sample(range(1, 13), 3):
        store.tell(m.ReleaseReservation, reservation_id=reservation_id)
    return store


def ids(chance: Random) -> list[int]:
    """Some twice, some that never were."""
    return [chance.choice((*range(1, 13), 99)) for _ in range(chance.randint(1, 14))]


@pytest.mark.parametrize("seed", SEEDS)
def test_released_together_and_one_by_one(seed: int) -> None:
    together, alone = held(seed), held(seed)
    wanted = ids(Random(seed))
    reply = together.tell(m.BatchRelease, channel_key="web", reservation_ids=wanted)
    assert reply.outcome == Outcome.OK
    expected = []
    for reservation_id in wanted:
        found = alone.ask(q.GetReservation(0, reservation_id))
        if found.reservation_id and alone.machine.pool.names.channel_keys[found.channel_index] != "web":
            expected.append(int(Outcome.UNKNOWN_RESERVATION))
        else:
            expected.append(int(alone.tell(m.ReleaseReservation, reservation_id=reservation_id).outcome))
    assert [row[0] for row in rows(reply)] == expected, f"seed {seed}"
    same_stock(together, alone)


def same_stock(one: Store, other: Store) -> None:
    mine, theirs = one.machine.pool.state, other.machine.pool.state
    np.testing.assert_array_equal(mine[0][: c.ATF + 1], theirs[0][: c.ATF + 1])
    np.testing.assert_array_equal(mine[0][c.PENDING], 0)
    np.testing.assert_array_equal(mine[3][c.RES_STATE], theirs[3][c.RES_STATE])
    one.audit()


def adjustments(chance: Random) -> tuple[list[str], list[str], list[int]]:
    count = chance.randint(1, 14)
    nodes = [chance.choice(NODES)] if chance.random() < 0.2 else [chance.choice(NODES) for _ in range(count)]
    return (
        [chance.choice(SKUS) for _ in range(count)],
        nodes,
        [chance.choice((-5, -3, -1, 1, 2, 4)) for _ in range(count)],
    )


def spread(column: list[str], count: int) -> list[str]:
    return column * count if len(column) == 1 else column


def stocked(seed: int) -> Store:
    chance, store = Random(seed), Store()
    lab = next(node for node in store.machine.pool.network.nodes if node.node_key == "lab")
    store.tell(m.PutNodes, nodes=(lab._replace(default_safety_stock_units=2),))
    store.stock(*((sku, node, chance.randint(0, 4)) for sku in ("A", "B") for node in ("dc", "east")))
    return store


@pytest.mark.parametrize("seed", SEEDS)
def test_adjusted_together_and_one_by_one(seed: int) -> None:
    chance, together, alone = Random(seed), stocked(seed), stocked(seed)
    skus, nodes, deltas = adjustments(chance)
    quantity, whole = chance.choice(QUANTITIES), chance.random() < 0.3
    reply = together.tell(
        m.BatchAdjustStock, sku_keys=skus, sku_indexes=(), node_keys=nodes, node_indexes=(), delta_units=deltas,
        quantity=quantity, reason=StockReason.CORRECTION, all_or_nothing=whole,
    )  # fmt: skip
    expected = [
        alone.tell(
            m.AdjustStock, sku_key=sku, node_key=node, quantity=quantity, delta_units=delta,
            reason=StockReason.CORRECTION,
        )
        for sku, node, delta in zip(skus, spread(nodes, len(skus)), deltas, strict=True)
    ]  # fmt: skip
    told = [one.outcome for one in expected]
    if whole and set(told) != {Outcome.OK}:
        assert reply.outcome == Outcome.BATCH_REFUSED
        told = [Outcome.BATCH_REFUSED if one == Outcome.OK else one for one in told]
        assert [row[0] for row in rows(reply)] == told, f"seed {seed}"
        same_stock(together, stocked(seed))
        return
    field = quantity.name.lower()
    balances = [getattr(one.cell, field) if one.cell else 0 for one in expected]
    assert [row[:2] for row in rows(reply)] == [list(each) for each in zip(told, balances, strict=True)], f"seed {seed}"
    for sku in ("A", "B", "C"):
        for node in NODES[:4]:
            assert together.cell(sku, node)[2:] == alone.cell(sku, node)[2:], (seed, sku, node)
    together.audit()


def test_a_store_without_room_for_new_cells_refuses_the_batch() -> None:
    store = Store(limits(cells_max=8))
    before = store.machine.seq
    skus, nodes = zip(*[(sku, node) for sku in ("A", "B", "C") for node in ("dc", "east", "west")], strict=True)
    reply = store.tell(
        m.BatchAdjustStock, sku_keys=skus, sku_indexes=(), node_keys=nodes, node_indexes=(), delta_units=(1,),
        quantity=Quantity.ON_HAND, reason=StockReason.CORRECTION,
    )  # fmt: skip
    assert (reply.outcome, reply.subject) == (Outcome.CAPACITY_EXHAUSTED, "cells_max")
    assert store.machine.seq == before + 1
    assert store.ats("A") == 0


def orders(store: Store) -> list[Order]:
    """All orders, whichever decision made them."""
    found = store.machine.pool.orders.orders.values()
    return [order._replace(routings=tuple(each._replace(seq=0) for each in order.routings)) for order in found]


@pytest.mark.parametrize("seed", SEEDS)
def test_committed_together_and_one_by_one(seed: int) -> None:
    chance, together, alone = Random(seed), held(seed), held(seed)
    wanted = ids(chance)
    keys = [f"k{chance.randint(1, 10)}" for _ in wanted]
    customers = [f"c{at}" for at in range(len(wanted))] if chance.random() < 0.5 else []
    for store in (together, alone):
        store.place(ship([("A", 1)]), "k3")
    reply = together.tell(
        m.BatchCommit, channel_key="web", reservation_ids=wanted, order_keys=keys, customer_keys=customers
    )
    expected = []
    for at, reservation_id in enumerate(wanted):
        one = alone.tell(
            m.PlaceOrder, channel_key="web", order_key=keys[at], customer_key=customers[at] if customers else "",
            lines=(), reservation_id=reservation_id,
        )  # fmt: skip
        expected.append([int(one.outcome), one.order.order_id if one.order else one.existing_order_id])
    assert [row[:2] for row in rows(reply)] == expected, f"seed {seed}"
    assert orders(together) == orders(alone), f"seed {seed}"
    work = together.machine.pool.orders.fulfillment_orders
    assert [*work.values()] == [*alone.machine.pool.orders.fulfillment_orders.values()]
    same_stock(together, alone)


def test_an_unknown_channel_has_nothing() -> None:
    store = held(1)
    for kind, fields in (
        (m.BatchRelease, {"reservation_ids": [1]}),
        (m.BatchCommit, {"reservation_ids": [1], "order_keys": ["a"]}),
    ):
        reply = store.tell(kind, channel_key="none", **fields)
        assert (reply.outcome, reply.subject, reply.columns) == (Outcome.UNKNOWN_CHANNEL, "none", b"")


# At the border

CORRECTION: Any = {"quantity": 1, "reason": 2}


def bad() -> Iterator[tuple[Any, Any, list[str]]]:
    release, commit = reservations_pb2.BatchReleaseRequest, orders_pb2.BatchCommitRequest
    adjust = inventory_pb2.BatchAdjustStockRequest
    good: dict[str, Any] = {"request_id": "r", "channel_key": "web"}
    yield convert.batch_release, release(**good), ["reservation_ids"]
    yield convert.batch_release, release(reservation_ids=[1, 0, -4]), [
        "request_id", "channel_key", "reservation_ids[1]", "reservation_ids[2]",
    ]  # fmt: skip
    yield convert.batch_release, release(reservation_ids=[1] * 1_001, **good), ["reservation_ids"]
    yield convert.batch_commit, commit(reservation_ids=[1, 2], order_keys=["a"], **good), ["order_keys"]
    yield convert.batch_commit, commit(reservation_ids=[1], order_keys=[""], **good), ["order_keys[0]"]
    yield (
        convert.batch_commit,
        commit(reservation_ids=[1], order_keys=["a"], customer_keys=["b", "c"], **good),
        ["customer_keys"],
    )
    good = {"request_id": "r", "sku_keys": ["A", "B"], "node_keys": ["dc"], "delta_units": [1], "reason": 2}
    for fields, wrong in (
        ({"sku_keys": []}, ["sku_keys"]),
        ({"node_keys": []}, ["node_keys", "node_keys"]),
        ({"node_keys": ["dc"] * 3}, ["node_keys"]),
        ({"delta_units": [1, 0]}, ["delta_units[1]"]),
        ({"delta_units": [-(2**63), 1]}, ["delta_units[0]"]),
        ({"delta_units": []}, ["delta_units"]),
        ({"sku_indexes": [1, 2]}, ["sku_indexes", "directory"]),
        ({"quantity": 6}, ["quantity"]),
        ({"reference": "x" * 129}, ["reference"]),
    ):
        yield convert.batch_adjust, adjust(**{**good, **fields}), wrong


BAD = list(bad())


@pytest.mark.parametrize(
    ("work", "request_", "fields"), BAD, ids=[f"{at}-{each[2][-1]}" for at, each in enumerate(BAD)]
)
def test_what_is_wrong_is_named(work: Any, request_: Any, fields: list[str]) -> None:
    rules = Rules(Limits(), Store().machine.pool.names)
    for read in (type(request_).FromString, wire.reader(type(request_))):
        with pytest.raises(InvalidRequest) as caught:
            work(read(request_.SerializeToString()), rules)
        assert [problem.field for problem in caught.value.problems] == fields


@pytest.mark.parametrize("by_index", [False, True])
def test_adjustments_over_the_border(by_index: bool) -> None:
    store = stocked(1)
    names = store.machine.pool.names
    request = inventory_pb2.BatchAdjustStockRequest(request_id="r", delta_units=[3, -1], **CORRECTION)
    if by_index:
        request.directory = names.directory()
        request.sku_indexes.extend((names.skus.find("A"), names.skus.find("C")))
        request.node_indexes.append(names.nodes.find("dc"))
    else:
        request.sku_keys.extend(("A", "C"))
        request.node_keys.append("dc")
    before = store.cell("A", "dc").on_hand
    read = wire.reader(inventory_pb2.BatchAdjustStockRequest)(request.SerializeToString())
    reply = store.submit(convert.batch_adjust(read, Rules(store.machine.pool.limits, names)))
    content = convert.BATCH_ADJUST_STOCK.answer(3, reply, names).SerializeToString()
    told = inventory_pb2.BatchAdjustStockResponse.FromString(content)
    assert [*map(int, told.outcomes)] == [Outcome.OK, Outcome.INSUFFICIENT_STOCK]
    assert list(told.balance_units) == [before + 3, 0]


@pytest.mark.parametrize("seed", SEEDS)
def test_imports_by_key_and_by_index(seed: int) -> None:
    chance, stores = Random(seed), (stocked(seed), stocked(seed))
    names = stores[0].machine.pool.names
    count = chance.randint(1, 12)
    skus = [chance.choice(names.sku_keys) for _ in range(count)]
    nodes = [chance.choice(names.node_keys) for _ in range(1 if chance.random() < 0.3 else count)]
    units = [chance.randint(0, 9) for _ in range(count)]
    request = inventory_pb2.ImportStockRequest(request_id="i", on_hand_units=units)
    if chance.random() < 0.5:
        request.safety_stock_units.extend(chance.randint(-1, 2) for _ in range(count))
    if chance.random() < 0.5:
        request.source_key, request.source_seq = "wms", 7
    whole = chance.random() < 0.5
    decisions = []
    for store, by_index in zip(stores, (False, True), strict=True):
        asked = inventory_pb2.ImportStockRequest()
        asked.CopyFrom(request)
        if by_index:
            asked.directory = names.directory()
            asked.sku_indexes.extend(map(names.skus.find, skus))
            asked.node_indexes.extend(map(names.nodes.find, nodes))
        else:
            asked.sku_keys.extend(skus)
            asked.node_keys.extend(nodes)
        rules = Rules(Limits(), names)
        part = import_message(wire.reader(inventory_pb2.ImportStockRequest)(asked.SerializeToString()), rules, 0)
        if whole:
            gathered = Gathered(rules)
            gathered.add(part)
            part = gathered.command()
        store.submit(replace(part, fingerprint=7))
        decisions.append(encode([store.decisions[-1]]).body)
    assert decisions[0] == decisions[1], f"seed {seed}"
    assert stores[0].machine.digest() == stores[1].machine.digest(), f"seed {seed}"


def test_a_whole_import_is_by_key_or_by_index() -> None:
    store = stocked(1)
    names = store.machine.pool.names
    rules = Rules(Limits(), names)
    gathered = Gathered(rules)
    asked = inventory_pb2.ImportStockRequest(request_id="i", node_keys=["dc"], on_hand_units=[1])
    asked.sku_keys.append("A")
    gathered.add(import_message(asked, rules, 0))
    asked.ClearField("sku_keys")
    asked.directory = names.directory()
    asked.sku_indexes.append(0)
    with pytest.raises(InvalidRequest) as caught:
        gathered.add(import_message(asked, rules, 1))
    assert [problem.field for problem in caught.value.problems] == ["sku_indexes"]
