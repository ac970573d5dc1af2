"""The benchmarks' HTTP/2 against grpcio's own server."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
import pytest

from benchmarks.wire import MAX_CONCURRENT_STREAMS, SETTINGS, Wire, WireError, frame

PATH = "/benchmarks.Echo/Echo"


@pytest.fixture
async def target() -> AsyncIterator[str]:
    """A server that answers a message with itself, and fails at an empty one."""

    async def echo(request: bytes, context: Any) -> bytes:
        if not request:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "empty")
        return request

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(echo)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("benchmarks.Echo", {"Echo": handler}),))
    port = server.add_insecure_port("localhost:0")
    await server.start()
    yield f"localhost:{port}"
    await server.stop(None)


async def test_every_call_gets_its_own_answer(target: str) -> None:
    wire = await Wire.connect(target)
    for turn in range(3):
        # Together more than the window that a connection begins with, each in one frame.
        requests = [b"%d-%d" % (turn, number) * 40 for number in range(700)]
        wire.prepare(PATH, requests, 16)
        answered = await wire.run()
        assert answered.messages == requests
        assert len(answered.latencies_us) == 700
        assert min(answered.latencies_us) > 0
    wire.close()


async def test_a_call_that_fails_has_no_message(target: str) -> None:
    wire = await Wire.connect(target)
    wire.prepare(PATH, [b"one", b"", b"three"], 2)
    assert (await wire.run()).messages == [b"one", b"", b"three"]
    wire.prepare("/benchmarks.Echo/Nothing", [b"one"], 1)
    assert (await wire.run()).messages == [b""]
    wire.close()


@asynccontextmanager
async def speaking(settings: bytes, until: Callable[[asyncio.StreamReader], Awaitable[bytes]]) -> AsyncIterator[str]:
    """A server that tells its settings, reads, and closes the connection."""
    ended = asyncio.Event()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(frame(SETTINGS, 0, 0, settings))
        await until(reader)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    async with await asyncio.start_server(speak, "localhost", 0) as server:
        yield f"localhost:{server.sockets[0].getsockname()[1]}"
        await ended.wait()


async def test_a_server_that_goes_is_told() -> None:
    async with speaking(b"", lambda reader: reader.readuntil(b"one")) as target:
        wire = await Wire.connect(target)
        wire.prepare(PATH, [b"one"], 1)
        with pytest.raises(WireError, match="closed"):
            await wire.run()
        wire.close()


async def test_more_than_a_server_takes_at_a_time_is_told() -> None:
    narrow = struct.pack("!HL", MAX_CONCURRENT_STREAMS, 10)
    async with speaking(narrow, lambda reader: reader.read()) as target:
        wire = await Wire.connect(target)
        with pytest.raises(WireError, match="takes 10 calls"):
            wire.prepare(PATH, [b"one"], 11)
        wire.close()
