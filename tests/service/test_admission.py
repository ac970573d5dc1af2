"""Calls are counted from the moment they come: who would wait too long is refused before its message is read, and no place is lost."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from engine.client import StockpoolError
from engine.service.admission import Admission
from engine.writer import PLACES_MIN, RETRY_MAX_S
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from tests.service.test_errors import Gate
from tests.service.world import LIMITS, open_world, until

PATH = "/stockpool.v1.InventoryService/GetAvailability"
ASKED = inventory.GetAvailabilityRequest(channel_key="web", sku_key="sku-1")


async def answer(request: Any, context: Any) -> Any:
    del context
    return request


def answering() -> Any:
    return grpc.unary_unary_rpc_method_handler(answer, request_deserializer=bytes)


def test_a_place_is_given_back_with_the_handler() -> None:
    admission = Admission(3, 0.25)
    taken: list[Any] = [admission.enter(answering()) for _ in range(3)]
    assert all(each.unary_unary is answer and not each.request_streaming for each in taken)
    assert admission.under_way == 3
    refused = admission.enter(answering())
    assert refused.unary_unary is None
    assert refused.stream_unary is not None
    assert refused.request_streaming
    assert admission.under_way == 3
    taken.pop()
    assert admission.under_way == 2
    assert admission.enter(answering()).unary_unary is answer


def test_places_follow_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand under way, each for a quarter of a second: 4,000 a second, hence 1,000 in a quarter of a second."""
    now_s = 1.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    admission = Admission(20_000, 0.25)
    taken: list[Any] = [admission.enter(answering()) for _ in range(1_000)]
    for each in taken:
        each.request_deserializer(b"")
    now_s += 0.25
    del taken, each
    assert admission.under_way == 0
    places = admission._room.places
    assert PLACES_MIN <= places <= 1_000, "those who came first found fewer before them"


async def test_who_comes_when_all_places_are_taken() -> None:
    gate = Gate()
    limits = dataclasses.replace(LIMITS, inbox_max=4)
    async with open_world(journal=gate, limits=limits) as world, grpc.aio.insecure_channel(world.target) as channel:
        admission = world.server._admission
        await until(lambda: admission.under_way == 0)
        gate.open.clear()
        change = asyncio.ensure_future(world.stock("sku-1", "east", 5))
        await until(gate.entered.is_set)
        reads = [asyncio.ensure_future(world.client.get_availability(ASKED)) for _ in range(3)]
        await until(lambda: admission.under_way == 4)
        call: Any = channel.unary_unary(PATH)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"no message at all \xff")
        status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]
        assert status is not None
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        assert status.details[0].Unpack(info)
        assert (info.reason, info.metadata["limit"]) == ("OVERLOADED", "inbox_max")
        assert status.details[1].Unpack(retry)
        assert 0 < retry.retry_delay.ToNanoseconds() / 1e9 <= RETRY_MAX_S
        told = await world.client.get_limits(admin.GetLimitsRequest())
        assert told.limits, "a crowded server still tells its limits"
        gate.open.set()
        await asyncio.gather(change, *reads)
        await until(lambda: admission.under_way == 0)


async def test_who_gives_up_before_saying_what_it_wants_keeps_no_place() -> None:
    async with open_world() as world, grpc.aio.insecure_channel(world.target) as channel:
        admission = world.server._admission
        calls: list[Any] = [channel.stream_unary(PATH)() for _ in range(PLACES_MIN)]
        for call in calls:
            await call.wait_for_connection()
        await until(lambda: admission.under_way == len(calls))
        for call in calls:
            call.cancel()
        await until(lambda: admission.under_way == 0)
        assert await world.available("sku-1") == 0


async def test_who_says_nothing_loses_its_place_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = dataclasses.replace(LIMITS, inbox_max=4)
    monkeypatch.setattr("engine.service.admission.SILENT_S", 600.0)  # a busy machine takes seconds over six calls
    async with open_world(limits=limits) as world, grpc.aio.insecure_channel(world.target) as channel:
        admission = world.server._admission
        silent: list[Any] = [channel.stream_unary(PATH)() for _ in range(6)]
        await until(lambda: admission.under_way == 4 and sum(call.done() for call in silent) == 2)
        with pytest.raises(StockpoolError):
            await world.available("sku-1")
        monkeypatch.setattr("engine.service.admission.SILENT_S", 0.0)
        assert await world.available("sku-1") == 0
        await until(lambda: admission.under_way == 0)
        spoke = next(call for call in silent if not call.done())
        await spoke.write(ASKED.SerializeToString())
        await spoke.done_writing()
        assert inventory.GetAvailabilityResponse.FromString(await spoke).result.outcome == 1
        for call in silent:
            call.cancel()
        await until(lambda: not admission._placeless)
        assert admission.under_way == 0
