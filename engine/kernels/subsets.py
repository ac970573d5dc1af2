"""What subsets of an order's lines weigh, cost as one package, and how to partition them: the exact half of the router.

A subset is a bit mask over the lines routed.
"""

import numpy as np

from engine.kernels.columns import LINES_MAX, NODE_PACKAGE_COST, NODE_UNIT_COST
from engine.kernels.compiled import inner
from engine.kernels.workspace import (
    COST,
    COUNT_BITS,
    EPOCH,
    FIRST,
    FRONT_BITS,
    FRONT_LINES,
    FRONT_MAX,
    FRONT_NODE,
    FRONT_PACKAGE,
    FRONT_UNIT,
    GRAMS,
    LINE_COUNT,
    LINES_MASK,
    MULTI,
    MULTI_COUNT,
    NEVER,
    NODE_MASK,
    OFFER,
    PARCELS,
    SCALARS,
    SEEN,
    SENDER,
    STEP,
    STEP_COUNT,
    TAKER,
    TOTAL,
    UNITS,
    ZONE_MARK,
    ZONES_MAX,
    Work,
)
from engine.kernels.zones import PADDING, Integers, carrier_cost


@inner
def weigh(breaks: Integers, service: int, work: Work, line: int) -> None:
    """Extend the sums over lines below ``line`` to the subsets that contain it; its own units and grams are set
    already.
    """
    subsets = work[1]
    bit = 1 << line
    steps = work[3][SCALARS, STEP_COUNT]
    heaviest = breaks[service, steps - 1] if steps > 0 else np.int64(0)
    for lower in range(bit):
        subset = lower | bit
        subsets[UNITS, subset] = subsets[UNITS, lower] + subsets[UNITS, bit]
        grams = subsets[GRAMS, lower] + subsets[GRAMS, bit]
        subsets[GRAMS, subset] = grams
        subsets[COST, subset] = NEVER
        subsets[SENDER, subset] = -1
        if steps == 0:
            continue
        step = subsets[STEP, lower]  # a heavier subset starts its search where the lighter one ended
        parcels = np.int64(0)
        if grams > heaviest:
            parcels = grams // heaviest
            grams -= parcels * heaviest
            step = np.int64(0)
            if grams == 0:
                step = np.int64(-1)
        if step >= 0:
            while grams > breaks[service, step]:
                step += 1
        subsets[PARCELS, subset] = parcels
        subsets[STEP, subset] = step


@inner
def price_zone(rates: Integers, breaks: Integers, work: Work, service: int, zone: int) -> int:
    """Fill the row of ``zone`` with the carrier's price of every subset; its ZONE_MARK, even when ``service`` does not
    go there.
    """
    subsets, carriage, small = work[1], work[2][0], work[3]
    count = small[SCALARS, LINE_COUNT]
    size = 1 << count
    steps = small[SCALARS, STEP_COUNT]
    complete, some = steps > 0 and zone < rates.shape[1], False
    for step in range(steps if zone < rates.shape[1] else 0):
        there = rates[service, zone, step] >= 0 and breaks[service, step] > 0
        complete = complete and there
        some = some or there
    small[ZONE_MARK, zone] = small[SCALARS, EPOCH] << 1 | np.int64(some)
    for front in range(zone << FRONT_BITS, (zone + 1) << FRONT_BITS):
        small[FRONT_LINES, front] = 0
        small[FRONT_PACKAGE, front] = NEVER
        small[FRONT_UNIT, front] = NEVER
    if not some:
        return small[ZONE_MARK, zone]
    last = rates[service, zone, steps - 1]
    for subset in range(1, size):
        if complete:
            price = subsets[PARCELS, subset] * last
            if subsets[STEP, subset] >= 0:
                price += rates[service, zone, subsets[STEP, subset]]
            carriage[zone << count | subset] = price
        else:  # a gap in the rate card: the package goes at the next step offered
            carriage[zone << count | subset] = carrier_cost(rates, breaks, service, zone, subsets[GRAMS, subset])
    return small[ZONE_MARK, zone]


@inner
def count_steps(breaks: Integers, service: int) -> int:
    """Weight steps of ``service`` before the padding."""
    steps = 0
    while steps < breaks.shape[1] and breaks[service, steps] != PADDING:
        steps += 1
    return steps if steps > 0 and breaks[service, steps - 1] > 0 else 0


@inner
def remember(small: Integers, zone: int, lines: int, costs: tuple[int, int], node: int) -> None:
    """Put a node (its lines, its package and unit cost) into the front of ``zone``, in place of one that it beats or,
    with room left, beside the others; a full front stays as it is.
    """
    package, unit = costs
    place = np.int64(-1)
    for position in range(zone << FRONT_BITS, (zone + 1) << FRONT_BITS):
        beaten = package <= small[FRONT_PACKAGE, position] and unit <= small[FRONT_UNIT, position]
        if beaten and small[FRONT_LINES, position] & ~lines == 0:
            place = position
    if place >= 0:
        small[FRONT_LINES, place] = lines
        small[FRONT_PACKAGE, place] = package
        small[FRONT_UNIT, place] = unit
        small[FRONT_NODE, place] = node


