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

from engine.kernels.columns import (
    COST_MAX,
    LEG_LINE,
    LEG_PACKAGE,
    LEG_SLOT,
    LEG_UNITS,
    LINE_GRAMS,
    LINE_GROUP,
    LINE_SKU,
    LINE_UNITS,
    LINE_UNSERVED,
    LINES_MAX,
    NODE_PACKAGE_COST,
    NODE_PERFORMANCE,
    NODE_UNIT_COST,
    ORDER_CARRIER_WEIGHT,
    ORDER_EXCLUDED,
    ORDER_EXCLUDED_COUNT,
    ORDER_PACKAGES_MAX,
    ORDER_PRICE_WEIGHT,
    ORDER_REGION,
    ORDER_SERVICE,
    ORDER_SPLIT_PENALTY,
    ORDER_UNIT_SPLIT,
    PACKAGE_NODE,
    PLAN_COST,
    PLAN_EXACT,
    PLAN_LEGS,
    PLAN_PACKAGES,
    PLAN_SCORE,
    PLAN_SPLIT,
    PLAN_STATUS,
    STATUS_ROUTED,
)
from engine.kernels.compiled import inlined, inner, kernel
from engine.kernels.links import ROUTES, ask_splitter
from engine.kernels.packages import refuse, write_package
from engine.kernels.partitions import choose_packages, choose_within, offer, partition
from engine.kernels.scanning import scan
from engine.kernels.subsets import PER_CENT, combine, combine_priced, count_steps, keep_together, weigh
from engine.kernels.terms import is_plain, other_terms
from engine.kernels.workspace import (
    CHOSEN,
    CHOSEN_COUNT,
    COUNT_BITS,
    EPOCH,
    EPOCH_SHIFT,
    GRAMS,
    GROUPED,
    IS_PLAIN,
    LINE_COUNT,
    LINE_OF,
    NEVER,
    OPTIONAL,
    PACK,
    PACKAGE_BY_LINE,
    SCALARS,
    SCORE,
    SEEN,
    SPLITTER,
    STEP_COUNT,
    TAKER,
    TOGETHER,
    UNIT,
    UNITS,
    UNSERVED,
    VALUE,
    WHOLE,
    ZONE_MARK,
    Answer,
    Question,
    Work,
)
from engine.kernels.zones import NEVER_SHIPS, Integers, Network, Stock, locate

UNSERVED_MAX: Final = 1 << 49
"""Micros that leaving a line unserved never costs more than."""
SURELY_PRICED: Final = 1 << 12
"""An order of so many units, in so many parcels, costs less than COST_MAX whatever the network: costs and rates are below 2**40."""


@inner
def begin(network: Network, question: Question, work: Work) -> None:
    """Open a new epoch: lines and their subsets, excluded nodes marked as no candidates."""
    breaks = network[3]
    order, lines = question
    seen, subsets, small = work[0][SEEN], work[1], work[3]
    epoch = small[SCALARS, EPOCH] + 1
    small[SCALARS, EPOCH] = epoch
    small[SCALARS, WHOLE] = 0
    small[SCALARS, IS_PLAIN] = np.int64(is_plain(order))
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
    bind(lines, work)
    for position in range(ORDER_EXCLUDED, ORDER_EXCLUDED + order[ORDER_EXCLUDED_COUNT]):
        node = order[position]
        if 0 <= node < network[0].shape[1]:
            seen[node] = epoch << EPOCH_SHIFT


@inner
def bind(lines: Integers, work: Work) -> None:
    """TOGETHER and UNSERVED of every line, OPTIONAL and GROUPED."""
    small = work[3]
    count = small[SCALARS, LINE_COUNT]
    small[SCALARS, OPTIONAL] = 0
    small[SCALARS, GROUPED] = 0
    for line in range(count):
        together, key = np.int64(0), np.int64(0)
        group = lines[small[LINE_OF, line], LINE_GROUP]
        for other in range(count):
            at = small[LINE_OF, other]
            if other == line or (group != 0 and lines[at, LINE_GROUP] == group):
                together |= np.int64(1) << other
                unserved = lines[at, LINE_UNSERVED]
                key += (min(unserved, UNSERVED_MAX) << COUNT_BITS | 1) if unserved >= 0 else NEVER >> COUNT_BITS
        served = key >= NEVER >> COUNT_BITS
        small[TOGETHER, line] = together
        small[UNSERVED, line] = NEVER if served else key
        small[SCALARS, OPTIONAL] |= np.int64(not served)
        small[SCALARS, GROUPED] |= np.int64(together & (together - 1) != 0)


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
    package, unit, rate, other = np.int64(0), np.int64(0), np.int64(0), np.int64(0)
    for node in range(nodes.shape[1]):
        package = max(package, nodes[NODE_PACKAGE_COST, node])
        unit = max(unit, nodes[NODE_UNIT_COST, node])
        zone = np.int64(network[1][order[ORDER_REGION], node])
        if counters[IS_PLAIN] == 0 and 0 < zone < network[6].shape[1] and network[5][service, node] < NEVER_SHIPS:
            unit = max(unit, nodes[NODE_UNIT_COST, node] + nodes[NODE_PERFORMANCE, node])
            other = max(other, other_terms(network, order, node, zone))
    for zone in range(rates.shape[1]):
        for step in range(rates.shape[2]):
            rate = max(rate, rates[service, zone, step])
    packages = min(units, nodes.shape[1])
    weight = 1.0
    for field in range(ORDER_CARRIER_WEIGHT, ORDER_PACKAGES_MAX):
        weight = max(weight, order[field] / PER_CENT)
    each = float(package) + float(rate) + float(order[ORDER_SPLIT_PENALTY]) + other / weight
    return weight * (float(units) * unit + packages * each + float(parcels) * rate) < COST_MAX


