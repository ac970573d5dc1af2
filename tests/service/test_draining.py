"""A server that starts or ends: health tells which, and nothing that was accepted is lost."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from engine import app
from engine.client import AsyncClient, StockpoolError
from engine.journal import Record
from engine.journal.memory import MemoryJournal
from engine.service.port import SERVICES
from engine.settings import Settings
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from tests.service.test_commands import started

CLIENTS = 60
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class SlowJournal(MemoryJournal):
    """A journal whose replay takes as long as the test likes."""

    def __init__(self) -> None:
        super().__init__()
        self.reading = threading.Event()
        self.go_on = threading.Event()

    def read(self, from_seq: int = 1, *, limit: int | None = None) -> Iterator[Record]:
        self.reading.set()
        self.go_on.wait(30)
        return super().read(from_seq, limit=limit)


def stub(channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(channel)


async def watch(channel: grpc.aio.Channel, told: list[int]) -> None:
    """Notes what health tells, up to its end: a server that ends lets those who watch have its last word, for some seconds."""
    call = stub(channel).Watch(health_pb2.HealthCheckRequest())
    async for response in call:
        told.append(response.status)
        if told[-2:] == [SERVING, NOT_SERVING]:
            break
    call.cancel()


async def test_health_tells_recovering_from_serving(monkeypatch: pytest.MonkeyPatch) -> None:
    journal = SlowJournal()
    monkeypatch.setattr(app, "open_journal", lambda _: journal)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    stop, ready = asyncio.Event(), asyncio.Event()
    settings = Settings.load(journal="memory://", host="127.0.0.1", port=port)
    serving = asyncio.create_task(app.serve(settings, stop, on_ready=lambda _: ready.set()))
    try:
        assert await asyncio.to_thread(journal.reading.wait, 30)
        async with AsyncClient(f"127.0.0.1:{port}", retries=0) as client:
            told: list[int] = []
            watching = asyncio.create_task(watch(client.channel, told))
            health = stub(client.channel)
            for service in ("", *SERVICES):
                checked = await health.Check(health_pb2.HealthCheckRequest(service=service), wait_for_ready=True)
                assert checked.status == NOT_SERVING
            with pytest.raises(StockpoolError) as refused:
                await client.get_status(admin.GetStatusRequest())
            assert (refused.value.reason, refused.value.retry_after_s) == ("NOT_SERVING", 1.0)
            assert not ready.is_set()
            journal.go_on.set()
            await ready.wait()
            assert (await health.Check(health_pb2.HealthCheckRequest(service=SERVICES[0]))).status == SERVING
            assert (await client.get_status(admin.GetStatusRequest())).journal_seq == 0
            stop.set()
            await serving
            await watching
            assert told == [NOT_SERVING, SERVING, NOT_SERVING]
    finally:
        journal.go_on.set()
        stop.set()
        await serving


class Caller:
    """Puts one unit on the shelf after another until it is turned away, and keeps what it was told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.accepted = 0
        self.error: StockpoolError | None = None

    def request(self) -> inventory.AdjustStockRequest:
        request_id = f"{self.name}/{self.accepted}"
        return inventory.AdjustStockRequest(request_id=request_id, sku_key="a", node_key="n", delta_units=1)

    async def call(self, client: AsyncClient) -> None:
        try:
            while True:
                answer = await client.adjust_stock(self.request())
                assert answer.result.outcome == 1
                self.accepted += 1
        except StockpoolError as error:
            self.error = error


async def on_hand(client: AsyncClient) -> int:
    request = inventory.GetAvailabilityRequest(channel_key="web", sku_key="a")
    return (await client.get_availability(request)).availability.ats_units


async def test_a_server_that_is_told_to_end_under_load_loses_nothing(tmp_path: Path) -> None:
    """Every accepted request is in the journal; whoever was turned away repeats at the next server, and is counted once."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    callers = [Caller(str(number)) for number in range(CLIENTS)]
    told: list[int] = []
    with started("--journal", url) as (process, target):
        async with AsyncClient(target, retries=0) as client:
            await client.put_nodes(network.PutNodesRequest(nodes=[network.Node(node_key="n", ships=True)]))
            await client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key="a")]))
            await client.put_channels(
                network.PutChannelsRequest(channels=[network.Channel(channel_key="web", all_nodes=True)])
            )
            watching = asyncio.create_task(watch(client.channel, told))
            calls = [asyncio.create_task(caller.call(client)) for caller in callers]
            while sum(caller.accepted for caller in callers) < 5 * CLIENTS:  # noqa: ASYNC110 - it is they who know
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            await asyncio.gather(*calls)
            await watching
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert told == [SERVING, NOT_SERVING]
    errors = [caller.error for caller in callers if caller.error]
    assert len(errors) == CLIENTS
    assert {error.code.name for error in errors} <= {"UNAVAILABLE", "CANCELLED"}
    accepted = sum(caller.accepted for caller in callers)
    with started("--journal", url) as (_, target):
        async with AsyncClient(target) as client:
            kept = await on_hand(client)
            assert accepted <= kept <= accepted + CLIENTS
            for caller in callers:
                answer = await client.adjust_stock(caller.request())
                assert answer.result.outcome == 1
            assert await on_hand(client) == accepted + CLIENTS
