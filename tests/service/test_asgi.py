"""gRPC over ASGI, event by event: messages, metadata, statuses, deadlines and ends, without any server before it."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.service.asgi import wire
from engine.service.asgi.application import GrpcApplication
from tests.service.peer import BYTES_MAX, Peer, echo, made

pytestmark = pytest.mark.usefixtures("way")


async def test_a_unary_call() -> None:
    peer = Peer(wire.framed(b"hello"))
    await peer.call(made(unary=echo))
    assert (peer.messages, peer.status) == ([b"hello"], grpc.StatusCode.OK)
    assert peer.sent[0]["trailers"]
    assert peer.sent[-1]["type"] == "http.response.trailers"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compressed_both_ways(encoding: str) -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        context.set_compression(grpc.Compression.Gzip if encoding == "gzip" else grpc.Compression.Deflate)
        return request

    packed = wire.framed(b"a" * 900, encoding.encode())
    assert packed[0] == 1
    assert len(packed) < 100
    unpack = gzip.decompress if encoding == "gzip" else zlib.decompress
    assert unpack(packed[5:]) == b"a" * 900
    headers = {"grpc-encoding": encoding, "grpc-accept-encoding": "identity, deflate, gzip"}
    peer = Peer(packed, headers=headers)
    await peer.call(made(unary=answer))
    assert (peer.messages, peer.status) == ([b"a" * 900], grpc.StatusCode.OK)
    assert dict(peer.sent[0]["headers"])[b"grpc-encoding"] == encoding.encode()
    plain = Peer(packed, headers={"grpc-encoding": encoding})
    await plain.call(made(unary=answer))
    assert plain.messages == [b"a" * 900]
    assert b"grpc-encoding" not in dict(plain.sent[0]["headers"]) or plain.sent[1]["body"][0] == 0


@pytest.mark.parametrize(
    ("content", "headers", "code"),
    [
        (wire.framed(b"a" * 1_001), {}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (wire.framed(b"a" * 1_001)[:5], {}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (wire.framed(b"\0" * 10_000_000, b"gzip"), {"grpc-encoding": "gzip"}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (wire.framed(b"a" * 1_001, b"gzip"), {"grpc-encoding": "gzip"}, grpc.StatusCode.RESOURCE_EXHAUSTED),
        (wire.framed(b"hello")[:-1], {}, grpc.StatusCode.INTERNAL),
        (b"\0\0", {}, grpc.StatusCode.INTERNAL),
        (b"", {}, grpc.StatusCode.INTERNAL),
        (wire.framed(b"hello") * 2, {}, grpc.StatusCode.INTERNAL),
        (wire.framed(b"hello", b"gzip"), {}, grpc.StatusCode.INTERNAL),
        (wire.framed(b"hello", b"gzip")[:-3], {"grpc-encoding": "gzip"}, grpc.StatusCode.INTERNAL),
        (b"\1\0\0\0\2no", {"grpc-encoding": "gzip"}, grpc.StatusCode.INTERNAL),
        (b"\7\0\0\0\0", {"grpc-encoding": "gzip"}, grpc.StatusCode.INTERNAL),
        (b"\1\0\0\0\2no", {"grpc-encoding": "snappy"}, grpc.StatusCode.UNIMPLEMENTED),
    ],
    ids=range(13),
)
async def test_what_is_no_request(content: bytes, headers: dict[str, str], code: grpc.StatusCode) -> None:
    peer = Peer(content, headers=headers)
    await peer.call(made(unary=echo))
    assert peer.status == code
    assert len(peer.sent) == 2, "headers alone say it"


async def test_an_answer_that_is_too_long() -> None:
    async def answer(_: bytes, __: Any) -> bytes:
        return b"a" * (BYTES_MAX + 1)

    peer = Peer(wire.framed(b""))
    await peer.call(made(unary=answer))
    assert peer.status == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_no_such_call_and_no_grpc() -> None:
    peer = Peer(wire.framed(b""))
    await peer.call(made(unary=echo), "/test.Test/Other")
    assert (peer.status, peer.trailers[b"grpc-message"]) == (grpc.StatusCode.UNIMPLEMENTED, b"Method not found!")
    foreign = Peer(b"{}", headers={"content-type": "application/json"})
    await foreign.call(made(unary=echo))
    assert foreign.sent[0]["status"] == 415


async def test_metadata_both_ways() -> None:
    async def answer(request: bytes, context: Any) -> bytes:
        told = dict(context.invocation_metadata())
        assert (told["who"], told["key-bin"], context.peer()) == ("me", b"\0\xff", "ipv4:127.0.0.1:7")
        assert not {"te", "content-type", "grpc-timeout"} & told.keys()
        assert 9 < context.time_remaining() <= 10
        await context.send_initial_metadata((("early", "1"), ("early-bin", b"\1")))
        context.set_trailing_metadata((("late", "2"), ("late-bin", b"\2\3")))
        return request

    peer = Peer(wire.framed(b"x"), headers={"who": "me", "key-bin": "AP8", "grpc-timeout": "10S"})
    await peer.call(made(unary=answer))
    first = dict(peer.sent[0]["headers"])
    assert (first[b"early"], first[b"early-bin"]) == (b"1", b"AQ")
    assert (peer.trailers[b"late"], peer.trailers[b"late-bin"]) == (b"2", b"AgM")
    assert peer.messages == [b"x"]


async def test_statuses_and_their_text() -> None:
    async def answer(_: bytes, context: Any) -> bytes:
        await context.abort(grpc.StatusCode.NOT_FOUND, "100 % weg: é\n", (("why", "x"),))
        raise AssertionError

    peer = Peer(wire.framed(b""))
    await peer.call(made(unary=answer))
    assert peer.status == grpc.StatusCode.NOT_FOUND
    assert peer.trailers[b"grpc-message"] == b"100 %25 weg: %C3%A9%0A"
    assert peer.trailers[b"why"] == b"x"


async def test_a_servicer_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def answer(_: bytes, __: Any) -> bytes:
        raise ValueError("oh")

    peer = Peer(wire.framed(b""))
    await peer.call(made(unary=answer))
    assert peer.status == grpc.StatusCode.UNKNOWN
    assert "oh" in caplog.text


async def test_streams() -> None:
    async def answers(request: bytes, _: Any) -> AsyncIterator[bytes]:
        for part in request.split():
            yield part

    async def writes(request: bytes, context: Any) -> None:
        for part in request.split():
            await context.write(part)

    async def requests(asked: AsyncIterator[bytes], _: Any) -> bytes:
        return b"+".join([each async for each in asked])

    async def both(_: Any, context: Any) -> None:
        while (each := await context.read()) is not grpc.aio.EOF:
            await context.write(each.upper())

    for servicer in (answers, writes):
        peer = Peer(wire.framed(b"a b c"))
        await peer.call(made(answers=servicer), "/test.Test/Answers")
        assert (peer.messages, peer.status) == ([b"a", b"b", b"c"], grpc.StatusCode.OK)
    cut = wire.framed(b"one") + wire.framed(b"two")
    peer = Peer(*(cut[at : at + 1] for at in range(len(cut))))
    await peer.call(made(requests=requests), "/test.Test/Requests")
    assert peer.messages == [b"one+two"]
    peer = Peer(cut)
    await peer.call(made(both=both), "/test.Test/Both")
    assert peer.messages == [b"ONE", b"TWO"]


async def test_a_stream_with_a_message_that_is_too_long() -> None:
    async def requests(asked: AsyncIterator[bytes], context: Any) -> bytes:
        try:
            return b"+".join([each async for each in asked])
        except Exception:  # noqa: BLE001 - as our services do
            await context.abort(grpc.StatusCode.INTERNAL, "mistaken for an error of the servicer")
            raise AssertionError from None

    peer = Peer(wire.framed(b"one"), wire.framed(b"a" * 1_001))
    await peer.call(made(requests=requests), "/test.Test/Requests")
    assert peer.status == grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_deadline_that_passes() -> None:
    ended = []

    async def answer(_: bytes, context: Any) -> bytes:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(context.time_remaining())
        return b""

    peer = Peer(wire.framed(b""), headers={"grpc-timeout": "30m"})
    await peer.call(made(unary=answer))
    assert (peer.status, ended) == (grpc.StatusCode.DEADLINE_EXCEEDED, [0.0])


@pytest.mark.parametrize("is_whole", [True, False])
async def test_a_caller_that_goes_away(is_whole: bool) -> None:
    """Also one who has said all: nobody tells of that, it has to be looked for."""
    begun, ended = asyncio.Event(), []

    async def answer(asked: Any, context: Any) -> bytes:
        context.add_done_callback(lambda _: ended.append("done"))
        begun.set()
        try:
            async for _ in asked:
                await asyncio.sleep(0)
            await asyncio.sleep(60)
        finally:
            ended.append("gone" if context.cancelled() else "not gone")
        return b""

    peer = Peer(wire.framed(b""), ends=is_whole)
    call = asyncio.ensure_future(peer.call(made(requests=answer), "/test.Test/Requests"))
    await begun.wait()
    peer.gone.set()
    await call
    await asyncio.sleep(0)
    assert ended == ["gone", "done"]
    assert not peer.sent


async def test_the_end_of_the_server() -> None:
    """Calls under way have their time, new ones are refused, and at last what is left is cancelled."""
    application, go_on, begun = GrpcApplication(BYTES_MAX), asyncio.Event(), asyncio.Event()

    async def answer(request: bytes, _: Any) -> bytes:
        begun.set()
        await (go_on.wait() if request == b"short" else asyncio.sleep(60))
        return b""

    application = made(unary=answer)
    short, long, late = Peer(wire.framed(b"short")), Peer(wire.framed(b"long")), Peer(wire.framed(b""))
    under_way = [asyncio.ensure_future(peer.call(application)) for peer in (short, long)]
    await begun.wait()
    stopping = asyncio.ensure_future(application.stop(0.1))
    await asyncio.sleep(0)
    await late.call(application)
    go_on.set()
    await asyncio.gather(stopping, *under_way)
    assert [peer.status.name for peer in (short, long, late)] == ["OK", "CANCELLED", "UNAVAILABLE"]


@given(
    messages=st.lists(st.binary(max_size=50), max_size=5),
    cuts=st.lists(st.integers(0, 300), max_size=10),
    encoding=st.sampled_from([b"identity", b"gzip", b"deflate"]),
)
def test_messages_come_out_as_they_went_in(messages: list[bytes], cuts: list[int], encoding: bytes) -> None:
    content = b"".join(wire.framed(message, encoding) for message in messages)
    reader = wire.Reader(BYTES_MAX, encoding)
    taken: list[bytes] = []
    edges = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
    for begin, end in pairwise(edges):
        reader.feed(content[begin:end])
        while (message := reader.take()) is not None:
            taken.append(message)
    assert taken == messages
    assert reader.is_empty


@given(metadata=st.dictionaries(st.sampled_from(["a", "b-c", "d.e_f"]), st.text(st.characters(codec="ascii"))))
def test_metadata_comes_out_as_it_went_in(metadata: dict[str, str]) -> None:
    raw = {f"{key}-bin": value.encode() for key, value in metadata.items()}
    assert dict(wire.metadata_of(wire.headers_of([*metadata.items(), *raw.items()]))) == metadata | raw


def test_deadlines_are_read_as_grpc_says_them() -> None:
    said = {
        b"1H": 3_600.0,
        b"2M": 120.0,
        b"3S": 3.0,
        b"4m": 0.004,
        b"5u": 5e-6,
        b"6n": 6e-9,
        b"99999999H": 359999996400.0,
    }
    assert {header: wire.timeout_s(header) for header in said} == pytest.approx(said)
    for header in (b"S", b"1", b"1x", b"-1S", b"1.5S", b"999999999S", b" 1S", b"\xff\xfe"):
        assert wire.timeout_s(header) is None
