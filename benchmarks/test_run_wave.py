"""A wave over a server's own orders, beside a caller who reserves all the time: how long it takes from the request to the last move, and how long anybody
waits because of it.

The server starts from a journal with orders in their grace period, taken one after the other from stock that is scarce near the buyers, and with a receipt that came
afterwards: so many of them would be better off elsewhere.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

import grpc

from benchmarks.history import Note
from benchmarks.load import hear, piped
from benchmarks.stocking import append, claim, decide, journaled
from benchmarks.test_refresh import reserves
from benchmarks.world import CHANNEL, World
from engine.core.machine import Machine
from engine.journal import open_journal
from engine.model import commands as m
from engine.planning.history import DAY_NS
from stockpool.v1 import planning_pb2, planning_pb2_grpc

WORLD = World(skus=2_000, nodes=500, cells_per_sku=75)
ORDERS, THINK_S, PLAN_S = 1_000, 5, 300.0
GROUP = 100


def orders(world: World, machine: Machine, scale: float) -> Iterator[m.Command]:
    """Stock runs low, orders come, and then the goods."""
    chance = random.Random(world.seed)
    policy = machine.pool.network.policy_of(0)._replace(grace_ns=DAY_NS)
    yield m.PutRoutingPolicy("grace", 1, policy)
    cells = [(f"S{sku:06}", f"N{node:05}") for sku in range(world.skus) for node in world.nodes_of(sku)]
    for at, units in (("low", (0, 0, 0, 1)), ("late", (2, 3, 4))):
        for first in range(0, len(cells), 20_000):
            some = cells[first : first + 20_000]
            counts = tuple(chance.choice(units) for _ in some)
            sku_keys, node_keys = zip(*some, strict=True)
            yield m.ImportStock(f"{at}/{first}", 1, sku_keys, node_keys, counts)
        if at == "low":
            for number, ask in enumerate(world.asks(int(ORDERS * scale), pickup=False, seed=3)):
                lines = tuple((sku, units, 0) for sku, units in ask.lines)
                yield m.IngestOrder(f"order-{number}", 1, f"o{number}", "", lines, claim(ask))


def floating(url: str, world: World, scale: float) -> None:
    """Journal the world and its orders, just now."""
    machine = journaled(url, world)
    commands, now_ns = list(orders(world, machine, scale)), time.time_ns()
    with closing(open_journal(url)) as journal:
        for first in range(0, len(commands), GROUP):
            append(journal, [decide(machine, command, now_ns) for command in commands[first : first + GROUP]])


async def waved(target: str, world: World) -> tuple[planning_pb2.RunWaveResponse, list[float], list[float]]:
    """What the second wave of two answers (the first one loads what planning needs and finds the most), with its caller's latencies."""
    numbers = count()
    request = planning_pb2.RunWaveRequest(request_id="wave", channel_key=CHANNEL)
    request.think_time.FromSeconds(THINK_S)
    async with grpc.aio.insecure_channel(target) as channel, grpc.aio.insecure_channel(target) as other:
        await channel.channel_ready()
        quiet = asyncio.Event()
        asyncio.get_running_loop().call_later(5.0, quiet.set)
        before = await reserves(channel, world, numbers, quiet)
        done = asyncio.Event()
        beside = asyncio.create_task(reserves(channel, world, numbers, done))
        response = await planning_pb2_grpc.PlanningServiceStub(other).RunWave(request, timeout=PLAN_S)
        done.set()
        return response, before, await beside


def test_wave_beside_reserves(tmp_path: Path, scale: float, note: Note) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    floating(url, WORLD, scale)
    with piped([sys.executable, "-m", "benchmarks.timed_server", url]) as server:
        wave, before, during = asyncio.run(waved(hear(server), WORLD))
        assert server.stdin is not None
        server.stdin.close()
        groups: dict[str, dict[str, list[float]]] = json.loads(hear(server))
    assert wave.moved_count > 0
    note("run_wave_s", wave.elapsed.ToNanoseconds() / 1e9, "s")
    note("run_wave_moved_percent", 100 * wave.moved_count / wave.order_count, "%")
    note("run_wave_gap_percent", wave.gap_ppm / 1e4, "%")
    note("run_wave_look_cpu_ms", max(groups["Look"]["cpu_ms"]), "ms")
    note("run_wave_move_cpu_ms", max(groups["RerouteOrder"]["cpu_ms"]), "ms")
    note("run_wave_reserve_max_ms", max(during), "ms")
    note("run_wave_reserve_before_max_ms", max(before), "ms")
