"""A process of watchers, and one that serves them and tells which of its threads writes.

``python -m benchmarks.watchers TARGET`` reads a task on standard input, opens its streams, says so when each was told its first state, and at the
next line closes them and tells what came. ``python -m benchmarks.watchers serve URL`` serves the journal at URL.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc

from benchmarks.world import CHANNEL
from stockpool.v1 import inventory_pb2 as pb

PATH = "/stockpool.v1.InventoryService/WatchAvailability"


@dataclass(frozen=True, slots=True)
class Watch:
    """``streams`` streams of ``skus_each`` SKUs, drawn out of ``skus`` by ``seed``. Of ``probes`` of them all messages are looked at afterwards."""

    streams: int
    skus_each: int
    skus: int
    seed: int
    probes: int


@dataclass(slots=True)
class Seen:
    """What came: messages and bytes of all streams; of each probe, for each message, when it came (monotonic seconds), its sequence, its SKUs."""

    messages: int = 0
    bytes: int = 0
    probes: list[list[tuple[float, int, list[int]]]] = field(default_factory=list)


async def watch_all(channel: grpc.aio.Channel, task: Watch, started: asyncio.Event, ended: asyncio.Event) -> Seen:
    chance = random.Random(task.seed)
    seen = Seen()
    raw: list[list[tuple[float, bytes]]] = [[] for _ in range(task.probes)]
    waiting = task.streams
    call: Any = channel.unary_stream(PATH)  # bytes in, bytes out

    async def one(number: int, keys: list[str]) -> None:
        nonlocal waiting
        request = pb.WatchAvailabilityRequest(channel_key=CHANNEL, sku_keys=keys).SerializeToString()
        first = True
        async for part in call(request):
            seen.messages += 1
            seen.bytes += len(part)
            if number < task.probes:
                raw[number].append((time.monotonic(), part))
            if first:
                first = False
                waiting -= 1
                if not waiting:
                    started.set()

    keys = [[f"S{sku:06}" for sku in chance.sample(range(task.skus), task.skus_each)] for _ in range(task.streams)]
    streams = [asyncio.ensure_future(one(number, keys[number])) for number in range(task.streams)]
    await ended.wait()
    for stream in streams:
        stream.cancel()
    await asyncio.gather(*streams, return_exceptions=True)
    for parts in raw:
        told = []
        for came_s, part in parts:
            message = pb.WatchAvailabilityResponse.FromString(part)
            skus = [int(entry.sku_key[1:]) for entry in message.availabilities]
            told.append((came_s, message.result.journal_seq, skus))
        seen.probes.append(told)
    return seen


async def serve_tasks(target: str) -> None:
    loop = asyncio.get_running_loop()
    async with grpc.aio.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        await channel.channel_ready()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            started, ended = asyncio.Event(), asyncio.Event()
            watching = asyncio.ensure_future(watch_all(channel, Watch(**json.loads(line)), started, ended))
            await started.wait()
            print("watching", flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            ended.set()
            print(json.dumps(asdict(await watching)), flush=True)


def serve(url: str) -> None:
    """Serve; the first line tells the target and the writer's thread as the kernel numbers it."""
    from engine import app
    from engine.ready import Ready
    from engine.settings import Settings

    def say(ready: Ready) -> None:
        writer = next(thread for thread in threading.enumerate() if thread.name == "writer")
        print(json.dumps({"target": ready.target, "writer": writer.native_id}), flush=True)

    # All streams of a process of watchers are one client's.
    limits = {"client_streams_max": 10_000, "client_requests_max": 10_000}
    settings = Settings.load(journal=url, port=0, log_level="warning", limits=limits)
    app.run(settings, on_ready=say, stop_on_eof=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        serve(sys.argv[2])
    else:
        import uvloop

        uvloop.run(serve_tasks(sys.argv[1]))
