"""What does not get as far as a request: headers, deadlines, credentials, paths and frames that no client would send."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpool.v1 import admin_pb2 as admin
from tests.fuzz import frames
from tests.fuzz.calls import BY_NAME, CALLS, Call
from tests.fuzz.conftest import examples
from tests.fuzz.messages import contents
from tests.fuzz.sending import HUNG_S, Metadata, send, state
from tests.service.world import World, open_world

STATUS = BY_NAME["GetStatus"].path.encode()


async def serves(world: World) -> None:
    assert (await world.client.audit_invariants(admin.AuditInvariantsRequest())).ok


TIMEOUTS = [
    b"0n", b"1n", b"-1S", b"S", b"1", b"1x", b"99999999H", b"999999999999999999999H", b"1.5S", b"\xff\xfe", b"0S", b" 1S", b"1S1S",
]  # fmt: skip


@pytest.mark.parametrize("header", TIMEOUTS, ids=repr)
async def test_absurd_deadlines(world: World, header: bytes) -> None:
    """As the header of a foreign client says it. gRPC takes what it cannot read for no deadline, or refuses the call."""
    kinds = await asyncio.wait_for(
        frames.talk(world.target, frames.call(STATUS, [(b"grpc-timeout", header)]), finish=False), HUNG_S
    )
    assert kinds
    await serves(world)


@pytest.mark.parametrize(
    "sent",
    [
        frames.call(STATUS, [(b"content-type", b"text/html")]),
        frames.call(STATUS, [(b"content-type", b"")]),
        frames.call(STATUS, [(b"te", b"")]),
        frames.call(STATUS, [(b":path", b"")]),
        frames.call(STATUS, [(b":scheme", b"gopher")]),
        frames.call(STATUS, method=b"GET"),
        frames.call(STATUS, [(b"grpc-encoding", b"gzip")], body=b"\x01\x00\x00\x00\x02no"),
        frames.call(STATUS, [(b"grpc-encoding", b"nonsense")]),
        frames.call(STATUS, [(b"Upper-Case", b"x")]),
        frames.call(STATUS, [(b"x", b"a\r\nb: c")]),
        frames.call(STATUS, [(b"x", b"y" * 100_000)]),
        frames.call(STATUS, [(b"x%d" % number, b"y") for number in range(2_000)]),
        frames.call(STATUS, [(b"authorization", b"\x00\xff")]),
        frames.call(b"/" + b"a" * 20_000),
        frames.call(b"no path"),
        frames.call(STATUS, body=b"\x07\x00\x00\x00\x00"),
        frames.call(STATUS, body=b"\x00\x00\x00\x00\x00" * 3),
    ],
    ids=lambda sent: str(len(sent)),
)
async def test_calls_that_no_client_would_make(world: World, sent: bytes) -> None:
    await asyncio.wait_for(frames.talk(world.target, sent, finish=False), HUNG_S)
    await serves(world)


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00\x00", b"\x00\x00\x00\x00\x09short", b"\x00\xff\xff\xff\xff"],
    ids=["none", "head", "cut", "4-gb"],
)
async def test_a_call_without_its_message(world: World, body: bytes) -> None:
    """Who ends a call before its message is there gets no answer from gRPC, and may wait; nobody else does."""
    waiting = asyncio.create_task(frames.talk(world.target, frames.call(STATUS, body=body), finish=False))
    await serves(world)
    await serves(world)
    waiting.cancel()
    await serves(world)


@given(data=st.data())
@examples(25)
def test_bytes_that_are_no_http(data: st.DataObject) -> None:
    """Garbage, garbage behind a good beginning, frames of any kind, and a call with some bytes changed."""
    odd_frames = st.builds(
        frames.frame, st.integers(0, 12), st.integers(0, 255), st.integers(0, 5), st.binary(max_size=40)
    ).map(lambda one: frames.PREFACE + frames.frame(frames.SETTINGS, 0, 0) + one)
    good = frames.call(STATUS)
    bent = st.tuples(st.integers(len(frames.PREFACE), len(good) - 1), st.integers(0, 255)).map(
        lambda at: good[: at[0]] + bytes([at[1]]) + good[at[0] + 1 :]
    )
    kind = st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(lambda rest: good + rest), odd_frames, bent)
    sent = data.draw(st.lists(kind, min_size=1, max_size=8))

    async def play() -> None:
        async with open_world() as world:
            for content in sent:
                await asyncio.wait_for(frames.talk(world.target, content, finish=True), HUNG_S)
            await serves(world)

    asyncio.run(play())


async def test_connections_that_say_nothing_hold_nobody_up(world: World) -> None:
    host, _, port = world.target.rpartition(":")
    silent = [await asyncio.open_connection(host, int(port)) for _ in range(100)]
    for _, writer in silent[::2]:
        writer.write(frames.PREFACE)
    await serves(world)
    for _, writer in silent:
        writer.close()


@given(
    service=st.sampled_from(["stockpool.v1.OrderService", "stockpool.v2.OrderService", "", "grpc"]),
    name=st.text("aZ0/._%\t", max_size=30),
)
@examples(25)
def test_calls_that_there_are_not(service: str, name: str) -> None:
    async def play() -> None:
        async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
            unknown: Any = channel.unary_unary(f"/{service}/{name}")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await unknown(b"", timeout=HUNG_S)
            assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
            await serves(world)

    asyncio.run(play())


# Credentials and deadlines, with requests that may make sense

PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=60)
TOKEN = "till"
AUTHORIZATIONS = st.one_of(
    PRINTABLE,
    PRINTABLE.map(lambda text: f"Bearer {text}"),
    st.sampled_from(
        ["", "Bearer", "Bearer ", "Basic dGlsbDo=", "bearer till till", f"Token {TOKEN}", f"Bearer {TOKEN}" * 40]
    ),
)
OTHERS: st.SearchStrategy[tuple[str, str | bytes]] = st.one_of(
    st.tuples(st.sampled_from(["user-agent", "x-trace", "cookie", "te"]), PRINTABLE),
    st.tuples(st.just("x-trace-bin"), st.binary(max_size=100)),
    st.tuples(st.just("grpc-trace-bin"), st.binary(max_size=40)),
)


@given(
    call=st.sampled_from(CALLS),
    data=st.data(),
    authorization=st.none() | AUTHORIZATIONS,
    others=st.lists(OTHERS, max_size=3),
)
@examples(40)
def test_nobody_gets_in_with_garbage(
    call: Call,
    data: st.DataObject,
    authorization: str | None,
    others: list[tuple[str, str | bytes]],
    credentials: Path,
) -> None:
    """Also where the request is garbage as well: who may not call is not told what a request should be."""
    content = data.draw(contents(call))
    metadata: Metadata = tuple(others) if authorization is None else (*others, ("authorization", authorization))

    async def play() -> None:
        async with (
            open_world(filled=False, token=TOKEN, auth_file=credentials) as world,
            grpc.aio.insecure_channel(world.target) as channel,
        ):
            # However busy the machine is: an error must come.
            told = await send(channel, call, [content], metadata, silent_s=HUNG_S)
            assert told.error is not None
            assert (told.error.code, told.error.reason) == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED"), told
            assert world.writer.last_seq == 0
            await serves(world)

    asyncio.run(play())


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("auth") / "callers.json"
    caller = {
        "name": "till",
        "token_sha256": sha256(TOKEN.encode()).hexdigest(),
        "calls": ["*"],
        "nodes": ["*"],
        "channels": ["*"],
    }
    path.write_text(json.dumps([caller]))
    return path


@given(call=st.sampled_from(CALLS), data=st.data(), timeout_s=st.sampled_from([0.0, 1e-9, 1e-4, 1e-3, 1e6, 1e12]))
@examples(30)
def test_deadlines_of_any_length(call: Call, data: st.DataObject, timeout_s: float) -> None:
    """A call that is given no time is done or not done, and the state is whole."""
    content = data.draw(contents(call))

    async def play() -> None:
        async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
            told = await send(channel, call, [content], timeout_s=timeout_s)
            if told.error is not None and not told.error.reason:
                assert told.error.code in {grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED}, told
            await state(channel)

    asyncio.run(play())


# What is not ours


@pytest.mark.parametrize(
    "path", ["/grpc.health.v1.Health/Check", "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
)
@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x05abcde", b"\x12\x7f"], ids=repr)
async def test_garbage_for_health_and_reflection(world: World, path: str, content: bytes) -> None:
    """They are gRPC's own, answer what they answer, and the server goes on."""
    async with grpc.aio.insecure_channel(world.target) as channel:
        check: Any = channel.unary_unary(path)
        reflect: Any = channel.stream_stream(path)
        call = check(content, timeout=HUNG_S) if path.endswith("Check") else reflect(iter([content]), timeout=HUNG_S)
        with suppress(grpc.aio.AioRpcError):
            await (call if path.endswith("Check") else call.read())
        call.cancel()
        assert await call.code() != grpc.StatusCode.DEADLINE_EXCEEDED
    await serves(world)
