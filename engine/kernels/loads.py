"""A plan in the making, node by node: what each node's package holds, what more would add, and how to write it down.

Used where lines are split by units; a node sends one package for all it gives.
"""

import numpy as np

from engine.kernels.columns import (
    INDEX_COUNT,
    INDEX_START,
    LEG_LINE,
    LEG_PACKAGE,
    LEG_SLOT,
    LEG_UNITS,
    LINE_GRAMS,
    LINE_SKU,
    LINES_MAX,
    ORDER_CARRIER_WEIGHT,
    ORDER_PRICE_WEIGHT,
    ORDER_SERVICE,
    ORDER_SPLIT_PENALTY,
    PACKAGE_CARRIER,
    PACKAGE_HANDLING,
    PACKAGE_PRICE,
    PLAN_COST,
    PLAN_EXACT,
    PLAN_LEGS,
    PLAN_PACKAGES,
    PLAN_SCORE,
    PLAN_SPLIT,
    PLAN_STATUS,
    STATUS_ROUTED,
)
from engine.kernels.compiled import inner
from engine.kernels.packages import write_package, zone_of
from engine.kernels.subsets import PER_CENT, weighted_carriage
from engine.kernels.terms import value_of
from engine.kernels.workspace import (
    AMOUNT,
    FIRST,
    GRAMS,
    LINE_COUNT,
    LINE_OF,
    LOAD_EPOCH,
    LOAD_GRAMS,
    LOAD_MARK,
    LOAD_UNITS,
    MARK,
    OPEN,
    OPEN_COUNT,
    PACK,
    PACKAGE_OF,
    PICK_COUNT,
    PICK_NODE,
    PICK_UNITS,
    SCALARS,
    TAKER,
    UNIT,
    UNITS,
    USED,
    WHOLE,
    Answer,
    Question,
    Work,
)
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, Network, Stock, carrier_cost


@inner
def load(work: Work, node: int, grams: int, units: int) -> None:
    """Put goods into the package of ``node``, or take them out (negative)."""
    per_node, small = work[0], work[3]
    if per_node[LOAD_MARK, node] != small[SCALARS, LOAD_EPOCH]:
        per_node[LOAD_MARK, node] = small[SCALARS, LOAD_EPOCH]
        per_node[LOAD_GRAMS, node] = 0
        per_node[LOAD_UNITS, node] = 0
        per_node[OPEN, small[SCALARS, OPEN_COUNT]] = node
        small[SCALARS, OPEN_COUNT] += 1
    per_node[LOAD_GRAMS, node] += grams
    per_node[LOAD_UNITS, node] += units


@inner
def carriage(network: Network, order: Integers, work: Work, goods: tuple[int, int]) -> int:
    """Carrier's price at the order's weight for ``goods`` = (node, grams)."""
    node, grams = goods
    price = carrier_cost(network[2], network[3], order[ORDER_SERVICE], zone_of(work, node), grams)
    return price if order[ORDER_CARRIER_WEIGHT] == PER_CENT else weighted_carriage(price, order[ORDER_CARRIER_WEIGHT])


@inner
def added_cost(network: Network, order: Integers, work: Work, goods: tuple[int, int, int]) -> int:
    """Micros that ``goods`` (node, grams, units) add to the plan as loaded now, prices aside."""
    node, grams, units = goods
    per_node = work[0]
    cost = per_node[UNIT, node] * units
    if per_node[LOAD_MARK, node] == work[3][SCALARS, LOAD_EPOCH] and per_node[LOAD_UNITS, node] > 0:
        before = per_node[LOAD_GRAMS, node]
        cost -= carriage(network, order, work, (node, before))
        return cost + carriage(network, order, work, (node, before + grams))
    cost += per_node[PACK, node] + order[ORDER_SPLIT_PENALTY]
    return cost + carriage(network, order, work, (node, grams))


@inner
def loaded_cost(network: Network, order: Integers, work: Work) -> int:
    """Cost of the plan as loaded, at the order's weights, split penalties included and prices aside."""
    per_node = work[0]
    cost, count = np.int64(0), 0
    for position in range(work[3][SCALARS, OPEN_COUNT]):
        node = per_node[OPEN, position]
        if per_node[LOAD_UNITS, node] > 0:
            count += 1
            cost += per_node[PACK, node] + per_node[UNIT, node] * per_node[LOAD_UNITS, node]
            cost += carriage(network, order, work, (node, per_node[LOAD_GRAMS, node]))
    return cost + order[ORDER_SPLIT_PENALTY] * max(count - 1, 0)


