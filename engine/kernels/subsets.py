"""What subsets of an order's lines weigh, and what each costs as one package, at best.

A subset is a bit mask over the lines routed.
"""

from typing import Final

import numpy as np

from engine.kernels.columns import COST_MAX, LINES_MAX, ORDER_CARRIER_WEIGHT, ORDER_SERVICE
from engine.kernels.compiled import inner
from engine.kernels.workspace import (
    COST,
    EPOCH,
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
    PACK,
    PARCELS,
    SCALARS,
    SEEN,
    SENDER,
    STEP,
    STEP_COUNT,
    SUM,
    TOGETHER,
    UNIT,
    UNITS,
    VALUE,
    ZONE_MARK,
    ZONES_MAX,
    Work,
)
from engine.kernels.zones import PADDING, Integers, carrier_cost

PER_CENT: Final = 100
CARRIAGE_MAX: Final = 1 << 49
"""Micros that a carrier never gets for a package, at its weight: an order's sum stays below COST_MAX."""


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
def price_zone(rates: Integers, breaks: Integers, work: Work, order: Integers, zone: int) -> int:
    """Fill the row of ``zone`` with the carrier's price of every subset at the order's weight; its ZONE_MARK, even when the service
    does not go there.
    """
    service = order[ORDER_SERVICE]
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
    if order[ORDER_CARRIER_WEIGHT] != PER_CENT:
        for subset in range(1, size):
            at = zone << count | subset
            carriage[at] = weighted_carriage(carriage[at], order[ORDER_CARRIER_WEIGHT])
    return small[ZONE_MARK, zone]


@inner
def weighted_carriage(price: int, weight: int) -> int:
    """A carrier's price at a weight in per cent, CARRIAGE_MAX at most."""
    if price > COST_MAX // max(weight, PER_CENT):
        return np.int64(CARRIAGE_MAX)
    return min(price * weight // PER_CENT, np.int64(CARRIAGE_MAX))


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
def combine(package_cost: Integers, unit_cost: Integers, work: Work) -> None:
    """Cheapest sender of every subset of two lines or more; of equally cheap ones the lowest index."""
    seen, multi = work[0][SEEN], work[0][MULTI]
    units, best, sender = work[1][UNITS], work[1][COST], work[1][SENDER]
    carriage, small = work[2][0], work[3]
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
def line_cost(work: Work, node: int, line: int) -> int:
    """What a whole line costs at a node beside package and carrier: its units and their prices."""
    return work[0][UNIT, node] * work[1][UNITS, np.int64(1) << line] + work[0][VALUE + line, node]


@inner
def offer_some(work: Work, node: int, lines: int, row: int) -> None:
    """Let a node offer every subset of ``lines``; ``row``: where its zone begins among the carrier's prices."""
    best, sender, sums, carriage = work[1][COST], work[1][SENDER], work[1][SUM], work[2][0]
    line, cost = np.int64(0), np.int64(0)
    sums[0] = work[0][PACK, node]
    subset = lines & -lines
    while subset != 0:
        if subset & (subset - 1) == 0:  # the first subset with this line
            while subset >> line != 1:
                line += 1
            cost = line_cost(work, node, line)
        below = subset ^ (np.int64(1) << line)
        sums[subset] = sums[below] + cost
        offer = carriage[row | subset] + sums[subset]
        if offer <= best[subset] and (offer < best[subset] or node < sender[subset]):
            best[subset] = offer
            sender[subset] = node
        subset = (subset - lines) & lines


@inner
def offer_most(work: Work, node: int, lines: int, row: int) -> None:
    """The same, without a branch for each subset: better where ``lines`` are all lines, or all but one."""
    best, sender, sums, carriage = work[1][COST], work[1][SENDER], work[1][SUM], work[2][0]
    count = work[3][SCALARS, LINE_COUNT]
    others = ~lines
    sums[0] = work[0][PACK, node]
    for line in range(count):
        half = np.int64(1) << line
        cost = line_cost(work, node, line) if lines >> line & 1 else np.int64(0)
        for below in range(half):
            sums[half + below] = sums[below] + cost
    for subset in range(np.int64(1) << count):
        offer = carriage[row + subset] + sums[subset]
        better = (subset & others == 0) & ((offer < best[subset]) | ((offer == best[subset]) & (node < sender[subset])))
        best[subset] = offer if better else best[subset]
        sender[subset] = node if better else sender[subset]


@inner
def combine_priced(work: Work) -> None:
    """``combine`` where what a line costs at a node depends on both: no node can be passed over for another one."""
    seen, multi, small = work[0][SEEN], work[0][MULTI], work[3]
    count = small[SCALARS, LINE_COUNT]
    everything = (np.int64(1) << count) - 1
    for position in range(small[SCALARS, MULTI_COUNT]):
        node = multi[position] & NODE_MASK
        lines = seen[node] & LINES_MASK
        row = ((seen[node] >> LINES_MAX) & (ZONES_MAX - 1)) << count
        missing = everything ^ lines
        if missing & (missing - 1) == 0 and count > 2:
            offer_most(work, node, lines, row)
        else:
            offer_some(work, node, lines, row)


@inner
def keep_together(work: Work) -> None:
    """No package holds a part of lines that travel together."""
    best, small = work[1][COST], work[3]
    count = small[SCALARS, LINE_COUNT]
    for subset in range(1, np.int64(1) << count):
        for line in range(count):
            if subset >> line & 1 and small[TOGETHER, line] & ~subset != 0:
                best[subset] = NEVER
