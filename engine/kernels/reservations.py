"""Deciding claims: which cells give which units to a list of items, each seeing what the ones before it were granted.

One road for all: Reserve, BatchReserve, PlaceOrder, IngestOrder, the re-route of rejected work and the options shown to a shopper
are items here. Nothing is applied: units granted earlier in the batch stand in the PENDING row while the kernel runs and
are taken out before it returns.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types

from engine.kernels import columns as c
from engine.kernels.batches import FETCH_FROM, PICKUP_NEEDS, fetch_stock
from engine.kernels.compiled import inlined, inner, kernel
from engine.kernels.links import ask_router, routing_work
from engine.kernels.promise import (
    COLLECTED,
    PROMISE,
    SPAN_ROWS,
    Promise,
    begin_marks,
    drop_pending,
    is_first,
    take_pending,
)
from engine.kernels.questions import SHIP_NEEDS, merge_lines, size_of, write_question
from engine.kernels.reach import ats, ats_for, most_for
from engine.kernels.rules import after_of, grants_part, next_rule, write_rule
from engine.kernels.stock import find_cell
from engine.kernels.workspace import ANSWER, ROUTER, SCALARS, WORK, Answer, Work, routing_answer
from engine.kernels.zones import (
    MATRIX,
    NETWORK,
    NEVER_SHIPS,
    SLOT_MASK,
    STATE,
    STOCK,
    VECTOR,
    Integers,
    Network,
    State,
    Stock,
)

Asked: TypeAlias = tuple[Integers, Integers, Integers, Integers]
"""``items[n, ITEM_WIDTH]``, ``lines[m, LINE_WIDTH]`` (the items' lines one after another), ``excluded[k]`` (node indexes),
``rules[*, RULE_WIDTH + words of sets]`` (those of all policies, see ``rules``)."""
Claim: TypeAlias = tuple[Integers, Integers, Integers]
"""One item, the lines of all, the rules of all."""
Granted: TypeAlias = tuple[Integers, Integers, Integers, Integers]
"""``results[n, RESULT_WIDTH]``, ``legs[*, LEG_WIDTH]`` (LEG_LINE counts the item's own lines, LEG_PACKAGE the item's packages),
``packages[*, PACKAGE_WIDTH]``, ``available[m]`` (units there were for each line)."""
Scratch: TypeAlias = tuple[Work, Answer, Integers, Integers, Integers]
"""Router work, router answer, the question's order, its merged lines, and the merged line of each line."""

ASKED: Final = types.Tuple([MATRIX, MATRIX, VECTOR, MATRIX])
GRANTED: Final = types.Tuple([MATRIX, MATRIX, MATRIX, VECTOR])
SCRATCH: Final = types.Tuple([WORK, ANSWER, VECTOR, MATRIX, VECTOR])

LEGS_PER_ITEM_MAX: Final = 16_384
"""Room for the legs of one item: a line split by units may touch very many nodes."""


def claim_scratch(nodes_max: int) -> Scratch:
    """Scratch of ``plan_claims``, one per thread."""
    return (
        routing_work(nodes_max),
        routing_answer(LEGS_PER_ITEM_MAX),
        np.zeros(c.ORDER_WIDTH, dtype=np.int64),
        np.zeros((c.LINES_MAX, c.LINE_WIDTH), dtype=np.int64),
        np.zeros(c.LINES_MAX, dtype=np.int64),
    )


@inner
def available_to(stock: Stock, network: Network, item: Integers, order: Integers, sku: int) -> int:
    """Units of a SKU that the item may have: what its nodes have free, and what the channel's threshold leaves."""
    cells, skus, index = stock
    if item[c.ITEM_KIND] == c.KIND_PICKUP:
        slot = find_cell(skus, index, sku, item[c.ITEM_DESTINATION])
        if slot < 0:
            return np.int64(0)
        free = cells[c.ATF, slot] - cells[c.PENDING, slot]
        needs = PICKUP_NEEDS
    else:
        needs = SHIP_NEEDS
        free = (
            ats_for(stock, network, order, sku)
            if order[c.ORDER_UNIT_SPLIT] == 1
            else most_for(stock, network, order, sku)
        )
    if item[c.ITEM_THRESHOLD] > 0 and free > 0 and item[c.ITEM_FACT] == 0:
        free = min(free, ats(stock, network[0], sku, item[c.ITEM_CHANNEL], needs) - item[c.ITEM_THRESHOLD])
    return max(free, np.int64(0))


@inlined
def serve(stock: Stock, network: Network, item: Integers, count: int, scratch: Scratch) -> bool:
    """Serve the merged lines in full: by the router, or all from the one pickup node. The legs stand in the router's answer."""
    work, answer, order, merged, _ = scratch
    plan, legs, _ = answer
    if item[c.ITEM_KIND] == c.KIND_SHIP:
        question = (order, merged[:count])
        router = work[3][SCALARS, ROUTER]
        return ask_router(router, (stock, network, question, work, answer)) == c.STATUS_ROUTED
    cells, skus, index = stock
    plan[:] = 0
    plan[c.PLAN_EXACT] = 1
    for line in range(count):
        if merged[line, c.LINE_UNITS] == 0:
            continue
        slot = find_cell(skus, index, merged[line, c.LINE_SKU], item[c.ITEM_DESTINATION])
        if slot < 0 or cells[c.ATF, slot] - cells[c.PENDING, slot] < merged[line, c.LINE_UNITS]:
            return False
        leg = legs[plan[c.PLAN_LEGS]]
        leg[c.LEG_LINE] = line
        leg[c.LEG_SLOT] = slot
        leg[c.LEG_UNITS] = merged[line, c.LINE_UNITS]
        leg[c.LEG_PACKAGE] = 0
        plan[c.PLAN_LEGS] += 1
    return True


@inner
def survey_lines(stock: Stock, network: Network, claim: Claim, scratch: Scratch, available: Integers) -> int:
    """Note how many units there are for each line, lines of one SKU in order; returns the first line that is short, −1: none."""
    item, lines, _ = claim
    _, _, order, merged, merged_of = scratch
    short = np.int64(-1)
    first = item[c.ITEM_FIRST_LINE]
    for line in range(item[c.ITEM_LINE_COUNT]):
        earlier = np.int64(0)
        at = merged_of[line]
        for other in range(line):
            if merged_of[other] == at:
                earlier += lines[first + other, c.LINE_UNITS]
        left = available_to(stock, network, item, order, merged[at, c.LINE_SKU]) - earlier
        available[first + line] = max(left, np.int64(0))
        if short < 0 and available[first + line] < lines[first + line, c.LINE_UNITS]:
            short = line
    return short


@inner
def clamp_lines(item: Integers, lines: Integers, scratch: Scratch, available: Integers) -> int:
    """Cut the merged lines to what is available; returns the units left."""
    _, _, _, merged, merged_of = scratch
    merged[:, c.LINE_UNITS] = 0
    total = np.int64(0)
    first = item[c.ITEM_FIRST_LINE]
    for line in range(item[c.ITEM_LINE_COUNT]):
        units = min(lines[first + line, c.LINE_UNITS], available[first + line])
        merged[merged_of[line], c.LINE_UNITS] += units
        total += units
    return total


@inner
def grant(claim: Claim, scratch: Scratch, result: Integers, granted: Granted) -> bool:
    """Copy the router's answer behind what earlier items got, legs told by the item's own lines. False: no room."""
    item, lines, _ = claim
    _, answer, _, _, merged_of = scratch
    plan, routed, packed = answer
    _, legs, packages, available = granted
    at = result[c.RESULT_FIRST_LEG]
    first = item[c.ITEM_FIRST_LINE]
    package_end = result[c.RESULT_FIRST_PACKAGE] + plan[c.PLAN_PACKAGES]
    if at + plan[c.PLAN_LEGS] + item[c.ITEM_LINE_COUNT] > legs.shape[0] or package_end > packages.shape[0]:
        return False
    for line in range(item[c.ITEM_LINE_COUNT]):
        wanted = min(lines[first + line, c.LINE_UNITS], available[first + line])
        for leg in range(plan[c.PLAN_LEGS]):
            if wanted > 0 and routed[leg, c.LEG_LINE] == merged_of[line] and routed[leg, c.LEG_UNITS] > 0:
                units = min(wanted, routed[leg, c.LEG_UNITS])
                routed[leg, c.LEG_UNITS] -= units
                wanted -= units
                legs[at, c.LEG_LINE] = line
                legs[at, c.LEG_SLOT] = routed[leg, c.LEG_SLOT]
                legs[at, c.LEG_UNITS] = units
                legs[at, c.LEG_PACKAGE] = routed[leg, c.LEG_PACKAGE]
                legs[at, c.LEG_DAY] = 0
                at += 1
    for package in range(plan[c.PLAN_PACKAGES]):
        # Not row to row: for that Numba also compiles what says in words that two rows do not match.
        for field in range(c.PACKAGE_WIDTH):
            packages[result[c.RESULT_FIRST_PACKAGE] + package, field] = packed[package, field]
    result[c.RESULT_LEG_COUNT] = at - result[c.RESULT_FIRST_LEG]
    result[c.RESULT_PACKAGE_COUNT] = plan[c.PLAN_PACKAGES]
    result[c.RESULT_COST] = plan[c.PLAN_COST]
    result[c.RESULT_SPLIT] = plan[c.PLAN_SPLIT]
    result[c.RESULT_EXACT] = plan[c.PLAN_EXACT]
    result[c.RESULT_SCORE] = plan[c.PLAN_SCORE]
    return True


@inlined
def plan_with(stock: Stock, network: Network, claim: Claim, scratch: Scratch, granted: Granted, part: bool) -> int:
    """Serve the item in full by the question as it now stands, or with ``part`` as far as there is stock; returns its outcome."""
    item, lines, _ = claim
    available = granted[3]
    result = granted[0][0]
    count = merge_lines(item, lines, scratch[3], scratch[4])
    first = item[c.ITEM_FIRST_LINE]
    short = np.int64(-1)
    result[c.RESULT_LINE] = short
    result[c.RESULT_AVAILABLE] = 0
    if item[c.ITEM_THRESHOLD] > 0 and item[c.ITEM_FACT] == 0:
        short = survey_lines(stock, network, claim, scratch, available)
    if short < 0:
        for line in range(item[c.ITEM_LINE_COUNT]):
            available[first + line] = lines[first + line, c.LINE_UNITS]
        if serve(stock, network, item, count, scratch):
            return np.int64(c.OUTCOME_OK) if grant(claim, scratch, result, granted) else np.int64(c.OUTCOME_CAPACITY)
        short = survey_lines(stock, network, claim, scratch, available)
    result[c.RESULT_LINE] = short
    result[c.RESULT_AVAILABLE] = available[first + max(short, np.int64(0))]
    some = part and clamp_lines(item, lines, scratch, available) > 0
    if some and serve(stock, network, item, count, scratch):
        return np.int64(c.OUTCOME_PARTIAL) if grant(claim, scratch, result, granted) else np.int64(c.OUTCOME_CAPACITY)
    return np.int64(c.OUTCOME_INSUFFICIENT_STOCK) if short >= 0 else np.int64(c.OUTCOME_NO_PLAN)


@inlined
def plan_claim(stock: Stock, network: Network, claim: Claim, scratch: Scratch, granted: Granted) -> int:
    """Decide one item; returns its outcome. ``granted[0]`` is the item's own result row as a matrix.

    The rules of its policy are tried in their order, those that are not for it passed over, until one serves it in full, or one that
    does not says what follows. What is collected comes from the store that the buyer chose, past all rules.
    """
    item, lines, rules = claim
    result = granted[0][0]
    ruled = item[c.ITEM_KIND] == c.KIND_SHIP
    at = np.int64(0)
    size = np.int64(0), np.int64(0)
    if ruled:
        size = size_of(item, lines, merge_lines(item, lines, scratch[3], scratch[4]))
        at = next_rule(rules, item, size, at, result)
    outcome = np.int64(c.OUTCOME_NO_PLAN)
    while at >= 0:
        following, after = np.int64(-1), np.int64(c.AFTER_REQUEST)
        if ruled:
            following = next_rule(rules, item, size, at + 1, result)
            write_rule(rules, item[c.ITEM_FIRST_RULE] + at, item, scratch[2])
            after = after_of(rules, item[c.ITEM_FIRST_RULE] + at, following < 0)
        outcome = plan_with(stock, network, claim, scratch, granted, grants_part(item, after))
        if ruled:
            note_verdict(at, outcome, after, result)
        if after != c.AFTER_NEXT or outcome in (c.OUTCOME_OK, c.OUTCOME_CAPACITY):
            break
        at = following
    if at < 0:
        clear_available(item, granted[3])
    return outcome


@inner
def note_verdict(rule: int, outcome: int, after: int, result: Integers) -> None:
    """Write down what a rule that was tried has said."""
    verdict = np.int64(c.VERDICT_NOT_ASKED)
    if outcome == c.OUTCOME_INSUFFICIENT_STOCK:
        verdict = np.int64(c.VERDICT_TOO_FEW_UNITS)
    elif outcome == c.OUTCOME_OK:
        verdict = np.int64(c.VERDICT_SERVED)
    elif outcome == c.OUTCOME_PARTIAL:
        verdict = np.int64(c.VERDICT_SERVED_IN_PART)
    elif outcome == c.OUTCOME_NO_PLAN:
        verdict = np.int64(c.VERDICT_NO_PLAN)
    result[c.RESULT_VERDICTS] |= verdict << rule * c.VERDICT_BITS
    result[c.RESULT_RULE] = 1 + rule
    result[c.RESULT_AFTER] = np.int64(c.AFTER_REQUEST) if outcome == c.OUTCOME_OK else after


@inner
def clear_available(item: Integers, available: Integers) -> None:
    """No rule is for the item: there is nothing for it."""
    for line in range(item[c.ITEM_FIRST_LINE], item[c.ITEM_FIRST_LINE] + item[c.ITEM_LINE_COUNT]):
        available[line] = 0


@inner
def take_days(stock: Stock, promise: Promise, item: Integers, result: Integers, legs: Integers) -> None:
    """Write down on which day the item's legs leave, and take that from what their nodes can do."""
    row = np.int64(COLLECTED) if item[c.ITEM_KIND] == c.KIND_PICKUP else item[c.ITEM_SERVICE] + 1
    first = result[c.RESULT_FIRST_LEG]
    end = first + result[c.RESULT_LEG_COUNT]
    # All are told before any is taken: a node that becomes full with the first line still has the day for the others.
    for leg in range(first, end):
        when = promise[3][row, stock[0][c.KEY, legs[leg, c.LEG_SLOT]] & SLOT_MASK]
        legs[leg, c.LEG_DAY] = when if when < NEVER_SHIPS else 0
    begin_marks(promise)
    for leg in range(first, end):
        if legs[leg, c.LEG_DAY] > 0:
            node = stock[0][c.KEY, legs[leg, c.LEG_SLOT]] & SLOT_MASK
            orders = np.int64(is_first(promise, node))
            take_pending(promise, (node, legs[leg, c.LEG_DAY]), orders, legs[leg, c.LEG_UNITS])


@kernel(types.UniTuple(types.int64, 2)(STOCK, types.Tuple([NETWORK, PROMISE]), ASKED, SCRATCH, GRANTED))
def plan_claims(
    stock: Stock, network_and_promise: tuple[Network, Promise], asked: Asked, scratch: Scratch, granted: Granted
) -> tuple[int, int]:
    """Decide every item of ``asked`` in order, each after the grants of those before it; ``granted`` tells who got what.

    An item with ITEM_OUTCOME set keeps that outcome. Nothing but scratch, ``granted`` and the PENDING rows of cells and capacity
    changes, and those are zero again on return. Returns how many items were granted anything, and their legs.
    """
    items, lines, excluded, rules = asked
    results, legs, _, _ = granted
    network, promise = network_and_promise
    cells = stock[0]
    dated = promise[6][SPAN_ROWS] > 0
    if items.shape[0] >= FETCH_FROM:
        fetch_stock(stock, items, lines, granted[3])
    held = np.int64(0)
    first_leg = np.int64(0)
    first_package = np.int64(0)
    for i in range(items.shape[0]):
        item = items[i]
        result = results[i]
        result[:] = 0
        result[c.RESULT_LINE] = -1
        result[c.RESULT_FIRST_LEG] = first_leg
        result[c.RESULT_FIRST_PACKAGE] = first_package
        if item[c.ITEM_OUTCOME] != 0:
            result[c.RESULT_OUTCOME] = item[c.ITEM_OUTCOME]
            continue
        if item[c.ITEM_KIND] == c.KIND_SHIP:
            write_question(item, excluded, scratch[2])
        own = (results[i : i + 1], legs, granted[2], granted[3])
        result[c.RESULT_OUTCOME] = plan_claim(stock, network, (item, lines, rules), scratch, own)
        for leg in range(first_leg, first_leg + result[c.RESULT_LEG_COUNT]):
            cells[c.PENDING, legs[leg, c.LEG_SLOT]] += legs[leg, c.LEG_UNITS]
        if dated:
            take_days(stock, promise, item, result, legs)
        held += result[c.RESULT_LEG_COUNT] > 0
        first_leg += result[c.RESULT_LEG_COUNT]
        first_package += result[c.RESULT_PACKAGE_COUNT]
    for leg in range(first_leg):
        cells[c.PENDING, legs[leg, c.LEG_SLOT]] = 0
        if legs[leg, c.LEG_DAY] > 0:
            drop_pending(promise, cells[c.KEY, legs[leg, c.LEG_SLOT]] & SLOT_MASK, legs[leg, c.LEG_DAY])
    return held, first_leg


@kernel(types.int64(STATE, PROMISE, ASKED, GRANTED, MATRIX))
def write_holds(state: State, promise: Promise, asked: Asked, granted: Granted, effects: Integers) -> int:
    """Turn grants into OP_HOLD and OP_LEG rows from ``effects[1]`` on (row 0 is the caller's OP_AT); returns the rows in use.

    Each held item gets the next id whose column is not held by an older reservation; RESULT_ID tells which.
    """
    cells, reservations, counters = state[0], state[3], state[8]
    items = asked[0]
    results, legs, _, _ = granted
    columns = reservations.shape[1]
    following = counters[c.RESERVATION_NEXT]
    row = 1
    for i in range(items.shape[0]):
        outcome = results[i, c.RESULT_OUTCOME]
        if outcome not in (c.OUTCOME_OK, c.OUTCOME_PARTIAL):
            continue
        while reservations[c.RES_STATE, following % columns] == c.STATE_HELD:
            following += 1
        results[i, c.RESULT_ID] = following
        effects[row, 0] = c.OP_HOLD
        effects[row, 1] = following
        effects[row, 2] = items[i, c.ITEM_EXPIRES]
        effects[row, 3] = items[i, c.ITEM_CHANNEL]
        effects[row, 4] = items[i, c.ITEM_DESTINATION]
        effects[row, 5] = items[i, c.ITEM_KIND] | (items[i, c.ITEM_SERVICE] + 1) << c.META_SERVICE_SHIFT
        effects[row, 5] |= items[i, c.ITEM_DUE_DAY] << c.META_DUE_SHIFT | items[i, c.ITEM_STORE] << c.META_STORE_SHIFT
        row += 1
        first = results[i, c.RESULT_FIRST_LEG]
        begin_marks(promise)
        for leg in range(first, first + results[i, c.RESULT_LEG_COUNT]):
            effects[row, 0] = c.OP_LEG
            effects[row, 1] = following
            effects[row, 2] = legs[leg, c.LEG_SLOT]
            effects[row, 3] = legs[leg, c.LEG_UNITS]
            effects[row, 4] = legs[leg, c.LEG_LINE]
            effects[row, 5] = 0
            if legs[leg, c.LEG_DAY] > 0:
                node = cells[c.KEY, legs[leg, c.LEG_SLOT]] & SLOT_MASK
                effects[row, 5] = legs[leg, c.LEG_DAY] << 1 | np.int64(is_first(promise, node))
            row += 1
        following += 1
    return row
