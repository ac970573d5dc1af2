"""What subsets of an order's lines weigh, cost as one package, and how to partition them: the exact half of the router.

A subset is a bit mask over the lines routed.
"""

import numpy as np

from engine.kernels.columns import LINES_MAX, NODE_PACKAGE_COST, NODE_UNIT_COST, ORDER_SERVICE
from engine.kernels.compiled import inner
from engine.kernels.workspace import (
    COST,
    COUNT_BITS,
    EPOCH,
    EPOCH_SHIFT,
    FIRST,
    FRONT_BITS,
    FRONT_COUNT,
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
from engine.kernels.zones import PADDING, Integers, Network, carrier_cost, lane


@inner
def weigh(breaks: Integers, service: int, work: Work, line: int) -> None:
    """Extend the sums over lines below ``line`` to the subsets that contain it; its own units and grams are set already."""
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
def price_zone(rates: Integers, breaks: Integers, work: Work, service: int, zone: int) -> bool:
    """Fill the row of ``zone`` with the carrier's price of every subset. False when ``service`` does not go there."""
    subsets, carriage, small = work[1], work[2], work[3]
    size = 1 << small[SCALARS, LINE_COUNT]
    steps = small[SCALARS, STEP_COUNT]
    complete, some = steps > 0, False
    for step in range(steps):
        there = rates[service, zone, step] >= 0 and breaks[service, step] > 0
        complete = complete and there
        some = some or there
    small[ZONE_MARK, zone] = small[SCALARS, EPOCH] << 1 | np.int64(some)
    small[FRONT_COUNT, zone] = 0
    if not some:
        return False
    last = rates[service, zone, steps - 1]
    for subset in range(1, size):
        if complete:
            price = subsets[PARCELS, subset] * last
            if subsets[STEP, subset] >= 0:
                price += rates[service, zone, subsets[STEP, subset]]
            carriage[zone, subset] = price
        else:  # a gap in the rate card: the package goes at the next step offered
            carriage[zone, subset] = carrier_cost(rates, breaks, service, zone, subsets[GRAMS, subset])
    return True


@inner
def count_steps(breaks: Integers, service: int) -> int:
    """Weight steps of ``service`` before the padding."""
    steps = 0
    while steps < breaks.shape[1] and breaks[service, steps] != PADDING:
        steps += 1
    return steps if steps > 0 and breaks[service, steps - 1] > 0 else 0


@inner
def admit(network: Network, order: Integers, work: Work, node: int) -> int:
    """First look at ``node`` in this call: its word for SEEN, without lines; the zone in it is 0 for no candidate."""
    _, _, rates, breaks = network
    small = work[3]
    epoch = small[SCALARS, EPOCH]
    zone = lane(network, order, node)
    if zone != 0:
        known = small[ZONE_MARK, zone]
        if known >> 1 != epoch:
            if not price_zone(rates, breaks, work, order[ORDER_SERVICE], zone):
                zone = np.int64(0)
        elif known & 1 == 0:
            zone = np.int64(0)
    word = epoch << EPOCH_SHIFT | zone << LINES_MAX
    work[0][SEEN, node] = word
    return word


@inner
def dominated(nodes: Integers, small: Integers, zone: int, node: int, lines: int) -> bool:
    """Whether a node seen earlier sends any subset of ``lines`` at least as well as ``node``; if not, remember ``node``."""
    package, unit = nodes[NODE_PACKAGE_COST, node], nodes[NODE_UNIT_COST, node]
    start = zone << FRONT_BITS
    place = small[FRONT_COUNT, zone]
    for position in range(start, start + small[FRONT_COUNT, zone]):
        front_package, front_unit = small[FRONT_PACKAGE, position], small[FRONT_UNIT, position]
        front_lines = small[FRONT_LINES, position]
        if front_package <= package and front_unit <= unit and lines & ~front_lines == 0:
            if small[FRONT_NODE, position] < node or front_package < package or front_unit < unit:
                return True
        elif package <= front_package and unit <= front_unit and front_lines & ~lines == 0:
            place = position - start
    if place < FRONT_MAX:
        position = start + place
        small[FRONT_LINES, position] = lines
        small[FRONT_PACKAGE, position] = package
        small[FRONT_UNIT, position] = unit
        small[FRONT_NODE, position] = node
        if place == small[FRONT_COUNT, zone]:
            small[FRONT_COUNT, zone] += 1
    return False


@inner
def combine(nodes: Integers, work: Work) -> None:
    """Cheapest sender of every subset of two lines or more; of equally cheap ones the lowest index."""
    seen, multi = work[0][SEEN], work[0][MULTI]
    units, best, sender = work[1][UNITS], work[1][COST], work[1][SENDER]
    carriage, small = work[2], work[3]
    for position in range(small[SCALARS, MULTI_COUNT]):
        node = multi[position]
        lines = seen[node] & LINES_MASK
        zone = (seen[node] >> LINES_MAX) & (ZONES_MAX - 1)
        package, unit = nodes[NODE_PACKAGE_COST, node], nodes[NODE_UNIT_COST, node]
        pair = lines & (lines - 1)
        three = pair & (pair - 1)
        if three & (three - 1) != 0 and dominated(nodes, small, zone, node, lines):
            continue
        prices = carriage[zone]
        subset = lines
        while subset != 0:
            cost = prices[subset] + package + unit * units[subset]
            if cost <= best[subset] and (cost < best[subset] or node < sender[subset]):
                best[subset] = cost
                sender[subset] = node
            if three == 0:
                break  # of two lines the only subset that is not a single line
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
    """Whether starting ``subset`` with ``package`` gives the smaller list of nodes by line than starting it with ``other``."""
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
    """Best partition of the lines ``whole`` into packages, readable from FIRST. Remainders never hold the lowest line."""
    subsets[TOTAL, 0] = 0
    rest = whole & (whole - 1)
    subset = (0 - rest) & rest
    while subset != 0:
        choose(subsets, subset)
        subset = (subset - rest) & rest
    if whole != 0:
        choose(subsets, whole)
