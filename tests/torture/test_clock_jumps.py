"""The machine's clock jumps: nothing is sold twice, no decision is dated before another, and holds still end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import AsyncClient
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2 as types
from tests.torture.serving import open_shop, receipt, serving

HOUR_S = 3_600
YEAR_S = 8_766 * HOUR_S
UNITS = 5


class Clock:
    """The machine's clock, set otherwise by so many seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.off_s = 0
        true_ns = time.time_ns
        monkeypatch.setattr("engine.clock.time.time_ns", lambda: true_ns() + self.off_s * 1_000_000_000)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


async def open_store(client: AsyncClient) -> None:
    """A node where goods are collected, and some units of the SKU."""
    await open_shop(client)
    node = network.Node(node_key="north", offers_pickup=True)
    await client.put_nodes(network.PutNodesRequest(request_id="pickup", nodes=[node]))
    channel = network.Channel(channel_key="web", all_nodes=True)
    await client.put_channels(network.PutChannelsRequest(request_id="web", channels=[channel]))
    await client.receive_stock(receipt(1, UNITS))


async def reserve(client: AsyncClient, request_id: str, ttl_s: int) -> reservations.ReserveResponse:
    """All units there are."""
    claim = reservations.ReservationRequest(
        channel_key="web",
        lines=[types.LineItem(sku_key="chair", units=UNITS)],
        pickup_node_key="north",
        ttl=Duration(seconds=ttl_s),
    )
    return await client.reserve(reservations.ReserveRequest(request_id=request_id, reservation=claim))


async def available(client: AsyncClient) -> int:
    request = inventory.GetAvailabilityRequest(channel_key="web", sku_key="chair", kind=types.FULFILLMENT_KIND_PICKUP)
    return (await client.get_availability(request)).availability.ats_units


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await condition():  # noqa: ASYNC110 - nobody here can be told
            await asyncio.sleep(0.05)


async def require_order(client: AsyncClient) -> None:
    """No decision is dated before the one in front of it, and the state is sound."""
    times = [
        event.time.ToNanoseconds()
        async for part in client.stream_events(admin.StreamEventsRequest())
        for event in part.events
    ]
    assert times == sorted(times)
    assert (await client.audit_invariants(admin.AuditInvariantsRequest(replay=True))).ok


async def test_far_ahead_every_hold_ends_and_nothing_is_sold_twice(url: str, clock: Clock) -> None:
    async with serving(url) as served, AsyncClient(served.target) as client:
        await open_store(client)
        first = await reserve(client, "first", 900)
        assert await available(client) == 0
        clock.off_s = YEAR_S
        assert await available(client) == UNITS
        second = await reserve(client, "second", 900)
        assert second.result.outcome == types.OUTCOME_OK
        late = orders.PlaceOrderRequest(
            channel_key="web", order_key="late", reservation_id=first.reservation.reservation_id
        )
        assert (await client.place_order(late)).result.outcome == types.OUTCOME_RESERVATION_EXPIRED
        good = orders.PlaceOrderRequest(
            channel_key="web", order_key="good", reservation_id=second.reservation.reservation_id
        )
        assert (await client.place_order(good)).result.outcome == types.OUTCOME_OK
        assert await available(client) == 0
        await require_order(client)


async def test_set_back_by_a_day_time_goes_on_and_holds_end(url: str, clock: Clock) -> None:
    async with serving(url) as served, AsyncClient(served.target) as client:
        await open_store(client)
        await reserve(client, "before", 1)
        clock.off_s = -24 * HOUR_S
        assert await available(client) == 0, "it was not long enough"
        await until(lambda: has_units(client))
        await reserve(client, "after", 1)
        assert await available(client) == 0
        await until(lambda: has_units(client))
        await require_order(client)


async def test_a_year_ahead_by_mistake_and_back_again(url: str, clock: Clock) -> None:
    """Decisions of a year to come are in the journal; a server that starts in the present goes on behind them."""
    async with serving(url) as served, AsyncClient(served.target) as client:
        await open_store(client)
        clock.off_s = YEAR_S
        held = await reserve(client, "held", 900)
    clock.off_s = 0
    async with serving(url) as served, AsyncClient(served.target) as client:
        assert await reserve(client, "held", 900) == held
        assert await available(client) == 0
        release = reservations.ReleaseReservationRequest(reservation_id=held.reservation.reservation_id)
        await client.release_reservation(release)
        await reserve(client, "short", 1)
        assert await available(client) == 0
        await until(lambda: has_units(client))
        await require_order(client)


async def has_units(client: AsyncClient) -> bool:
    return await available(client) == UNITS


async def test_a_clock_that_jumps_to_and_fro_under_load(url: str, clock: Clock) -> None:
    """Each hold takes all there is, so two at a time would be oversold: the recount of the audit would tell."""
    async with serving(url) as served, AsyncClient(served.target) as client:
        await open_store(client)
        granted = 0
        for number in range(60):
            clock.off_s = (number * 7_919 % 13 - 6) * HOUR_S
            response = await reserve(client, f"r{number}", 900)
            granted += response.result.outcome == types.OUTCOME_OK
        assert 2 <= granted <= 13, "a hold ends only when the clock goes beyond all that it ever said"
        await require_order(client)
