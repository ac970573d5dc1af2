"""What a candidate costs an order beside the carrier, at the order's weights; and which nodes its rule leaves out.

The plain order, with carrier and handling at 100 per cent and nothing else, never comes here.
"""

from typing import Final

import numpy as np

from engine.kernels.columns import (
    ATF,
    DEMAND,
    LINE_SKU,
    NODE_CAPACITY_PRICE,
    NODE_GROUPS,
    NODE_PACKAGE_COST,
    NODE_PERFORMANCE,
    NODE_UNIT_COST,
    ORDER_CAPACITY_WEIGHT,
    ORDER_CARRIER_WEIGHT,
    ORDER_DISTANCE_MAX,
    ORDER_DUE_DAY,
    ORDER_GROUPS_ANY,
    ORDER_GROUPS_NONE,
    ORDER_HANDLING_WEIGHT,
    ORDER_KEEP_UNITS,
    ORDER_LATE_COST,
    ORDER_LATE_DAYS_MAX,
    ORDER_LATE_WEIGHT,
    ORDER_PERFORMANCE_WEIGHT,
    ORDER_PRICE_WEIGHT,
    ORDER_REGION,
    ORDER_SERVICE,
    PENDING,
    PRICE,
    SKU_MARGIN,
)
from engine.kernels.compiled import inner
from engine.kernels.prices import VALUE_MAX, units_price
from engine.kernels.subsets import PER_CENT
from engine.kernels.workspace import PACK, UNIT, Question, Work
from engine.kernels.zones import NEVER_SHIPS, Integers, Network, Stock

PACK_MAX: Final = 1 << 49
"""Micros that a package never costs more than beside the carrier,"""
UNIT_MAX: Final = 1 << 42
"""and a unit beside its price: an order's sum stays below COST_MAX."""
LATE_DAYS_MAX: Final = 366
"""No package counts as later than this. One whose arrival nobody knows does: it cannot be shown to keep a promise, hence it is the worst
that there is, and later than any rule tolerates."""


@inner
def share(amount: int, weight: int) -> int:
    """``amount`` at a weight in per cent. The usual weights need no division, which would be most of the time."""
    if weight == PER_CENT:
        return amount
    return amount * weight // PER_CENT if weight != 0 else amount * 0


@inner
def is_plain(order: Integers) -> bool:
    """Whether the order asks for nothing but the carrier's and the nodes' costs as they are, from any node of its channel."""
    for field in range(ORDER_PRICE_WEIGHT, ORDER_LATE_WEIGHT):
        if order[field] != 0:
            return False
    restricted = order[ORDER_GROUPS_ANY] | order[ORDER_GROUPS_NONE] | order[ORDER_DISTANCE_MAX]
    timed = order[ORDER_DUE_DAY] | order[ORDER_KEEP_UNITS]
    weighed = order[ORDER_CARRIER_WEIGHT] == PER_CENT and order[ORDER_HANDLING_WEIGHT] == PER_CENT
    return weighed and restricted | timed == 0


@inner
def is_left_out(network: Network, order: Integers, node: int, zone: int) -> bool:
    """Whether the order's rule keeps it away from a node that could serve it: by group, by distance, or because it would be too late."""
    groups = network[0][NODE_GROUPS, node]
    if order[ORDER_GROUPS_ANY] != 0 and groups & order[ORDER_GROUPS_ANY] == 0:
        return True
    if groups & order[ORDER_GROUPS_NONE] != 0:
        return True
    if 0 < order[ORDER_DISTANCE_MAX] < network[4][order[ORDER_REGION], node]:
        return True
    return days_late(network, order, node, zone) > order[ORDER_LATE_DAYS_MAX]


@inner
def days_late(network: Network, order: Integers, node: int, zone: int) -> int:
    """Days after the promised one on which a package of the node arrives: LATE_DAYS_MAX at most, and where that is not known.

    0 when it is on time, or nothing was promised.
    """
    if order[ORDER_DUE_DAY] == 0:
        return np.int64(0)
    arrival = arrival_of(network, order[ORDER_SERVICE], node, zone)
    if arrival == 0:
        return np.int64(LATE_DAYS_MAX)
    return min(max(arrival - order[ORDER_DUE_DAY], np.int64(0)), np.int64(LATE_DAYS_MAX))


@inner
def arrival_of(network: Network, service: int, node: int, zone: int) -> int:
    """Day on which a package that is asked for now arrives; 0 when the node has no calendar, or the rate card does not tell its days on
    the road.
    """
    leaves, road = network[5][service, node], network[6][service, zone]
    return leaves + road if 0 < leaves < NEVER_SHIPS and road < NEVER_SHIPS else np.int64(0)


@inner
def late_term(network: Network, order: Integers, node: int, zone: int) -> int:
    """Weighted micros a package for the days that it is late."""
    late = share(order[ORDER_LATE_COST], order[ORDER_LATE_WEIGHT]) * days_late(network, order, node, zone)
    return min(late, PACK_MAX >> 2)


@inner
def other_terms(network: Network, order: Integers, node: int, zone: int) -> int:
    """Weighted micros a package for capacity and lateness."""
    capacity = share(network[0][NODE_CAPACITY_PRICE, node], order[ORDER_CAPACITY_WEIGHT])
    return late_term(network, order, node, zone) + min(capacity, PACK_MAX >> 2)


@inner
def note_terms(network: Network, order: Integers, work: Work, node: int, zone: int) -> None:
    """Write PACK and UNIT of a candidate."""
    handled = share(network[0][NODE_PACKAGE_COST, node], order[ORDER_HANDLING_WEIGHT])
    work[0][PACK, node] = min(handled + other_terms(network, order, node, zone), PACK_MAX)
    handled = share(network[0][NODE_UNIT_COST, node], order[ORDER_HANDLING_WEIGHT])
    work[0][UNIT, node] = min(handled + performance_term(network, order, node), UNIT_MAX)


@inner
def performance_term(network: Network, order: Integers, node: int) -> int:
    """Weighted micros a unit for a node that works badly."""
    return share(network[0][NODE_PERFORMANCE, node], order[ORDER_PERFORMANCE_WEIGHT])


@inner
def value_of(stock: Stock, question: Question, line: int, at: tuple[int, int]) -> int:
    """Weighted micros that units of the question's line are worth; ``at`` = (slot, units)."""
    order, lines = question
    cells, slot = stock[0], at[0]
    margin = stock[1][SKU_MARGIN, lines[line, LINE_SKU]]
    worth = units_price(
        (cells[PRICE, slot], cells[DEMAND, slot], cells[ATF, slot] - cells[PENDING, slot]), margin, at[1]
    )
    return min(share(worth, order[ORDER_PRICE_WEIGHT]), np.int64(VALUE_MAX))
