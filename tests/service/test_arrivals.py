"""Many calls are asked for at a time, whatever version of gRPC this is; each is answered, also those that come as the server ends."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from engine.service.arrivals import ArrivalsServer
from tests.service.world import until

ASKED = 32
"""Calls that these servers ask for at a time."""
SHUTDOWN_CODES = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}


class Counting(grpc.GenericRpcHandler):
    """Answers with what it was asked, once ``gate`` is open, and counts."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.begun = 0
        self.answered = 0

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        del handler_call_details

        async def echo(request: bytes, context: Any) -> bytes:
            del context
            self.begun += 1
            await self.gate.wait()
            self.answered += 1
            return request

        return grpc.unary_unary_rpc_method_handler(echo)


async def opened(handler: Counting) -> tuple[ArrivalsServer, str]:
    server = ArrivalsServer([("grpc.so_reuseport", 0)], ASKED)
    server.add_generic_rpc_handlers((handler,))
    port = server.add_insecure_port("localhost:0")
    await server.start()
    return server, f"localhost:{port}"


async def test_as_many_are_asked_for_as_may_come_at_once() -> None:
    """The hook is no public one: this fails when a version of gRPC passes it by."""
    server, target = await opened(Counting())
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary("/a/B")
        assert await call(b"x") == b"x"
        await asyncio.sleep(0)
        assert server._server._asked in (ASKED, ASKED - 1)
    await server.stop(None)


@pytest.mark.parametrize("count", [1, ASKED - 1, ASKED, ASKED + 1, 10 * ASKED])
async def test_every_call_is_answered(count: int) -> None:
    handler = Counting()
    server, target = await opened(handler)
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary("/a/B")
        for _ in range(3):
            asked = [str(number).encode() for number in range(count)]
            assert await asyncio.gather(*(call(each) for each in asked)) == asked
    assert handler.answered == 3 * count
    await server.stop(None)


async def test_calls_that_come_as_the_server_ends() -> None:
    """What a handler was given is answered; whoever was not, is told that the server went away."""
    handler = Counting()
    server, target = await opened(handler)
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary("/a/B")
        await call(b"first")
        calls = [asyncio.ensure_future(call(b"x")) for _ in range(20 * ASKED)]
        await until(lambda: handler.begun >= 3)  # some are being answered, most are on their way
        await server.stop(10)
        answers = await asyncio.gather(*calls, return_exceptions=True)
    told = [answer for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert {error.code() for error in told} <= SHUTDOWN_CODES
    assert answers.count(b"x") == handler.answered - 1 == handler.begun - 1
    assert len(told) + answers.count(b"x") == len(calls)


async def test_calls_under_way_when_the_server_ends_are_answered() -> None:
    handler = Counting()
    server, target = await opened(handler)
    handler.gate.clear()
    async with grpc.aio.insecure_channel(target) as channel:
        call: Any = channel.unary_unary("/a/B")
        calls = [asyncio.ensure_future(call(b"x")) for _ in range(3 * ASKED)]
        await until(lambda: handler.begun == len(calls))
        stopping = asyncio.ensure_future(server.stop(10))
        await asyncio.sleep(0.02)
        handler.gate.set()
        assert await asyncio.gather(*calls) == [b"x"] * len(calls)
        await stopping


async def test_an_end_without_a_start_and_a_second_end() -> None:
    server = ArrivalsServer([])
    await server.stop(None)
    server, _ = await opened(Counting())
    await server.stop(None)
    await server.stop(None)
