"""Repeated fields with entries beyond all limits: refused before anybody looks into them, so that nobody else waits."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from grpc import StatusCode

from engine.client import StockpoolError
from engine.service.limits import BATCH_BYTES_MAX, REQUEST_BYTES_MAX, longest_request
from engine.service.port import MESSAGE_BYTES_MAX
from stockpool.v1 import admin_pb2 as admin
from tests.fuzz.calls import CALLS, Call, Repeated, delimited, repeated
from tests.fuzz.sending import HUNG_S, send, state
from tests.service.world import World

FILLED = [(call, one) for call in CALLS for one in repeated(call.request)]
LENGTH = 250_000
"""Enough for entries beyond every limit."""


async def refusal(world: World, call: Call, content: bytes) -> StockpoolError:
    """The error of a call with these bytes, which changes nothing."""
    options = [("grpc.max_send_message_length", -1)]
    async with grpc.aio.insecure_channel(world.target, options=options) as channel:
        before = await state(channel)
        told = await send(channel, call, [content], silent_s=HUNG_S)
        assert await state(channel) == before
    assert told.error is not None
    return told.error


@pytest.mark.parametrize(("call", "field"), FILLED, ids=[f"{call.name}-{one.path}" for call, one in FILLED])
async def test_entries_beyond_their_limit_are_not_looked_at(world: World, call: Call, field: Repeated) -> None:
    """As many as fit into a request. Each of them is wrong as well; had they been looked at, there would be a problem for each."""
    _, longest = longest_request(call.name)
    error = await refusal(world, call, field.filled(min(longest, LENGTH)))
    assert (error.code, error.reason) in {
        (StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"),
        (StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED"),
    }
    place = "messages[0]." if call.streams_in else ""
    told = [problem.field for problem in error.fields]
    assert f"{place}{field.path}" in told or call.name == "PutZoneChart", told
    assert len(told) < 10, told


@pytest.mark.parametrize("call", CALLS, ids=repr)
async def test_longer_than_any_request(world: World, call: Call) -> None:
    """One byte more than a request of this call may have: an unknown field is enough."""
    limit, longest = longest_request(call.name)
    content = delimited(1_000, b"\x00" * longest)
    error = await refusal(world, call, content)
    if limit == "message_bytes_max":
        assert (error.code, error.reason) == (StatusCode.RESOURCE_EXHAUSTED, ""), "gRPC itself, which has no reasons"
        return
    assert (error.code, error.reason) == (StatusCode.INVALID_ARGUMENT, "LIMIT_EXCEEDED")
    assert error.metadata == {"limit": limit, "value": str(longest)}
    assert [problem.field for problem in error.fields] == [f"{'messages[0].' if call.streams_in else ''}request"]


async def test_the_longest_request_is_read(world: World) -> None:
    """An unknown field of a newer caller, up to the limit, does no harm."""
    content = delimited(1_000, b"\x00" * (REQUEST_BYTES_MAX - 5))
    assert len(content) == REQUEST_BYTES_MAX
    async with grpc.aio.insecure_channel(world.target) as channel:
        status: Any = channel.unary_unary("/stockpool.v1.AdminService/GetStatus")
        assert admin.GetStatusResponse.FromString(await status(content)).journal_seq == world.writer.last_seq


def test_limits_are_in_order() -> None:
    assert REQUEST_BYTES_MAX < BATCH_BYTES_MAX < MESSAGE_BYTES_MAX
