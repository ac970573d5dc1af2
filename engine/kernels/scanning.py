"""Who may serve an order, and which nodes could send which of its lines: one pass over the cells of each SKU.

What it leaves behind is in the workspace: SEEN by node, COST and SENDER of every single line, and the list MULTI of the nodes that can
serve two lines or more.
"""

import numpy as np

from engine.kernels.columns import (
    ATF,
    DEMAND,
    INDEX_COUNT,
    INDEX_START,
    LINE_SKU,
    LINES_MAX,
    NODE_CHANNELS,
    NODE_FLAGS,
    NODE_PACKAGE_COST,
    NODE_UNIT_COST,
    ORDER_CHANNEL,
    ORDER_KEEP_UNITS,
    ORDER_NEEDS,
    ORDER_PRICE_WEIGHT,
    ORDER_REGION,
    ORDER_SERVICE,
    PENDING,
    PRICE,
    SKU_MARGIN,
)
from engine.kernels.compiled import inlined, inner
from engine.kernels.prices import VALUE_MAX, units_price
from engine.kernels.subsets import price_zone
from engine.kernels.terms import is_left_out, note_terms, share
from engine.kernels.workspace import (
    COST,
    EPOCH,
    EPOCH_SHIFT,
    IS_PLAIN,
    LINE_COUNT,
    LINE_OF,
    LINES_MASK,
    MULTI,
    MULTI_COUNT,
    NEVER,
    NODE_MASK,
    PACK,
    PRICE_MASK,
    SCALARS,
    SEEN,
    SENDER,
    STOCKED,
    STOCKED_SLOT,
    UNIT,
    UNITS,
    VALUE,
    WHOLE,
    ZONE_MARK,
    ZONES_MAX,
    Question,
    Work,
)
from engine.kernels.zones import NEVER_SHIPS, SLOT_BITS, SLOT_MASK, Integers, Network, Stock, serves


@inner
def entries(stock: Stock, question: Question) -> int:
    """Cells that the scans will read."""
    skus, lines = stock[1], question[1]
    total = 0
    for line in range(lines.shape[0]):
        total += skus[INDEX_COUNT, lines[line, LINE_SKU]]
    return total


@inner
def admit_all(network: Network, order: Integers, work: Work) -> None:
    """Look at every node that this call has not met yet: is it a candidate, and in which zone? Prices zones on the
    way.
    """
    rates, breaks, ship_days = network[2], network[3], network[5][order[ORDER_SERVICE]]
    flags, channels, zones = network[0][NODE_FLAGS], network[0][NODE_CHANNELS], network[1][order[ORDER_REGION]]
    needs, channel = order[ORDER_NEEDS], order[ORDER_CHANNEL]
    seen, zone_mark = work[0][SEEN], work[3][ZONE_MARK]
    epoch = work[3][SCALARS, EPOCH]
    plain = work[3][SCALARS, IS_PLAIN] == 1
    for node in range(flags.shape[0]):
        if seen[node] >> EPOCH_SHIFT == epoch:
            continue
        may = serves(flags[node], channels[node], needs, channel) and ship_days[node] < NEVER_SHIPS
        zone = np.int64(zones[node]) if may else np.int64(0)
        if zone_mark[zone] >> 1 != epoch:
            price_zone(rates, breaks, work, order, zone)
        zone *= zone_mark[zone] & 1
        if not plain and zone != 0:
            zone = heeded(network, order, work, node, zone)
        seen[node] = epoch << EPOCH_SHIFT | zone << LINES_MAX


@inner
def admit_listed(network: Network, order: Integers, work: Work, count: int) -> None:
    """The same for the first ``count`` nodes of STOCKED only: better when few nodes hold the order's SKUs."""
    rates, breaks, ship_days = network[2], network[3], network[5][order[ORDER_SERVICE]]
    flags, channels, zones = network[0][NODE_FLAGS], network[0][NODE_CHANNELS], network[1][order[ORDER_REGION]]
    needs, channel = order[ORDER_NEEDS], order[ORDER_CHANNEL]
    nodes, seen, zone_mark = work[0][STOCKED], work[0][SEEN], work[3][ZONE_MARK]
    epoch = work[3][SCALARS, EPOCH]
    plain = work[3][SCALARS, IS_PLAIN] == 1
    for position in range(count):
        node = nodes[position] & NODE_MASK
        if seen[node] >> EPOCH_SHIFT == epoch:
            continue
        may = serves(flags[node], channels[node], needs, channel) and ship_days[node] < NEVER_SHIPS
        zone = np.int64(zones[node]) if may else np.int64(0)
        if zone_mark[zone] >> 1 != epoch:
            price_zone(rates, breaks, work, order, zone)
        zone *= zone_mark[zone] & 1
        if not plain and zone != 0:
            zone = heeded(network, order, work, node, zone)
        seen[node] = epoch << EPOCH_SHIFT | zone << LINES_MAX


