"""A durable Reserve over the wire beside an empty echo of the same gRPC server.

The echo is the floor: same server, same callers, messages of the same size. Rounds alternate, so that what else the machine does
hits both; the ratio is the median of the rounds' ratios.
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


def rounds(load: Load, calls: int, in_flight: int) -> tuple[list[Measured], list[Measured]]:
    """Rounds of echo and of Reserve, by turns, after one of each to warm up."""
    echoes, reserves = [], []
    for turn in range(ROUNDS + 1):
        echo = load.run(ECHO, calls, in_flight)
        reserve = load.run(RESERVE, calls, in_flight)
        assert reserve.granted == reserve.calls, "a Reserve was refused"
        if turn:
            echoes.append(echo)
            reserves.append(reserve)
    return echoes, reserves


def test_unary_reserve(world: World, stocked_url: str, scale: float, note: Note) -> None:
    command = [sys.executable, "-m", "benchmarks.echo_server", stocked_url]
    with loaded(command, world, CALLERS) as load:
        for in_flight, calls, tag in ((64, int(8_000 * scale), ""), (1, int(1_500 * scale), "_1")):
            echoes, reserves = rounds(load, calls, in_flight)
            pairs = list(zip(reserves, echoes, strict=True))
            note(f"unary{tag}_over_echo", median(r.calls_per_s / e.calls_per_s for r, e in pairs), "ratio")
            note(f"unary{tag}_cpu_over_echo", median(r.server_cpu_us / e.server_cpu_us for r, e in pairs), "ratio")
            for name, measured in (("unary", reserves), ("echo", echoes)):
                note(f"{name}{tag}_per_s", median(one.calls_per_s for one in measured), "1/s")
                note(f"{name}{tag}_p50_ms", median(one.p50_ms for one in measured), "ms")
                note(f"{name}{tag}_p99_ms", median(one.p99_ms for one in measured), "ms")
                note(f"{name}{tag}_server_cpu_us", median(one.server_cpu_us for one in measured), "us")
