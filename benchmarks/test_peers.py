"""Stockpool beside what a user would run instead: the same work, durable, on the same two processors, by turns.

The work: hold one or two units of each of two SKUs at one node, both or none. Each peer starts by itself, gets the client that asks least of the
processors, the number of connections that serves it best, and is recounted afterwards (``benchmarks/peers``). None of them keeps request ids,
expires what it holds or tells anybody what happened, as Stockpool does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import pytest

from benchmarks.caller import BATCH, BATCH_ITEMS, RESERVE
from benchmarks.history import Note
from benchmarks.load import Load, loaded
from benchmarks.peers import naive_orm
from benchmarks.peers.postgres import DATABASE, PostgresPeer, postgres_peer
from benchmarks.peers.redis import Ran, RedisMissingError, RedisPeer, redis_peer
from benchmarks.world import World
from engine.proof.torture.postgres import PostgresMissingError

ROUNDS = 3
IN_FLIGHT = 2
"""Batches at a time, of Stockpool and of the procedure."""
CLIENTS = (16, 32, 64)
FUNCTIONS = ("reserve_each", "reserve_all")
UNARY_IN_FLIGHT = 64
CONNECTIONS = (8, 16, 32)
THREADS = 16


@pytest.fixture(scope="module")
def postgres_store(world: World) -> Iterator[PostgresPeer]:
    """PostgreSQL with the schema of the peer and the world in it."""
    try:
        with postgres_peer(world) as peer:
            yield peer
            peer.check()
    except PostgresMissingError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def redis_store(world: World) -> Iterator[RedisPeer]:
    """Redis with the world in it."""
    try:
        with redis_peer(world) as peer:
            yield peer
            peer.check()
    except RedisMissingError as error:
        pytest.skip(str(error))


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
        return cls(max(4, int(200 * scale)), max(1, int(3 * scale)), max(2_000, int(60_000 * scale)))


class Rates:
    """Reservations a second by name, a list over the rounds."""

    def __init__(self) -> None:
        self._rates: dict[str, list[float]] = {}

    def add(self, name: str, per_s: float) -> None:
        """One round's."""
        self._rates.setdefault(name, []).append(per_s)

    def of(self, name: str) -> float:
        """The median over the rounds."""
        return median(self._rates[name])

    def best(self, *names: str) -> str:
        """The name with the highest median."""
        return max(names, key=self.of)

    def over(self, name: str, other: str) -> float:
        """The median of the rounds' ratios."""
        return median(one / two for one, two in zip(self._rates[name], self._rates[other], strict=True))

    def note(self, note: Note) -> None:
        """Note every median as ``<name>_per_s``."""
        for name in self._rates:
            note(f"{name}_per_s", self.of(name), "1/s")


def batch_per_s(load: Load, calls: int, *, hot: bool = False) -> float:
    """Reservations a second of Stockpool in batches at a node; every one was granted."""
    made = load.run(BATCH, calls, IN_FLIGHT, pickup=True, hot=hot)
    assert made.granted == made.calls * BATCH_ITEMS, "a reservation was refused"
    return made.calls_per_s * BATCH_ITEMS


def redis_round(peer: RedisPeer, calls: int) -> dict[str, Ran]:
    """The three ways to call Redis."""
    return {
        "redis_single": peer.one_at_a_time(calls, 64),
        "redis_pipelined": peer.one_at_a_time(calls, 64, pipeline=16),
        "redis_scripted": peer.many_at_a_time(max(4, calls // 300), IN_FLIGHT),
    }


def test_batch_over_postgres(
    world: World, stocked_url: str, postgres_store: PostgresPeer, scale: float, note: Note
) -> None:
    sizes, peer, rates = Sizes.of(scale), postgres_store, Rates()
    clients = max(CLIENTS, key=lambda count: peer.one_at_a_time(count, sizes.pgbench_s).calls_per_s)
    function = max(FUNCTIONS, key=lambda name: peer.many_at_a_time(name, IN_FLIGHT, sizes.pgbench_s).calls_per_s)
    with loaded([sys.executable, "-m", "benchmarks.echo_server", stocked_url], world, callers=1) as load:
        batch_per_s(load, sizes.batches)
        for _ in range(ROUNDS):
            rates.add("batch", batch_per_s(load, sizes.batches))
            rates.add("pg_procedure", peer.one_at_a_time(clients, sizes.pgbench_s).calls_per_s)
            many = peer.many_at_a_time(function, IN_FLIGHT, sizes.pgbench_s).calls_per_s * BATCH_ITEMS
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
    with loaded([sys.executable, "-m", "benchmarks.echo_server", stocked_url], world, callers=1) as load:
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
