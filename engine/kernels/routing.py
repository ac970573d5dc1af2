"""The single-order router: which nodes send which lines of one order in which packages, at the lowest cost.

Cost of a package: carrier (``zones.carrier_cost``) + the node's package cost + its unit cost x units; every package
beyond the first adds the split penalty. A line is served whole by one node when some candidate has the units free. A
node may send several packages where the rate card makes that cheaper.

Over all such plans ``route`` finds the one that is smallest by, in this order:

1. cost,
2. number of packages,
3. nodes by line, compared from the first line on (lower index first),
4. packages in the order of their lowest lines, the greater set of lines (as a bit mask) first.

So one plan is the answer and every replay finds it. A line that no candidate can serve whole is, if the question
allows, split by units (``splitting``): PLAN_EXACT is then 0 and rules 1-4 no longer hold, though the answer stays
deterministic.

How: a scan of each SKU's cells finds the best single packages and marks the nodes that can serve several lines; those
enumerate the subsets of their lines; a partition over subsets (``subsets``) puts the packages together.
"""

from typing import Final

import numpy as np
from numba import types

from engine.kernels.columns import (
    ATF,
    COST_MAX,
    INDEX_COUNT,
    INDEX_START,
    LEG_LINE,
    LEG_PACKAGE,
    LEG_SLOT,
    LEG_UNITS,
    LINE_GRAMS,
    LINE_SKU,
    LINE_UNITS,
    LINES_MAX,
    NODE_CHANNELS,
    NODE_FLAGS,
    NODE_PACKAGE_COST,
    NODE_UNIT_COST,
    ORDER_CHANNEL,
    ORDER_EXCLUDED,
    ORDER_EXCLUDED_COUNT,
    ORDER_NEEDS,
    ORDER_REGION,
    ORDER_SERVICE,
    ORDER_SPLIT_PENALTY,
    ORDER_UNIT_SPLIT,
    PACKAGE_CARRIER,
    PACKAGE_GRAMS,
    PACKAGE_HANDLING,
    PACKAGE_NODE,
    PACKAGE_WIDTH,
    PACKAGE_ZONE,
    PENDING,
    PLAN_COST,
    PLAN_EXACT,
    PLAN_LEGS,
    PLAN_PACKAGES,
    PLAN_SCORE,
    PLAN_SPLIT,
    PLAN_STATUS,
    STATUS_INFEASIBLE,
    STATUS_ROUTED,
)
from engine.kernels.compiled import inner, kernel
from engine.kernels.splitting import serve_split
from engine.kernels.subsets import combine, count_steps, offer, partition, price_zone, weigh
from engine.kernels.workspace import (
    ANSWER,
    COST,
    EPOCH,
    EPOCH_SHIFT,
    FIRST,
    GRAMS,
    LINE_COUNT,
    LINE_OF,
    LINES_MASK,
    MULTI,
    MULTI_COUNT,
    NEVER,
    NODE_MASK,
    PACKAGE_BY_LINE,
    PRICE_MASK,
    QUESTION,
    SCALARS,
    SEEN,
    SENDER,
    STEP_COUNT,
    STOCKED,
    TAKER,
    UNITS,
    WHOLE,
    WORK,
    ZONE_MARK,
    ZONES_MAX,
    Answer,
    Question,
    Work,
    routing_answer,
    routing_work,
)
from engine.kernels.zones import (
    NETWORK,
    SLOT_BITS,
    SLOT_MASK,
    STOCK,
    Integers,
    Network,
    Stock,
    ats,
    ats_for,
    carrier_cost,
    locate,
    most_for,
    serves,
)

SURELY_PRICED: Final = 1 << 12
"""An order of so many units, in so many parcels, costs less than COST_MAX whatever the network: costs and rates are below 2**40."""

__all__ = ["ats", "ats_for", "carrier_cost", "most_for", "route", "routing_answer", "routing_work"]