@inner
def lift(question: Question, work: Work, line: int) -> None:
    """Take the split of ``line`` out of the loads."""
    small, picks = work[3], work[4]
    grams = question[1][small[LINE_OF, line], LINE_GRAMS]
    first_pick = line * (picks.shape[1] // LINES_MAX)
    for pick in range(first_pick, first_pick + small[PICK_COUNT, line]):
        load(work, picks[PICK_NODE, pick], -grams * picks[PICK_UNITS, pick], -picks[PICK_UNITS, pick])


@inner
def load_whole(work: Work, sign: int) -> None:
    """Load the partition of the whole lines (sign 1), or take it out again (-1)."""
    subsets = work[1]
    left = work[3][SCALARS, WHOLE]
    while left != 0:
        package = subsets[FIRST, left]
        load(work, subsets[TAKER, package], sign * subsets[GRAMS, package], sign * subsets[UNITS, package])
        left ^= package


@inner
def mark_amounts(work: Work, line: int) -> None:
    """Note at each node what it gives to ``line``; nodes that give something carry a fresh USED mark."""
    per_node, subsets, small, picks = work[0], work[1], work[3], work[4]
    small[SCALARS, MARK] += 1
    bit = np.int64(1) << line
    left = small[SCALARS, WHOLE]
    if left & bit:
        while subsets[FIRST, left] & bit == 0:
            left ^= subsets[FIRST, left]
        node = subsets[TAKER, subsets[FIRST, left]]
        per_node[USED, node], per_node[AMOUNT, node] = small[SCALARS, MARK], subsets[UNITS, bit]
        return
    first_pick = line * (picks.shape[1] // LINES_MAX)
    for pick in range(first_pick, first_pick + small[PICK_COUNT, line]):
        node = picks[PICK_NODE, pick]
        per_node[USED, node], per_node[AMOUNT, node] = small[SCALARS, MARK], picks[PICK_UNITS, pick]


@inner
def pack(network: Network, order: Integers, work: Work, packages: Integers, place: tuple[int, int]) -> int:
    """Package of the node in ``place`` (node, packages so far), written when it is new."""
    per_node = work[0]
    node, count = place
    if per_node[PACKAGE_OF, node] < 0:
        goods = (node, per_node[LOAD_GRAMS, node], per_node[LOAD_UNITS, node], np.int64(0))
        write_package(network, order, work, packages[count], goods)
        per_node[PACKAGE_OF, node] = count
    return per_node[PACKAGE_OF, node]


@inner
def fits(work: Work, answer: Answer) -> bool:
    """Whether the plan as loaded has room in ``answer``."""
    _, legs, packages = answer
    per_node, small = work[0], work[3]
    leg_count, package_count = 0, 0
    for line in range(small[SCALARS, LINE_COUNT]):
        leg_count += 1 if small[SCALARS, WHOLE] >> line & 1 else small[PICK_COUNT, line]
    for position in range(small[SCALARS, OPEN_COUNT]):
        package_count += 1 if per_node[LOAD_UNITS, per_node[OPEN, position]] > 0 else 0
    return leg_count <= legs.shape[0] and package_count <= packages.shape[0]


@inner
def write_loads(stock: Stock, network: Network, question: Question, work: Work, answer: Answer) -> None:
    """Legs by line and node, packages in the order of their first legs, and the summary."""
    _, skus, index = stock
    order, lines = question
    plan, legs, packages = answer
    per_node, small = work[0], work[3]
    leg_count, package_count = 0, np.int64(0)
    for position in range(small[SCALARS, OPEN_COUNT]):
        per_node[PACKAGE_OF, per_node[OPEN, position]] = -1
    for line in range(small[SCALARS, LINE_COUNT]):
        mark_amounts(work, line)
        sku = lines[small[LINE_OF, line], LINE_SKU]
        start = skus[INDEX_START, sku]
        for position in range(start, start + skus[INDEX_COUNT, sku]):
            node = index[position] >> SLOT_BITS
            if per_node[USED, node] != small[SCALARS, MARK]:
                continue
            package = pack(network, order, work, packages, (node, package_count))
            legs[leg_count, LEG_LINE] = small[LINE_OF, line]
            legs[leg_count, LEG_SLOT] = index[position] & SLOT_MASK
            legs[leg_count, LEG_UNITS] = per_node[AMOUNT, node]
            legs[leg_count, LEG_PACKAGE] = package
            if order[ORDER_PRICE_WEIGHT] != 0:
                given = (index[position] & SLOT_MASK, per_node[AMOUNT, node])
                packages[package, PACKAGE_PRICE] += value_of(stock, question, small[LINE_OF, line], given)
            leg_count += 1
            package_count = max(package_count, package + 1)
    plan[PLAN_STATUS] = STATUS_ROUTED
    plan[PLAN_LEGS] = leg_count
    plan[PLAN_PACKAGES] = package_count
    plan[PLAN_SPLIT] = order[ORDER_SPLIT_PENALTY] * max(package_count - 1, 0)
    plan[PLAN_COST] = plan[PLAN_SPLIT]
    plan[PLAN_SCORE] = loaded_cost(network, order, work)
    for package in range(package_count):
        plan[PLAN_COST] += packages[package, PACKAGE_CARRIER] + packages[package, PACKAGE_HANDLING]
        plan[PLAN_SCORE] += packages[package, PACKAGE_PRICE]
    plan[PLAN_EXACT] = 0
