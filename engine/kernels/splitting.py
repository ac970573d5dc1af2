"""Very large orders with a line that no node can serve whole: that line is split by units over several nodes.

A heuristic for what ``exact_splits`` declines, and the plan says so (PLAN_EXACT = 0); prices do not lead it. It never fails while the candidates' free units cover the line.
Here a node sends one package for all it gives, and the lines that can be served whole still are.

Two starts (the lines to be split first; the whole lines first), each improved by taking one line at a time out of the
plan and putting it back at its best against all the others. A line goes back by a few greedy trials, cheapest package
per unit first, each of which at every step also looks for the one node that would finish the line. The cheapest plan
met is the answer.
"""

from typing import Final

import numpy as np

from engine.kernels.columns import (
    ATF,
    INDEX_COUNT,
    INDEX_START,
    LINE_GRAMS,
    LINE_SKU,
    LINES_MAX,
    ORDER_CARRIER_WEIGHT,
    ORDER_KEEP_UNITS,
    ORDER_SERVICE,
    ORDER_SPLIT_PENALTY,
    PENDING,
    PLAN_SCORE,
)
from engine.kernels.compiled import inlined, inner
from engine.kernels.loads import added_cost, fits, lift, load, load_whole, loaded_cost, write_loads
from engine.kernels.partitions import offer, partition
from engine.kernels.subsets import PER_CENT, weighted_carriage
from engine.kernels.workspace import (
    COST,
    COUNT_BITS,
    GRAMS,
    LINE_COUNT,
    LINE_OF,
    LOAD_EPOCH,
    LOAD_MARK,
    LOAD_UNITS,
    MARK,
    NEVER,
    NODE_MASK,
    OFFER,
    OPEN,
    OPEN_COUNT,
    PACK,
    PICK_COUNT,
    PICK_NODE,
    PICK_UNITS,
    SCALARS,
    SEED,
    SEEN,
    STAYS,
    STEP_BITS,
    STEP_COUNT,
    STEP_OF,
    STEP_OF_MAX,
    TAKER,
    TOGETHER,
    TRIAL_NODE,
    TRIAL_UNITS,
    UNIT,
    UNITS,
    UNSERVED,
    USED,
    WHOLE,
    ZONE_BITS,
    ZONES_MAX,
    Answer,
    Question,
    Work,
)
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, Network, Stock

ROUNDS_MAX: Final = 3
SEEDS_MAX: Final = 3
TRIAL_PICKS_MAX: Final = 16
"""Longer splits are made by size alone."""
ABSORBERS_MAX: Final = 16
"""Nodes with a load that are considered for taking whole lines along."""


@inner
def climb(breaks: Integers, service: int, work: Work, goods: tuple[int, int]) -> None:
    """Fill STEP_OF for ``goods`` (units of the line, grams of one), as far as it reaches."""
    steps, count = work[3][STEP_OF], work[3][SCALARS, STEP_COUNT]
    if count == 0:
        return
    units_max, grams = goods
    heaviest = breaks[service, count - 1]
    step, parcels, rest = np.int64(0), np.int64(0), np.int64(0)
    for units in range(1, min(units_max, STEP_OF_MAX) + 1):
        rest += grams
        if rest > heaviest:
            parcels += rest // heaviest
            rest %= heaviest
            step = np.int64(0)
        while rest > breaks[service, step]:
            step += 1
        steps[units] = parcels << STEP_BITS | (step + 1 if rest > 0 or parcels == 0 else 0)


@inner
def card_price(code: int, last: int, step_rate: int) -> int:
    """Carrier's price from a STEP_OF code, the rate of the heaviest step and that of the code's own; -1 where one is
    missing.
    """
    if code >> STEP_BITS > 0 and last < 0:
        return np.int64(-1)
    if code & ((1 << STEP_BITS) - 1) == 0:
        return (code >> STEP_BITS) * last
    return (code >> STEP_BITS) * last + step_rate if step_rate >= 0 else np.int64(-1)


