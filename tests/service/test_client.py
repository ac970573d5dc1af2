"""The client against servers that misbehave: what it repeats, what it does not, what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from engine.client import AsyncClient, Client, StockpoolError, attempts
from engine.service.errors import InvalidRequest, Problem, abort
from engine.writer import Overloaded
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1.admin_pb2_grpc import AdminServiceServicer, add_AdminServiceServicer_to_server
from stockpool.v1.inventory_pb2_grpc import InventoryServiceServicer, add_InventoryServiceServicer_to_server
from stockpool.v1.reservations_pb2 import Reservation, ReserveRequest, ReserveResponse
from stockpool.v1.reservations_pb2_grpc import ReservationServiceServicer, add_ReservationServiceServicer_to_server

Behaviour = Callable[[int, Any], Any]


class Moody(ReservationServiceServicer, InventoryServiceServicer, AdminServiceServicer):
    """Fails as the test says, call by call, and keeps what it was sent."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.metadata: list[dict[str, Any]] = []
        self.behave: Behaviour = lambda _, __: None
        self.target = ""

    async def Reserve(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.seen.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        outcome = self.behave(len(self.seen), context)
        if outcome is not None:
            await outcome
        return ReserveResponse(reservation=Reservation(reservation_id=len(self.seen)))

    async def ImportStock(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        self.seen.append([request async for request in request_iterator])
        outcome = self.behave(len(self.seen), context)
        if outcome is not None:
            await outcome
        return inventory.ImportStockResponse(row_count=len(self.seen[-1]))

    async def StreamEvents(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        self.seen.append(request.from_seq)
        for seq in range(max(request.from_seq, 1), 10):
            yield admin.StreamEventsResponse(events=[admin.Event(journal_seq=seq)])
            if seq % 3 == 0 and seq < 9:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "gone")


@pytest.fixture
async def moody(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Moody]:
    monkeypatch.setattr(attempts, "PAUSE_FIRST_S", 0.001)
    servicer, server = Moody(), grpc.aio.server()  # type: ignore[abstract]
    add_ReservationServiceServicer_to_server(servicer, server)
    add_InventoryServiceServicer_to_server(servicer, server)
    add_AdminServiceServicer_to_server(servicer, server)
    servicer.target = f"localhost:{server.add_insecure_port('localhost:0')}"
    await server.start()
    yield servicer
    await server.stop(0)


def fails(times: int, code: grpc.StatusCode) -> Behaviour:
    return lambda count, context: context.abort(code, "no") if count <= times else None


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED])
async def test_repeats_with_the_same_id(moody: Moody, code: grpc.StatusCode) -> None:
    moody.behave = fails(3, code)
    request = ReserveRequest()
    async with AsyncClient(moody.target) as client:
        response = await client.reserve(request)
    assert response.reservation.reservation_id == 4
    ids = {one.request_id for one in moody.seen}
    assert len(moody.seen) == 4
    assert len(ids) == 1
    assert len(ids.pop()) == 36
    assert not request.request_id, "the caller's message is left alone"


async def test_tells_the_age_of_what_it_repeats(moody: Moody) -> None:
    moody.behave = fails(2, grpc.StatusCode.UNAVAILABLE)
    async with AsyncClient(moody.target) as client:
        await client.reserve(ReserveRequest())
        await client.reserve(ReserveRequest(request_id="from an outbox"), age_s=90)
    assert attempts.AGE_KEY not in moody.metadata[0], "a new request needs none"
    second, third, kept = [int(one[attempts.AGE_KEY]) for one in moody.metadata[1:]]
    assert 1 <= second <= third < 30_000
    assert 90_000 <= kept < 120_000


async def test_keeps_an_id_that_is_given(moody: Moody) -> None:
    async with AsyncClient(moody.target) as client:
        await client.reserve(ReserveRequest(request_id="mine"))
        await client.reserve(ReserveRequest())
        await client.reserve(ReserveRequest())
    assert moody.seen[0].request_id == "mine"
    assert len({one.request_id for one in moody.seen}) == 3


async def test_gives_up_after_the_retries(moody: Moody) -> None:
    moody.behave = fails(99, grpc.StatusCode.UNAVAILABLE)
    async with AsyncClient(moody.target, retries=2) as client:
        with pytest.raises(StockpoolError, match=r"^Reserve: UNAVAILABLE: no$"):
            await client.reserve(ReserveRequest())
    assert len(moody.seen) == 3


@pytest.mark.parametrize("code", [grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN])
async def test_does_not_repeat_what_will_not_get_better(moody: Moody, code: grpc.StatusCode) -> None:
    moody.behave = fails(1, code)
    async with AsyncClient(moody.target) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(ReserveRequest())
    assert (caught.value.code, len(moody.seen)) == (code, 1)


