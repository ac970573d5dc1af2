"""Bytes go to a real server, and whatever comes back is judged: a reply with an outcome, or an error that says why."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import grpc

from engine.client import StockpoolError
from engine.client.awaited import STATUS_LOST
from stockpool.v1 import admin_pb2, types_pb2
from tests.fuzz.calls import BY_NAME, Call
from tests.service.world import World

Metadata = tuple[tuple[str, str | bytes], ...]

HUNG_S = 30.0
"""No call may take so long; a busy machine must not make one fail."""
SILENT_S = 0.05
"""A stream that follows has nothing more to say for now."""
TOLD_ANEW = {"RunWave"}
"""Commands that tell how long they took, and plan anew when they are repeated; nothing is done twice."""
OUTCOMES = set(types_pb2.Outcome.values()) - {types_pb2.OUTCOME_UNSPECIFIED}
CODES = {
    "INVALID_FIELD": grpc.StatusCode.INVALID_ARGUMENT,
    "LIMIT_EXCEEDED": grpc.StatusCode.INVALID_ARGUMENT,
    "OVERLOADED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "SEQ_NOT_REACHED": grpc.StatusCode.FAILED_PRECONDITION,
    "BAD_PAGE_TOKEN": grpc.StatusCode.OUT_OF_RANGE,
    "DEADLINE": grpc.StatusCode.DEADLINE_EXCEEDED,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "PERMISSION_DENIED": grpc.StatusCode.PERMISSION_DENIED,
}
"""The reasons that a caller may be given, each with its code, as errors.proto says. INTERNAL is a defect; the others mean that the
server is not there."""


class Told(NamedTuple):
    """What a call got: the parts of its reply, or an error."""

    parts: tuple[bytes, ...]
    error: StockpoolError | None = None


class State(NamedTuple):
    """The whole state of the engine, as far as it can be told apart."""

    seq: int
    digest: str


async def send(
    channel: grpc.aio.Channel,
    call: Call,
    messages: Sequence[bytes],
    metadata: Metadata = (),
    timeout_s: float = HUNG_S,
    silent_s: float = SILENT_S,
) -> Told:
    """The messages of one call as they are; a call that takes one gets the first. Of a stream of responses what comes until it has been silent
    for so long.
    """
    common: dict[str, Any] = {"timeout": timeout_s, "metadata": metadata}
    try:
        if call.streams_in and call.streams_out:
            both: Any = channel.stream_stream(call.path)
            parts: tuple[bytes, ...] = tuple([part async for part in both(_each(messages), **common)])
        elif call.streams_in:
            stream: Any = channel.stream_unary(call.path)
            parts = (await stream(_each(messages), **common),)
        elif call.streams_out:
            events: Any = channel.unary_stream(call.path)
            parts = await _first_parts(events(messages[0], **common), silent_s)
        else:
            unary: Any = channel.unary_unary(call.path)
            parts = (await unary(messages[0], **common),)
    except grpc.aio.AioRpcError as error:
        if error.details() == STATUS_LOST:
            return Told((), _lost(call))
        return Told((), StockpoolError(call.name, error))
    except asyncio.CancelledError:
        # Nobody cancels this: gRPC does, when a call ends just while the end of its requests is sent.
        return Told((), _lost(call))
    return Told(parts)


def _lost(call: Call) -> StockpoolError:
    """The call ended while something was sent, and gRPC at this end kept no status."""
    nothing = grpc.aio.Metadata()
    return StockpoolError(call.name, grpc.aio.AioRpcError(grpc.StatusCode.CANCELLED, nothing, nothing))


async def _each(messages: Sequence[bytes]) -> Any:
    for message in messages:
        yield message


async def _first_parts(stream: Any, silent_s: float) -> tuple[bytes, ...]:
    """What comes until the stream ends or has nothing more to say for now: one that follows never ends."""
    parts: list[bytes] = []
    with suppress(TimeoutError):
        while (part := await asyncio.wait_for(stream.read(), silent_s)) is not grpc.aio.EOF:
            parts.append(part)
    stream.cancel()
    return tuple(parts)


def judge(call: Call, told: Told) -> None:
    """What came back is something that the contract knows."""
    if told.error is not None:
        if told.error.code == grpc.StatusCode.CANCELLED:
            return  # lost at this end: see _lost; no server says so
        assert told.error.reason in CODES, f"{call!r}: {told}"
        assert told.error.code == CODES[told.error.reason], f"{call!r}: {told}"
        return
    for part in told.parts:
        reply = call.response.FromString(part)
        if "result" in call.response.DESCRIPTOR.fields_by_name:
            assert reply.result.outcome in OUTCOMES, f"{call!r}: {reply}"
            assert reply.result.detail, f"{call!r}: {reply}"


async def state(channel: grpc.aio.Channel) -> State:
    """The state of a server whose books are in order."""
    told = await send(channel, BY_NAME["AuditInvariants"], [b""])
    audit = admin_pb2.AuditInvariantsResponse.FromString(told.parts[0])
    assert audit.ok, audit
    return State(audit.journal_seq, audit.digest)


async def try_out(world: World, channel: grpc.aio.Channel, call: Call, messages: Sequence[bytes]) -> Told:
    """One call that must leave everything in order: an error or a read leaves the state as it was, and a command that is
    repeated gets the very same bytes.
    """
    before = await state(channel)
    told = await send(channel, call, messages)
    judge(call, told)
    after = await state(channel)
    if told.error is not None and call.streams_in:
        assert after.seq >= before.seq  # messages before the bad one stay applied
    elif told.error is not None or not call.is_command:
        assert after == before, f"{call!r} changed the state: {told}"
    elif call.is_command:
        again = await send(channel, call, messages)
        assert call.name in TOLD_ANEW or again == told, f"{call!r}: the same request got another answer"
        assert await state(channel) == after, f"{call!r}: a repeated request was done again"
    assert world.writer.last_seq == after.seq
    return told
