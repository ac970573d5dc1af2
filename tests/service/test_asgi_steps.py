"""Unary calls over ASGI: with a task of the server's, and without one."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from engine.service.asgi import wire
from engine.service.asgi.steps import STARTED, make_task
from tests.service.peer import Peer, echo, made

pytestmark = pytest.mark.usefixtures("way")


async def test_what_a_servicer_waits_for_ends_with_the_call() -> None:
    """Whatever that is: a future, its turn, or a thread; and what it catches is its own."""
    waits: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
    seen: list[str] = []

    async def answer(_: bytes, context: Any) -> bytes:
        await asyncio.sleep(0)
        assert await asyncio.to_thread(lambda: 7) == 7
        context.add_done_callback(lambda _: seen.append("done"))
        try:
            return await waits
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    peer = Peer(wire.framed(b""), headers={"grpc-timeout": "100m"})
    await peer.call(made(unary=answer))
    await asyncio.sleep(0)
    assert (peer.status, waits.cancelled()) == (grpc.StatusCode.DEADLINE_EXCEEDED, True)
    assert seen == ["cancelled", "done"]


@types.coroutine
def turn() -> Iterator[None]:
    """Lets the event loop go round once."""
    yield


async def test_a_servicer_that_always_takes_its_turn() -> None:
    async def answer(_: bytes, __: Any) -> bytes:
        while True:
            await turn()

    peer = Peer(wire.framed(b""), headers={"grpc-timeout": "30m"})
    await peer.call(made(unary=answer))
    assert peer.status == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_request_that_never_comes() -> None:
    peer = Peer(ends=False, headers={"grpc-timeout": "30m"})
    await peer.call(made(unary=echo))
    assert peer.status == grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_caller_that_goes_away_before_its_answer() -> None:
    go_on, begun = asyncio.Event(), asyncio.Event()

    async def answer(request: bytes, _: Any) -> bytes:
        begun.set()
        await go_on.wait()
        return request

    application = made(unary=answer)
    peer = Peer(wire.framed(b""))
    call = asyncio.ensure_future(peer.call(application))
    await begun.wait()
    peer.gone.set()
    go_on.set()
    await call
    assert not peer.sent
    assert not application.under_way


async def test_a_loop_whose_server_wants_a_task_for_each_call() -> None:
    loop = asyncio.get_running_loop()
    loop.set_task_factory(make_task)
    assert loop.create_task(STARTED) is STARTED  # type: ignore[arg-type, comparison-overlap]
    STARTED.add_done_callback(None)
    assert await loop.create_task(echo(b"as ever", None)) == b"as ever"


async def test_a_request_that_breaks_off() -> None:
    peer = Peer(wire.framed(b"")[:3], ends=False)
    peer.gone.set()
    await peer.call(made(unary=echo))
    assert not peer.sent