async def test_waits_as_long_as_the_server_asks(moody: Moody) -> None:
    """And not at all when that is longer than the deadline."""
    moody.behave = lambda count, context: abort(context, Overloaded(60_000_000_000)) if count == 1 else None
    async with AsyncClient(moody.target, timeout_s=5) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(ReserveRequest())
    assert (caught.value.reason, caught.value.retry_after_s, len(moody.seen)) == ("OVERLOADED", 60.0, 1)


async def test_deadline(moody: Moody) -> None:
    moody.behave = lambda _, __: asyncio.sleep(30)
    async with AsyncClient(moody.target, timeout_s=0.2) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(ReserveRequest())
        assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
        with pytest.raises(StockpoolError):
            await client.reserve(ReserveRequest(), timeout_s=0.01)
    assert len(moody.seen) <= 2


async def test_error_names_every_field(moody: Moody) -> None:
    problems = [Problem("reservation.lines", "is empty"), Problem("request_id", "is missing")]
    moody.behave = lambda _, context: abort(context, InvalidRequest(problems))
    async with AsyncClient(moody.target) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(ReserveRequest())
    assert [(one.field, one.description) for one in caught.value.fields] == [problem[:2] for problem in problems]
    assert str(caught.value) == (
        "Reserve: INVALID_ARGUMENT (INVALID_FIELD): reservation.lines: is empty\n  request_id: is missing"
    )


async def test_token_goes_with_every_call(moody: Moody) -> None:
    async with AsyncClient(moody.target, token="secret") as client:
        await client.reserve(ReserveRequest())
    assert moody.metadata[0]["authorization"] == "Bearer secret"


async def test_nobody_there() -> None:
    async with AsyncClient("localhost:1", retries=0) as client:
        with pytest.raises(StockpoolError) as caught:
            await client.reserve(ReserveRequest())
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "")


async def test_import_is_sent_again_from_a_list_only(moody: Moody) -> None:
    messages = [inventory.ImportStockRequest(sku_keys=["a"]), inventory.ImportStockRequest(sku_keys=["b"])]
    moody.behave = fails(1, grpc.StatusCode.UNAVAILABLE)
    async with AsyncClient(moody.target) as client:
        assert (await client.import_stock(messages)).row_count == 2
        assert len({message.request_id for sent in moody.seen for message in sent}) == 1
        moody.seen.clear()
        with pytest.raises(StockpoolError):
            await client.import_stock(iter(messages))
        assert len(moody.seen) == 1

        async def made() -> AsyncIterator[inventory.ImportStockRequest]:
            for message in messages:
                yield message

        assert (await client.import_stock(made())).row_count == 2
    assert not messages[0].request_id, "the caller's message is left alone"


async def test_import_that_ends_early_is_an_error(moody: Moody) -> None:
    """Not a CancelledError, which gRPC makes of every tenth call whose deadline passes while the end of its requests is sent."""
    codes = set()
    async with AsyncClient(moody.target, retries=0) as client:
        for number in range(300):
            try:
                await client.import_stock([inventory.ImportStockRequest(sku_keys=["A"])], timeout_s=number % 3 * 1e-5)
            except StockpoolError as error:
                codes.add(error.code)
    assert codes == {grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_import_can_be_cancelled(moody: Moody) -> None:
    async def for_ever() -> AsyncIterator[inventory.ImportStockRequest]:
        yield inventory.ImportStockRequest(sku_keys=["A"])
        await asyncio.Event().wait()

    async with AsyncClient(moody.target) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.import_stock(for_ever()), 0.05)


async def test_events_go_on_behind_the_last_one(moody: Moody) -> None:
    async with AsyncClient(moody.target, retries=1) as client:
        stream = client.stream_events(admin.StreamEventsRequest(from_seq=2))
        assert [part.events[0].journal_seq async for part in stream] == list(range(2, 10))
    assert moody.seen == [2, 4, 7]


async def test_blocking_client_does_the_same(moody: Moody) -> None:
    def calls() -> None:
        with Client(moody.target, token="secret") as client:
            moody.behave = fails(2, grpc.StatusCode.UNAVAILABLE)
            assert client.reserve(ReserveRequest()).reservation.reservation_id == 3
            moody.seen.clear()
            moody.behave = fails(1, grpc.StatusCode.UNAVAILABLE)
            messages = [inventory.ImportStockRequest(sku_keys=["a"])] * 2
            assert client.import_stock(messages).row_count == 2
            moody.seen.clear()
            stream = client.stream_events(admin.StreamEventsRequest())
            assert [part.events[0].journal_seq for part in stream] == list(range(1, 10))
            moody.behave = fails(99, grpc.StatusCode.INTERNAL)
            with pytest.raises(StockpoolError) as caught:
                client.reserve(ReserveRequest(), timeout_s=5)
            assert caught.value.code == grpc.StatusCode.INTERNAL

    await asyncio.to_thread(calls)
    assert moody.metadata[0]["authorization"] == "Bearer secret"
