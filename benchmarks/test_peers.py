"""Stockpool beside what a user would run instead: the same work, durable, on the same two processors, by turns.

The work: hold one or two units of each of two SKUs at one node, both or none. Each peer starts by itself, gets the client that asks least of the
processors, the number of connections that serves it best, and is recounted afterwards (``benchmarks/peers``). None of them keeps request ids,
expires what it holds or tells anybody what happened, as Stockpool does.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.caller import BATCH_ITEMS, COLUMNS, RESERVE
from benchmarks.history import Note
from benchmarks.load import PEAK, Load, loaded
from benchmarks.peers import naive_orm
from benchmarks.peers.postgres import DATABASE, PostgresPeer
from benchmarks.peers.redis import Ran, RedisPeer
from benchmarks.rates import Rates
from benchmarks.world import World

ROUNDS = 3
IN_FLIGHT = 8
"""Batches at a time."""
CLIENTS = 2
"""Who send batches to PostgreSQL and Redis: more make neither faster on two processors."""
FUNCTIONS = ("reserve_each", "reserve_all")
UNARY_IN_FLIGHT = 64
CONNECTIONS = (8, 16, 32)
THREADS = 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is done in a round."""

    batches: int
    """Of Stockpool."""
    pgbench_s: int
    redis_calls: int

    @classmethod
    def of(cls, scale: float) -> Sizes:
        """The full work, or a share of it."""
        return cls(max(4, int(600 * scale)), max(1, int(3 * scale)), max(2_000, int(60_000 * scale)))


def batch_per_s(load: Load, calls: int) -> float:
    """Reservations a second of Stockpool in columns of 1,000, at a node; every one was granted."""
    made = load.run(COLUMNS, calls, IN_FLIGHT, pickup=True)
    assert made.granted == made.calls * BATCH_ITEMS, "a reservation was refused"
    return made.calls_per_s * BATCH_ITEMS


def redis_round(peer: RedisPeer, calls: int) -> dict[str, Ran]:
    """The three ways to call Redis."""
    return {
        "redis_single": peer.one_at_a_time(calls, 64),
        "redis_pipelined": peer.one_at_a_time(calls, 64, pipeline=16),
        "redis_scripted": peer.many_at_a_time(max(4, calls // 300), CLIENTS),
    }


def test_batch_over_postgres(
    world: World, stocked_url: str, postgres_store: PostgresPeer, scale: float, note: Note
) -> None:
    sizes, peer, rates = Sizes.of(scale), postgres_store, Rates()
    clients = peer.best_clients(sizes.pgbench_s)
    function = max(FUNCTIONS, key=lambda name: peer.many_at_a_time(name, CLIENTS, sizes.pgbench_s).calls_per_s)
    command = [sys.executable, "-m", "benchmarks.echo_server", stocked_url]
    with loaded(command, world, callers=1, wire=True, environment=PEAK) as load:
        batch_per_s(load, sizes.batches)
        for _ in range(ROUNDS):
            rates.add("batch", batch_per_s(load, sizes.batches))
            rates.add("pg_procedure", peer.one_at_a_time(clients, sizes.pgbench_s).calls_per_s)
            many = peer.many_at_a_time(function, CLIENTS, sizes.pgbench_s).calls_per_s * BATCH_ITEMS
            rates.add("pg_batch_procedure", many)
            rates.add("pg_procedure_hot", peer.one_at_a_time(clients, sizes.pgbench_s, hot=True).calls_per_s)
    peer.check()
    note("batch_over_pg_procedure", rates.over("batch", "pg_procedure"), "ratio")
    note("batch_over_pg_batch_procedure", rates.over("batch", "pg_batch_procedure"), "ratio")
    for name in ("pg_procedure", "pg_procedure_hot", "pg_batch_procedure"):
        note(f"{name}_per_s", rates.of(name), "1/s")
    note("pg_procedure_clients", clients, "clients")


def test_batch_over_redis(world: World, stocked_url: str, redis_store: RedisPeer, scale: float, note: Note) -> None:
    sizes, rates = Sizes.of(scale), Rates()
    command = [sys.executable, "-m", "benchmarks.echo_server", stocked_url]
    with loaded(command, world, callers=1, wire=True, environment=PEAK) as load:
        batch_per_s(load, sizes.batches)
        redis_round(redis_store, sizes.redis_calls)
        for _ in range(ROUNDS):
            rates.add("batch", batch_per_s(load, sizes.batches))
            for name, ran in redis_round(redis_store, sizes.redis_calls).items():
                rates.add(name, ran.per_s)
    redis_store.check()
    names = ("redis_single", "redis_pipelined", "redis_scripted")
    note("batch_over_redis_always", rates.over("batch", rates.best(*names)), "ratio")
    for name in names:
        note(f"{name}_per_s", rates.of(name), "1/s")


def test_unary_over_the_same_call(
    world: World, stocked_url: str, postgres_store: PostgresPeer, scale: float, note: Note
) -> None:
    peer, rates, calls = postgres_store, Rates(), int(6_000 * scale)

    def service_per_s(load: Load) -> float:
        made = load.run(RESERVE, calls, UNARY_IN_FLIGHT, pickup=True)
        assert made.granted == made.calls, "a reservation was refused"
        peer.expect(made.granted)
        return made.calls_per_s

    command = [sys.executable, "-m", "benchmarks.peers.asyncpg_service", str(peer.socket_folder), DATABASE]
    found: dict[int, float] = {}
    for connections in CONNECTIONS:
        with loaded([*command, str(connections)], world, callers=2) as service:
            service_per_s(service)
            found[connections] = service_per_s(service)
    best = max(found, key=lambda connections: found[connections])
    with (
        loaded([*command, str(best)], world, callers=2) as service,
        loaded([sys.executable, "-m", "benchmarks.echo_server", stocked_url], world, callers=2) as load,
    ):
        for turn in range(ROUNDS + 1):
            own = load.run(RESERVE, calls, UNARY_IN_FLIGHT, pickup=True)
            assert own.granted == own.calls, "a reservation was refused"
            other = service_per_s(service)
            orm = naive_orm.run(peer, THREADS, 3 * scale)
            if turn:
                rates.add("unary_pickup", own.calls_per_s)
                rates.add("asyncpg_service", other)
                rates.add("naive_orm", orm)
    peer.check()
    note("unary_over_asyncpg_service", rates.over("unary_pickup", "asyncpg_service"), "ratio")
    rates.note(note)
