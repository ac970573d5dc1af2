"""Every reason of a gRPC error that is not about a field, brought about over the wire, with the details it promises."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from engine.client import AsyncClient, StockpoolError
from engine.core.machine import Machine
from engine.journal import JournalUnavailable, Record
from engine.journal.memory import MemoryJournal, Tape
from engine.service.convert import reservations as convert
from engine.service.door import Door
from engine.service.inventory import Inventory
from engine.service.server import Server
from engine.settings import Settings
from engine.writer import RETRY_MAX_S
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1.errors_pb2 import ErrorReason
from stockpool.v1.reservations_pb2_grpc import ReservationServiceStub
from tests.service.world import LIMITS, Outcome, World, open_world, rate_card, reserve, until

REACHED_ELSEWHERE = {
    "INVALID_FIELD",
    "LIMIT_EXCEEDED",
    "UNAUTHENTICATED",
    "PERMISSION_DENIED",
    "REQUEST_TOO_OLD",
    "SEQ_CUT",
    "PLANNING_FAILED",
}
"""In test_bad_input, test_auth, test_repeats, test_snapshots and test_planning."""


class Gate(MemoryJournal):
    """A journal whose appends wait until they are let through, or fail."""

    def __init__(self, tape: Tape | None = None) -> None:
        super().__init__(tape)
        self.open = threading.Event()
        self.open.set()
        self.entered = threading.Event()
        self.failure: Exception | None = None

    def append(self, record: Record, *, expected_seq: int) -> None:
        if not self.open.is_set():
            self.entered.set()
        self.open.wait(30)
        if self.failure is not None:
            raise self.failure
        super().append(record, expected_seq=expected_seq)


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    journal = Gate()
    yield journal
    journal.open.set()


async def failing(call: Any, code: grpc.StatusCode, reason: str) -> StockpoolError:
    with pytest.raises(StockpoolError) as caught:
        await call
    error = caught.value
    assert (error.code, error.reason) == (code, reason), error
    assert f"ERROR_REASON_{reason}" in ErrorReason.keys()  # noqa: SIM118 - no container of names
    return error


async def test_overloaded(gate: Gate) -> None:
    """What was accepted is answered; what was not may come back after the delay, with the same id."""
    async with open_world(journal=gate, limits=dataclasses.replace(LIMITS, inbox_max=8)) as world:
        await world.stock("sku-1", "east", 100)
        gate.open.clear()
        calls = [
            asyncio.ensure_future(world.client.reserve(reserve(("sku-1", 1), request_id=f"r{n}"))) for n in range(30)
        ]
        _, waiting = await asyncio.wait(calls, timeout=2, return_when=asyncio.FIRST_EXCEPTION)
        while len(waiting) > 8:
            _, waiting = await asyncio.wait(waiting, timeout=1, return_when=asyncio.FIRST_EXCEPTION)
        refused = [call for call in calls if call.done()]
        assert len(refused) == 22
        for call in refused:
            error = await failing(call, grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
            assert error.retry_after_s is not None
            assert 0 < error.retry_after_s <= RETRY_MAX_S
            assert error.metadata == {"limit": "inbox_max", "value": "8"}
        gate.open.set()
        answers = await asyncio.gather(*waiting)
        assert {answer.result.outcome for answer in answers} == {Outcome.OK}
        again = await asyncio.gather(
            *(world.client.reserve(reserve(("sku-1", 1), request_id=f"r{n}")) for n in range(8)), return_exceptions=True
        )
        assert not [answer for answer in again if isinstance(answer, BaseException)]


async def test_not_serving_before_the_journal_is_replayed() -> None:
    server = Server(Settings.load(journal="memory://", port=0))
    port = await server.start()
    try:
        async with AsyncClient(f"localhost:{port}", retries=0) as client:
            calls = (client.reserve(reserve(("sku-1", 1))), client.get_limits(admin.GetLimitsRequest()))
            for call in calls:
                error = await failing(call, grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")
                assert error.retry_after_s
            events = client.stream_events(admin.StreamEventsRequest())
            await failing(anext(events), grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")
            imported = client.import_stock([inventory.ImportStockRequest(sku_keys=["a"])])
            await failing(imported, grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")
    finally:
        await server.stop(0)


async def test_not_serving_while_draining(world: World) -> None:
    await world.server.close()
    await failing(world.client.reserve(reserve(("sku-1", 1))), grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")


async def test_journal_unavailable(gate: Gate) -> None:
    """No reply is released: neither of the request nor of a read that saw its effect."""
    async with open_world(journal=gate) as world:
        gate.failure = JournalUnavailable("disk full", outcome_unknown=True)
        error = await failing(
            world.client.reserve(reserve(("sku-1", 1))), grpc.StatusCode.UNAVAILABLE, "JOURNAL_UNAVAILABLE"
        )
        assert error.retry_after_s
        await failing(world.client.reserve(reserve(("sku-1", 1))), grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")


async def test_fenced() -> None:
    """Another writer has extended the journal: this one steps down without an answer, and nothing of it is kept."""
    tape = Tape()
    async with open_world(journal=MemoryJournal(tape)) as old:
        await old.stock("sku-1", "east", 5)
        async with open_world(journal=MemoryJournal(tape), filled=False) as new:
            await new.stock("sku-1", "east", 7)
            call = old.client.reserve(reserve(("sku-1", 1), request_id="lost"))
            await failing(call, grpc.StatusCode.UNAVAILABLE, "FENCED")
            followed = await new.client.reserve(reserve(("sku-1", 1), request_id="lost"))
            assert followed.result.outcome == Outcome.OK
            assert await new.available("sku-1") == 6


async def test_two_first_rate_cards_of_different_currencies(gate: Gate) -> None:
    """Both pass the check, as the store has no currency yet; the later one is told what the check will say from then on."""
    async with open_world(journal=gate, filled=False) as world:
        gate.open.clear()
        put = world.client.put_rate_card
        blocked = asyncio.ensure_future(
            world.client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key="a", weight_grams=1)]))
        )
        await until(gate.entered.is_set)
        cards = [rate_card("ground", 5, "EUR"), rate_card("air", 5, "USD"), rate_card("boat", 5, "EUR")]
        calls = []
        for at, card in enumerate(cards):
            calls.append(asyncio.ensure_future(put(network.PutRateCardRequest(rate_card=card))))
            await until(lambda: world.writer.inbox_count == 2 + at)  # noqa: B023 - awaited in this turn of the loop
        gate.open.set()
        assert (await blocked).result.outcome == Outcome.OK
        assert [(await calls[at]).result.outcome for at in (0, 2)] == [Outcome.OK] * 2
        in_flight = await failing(calls[1], grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
        later = await failing(
            put(network.PutRateCardRequest(rate_card=cards[1])), grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD"
        )
        assert in_flight.fields == later.fields
        assert [one.field for one in later.fields] == ["rate_card.currency_code"]
        kept = (await world.client.list_rate_cards(network.ListRateCardsRequest())).rate_cards
        assert [(card.service_key, card.currency_code) for card in kept] == [("ground", "EUR"), ("boat", "EUR")]


async def test_seq_not_reached(world: World) -> None:
    """Reading one's own writes: a sequence that was answered is there, one beyond is not."""
    seq = (await world.client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key="new")]))).result.journal_seq
    there = await world.client.get_sku(network.GetSkuRequest(sku_key="new", min_journal_seq=seq))
    assert there.result.outcome == Outcome.OK
    assert there.result.journal_seq >= seq
    call = world.client.get_sku(network.GetSkuRequest(sku_key="new", min_journal_seq=seq + 1))
    error = await failing(call, grpc.StatusCode.FAILED_PRECONDITION, "SEQ_NOT_REACHED")
    assert error.metadata == {"journal_seq": str(seq)}


