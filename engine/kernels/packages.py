"""One package of a plan, written down with every term that it adds."""

import numpy as np

from engine.kernels.columns import (
    LINES_MAX,
    NODE_PACKAGE_COST,
    NODE_UNIT_COST,
    ORDER_SERVICE,
    PACKAGE_ARRIVAL_DAY,
    PACKAGE_CARRIER,
    PACKAGE_GRAMS,
    PACKAGE_HANDLING,
    PACKAGE_LATE,
    PACKAGE_NODE,
    PACKAGE_OTHER,
    PACKAGE_PRICE,
    PACKAGE_SHIP_DAY,
    PACKAGE_ZONE,
    PLAN_STATUS,
    STATUS_INFEASIBLE,
)
from engine.kernels.compiled import inner
from engine.kernels.terms import arrival_of, late_term, other_terms, performance_term
from engine.kernels.workspace import IS_PLAIN, SCALARS, SEEN, ZONES_MAX, Work
from engine.kernels.zones import Integers, Network, carrier_cost


@inner
def zone_of(work: Work, node: int) -> int:
    """Zone of a node that was admitted in this call."""
    return (work[0][SEEN, node] >> LINES_MAX) & (ZONES_MAX - 1)


@inner
def write_package(
    network: Network, order: Integers, work: Work, package: Integers, goods: tuple[int, int, int, int]
) -> int:
    """Write the row ``package`` for ``goods`` = (node, grams, units, their prices at the order's weight). Returns its money: carrier and
    handling, as they are.
    """
    node, grams, units, value = goods
    service, zone = order[ORDER_SERVICE], zone_of(work, node)
    carried = carrier_cost(network[2], network[3], service, zone, grams)
    handling = network[0][NODE_PACKAGE_COST, node] + network[0][NODE_UNIT_COST, node] * units
    package[PACKAGE_NODE] = node
    package[PACKAGE_ZONE] = zone
    package[PACKAGE_GRAMS] = grams
    package[PACKAGE_CARRIER] = carried
    package[PACKAGE_HANDLING] = handling
    package[PACKAGE_PRICE] = value
    package[PACKAGE_OTHER] = np.int64(0)
    package[PACKAGE_LATE] = np.int64(0)
    if work[3][SCALARS, IS_PLAIN] == 0:
        package[PACKAGE_OTHER] = (
            other_terms(network, order, node, zone) + performance_term(network, order, node) * units
        )
        package[PACKAGE_LATE] = late_term(network, order, node, zone)
    package[PACKAGE_SHIP_DAY] = network[5][service, node]
    package[PACKAGE_ARRIVAL_DAY] = arrival_of(network, service, node, zone)
    return carried + handling


@inner
def refuse(plan: Integers) -> int:
    """The answer to a question that has none."""
    for field in range(plan.shape[0]):
        plan[field] = 0
    plan[PLAN_STATUS] = STATUS_INFEASIBLE
    return np.int64(STATUS_INFEASIBLE)
