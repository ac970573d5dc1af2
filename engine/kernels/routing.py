"""The single-order router: which nodes send which lines of one order in which packages, at the lowest cost.

Cost of a package: carrier (``zones.carrier_cost``) + the node's package cost + its unit cost x units; every package beyond the
first adds the split penalty. A line is served whole by one node when some candidate has the units free. A node may send
several packages where the rate card makes that cheaper.

Over all such plans ``route`` finds the one that is smallest by, in this order:

1. cost,
2. number of packages,
3. nodes by line, compared from the first line on (lower index first),
4. packages in the order of their lowest lines, the greater set of lines (as a bit mask) first.

So one plan is the answer and every replay finds it. A line that no candidate can serve whole is, if the question allows,
split by units (``splitting``): PLAN_EXACT is then 0 and rules 1-4 no longer hold, though the answer stays deterministic.

How: a scan of each SKU's cells finds the best single packages and marks the nodes that can serve several lines; those
enumerate the subsets of their lines; a partition over subsets (``subsets``) puts the packages together.
"""

import numpy as np
from numba import types

from engine.kernels.columns import (
    ATF,
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
    NODE_PACKAGE_COST,
    NODE_UNIT_COST,
    ORDER_EXCLUDED,
    ORDER_EXCLUDED_COUNT,
    ORDER_SERVICE,
    ORDER_SPLIT_PENALTY,
    ORDER_UNIT_SPLIT,
    PACKAGE_CARRIER,
    PACKAGE_GRAMS,
    PACKAGE_HANDLING,
    PACKAGE_NODE,
    PACKAGE_ZONE,
    PENDING,
    PLAN_COST,
    PLAN_EXACT,
    PLAN_LEGS,
    PLAN_PACKAGES,
    PLAN_SPLIT,
    PLAN_STATUS,
    STATUS_INFEASIBLE,
    STATUS_ROUTED,
)
from engine.kernels.compiled import inner, kernel
from engine.kernels.splitting import serve_split
from engine.kernels.subsets import admit, combine, count_steps, offer, partition, weigh
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
    PACKAGE_BY_LINE,
    QUESTION,
    SCALARS,
    SEEN,
    SENDER,
    STEP_COUNT,
    TAKER,
    UNITS,
    WHOLE,
    WORK,
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
)

__all__ = ["ats", "ats_for", "carrier_cost", "route", "routing_answer", "routing_work"]


@inner
def begin(network: Network, question: Question, work: Work) -> None:
    """Open a new epoch: lines and their subsets, excluded nodes marked as no candidates."""
    breaks = network[3]
    order, lines = question
    seen, subsets, small = work[0][SEEN], work[1], work[3]
    epoch = small[SCALARS, EPOCH] + 1
    small[SCALARS, EPOCH] = epoch
    small[SCALARS, MULTI_COUNT] = 0
    small[SCALARS, WHOLE] = 0
    small[SCALARS, STEP_COUNT] = count_steps(breaks, order[ORDER_SERVICE])
    count = 0
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
def scan(stock: Stock, network: Network, question: Question, work: Work, line: int) -> None:
    """Candidates for the whole of ``line``: the cheapest as a package of its own, and those that serve another line too."""
    cells, skus, index = stock
    order, lines = question
    package_cost, unit_cost = network[0][NODE_PACKAGE_COST], network[0][NODE_UNIT_COST]
    seen, multi = work[0][SEEN], work[0][MULTI]
    subsets, carriage, small = work[1], work[2], work[3]
    atf, pending = cells[ATF], cells[PENDING]
    epoch, multi_count = small[SCALARS, EPOCH], small[SCALARS, MULTI_COUNT]
    bit = np.int64(1) << line
    units = subsets[UNITS, bit]
    best, sender = np.int64(NEVER), np.int64(-1)
    sku = lines[small[LINE_OF, line], LINE_SKU]
    start = skus[INDEX_START, sku]
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        entry = index[position]
        slot = entry & SLOT_MASK
        if atf[slot] - pending[slot] < units:
            continue
        node = entry >> SLOT_BITS
        word = seen[node]
        if word >> EPOCH_SHIFT != epoch:
            word = admit(network, order, work, node)
        zone = (word >> LINES_MAX) & (ZONES_MAX - 1)
        if zone == 0:
            continue
        earlier = word & LINES_MASK
        if earlier != 0 and earlier & (earlier - 1) == 0:
            multi[multi_count] = node
            multi_count += 1
        seen[node] = word | bit
        cost = carriage[zone, bit] + package_cost[node] + unit_cost[node] * units
        if cost < best:
            best = cost
            sender = node
    subsets[COST, bit] = best
    subsets[SENDER, bit] = sender
    small[SCALARS, MULTI_COUNT] = multi_count
    if best < NEVER:
        small[SCALARS, WHOLE] |= bit


@inner
def write_packages(network: Network, question: Question, work: Work, answer: Answer) -> bool:
    """Packages of the partition, in the order of their lowest lines, and the summary. False when they do not fit."""
    nodes = network[0]
    penalty = question[0][ORDER_SPLIT_PENALTY]
    plan, _, packages = answer
    seen, subsets, carriage, small = work[0][SEEN], work[1], work[2], work[3]
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
        packages[count, PACKAGE_CARRIER] = carriage[zone, package]
        handling = nodes[NODE_PACKAGE_COST, node] + nodes[NODE_UNIT_COST, node] * subsets[UNITS, package]
        packages[count, PACKAGE_HANDLING] = handling
        cost += carriage[zone, package] + handling
        for line in range(small[SCALARS, LINE_COUNT]):
            if package >> line & 1:
                small[PACKAGE_BY_LINE, line] = count
        count += 1
        left ^= package
    plan[PLAN_STATUS] = STATUS_ROUTED
    plan[PLAN_PACKAGES] = count
    plan[PLAN_SPLIT] = penalty * max(count - 1, 0)
    plan[PLAN_COST] = cost + plan[PLAN_SPLIT]
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
    """Decide one order; every line is served in full or the order is STATUS_INFEASIBLE. Nothing but scratch and answer changes.

    ``question`` = (order int64[ORDER_WIDTH], lines int64[lines <= LINES_MAX, LINE_WIDTH]), each SKU in one line at most; lines of
    no units are left out. ``work`` = ``routing_work(nodes_max)``, one per thread. ``answer`` = ``routing_answer(legs_max)``: plan,
    legs ordered by line and node, packages. A plan that does not fit into ``answer`` is STATUS_INFEASIBLE.

    Candidates carry every flag of ORDER_NEEDS, serve the channel, have a zone (not 0) in which the service is offered, and are
    not excluded by name. Returns PLAN_STATUS. Raises ValueError when the scratch is too small for lines or nodes.
    """
    order, lines = question
    if lines.shape[0] > LINES_MAX:
        raise ValueError("more lines than the router takes: merge or divide the order")
    if network[0].shape[1] > work[0].shape[1]:
        raise ValueError("routing_work was made for fewer nodes than the network has")
    begin(network, question, work)
    counters = work[3][SCALARS]
    for line in range(counters[LINE_COUNT]):
        scan(stock, network, question, work, line)
    everything = (np.int64(1) << counters[LINE_COUNT]) - 1
    if counters[WHOLE] != everything:
        if order[ORDER_UNIT_SPLIT] == 0:
            return refuse(answer[0])
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
