"""StreamReserve: answers in order, many under way, and an orderly end whoever ends it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest

from engine.client import AsyncClient, StockpoolError
from stockpool.v1 import reservations_pb2 as pb
from tests.service.world import LIMITS, Outcome, World, reserve

COUNT = LIMITS.open_reservations_max


def single(number: int, units: int = 1) -> pb.StreamReserveRequest:
    return pb.StreamReserveRequest(reserve=reserve(("sku-1", units), request_id=f"s{number}", pickup_node_key="shop-e"))


def batch(number: int, *, in_columns: bool) -> pb.StreamReserveRequest:
    asked = pb.BatchReserveRequest(request_id=f"b{number}")
    if in_columns:
        asked.columns.MergeFrom(
            pb.ReservationColumns(
                channel_key="web", line_counts=[1], sku_keys=["sku-1"], units=[1], pickup_node_keys=["shop-e"]
            )
        )
    else:
        asked.reservations.append(single(0).reserve.reservation)
    return pb.StreamReserveRequest(batch_reserve=asked)


async def each(*requests: pb.StreamReserveRequest) -> AsyncIterator[pb.StreamReserveRequest]:
    for request in requests:
        yield request


async def test_answers_come_in_order(world: World) -> None:
    await world.stock("sku-1", "shop-e", 1_000)
    asked = [single(number) for number in range(40)]
    told = [answer async for answer in world.client.stream_reserve(each(*asked))]
    assert [answer.WhichOneof("response") for answer in told] == ["reserve"] * 40
    assert [answer.reserve.reservation.reservation_id for answer in told] == [*range(1, 41)]
    again = [answer async for answer in world.client.stream_reserve(each(*asked))]
    assert again == told, "the first answers"


async def test_what_is_asked_in_rows_and_columns(world: World) -> None:
    await world.stock("sku-1", "shop-e", 3)
    asked = [batch(1, in_columns=True), single(1), batch(2, in_columns=False), batch(3, in_columns=True)]
    told = [answer async for answer in world.client.stream_reserve(each(*asked))]
    assert list(told[0].batch_reserve.columns.reservation_ids) == [1]
    assert told[1].reserve.reservation.reservation_id == 2
    assert told[2].batch_reserve.results[0].reservation_id == 3
    assert list(told[3].batch_reserve.columns.outcomes) == [Outcome.INSUFFICIENT_STOCK]


async def test_a_stream_waits_for_the_next_request(world: World) -> None:
    """The answer comes while the stream is open, not when it ends."""
    await world.stock("sku-1", "shop-e", 10)
    queue: asyncio.Queue[pb.StreamReserveRequest | None] = asyncio.Queue()

    async def asked() -> AsyncIterator[pb.StreamReserveRequest]:
        while (request := await queue.get()) is not None:
            yield request

    answers = world.client.stream_reserve(asked())
    for number in range(3):
        await queue.put(single(number))
        assert (await anext(answers)).reserve.reservation.reservation_id == number + 1
    await queue.put(None)
    with pytest.raises(StopAsyncIteration):
        await anext(answers)


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (pb.StreamReserveRequest(), "messages[2].request"),
        (single(9, units=0), "messages[2].reserve.reservation.lines[0].units"),
        (pb.StreamReserveRequest(batch_reserve=pb.BatchReserveRequest(request_id="b")), "messages[2].batch_reserve.reservations"),
    ],
)  # fmt: skip
async def test_what_is_malformed_ends_the_stream_behind_all_before_it(
    world: World, bad: pb.StreamReserveRequest, field: str
) -> None:
    await world.stock("sku-1", "shop-e", 10)
    answers = world.client.stream_reserve(each(single(1), single(2), bad, single(3)))
    assert [(await anext(answers)).reserve.result.outcome for _ in range(2)] == [Outcome.OK] * 2
    with pytest.raises(StockpoolError) as caught:
        await anext(answers)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert [problem.field for problem in caught.value.fields] == [field]
    found = await world.client.get_reservation(pb.GetReservationRequest(reservation_id=3))
    assert found.result.outcome == Outcome.UNKNOWN_RESERVATION


async def test_a_caller_who_leaves_leaves_nothing_behind(world: World) -> None:
    await world.stock("sku-1", "shop-e", 10)

    async def asked() -> AsyncIterator[pb.StreamReserveRequest]:
        yield single(1)
        await asyncio.Event().wait()

    for _ in range(2 * 16):  # more than one client may have open at a time
        answers = world.client.stream_reserve(asked())
        assert (await anext(answers)).reserve.result.outcome == Outcome.OK
        await answers.aclose()
    async with AsyncClient(world.target, retries=0) as other:
        told = [answer async for answer in other.stream_reserve(each(single(2)))]
    assert told[0].reserve.result.outcome == Outcome.OK


async def test_an_idle_stream_ends_with_the_server(world: World) -> None:
    async def asked() -> AsyncIterator[pb.StreamReserveRequest]:
        await asyncio.Event().wait()
        yield single(1)

    waiting = asyncio.create_task(anext(world.client.stream_reserve(asked())))
    await asyncio.sleep(0.05)
    await world.server.close()
    with pytest.raises(StockpoolError) as caught:
        await asyncio.wait_for(waiting, 5)
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