@pytest.mark.parametrize("token", ["x", "!!!", "TGlzdFNrdXM6MQ==", "TGlzdE5vZGVzOi01", "A" * 500, "é"])
async def test_bad_page_token(world: World, token: str) -> None:
    """Not base64, made by ListSkus, negative, too long, not ASCII."""
    call = world.client.list_nodes(network.ListNodesRequest(page_token=token))
    await failing(call, grpc.StatusCode.OUT_OF_RANGE, "BAD_PAGE_TOKEN")


async def test_internal(world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A defect: the caller gets an incident, the log the stack, the next caller an answer."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    with monkeypatch.context() as patch, caplog.at_level(logging.ERROR, "engine.service"):
        patch.setattr(Machine, "decide", broken)
        error = await failing(world.client.reserve(reserve(("sku-1", 1))), grpc.StatusCode.INTERNAL, "INTERNAL")
    incident = error.metadata["incident"]
    assert incident in str(error)
    assert "secret" not in str(error)
    assert "ZeroDivisionError" not in str(error)
    record = next(record for record in caplog.records if incident in record.getMessage())
    assert record.exc_info is not None
    assert (await world.client.reserve(reserve(("sku-1", 1)))).result.outcome == Outcome.INSUFFICIENT_STOCK


class _Late:
    """The context of a call whose deadline gRPC is slow to notice: on the wire it would have told the caller already."""

    def __init__(self, remaining_s: float | None) -> None:
        self.remaining_s = remaining_s

    def time_remaining(self) -> float | None:
        return self.remaining_s

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    async def abort_with_status(self, status: Any) -> None:
        raise _Aborted(status)


class _Aborted(Exception):
    pass


async def dropped(call: Awaitable[Any]) -> None:
    """The call must be told that its deadline has passed."""
    with pytest.raises(_Aborted) as caught:
        await call
    status = caught.value.args[0]
    assert status.code == grpc.StatusCode.DEADLINE_EXCEEDED
    info = error_details_pb2.ErrorInfo()
    told = status_pb2.Status.FromString(dict(status.trailing_metadata)["grpc-status-details-bin"])
    assert told.details[0].Unpack(info)
    assert (info.reason, info.domain) == ("DEADLINE", "stockpool.v1")


async def test_deadline_that_passed_before_the_call_began(world: World) -> None:
    decided = world.writer.last_seq
    context: Any = _Late(0.0)
    await dropped(world.server._door.answer(context, reserve(("sku-1", 1), request_id="late"), convert.RESERVE))
    assert world.writer.last_seq == decided


async def test_deadline_that_passes_before_the_event_loop_notices(gate: Gate) -> None:
    """The writer drops the work by itself, though nobody has cancelled it."""
    async with open_world(journal=gate) as world:
        await world.stock("sku-1", "east", 5)
        gate.open.clear()
        first = asyncio.ensure_future(world.client.reserve(reserve(("sku-1", 1))))
        await until(gate.entered.is_set)
        door: Door = world.server._door
        context: Any = _Late(0.05)
        calls: list[Awaitable[Any]] = [
            door.answer(context, reserve(("sku-1", 1), request_id="late"), convert.RESERVE),
            Inventory(door).ListMovements(inventory.ListMovementsRequest(sku_key="sku-1", node_key="east"), context),
            Inventory(door).ImportStock(_messages(), context),
        ]
        late = asyncio.gather(*map(dropped, calls))
        await until(lambda: world.writer.inbox_count == 6)
        await asyncio.sleep(0.1)
        gate.open.set()
        assert (await first).result.outcome == Outcome.OK
        await late
        assert await world.available("sku-1") == 4


async def _messages() -> AsyncIterator[inventory.ImportStockRequest]:
    for units in (7, 8, 9):
        yield inventory.ImportStockRequest(
            request_id="i", sku_keys=["sku-1"], node_keys=["east"], on_hand_units=[units]
        )


async def test_a_caller_without_a_deadline_waits_for_ever(gate: Gate) -> None:
    async with open_world(journal=gate) as world:
        await world.stock("sku-1", "east", 5)
        stub = ReservationServiceStub(world.client.channel)
        assert (await stub.Reserve(reserve(("sku-1", 1), request_id="r"))).result.outcome == Outcome.OK


async def test_deadline_that_passes_while_waiting(gate: Gate) -> None:
    """The call is dropped undecided: its units stay free and its id unused."""
    async with open_world(journal=gate) as world:
        await world.stock("sku-1", "east", 5)
        gate.open.clear()
        first = asyncio.ensure_future(world.client.reserve(reserve(("sku-1", 1))))
        await until(gate.entered.is_set)
        with pytest.raises(StockpoolError) as caught:
            await world.client.reserve(reserve(("sku-1", 1), request_id="late"), timeout_s=0.3)
        assert caught.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
        # By the server's clock the deadline is later, by the time that the request took to get there.
        await asyncio.sleep(0.5)
        gate.open.set()
        assert (await first).result.outcome == Outcome.OK
        assert await world.available("sku-1") == 4
        other = await world.client.reserve(reserve(("sku-1", 2), request_id="late"))
        assert other.result.outcome == Outcome.OK, "the id of a dropped request was never used"


def test_every_reason_has_a_test() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118
    assert {reason for reason in reasons if f'"{reason}"' not in source.partition("Gate")[2]} <= REACHED_ELSEWHERE
