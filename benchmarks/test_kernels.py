"""What deciding and applying cost below Python: batches of 1,000 reservations of two lines, and expiry.

Times are for the whole batch. Stock is never used up, and what is held is given back between two rounds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from benchmarks.history import Note
from benchmarks.stocking import BEGIN_NS, claim, make_machine
from benchmarks.world import World
from engine.core.claims import Planner, ask
from engine.core.machine import Machine
from engine.core.reservations import expiry_effects
from engine.kernels import columns as c
from engine.kernels.effects import apply_effects
from engine.kernels.reservations import claim_scratch, plan_claims, write_holds
from engine.model.limits import SECOND_NS

ITEMS = 1_000
DUE = 100_000


@pytest.fixture(scope="module")
def machine(world: World) -> Machine:
    return make_machine(world)


def holds(machine: Machine, planner: Planner, questions: list[Any]) -> Any:
    """The effects that hold what the questions ask for."""
    asked = planner.ask_kernel(questions)
    reservations, legs = planner.counts
    effects = np.zeros((1 + reservations + legs, c.EFFECT_WIDTH), dtype=np.int64)
    write_holds(machine.pool.state, machine.pool.promises.arrays, asked, planner.granted, effects)
    effects[0, :3] = c.OP_AT, machine.seq + 1, BEGIN_NS
    return effects


def close(machine: Machine, effects: Any) -> Any:
    """The effects that give it back."""
    closing = expiry_effects(effects[effects[:, 0] == c.OP_HOLD, 1].tolist())
    closing[0, :3] = c.OP_AT, machine.seq + 1, BEGIN_NS
    return closing


@pytest.mark.parametrize("way", ["ship", "pickup"])
def test_decide_1000(benchmark: Any, machine: Machine, world: World, note: Note, way: str) -> None:
    benchmark.group = "decide 1,000 reservations in the kernel"
    pool, planner = machine.pool, Planner(machine.pool)
    asks = world.asks(ITEMS, pickup=way == "pickup", seed=1)
    questions = [ask(pool, claim(one), BEGIN_NS) for one in asks]
    asked = planner.ask_kernel(questions)
    scratch = claim_scratch(pool.limits.nodes_max)
    arguments = (pool.stock.arrays, (pool.network.arrays, pool.promises.arrays), asked, scratch, planner.granted)
    held, _ = benchmark.pedantic(plan_claims, args=arguments, rounds=200, warmup_rounds=10)
    assert held == ITEMS
    note(f"kernel_decide_1000_{way}_us", benchmark.stats.stats.median * 1e6, "us")


def test_apply_1000(benchmark: Any, machine: Machine, world: World, note: Note) -> None:
    benchmark.group = "apply 1,000 reservations in the kernel"
    pool, planner = machine.pool, Planner(machine.pool)
    questions = [ask(pool, claim(one), BEGIN_NS) for one in world.asks(ITEMS, pickup=False, seed=2)]
    effects = holds(machine, planner, questions)
    closing = close(machine, effects)
    benchmark.pedantic(
        apply_effects,
        args=(pool.state, effects),
        teardown=lambda *_: apply_effects(pool.state, closing),
        rounds=200,
        warmup_rounds=10,
    )
    assert pool.counter(c.RESERVATIONS_OPEN) == 0
    note("kernel_apply_1000_us", benchmark.stats.stats.median * 1e6, "us")


def test_expire_100000(benchmark: Any, machine: Machine, world: World, scale: float, note: Note) -> None:
    """A hundred thousand reservations that end at the same instant: finding them, and ending them."""
    benchmark.group = "100,000 reservations expire at once"
    pool, planner = machine.pool, Planner(machine.pool)
    count = int(DUE * scale)
    asks = [claim(one, SECOND_NS) for one in world.asks(count, pickup=True, seed=3)]
    groups = [[ask(pool, one, BEGIN_NS) for one in asks[at : at + ITEMS]] for at in range(0, count, ITEMS)]

    def hold() -> tuple[tuple[()], dict[str, Any]]:
        for group in groups:
            apply_effects(pool.state, holds(machine, planner, group))
        assert pool.counter(c.RESERVATIONS_OPEN) == count
        return (), {}

    def expire() -> None:
        apply_effects(pool.state, expiry_effects(pool.reservations.due(BEGIN_NS + SECOND_NS)))

    benchmark.pedantic(expire, setup=hold, rounds=5, warmup_rounds=1)
    assert pool.counter(c.RESERVATIONS_OPEN) == 0
    note("expire_100000_ms", benchmark.stats.stats.median * 1e3 / scale, "ms")
