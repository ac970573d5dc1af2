"""Orders that are routed jointly: the router over all of them in one call, and the store of plans that they might get.

A wave keeps many plans for each order and picks one for each. Here the plans are made; ``planning.wave`` picks.

* ``orders``: ``questions`` int64[orders, ORDER_WIDTH], ``lines`` int64[lines, LINE_WIDTH], ``first`` int64[orders + 1].
* ``room``: ``routing_work`` and ``routing_answer``, see ``workspace``.
* ``store``: ``plans`` int64[PLANS_ROWS, plans], ``takes`` int64[TAKE_ROWS, takes] (what a plan takes from the stock),
  ``latest`` int64[orders] (1 + the newest plan of an order; 0: none), ``used`` int64[2] (plans and takes in use).
* ``cells_of``: ``duals`` int64[slots] (micros that PRICE holds for a unit beyond its price), ``wanted`` int64[slots] (the sum
  over orders of the most units that any plan of the order takes: more than the stock only where orders may get in each other's way).

Nothing but store, ``wanted``, scratch and, while orders are settled, row PENDING of the stock is written.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types

from engine.kernels.columns import (
    ATF,
    DEMAND,
    INDEX_COUNT,
    INDEX_START,
    LEG_SLOT,
    LEG_UNITS,
    LINE_SKU,
    ORDER_UNIT_SPLIT,
    PENDING,
    PLAN_EXACT,
    PLAN_LEGS,
    PLAN_PACKAGES,
    PLAN_SCORE,
    PRICE,
    SKU_MARGIN,
    STATUS_ROUTED,
)
from engine.kernels.compiled import allocating, inlined, inner, kernel
from engine.kernels.floors import force_split, free_again, plain_floor, split_floor, splittable
from engine.kernels.links import ask_router
from engine.kernels.prices import units_price
from engine.kernels.workspace import ANSWER, NEVER, ROUTER, SCALARS, WORK, Answer, Question, Work
from engine.kernels.zones import MATRIX, NETWORK, SLOT_MASK, STOCK, VECTOR, Integers, Network, Stock

OrdersView: TypeAlias = tuple[Integers, Integers, Integers]
Room: TypeAlias = tuple[Work, Answer]
Store: TypeAlias = tuple[Integers, Integers, Integers, Integers]
CellsOf: TypeAlias = tuple[Integers, Integers]
Given: TypeAlias = tuple[Integers, Integers, Integers]
Written: TypeAlias = tuple[Integers, Integers, Integers, Integers, Integers]
Outcome: TypeAlias = tuple[Integers, Integers, Integers]
Job: TypeAlias = tuple[int, Store, CellsOf, Integers, Outcome, Given, Written]

ORDERS: Final = types.Tuple([MATRIX, MATRIX, VECTOR])
ROOM: Final = types.Tuple([WORK, ANSWER])
STORE: Final = types.Tuple([MATRIX, MATRIX, VECTOR, VECTOR])
CELLS_OF: Final = types.UniTuple(VECTOR, 2)
GIVEN: Final = types.UniTuple(VECTOR, 3)
WRITTEN: Final = types.Tuple([MATRIX, MATRIX, MATRIX, MATRIX, VECTOR])
OUTCOME: Final = types.Tuple([MATRIX, VECTOR, VECTOR])
JOB: Final = types.Tuple([types.int64, STORE, CELLS_OF, VECTOR, OUTCOME, GIVEN, WRITTEN])

TASK_ASK: Final = 0
TASK_SETTLE: Final = 1
TASK_JUDGE: Final = 2

# plans[row, plan]
PLANS_ORDER: Final = 0
PLANS_SCORE: Final = 1
"""PLAN_SCORE without duals, micros."""
PLANS_FIRST: Final = 2
"""First of its takes."""
PLANS_COUNT: Final = 3
PLANS_EARLIER: Final = 4
"""1 + the plan of the same order made before this one; 0: none."""
PLANS_ROWS: Final = 5

# takes[row, take]
TAKE_SLOT: Final = 0
TAKE_UNITS: Final = 1
TAKE_PLAN: Final = 2
TAKE_ROWS: Final = 3

PLANS_USED: Final = 0
TAKES_USED: Final = 1

# What TASK_ASK tells of each order, told[row, order].
TOLD_SCORE: Final = 0
"""PLAN_SCORE at price + dual of the best plan found, micros; NEVER when the router found none."""
TOLD_FLOOR: Final = 1
"""No plan has a lower score: TOLD_SCORE where that is proved to be the least, else something weaker."""
TOLD_EXACT: Final = 2
"""1: TOLD_FLOOR is TOLD_SCORE."""
TOLD_PLAN: Final = 3
"""The plan that was found, −1: none."""
TOLD_ROWS: Final = 4

SPLIT_LINES_MAX: Final = 3
"""Lines of several units of which every choice to be split on purpose is tried; an order of more has a weaker floor."""


@kernel(types.void(STOCK, VECTOR), long=True)
def price_units(stock: Stock, prices: Integers) -> None:
    """Write into ``prices`` int64[slots] what the next unit of every cell is worth, micros (``prices.units_price``)."""
    cells, skus, index = stock
    for sku in range(skus.shape[1]):
        for position in range(skus[INDEX_START, sku], skus[INDEX_START, sku] + skus[INDEX_COUNT, sku]):
            slot = index[position] & SLOT_MASK
            cell = (cells[PRICE, slot], cells[DEMAND, slot], cells[ATF, slot] - cells[PENDING, slot])
            prices[slot] = units_price(cell, skus[SKU_MARGIN, sku], 1)


@inner
def takes_same(store: Store, plan: int, answer: Answer) -> bool:
    """Whether a plan in the store takes what the answer takes; legs come in the order of lines and nodes, so that equal plans read equal."""
    plans, takes, _, _ = store
    legs, count = answer[1], answer[0][PLAN_LEGS]
    if plans[PLANS_COUNT, plan] != count:
        return False
    first = plans[PLANS_FIRST, plan]
    for leg in range(count):
        if (
            takes[TAKE_SLOT, first + leg] != legs[leg, LEG_SLOT]
            or takes[TAKE_UNITS, first + leg] != legs[leg, LEG_UNITS]
        ):
            return False
    return True


@inner
def most_taken(store: Store, order: int, slot: int) -> int:
    """The most units of ``slot`` that a plan of ``order`` takes."""
    plans, takes, latest, _ = store
    most = np.int64(0)
    plan = latest[order] - 1
    while plan >= 0:
        for take in range(plans[PLANS_FIRST, plan], plans[PLANS_FIRST, plan] + plans[PLANS_COUNT, plan]):
            if takes[TAKE_SLOT, take] == slot and takes[TAKE_UNITS, take] > most:
                most = takes[TAKE_UNITS, take]
        plan = plans[PLANS_EARLIER, plan] - 1
    return most


@inner
def keep(store: Store, cells_of: CellsOf, order: int, answer: Answer) -> int:
    """Put the plan in ``answer`` into the store, unless the order has it already; its place. The caller has seen to room."""
    plans, takes, latest, used = store
    duals, wanted = cells_of
    plan, legs, _ = answer
    known = latest[order] - 1
    while known >= 0:
        if takes_same(store, known, answer):
            return known
        known = plans[PLANS_EARLIER, known] - 1
    place, first = used[PLANS_USED], used[TAKES_USED]
    score = plan[PLAN_SCORE]
    for leg in range(plan[PLAN_LEGS]):
        slot, units = legs[leg, LEG_SLOT], legs[leg, LEG_UNITS]
        score -= duals[slot] * units
        wanted[slot] += max(units - most_taken(store, order, slot), 0)
        takes[TAKE_SLOT, first + leg] = slot
        takes[TAKE_UNITS, first + leg] = units
        takes[TAKE_PLAN, first + leg] = place
    plans[PLANS_ORDER, place] = order
    plans[PLANS_SCORE, place] = score
    plans[PLANS_FIRST, place] = first
    plans[PLANS_COUNT, place] = plan[PLAN_LEGS]
    plans[PLANS_EARLIER, place] = latest[order]
    latest[order] = place + 1
    used[PLANS_USED] = place + 1
    used[TAKES_USED] = first + plan[PLAN_LEGS]
    return place


@inner
def has_room(store: Store, answer: Answer, count: int) -> bool:
    """Whether ``count`` more plans, each of as many legs as an answer holds, fit into the store."""
    plans, takes, _, used = store
    return (
        used[PLANS_USED] + count <= plans.shape[1] and used[TAKES_USED] + count * answer[1].shape[0] <= takes.shape[1]
    )


@inner
def take(stock: Stock, store: Store, plan: int, sign: int) -> None:
    """Mark what ``plan`` takes as PENDING (sign 1), or free it again (−1)."""
    plans, takes, _, _ = store
    pending = stock[0][PENDING]
    for position in range(plans[PLANS_FIRST, plan], plans[PLANS_FIRST, plan] + plans[PLANS_COUNT, plan]):
        pending[takes[TAKE_SLOT, position]] += sign * takes[TAKE_UNITS, position]


@inlined
def best_of(
    stock: Stock, network: Network, question: Question, room: Room, keeping: tuple[Store, CellsOf, int, int, int]
) -> tuple[int, int, int]:
    """The best plan of one order if it scores less than ``least``: (score, 1 when no plan scores less, the plan or −1).

    ``keeping`` = (store, cells_of, order, least, mask). The router splits a line by units only where no node has them all. In a wave
    these units may be wanted elsewhere, so it is asked once for every choice of lines of ``mask`` that are split on purpose: a floor
    must lie below whatever plan an order can end with.
    """
    store, cells_of, order, score, mask = keeping
    work, answer = room
    exact, best, forced = np.int64(1), np.int64(-1), np.int64(0)
    while True:
        if force_split(stock, question[1], forced):
            router = work[3][SCALARS, ROUTER]
            routed = ask_router(router, (stock, network, question, work, answer)) == STATUS_ROUTED
            exact &= answer[0][PLAN_EXACT] if routed else np.int64(question[0][ORDER_UNIT_SPLIT] == 0)
            if routed and answer[0][PLAN_SCORE] < score:
                score = answer[0][PLAN_SCORE]
                best = keep(store, cells_of, order, answer)
        free_again(stock, question[1], forced)
        if forced == 0 and mask != 0 and split_floor(stock, network, question, mask) >= score:
            return score, exact, best
        forced = (forced - mask) & mask
        if forced == 0:
            return score, exact, best


@inner
def choices_of(question: Question) -> tuple[int, int]:
    """Lines of the order that may be split on purpose, as a bit mask, and 1; or, where there are too many, none and 0."""
    mask = splittable(question)
    left = mask
    for _ in range(SPLIT_LINES_MAX):
        left &= left - 1
    if left != 0:
        return np.int64(0), np.int64(0)
    return mask, np.int64(1)


@inner
def tell(told: Integers, order: int, best: tuple[int, int, int], floor: int) -> None:
    """Write what ``best_of`` found; ``floor`` is that of ``plain_floor`` where its answer is not proved."""
    score, exact, plan = best
    told[TOLD_SCORE, order] = score
    told[TOLD_EXACT, order] = exact
    told[TOLD_PLAN, order] = plan
    told[TOLD_FLOOR, order] = score if exact == 1 else min(score, floor)


@inner
def present_score(store: Store, duals: Integers, plan: int) -> int:
    """Score of a plan at price + dual."""
    plans, takes, _, _ = store
    score = plans[PLANS_SCORE, plan]
    for at in range(plans[PLANS_FIRST, plan], plans[PLANS_FIRST, plan] + plans[PLANS_COUNT, plan]):
        score += duals[takes[TAKE_SLOT, at]] * takes[TAKE_UNITS, at]
    return score


@inner
def fence(stock: Stock, lines: Integers, sign: int) -> None:
    """Nothing of the SKUs of ``lines`` is free (sign 1), or everything again (0)."""
    cells, skus, index = stock
    for line in range(lines.shape[0]):
        start = skus[INDEX_START, lines[line, LINE_SKU]]
        for position in range(start, start + skus[INDEX_COUNT, lines[line, LINE_SKU]]):
            slot = index[position] & SLOT_MASK
            cells[PENDING, slot] = sign * max(cells[ATF, slot], 0)


@inner
def hand_over(stock: Stock, slots: Integers, units: Integers, lines: Integers) -> None:
    """Exactly these units of the SKUs of ``lines`` are free; what is not there counts as nothing."""
    pending = stock[0][PENDING]
    fence(stock, lines, 1)
    for position in range(slots.shape[0]):
        if pending[slots[position]] >= units[position]:
            pending[slots[position]] -= units[position]


@allocating
def write(answer: Answer, written: Written, order: int) -> None:
    """Copy one answer behind those that were written before it."""
    plan, legs, packages = answer
    plans, all_legs, all_packages, starts, used = written
    plans[order] = plan
    all_legs[used[0] : used[0] + plan[PLAN_LEGS]] = legs[: plan[PLAN_LEGS]]
    all_packages[used[1] : used[1] + plan[PLAN_PACKAGES]] = packages[: plan[PLAN_PACKAGES]]
    starts[order] = used
    used[0] += plan[PLAN_LEGS]
    used[1] += plan[PLAN_PACKAGES]


@kernel(types.int64(STOCK, NETWORK, ORDERS, ROOM, JOB), long=True, allocates=True)
def plan_each(stock: Stock, network: Network, orders: OrdersView, room: Room, job: Job) -> int:
    """Route some orders, one after the other, at the PRICE that the stock holds now, and keep the plans. One kernel for three tasks, for
    each would compile the router once more.

    ``job`` = (task, store, cells_of, asked int64[asked], outcome, given, written); ``outcome`` = (told int64[TOLD_ROWS, orders], chosen
    int64[orders]: the plan of each order or −1, penalties int64[orders]: micros of not serving an order).

    * TASK_ASK: each as if it were alone; writes told. PENDING is zero before and afterwards.
    * TASK_SETTLE: each gets the best plan that the others leave it, at price + dual, if that is better than what it has; writes chosen.
      PENDING holds what all the chosen plans take.
    * TASK_JUDGE: the best plan of each from exactly the units given to it, whatever the others get; writes chosen and ``written``.
      ``given`` = (slots, units, first int64[orders + 1]): distinct cells of the order's own SKUs; an order without any is not served.
      ``written`` = (plans int64[orders, PLAN_WIDTH], legs and packages with as many rows as ``slots`` has, starts int64[orders, 2]: first
      leg and package of an order, used int64[2]: legs and packages written). PENDING is zero before and afterwards.

    Returns how many orders were done before the store was full: grow it, and go on from there.
    """
    task, store, cells_of, asked, (told, chosen, penalties), (slots, units, given), written = job
    questions, lines, first = orders
    for position in range(asked.shape[0]):
        if not has_room(store, room[1], 1 << SPLIT_LINES_MAX):
            return np.int64(position)
        order = asked[position]
        question = (questions[order], lines[first[order] : first[order + 1]])
        mask, sure, least, old = np.int64(0), np.int64(1), np.int64(NEVER), chosen[order]
        start, end = given[order], given[order + 1]
        if task == TASK_ASK:
            mask, sure = choices_of(question)
        elif task == TASK_SETTLE:
            least = penalties[order]
            if old >= 0:
                take(stock, store, old, -1)
                least = present_score(store, cells_of[0], old)
        elif start == end:
            chosen[order] = -1
            continue
        else:
            hand_over(stock, slots[start:end], units[start:end], question[1])
        score, exact, plan = best_of(stock, network, question, room, (store, cells_of, order, least, mask))
        if task == TASK_ASK:
            floor = plain_floor(stock, network, question) if exact & sure == 0 else np.int64(0)
            tell(told, order, (score, exact & sure, plan), floor)
        elif task == TASK_SETTLE:
            chosen[order] = plan if plan >= 0 else old
            if chosen[order] >= 0:
                take(stock, store, chosen[order], 1)
        else:
            chosen[order] = plan
            if plan >= 0:
                write(room[1], written, order)
            fence(stock, question[1], 0)
    return np.int64(asked.shape[0])