@inner
def begin(network: Network, question: Question, work: Work) -> None:
    """Open a new epoch: lines and their subsets, excluded nodes marked as no candidates."""
    breaks = network[3]
    order, lines = question
    seen, subsets, small = work[0][SEEN], work[1], work[3]
    epoch = small[SCALARS, EPOCH] + 1
    small[SCALARS, EPOCH] = epoch
    small[SCALARS, WHOLE] = 0
    small[ZONE_MARK, 0] = epoch << 1
    small[SCALARS, STEP_COUNT] = count_steps(breaks, order[ORDER_SERVICE])
    count = np.int64(0)  # typed: for a literal, `weigh` would be compiled twice
    for line in range(lines.shape[0]):
        if lines[line, LINE_UNITS] > 0:
            subsets[UNITS, 1 << count] = lines[line, LINE_UNITS]
            subsets[GRAMS, 1 << count] = lines[line, LINE_UNITS] * lines[line, LINE_GRAMS]
            small[LINE_OF, count] = line
            weigh(breaks, order[ORDER_SERVICE], work, count)
            count += 1
    small[SCALARS, LINE_COUNT] = count
    for position in range(ORDER_EXCLUDED, ORDER_EXCLUDED + order[ORDER_EXCLUDED_COUNT]):
        node = order[position]
        if 0 <= node < network[0].shape[1]:
            seen[node] = epoch << EPOCH_SHIFT


@inner
def entries(stock: Stock, question: Question) -> int:
    """Cells that the scans will read."""
    skus, lines = stock[1], question[1]
    total = 0
    for line in range(lines.shape[0]):
        total += skus[INDEX_COUNT, lines[line, LINE_SKU]]
    return total


@inner
def is_priceable(network: Network, order: Integers, work: Work) -> bool:
    """Whether every plan costs less than COST_MAX, so that no sum overflows. Only what is very large needs a closer look."""
    nodes, rates, breaks = network[0], network[2], network[3]
    service, counters = order[ORDER_SERVICE], work[3][SCALARS]
    everything = (np.int64(1) << counters[LINE_COUNT]) - 1
    units = work[1][UNITS, everything]
    parcels = work[1][GRAMS, everything] // max(breaks[service, 0], 1)
    if units <= SURELY_PRICED and parcels <= SURELY_PRICED:
        return True
    package, unit, rate = np.int64(0), np.int64(0), np.int64(0)
    for node in range(nodes.shape[1]):
        package = max(package, nodes[NODE_PACKAGE_COST, node])
        unit = max(unit, nodes[NODE_UNIT_COST, node])
    for zone in range(rates.shape[1]):
        for step in range(rates.shape[2]):
            rate = max(rate, rates[service, zone, step])
    packages = min(units, nodes.shape[1])
    each = float(package) + float(rate) + float(order[ORDER_SPLIT_PENALTY])
    return float(units) * unit + packages * each + float(parcels) * rate < COST_MAX


@inner
def admit_all(network: Network, order: Integers, work: Work) -> None:
    """Look at every node that this call has not met yet: is it a candidate, and in which zone? Prices zones on the
    way.
    """
    rates, breaks = network[2], network[3]
    flags, channels, zones = network[0][NODE_FLAGS], network[0][NODE_CHANNELS], network[1][order[ORDER_REGION]]
    needs, channel, service = order[ORDER_NEEDS], order[ORDER_CHANNEL], order[ORDER_SERVICE]
    seen, zone_mark = work[0][SEEN], work[3][ZONE_MARK]
    epoch = work[3][SCALARS, EPOCH]
    for node in range(flags.shape[0]):
        if seen[node] >> EPOCH_SHIFT == epoch:
            continue
        zone = np.int64(zones[node]) if serves(flags[node], channels[node], needs, channel) else np.int64(0)
        if zone_mark[zone] >> 1 != epoch:
            price_zone(rates, breaks, work, service, zone)
        seen[node] = epoch << EPOCH_SHIFT | (zone * (zone_mark[zone] & 1)) << LINES_MAX


