"""How many units of a SKU are on offer: what availability counts is exactly what the router may use."""

import numpy as np
from numba import types

from engine.kernels.columns import (
    ATF,
    INDEX_COUNT,
    INDEX_START,
    NODE_CHANNELS,
    NODE_FLAGS,
    ORDER_CHANNEL,
    ORDER_EXCLUDED,
    ORDER_EXCLUDED_COUNT,
    ORDER_KEEP_UNITS,
    ORDER_NEEDS,
    ORDER_REGION,
    ORDER_SERVICE,
    PENDING,
)
from engine.kernels.compiled import inner, kernel
from engine.kernels.terms import is_left_out, is_plain
from engine.kernels.zones import (
    MATRIX,
    NETWORK,
    NEVER_SHIPS,
    PADDING,
    SLOT_BITS,
    SLOT_MASK,
    STOCK,
    VECTOR,
    Integers,
    Network,
    Stock,
    serves,
)


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
    """Free units of ``sku`` over exactly the nodes ``route`` may use for ``order``, and the most at any one of them."""
    cells, skus, index = stock
    rates, breaks = network[2], network[3]
    flags, channels, zones = network[0][NODE_FLAGS], network[0][NODE_CHANNELS], network[1][order[ORDER_REGION]]
    atf, pending = cells[ATF], cells[PENDING]
    needs, channel, service = order[ORDER_NEEDS], order[ORDER_CHANNEL], order[ORDER_SERVICE]
    ship_days, kept, plain = network[5][service], order[ORDER_KEEP_UNITS], is_plain(order)
    excluded_end = ORDER_EXCLUDED + order[ORDER_EXCLUDED_COUNT]
    start = skus[INDEX_START, sku]
    total, most = np.int64(0), np.int64(0)
    for position in range(start, start + skus[INDEX_COUNT, sku]):
        slot, node = index[position] & SLOT_MASK, index[position] >> SLOT_BITS
        free = atf[slot] - pending[slot] - kept
        if free <= 0 or not serves(flags[node], channels[node], needs, channel) or ship_days[node] >= NEVER_SHIPS:
            continue
        zone = np.int64(zones[node])
        reached = False
        if 0 < zone < rates.shape[1]:
            for step in range(breaks.shape[1]):
                if 0 < breaks[service, step] < PADDING and rates[service, zone, step] >= 0:
                    reached = True
                    break
        if reached and not plain:
            reached = not is_left_out(network, order, node, zone)
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