@inner
def combine(nodes: Integers, work: Work) -> None:
    """Cheapest sender of every subset of two lines or more; of equally cheap ones the lowest index."""
    seen, multi = work[0][SEEN], work[0][MULTI]
    units, best, sender = work[1][UNITS], work[1][COST], work[1][SENDER]
    carriage, small = work[2][0], work[3]
    package_cost, unit_cost = nodes[NODE_PACKAGE_COST], nodes[NODE_UNIT_COST]
    front_lines, front_node = small[FRONT_LINES], small[FRONT_NODE]
    front_package, front_unit = small[FRONT_PACKAGE], small[FRONT_UNIT]
    count = small[SCALARS, LINE_COUNT]
    size = np.int64(1) << count
    for position in range(small[SCALARS, MULTI_COUNT]):
        node = multi[position] & NODE_MASK
        lines = seen[node] & LINES_MASK
        zone = (seen[node] >> LINES_MAX) & (ZONES_MAX - 1)
        package, unit = package_cost[node], unit_cost[node]
        row = zone << count
        rest = lines & (lines - 1)
        if rest & (rest - 1) == 0:  # of two lines the only subset that is not a single line
            cost = carriage[row | lines] + package + unit * units[lines]
            if cost <= best[lines] and (cost < best[lines] or node < sender[lines]):
                best[lines] = cost
                sender[lines] = node
            continue
        rest &= rest - 1
        if rest & (rest - 1) != 0:
            beaten = False
            for front in range(zone << FRONT_BITS, (zone << FRONT_BITS) + FRONT_MAX):
                less = (front_package[front] < package) | (front_unit[front] < unit) | (front_node[front] < node)
                never_more = (front_package[front] <= package) & (front_unit[front] <= unit)
                beaten |= never_more & less & (lines & ~front_lines[front] == 0)
            if beaten:
                continue
            remember(small, zone, lines, (package, unit), node)
        missing = (size - 1) ^ lines
        missing &= missing - 1
        if missing & (missing - 1) == 0:
            others = ~lines
            for subset in range(size):
                cost = carriage[row + subset] + package + unit * units[subset]
                better = (subset & others == 0) & (
                    (cost < best[subset]) | ((cost == best[subset]) & (node < sender[subset]))
                )
                best[subset] = cost if better else best[subset]
                sender[subset] = node if better else sender[subset]
            continue
        subset = lines
        while subset != 0:
            cost = carriage[row | subset] + package + unit * units[subset]
            if cost <= best[subset] and (cost < best[subset] or node < sender[subset]):
                best[subset] = cost
                sender[subset] = node
            subset = (subset - 1) & lines


@inner
def offer(work: Work, penalty: int) -> None:
    """Turn the cheapest packages into keys: each carries the penalty, which the plan refunds once."""
    subsets = work[1]
    for subset in range(1, 1 << work[3][SCALARS, LINE_COUNT]):
        cost = subsets[COST, subset]
        subsets[OFFER, subset] = ((cost + penalty) << COUNT_BITS | 1) if cost < NEVER else NEVER
        subsets[TAKER, subset] = subsets[SENDER, subset]


@inner
def node_in(subsets: Integers, subset: int, package: int, bit: int) -> int:
    """Node of the line ``bit`` when ``subset`` is served by ``package`` first and the rest at its best."""
    rest = subset ^ package
    while package & bit == 0:
        package = subsets[FIRST, rest]
        rest ^= package
    return subsets[TAKER, package]


@inner
def precedes(subsets: Integers, subset: int, package: int, other: int) -> bool:
    """Whether starting ``subset`` with ``package`` gives the smaller list of nodes by line than starting it with
    ``other``.
    """
    left = subset
    while left != 0:
        bit = left & -left
        one, two = node_in(subsets, subset, package, bit), node_in(subsets, subset, other, bit)
        if one != two:
            return one < two
        left ^= bit
    return False


@inner
def choose(subsets: Integers, subset: int) -> None:
    """Best partition of ``subset``, given those of all its remainders: which package holds its lowest line."""
    keys, totals = subsets[OFFER], subsets[TOTAL]
    lowest = subset & -subset
    rest = subset ^ lowest
    best, first = np.int64(NEVER), lowest
    others = rest
    while True:
        key = keys[others | lowest] + totals[rest ^ others]
        if key < best or (key == best and key < NEVER and precedes(subsets, subset, others | lowest, first)):
            best, first = key, others | lowest
        if others == 0:
            break
        others = (others - 1) & rest
    totals[subset] = best
    subsets[FIRST, subset] = first


@inner
def partition(subsets: Integers, whole: int) -> None:
    """Best partition of the lines ``whole`` into packages, readable from FIRST. Remainders never hold the lowest
    line.
    """
    subsets[TOTAL, 0] = 0
    rest = whole & (whole - 1)
    subset = (0 - rest) & rest
    while subset != 0:
        choose(subsets, subset)
        subset = (subset - rest) & rest
    if whole != 0:
        choose(subsets, whole)