@inner
def admit_listed(network: Network, order: Integers, work: Work, count: int) -> None:
    """The same for the first ``count`` nodes of STOCKED only: better when few nodes hold the order's SKUs."""
    rates, breaks = network[2], network[3]
    flags, channels, zones = network[0][NODE_FLAGS], network[0][NODE_CHANNELS], network[1][order[ORDER_REGION]]
    needs, channel, service = order[ORDER_NEEDS], order[ORDER_CHANNEL], order[ORDER_SERVICE]
    nodes, seen, zone_mark = work[0][STOCKED], work[0][SEEN], work[3][ZONE_MARK]
    epoch = work[3][SCALARS, EPOCH]
    for position in range(count):
        node = nodes[position] & NODE_MASK
        if seen[node] >> EPOCH_SHIFT == epoch:
            continue
        zone = np.int64(zones[node]) if serves(flags[node], channels[node], needs, channel) else np.int64(0)
        if zone_mark[zone] >> 1 != epoch:
            price_zone(rates, breaks, work, service, zone)
        seen[node] = epoch << EPOCH_SHIFT | (zone * (zone_mark[zone] & 1)) << LINES_MAX


@inner
def stocked(stock: Stock, sku: int, units: int, nodes: Integers) -> int:
    """List in ``nodes`` those with ``units`` of ``sku`` free; how many there are. Without a branch: who has stock is
    chance.
    """
    cells, skus, index = stock
    atf, pending = cells[ATF], cells[PENDING]
    start = skus[INDEX_START, sku]
    count = np.int64(0)
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot = index[position] & SLOT_MASK
        nodes[count & NODE_MASK] = (index[position] >> SLOT_BITS) & NODE_MASK
        count += np.int64(atf[slot] - pending[slot] >= units)
    return count


@inner
def scan(stock: Stock, network: Network, question: Question, work: Work) -> None:
    """Candidates for each whole line: the cheapest as a package of its own, and those that serve another line too."""
    order, lines = question
    package_cost, unit_cost = network[0][NODE_PACKAGE_COST], network[0][NODE_UNIT_COST]
    nodes, seen, multi = work[0][STOCKED], work[0][SEEN], work[0][MULTI]
    subsets, carriage, small = work[1], work[2][0], work[3]
    count = small[SCALARS, LINE_COUNT]
    multi_count = np.int64(0)
    all_admitted = entries(stock, question) >= network[0].shape[1]
    if all_admitted:
        admit_all(network, order, work)
    for line in range(count):
        bit = np.int64(1) << line
        units = subsets[UNITS, bit]
        best, sender = np.int64(NEVER), np.int64(-1)
        found = stocked(stock, lines[small[LINE_OF, line], LINE_SKU], units, nodes)
        if not all_admitted:
            admit_listed(network, order, work, found)
        for position in range(found):
            node = nodes[position] & NODE_MASK
            word = seen[node]
            zone = (word >> LINES_MAX) & (ZONES_MAX - 1)
            if zone == 0:
                continue
            earlier = word & LINES_MASK
            multi[multi_count & NODE_MASK] = node
            multi_count += np.int64((earlier != 0) & (earlier & (earlier - 1) == 0))
            seen[node] = word | bit
            cost = carriage[(zone << count | bit) & PRICE_MASK] + package_cost[node] + unit_cost[node] * units
            if cost < best:
                best = cost
                sender = node
        subsets[COST, bit] = best
        subsets[SENDER, bit] = sender
        if best < NEVER:
            small[SCALARS, WHOLE] |= bit
    small[SCALARS, MULTI_COUNT] = multi_count


@inner
def write_packages(network: Network, question: Question, work: Work, answer: Answer) -> bool:
    """Packages of the partition, in the order of their lowest lines, and the summary. False when they do not fit."""
    nodes = network[0]
    penalty = question[0][ORDER_SPLIT_PENALTY]
    plan, _, packages = answer
    seen, subsets, carriage, small = work[0][SEEN], work[1], work[2][0], work[3]
    left = small[SCALARS, WHOLE]
    count = 0
    cost = np.int64(0)
    while left != 0:
        if count == packages.shape[0]:
            return False
        package = subsets[FIRST, left]
        node = subsets[TAKER, package]
        zone = (seen[node] >> LINES_MAX) & (ZONES_MAX - 1)
        packages[count, PACKAGE_NODE] = node
        packages[count, PACKAGE_ZONE] = zone
        packages[count, PACKAGE_GRAMS] = subsets[GRAMS, package]
        packages[count, PACKAGE_CARRIER] = carriage[zone << small[SCALARS, LINE_COUNT] | package]
        handling = nodes[NODE_PACKAGE_COST, node] + nodes[NODE_UNIT_COST, node] * subsets[UNITS, package]
        packages[count, PACKAGE_HANDLING] = handling
        for field in range(PACKAGE_HANDLING + 1, PACKAGE_WIDTH):
            packages[count, field] = 0
        cost += carriage[zone << small[SCALARS, LINE_COUNT] | package] + handling
        for line in range(small[SCALARS, LINE_COUNT]):
            if package >> line & 1:
                small[PACKAGE_BY_LINE, line] = count
        count += 1
        left ^= package
    plan[PLAN_STATUS] = STATUS_ROUTED
    plan[PLAN_PACKAGES] = count
    plan[PLAN_SPLIT] = penalty * max(count - 1, 0)
    plan[PLAN_COST] = cost + plan[PLAN_SPLIT]
    plan[PLAN_SCORE] = plan[PLAN_COST]
    plan[PLAN_EXACT] = 1
    return True


