"""A refresh of prices beside a server that is asked all the time: how long it takes, and how long anybody waits because of it.

The server starts from a journal with a fortnight of sales and orders, so that a refresh gives most cells another demand and many a price. A
caller reserves, one call after another; then it does the same while prices are refreshed. Beside that the writer's thread tells how
long its longest group took, by the clock and by its own processor time: what a caller sees has three processes on two processors in it as well.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

import grpc

from benchmarks.caller import reservation
from benchmarks.history import Note
from benchmarks.load import hear, piped
from benchmarks.stocking import append, claim, decide, journaled
from benchmarks.world import CHANNEL, World
from engine.journal import open_journal
from engine.model import commands as m
from engine.model.network import Sku
from engine.planning.history import DAY_NS
from stockpool.v1 import planning_pb2, planning_pb2_grpc, reservations_pb2, reservations_pb2_grpc

WORLD = World(skus=10_000, nodes=500, cells_per_sku=20)
"""200,000 cells."""
DAYS, SALES, ORDERS = 14, 60_000, 20_000
LINES_OF_A_SALE = 20
GROUP = 100
PLAN_S = 300.0


def history(world: World, scale: float) -> Iterator[m.Command]:
    """What walk-ins bought and the web ordered."""
    chance = random.Random(world.seed)
    for at in range(int(SALES * scale) // LINES_OF_A_SALE):
        first = chance.randrange(world.skus)
        node = chance.choice(list(world.nodes_of(first)))
        beside = range(first % world.nodes, world.skus, world.nodes)  # lie at the same nodes
        lines = tuple((f"S{chance.choice(beside):06}", 1) for _ in range(LINES_OF_A_SALE))
        yield m.RecordSale(f"sale-{at}", 1, f"N{node:05}", CHANNEL, lines)
    for at, ask in enumerate(world.asks(int(ORDERS * scale), pickup=False, seed=3)):
        lines_of = tuple((sku, units, 0) for sku, units in ask.lines)
        yield m.IngestOrder(f"order-{at}", 1, f"o{at}", "", lines_of, claim(ask))


def stocked(url: str, world: World, scale: float) -> None:
    """Journal the world, what its units earn, and a fortnight until now."""
    machine, commands = journaled(url, world), list(history(world, scale))
    skus = tuple(Sku(f"S{number:06}", "", 500, 20_000_000, 8_000_000) for number in range(world.skus))
    random.Random(2).shuffle(commands)
    now_ns, begin_ns = time.time_ns(), time.time_ns() - DAYS * DAY_NS
    with closing(open_journal(url)) as journal:
        append(journal, [decide(machine, m.PutSkus("margins", 1, skus), begin_ns)])
        for first in range(0, len(commands), GROUP):
            group = commands[first : first + GROUP]
            at_ns = begin_ns + (now_ns - begin_ns) * first // len(commands)
            append(journal, [decide(machine, command, at_ns) for command in group])


async def reserves(channel: grpc.aio.Channel, world: World, numbers: Iterator[int], done: asyncio.Event) -> list[float]:
    """Latencies in ms of one reservation after another until ``done``."""
    stub: Any = reservations_pb2_grpc.ReservationServiceStub(channel)
    asks = world.asks(1 << 30, pickup=False, seed=5)
    latencies = []
    while not done.is_set():
        request = reservations_pb2.ReserveRequest(request_id=f"r-{next(numbers)}", reservation=reservation(next(asks)))
        begun = time.perf_counter()
        response = await stub.Reserve(request)
        latencies.append(1e3 * (time.perf_counter() - begun))
        assert response.reservation.reservation_id
    return latencies


async def measured(target: str, world: World) -> tuple[list[float], list[float], float]:
    """Latencies without and with a refresh, and how many seconds that took."""
    numbers = count()
    async with grpc.aio.insecure_channel(target) as channel, grpc.aio.insecure_channel(target) as other:
        await channel.channel_ready()
        quiet = asyncio.Event()
        asyncio.get_running_loop().call_later(8.0, quiet.set)
        before = await reserves(channel, world, numbers, quiet)
        done = asyncio.Event()
        beside = asyncio.create_task(reserves(channel, world, numbers, done))
        begun = time.perf_counter()
        stub: Any = planning_pb2_grpc.PlanningServiceStub(other)
        await stub.RefreshPrices(planning_pb2.RefreshPricesRequest(request_id="plan"), timeout=PLAN_S)
        took_s = time.perf_counter() - begun
        done.set()
        return before, await beside, took_s


def test_refresh_beside_reserves(tmp_path: Path, scale: float, note: Note) -> None:
    world = WORLD if scale == 1 else replace(WORLD, skus=1_000)
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    stocked(url, world, scale)
    with piped([sys.executable, "-m", "benchmarks.timed_server", url]) as server:
        before, during, took_s = asyncio.run(measured(hear(server), world))
        assert server.stdin is not None
        server.stdin.close()
        groups: dict[str, dict[str, list[float]]] = json.loads(hear(server))
    note("refresh_service_s", took_s, "s")
    note("refresh_writer_pause_ms", max(max(groups[sort]["clock_ms"]) for sort in ("SetPrices", "Look")), "ms")
    note("refresh_writer_cpu_ms", max(max(groups[sort]["cpu_ms"]) for sort in ("SetPrices", "Look")), "ms")
    note("refresh_writer_other_ms", max(groups[""]["clock_ms"]), "ms")
    note("refresh_reserve_p50_ms", median(during), "ms")
    note("refresh_reserve_max_ms", max(during), "ms")
    note("refresh_reserve_before_max_ms", max(before), "ms")
