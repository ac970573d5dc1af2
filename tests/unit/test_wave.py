"""Waves: the bound lies below the best there is, the plans are plans, and nothing is taken twice."""

from __future__ import annotations

from dataclasses import replace
from math import inf
from random import Random

import numpy as np
import pytest

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, SLOT_MASK
from engine.planning.plans import Plans
from engine.planning.problem import Problem, Takes
from engine.planning.wave import Effort, Ended, Progress, Wave, gap_of, lots, plan_wave
from tests.wave_worlds import REFUSED, Line, Order, WaveWorld, problem_of_world, random_world

EFFORT = Effort(gap=0.0, unserved_micros=REFUSED)
WORLDS = 60


def planned(world: WaveWorld, seed: int, standing: Takes | None = None) -> Wave:
    return plan_wave(problem_of_world(world, seed), 60.0, standing, EFFORT)


def takes_of(wave: Wave) -> Takes:
    """What the plans of a wave take."""
    legs = [wave.plans.legs_of(order) for order in range(len(wave.plans.plans))]
    first = np.cumsum([0, *map(len, legs)]).astype(np.int64)
    every = np.concatenate([np.zeros((0, c.LEG_WIDTH), np.int64), *legs])
    return Takes(every[:, c.LEG_SLOT].copy(), every[:, c.LEG_UNITS].copy(), first)


def audit(world: WaveWorld, problem: Problem, wave: Wave) -> None:
    """Every plan serves whole lines at the score that it states, and all of them together leave the stock above zero."""
    total, used = 0, np.zeros(problem.stock[0].shape[1], np.int64)
    keys = problem.stock[0][c.KEY]
    for place, order in enumerate(world.orders):
        plan = wave.plans.plans[place]
        if plan[c.PLAN_STATUS] != c.STATUS_ROUTED:
            total += REFUSED if any(line.unserved < 0 for line in order.lines) else sum(x.unserved for x in order.lines)
            continue
        legs = wave.plans.legs_of(place)
        np.add.at(used, legs[:, c.LEG_SLOT], legs[:, c.LEG_UNITS])
        taken: dict[tuple[int, int], int] = {}
        for line, slot, units in legs[:, [c.LEG_LINE, c.LEG_SLOT, c.LEG_UNITS]].tolist():
            sku, node = int(keys[slot] >> SLOT_BITS), int(keys[slot] & SLOT_MASK)
            assert sku == order.lines[line].sku
            assert (sku, node) not in taken
            taken[sku, node] = units
        for line in order.lines:
            got = [units for (sku, _), units in taken.items() if sku == line.sku]
            assert sum(got) == line.units or (not got and line.unserved >= 0)
            assert order.may_split or len(got) <= 1
        assert plan[c.PLAN_SCORE] == world.plan(order, taken).score
        assert set(wave.plans.packages_of(place)[:, c.PACKAGE_NODE].tolist()) == {node for _, node in taken}
        total += int(plan[c.PLAN_SCORE])
    assert total == wave.score
    assert np.all(used <= np.maximum(problem.stock[0][c.ATF] - world.keep, 0))


def test_the_bound_lies_below_the_optimum_and_the_plans_above() -> None:
    optimal = exact = 0
    for seed in range(WORLDS):
        world = random_world(seed)
        problem = problem_of_world(world, seed)
        wave = plan_wave(problem, 60.0, None, EFFORT)
        best = world.optimum()
        told = f"world {seed}: bound {wave.bound}, optimum {best}, score {wave.score}"
        assert wave.bound <= best <= wave.score <= wave.sequential_score, told
        assert wave.gap == gap_of(wave.score, wave.bound)
        audit(world, problem, wave)
        optimal += wave.score == best
        exact += wave.inexact == 0
    assert optimal >= WORLDS * 0.9, optimal
    assert exact >= WORLDS * 0.7, exact


def test_the_same_wave_is_planned_twice() -> None:
    for seed in range(8):
        one, two = (planned(random_world(seed), seed) for _ in range(2))
        assert one._replace(plans=one.plans, seconds=0)[1:] == two._replace(plans=two.plans, seconds=0)[1:]
        for mine, other in zip(one.plans, two.plans, strict=True):
            assert np.array_equal(mine, other)


def test_a_wave_is_never_worse_than_what_stands() -> None:
    for seed in range(12):
        world = random_world(seed)
        best = planned(world, seed)
        nothing = Effort(gap=0.0, rounds_max=0, choices_max=0, price_rounds=0, unserved_micros=REFUSED)
        again = plan_wave(problem_of_world(world, seed), 60.0, takes_of(best), nothing)
        assert again.standing_score == best.score
        assert again.score <= best.score