@inlined
def settle(network: Network, order: Integers, work: Work) -> bool:
    """The best packages for the lines that can be served whole: CHOSEN and SCORE. False when there is no way."""
    counters = work[3][SCALARS]
    everything = (np.int64(1) << counters[LINE_COUNT]) - 1
    if counters[IS_PLAIN] == 1:
        combine(network[0][NODE_PACKAGE_COST], network[0][NODE_UNIT_COST], work)
    elif order[ORDER_PRICE_WEIGHT] == 0:
        combine(work[0][PACK], work[0][UNIT], work)
    else:
        combine_priced(work)
    if counters[GROUPED] == 1:
        keep_together(work)
    offer(work, order[ORDER_SPLIT_PENALTY])
    if counters[OPTIONAL] == 0:
        partition(work[1], everything)
        choose_packages(work, everything, order[ORDER_SPLIT_PENALTY])
        if counters[CHOSEN_COUNT] <= order[ORDER_PACKAGES_MAX] or order[ORDER_PACKAGES_MAX] == 0:
            return counters[SCORE] < NEVER
    choose_within(work, everything, order[ORDER_SPLIT_PENALTY], order[ORDER_PACKAGES_MAX])
    return counters[SCORE] < NEVER


@inner
def write_packages(network: Network, question: Question, work: Work, answer: Answer) -> bool:
    """The chosen packages, in the order of their lowest lines, and the summary. False when they do not fit."""
    penalty = question[0][ORDER_SPLIT_PENALTY]
    plan, _, packages = answer
    subsets, small = work[1], work[3]
    count = small[SCALARS, CHOSEN_COUNT]
    if count > packages.shape[0]:
        return False
    for line in range(small[SCALARS, LINE_COUNT]):
        small[PACKAGE_BY_LINE, line] = -1
    cost = np.int64(0)
    for place in range(count):
        package = small[CHOSEN, place]
        value = np.int64(0)
        for line in range(small[SCALARS, LINE_COUNT]):
            if package >> line & 1:
                small[PACKAGE_BY_LINE, line] = place
                if question[0][ORDER_PRICE_WEIGHT] != 0:
                    value += work[0][VALUE + line, subsets[TAKER, package]]
        goods = (subsets[TAKER, package], subsets[GRAMS, package], subsets[UNITS, package], value)
        cost += write_package(network, question[0], work, packages[place], goods)
    plan[PLAN_STATUS] = STATUS_ROUTED
    plan[PLAN_PACKAGES] = count
    plan[PLAN_SPLIT] = penalty * max(count - 1, 0)
    plan[PLAN_COST] = cost + plan[PLAN_SPLIT]
    plan[PLAN_SCORE] = small[SCALARS, SCORE]
    plan[PLAN_EXACT] = 1
    return True


@inner
def write_legs(stock: Stock, question: Question, work: Work, answer: Answer) -> bool:
    """One leg a line that is served, in the order of the lines. False when they do not fit."""
    plan, legs, packages = answer
    small = work[3]
    count = 0
    for routed in range(small[SCALARS, LINE_COUNT]):
        line, package = small[LINE_OF, routed], small[PACKAGE_BY_LINE, routed]
        if package < 0:
            continue
        if count == legs.shape[0]:
            return False
        legs[count, LEG_LINE] = line
        legs[count, LEG_SLOT] = locate(stock, question[1][line, LINE_SKU], packages[package, PACKAGE_NODE])
        legs[count, LEG_UNITS] = question[1][line, LINE_UNITS]
        legs[count, LEG_PACKAGE] = package
        count += 1
    plan[PLAN_LEGS] = count
    return True


@kernel(ROUTES)
def route(stock: Stock, network: Network, question: Question, work: Work, answer: Answer) -> int:
    """Decide one order; every line that must be served is served in full or the order is STATUS_INFEASIBLE. Nothing but scratch and
    answer changes.

    ``question`` = (order int64[ORDER_WIDTH], lines int64[lines <= LINES_MAX, LINE_WIDTH]), each SKU in one line at
    most; lines of no units are left out. ``work`` = ``routing_work(nodes_max)``, one per thread. ``answer`` =
    ``routing_answer(legs_max)``: plan, legs ordered by line and node, packages. A plan that does not fit into
    ``answer`` is STATUS_INFEASIBLE.

    Candidates carry every flag of ORDER_NEEDS, serve the channel, have a zone (not 0) in which the service is offered, ship within the
    horizon, pass the order's own limits (``terms.is_left_out``), and are not excluded by name. An order whose plans might cost
    COST_MAX or more is STATUS_INFEASIBLE. Returns PLAN_STATUS. Raises ValueError when the scratch is too small for lines or nodes.
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
    if counters[WHOLE] != (np.int64(1) << counters[LINE_COUNT]) - 1:
        if order[ORDER_UNIT_SPLIT] != 0:
            return ask_splitter(work[3][SCALARS, SPLITTER], (stock, network, question, work, answer))
        if counters[OPTIONAL] == 0:
            return refuse(answer[0])
    if not settle(network, order, work):
        return refuse(answer[0])
    if write_packages(network, question, work, answer) and write_legs(stock, question, work, answer):
        return np.int64(STATUS_ROUTED)
    return refuse(answer[0])
