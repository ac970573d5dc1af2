"""A client that knows several places where the server may be: it loses nothing when another one takes over."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from engine.client import AsyncClient, Client, StockpoolError, attempts, calls
from engine.journal import JournalFenced
from engine.service.errors import abort
from engine.writer import JournalLost, NotServing, Overloaded
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server
from stockpool.v1.inventory_pb2_grpc import InventoryServiceServicer, add_InventoryServiceServicer_to_server
from stockpool.v1.reservations_pb2 import ReserveRequest, ReserveResponse
from stockpool.v1.reservations_pb2_grpc import ReservationServiceServicer, add_ReservationServiceServicer_to_server
from stockpool.v1.types_pb2 import Result

Behaviour = Callable[[Any], Awaitable[Any]]
NOBODY = "127.0.0.1:1"


class Place(ReservationServiceServicer, InventoryServiceServicer, AdminServiceServicer):
    """A server that does what the test says first, once each, and then answers with its own number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.ids: list[str] = []
        self.first: list[Behaviour] = []
        self.target = ""

    async def Reserve(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.ids.append(request.request_id)
        if self.first:
            await self.first.pop(0)(context)
        return ReserveResponse(result=Result(journal_seq=self.number))

    async def ImportStock(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        self.ids += [request.request_id async for request in request_iterator]
        if self.first:
            await self.first.pop(0)(context)
        return inventory.ImportStockResponse(row_count=self.number)

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        yield admin.StreamEventsResponse(events=[admin.Event(journal_seq=max(request.from_seq, 1))])
        if self.first:
            await self.first.pop(0)(context)


def failing(error: Exception) -> Behaviour:
    return lambda context: abort(context, error)


FENCED = failing(JournalLost(JournalFenced(1, 2)))


@asynccontextmanager
async def place(number: int) -> AsyncIterator[Place]:
    servicer, server = Place(number), grpc.aio.server()  # type: ignore[abstract]
    add_ReservationServiceServicer_to_server(servicer, server)
    add_InventoryServiceServicer_to_server(servicer, server)
    add_AdminServiceServicer_to_server(servicer, server)
    servicer.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    yield servicer
    await server.stop(0)


@pytest.fixture
async def one() -> AsyncIterator[Place]:
    async with place(1) as opened:
        yield opened


@pytest.fixture
async def two() -> AsyncIterator[Place]:
    async with place(2) as opened:
        yield opened


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause between attempts would not end within the test: it must do without."""
    monkeypatch.setattr(attempts, "PAUSE_FIRST_S", 3_600.0)
    monkeypatch.setattr(attempts, "PAUSE_MAX_S", 3_600.0)


@pytest.mark.usefixtures("no_pause")
async def test_asks_at_the_next_place_at_once_and_stays_there(two: Place) -> None:
    async with AsyncClient(f"{NOBODY}, {two.target}") as client:
        assert client.target == NOBODY
        for _ in range(3):
            assert (await client.reserve(ReserveRequest())).result.journal_seq == 2
        assert client.target == two.target


@pytest.mark.usefixtures("no_pause")
@pytest.mark.parametrize("behaviour", [FENCED, failing(NotServing())], ids=["fenced", "not serving"])
async def test_takes_its_request_id_along(one: Place, two: Place, behaviour: Behaviour) -> None:
    one.first = [behaviour]
    async with AsyncClient([one.target, two.target]) as client:
        assert (await client.reserve(ReserveRequest())).result.journal_seq == 2
        assert one.ids == two.ids
        two.first = [behaviour]
        assert (await client.reserve(ReserveRequest())).result.journal_seq == 1, "and back again"


@pytest.mark.usefixtures("no_pause")
async def test_many_calls_at_once_move_on_together(one: Place, two: Place) -> None:
    one.first = [FENCED] * 20
    async with AsyncClient([one.target, two.target]) as client:
        answers = await asyncio.gather(*(client.reserve(ReserveRequest()) for _ in range(20)))
    assert {answer.result.journal_seq for answer in answers} == {2}
    assert sorted(one.ids) == sorted(two.ids)


async def test_an_overloaded_server_is_the_right_one(one: Place, two: Place) -> None:
    one.first = [failing(Overloaded(1_000_000))]
    async with AsyncClient([one.target, two.target]) as client:
        assert (await client.reserve(ReserveRequest())).result.journal_seq == 1
    assert not two.ids


async def test_gives_up_when_all_are_unavailable_for_long(one: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempts, "PAUSE_FIRST_S", 0.001)
    one.first = [lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "gone")] * 9
    async with AsyncClient([NOBODY, one.target], retries=2) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(ReserveRequest())
    assert caught.value.code == grpc.StatusCode.UNAVAILABLE
    assert len(one.ids) in (2, 3), "once a round"


async def test_a_server_that_hangs_is_left(two: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its machine takes the connection, and then nothing is said."""
    monkeypatch.setattr(calls, "_SILENCE_MS", 200)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        hanging = f"127.0.0.1:{silent.getsockname()[1]}"
        async with AsyncClient([hanging, two.target], timeout_s=30) as client:
            assert (await client.reserve(ReserveRequest())).result.journal_seq == 2


@pytest.mark.usefixtures("no_pause")
async def test_streams_move_on_too(one: Place, two: Place) -> None:
    one.first = [FENCED, FENCED]
    async with AsyncClient([one.target, two.target]) as client:
        assert (await client.import_stock([inventory.ImportStockRequest()])).row_count == 2
        assert one.ids == two.ids
        client.targets.leave(1)
        seen = [
            event.journal_seq
            async for part in client.stream_events(admin.StreamEventsRequest(from_seq=5))
            for event in part.events
        ]
    assert seen == [5, 6], "the second part comes from the second place"


@pytest.mark.usefixtures("no_pause")
async def test_the_blocking_client_does_the_same(one: Place, two: Place) -> None:
    one.first = [FENCED]

    def call() -> int:
        with Client(f"{one.target},{two.target}") as client:
            return client.reserve(ReserveRequest()).result.journal_seq

    assert await asyncio.to_thread(call) == 2
    assert one.ids == two.ids


async def test_a_server_that_closes_is_asked_again(one: Place) -> None:
    """gRPC cancels what a closing server has not looked at."""
    one.first = [lambda context: context.abort(grpc.StatusCode.CANCELLED, "closing")]
    async with AsyncClient(one.target) as client:
        assert (await client.reserve(ReserveRequest())).result.journal_seq == 1
    assert len(one.ids) == 2


async def test_a_closed_client_says_so(one: Place) -> None:
    client = AsyncClient([one.target, NOBODY])
    await client.reserve(ReserveRequest())
    waiting = asyncio.ensure_future(client.reserve(ReserveRequest()))
    one.first = [lambda _: asyncio.sleep(60)]
    while len(one.ids) < 2:  # noqa: ASYNC110 - nobody here can be told
        await asyncio.sleep(0.001)
    await client.close()
    with pytest.raises((StockpoolError, asyncio.CancelledError)):
        await waiting
    with pytest.raises(ValueError, match="the client is closed"):
        client.channel_at(1)


@pytest.mark.parametrize("target", ["", " , ", ()])
def test_there_must_be_a_target(target: Any) -> None:
    with pytest.raises(ValueError, match="target"):
        AsyncClient(target)
