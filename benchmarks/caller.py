"""A process that calls a server: it prepares calls, waits for the word, makes them, and tells how long each took.

``python -m benchmarks.caller TARGET`` reads tasks on standard input and answers on standard output, a JSON line each. Requests are
built before the clock starts and responses are looked at after it has stopped: what is measured is the server and gRPC. With ``wire`` behind
the target it calls without grpcio, see ``benchmarks.wire``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from benchmarks.wire import Wire
from benchmarks.world import CHANNEL, Ask, World
from stockpool.v1 import network_pb2, network_pb2_grpc, types_pb2
from stockpool.v1 import reservations_pb2 as pb

ECHO, RESERVE, BATCH, COLUMNS = "echo", "reserve", "batch", "columns"
PATHS = {
    ECHO: "/benchmarks.Echo/Echo",
    RESERVE: "/stockpool.v1.ReservationService/Reserve",
    BATCH: "/stockpool.v1.ReservationService/BatchReserve",
    COLUMNS: "/stockpool.v1.ReservationService/BatchReserve",
}
BATCH_ITEMS = 1_000
INDEXES_MAX = 20_000
"""Keys of one GetIndexes."""


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


class Directory:
    """The indexes of a world's SKUs and nodes, and what says whose they are."""

    def __init__(self) -> None:
        self.directory = ""
        self.skus: dict[str, int] = {}
        self.nodes: dict[str, int] = {}

    async def learn(self, channel: grpc.aio.Channel, world: World) -> None:
        """Ask the server, once."""
        if self.directory:
            return
        call = network_pb2_grpc.NetworkServiceStub(channel).GetIndexes
        sku_keys = [f"S{sku:06}" for sku in range(world.skus)]
        node_keys = [f"N{node:05}" for node in range(world.nodes)]
        self.nodes = dict(zip(node_keys, (await call(_asked(node_keys=node_keys))).node_indexes, strict=True))
        for first in range(0, len(sku_keys), INDEXES_MAX):
            keys = sku_keys[first : first + INDEXES_MAX]
            told = await call(_asked(sku_keys=keys))
            self.skus.update(zip(keys, told.sku_indexes, strict=True))
            self.directory = told.directory

    def columns(self, asks: list[Ask]) -> pb.ReservationColumns:
        """The message of many asks."""
        return pb.ReservationColumns(
            channel_key=CHANNEL,
            directory=self.directory,
            line_counts=[len(ask.lines) for ask in asks],
            sku_indexes=[self.skus[sku_key] for ask in asks for sku_key, _ in ask.lines],
            units=[units for ask in asks for _, units in ask.lines],
            pickup_node_indexes=[self.nodes[ask.node_key] for ask in asks if ask.node_key],
            postal_codes=[ask.postal_code for ask in asks if not ask.node_key],
        )


def _asked(**keys: list[str]) -> network_pb2.GetIndexesRequest:
    return network_pb2.GetIndexesRequest(**keys)  # type: ignore[arg-type]


def requests(task: Task, directory: Directory) -> Iterator[bytes]:
    """The requests of a task, ready to be sent."""
    world = World(**task.world)
    items = BATCH_ITEMS if task.call in (BATCH, COLUMNS) else 1
    asks = world.asks(task.calls * items, pickup=task.pickup, seed=task.seed, hot=task.hot)
    for number in range(task.calls):
        request_id = f"{task.seed}-{number}"
        message: Any
        if task.call == COLUMNS:
            columns = directory.columns([next(asks) for _ in range(items)])
            message = pb.BatchReserveRequest(request_id=request_id, columns=columns)
        elif task.call == BATCH:
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
    if call == COLUMNS:
        answers = map(pb.BatchReserveResponse.FromString, responses)
        return sum(bool(reservation_id) for each in answers for reservation_id in each.columns.reservation_ids)
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


class Dial:
    """The connections of a caller: more are made when a task wants them."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._channels: list[grpc.aio.Channel] = []
        self._directory = Directory()

    async def prepare(self, task: Task) -> Callable[[], Awaitable[Made]]:
        """Build the requests of a task; what is returned makes the calls."""
        await self._connect(task.connections)
        ready = await self._requests(task)
        return lambda: make(self._channels[: task.connections], task, ready)

    async def close(self) -> None:
        """Close them."""
        for channel in self._channels:
            await channel.close()

    async def _connect(self, count: int) -> None:
        options = [
            ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        while len(self._channels) < count:
            self._channels.append(grpc.aio.insecure_channel(self._target, options=options))
            await self._channels[-1].channel_ready()

    async def _requests(self, task: Task) -> list[bytes]:
        if task.call == COLUMNS:
            await self._connect(1)
            await self._directory.learn(self._channels[0], World(**task.world))
        return list(requests(task, self._directory))


class WireDial(Dial):
    """The same without grpcio."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self._wires: list[Wire] = []

    async def prepare(self, task: Task) -> Callable[[], Awaitable[Made]]:
        """As that of grpcio; a call that fails is not repeated."""
        while len(self._wires) < task.connections:
            self._wires.append(await Wire.connect(self._target))
        ready, wires = await self._requests(task), self._wires[: task.connections]
        for number, wire in enumerate(wires):
            wire.prepare(PATHS[task.call], ready[number :: len(wires)], max(1, task.in_flight // len(wires)))

        async def made() -> Made:
            begun = time.monotonic()
            answered = await asyncio.gather(*(wire.run() for wire in wires))
            ended = time.monotonic()
            latencies_us = [latency for each in answered for latency in each.latencies_us]
            messages = [message for each in answered for message in each.messages]
            return Made(begun, ended, latencies_us, granted(task.call, messages), sum(not each for each in messages))

        return made

    async def close(self) -> None:
        """Close them."""
        await super().close()
        for wire in self._wires:
            wire.close()


async def serve_tasks(dial: Dial) -> None:
    """Read a task, prepare it and say so; at the next line make the calls and tell; until standard input ends."""
    loop = asyncio.get_running_loop()
    try:
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            made = await dial.prepare(Task(**json.loads(line)))
            print("ready", flush=True)
            await loop.run_in_executor(None, sys.stdin.readline)
            print(json.dumps(asdict(await made())), flush=True)
    finally:
        await dial.close()


async def main() -> None:
    """As the command line says."""
    await serve_tasks(WireDial(sys.argv[1]) if "wire" in sys.argv[2:] else Dial(sys.argv[1]))


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