@inner
def write_legs(stock: Stock, question: Question, work: Work, answer: Answer) -> bool:
    """One leg a line, in the order of the lines. False when they do not fit."""
    plan, legs, packages = answer
    small = work[3]
    count = small[SCALARS, LINE_COUNT]
    if count > legs.shape[0]:
        return False
    for leg in range(count):
        line = small[LINE_OF, leg]
        package = small[PACKAGE_BY_LINE, leg]
        legs[leg, LEG_LINE] = line
        legs[leg, LEG_SLOT] = locate(stock, question[1][line, LINE_SKU], packages[package, PACKAGE_NODE])
        legs[leg, LEG_UNITS] = question[1][line, LINE_UNITS]
        legs[leg, LEG_PACKAGE] = package
    plan[PLAN_LEGS] = count
    return True


@inner
def refuse(plan: Integers) -> int:
    """The answer to a question that has none."""
    for field in range(plan.shape[0]):
        plan[field] = 0
    plan[PLAN_STATUS] = STATUS_INFEASIBLE
    return np.int64(STATUS_INFEASIBLE)


@kernel(types.int64(STOCK, NETWORK, QUESTION, WORK, ANSWER))
def route(stock: Stock, network: Network, question: Question, work: Work, answer: Answer) -> int:
    """Decide one order; every line is served in full or the order is STATUS_INFEASIBLE. Nothing but scratch and answer
    changes.

    ``question`` = (order int64[ORDER_WIDTH], lines int64[lines <= LINES_MAX, LINE_WIDTH]), each SKU in one line at
    most; lines of no units are left out. ``work`` = ``routing_work(nodes_max)``, one per thread. ``answer`` =
    ``routing_answer(legs_max)``: plan, legs ordered by line and node, packages. A plan that does not fit into
    ``answer`` is STATUS_INFEASIBLE.

    Candidates carry every flag of ORDER_NEEDS, serve the channel, have a zone (not 0) in which the service is offered,
    and are not excluded by name. An order whose plans might cost COST_MAX or more is STATUS_INFEASIBLE. Returns
    PLAN_STATUS. Raises ValueError when the scratch is too small for lines or nodes.
    """
    order, lines = question
    if lines.shape[0] > LINES_MAX:
        raise ValueError("more lines than the router takes: merge or divide the order")
    if network[0].shape[1] >= work[0].shape[1]:
        raise ValueError("routing_work was made for fewer nodes than the network has")
    begin(network, question, work)
    if not is_priceable(network, order, work):
        return refuse(answer[0])
    counters = work[3][SCALARS]
    scan(stock, network, question, work)
    everything = (np.int64(1) << counters[LINE_COUNT]) - 1
    if counters[WHOLE] != everything:
        if order[ORDER_UNIT_SPLIT] == 0:
            return refuse(answer[0])
        admit_all(network, order, work)
        combine(network[0], work)
        if serve_split(stock, network, question, work, answer):
            return np.int64(STATUS_ROUTED)
        return refuse(answer[0])
    combine(network[0], work)
    offer(work, order[ORDER_SPLIT_PENALTY])
    partition(work[1], everything)
    if write_packages(network, question, work, answer) and write_legs(stock, question, work, answer):
        return np.int64(STATUS_ROUTED)
    return refuse(answer[0])
