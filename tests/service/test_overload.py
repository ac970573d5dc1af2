"""Too much at once: who is refused is told which limit and when to come back, and who was accepted is answered."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest

from engine.client import AsyncClient, StockpoolError
from engine.writer import PLACES_MIN, RETRY_MAX_S
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1.inventory_pb2_grpc import InventoryServiceStub
from tests.service.test_errors import Gate
from tests.service.world import LIMITS, World, open_world, until

ASKED = inventory.GetAvailabilityRequest(channel_key="web", sku_key="sku-1")


async def ask(world: World, count: int) -> list[asyncio.Task[Any]]:
    """So many calls of one client, once each is refused or waits for its answer."""
    before = world.writer.inbox_count
    calls = [asyncio.ensure_future(world.client.get_availability(ASKED)) for _ in range(count)]
    await until(lambda: sum(call.done() for call in calls) + world.writer.inbox_count - before == count)
    return calls


def refused(calls: list[asyncio.Task[Any]], limit: str, value: int) -> int:
    """How many of them were refused: all by this limit."""
    errors = [call.exception() for call in calls if call.done() and call.exception()]
    for error in errors:
        assert isinstance(error, StockpoolError)
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert error.metadata == {"limit": limit, "value": str(value)}
        assert error.retry_after_s is not None
        assert 0 < error.retry_after_s <= RETRY_MAX_S
    return len(errors)


async def blocked(world: World, gate: Gate) -> asyncio.Task[Any]:
    """A change that the journal does not let through, so that whoever comes after it waits."""
    gate.open.clear()
    gate.entered.clear()
    change = asyncio.ensure_future(world.stock("sku-1", "east", 5))
    await until(gate.entered.is_set)
    return change


async def test_who_would_wait_too_long_is_refused() -> None:
    gate = Gate()
    limits = dataclasses.replace(LIMITS, inbox_wait_max_ns=1_000_000, client_requests_max=2_000)
    async with open_world(journal=gate, limits=limits) as world:
        change = await blocked(world, gate)
        slow = await ask(world, PLACES_MIN - 1)
        assert not any(call.done() for call in slow)
        await asyncio.sleep(0.2)
        gate.open.set()
        await asyncio.gather(change, *slow)
        change = await blocked(world, gate)
        calls = await ask(world, PLACES_MIN + 10)
        assert refused(calls, "inbox_wait_max_ns", 1_000_000) == 11
        gate.open.set()
        await change
        answers = await asyncio.gather(*calls, return_exceptions=True)
        assert sum(isinstance(answer, inventory.GetAvailabilityResponse) for answer in answers) == PLACES_MIN - 1
        again = await asyncio.gather(*await ask(world, 11))
        assert {answer.availability.ats_units for answer in again} == {5}


async def test_one_client_does_not_take_the_room_of_all() -> None:
    gate = Gate()
    limits = dataclasses.replace(LIMITS, client_requests_max=4)
    async with open_world(journal=gate, limits=limits) as world:
        change = await blocked(world, gate)
        calls = await ask(world, 6)
        assert refused(calls, "client_requests_max", 4) == 3, "the change is under way, too"
        options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
        async with grpc.aio.insecure_channel(world.target, options=options) as channel:
            other = asyncio.ensure_future(InventoryServiceStub(channel).GetAvailability(ASKED))
            await until(lambda: world.writer.inbox_count == 5)
            gate.open.set()
            assert (await other).availability.ats_units == 5
        await change
        assert (
            sum(not isinstance(one, StockpoolError) for one in await asyncio.gather(*calls, return_exceptions=True))
            == 3
        )
        await asyncio.gather(*await ask(world, 4))
        assert len(world.server._door._requests) == 0, "nothing is under way"


async def test_with_credentials_a_client_is_who_it_says(tmp_path: Path) -> None:
    """Several connections of one credential are one client."""
    gate, file = Gate(), tmp_path / "callers.json"
    everything = {"calls": ["*"], "nodes": ["*"], "channels": ["*"]}
    file.write_text(
        json.dumps([{"name": name, "token_sha256": sha256(name.encode()).hexdigest()} | everything for name in "ab"])
    )
    limits = dataclasses.replace(LIMITS, client_requests_max=4)
    async with open_world(journal=gate, limits=limits, auth_file=file, token="a") as world:
        change = await blocked(world, gate)
        calls = await ask(world, 3)
        options = [("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(world.target, options=options) as channel:
            stub = InventoryServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetAvailability(ASKED, metadata=(("authorization", "Bearer a"),))
            assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
            other = asyncio.ensure_future(stub.GetAvailability(ASKED, metadata=(("authorization", "Bearer b"),)))
            await until(lambda: world.writer.inbox_count == 5)
            gate.open.set()
            assert (await other).availability.ats_units == 5
        await asyncio.gather(change, *calls)


async def test_a_client_has_only_so_many_streams() -> None:
    """Imports and events together; one that ends makes room."""
    limits = dataclasses.replace(LIMITS, client_streams_max=2)
    gone = asyncio.Event()

    async def endless() -> Any:
        yield inventory.ImportStockRequest(request_id="i", sku_keys=["sku-1"], node_keys=["east"], on_hand_units=[7])
        await gone.wait()

    async with open_world(limits=limits) as world:
        follow = admin.StreamEventsRequest(follow=True)
        events = world.client.stream_events(follow)
        await anext(events)
        importing = asyncio.ensure_future(InventoryServiceStub(world.client.channel).ImportStock(endless()))
        await until(
            lambda: world.server._door._streams._counts == dict.fromkeys(world.server._door._streams._counts, 2)
        )
        await until(lambda: len(world.server._door._streams) == 1)
        with pytest.raises(StockpoolError) as caught:
            await anext(world.client.stream_events(follow))
        assert caught.value.metadata == {"limit": "client_streams_max", "value": "2"}
        assert caught.value.retry_after_s
        with pytest.raises(StockpoolError) as caught:
            await world.client.import_stock([inventory.ImportStockRequest(sku_keys=["a"])])
        assert caught.value.metadata == {"limit": "client_streams_max", "value": "2"}
        gone.set()
        assert (await importing).result.outcome == 1
        await anext(world.client.stream_events(follow))
        await events.aclose()


async def test_a_client_that_repeats_gets_through() -> None:
    """The client waits as long as it is told, and asks again with the same id."""
    gate = Gate()
    limits = dataclasses.replace(LIMITS, client_requests_max=8)
    async with (
        open_world(journal=gate, limits=limits) as world,
        AsyncClient(world.target, retries=20, timeout_s=30) as client,
    ):
        change = await blocked(world, gate)
        calls = [asyncio.ensure_future(client.get_availability(ASKED)) for _ in range(30)]
        await until(lambda: world.writer.inbox_count == 8)
        gate.open.set()
        await change
        assert {answer.availability.ats_units for answer in await asyncio.gather(*calls)} == {5}
