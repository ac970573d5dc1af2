"""Batches in columns over the wire: indexes are learned, used, and refused where they are not this store's or not this caller's."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from grpc import StatusCode

from engine.client import AsyncClient, StockpoolError
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as pb
from tests.service.world import Outcome, World, open_world


async def indexes(world: World) -> network.GetIndexesResponse:
    return await world.client.get_indexes(
        network.GetIndexesRequest(sku_keys=["sku-1", "sku-2", "none"], node_keys=["shop-e", "shop-w", "none"])
    )


async def collected(client: AsyncClient, told: network.GetIndexesResponse, node: int) -> pb.BatchReserveResponse:
    """Two reservations of two lines each at a store."""
    columns = pb.ReservationColumns(
        channel_key="web",
        directory=told.directory,
        line_counts=[2],
        sku_indexes=[told.sku_indexes[0], told.sku_indexes[1]] * 2,
        units=[1, 2, 3, 4],
        pickup_node_indexes=[told.node_indexes[node]],
    )
    return await client.batch_reserve(pb.BatchReserveRequest(columns=columns))


async def test_indexes_are_learned_and_used(world: World) -> None:
    for sku in ("sku-1", "sku-2"):
        await world.stock(sku, "shop-e", 5)
    told = await indexes(world)
    assert told.result.outcome == Outcome.OK
    assert told.sku_indexes[2] == told.node_indexes[2] == -1
    answer = await collected(world.client, told, 0)
    assert answer.result.outcome == Outcome.OK
    first, second = answer.columns.reservation_ids
    assert second == 0, "five units are there, and the first has two of them"
    assert list(answer.columns.outcomes) == [Outcome.OK, Outcome.INSUFFICIENT_STOCK]
    assert (answer.columns.line_indexes[1], answer.columns.available_units[1]) == (1, 3)
    found = await world.client.get_reservation(pb.GetReservationRequest(reservation_id=first))
    legs = [(leg.sku_key, leg.node_key, leg.units) for leg in found.reservation.legs]
    assert legs == [("sku-1", "shop-e", 1), ("sku-2", "shop-e", 2)]
    assert found.reservation.expire_time == answer.columns.expire_time


async def test_held_together_ordered_together_released_together(world: World) -> None:
    await world.stock("sku-1", "shop-e", 3)
    columns = pb.ReservationColumns(
        channel_key="web", line_counts=[1], sku_keys=["sku-1"] * 3, units=[1], pickup_node_keys=["shop-e"]
    )
    held = (await world.client.batch_reserve(pb.BatchReserveRequest(columns=columns))).columns.reservation_ids
    commit = orders.BatchCommitRequest(channel_key="web", reservation_ids=held[:2], order_keys=["a", "a"])
    committed = await world.client.batch_commit(commit)
    assert list(committed.outcomes) == [Outcome.OK, Outcome.DUPLICATE_ORDER]
    assert committed.order_ids[0] == committed.order_ids[1] > 0
    order = (await world.client.get_order(orders.GetOrderRequest(channel_key="web", order_key="a"))).order
    assert order.order_id == committed.order_ids[0]
    explained = await world.client.explain_order(orders.ExplainOrderRequest(order_id=order.order_id))
    assert explained.result.outcome == Outcome.OK
    release = pb.BatchReleaseRequest(channel_key="web", reservation_ids=[*held[1:], held[1], held[0], 99])
    released = await world.client.batch_release(release)
    assert list(released.outcomes) == [
        Outcome.OK, Outcome.OK, Outcome.RESERVATION_RELEASED, Outcome.RESERVATION_COMMITTED, Outcome.UNKNOWN_RESERVATION
    ]  # fmt: skip
    assert await world.client.batch_release(pb.BatchReleaseRequest(channel_key="none", reservation_ids=[1])) != released


async def test_the_first_answer_comes_again(world: World) -> None:
    await world.stock("sku-1", "shop-e", 1)
    columns = pb.ReservationColumns(
        channel_key="web", line_counts=[1], sku_keys=["sku-1"], units=[1], pickup_node_keys=["shop-e"]
    )
    request = pb.BatchReserveRequest(request_id="again", columns=columns)
    first = await world.client.batch_reserve(request)
    assert await world.client.batch_reserve(request) == first
    assert len(first.columns.reservation_ids) == 1
    assert not first.columns.outcomes


async def test_an_index_of_another_store_is_refused(world: World) -> None:
    told = await indexes(world)
    told.directory = "3.00000001-3.00000001"
    with pytest.raises(StockpoolError) as caught:
        await collected(world.client, told, 0)
    assert caught.value.code == StatusCode.INVALID_ARGUMENT
    assert [problem.field for problem in caught.value.fields] == ["columns.directory"]


async def test_a_node_by_its_index_is_covered_or_not(tmp_path: Path) -> None:
    file = tmp_path / "credentials.json"
    entries = [
        {"name": name, "token_sha256": sha256(name.encode()).hexdigest(), "calls": ["*"], "nodes": nodes, "channels": ["*"]}
        for name, nodes in (("all", ["*"]), ("shop", ["shop-e"]))
    ]  # fmt: skip
    file.write_text(json.dumps(entries), encoding="utf-8")
    async with open_world(auth_file=file, token="all") as world:
        told = await indexes(world)
        async with AsyncClient(world.target, token="shop", retries=0) as shop:
            with pytest.raises(StockpoolError) as caught:
                await collected(shop, told, 1)
            assert caught.value.code == StatusCode.PERMISSION_DENIED
            assert (await collected(shop, told, 0)).result.outcome == Outcome.OK