def test_an_order_whose_units_are_gone_no_longer_stands() -> None:
    world = random_world(0)
    problem = problem_of_world(world, 0)
    standing = takes_of(plan_wave(problem, 60.0, None, EFFORT))
    problem.stock[0][c.ATF, standing.slots[0]] = 0
    after = plan_wave(problem, 60.0, standing, EFFORT)
    assert after.standing_score is not None
    assert after.standing_score >= REFUSED
    assert not np.any(takes_of(after).slots == standing.slots[0])


def test_what_takes_a_unit_twice_does_not_stand() -> None:
    world = random_world(0)
    line = Line(sku=0, units=1, unserved=-1)
    orders = [Order(region=0, lines=(line,), may_split=False, penalty=0, price_weight=0)] * 2
    world = replace(world, free={(0, 0): 1}, zones=[[1] * len(world.package_costs)], keep=0, orders=orders)
    problem = problem_of_world(world, 0)
    slot = int(np.flatnonzero(problem.stock[0][c.ATF])[0])
    both = Takes(np.array([slot, slot]), np.ones(2, np.int64), np.arange(3))
    wave = plan_wave(problem, 60.0, both, EFFORT)
    assert wave.standing_score is None
    assert wave.unserved == 1


def test_nothing_given_is_changed() -> None:
    problem = problem_of_world(random_world(2), 2)
    before = [array.copy() for part in problem for array in part]
    plan_wave(problem, 60.0, None, EFFORT)
    after = [array for part in problem for array in part]
    assert all(np.array_equal(mine, other) for mine, other in zip(before, after, strict=True))


def test_a_wave_without_orders_costs_nothing() -> None:
    problem = problem_of_world(random_world(3), 3)
    empty = problem.orders._replace(
        questions=problem.orders.questions[:0], lines=problem.orders.lines[:0], first=np.zeros(1, np.int64)
    )
    wave = plan_wave(problem._replace(orders=empty), 1.0)
    assert (wave.score, wave.bound, wave.gap, wave.unserved) == (0, 0, 0.0, 0)


def test_orders_that_keep_different_units_are_refused() -> None:
    problem = problem_of_world(random_world(4), 4)
    problem.orders.questions[0, c.ORDER_KEEP_UNITS] = 7
    with pytest.raises(ValueError, match="plan them apart"):
        plan_wave(problem, 1.0)


def test_it_stops_when_it_is_told_to_with_what_it_has() -> None:
    seen: list[Progress] = []

    def watch(progress: Progress) -> bool:
        seen.append(progress)
        return False

    wave = plan_wave(problem_of_world(random_world(5), 5), 60.0, None, EFFORT, watch)
    assert wave.ended is Ended.CANCELLED
    assert len(seen) == 1
    assert wave.score == wave.sequential_score
    assert wave.bound == seen[0].bound


def test_no_time_is_enough_for_a_plan() -> None:
    world = random_world(6)
    problem = problem_of_world(world, 6)
    wave = plan_wave(problem, 0.0, None, EFFORT)
    assert wave.ended in {Ended.TIME, Ended.PROVED}
    audit(world, problem, wave)


def test_a_gap_above_nothing_is_infinite() -> None:
    assert gap_of(5, 0) == inf
    assert gap_of(0, 0) == 0.0
    assert gap_of(11, 10) == pytest.approx(0.1)


def test_lots_fall_evenly_and_always_alike() -> None:
    items = np.arange(4_000)
    drawn = lots(3, items, 4)
    assert np.array_equal(drawn, lots(3, items, 4))
    assert all(900 <= count <= 1_100 for count in np.bincount(drawn, minlength=4))
    assert np.count_nonzero(drawn == lots(4, items, 4)) < 1_200


def test_answers_from_memory_are_those_of_asking_everybody() -> None:
    for seed in range(10):
        world = random_world(seed)
        one, chance = Plans(problem_of_world(world, seed), REFUSED), Random(seed)
        duals = np.zeros(len(one.free), np.int64)
        for _ in range(6):
            for slot in range(len(duals)):
                duals[slot] = chance.choice([duals[slot], duals[slot], chance.randint(0, 9_000)])
            fresh = Plans(problem_of_world(world, seed), REFUSED)
            assert np.array_equal(one.ask(duals), fresh.ask(duals)), f"world {seed}"
            one.explore(duals * 2, np.arange(one.count))
