"""Ten times as many callers as it takes to keep the server busy: it must not do less, and whom it takes it must not keep waiting.

The crowd is impatient: each has one call under way, sends the next at once, and comes back when it was told to. Latencies are those of
a lone caller beside it, of the attempts that were taken: a process with a thousand calls in flight measures itself.
"""

from __future__ import annotations

import sys
from statistics import median

from benchmarks.caller import RESERVE
from benchmarks.history import Note
from benchmarks.load import Load, Measured, loaded
from benchmarks.world import World

CALLERS = 3
CONNECTIONS = 16
"""Of the crowd: so many clients share the server."""
BUSY = 256
"""Calls in flight that keep the server busy."""
TIMES = 10
ROUNDS = 3


def run(load: Load, in_flight: int, for_s: float) -> tuple[Measured, Measured]:
    calls = int(8_000 * for_s)  # more than it can answer
    return load.crowd(RESERVE, calls, in_flight, CONNECTIONS, for_s)


def test_overload(world: World, stocked_url: str, scale: float, note: Note) -> None:
    for_s = max(6.0, 20 * scale)
    command = [sys.executable, "-m", "benchmarks.echo_server", stocked_url]
    with loaded(command, world, CALLERS) as load:
        run(load, BUSY, 1)
        rounds = [
            (*run(load, BUSY, for_s), *run(load, BUSY * TIMES, for_s)) for _ in range(ROUNDS if scale == 1 else 1)
        ]
    for measured in rounds:
        assert all(one.granted == one.calls for one in measured), "a Reserve was refused for want of stock"
    note("overload_over_peak", median(over.calls_per_s / peak.calls_per_s for peak, _, over, _ in rounds), "ratio")
    note("overload_p99_over_peak", median(over.p99_ms / peak.p99_ms for _, peak, _, over in rounds), "ratio")
    note("overload_refusals_a_call", median(over.refused / over.calls for _, _, over, _ in rounds), "ratio")
    for name, at in (("peak", 0), ("overload", 2)):
        note(f"{name}_per_s", median(measured[at].calls_per_s for measured in rounds), "1/s")
        note(f"{name}_p50_ms", median(measured[at + 1].p50_ms for measured in rounds), "ms")
        note(f"{name}_p99_ms", median(measured[at + 1].p99_ms for measured in rounds), "ms")
