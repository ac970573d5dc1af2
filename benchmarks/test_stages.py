"""Where the time of one Reserve goes, stage by stage, in this process: border, core, journal, border.

The sum, and what gRPC takes (``test_unary``), is what a caller waits for when nobody else calls. Each round asks for something else.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from benchmarks.caller import reservation
from benchmarks.history import Note
from benchmarks.stocking import BEGIN_NS, claim, decide, make_machine
from benchmarks.world import World
from engine.core.machine import Machine
from engine.journal.codec import encode
from engine.model.commands import Reserve
from engine.service.convert.reservations import RESERVE
from engine.service.fields import Rules
from stockpool.v1 import reservations_pb2 as pb

ROUNDS = 4_000
GROUP = 32
NUMBERS = count(1)


@pytest.fixture(scope="module")
def machine(world: World) -> Machine:
    return make_machine(world)


def commands(world: World, number: int, seed: int) -> list[Reserve]:
    asks = world.asks(number, pickup=False, seed=seed)
    return [Reserve(f"stage-{next(NUMBERS)}", at, claim(one)) for at, one in enumerate(asks)]


def measure(benchmark: Any, stage: Callable[..., Any], arguments: list[Any]) -> float:
    """Median microseconds of a stage, each round with the next of the arguments."""
    following = iter(arguments)
    benchmark.group = "stages of one Reserve"
    benchmark.pedantic(stage, setup=lambda: ((next(following),), {}), rounds=len(arguments) - 100, warmup_rounds=100)
    return float(benchmark.stats.stats.median) * 1e6


def test_check(benchmark: Any, machine: Machine, world: World, note: Note) -> None:
    """Bytes to a checked command, parsing included."""
    rules = Rules(machine.pool.limits, machine.pool.names)
    sent = [
        pb.ReserveRequest(request_id=f"check-{at}", reservation=reservation(one)).SerializeToString()
        for at, one in enumerate(world.asks(ROUNDS, pickup=False, seed=11))
    ]
    median_us = measure(benchmark, lambda message: RESERVE.work(pb.ReserveRequest.FromString(message), rules), sent)
    note("reserve_check_us", median_us, "us")


def test_decide(benchmark: Any, machine: Machine, world: World, note: Note) -> None:
    """Decide and apply: what the writer does for each command of a group."""
    median_us = measure(benchmark, lambda command: decide(machine, command), commands(world, ROUNDS, 12))
    note("reserve_decide_us", median_us, "us")


def test_decide_together(benchmark: Any, machine: Machine, world: World, note: Note) -> None:
    """The same for 32 that follow each other in a group: one kernel call."""
    groups = [commands(world, GROUP, 20 + at) for at in range(ROUNDS // 10)]

    def decide_together(group: list[Reserve]) -> None:
        judged = machine.decide_reserves(group, BEGIN_NS)
        assert judged is not None
        machine.apply_reserves(*judged)

    note("reserve_decide_of_32_us", measure(benchmark, decide_together, groups) / GROUP, "us")


def test_encode(benchmark: Any, machine: Machine, world: World, note: Note) -> None:
    """A group of 32 as bytes."""
    decisions = [decide(machine, command) for command in commands(world, ROUNDS, 13)]
    groups = [decisions[at : at + GROUP] for at in range(ROUNDS - GROUP)]
    note("reserve_encode_us", measure(benchmark, encode, groups) / GROUP, "us")


def test_respond(benchmark: Any, machine: Machine, world: World, note: Note) -> None:
    """A reply to bytes."""
    names = machine.pool.names
    decisions = [decide(machine, command) for command in commands(world, ROUNDS, 15)]
    median_us = measure(benchmark, lambda one: RESERVE.answer(one.seq, one.reply, names).SerializeToString(), decisions)
    note("reserve_respond_us", median_us, "us")
