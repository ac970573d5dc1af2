"""A server under load: it and its callers are processes of their own, for a caller in Python costs as much as the server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import count
from statistics import quantiles
from types import MappingProxyType
from typing import IO, Any

import psutil  # type: ignore[import-untyped]

from benchmarks.caller import Made, Task
from benchmarks.history import ROOT
from benchmarks.world import World

_SEEDS = count(1)
"""Never the same twice in a run: a request id that was used before would get the first answer again."""

SERVE = (sys.executable, "-m", "engine", "serve", "--port", "0", "--json", "--stop-on-eof", "--journal")
"""The command of a server, but for the url of its journal. It tells in a line of JSON when it answers calls."""
LIMITS = {
    "STOCKPOOL_LIMITS__CELLS_MAX": str(1 << 25),
    "STOCKPOOL_LIMITS__OPEN_RESERVATIONS_MAX": str(1 << 23),
    "STOCKPOOL_LIMITS__RESERVATION_LEGS_MAX": str(1 << 25),
}
"""Environment of a server that is loaded: batches hold millions of reservations in a few seconds, and none ends before the benchmark does."""
ROOM = {"cells_max": 1 << 19, "open_reservations_max": 1 << 22, "reservation_legs_max": 1 << 23}
"""Limits of a server that is set up for a peak: room for what is coming,"""
PEAK = {f"STOCKPOOL_LIMITS__{name.upper()}": str(value) for name, value in ROOM.items()} | {
    "STOCKPOOL_PRETOUCH": "true"
}
"""and its environment: the memory for it is taken when it starts."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One round of calls, all callers together."""

    calls: int
    granted: int
    """Reservations that were granted; echoes are not counted."""
    elapsed_s: float
    p50_ms: float
    p99_ms: float
    server_cpu_us: float
    """Processor time that the server took, a call."""
    refused: int

    @property
    def calls_per_s(self) -> float:
        """Calls answered in a second."""
        return self.calls / self.elapsed_s


@dataclass(frozen=True, slots=True)
class Load:
    """A server and its callers."""

    server: subprocess.Popen[str]
    callers: list[subprocess.Popen[str]]
    world: World

    def run(
        self, call: str, calls: int, in_flight: int, *, pickup: bool = False, hot: bool = False, connections: int = 1
    ) -> Measured:
        """``calls`` calls in all, ``in_flight`` at a time, shared evenly by the callers, with so many connections of each."""
        share = min(len(self.callers), in_flight)
        task = self._task(call, calls // share, in_flight // share, pickup=pickup, hot=hot, connections=connections)
        return self._make([task] * share)[0]

    def crowd(self, call: str, calls: int, in_flight: int, connections: int, for_s: float) -> tuple[Measured, Measured]:
        """A crowd for a time, and one caller who makes one call after another beside it: in a process of its own, the last one, so that
        its latencies are those of the server, and not of callers who are busy themselves.
        """
        share = len(self.callers) - 1
        of_crowd = self._task(call, calls // share, in_flight // share, connections=connections // share, for_s=for_s)
        crowd, lone = self._make([of_crowd] * share, self._task(call, calls // 10, 1, for_s=for_s))
        return crowd, lone

    def _task(
        self,
        call: str,
        calls: int,
        in_flight: int,
        *,
        pickup: bool = False,
        connections: int = 1,
        for_s: float | None = None,
        hot: bool = False,
    ) -> Task:
        return Task(call, calls, in_flight, pickup, 0, asdict(self.world), connections, for_s, hot)

    def _make(self, *alike: list[Task] | Task) -> list[Measured]:
        """All at the same time; measured together are those of a list."""
        lists = [one if isinstance(one, list) else [one] for one in alike]
        tasks = [task for each in lists for task in each]
        callers = self.callers[: len(tasks)]
        for caller, task in zip(callers, tasks, strict=True):
            tell(caller, json.dumps(asdict(replace(task, seed=next(_SEEDS)))))
        for caller in callers:
            hear(caller)
        before_s = cpu_s(self.server)
        for caller in callers:
            tell(caller, "go")
        made = [Made(**json.loads(hear(caller))) for caller in callers]
        cpu = cpu_s(self.server) - before_s
        told = iter(made)
        return [_measured([next(told) for _ in each], cpu) for each in lists]


def _measured(made: list[Made], server_cpu_s: float) -> Measured:
    elapsed_s = max(one.ended_s for one in made) - min(one.begun_s for one in made)
    latencies_us = [latency for one in made for latency in one.latencies_us]
    percentiles = quantiles(latencies_us, n=100)
    return Measured(
        len(latencies_us),
        sum(one.granted for one in made),
        elapsed_s,
        percentiles[49] / 1_000,
        percentiles[98] / 1_000,
        server_cpu_s / len(latencies_us) * 1e6,
        sum(one.refused for one in made),
    )


@contextmanager
def loaded(
    command: list[str],
    world: World,
    callers: int,
    *,
    wire: bool = False,
    environment: Mapping[str, str] = MappingProxyType(LIMITS),
) -> Iterator[Load]:
    """Start the server that ``command`` runs, which says where it listens and ends with its standard input, and its callers.

    ``wire``: callers that need less of the processors than grpcio's client, for servers that answer more than it asks. ``environment``: of the
    server, beside that of this process.
    """
    with ExitStack() as stack:
        server = stack.enter_context(piped(command, {**os.environ, **environment}))
        told = hear(server)
        target = json.loads(told)["target"] if told.startswith("{") else told
        processes = [
            stack.enter_context(piped([sys.executable, "-m", "benchmarks.caller", target, *["wire"] * wire]))
            for _ in range(callers)
        ]
        yield Load(server, processes, world)


@contextmanager
def piped(command: list[str], environment: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with its standard input."""
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        _file(process.stdin).close()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _file(process.stdout).close()


def tell(process: subprocess.Popen[str], line: str) -> None:
    """Write a line to the standard input of a process."""
    file = _file(process.stdin)
    file.write(line + "\n")
    file.flush()


def hear(process: subprocess.Popen[str]) -> str:
    """The next line of its standard output."""
    line = _file(process.stdout).readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with code {process.wait()}; what it said is above")
    return line.strip()


def _file(file: IO[Any] | None) -> IO[Any]:
    assert file is not None
    return file


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Processor seconds that a process has taken, all threads together, with the processes that it has started and that run."""
    first = psutil.Process(process.pid)
    times = [one.cpu_times() for one in (first, *first.children(recursive=True))]
    return float(sum(one.user + one.system for one in times))
