"""ImportStock: a stream of columns, its bad rows, its limits, its repetition."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from engine.client import StockpoolError
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from tests.service.world import LIMITS, Outcome, World, open_world


def part(*rows: tuple[str, str, int], **fields: Any) -> inventory.ImportStockRequest:
    skus, nodes, units = zip(*rows, strict=True)
    fields.setdefault("request_id", "feed")
    return inventory.ImportStockRequest(sku_keys=skus, node_keys=nodes, on_hand_units=units, **fields)


async def test_rows_of_many_messages(world: World) -> None:
    response = await world.client.import_stock(
        [
            part(("sku-1", "east", 5), ("sku-2", "east", 6)),
            inventory.ImportStockRequest(
                request_id="feed",
                sku_keys=["sku-3", "sku-4"],
                node_keys=["west"],
                on_hand_units=[7, 8],
                safety_stock_units=[-1, 3],
            ),
        ]
    )
    assert (response.result.outcome, response.row_count, response.applied_count) == (Outcome.OK, 4, 4)
    assert [await world.available(f"sku-{number}") for number in (1, 2, 3, 4)] == [5, 6, 7, 5]


async def test_bad_rows_are_told_by_their_place_in_the_stream(world: World) -> None:
    response = await world.client.import_stock(
        [
            part(("sku-1", "east", 5), ("sku-9", "east", 5)),
            part(("sku-2", "north", 5), ("sku-2", "west", 5)),
        ]
    )
    assert response.result.outcome == Outcome.PARTIAL
    assert response.result.detail.endswith("2 of 4 rows were not applied.")
    assert (response.row_count, response.applied_count) == (4, 2)
    told = [(row.row_index, row.outcome, row.subject) for row in response.refusals]
    assert told == [(1, Outcome.UNKNOWN_SKU, "sku-9"), (2, Outcome.UNKNOWN_NODE, "north")]
    assert [await world.available(key) for key in ("sku-1", "sku-2")] == [5, 5]


@pytest.mark.parametrize("bad", [False, True])
async def test_all_or_nothing(world: World, bad: bool) -> None:
    messages = [
        part(("sku-1", "east", 5), ("sku-2", "east", 6), all_or_nothing=True),
        part(("sku-9" if bad else "sku-3", "west", 7)),
    ]
    response = await world.client.import_stock(messages)
    assert response.result.outcome == (Outcome.BATCH_REFUSED if bad else Outcome.OK)
    assert (response.row_count, response.applied_count) == (3, 0 if bad else 3)
    assert [(row.row_index, row.outcome) for row in response.refusals] == ([(2, Outcome.UNKNOWN_SKU)] if bad else [])
    assert [await world.available(f"sku-{number}") for number in (1, 2, 3)] == ([0, 0, 0] if bad else [5, 6, 7])
    again = await world.client.import_stock(messages)
    assert again.SerializeToString() == response.SerializeToString()


async def test_repeated_stream_gets_the_first_answer(world: World) -> None:
    messages = [part(("sku-1", "east", 5), ("sku-9", "east", 5)), part(("sku-2", "west", 5))]
    first = await world.client.import_stock(messages)
    await world.stock("sku-1", "east", 77)
    again = await world.client.import_stock(messages)
    assert again.SerializeToString() == first.SerializeToString()
    assert await world.available("sku-1") == 77


async def test_stream_that_broke_off_goes_on_where_it_was(world: World) -> None:
    """The messages that arrived before keep their answers; the others are decided now."""
    messages = [part(("sku-1", "east", 5)), part(("sku-2", "east", 6)), part(("sku-3", "east", 7))]
    await world.client.import_stock(messages[:2])
    decided = world.writer.last_seq
    response = await world.client.import_stock(messages)
    assert (response.result.outcome, response.applied_count) == (Outcome.OK, 3)
    assert world.writer.last_seq == decided + 1


async def test_same_id_with_another_body(world: World) -> None:
    await world.client.import_stock([part(("sku-1", "east", 5)), part(("sku-2", "east", 5))])
    response = await world.client.import_stock([part(("sku-1", "east", 5)), part(("sku-2", "east", 6))])
    assert (response.result.outcome, response.result.subject) == (Outcome.REQUEST_ID_REUSED, "feed/1")
    assert (response.row_count, response.applied_count) == (2, 1)


async def test_late_feed_is_stale(world: World) -> None:
    first = part(("sku-1", "east", 5), source_key="wms", source_seq=7, request_id="a")
    late = part(("sku-1", "east", 9), ("sku-2", "east", 9), source_key="wms", source_seq=7, request_id="b")
    await world.client.import_stock([first])
    response = await world.client.import_stock([late])
    assert [(row.row_index, row.outcome, row.subject) for row in response.refusals] == [
        (0, Outcome.STALE_SOURCE, "wms")
    ]
    assert [await world.available(key) for key in ("sku-1", "sku-2")] == [5, 9]


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        ([inventory.ImportStockRequest(request_id="x")], "messages[0].sku_keys"),
        ([part(("sku-1", "east", -1))], "messages[0].on_hand_units[0]"),
        ([part(("sku-1", "east", 1)), part(("", "east", 1))], "messages[1].sku_keys[0]"),
        ([part(("sku-1", "east", 1)), part(("sku-1", "east", 1), request_id="other")], "messages[1].request_id"),
        ([part(("sku-1", "east", 1), request_id="i" * 57)], "messages[0].request_id"),
        ([part(("sku-1", "east", 1), source_seq=4)], "messages[0].source_key"),
        ([part(("sku-1", "east", 1), safety_stock_units=[-2])], "messages[0].safety_stock_units[0]"),
        (
            [
                inventory.ImportStockRequest(
                    request_id="x", sku_keys=["a"] * 3, node_keys=["b"] * 2, on_hand_units=[1] * 3
                )
            ],
            "messages[0].node_keys",
        ),
        (
            [inventory.ImportStockRequest(request_id="x", sku_keys=["a"] * 3, node_keys=["b"], on_hand_units=[1] * 2)],
            "messages[0].on_hand_units",
        ),
        (
            [part(("sku-1", "east", 1), all_or_nothing=True), part(("sku-1", "east", 1), reference="another")],
            "messages[1].reference",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_malformed(world: World, messages: list[inventory.ImportStockRequest], field: str) -> None:
    with pytest.raises(StockpoolError) as caught:
        await world.client.import_stock(messages)
    assert caught.value.reason in ("INVALID_FIELD", "LIMIT_EXCEEDED")
    assert [problem.field for problem in caught.value.fields] == [field]


@pytest.mark.parametrize(
    ("limit", "fields"),
    [
        ("import_rows_per_message_max", {}),
        ("import_rows_per_stream_max", {}),
        ("import_all_or_nothing_rows_max", {"all_or_nothing": True}),
    ],
)
async def test_too_many_rows(limit: str, fields: dict[str, bool]) -> None:
    async with open_world(limits=dataclasses.replace(LIMITS, **{limit: 3})) as world:
        rows = [("sku-1", "east", 1), ("sku-2", "east", 1)]
        messages = [part(*rows, *rows, **fields)] if "message" in limit else [part(*rows, **fields), part(*rows)]
        with pytest.raises(StockpoolError) as caught:
            await world.client.import_stock(messages)
        assert caught.value.reason == "LIMIT_EXCEEDED"
        assert caught.value.metadata == {"limit": limit, "value": "3"}


async def test_store_that_is_full(world: World) -> None:
    """The cells of the store end in the second message: it is refused as a whole, the first one stays."""
    skus = [network.Sku(sku_key=f"more-{number}") for number in range(50)]
    await world.client.put_skus(network.PutSkusRequest(skus=skus))
    keys = [sku.sku_key for sku in skus]
    messages = [
        inventory.ImportStockRequest(request_id="feed", sku_keys=keys, node_keys=[node], on_hand_units=[1] * 50)
        for node in ("east", "west", "shop-e", "shop-w", "shut")
    ]
    response = await world.client.import_stock(messages)
    assert (response.result.outcome, response.result.subject) == (Outcome.CAPACITY_EXHAUSTED, "cells_max")
    assert response.row_count == 250
    assert 0 < response.applied_count < 250
    assert (await world.client.audit_invariants(admin.AuditInvariantsRequest())).ok


async def test_a_hundred_thousand_rows() -> None:
    """Five messages of 20,000 rows, 1,500 of them bad: the first 1,000 are told."""
    limits = dataclasses.replace(LIMITS, skus_max=1 << 16, cells_max=1 << 18)
    async with open_world(limits=limits) as world:
        keys = [f"item-{number}" for number in range(50_000)]
        for first in range(0, 50_000, 1_000):
            skus = [network.Sku(sku_key=key) for key in keys[first : first + 1_000]]
            await world.client.put_skus(network.PutSkusRequest(skus=skus))
        keys[:750] = [f"unknown-{number}" for number in range(750)]
        rows = [(key, node) for node in ("east", "west") for key in keys]
        messages = [
            inventory.ImportStockRequest(
                request_id="feed",
                sku_keys=[key for key, _ in rows[first : first + 20_000]],
                node_keys=[node for _, node in rows[first : first + 20_000]],
                on_hand_units=[3] * 20_000,
            )
            for first in range(0, 100_000, 20_000)
        ]
        response = await world.client.import_stock(messages)
        assert (response.row_count, response.applied_count) == (100_000, 98_500)
        assert len(response.refusals) == 1_000
        assert [row.row_index for row in response.refusals[749:752]] == [749, 50_000, 50_001]
        status = await world.client.get_status(admin.GetStatusRequest())
        assert (status.cell_count, status.on_hand_units) == (98_500, 3 * 98_500)