@inner
def survey(
    stock: Stock, network: Network, question: Question, work: Work, wanted: tuple[int, int]
) -> tuple[int, int, int, int, int]:
    """Next step for ``wanted`` (line, units left): the node cheapest per unit with its units and added cost (-1:
    none), and the cheapest node that gives all of it with its added cost (-1: none). Nodes marked USED are passed
    over.
    """
    cells, skus, index = stock
    rates = network[2]
    order, lines = question
    weight = order[ORDER_CARRIER_WEIGHT]
    per_node, small, steps = work[0], work[3], work[3][STEP_OF]
    line, left = wanted
    sku, grams = lines[small[LINE_OF, line], LINE_SKU], lines[small[LINE_OF, line], LINE_GRAMS]
    service, penalty, mark = order[ORDER_SERVICE], order[ORDER_SPLIT_PENALTY], small[SCALARS, MARK]
    pick, pick_units, pick_cost = np.int64(-1), np.int64(0), np.int64(0)
    finisher, finisher_cost = np.int64(-1), np.int64(NEVER)
    score, last_step = np.inf, max(small[SCALARS, STEP_COUNT], 1) - 1
    start = skus[INDEX_START, sku]
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot, node = index[position] & SLOT_MASK, (index[position] >> SLOT_BITS) & NODE_MASK
        units = min(spare(cells, slot, order[ORDER_KEEP_UNITS]), left)
        zone = (per_node[SEEN, node] >> LINES_MAX) & (ZONES_MAX - 1)
        if units <= 0 or zone == 0 or per_node[USED, node] == mark:
            continue
        price = np.int64(-1)
        if units <= STEP_OF_MAX and per_node[LOAD_MARK, node] != small[SCALARS, LOAD_EPOCH]:
            step = max(steps[units] & ((1 << STEP_BITS) - 1), 1) - 1
            price = card_price(steps[units], rates[service, zone, last_step], rates[service, zone, step])
        if price >= 0:  # nearly always: no load yet, and no gap in the rate card
            if weight != PER_CENT:
                price = weighted_carriage(price, weight)
            cost = price + per_node[PACK, node] + per_node[UNIT, node] * units + penalty
        else:
            cost = added_cost(network, order, work, (node, units * grams, units))
        node_score = cost / units
        if node_score < score or (node_score == score and units > pick_units):
            score = node_score
            pick, pick_units, pick_cost = node, units, cost
        if units == left and cost < finisher_cost:
            finisher, finisher_cost = node, cost
    return pick, pick_units, pick_cost, finisher, finisher_cost


@inner
def keep(picks: Integers, start: int, count: int, last: tuple[int, int]) -> None:
    """Make the first ``count`` picks of the trial and ``last`` (node, units) the split of the line that starts at
    ``start``.
    """
    for pick in range(count):
        picks[PICK_NODE, start + pick] = picks[TRIAL_NODE, pick]
        picks[PICK_UNITS, start + pick] = picks[TRIAL_UNITS, pick]
    picks[PICK_NODE, start + count] = last[0]
    picks[PICK_UNITS, start + count] = last[1]


@inner
def spare(cells: Integers, slot: int, kept: int) -> int:
    """Free units of a cell beyond those that it keeps; below 0 when it has fewer."""
    return cells[ATF, slot] - cells[PENDING, slot] - kept


@inner
def most_free(stock: Stock, sku: int, kept: int) -> int:
    """Spare units of ``sku`` at the node that has most of it, candidate or not; 0 when there are none."""
    cells, skus, index = stock
    start = skus[INDEX_START, sku]
    most = np.int64(0)
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot = index[position] & SLOT_MASK
        most = max(most, spare(cells, slot, kept))
    return most


