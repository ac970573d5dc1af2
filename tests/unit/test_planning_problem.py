"""A problem is a copy: the router answers on it as it does in the pool, and nothing done to it reaches the pool."""

from __future__ import annotations

import pickle
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.kernels import columns as c
from engine.kernels.links import routing_work
from engine.kernels.routing import route
from engine.kernels.workspace import routing_answer
from engine.kernels.zones import SLOT_BITS
from engine.planning.problem import Problem, problem_of, stacked
from tests.builders import Store


def stocked(chance: Random) -> Store:
    """A store whose cells were opened in no order, with some units held."""
    store = Store()
    cells = [(sku, node) for sku in "ABCD" for node in ("dc", "east", "west")]
    chance.shuffle(cells)
    store.stock(*((sku, node, chance.randint(0, 9)) for sku, node in cells[:10]))
    return store


def asked(store: Store, chance: Random) -> list[tuple[Any, Any]]:
    names = store.machine.pool.names
    questions = []
    for _ in range(12):
        order = np.zeros(c.ORDER_WIDTH, np.int64)
        order[c.ORDER_CHANNEL] = names.channels.find("web")
        order[c.ORDER_REGION] = names.regions.find(chance.choice(["100", "900"]))
        order[c.ORDER_SERVICE] = names.services.find("ground")
        order[c.ORDER_NEEDS] = c.FLAG_OPEN | c.FLAG_SHIPS
        order[c.ORDER_UNIT_SPLIT] = 1
        skus = [names.skus.find(key) for key in chance.sample("ABD", chance.randint(1, 2))]
        lines = np.zeros((len(skus), c.LINE_WIDTH), np.int64)
        lines[:, c.LINE_SKU] = skus
        lines[:, c.LINE_UNITS] = [chance.randint(1, 6) for _ in skus]
        lines[:, c.LINE_GRAMS] = 500
        questions.append((order, lines))
    return questions


def answer_of(stock: Any, network: Any, question: Any) -> tuple[Any, ...]:
    """What the router says, cells by their KEY."""
    plan, legs, packages = answer = routing_answer(64)
    route(stock, network, question, routing_work(network[0].shape[1]), answer)
    legs, packages = legs[: plan[c.PLAN_LEGS]], packages[: plan[c.PLAN_PACKAGES]]
    keys = stock[0][c.KEY, legs[:, c.LEG_SLOT]] & ((1 << SLOT_BITS) - 1)
    return plan.tolist(), keys.tolist(), legs[:, [c.LEG_LINE, c.LEG_UNITS]].tolist(), packages.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_a_copy_answers_as_the_pool_does(seed: int) -> None:
    chance = Random(seed)
    store = stocked(chance)
    questions = asked(store, chance)
    pool = store.machine.pool
    problem: Problem = pickle.loads(pickle.dumps(problem_of(pool, stacked(questions))))
    assert problem.network[0].shape[1] == 4
    answers = [
        answer_of(problem.stock, problem.network, problem.orders.question(i)) for i in range(problem.orders.total)
    ]
    expected = [answer_of(pool.stock.arrays, pool.network.arrays, question) for question in questions]
    assert answers == expected, f"seed {seed}"
    assert any(plan[0][c.PLAN_STATUS] for plan in answers)


def test_the_cells_of_a_copy_still_say_which_they_were() -> None:
    store = stocked(Random(3))
    pool = store.machine.pool
    problem = problem_of(pool, stacked(asked(store, Random(4))))
    for slot in range(problem.stock[0].shape[1]):
        key = int(problem.stock[0][c.KEY, slot])
        original = pool.stock.find(key >> SLOT_BITS, key & ((1 << SLOT_BITS) - 1))
        assert problem.stock[0][:, slot].tolist() == pool.state[0][:, original].tolist()


def test_nothing_done_to_a_copy_reaches_the_pool() -> None:
    store = stocked(Random(5))
    pool = store.machine.pool
    before = [array.tobytes() for array in (*pool.state[:3], *pool.network.arrays)]
    problem = problem_of(pool, stacked(asked(store, Random(6))))
    for array in (*problem.stock, *problem.network, *problem.orders):
        array[...] = 7
    assert [array.tobytes() for array in (*pool.state[:3], *pool.network.arrays)] == before


def test_no_orders_make_a_problem_without_cells() -> None:
    problem = problem_of(stocked(Random(1)).machine.pool, stacked([]))
    assert problem.orders.total == 0
    assert problem.stock[0].shape == (c.CELL_ROWS, 0)
    assert problem.orders.first.tolist() == [0]
