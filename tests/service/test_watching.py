"""WatchAvailability: what is told is what GetAvailability says, to everybody who watches, once, in the end the newest."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import AsyncClient, Client, StockpoolError
from engine.journal.memory import MemoryJournal
from engine.model.outcomes import FulfillmentKind
from engine.service import watchers, watching
from engine.service.convert.watching import Subject, Watch
from engine.service.watching import Hub
from engine.writer import NEVER
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from tests.service.test_events import Slow
from tests.service.world import LIMITS, Outcome, World, nodes, open_world, reserve, until

SKUS = [f"sku-{number}" for number in range(1, 6)]
SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP


def asked(*sku_keys: str, interval_ms: int = 100, **fields: Any) -> inventory.WatchAvailabilityRequest:
    fields.setdefault("channel_key", "web")
    interval = Duration(seconds=interval_ms // 1_000, nanos=interval_ms % 1_000 * 1_000_000)
    return inventory.WatchAvailabilityRequest(sku_keys=sku_keys, min_interval=interval, **fields)


def units(*parts: inventory.WatchAvailabilityResponse) -> dict[str, int | None]:
    """What some messages told; None: there is no such SKU."""
    told: dict[str, int | None] = {}
    for part in parts:
        assert part.result.outcome == Outcome.OK, part
        for entry in part.availabilities:
            told[entry.sku_key] = entry.ats_units if entry.outcome == Outcome.OK else None
    return told


async def refused(stream: AsyncIterator[Any]) -> StockpoolError:
    with pytest.raises(StockpoolError) as caught:
        await anext(stream)
    return caught.value


def hub_of(world: World) -> Hub:
    """The hub behind the servicer; to be called when somebody has watched."""
    hub = world.server.inventory.hub
    assert hub is not None
    return hub


async def test_now_and_whenever_it_changes(world: World) -> None:
    await world.stock("sku-1", "east", 10)
    async with aclosing(world.client.watch_availability(asked("sku-1", "nope", "sku-2", "sku-1"))) as stream:
        first = await anext(stream)
        assert units(first) == {"sku-1": 10, "sku-2": 0, "nope": None}
        assert (first.complete, first.resume_seq) == (True, first.result.journal_seq)
        kept = await world.client.reserve(reserve(("sku-1", 3)))
        then = await anext(stream)
        assert units(then) == {"sku-1": 7}
        assert then.result.journal_seq >= kept.result.journal_seq > first.result.journal_seq
        await world.stock("sku-3", "east", 5)
        await world.client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key="nope")]))
        await world.stock("nope", "west", 4)
        told: dict[str, int | None] = {}
        while told.get("nope") != 4:
            told |= units(await anext(stream))
        assert set(told) == {"nope"}, "nobody asked for sku-3"


async def test_kinds_nodes_and_thresholds(world: World) -> None:
    await world.stock("sku-1", "east", 6)
    await world.stock("sku-1", "shop-e", 5)
    await world.stock("sku-1", "shop-w", 2)
    watched = [
        asked("sku-1"),
        asked("sku-1", kind=2),
        asked("sku-1", kind=2, node_key="shop-w"),
        asked("sku-1", channel_key="till", kind=2),
        asked("sku-1", channel_key="market", node_key="west"),
    ]
    streams = [world.client.watch_availability(each) for each in watched]
    assert [units(await anext(each))["sku-1"] for each in streams] == [6, 7, 2, 7, 0]
    web = network.Channel(channel_key="web", all_nodes=True, threshold_units=6)
    await world.client.put_channels(network.PutChannelsRequest(channels=[web]))
    assert [units(await anext(each)) for each in streams[:3]] == [{"sku-1": 0}, {"sku-1": 1}, {"sku-1": 1}]
    shut = next(node for node in nodes() if node.node_key == "shop-w")
    shut.closed = True
    await world.client.put_nodes(network.PutNodesRequest(nodes=[shut]))
    assert [units(await anext(each))["sku-1"] for each in streams[1:4]] == [0, 0, 5]
    for each in streams:
        await each.aclose()


async def test_every_sku_and_those_that_come(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """In messages that are not too large; there is something to go on from when all of them were told."""
    monkeypatch.setattr(watchers, "WATCH_ENTRIES_MAX", 2)
    await world.stock("sku-4", "east", 4)
    async with aclosing(world.client.watch_availability(asked())) as stream:
        parts = [await anext(stream) for _ in range(3)]
        assert units(*parts) == dict.fromkeys(SKUS, 0) | {"sku-4": 4}
        assert [len(part.availabilities) for part in parts] == [2, 2, 1]
        assert [part.resume_seq > 0 for part in parts] == [False, False, True]
        await world.client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key="new")]))
        assert units(await anext(stream)) == {"new": 0}


async def test_only_the_newest_of_many_changes(world: World) -> None:
    """And a watcher that does not read finds the newest, in one message, when it does."""
    watch = Watch(Subject("web", SHIP, "", ("sku-1", "sku-2")), 0, 100_000_000)
    async with aclosing(world.client.watch_availability(asked("sku-3"))) as other:
        await anext(other)
        hub = hub_of(world)
        async with aclosing(hub.stream(watch, NEVER)) as stream:
            assert units(await anext(stream)) == {"sku-1": 0, "sku-2": 0}
            for count in range(1, 60):
                await world.stock("sku-1", "east", count)
                await world.stock("sku-3", "east", count)
            told: dict[str, int | None] = {}
            while told != {"sku-3": 59}:
                told |= units(await anext(other))
            slow = await anext(stream)
            assert units(slow) == {"sku-1": 59}
            assert slow.resume_seq == world.writer.last_seq


async def test_a_message_no_sooner_than_was_asked_for(world: World) -> None:
    loop = asyncio.get_running_loop()
    async with aclosing(world.client.watch_availability(asked("sku-1", interval_ms=400))) as stream:
        await anext(stream)
        begun_s, told = loop.time(), 0
        for count in range(1, 12):
            await world.stock("sku-1", "east", count)
            await asyncio.sleep(0.05)
        while (await anext(stream)).availabilities[0].ats_units != 11:
            told += 1
        assert told <= (loop.time() - begun_s) / 0.4


async def test_it_goes_on_where_it_was(world: World) -> None:
    for sku_key in SKUS:
        await world.stock(sku_key, "east", 1)
    async with aclosing(world.client.watch_availability(asked(*SKUS, "nope"))) as stream:
        resume_seq = (await anext(stream)).resume_seq
    await world.stock("sku-2", "east", 7)
    await world.stock("sku-4", "east", 2)
    async with aclosing(world.client.watch_availability(asked(*SKUS, "nope", from_seq=resume_seq))) as stream:
        part = await anext(stream)
        assert (part.complete, units(part)) == (False, {"sku-2": 7, "sku-4": 2})
        assert part.resume_seq == part.result.journal_seq == world.writer.last_seq
    async with aclosing(world.client.watch_availability(asked(*SKUS, from_seq=world.writer.last_seq))) as stream:
        part = await anext(stream)
        assert (part.complete, units(part), part.resume_seq) == (False, {}, world.writer.last_seq)
        await world.stock("sku-5", "east", 2)
        assert units(await anext(stream)) == {"sku-5": 2}
    async with aclosing(world.client.watch_availability(asked(*SKUS, from_seq=resume_seq - 1))) as stream:
        part = await anext(stream)
        assert part.complete, "nobody watched then"
        assert set(units(part)) == set(SKUS)


async def test_after_a_restart_everything_is_told_again() -> None:
    journal = MemoryJournal()
    async with open_world(journal=journal) as world:
        await world.stock("sku-1", "east", 3)
        async with aclosing(world.client.watch_availability(asked("sku-1", "sku-2"))) as stream:
            resume_seq = (await anext(stream)).resume_seq
        await world.stock("sku-1", "east", 4)
    async with open_world(journal=journal, filled=False) as world:
        async with aclosing(world.client.watch_availability(asked("sku-1", "sku-2", from_seq=resume_seq))) as stream:
            part = await anext(stream)
            assert (part.complete, units(part)) == (True, {"sku-1": 4, "sku-2": 0})
        ahead = world.client.watch_availability(asked("sku-1", from_seq=world.writer.last_seq + 1))
        error = await refused(ahead)
        assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "SEQ_NOT_REACHED")


async def test_the_client_goes_on_by_itself(world: World) -> None:
    """The server goes away in the middle: what changed meanwhile is told, and nothing else."""
    await world.stock("sku-1", "east", 3)
    await world.stock("sku-2", "east", 3)
    async with (
        AsyncClient(world.target, retries=3) as client,
        aclosing(client.watch_availability(asked("sku-1", "sku-2"))) as stream,
    ):
        await anext(stream)
        door = world.server._door
        engine = door._engine
        assert engine is not None
        door.close()

        async def reopen() -> None:
            await asyncio.sleep(0.2)
            door.open(engine.writer, engine.names, engine.journal)
            await world.stock("sku-2", "east", 9)

        opening = asyncio.create_task(reopen())
        told: dict[str, int | None] = {}
        while told.get("sku-2") != 9:
            part = await anext(stream)
            assert not part.complete
            told |= units(part)
        await opening
        assert set(told) == {"sku-2"}


async def test_the_blocking_client_watches_too(world: World) -> None:
    await world.stock("sku-1", "east", 3)

    def read() -> dict[str, int | None]:
        with Client(world.target) as client:
            stream = client.watch_availability(asked("sku-1"))
            try:
                return units(next(stream))
            finally:
                stream.close()

    assert await asyncio.to_thread(read) == {"sku-1": 3}


async def test_nothing_is_told_before_it_is_durable() -> None:
    journal = Slow()
    async with (
        open_world(journal=journal) as world,
        aclosing(world.client.watch_availability(asked("sku-1"))) as stream,
    ):
        await anext(stream)
        durable = world.writer.last_seq
        journal.open.clear()
        call = asyncio.ensure_future(world.stock("sku-1", "east", 8))
        news = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.3)
        try:
            assert (news.done(), world.writer.last_seq) == (False, durable)
        finally:
            journal.open.set()
        await call
        assert units(await news) == {"sku-1": 8}


async def test_who_leaves_leaves_nothing_behind(world: World) -> None:
    request = asked("sku-1", "nope")
    streams = [world.client.watch_availability(request) for _ in range(3)]
    streams.append(world.client.watch_availability(asked("sku-1", node_key="east")))
    for stream in streams:
        await anext(stream)
    hub = hub_of(world)
    assert (len(hub), len(hub.offers), len(world.server._door._streams)) == (4, 2, 1)
    for stream in streams:
        await stream.aclose()
    with pytest.raises(StockpoolError):
        async for _ in world.client.watch_availability(asked("sku-2"), timeout_s=0.2):
            pass
    await until(lambda: hub.idle)
    assert (len(hub), len(hub.offers), len(world.server._door._streams)) == (0, 0, 0)
    await world.stock("sku-1", "east", 2)
    async with aclosing(world.client.watch_availability(request)) as stream:
        assert units(await anext(stream)) == {"sku-1": 2, "nope": None}


async def test_a_deadline_ends_it(world: World) -> None:
    with pytest.raises(StockpoolError) as caught:
        async for _ in world.client.watch_availability(asked("sku-1"), timeout_s=0.3):
            pass
    assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_watchers_are_sent_away_when_the_server_closes(world: World) -> None:
    stream = world.client.watch_availability(asked("sku-1"))
    await anext(stream)
    await world.server.close()
    error = await refused(stream)
    assert (error.code, error.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")


@pytest.mark.parametrize(("limit", "value"), [("watches_max", 2), ("watched_offers_max", 3), ("client_streams_max", 2)])
async def test_too_many(monkeypatch: pytest.MonkeyPatch, limit: str, value: int) -> None:
    if limit != "client_streams_max":
        monkeypatch.setattr(watching, limit.upper(), value)
    streams_max = value if limit == "client_streams_max" else 16
    async with open_world(limits=dataclasses.replace(LIMITS, client_streams_max=streams_max)) as world:
        streams = [world.client.watch_availability(asked(key)) for key in ("sku-1", "sku-2")]
        for stream in streams:
            await anext(stream)
        error = await refused(world.client.watch_availability(asked("sku-3", "sku-4")))
        assert (error.code, error.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
        assert error.retry_after_s
        assert error.metadata == {"limit": limit, "value": str(value)}
        if limit == "watched_offers_max":
            streams.append(world.client.watch_availability(asked("sku-2")))
            await anext(streams[-1])  # it watches with the other
        for stream in streams:
            await stream.aclose()


async def test_bad_input(world: World) -> None:
    bad: Any = {"channel_key": "", "sku_keys": ["sku-1", ""], "kind": 99, "from_seq": -1}
    request = inventory.WatchAvailabilityRequest(min_interval=Duration(nanos=1), **bad)
    error = await refused(world.client.watch_availability(request))
    assert [each.field for each in error.fields] == ["channel_key", "sku_keys[1]", "kind", "from_seq", "min_interval"]
    error = await refused(world.client.watch_availability(asked("sku-1", interval_ms=60_001)))
    assert error.metadata == {"limit": "watch_interval_max_ns", "value": str(60 * 10**9)}
    error = await refused(world.client.watch_availability(asked(*(f"s{number}" for number in range(1_001)))))
    assert error.metadata == {"limit": "batch_items_max", "value": "1000"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [({"channel_key": "shop"}, Outcome.UNKNOWN_CHANNEL), ({"node_key": "north"}, Outcome.UNKNOWN_NODE)],
)
async def test_nothing_to_watch(world: World, fields: dict[str, Any], expected: Outcome) -> None:
    """One message says why, and the stream ends."""
    (part,) = [part async for part in world.client.watch_availability(asked("sku-1", **fields))]
    assert (Outcome(part.result.outcome), [part.result.subject]) == (expected, [*fields.values()])
    assert part.result.subject in part.result.detail
    assert part.result.journal_seq == world.writer.last_seq
    assert not part.resume_seq


async def test_credentials_cover_it_as_they_cover_the_question(tmp_path: Path) -> None:
    file = tmp_path / "callers.json"
    calls = ["InventoryService/WatchAvailability"]
    shop = {"name": "shop", "token_sha256": sha256(b"shop").hexdigest(), "calls": calls}
    file.write_text(json.dumps([shop | {"nodes": ["shop-e"], "channels": ["till"]}]))
    async with open_world(auth_file=file, token="shop", filled=False) as world:
        parts = world.client.watch_availability(asked("sku-1", channel_key="till", node_key="shop-e"))
        assert [part.result.outcome async for part in parts] == [Outcome.UNKNOWN_CHANNEL]
        others: tuple[dict[str, Any], ...] = (
            {"channel_key": "web", "node_key": "shop-e"},
            {"channel_key": "till", "node_key": "shop-w"},
        )
        for fields in others:
            error = await refused(world.client.watch_availability(asked("sku-1", **fields)))
            assert error.reason == "PERMISSION_DENIED"
