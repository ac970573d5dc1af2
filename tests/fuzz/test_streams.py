"""Streams that are cut, or that carry garbage in the middle; and readers of events who begin anywhere."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import grpc
from hypothesis import given
from hypothesis import strategies as st

from engine.service.limits import EVENT_STREAMS_MAX
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from tests.fuzz.calls import BY_NAME, varint
from tests.fuzz.conftest import examples
from tests.fuzz.messages import ODD_NUMBERS, contents
from tests.fuzz.sending import HUNG_S, judge, send, state
from tests.service.world import Outcome, World, open_world

IMPORT, EVENTS = BY_NAME["ImportStock"], BY_NAME["StreamEvents"]
CLIENT_STREAMS = 16
"""What one client may have open; divides EVENT_STREAMS_MAX."""
SKUS = [f"sku-{number}" for number in range(1, 6)]
NODES = ["east", "west", "shop-e", "shop-w"]


@st.composite
def parts(draw: st.DrawFn) -> list[bytes]:
    """The messages of a good stream, each of its own cells, so that what is on hand tells which were applied."""
    cells = draw(
        st.lists(st.tuples(st.sampled_from(SKUS), st.sampled_from(NODES)), min_size=3, max_size=12, unique=True)
    )
    size = draw(st.integers(1, 4))
    return [
        inventory.ImportStockRequest(
            request_id="feed",
            sku_keys=[sku for sku, _ in cells[first : first + size]],
            node_keys=[node for _, node in cells[first : first + size]],
            on_hand_units=[first + row + 1 for row in range(len(cells[first : first + size]))],
        ).SerializeToString()
        for first in range(0, len(cells), size)
    ]


async def applied(world: World) -> dict[tuple[str, str], int]:
    """Units on hand of every cell that has some."""
    request = inventory.BatchGetAvailabilityRequest(channel_key="web", sku_keys=SKUS, with_cells=True)
    response = await world.client.batch_get_availability(request)
    cells = [cell for one in response.availabilities for cell in one.cells]
    return {(cell.sku_key, cell.node_key): cell.on_hand_units for cell in cells if cell.on_hand_units}


def units_of(message: bytes) -> dict[tuple[str, str], int]:
    rows = inventory.ImportStockRequest.FromString(message)
    return dict(zip(zip(rows.sku_keys, rows.node_keys, strict=True), rows.on_hand_units, strict=True))


async def require_prefix(world: World, messages: list[bytes], bad: int) -> None:
    """Messages before the bad one were applied, each as a whole and in order, or not yet decided; nothing behind it was."""
    found = await applied(world)
    prefixes: list[dict[tuple[str, str], int]] = [{}]
    for message in messages[:bad]:
        prefixes.append(prefixes[-1] | units_of(message))
    assert found in prefixes


async def require_resumable(world: World, channel: grpc.aio.Channel, messages: list[bytes]) -> None:
    """The whole stream again, as a caller would who does not know how far it came: every row is there, once."""
    told = await send(channel, IMPORT, messages)
    assert told.error is None, told
    response = inventory.ImportStockResponse.FromString(told.parts[0])
    assert response.result.outcome == Outcome.OK
    assert await applied(world) == {cell: units for message in messages for cell, units in units_of(message).items()}
    await state(channel)


@given(messages=parts(), data=st.data())
@examples(40)
def test_garbage_in_the_middle_of_an_import(messages: list[bytes], data: st.DataObject) -> None:
    bad = data.draw(st.integers(1, len(messages)))
    garbage = data.draw(st.sampled_from([b"\xff\xff", b"\x0a\x02\xff\xfe", b"", messages[0] + b"\x0a\x05other"]))

    async def play() -> None:
        async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
            told = await send(channel, IMPORT, [*messages[:bad], garbage, *messages[bad:]])
            judge(IMPORT, told)
            assert told.error is not None
            assert all(problem.field.startswith((f"messages[{bad}].", "request")) for problem in told.error.fields), (
                told
            )
            await require_prefix(world, messages, bad)
            await require_resumable(world, channel, messages)

    asyncio.run(play())


@given(messages=parts(), data=st.data())
@examples(30)
def test_import_that_is_cut(messages: list[bytes], data: st.DataObject) -> None:
    """The caller goes away behind some messages, now or when the last of them has had time to be read."""
    cut = data.draw(st.integers(0, len(messages)))
    pause_s = data.draw(st.sampled_from([0.0, 0.001, 0.01]))

    async def play() -> None:
        async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
            stream: Any = channel.stream_unary(IMPORT.path)(timeout=HUNG_S)
            for message in messages[:cut]:
                await stream.write(message)
            await asyncio.sleep(pause_s)
            stream.cancel()
            await state(channel)
            await require_prefix(world, messages, cut)
            await require_resumable(world, channel, messages)

    asyncio.run(play())


@given(data=st.data())
@examples(20)
def test_imports_of_anything(data: st.DataObject) -> None:
    """Messages that know nothing of each other."""
    messages = data.draw(st.lists(contents(IMPORT), max_size=5))

    async def play() -> None:
        async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
            judge(IMPORT, await send(channel, IMPORT, messages))
            await state(channel)

    asyncio.run(play())


@given(from_seq=st.sampled_from(ODD_NUMBERS) | st.integers(0, 20), goes_on=st.booleans())
@examples(40)
def test_events_from_anywhere(from_seq: int, goes_on: bool) -> None:
    content = b"\x08" + varint(from_seq) + (b"\x10\x01" if goes_on else b"")

    async def play() -> None:
        async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
            if from_seq < 0:
                told = await send(channel, EVENTS, [content])
                assert told.error is not None
                assert told.error.reason == "INVALID_FIELD"
                return
            expected = list(range(max(from_seq, 1), world.writer.last_seq + 1))
            read: Any = channel.unary_stream(EVENTS.path)
            stream = read(content, timeout=HUNG_S)
            seqs: list[int] = []
            while len(seqs) < len(expected) or not goes_on:
                part = await stream.read()
                if part is grpc.aio.EOF:
                    break
                seqs += [event.journal_seq for event in admin.StreamEventsResponse.FromString(part).events]
            assert seqs == expected
            stream.cancel()

    asyncio.run(play())


async def follow(channel: grpc.aio.Channel) -> Any:
    """A reader of events who is let in, maybe once another one's leave has been noticed."""
    read: Any = channel.unary_stream(EVENTS.path)
    async with asyncio.timeout(HUNG_S):
        while True:
            stream = read(b"\x10\x01", timeout=HUNG_S)
            with suppress(grpc.aio.AioRpcError):
                assert await stream.read()
                return stream
            await asyncio.sleep(0.01)


async def test_readers_who_leave_are_forgotten(world: World) -> None:
    """As many readers as may be there at a time leave without a word: there is room for as many others."""
    async with AsyncExitStack() as stack:
        # A connection is a client, and one client may not take the room of all.
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [
            await stack.enter_async_context(grpc.aio.insecure_channel(world.target, options=options))
            for _ in range(EVENT_STREAMS_MAX // CLIENT_STREAMS)
        ]
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(world.target))
        for _ in range(2):
            streams = [await follow(one) for one in channels for _ in range(CLIENT_STREAMS)]
            told = await send(channel, EVENTS, [b"\x10\x01"])
            assert told.error is not None
            assert told.error.reason == "OVERLOADED"
            for stream in streams:
                stream.cancel()
        await state(channel)
