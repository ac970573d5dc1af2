"""A load from several processes at once, and what came of it."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from engine.bench.plan import BenchError, Goods, Point, Share
from engine.bench.tally import Tally
from stockpool.v1 import types_pb2

QUANTILES = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999))
_BEGIN_IN_S = 0.25
"""From the word until the first call: every process has heard it by then."""
_LINE_BYTES_MAX = 1 << 28
_STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class Server:
    """Where the load goes, and what it takes to be let in."""

    target: str
    token: str | None = None
    roots: str | None = None


@dataclass(frozen=True, slots=True)
class Measured:
    """What a point gave."""

    point: Point
    processes: int
    tally: Tally

    @property
    def calls_per_s(self) -> float:
        """Calls answered within the measured seconds."""
        return self.tally.answered / self.point.seconds

    @property
    def granted_per_s(self) -> float:
        """Reservations granted by these."""
        return self.tally.granted / self.point.seconds

    def latencies_ms(self) -> dict[str, float]:
        """Percentiles, and the longest."""
        found = {name: self.tally.latencies.quantile_us(share) / 1_000 for name, share in QUANTILES}
        return found | {"max": self.tally.latencies.max_us / 1_000}

    def as_json(self) -> dict[str, Any]:
        """One line of the result."""
        point = self.point
        return {
            "call": point.call,
            "loop": "open" if point.is_open else "closed",
            "in_flight": None if point.is_open else point.in_flight,
            "rate": point.rate or None,
            "reservations_a_call": point.items,
            "lines": point.lines,
            "hot": point.hot,
            "processes": self.processes,
            "seconds": point.seconds,
            "calls_per_s": round(self.calls_per_s, 1),
            "granted_per_s": round(self.granted_per_s, 1),
            "latency_ms": self.latencies_ms(),
            "outcomes": {types_pb2.Outcome.Name(key): count for key, count in sorted(self.tally.outcomes.items())},
            "late": self.tally.late,
            "failures": dict(sorted(self.tally.failures.items())),
        }


async def measure(
    server: Server, goods: Goods, point: Point, processes: int, seed: int, on_progress: Callable[[int], None]
) -> Measured:
    """Make the load of one point. ``on_progress`` is told how many calls of the measured ones were answered.

    Raises:
        BenchError: a process of the load ended, or could not connect.
    """
    used = processes if point.is_open else min(processes, point.in_flight)
    workers: list[Process] = []
    answered = [0] * used
    try:
        for _ in range(used):
            workers.append(  # noqa: PERF401 - those that were started are ended whatever happens
                await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "engine.bench.worker"),
                    stdin=PIPE,
                    stdout=PIPE,
                    limit=_LINE_BYTES_MAX,
                    start_new_session=True,  # Ctrl-C reaches us alone, and we end them
                )
            )
        for number, worker in enumerate(workers):
            share = Share(server.target, server.token, server.roots, goods, point, number, used, seed * 1_000 + number)
            await _tell(worker, json.dumps(share.as_json()))
        for worker in workers:
            await _hear(worker)
        begin_s = time.monotonic() + _BEGIN_IN_S
        for worker in workers:
            await _tell(worker, repr(begin_s))

        async def listen(number: int) -> Tally:
            while "tally" not in (told := await _hear(workers[number])):
                answered[number] = told["progress"]
                on_progress(sum(answered))
            return Tally.of_json(told["tally"])

        total = Tally()
        for one in await asyncio.gather(*(listen(number) for number in range(used))):
            total.absorb(one)
        return Measured(point, used, total)
    finally:
        await asyncio.gather(*(_end(worker) for worker in workers))


async def _tell(worker: Process, line: str) -> None:
    assert worker.stdin is not None
    worker.stdin.write(line.encode() + b"\n")
    with suppress(ConnectionError):  # what it said before it ended is above, and it is noticed when it is listened to
        await worker.stdin.drain()


async def _hear(worker: Process) -> dict[str, Any]:
    assert worker.stdout is not None
    line = await worker.stdout.readline()
    if not line:
        raise BenchError("a process of the load ended", f"code {await worker.wait()}; what it said is above")
    told: dict[str, Any] = json.loads(line)
    return told


async def _end(worker: Process) -> None:
    if worker.returncode is None:
        with suppress(ProcessLookupError):
            worker.terminate()
    with suppress(TimeoutError):
        await asyncio.wait_for(worker.wait(), _STOP_S)
    if worker.returncode is None:
        worker.kill()
        await worker.wait()
