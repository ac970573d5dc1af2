"""What an order cannot cost less than, in time that does not depend on how many plans it has; and stock as it must be for a line to be split.

All costs are at the PRICE that the stock holds now.
"""

import numpy as np

from engine.kernels.columns import (
    ATF,
    INDEX_COUNT,
    INDEX_START,
    LINE_GRAMS,
    LINE_GROUP,
    LINE_SKU,
    LINE_UNITS,
    LINE_UNSERVED,
    NODE_PACKAGE_COST,
    NODE_UNIT_COST,
    ORDER_CARRIER_WEIGHT,
    ORDER_HANDLING_WEIGHT,
    ORDER_SERVICE,
    ORDER_SPLIT_PENALTY,
    ORDER_UNIT_SPLIT,
    PENDING,
    PRICE,
)
from engine.kernels.compiled import inner
from engine.kernels.terms import PER_CENT
from engine.kernels.workspace import NEVER, Question
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, Network, Stock


@inner
def clip(stock: Stock, sku: int, most: int) -> int:
    """No cell of ``sku`` has more than ``most`` units free (PENDING was zero); how many are left in all. Below 0: everything is free again."""
    cells, skus, index = stock
    left = np.int64(0)
    for position in range(skus[INDEX_START, sku], skus[INDEX_START, sku] + skus[INDEX_COUNT, sku]):
        slot = index[position] & SLOT_MASK
        free = max(cells[ATF, slot], 0)
        cells[PENDING, slot] = free - most if 0 <= most < free else 0
        left += free - cells[PENDING, slot]
    return left


@inner
def unit_floor(stock: Stock, network: Network, order: Integers, sku: int) -> int:
    """The least that a unit of ``sku`` costs at any node that has one, price + dual and handling; NEVER when there is none."""
    cells, skus, index = stock
    least = np.int64(NEVER)
    for position in range(skus[INDEX_START, sku], skus[INDEX_START, sku] + skus[INDEX_COUNT, sku]):
        slot, node = index[position] & SLOT_MASK, index[position] >> SLOT_BITS
        if cells[ATF, slot] > 0:
            handling = network[0][NODE_UNIT_COST, node] * order[ORDER_HANDLING_WEIGHT] // PER_CENT
            least = min(least, cells[PRICE, slot] + handling)
    return least


@inner
def plain_floor(stock: Stock, network: Network, question: Question) -> int:
    """Below the score of any plan of the order: every line unserved, or at the least that its units cost anywhere, carriage free."""
    order, lines = question
    floor = np.int64(0)
    for line in range(lines.shape[0]):
        units = lines[line, LINE_UNITS]
        if units > 0:
            each = unit_floor(stock, network, order, lines[line, LINE_SKU])
            served = np.int64(NEVER) if each > NEVER // units else each * units
            unserved = lines[line, LINE_UNSERVED]
            floor = min(floor + (min(served, unserved) if unserved >= 0 else served), np.int64(NEVER))
    return floor


@inner
def splittable(question: Question) -> int:
    """Lines that may be split by units although one node could serve them, as a bit mask."""
    order, lines = question
    mask = np.int64(0)
    if order[ORDER_UNIT_SPLIT] != 0:
        for line in range(lines.shape[0]):
            if lines[line, LINE_UNITS] > 1 and lines[line, LINE_GROUP] == 0:
                mask |= np.int64(1) << line
    return mask


@inner
def package_floor(network: Network, order: Integers, grams: int) -> int:
    """The least that a package of ``grams`` or more costs, beside its units, from any node to anywhere."""
    nodes, rates, breaks = network[0], network[2], network[3]
    service, carrier, pack = order[ORDER_SERVICE], np.int64(NEVER), np.int64(NEVER)
    for zone in range(1, rates.shape[1]):
        for step in range(rates.shape[2]):
            if breaks[service, step] >= grams and rates[service, zone, step] >= 0:
                carrier = min(carrier, rates[service, zone, step])
    for node in range(nodes.shape[1]):
        pack = min(pack, nodes[NODE_PACKAGE_COST, node])
    if carrier == NEVER:  # heavier than the heaviest step: it goes in several parcels
        carrier = np.int64(0)
    return carrier * order[ORDER_CARRIER_WEIGHT] // PER_CENT + pack * order[ORDER_HANDLING_WEIGHT] // PER_CENT


@inner
def split_floor(stock: Stock, network: Network, question: Question, mask: int) -> int:
    """Below the score of any plan in which a line of ``mask`` is split: it has two packages at least."""
    order, lines = question
    grams = np.int64(NEVER)
    for line in range(lines.shape[0]):
        if mask >> line & 1:
            grams = min(grams, lines[line, LINE_GRAMS])
    packages = 2 * package_floor(network, order, grams) + order[ORDER_SPLIT_PENALTY]
    return min(plain_floor(stock, network, question) + packages, np.int64(NEVER))


@inner
def force_split(stock: Stock, lines: Integers, forced: int) -> bool:
    """Take from every node what it would need to serve one of the lines ``forced`` whole. False when one of them cannot be split."""
    possible = True
    for line in range(lines.shape[0]):
        if forced >> line & 1:
            possible &= clip(stock, lines[line, LINE_SKU], lines[line, LINE_UNITS] - 1) >= lines[line, LINE_UNITS]
    return possible


@inner
def free_again(stock: Stock, lines: Integers, forced: int) -> None:
    """Undo ``force_split``."""
    for line in range(lines.shape[0]):
        if forced >> line & 1:
            clip(stock, lines[line, LINE_SKU], -1)
