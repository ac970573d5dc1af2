"""A process that calls a server: it prepares calls, waits for the word, makes them, and tells how long each took.

``python -m benchmarks.caller TARGET`` reads tasks on standard input and answers on standard output, a JSON line each. Requests are
built before the clock starts and responses are looked at after it has stopped: what is measured is the server and gRPC.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import grpc

from benchmarks.world import CHANNEL, Ask, World
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1 import types_pb2

ECHO, RESERVE, BATCH = "echo", "reserve", "batch"
PATHS = {
    ECHO: "/benchmarks.Echo/Echo",
    RESERVE: "/stockpool.v1.ReservationService/Reserve",
    BATCH: "/stockpool.v1.ReservationService/BatchReserve",
}
BATCH_ITEMS = 1_000


@dataclass(frozen=True, slots=True)
class Task:
    """``calls`` calls with ``in_flight`` of them at a time. ``seed`` draws what they ask and makes their request ids."""

    call: str
    calls: int
    in_flight: int
    pickup: bool
    seed: int
    world: dict[str, int]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a task: when it began and ended (monotonic seconds, the same clock in every process), each call's time."""

    begun_s: float
    ended_s: float
    latencies_us: list[int]
    granted: int
    """Reservations that were granted; echoes are not counted."""


def reservation(ask: Ask) -> pb.ReservationRequest:
    """The message of an ask."""
    lines = [types_pb2.LineItem(sku_key=sku_key, units=units) for sku_key, units in ask.lines]
    if ask.node_key:
        return pb.ReservationRequest(channel_key=CHANNEL, lines=lines, pickup_node_key=ask.node_key)
    destination = types_pb2.Destination(postal_code=ask.postal_code)
    return pb.ReservationRequest(channel_key=CHANNEL, lines=lines, ship_to=destination)


def requests(task: Task) -> Iterator[bytes]:
    """The requests of a task, ready to be sent."""
    world = World(**task.world)
    items = BATCH_ITEMS if task.call == BATCH else 1
    asks = world.asks(task.calls * items, pickup=task.pickup, seed=task.seed)
    for number in range(task.calls):
        request_id = f"{task.seed}-{number}"
        message: Any
        if task.call == BATCH:
            message = pb.BatchReserveRequest(
                request_id=request_id, reservations=[reservation(next(asks)) for _ in range(items)]
            )
        else:
            message = pb.ReserveRequest(request_id=request_id, reservation=reservation(next(asks)))
        yield message.SerializeToString()


def granted(call: str, responses: list[bytes]) -> int:
    """Reservations that the responses grant."""
    if call == RESERVE:
        return sum(bool(pb.ReserveResponse.FromString(each).reservation.reservation_id) for each in responses)
    if call == BATCH:
        return sum(
            bool(result.reservation_id)
            for each in responses
            for result in pb.BatchReserveResponse.FromString(each).results
        )
    return 0


async def make(channel: grpc.aio.Channel, task: Task, ready: list[bytes]) -> Made:
    """Make the calls of a task."""
    call: Any = channel.unary_unary(PATHS[task.call])  # bytes in, bytes out
    waiting = iter(ready)
    latencies_us: list[int] = []
    responses: list[bytes] = []

    async def one_after_another() -> None:
        for request in waiting:
            sent = time.perf_counter_ns()
            responses.append(await call(request))
            latencies_us.append((time.perf_counter_ns() - sent) // 1_000)

    begun = time.monotonic()
    await asyncio.gather(*(one_after_another() for _ in range(task.in_flight)))
    ended = time.monotonic()
    return Made(begun, ended, latencies_us, granted(task.call, responses))


async def serve_tasks(target: str) -> None:
    """Read a task, prepare it and say so; at the next line make the calls and tell; until standard input ends."""
    loop = asyncio.get_running_loop()
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        await channel.channel_ready()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            task = Task(**json.loads(line))
            ready = list(requests(task))
            print("ready", flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            print(json.dumps(asdict(await make(channel, task, ready))), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve_tasks(sys.argv[1]))
