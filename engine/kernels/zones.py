"""Who may serve a question, what a package costs to carry, and how many units that leaves on offer.

Availability and routing ask the same two functions here, ``lane`` and ``excludes``, so that what availability counts
is exactly what the router may use.

The tuples that travel between kernels:

* ``stock``: ``cells`` int64[CELL_ROWS, slots], ``skus`` int64[SKU_ROWS, skus], ``index`` int64[positions]. The free
  units of a slot are ``cells[ATF, slot] - cells[PENDING, slot]``.
* ``network``: ``nodes`` int64[NODE_ROWS, nodes], ``zones`` uint8[regions, nodes], ``rates`` int64[services, zones,
  steps], ``breaks`` int64[services, steps], ``distances`` uint16[regions, nodes] in kilometres, ``ship_days`` int64[services, nodes]
  (day number on which a package that is asked for now leaves the node, NEVER_SHIPS: not within the horizon), ``transit``
  int64[services, zones] in days.

All arrays are C-contiguous and writable; SKU, channel, region and service indexes are the caller's to check.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from engine.kernels.columns import (
    ATF,
    COST_MAX,
    INDEX_COUNT,
    INDEX_START,
    NODE_CHANNELS,
    NODE_FLAGS,
    ORDER_CHANNEL,
    ORDER_EXCLUDED,
    ORDER_EXCLUDED_COUNT,
    ORDER_NEEDS,
    ORDER_REGION,
    ORDER_SERVICE,
    PENDING,
)
from engine.kernels.compiled import inner, kernel

Integers: TypeAlias = NDArray[np.int64]
Stock: TypeAlias = tuple[Integers, Integers, Integers]
Network: TypeAlias = tuple[Integers, NDArray[np.uint8], Integers, Integers, NDArray[np.uint16], Integers, Integers]

VECTOR: Final = types.int64[::1]
MATRIX: Final = types.int64[:, ::1]
CUBE: Final = types.int64[:, :, ::1]
STOCK: Final = types.Tuple([MATRIX, MATRIX, VECTOR])
NETWORK: Final = types.Tuple([MATRIX, types.uint8[:, ::1], CUBE, MATRIX, types.uint16[:, ::1], MATRIX, MATRIX])

PADDING: Final = np.iinfo(np.int64).max
"""A weight break of this value fills up the row of a service with fewer steps than others; its rate is never read."""
NEVER_SHIPS: Final = 1 << 40
"""A day that never comes."""
SLOT_BITS: Final = 32
SLOT_MASK: Final = (1 << SLOT_BITS) - 1


@kernel(types.int64(CUBE, MATRIX, types.int64, types.int64, types.int64))
def carrier_cost(rates: Integers, breaks: Integers, service: int, zone: int, grams: int) -> int:
    """Micros to carry one package of ``grams`` by ``service`` into ``zone``; -1 when the service has no rate there.

    A package takes the first offered step (rate >= 0) whose break is not below its weight. Beyond the heaviest offered
    break it is charged as parcels: as many of that break as go into the weight, and one of what remains. Never more than COST_MAX.
    """
    heaviest = np.int64(-1)
    for step in range(breaks.shape[1]):
        bound = breaks[service, step]
        if bound == PADDING:
            break
        if bound > 0 and rates[service, zone, step] >= 0:
            if grams <= bound:
                return rates[service, zone, step]
            heaviest = step
    if heaviest < 0:
        return np.int64(-1)
    full = grams // breaks[service, heaviest]
    rest = grams - full * breaks[service, heaviest]
    if full > COST_MAX // max(rates[service, zone, heaviest], 1):
        return np.int64(COST_MAX)
    cost = full * rates[service, zone, heaviest]
    if rest > 0:
        for step in range(heaviest + 1):
            if rest <= breaks[service, step] and rates[service, zone, step] >= 0:
                return cost + rates[service, zone, step]
    return cost


@inner
def offered(rates: Integers, breaks: Integers, service: int, zone: int) -> bool:
    """Whether ``service`` carries anything at all into ``zone``; what it carries it carries at any weight."""
    for step in range(breaks.shape[1]):
        if 0 < breaks[service, step] < PADDING and rates[service, zone, step] >= 0:
            return True
    return False


@inner
def serves(flags: int, channels: int, needs: int, channel: int) -> bool:
    """Whether a node with these NODE_FLAGS and NODE_CHANNELS may serve a question at all. Scalars only: in a scan the
    reference counts of arrays handed to a function would cost more than the work.
    """
    return flags & needs == needs and (channels >> channel) & 1 == 1


@inner
def lane(network: Network, order: Integers, node: int) -> int:
    """Zone from ``node`` to the region of ``order``; 0 when the node may not serve it. Exclusions are ``excludes``."""
    nodes, zones, rates = network[0], network[1], network[2]
    zone = np.int64(zones[order[ORDER_REGION], node])
    if zone >= rates.shape[1]:
        zone = np.int64(0)
    if not serves(nodes[NODE_FLAGS, node], nodes[NODE_CHANNELS, node], order[ORDER_NEEDS], order[ORDER_CHANNEL]):
        zone = np.int64(0)
    return zone


@inner
def excludes(order: Integers, node: int) -> bool:
    """Whether ``order`` rules ``node`` out by name."""
    for position in range(ORDER_EXCLUDED, ORDER_EXCLUDED + order[ORDER_EXCLUDED_COUNT]):
        if order[position] == node:
            return True
    return False


@inner
def locate(stock: Stock, sku: int, node: int) -> int:
    """Slot of ``sku`` at ``node``, which must hold it."""
    _, skus, index = stock
    low = skus[INDEX_START, sku]
    high = low + skus[INDEX_COUNT, sku]
    while high - low > 1:
        middle = (low + high) >> 1
        if index[middle] >> SLOT_BITS <= node:
            low = middle
        else:
            high = middle
    return index[low] & SLOT_MASK


@kernel(types.int64(STOCK, MATRIX, types.int64, types.int64, types.int64))
def ats(stock: Stock, nodes: Integers, sku: int, channel: int, needs: int) -> int:
    """Units of ``sku`` on offer to ``channel`` over all nodes that carry every flag of ``needs``, wherever the goods
    should go.

    Each node counts from zero up: a negative one never hides another's stock. Thresholds are the caller's.
    """
    cells, skus, index = stock
    start = skus[INDEX_START, sku]
    total = np.int64(0)
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot = index[position] & SLOT_MASK
        free = cells[ATF, slot] - cells[PENDING, slot]
        if free > 0:
            node = index[position] >> SLOT_BITS
            if nodes[NODE_FLAGS, node] & needs == needs and (nodes[NODE_CHANNELS, node] >> channel) & 1 == 1:
                total += free
    return total


@inner
def within_reach(stock: Stock, network: Network, order: Integers, sku: int) -> tuple[int, int]:
    """Free units of ``sku`` over exactly the nodes ``route`` may use for ``order``, and the most at any one of them.

    ``lane``, ``offered`` and ``excludes`` written out: called for every cell they would cost ten times the rest.
    """
    cells, skus, index = stock
    rates, breaks = network[2], network[3]
    flags, channels, zones = network[0][NODE_FLAGS], network[0][NODE_CHANNELS], network[1][order[ORDER_REGION]]
    atf, pending = cells[ATF], cells[PENDING]
    needs, channel, service = order[ORDER_NEEDS], order[ORDER_CHANNEL], order[ORDER_SERVICE]
    excluded_end = ORDER_EXCLUDED + order[ORDER_EXCLUDED_COUNT]
    start = skus[INDEX_START, sku]
    total, most = np.int64(0), np.int64(0)
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot, node = index[position] & SLOT_MASK, index[position] >> SLOT_BITS
        free = atf[slot] - pending[slot]
        if free <= 0 or not serves(flags[node], channels[node], needs, channel):
            continue
        zone = np.int64(zones[node])
        reached = False
        if 0 < zone < rates.shape[1]:
            for step in range(breaks.shape[1]):
                if 0 < breaks[service, step] < PADDING and rates[service, zone, step] >= 0:
                    reached = True
                    break
        for excluded in range(ORDER_EXCLUDED, excluded_end):
            if order[excluded] == node:
                reached = False
        if reached:
            total += free
            most = max(most, free)
    return total, most


@kernel(types.int64(STOCK, NETWORK, VECTOR, types.int64))
def ats_for(stock: Stock, network: Network, order: Integers, sku: int) -> int:
    """Units of ``sku`` at exactly the nodes ``route`` may use for ``order``: region, service and exclusions included.

    ``route`` serves a line of up to this many units whenever ``order`` allows splitting by units.
    """
    return within_reach(stock, network, order, sku)[0]


@kernel(types.int64(STOCK, NETWORK, VECTOR, types.int64))
def most_for(stock: Stock, network: Network, order: Integers, sku: int) -> int:
    """The most units of ``sku`` at any one node ``route`` may use: what it serves of a line without splitting by units."""
    return within_reach(stock, network, order, sku)[1]
