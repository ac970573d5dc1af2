"""The router at all its terms: weights, prices, promises, limits, lines that may stay and lines that travel together.

Equal to an exhaustive search and to a mixed-integer program that share no idea with it.
"""

from __future__ import annotations

from dataclasses import replace
from os import environ
from random import Random

import pytest

from engine.kernels import columns as c
from tests.routing_mip import Program, audit, candidates, free_units, least_score
from tests.routing_terms import random_terms
from tests.routing_worlds import Arrays, Plan, World, ask, random_world

LONG = int(environ.get("LONG_TESTS", "1"))
"""How many times as many orders: `make nightly` asks for more."""


def rich_world(chance: Random, *, nodes_max: int, lines_max: int, fair_rates: bool) -> World:
    """A world whose order asks a lot; rates in hundreds of micros."""
    problem = random_world(chance, nodes_max=nodes_max, lines_max=lines_max, fair_rates=fair_rates)
    rates = [[100 * rate if rate > 0 else rate for rate in row] for row in problem.rates]
    problem = replace(problem, rates=rates)
    return replace(problem, terms=random_terms(chance, problem))


def routed(problem: World, seed: int = 0) -> Plan:
    plan = ask(Arrays.of(problem, seed))
    if plan.status == c.STATUS_ROUTED:
        audit(problem, plan)
    else:
        assert (plan.cost, plan.score, plan.legs, plan.packages) == (0, 0, [], [])
    return plan


def score(plan: Plan) -> int | None:
    return plan.score if plan.status == c.STATUS_ROUTED else None


@pytest.mark.parametrize("seed", range(20 * LONG))
def test_score_equals_the_exhaustive_search(seed: int) -> None:
    chance = Random(f"terms {seed}")
    for round_ in range(20):
        problem = rich_world(chance, nodes_max=6, lines_max=5, fair_rates=False)
        plan = routed(problem, seed)
        assert score(plan) == least_score(problem), f"seed {seed}, order {round_}"
        assert plan == ask(Arrays.of(problem, seed=seed + 1)), "the answer depends on where the slots lie"


@pytest.mark.parametrize("seed", range(50 * LONG))
def test_score_equals_the_program(seed: int) -> None:
    chance = Random(f"terms, program {seed}")
    for round_ in range(6):
        problem = rich_world(chance, nodes_max=8, lines_max=10 if round_ < 2 else 4, fair_rates=True)
        problem = replace(problem, unit_split=chance.randint(0, 1))
        plan = routed(problem, seed)
        if plan.status and not plan.exact:
            continue
        assert score(plan) == Program(problem, 1, split_units=problem.unit_split == 1).solve(), (
            f"seed {seed}, order {round_}"
        )


@pytest.mark.parametrize("seed", range(20 * LONG))
def test_splits_equal_the_program(seed: int) -> None:
    """Lines larger than any node's stock, now and then larger than all there is."""
    chance = Random(f"terms, splits {seed}")
    for round_ in range(6):
        problem = rich_world(chance, nodes_max=6, lines_max=3, fair_rates=True)
        totals = [sum(free_units(problem, line, node) for node in candidates(problem)) for line in range(problem.lines)]
        units = [max(min(total, chance.randint(4, 9)), 1) for total in totals]
        problem = replace(problem, unit_split=1, units=units)
        plan = routed(problem, seed)
        assert score(plan) == Program(problem, 1, split_units=True).solve(), f"seed {seed}, order {round_}"
