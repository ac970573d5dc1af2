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
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

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
    """``calls`` calls with ``in_flight`` of them at a time, over ``connections``. ``seed`` draws what they ask and makes their request ids.

    With ``for_s`` what is not answered after so many seconds is left alone.
    """

    call: str
    calls: int
    in_flight: int
    pickup: bool
    seed: int
    world: dict[str, int]
    connections: int = 1
    for_s: float | None = None
    hot: bool = False
    """One hot SKU is in every reservation."""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a task: when it began and ended (monotonic seconds, the same clock in every process), each call's time."""

    begun_s: float
    ended_s: float
    latencies_us: list[int]
    granted: int
    """Reservations that were granted; echoes are not counted."""
    refused: int
    """Times that a call was told to come back later: it did, when it was told. Its latency is that of the time it was taken."""


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
    asks = world.asks(task.calls * items, pickup=task.pickup, seed=task.seed, hot=task.hot)
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


def delay_s(error: grpc.aio.AioRpcError) -> float:
    """After how long a refused call may come back. Raises the error when it was not refused for overload."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # all that it takes are the trailing metadata
    retry = error_details_pb2.RetryInfo()
    if error.code() == grpc.StatusCode.RESOURCE_EXHAUSTED and status is not None:
        for detail in status.details:
            if detail.Unpack(retry):
                return float(retry.retry_delay.ToNanoseconds() / 1e9)
    raise error


async def make(channels: list[grpc.aio.Channel], task: Task, ready: list[bytes]) -> Made:
    """Make the calls of a task."""
    waiting = iter(ready)
    latencies_us: list[int] = []
    responses: list[bytes] = []
    refused = 0

    async def one_after_another(call: Any) -> None:
        nonlocal refused
        for request in waiting:
            while True:
                sent = time.perf_counter_ns()
                try:
                    responses.append(await call(request))
                except grpc.aio.AioRpcError as error:
                    refused += 1
                    await asyncio.sleep(delay_s(error))
                else:
                    latencies_us.append((time.perf_counter_ns() - sent) // 1_000)
                    break

    calls: list[Any] = [channel.unary_unary(PATHS[task.call]) for channel in channels]  # bytes in, bytes out
    begun = time.monotonic()
    loops = [asyncio.ensure_future(one_after_another(calls[n % len(calls)])) for n in range(task.in_flight)]
    done, late = await asyncio.wait(loops, timeout=task.for_s)
    ended = time.monotonic()
    for loop in late:
        loop.cancel()
    await asyncio.gather(*done)
    await asyncio.gather(*late, return_exceptions=True)
    return Made(begun, ended, latencies_us, granted(task.call, responses), refused)


async def serve_tasks(target: str) -> None:
    """Read a task, prepare it and say so; at the next line make the calls and tell; until standard input ends."""
    loop = asyncio.get_running_loop()
    options = [
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
    ]
    async with AsyncExitStack() as stack:
        channels: list[grpc.aio.Channel] = []
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            task = Task(**json.loads(line))
            while len(channels) < task.connections:
                channels.append(await stack.enter_async_context(grpc.aio.insecure_channel(target, options=options)))
                await channels[-1].channel_ready()
            ready = list(requests(task))
            print("ready", flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            print(json.dumps(asdict(await make(channels[: task.connections], task, ready))), flush=True)


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve_tasks(sys.argv[1]))
