"""The peers of the benchmarks do the work that they are compared by: both lines or none, nothing sold twice, and a recount that would notice."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.peers.postgres import SCHEMA, parsed, picked, recounted, stocked
from benchmarks.peers.recount import Cell, Line, Recounted, RecountError, recount
from benchmarks.peers.redis import RedisMissingError, RedisPeer, redis_peer
from benchmarks.world import World
from tests.postgres import PostgresServer

WORLD = World(skus=12, nodes=4, cells_per_sku=2)
ON_HAND = 15
"""Units of a cell: a few reservations, then it is short."""
Row = tuple[int, int, int, int, int]


class Shelf:
    """The slow twin: reservations one after the other."""

    def __init__(self) -> None:
        self.left = {(sku, node): ON_HAND for sku in range(WORLD.skus) for node in WORLD.nodes_of(sku)}

    def reserve(self, row: Row) -> bool:
        first, first_units, second, second_units, node = row
        granted = self.left[first, node] >= first_units and self.left[second, node] >= second_units
        if granted:
            self.left[first, node] -= first_units
            self.left[second, node] -= second_units
        return granted


CELLS = [Cell(1, 7, 5, 3), Cell(2, 7, 5, 1)]
LINES = [Line(1, 1, 7, 1), Line(1, 2, 7, 1), Line(2, 1, 7, 2), Line(2, 3, 7, 4)]


def test_a_recount_adds_up() -> None:
    cells = [*CELLS, Cell(3, 7, 4, 4)]
    assert recount(cells, LINES, 2) == Recounted(reservations=2, units=8)


@pytest.mark.parametrize(
    ("cells", "lines", "complaint"),
    [
        (CELLS, LINES, "cells that are not there"),
        ([*CELLS, Cell(3, 7, 3, 4)], LINES, "oversold"),
        ([*CELLS, Cell(3, 7, 9, 5)], LINES, "add up to 4"),
        ([*CELLS, Cell(3, 7, 4, 4)], LINES[:-1], "reservation 2 has 1 lines"),
    ],
)
def test_a_recount_notices(cells: list[Cell], lines: list[Line], complaint: str) -> None:
    with pytest.raises(RecountError, match=complaint):
        recount(cells, lines, 2)


def test_pgbench_is_understood() -> None:
    told = (
        "number of transactions actually processed: 21069\nnumber of failed transactions: 0 (0.000%)\n"
        "latency average = 2.278 ms\ninitial connection time = 31.1 ms\ntps = 7024.250317 (without initial connection time)\n"
    )
    ran = parsed(told, 16)
    assert (ran.calls, ran.calls_per_s, ran.mean_ms, ran.clients) == (21_069, 7_024.250317, 2.278, 16)
    with pytest.raises(RuntimeError, match="failures"):
        parsed(told.replace("transactions: 0", "transactions: 3"), 16)


@pytest.fixture
def database(postgres: PostgresServer) -> str:
    """A database of the peer with little stock."""
    name = postgres.database().partition("?")[0].rpartition("/")[2]
    with postgres.connect(name) as connection:
        connection.execute(SCHEMA.read_bytes())
        stocked(connection, WORLD, ON_HAND)
    return name


@pytest.mark.parametrize("function", ["reserve_each", "reserve_all"])
def test_the_procedures_decide_as_one_after_the_other(postgres: PostgresServer, database: str, function: str) -> None:
    chance, shelf, granted = random.Random(5), Shelf(), 0
    with postgres.connect(database) as connection:
        for size in (1, 3, 20, 40, 1, 20):
            rows = [picked(WORLD, chance) for _ in range(size)]
            expected = [shelf.reserve(row) for row in rows]
            columns = [list(column) for column in zip(*rows, strict=True)]
            call = f"select {function}(%s::int[], %s::int[], %s::int[], %s::int[], %s::int[])"
            told: Any = connection.execute(call.encode(), columns).fetchone()
            assert [bool(number) for number in told[0]] == expected
            granted += sum(expected)
        assert 0 < granted < 85, "some must be short"
        assert recounted(connection).reservations == granted


def test_the_procedure_oversells_nothing_to_a_crowd(postgres: PostgresServer, database: str) -> None:
    granted: list[int] = []

    def shop(seed: int) -> None:
        chance = random.Random(seed)
        with postgres.connect(database) as connection:
            for _ in range(40):
                told: Any = connection.execute("select reserve(%s, %s, %s, %s, %s)", picked(WORLD, chance)).fetchone()
                if told[0]:
                    granted.append(told[0])

    shoppers = [threading.Thread(target=shop, args=(seed,)) for seed in range(6)]
    for each in shoppers:
        each.start()
    for each in shoppers:
        each.join()
    with postgres.connect(database) as connection:
        assert recounted(connection).reservations == len(set(granted)) == len(granted)
        connection.execute("update stock set reserved = reserved + 1 where sku = 3")
        with pytest.raises(RecountError):
            recounted(connection)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisPeer]:
    try:
        with redis_peer(WORLD) as peer:
            yield peer
    except RedisMissingError as error:
        pytest.skip(str(error))


def drawn(chance: random.Random) -> tuple[list[int], Row]:
    """What a client of Redis draws, and the reservation that the script makes of it."""
    first, second, copy, first_units, second_units = draws = [chance.randrange(10**9) for _ in range(5)]
    first %= WORLD.skus
    node = list(WORLD.nodes_of(first))[copy % WORLD.cells_per_sku]
    second = (first + WORLD.nodes * (1 + second % (WORLD.skus // WORLD.nodes - 1))) % WORLD.skus
    return draws, (first, 1 + first_units % 2, second, 1 + second_units % 2, node)


@pytest.mark.parametrize("script", ["one", "many"])
def test_the_scripts_decide_as_one_after_the_other(redis: RedisPeer, script: str) -> None:
    redis.stock(ON_HAND)
    chance, shelf, granted = random.Random(6), Shelf(), 0
    for size in (1, 1, 1) * 30 if script == "one" else (1, 3, 20, 40, 1, 20):
        asked = [drawn(chance) for _ in range(size)]
        expected = sum(shelf.reserve(row) for _, row in asked)
        assert bool(redis.granted(script, [draw for draws, _ in asked for draw in draws])) == bool(expected)
        granted += expected
        if script == "many":
            assert redis.check(ON_HAND, granted).reservations == granted
    assert 0 < granted < 85, "some must be short"
    redis.check(ON_HAND, granted)
    with pytest.raises(RecountError, match="granted"):
        redis.check(ON_HAND, granted + 1)
