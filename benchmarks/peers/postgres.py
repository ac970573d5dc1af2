"""PostgreSQL with a stored procedure written by hand, called by pgbench: no service in between, and a client in C."""

from __future__ import annotations

import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.peers.recount import Cell, Line, Recounted, RecountError, recount
from benchmarks.world import World
from engine.proof.torture.postgres import PostgresServer

SCHEMA = Path(__file__).with_name("schema.sql")
DATABASE = "peer"
BATCH_ITEMS = 1_000
CLIENTS = (16, 32, 64)
SCRIPTS = 32
"""Different batches that a run sends, again and again."""
LINES = 2
_OPTIONS = (
    "max_connections=200",
    "shared_buffers=1GB",
    # No checkpoint falls into a run of seconds: it would slow a round, and not the next.
    "checkpoint_timeout=30min",
    "max_wal_size=16GB",
    "synchronous_commit=on",
)
"""Durable as PostgreSQL comes, and room that a benchmark of a minute does not use up. Autovacuum is off, for it would fall into other rounds."""


@dataclass(frozen=True, slots=True)
class Ran:
    """One run of pgbench."""

    calls: int
    calls_per_s: float
    mean_ms: float
    clients: int


class PostgresPeer:
    """The database of the peer. Every run counts what it asked for, and ``check`` compares with what is stored."""

    def __init__(self, server: PostgresServer, world: World) -> None:
        self.world = world
        self.dsn = f"host={server.folder} user=postgres dbname={DATABASE}"
        self._server = server
        self._granted = 0
        server.create(DATABASE)
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute(SCHEMA.read_bytes())
            stocked(connection, world)

    @property
    def socket_folder(self) -> Path:
        """Where its socket lies."""
        return self._server.folder

    def one_at_a_time(self, clients: int, for_s: int, *, hot: bool = False) -> Ran:
        """``reserve`` by so many clients for so many seconds, uniform over all SKUs, or with one hot SKU in every reservation."""
        ran = self._pgbench([_script(self.world, hot=hot)], clients, for_s)
        self._granted += ran.calls
        return ran

    def best_clients(self, for_s: int) -> int:
        """The number of clients that ``one_at_a_time`` is fastest with here; each of ``CLIENTS`` is tried for so many seconds."""
        return max(CLIENTS, key=lambda clients: self.one_at_a_time(clients, for_s).calls_per_s)

    def many_at_a_time(self, function: str, clients: int, for_s: int) -> Ran:
        """``reserve_each`` or ``reserve_all``: 1,000 reservations a call."""
        ran = self._pgbench(list(_batches(self.world, function)), clients, for_s)
        self._granted += ran.calls * BATCH_ITEMS
        return ran

    def expect(self, granted: int) -> None:
        """Others had so many reservations granted, through a service of their own."""
        self._granted += granted

    def check(self) -> Recounted:
        """Recount all that is stored.

        Raises:
            RecountError: oversold, or not as many reservations as were granted.
        """
        with psycopg.connect(self.dsn) as connection:
            found = recounted(connection)
        if found.reservations != self._granted:
            raise RecountError(f"{self._granted} reservations were granted, {found.reservations} are stored")
        return found

    def _pgbench(self, scripts: list[str], clients: int, for_s: int) -> Ran:
        paths = []
        for number, script in enumerate(scripts):
            paths.append(self._server.folder / f"script-{number}.sql")
            paths[-1].write_text(script)
        threads = min(2, clients)
        command: list[str | Path] = [
            self._server.programs / "pgbench",
            *("--no-vacuum", "--protocol=prepared", f"--client={clients}", f"--jobs={threads}", f"--time={for_s}"),
            *(f"--file={path}" for path in paths),
            *("--host", self._server.folder, "--username=postgres", DATABASE),
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"pgbench ended with {done.returncode}:\n{done.stderr[-2_000:]}")
        return parsed(done.stdout, clients)


def parsed(told: str, clients: int) -> Ran:
    """What pgbench said."""

    def number(pattern: str) -> float:
        found = re.search(pattern, told)
        if found is None:
            raise RuntimeError(f"pgbench did not tell {pattern!r}:\n{told}")
        return float(found.group(1))

    if number(r"number of failed transactions: (\d+)"):
        raise RuntimeError(f"pgbench had failures:\n{told}")
    return Ran(
        int(number(r"transactions actually processed: (\d+)")),
        number(r"tps = ([\d.]+)"),
        number(r"latency average = ([\d.]+) ms"),
        clients,
    )


def stocked(connection: psycopg.Connection[Any], world: World, on_hand: int = 1_000_000_000) -> None:
    """Put the world's stock into an empty schema."""
    with connection.cursor().copy("copy stock (sku, node, on_hand) from stdin") as copy:
        for sku in range(world.skus):
            for node in world.nodes_of(sku):
                copy.write_row((sku, node, on_hand))
    connection.execute("vacuum analyze stock")


def recounted(connection: psycopg.Connection[Any]) -> Recounted:
    """Recount a database of the schema."""
    cells = connection.execute("select sku, node, on_hand, reserved from stock").fetchall()
    lines = connection.execute(
        "select reservation_id, sku, node, units from reservation_line right join reservation using (reservation_id)"
    ).fetchall()
    return recount((Cell(*row) for row in cells), (Line(*row) for row in lines), LINES)


def _script(world: World, *, hot: bool) -> str:
    """Two SKUs that lie at one node, as ``World.asks`` draws them for a pickup."""
    stride = world.nodes // world.cells_per_sku
    return f"""
\\set first {0 if hot else f"random(0, {world.skus - 1})"}
\\set node (:first * 7 + random(0, {world.cells_per_sku - 1}) * {stride}) % {world.nodes}
\\set second (:first + {world.nodes} * random(1, {world.skus // world.nodes - 1})) % {world.skus}
\\set first_units random(1, 2)
\\set second_units random(1, 2)
select 1 / least(1, reserve(:first, :first_units, :second, :second_units, :node));
"""


def _batches(world: World, function: str) -> Iterator[str]:
    """Batches of their own draw; a reservation that is not granted is an error, for there is stock for all."""
    chance = random.Random(1)
    for _ in range(SCRIPTS):
        rows = [picked(world, chance) for _ in range(BATCH_ITEMS)]
        columns = ", ".join(f"'{{{','.join(map(str, column))}}}'" for column in zip(*rows, strict=True))
        yield f"select 1 / (array_position({function}({columns}), 0) is null)::integer;\n"


def picked(world: World, chance: random.Random) -> tuple[int, int, int, int, int]:
    """First SKU and units, second SKU and units, and a node that has both."""
    first = chance.randrange(world.skus)
    second = (first + world.nodes * chance.randrange(1, world.skus // world.nodes)) % world.skus
    return first, chance.randint(1, 2), second, chance.randint(1, 2), chance.choice(list(world.nodes_of(first)))


@contextmanager
def postgres_peer(world: World) -> Iterator[PostgresPeer]:
    """A server with the world in it. Raises PostgresMissingError when there is none to start."""
    with PostgresServer(*_OPTIONS) as server:
        yield PostgresPeer(server, world)
