"""A hundred thousand holds of one SKU end at the same instant, while others call: who reads next sees them free, and nobody waits long.

The holds are in the journal that the server starts from, all decided at one instant and for the same time. Two callers ask beside each
other, one call after another: one reads the SKU, one reserves others. Processes on the same machine share its clock.
"""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import grpc

from benchmarks.caller import reservation
from benchmarks.history import Note
from benchmarks.load import SERVE, hear, piped
from benchmarks.stocking import UNITS, append, claim, decide, journaled
from benchmarks.world import CHANNEL, SMALL, Ask
from engine.journal import open_journal
from engine.model import commands as m
from engine.model.limits import SECOND_NS
from stockpool.v1 import inventory_pb2, inventory_pb2_grpc, reservations_pb2, reservations_pb2_grpc

HOLDS = 100_000
BATCH = 1_000
SKU = "S000000"
TTL_NS = 30 * SECOND_NS
"""Time to start the server."""
AROUND_S = 2.0
"""Calls are made from so long before the instant until so long after it."""
NEAR_NS = SECOND_NS // 4


class Call(NamedTuple):
    """When a call was sent and answered, by the clock, and what was free (readers)."""

    sent_ns: int
    told_ns: int
    free: int = 0


def hold(url: str, holds: int) -> int:
    """Journal the world and the holds; returns when they end."""
    machine = journaled(url, SMALL)
    ask = Ask(((SKU, 1), ("S000001", 1)), "10001", "")
    one = claim(ask, TTL_NS)._replace(lines=((SKU, 1),))
    claims = m.ClaimColumns.of([one] * BATCH)
    now_ns = time.time_ns()
    with closing(open_journal(url)) as journal:
        for at in range(holds // BATCH):
            append(journal, [decide(machine, m.BatchReserve(f"hold-{at}", 1, claims), now_ns)])
    return now_ns + TTL_NS


async def read(channel: grpc.aio.Channel, until_ns: int) -> list[Call]:
    """One read of the SKU after another."""
    stub: Any = inventory_pb2_grpc.InventoryServiceStub(channel)
    request = inventory_pb2.GetAvailabilityRequest(channel_key=CHANNEL, sku_key=SKU)
    calls: list[Call] = []
    while (sent_ns := time.time_ns()) < until_ns:
        response = await stub.GetAvailability(request)
        calls.append(Call(sent_ns, time.time_ns(), response.availability.ats_units))
    return calls


async def reserve(channel: grpc.aio.Channel, until_ns: int) -> list[Call]:
    """One reservation of other SKUs after another."""
    stub: Any = reservations_pb2_grpc.ReservationServiceStub(channel)
    asks = (ask for ask in SMALL.asks(1 << 30, pickup=False, seed=5) if SKU not in dict(ask.lines))
    calls: list[Call] = []
    while (sent_ns := time.time_ns()) < until_ns:
        request = reservations_pb2.ReserveRequest(request_id=f"r-{len(calls)}", reservation=reservation(next(asks)))
        response = await stub.Reserve(request)
        assert response.reservation.reservation_id
        calls.append(Call(sent_ns, time.time_ns()))
    return calls


async def around(target: str, end_ns: int) -> tuple[list[Call], list[Call]]:
    """What both callers made of the time around the instant."""
    async with grpc.aio.insecure_channel(target) as channel:
        await channel.channel_ready()
        wait_s = (end_ns - time.time_ns()) / 1e9 - AROUND_S
        assert wait_s > 0, "the server took too long to start"
        await asyncio.sleep(wait_s)
        until_ns = end_ns + int(AROUND_S * SECOND_NS)
        return await asyncio.gather(read(channel, until_ns), reserve(channel, until_ns))


def test_expiry(tmp_path: Path, scale: float, note: Note) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    holds = int(HOLDS * scale)
    end_ns = hold(url, holds)
    with piped([*SERVE, url]) as server:
        reads, reserves = asyncio.run(around(json.loads(hear(server))["target"], end_ns))
    whole = UNITS * SMALL.cells_per_sku
    assert {call.free for call in reads if call.told_ns < end_ns} == {whole - holds}
    assert {call.free for call in reads if call.sent_ns >= end_ns} == {whole}, "free at that instant"
    calls = reads + reserves
    near = [call for call in calls if call.told_ns >= end_ns and call.sent_ns < end_ns + NEAR_NS]
    longest_ms = max(call.told_ns - call.sent_ns for call in near) / 1e6
    note("expiry_pause_ms", longest_ms, "ms")
    others = [call.told_ns - call.sent_ns for call in calls if call not in near]
    note("expiry_other_calls_p50_ms", median(others) / 1e6, "ms")
    note("expiry_other_calls_max_ms", max(others) / 1e6, "ms")
