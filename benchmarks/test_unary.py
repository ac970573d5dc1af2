"""A durable Reserve over the wire beside an empty echo of the gRPC server that grpcio gives, and of our own.

The echo is the floor: same options, same callers, messages of the same size. Rounds alternate, so that what else the machine does
hits all; the ratio is the median of the rounds' ratios. Our server takes calls from gRPC faster than grpcio's own does (see
``engine.service.arrivals``), hence two floors: what a service without us would stand on, and the part of a call that is still ours.
"""

from __future__ import annotations

import sys
from statistics import median

from benchmarks.caller import ECHO, RESERVE
from benchmarks.history import Note
from benchmarks.load import Load, Measured, loaded
from benchmarks.world import World

ROUNDS = 5
CALLERS = 2
Rounds = dict[str, list[Measured]]


def rounds(plain: Load, load: Load, calls: int, in_flight: int) -> Rounds:
    """Rounds of both echoes and of Reserve, by turns, after one of each to warm up."""
    made: Rounds = {"echo": [], "own_echo": [], "unary": []}
    for turn in range(ROUNDS + 1):
        echo = plain.run(ECHO, calls, in_flight)
        own_echo = load.run(ECHO, calls, in_flight)
        reserve = load.run(RESERVE, calls, in_flight)
        assert reserve.granted == reserve.calls, "a Reserve was refused"
        if turn:
            for name, measured in (("echo", echo), ("own_echo", own_echo), ("unary", reserve)):
                made[name].append(measured)
    return made


def test_unary_reserve(world: World, stocked_url: str, scale: float, note: Note) -> None:
    command = [sys.executable, "-m", "benchmarks.echo_server"]
    with (
        loaded([*command, "plain"], world, CALLERS) as plain,
        loaded([*command, stocked_url], world, CALLERS) as load,
    ):
        for in_flight, calls, tag in ((64, int(8_000 * scale), ""), (1, int(1_500 * scale), "_1")):
            made = rounds(plain, load, calls, in_flight)
            for floor in ("echo", "own_echo"):
                pairs = list(zip(made["unary"], made[floor], strict=True))
                note(f"unary{tag}_over_{floor}", median(r.calls_per_s / e.calls_per_s for r, e in pairs), "ratio")
                note(
                    f"unary{tag}_cpu_over_{floor}", median(r.server_cpu_us / e.server_cpu_us for r, e in pairs), "ratio"
                )
            for name, measured in made.items():
                note(f"{name}{tag}_per_s", median(one.calls_per_s for one in measured), "1/s")
                note(f"{name}{tag}_p50_ms", median(one.p50_ms for one in measured), "ms")
                note(f"{name}{tag}_p99_ms", median(one.p99_ms for one in measured), "ms")
                note(f"{name}{tag}_server_cpu_us", median(one.server_cpu_us for one in measured), "us")