@inner
def heeded(network: Network, order: Integers, work: Work, node: int, zone: int) -> int:
    """The zone of a node after a look at the order's rule: 0 when it leaves the node out; else its terms are noted."""
    if is_left_out(network, order, node, zone):
        return np.int64(0)
    note_terms(network, order, work, node, zone)
    return zone


@inner
def note_plain_terms(network: Network, work: Work) -> None:
    """PACK and UNIT for a plain order, where they are wanted all the same."""
    for node in range(network[0].shape[1]):
        work[0][PACK, node] = network[0][NODE_PACKAGE_COST, node]
        work[0][UNIT, node] = network[0][NODE_UNIT_COST, node]


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
def stocked_slots(stock: Stock, sku: int, units: int, slots: Integers) -> None:
    """List the slots of the nodes that ``stocked`` lists."""
    cells, skus, index = stock
    atf, pending = cells[ATF], cells[PENDING]
    start = skus[INDEX_START, sku]
    count = np.int64(0)
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot = index[position] & SLOT_MASK
        slots[count & NODE_MASK] = slot
        count += np.int64(atf[slot] - pending[slot] >= units)


@inlined
def scan(stock: Stock, network: Network, question: Question, work: Work) -> None:
    """Candidates for each whole line: the cheapest as a package of its own, and those that serve another line too."""
    order, lines = question
    small = work[3]
    plain, priced = small[SCALARS, IS_PLAIN] == 1, order[ORDER_PRICE_WEIGHT] != 0
    keep = order[ORDER_KEEP_UNITS]
    small[SCALARS, MULTI_COUNT] = 0
    all_admitted = entries(stock, question) >= network[0].shape[1]
    if all_admitted:
        admit_all(network, order, work)
    for line in range(small[SCALARS, LINE_COUNT]):
        sku, units = lines[small[LINE_OF, line], LINE_SKU], work[1][UNITS, np.int64(1) << line]
        found = stocked(stock, sku, units + keep, work[0][STOCKED])
        if not all_admitted:
            admit_listed(network, order, work, found)
        if priced:
            stocked_slots(stock, sku, units + keep, work[0][STOCKED_SLOT])
            value_line(stock, question, work, (line, found))
        if plain:
            look(network[0][NODE_PACKAGE_COST], network[0][NODE_UNIT_COST], work, (line, found, 0))
        else:
            look(work[0][PACK], work[0][UNIT], work, (line, found, np.int64(priced)))


@inner
def value_line(stock: Stock, question: Question, work: Work, stretch: tuple[int, int]) -> None:
    """Write VALUE of the line for the first nodes of STOCKED: ``stretch`` = (line, nodes). It is ``value_of`` written out."""
    line, found = stretch
    nodes, slots, values = work[0][STOCKED], work[0][STOCKED_SLOT], work[0][VALUE + line]
    atf, pending, prices, demands = stock[0][ATF], stock[0][PENDING], stock[0][PRICE], stock[0][DEMAND]
    margin = stock[1][SKU_MARGIN, question[1][work[3][LINE_OF, line], LINE_SKU]]
    units, weight = work[1][UNITS, np.int64(1) << line], question[0][ORDER_PRICE_WEIGHT]
    for position in range(found):
        slot = slots[position]
        worth = units_price((prices[slot], demands[slot], atf[slot] - pending[slot]), margin, units)
        values[nodes[position] & NODE_MASK] = min(share(worth, weight), np.int64(VALUE_MAX))


@inner
def look(package_cost: Integers, unit_cost: Integers, work: Work, stretch: tuple[int, int, int]) -> None:
    """Go through the first nodes of STOCKED for a line: ``stretch`` = (line, nodes, 1 where prices count)."""
    line, found, priced = stretch
    nodes, seen, multi = work[0][STOCKED], work[0][SEEN], work[0][MULTI]
    subsets, carriage, small = work[1], work[2][0], work[3]
    values = work[0][VALUE + line]
    count, multi_count = small[SCALARS, LINE_COUNT], small[SCALARS, MULTI_COUNT]
    bit = np.int64(1) << line
    units = subsets[UNITS, bit]
    best, sender = np.int64(NEVER), np.int64(-1)
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
        if priced != 0:
            cost += values[node]
        if cost < best:
            best = cost
            sender = node
    subsets[COST, bit] = best
    subsets[SENDER, bit] = sender
    if best < NEVER:
        small[SCALARS, WHOLE] |= bit
    small[SCALARS, MULTI_COUNT] = multi_count