@inner
def sweep(stock: Stock, question: Question, work: Work, line: int) -> bool:
    """Split ``line`` over the fewest nodes, nearly: those with most stock first, by falling thresholds. False: not
    enough.
    """
    cells, skus, index = stock
    per_node, small, picks = work[0], work[3], work[4]
    first_pick = line * (picks.shape[1] // LINES_MAX)
    left = work[1][UNITS, np.int64(1) << line]
    sku = question[1][small[LINE_OF, line], LINE_SKU]
    start = skus[INDEX_START, sku]
    small[SCALARS, MARK] += 1
    kept = question[0][ORDER_KEEP_UNITS]
    count, threshold = 0, most_free(stock, sku, kept)
    while left > 0 and threshold > 0:
        for position in range(start, start + skus[INDEX_COUNT, sku]):
            slot, node = index[position] & SLOT_MASK, index[position] >> SLOT_BITS
            free = spare(cells, slot, kept)
            if free < threshold or left == 0 or per_node[USED, node] == small[SCALARS, MARK]:
                continue
            if per_node[SEEN, node] & ZONE_BITS != 0:
                per_node[USED, node] = small[SCALARS, MARK]
                picks[PICK_NODE, first_pick + count] = node
                picks[PICK_UNITS, first_pick + count] = min(free, left)
                left -= min(free, left)
                count += 1
        threshold -= max(1, threshold >> 3)
    small[PICK_COUNT, line] = count
    return left == 0


@inner
def spread(stock: Stock, network: Network, question: Question, work: Work, line: int) -> bool:
    """Split ``line`` against the present loads and load it. False when the candidates' free units do not cover it."""
    per_node, small, picks = work[0], work[3], work[4]
    first_pick = line * (picks.shape[1] // LINES_MAX)
    whole_units = work[1][UNITS, np.int64(1) << line]
    grams = question[1][small[LINE_OF, line], LINE_GRAMS]
    climb(network[3], question[0][ORDER_SERVICE], work, (whole_units, grams))
    best, seeds = np.int64(NEVER), 0
    small[PICK_COUNT, line] = 0
    for seed in range(SEEDS_MAX):
        small[SCALARS, MARK] += 1
        for earlier in range(seeds):
            per_node[USED, small[SEED, earlier]] = small[SCALARS, MARK]
        spent, left = np.int64(0), whole_units
        for count in range(min(TRIAL_PICKS_MAX, per_node.shape[1])):
            pick, units, cost, finisher, finisher_cost = survey(stock, network, question, work, (line, left))
            if finisher >= 0 and spent + finisher_cost < best:
                best = spent + finisher_cost
                keep(picks, first_pick, count, (finisher, left))
                small[PICK_COUNT, line] = count + 1
            if pick < 0 or units == left or spent + cost >= best:
                break
            if count == 0:
                for earlier in range(seeds):
                    per_node[USED, small[SEED, earlier]] = 0
                small[SEED, seed] = pick
                seeds += 1
            per_node[USED, pick] = small[SCALARS, MARK]
            picks[TRIAL_NODE, count], picks[TRIAL_UNITS, count] = pick, units
            spent += cost
            left -= units
        if seeds == seed:
            break  # no node was left to start with
    if best == NEVER and not sweep(stock, question, work, line):
        return False
    for pick in range(first_pick, first_pick + small[PICK_COUNT, line]):
        load(work, picks[PICK_NODE, pick], grams * picks[PICK_UNITS, pick], picks[PICK_UNITS, pick])
    return True


@inner
def place_whole(network: Network, order: Integers, work: Work) -> None:
    """Partition the whole lines where a node with a load may take some along for what they add to its package; load
    them.
    """
    per_node, subsets, small = work[0], work[1], work[3]
    offer(work, order[ORDER_SPLIT_PENALTY])
    absorbers = 0
    for position in range(small[SCALARS, OPEN_COUNT]):
        node = per_node[OPEN, position]
        if per_node[LOAD_UNITS, node] == 0 or absorbers == ABSORBERS_MAX:
            continue
        absorbers += 1
        lines = per_node[SEEN, node] & small[SCALARS, WHOLE]
        subset = lines
        while subset != 0:
            if subsets[COST, subset] < NEVER:  # else it tears apart what travels together
                cost = added_cost(network, order, work, (node, subsets[GRAMS, subset], subsets[UNITS, subset]))
                if cost << COUNT_BITS < subsets[OFFER, subset]:
                    subsets[OFFER, subset] = cost << COUNT_BITS
                    subsets[TAKER, subset] = node
            subset = (subset - 1) & lines
    partition(subsets, small[SCALARS, WHOLE])
    load_whole(work, 1)


@inlined
def spread_all(stock: Stock, network: Network, question: Question, work: Work, again: bool) -> bool:
    """Put every line to be split into the plan, one after the other; ``again``: they are in it and are taken out
    first.
    """
    small = work[3]
    placed = small[SCALARS, WHOLE] | small[SCALARS, STAYS]
    for line in range(small[SCALARS, LINE_COUNT]):
        if placed >> line & 1 == 0:
            if again:
                lift(question, work, line)
            if not spread(stock, network, question, work, line):
                return False
    return True


@inner
def leave(work: Work) -> int:
    """Fill STAYS: what may stay and cannot be served whole. Returns what that costs; NEVER when lines that must travel together cannot."""
    small = work[3]
    small[SCALARS, STAYS] = 0
    cost = np.int64(0)
    for line in range(small[SCALARS, LINE_COUNT]):
        small[PICK_COUNT, line] = 0
        together = small[TOGETHER, line]
        if together & ~small[SCALARS, WHOLE] == 0 or small[SCALARS, STAYS] >> line & 1 == 1:
            continue
        if small[UNSERVED, line] < NEVER:
            small[SCALARS, STAYS] |= together
            cost += small[UNSERVED, line] >> COUNT_BITS
        elif together & (together - 1) != 0:
            return np.int64(NEVER)
    small[SCALARS, WHOLE] &= ~small[SCALARS, STAYS]
    return cost


@inlined
def serve_split(stock: Stock, network: Network, question: Question, work: Work, answer: Answer) -> bool:
    """Best plan found for an order with lines to split, after the scans and ``combine``. False: not enough, or no
    room.
    """
    order, counters = question[0], work[3][SCALARS]
    unserved = leave(work)
    if unserved >= NEVER:
        return False
    best, written = np.int64(NEVER), False
    for whole_first in range(2 if counters[WHOLE] != 0 else 1):
        counters[LOAD_EPOCH] += 1
        counters[OPEN_COUNT] = 0
        if whole_first == 1:
            place_whole(network, order, work)
        reached = np.int64(NEVER)
        for turn in range(ROUNDS_MAX):
            if not spread_all(stock, network, question, work, turn > 0):
                return False
            if turn > 0 or whole_first == 1:
                load_whole(work, -1)
            place_whole(network, order, work)
            cost = loaded_cost(network, order, work)
            if cost >= reached:
                break
            reached = cost
            if cost < best and fits(work, answer):
                best, written = cost, True
                write_loads(stock, network, question, work, answer)
                answer[0][PLAN_SCORE] += unserved
    return written
