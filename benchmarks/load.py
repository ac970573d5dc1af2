"""A server under load: it and its callers are processes of their own, for a caller in Python costs as much as the server."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from itertools import count
from statistics import quantiles
from typing import IO, Any

import psutil  # type: ignore[import-untyped]

from benchmarks.caller import Made, Task
from benchmarks.history import ROOT
from benchmarks.world import World

_SEEDS = count(1)
"""Never the same twice in a run: a request id that was used before would get the first answer again."""

SERVE = (sys.executable, "-m", "engine", "serve", "--port", "0", "--json", "--stop-on-eof", "--journal")
"""The command of a server, but for the url of its journal. It tells in a line of JSON when it answers calls."""


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

    def run(self, call: str, calls: int, in_flight: int, *, pickup: bool = False) -> Measured:
        """``calls`` calls in all, ``in_flight`` at a time, shared evenly by the callers."""
        callers = self.callers[:in_flight]
        share = len(callers)
        for caller in callers:
            task = Task(call, calls // share, in_flight // share, pickup, next(_SEEDS), asdict(self.world))
            _tell(caller, json.dumps(asdict(task)))
        for caller in callers:
            hear(caller)
        before_s = cpu_s(self.server)
        for caller in callers:
            _tell(caller, "go")
        made = [Made(**json.loads(hear(caller))) for caller in callers]
        return _measured(made, cpu_s(self.server) - before_s)


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
    )


@contextmanager
def loaded(command: list[str], world: World, callers: int) -> Iterator[Load]:
    """Start the server that ``command`` runs, which says where it listens and ends with its standard input, and its callers."""
    with ExitStack() as stack:
        server = stack.enter_context(piped(command))
        target = hear(server)
        processes = [
            stack.enter_context(piped([sys.executable, "-m", "benchmarks.caller", target])) for _ in range(callers)
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


def _tell(process: subprocess.Popen[str], line: str) -> None:
    file = _file(process.stdin)
    file.write(line + "\n")
    file.flush()


def hear(process: subprocess.Popen[str]) -> str:
    line = _file(process.stdout).readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended with code {process.wait()}; what it said is above")
    return line.strip()


def _file(file: IO[Any] | None) -> IO[Any]:
    assert file is not None
    return file


def cpu_s(process: subprocess.Popen[str]) -> float:
    """Processor seconds that a process has taken, all threads together."""
    times = psutil.Process(process.pid).cpu_times()
    return float(times.user + times.system)
