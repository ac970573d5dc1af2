"""Where goods go back to: the node where carrying, handling and what the units will be worth there cost least together.

One cost model with routing: the weights of the channel's policy, and the prices of ``kernels.prices``. A unit that comes back counts what
the next unit to leave would count once it is there, V(x + 1) - V(x): the greater of the price that planning gave the cell, and the margin
x P(walk-ins want one more than there are). Prices count only while a plan is complete and not too old, as for routing.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels.prices import MARGIN_MAX, VALUE_MAX, tail_of
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers
from engine.pool.pool import Pool

RETURN_NEEDS = c.FLAG_OPEN | c.FLAG_RETURNS
UNITS_LOOKED_AT = 256
"""Units of a line that are valued one by one; whatever comes back beyond them counts as much as the last of these."""
_PER_CENT = 100


class Journey(NamedTuple):
    """How goods travel: to the node where they are brought (``node_index`` −1: by parcel), or from a region by a service."""

    node_index: int
    region_index: int = -1
    service_index: int = -1


Goods = Sequence[tuple[int, int]]
"""(SKU, units) a line."""


def choose_node(pool: Pool, journey: Journey, channel: int, goods: Goods) -> tuple[int, int]:
    """Node and what the way there costs in money: carrier (zone, weight) + handling of each unit; −1: there is none.

    The node is the one that the buyer chose, or the one with the least carrier + handling − worth at the policy's weights, ties to the
    lower node.
    """
    network = pool.network
    units = sum(count for _, count in goods)
    if journey.node_index >= 0:
        return journey.node_index, min(units * network.nodes[journey.node_index].unit_cost_micros, c.COST_MAX)
    nodes = network.candidates(channel, RETURN_NEEDS)
    grams = sum(network.skus[sku].weight_grams * count for sku, count in goods)
    zones = range(network.rates.shape[1])
    by_zone = np.array([network.carrier_micros(journey.service_index, zone, grams) for zone in zones])
    carrier = by_zone[network.zones[journey.region_index, nodes]]
    nodes, carrier = nodes[carrier >= 0], carrier[carrier >= 0]
    if not nodes.size:
        return -1, 0
    handling = np.minimum(network.node_rows[c.NODE_UNIT_COST, nodes], c.COST_MAX // units) * units
    weights = network.policy_of(channel).weights
    score = _weighted(carrier, weights.carrier) + _weighted(handling, weights.handling)
    if weights.price and network.prices_count:
        for sku, count in goods:
            score -= _weighted(worth(pool, sku, count, nodes), weights.price)
    best = int(np.argmin(score))
    return int(nodes[best]), int(carrier[best] + handling[best])


def _weighted(micros: Integers, per_cent: int) -> Integers:
    """Micros at a weight, taken apart so that the largest cost at the largest weight does not overflow."""
    return micros // _PER_CENT * per_cent + micros % _PER_CENT * per_cent // _PER_CENT


def worth(pool: Pool, sku_index: int, units: int, nodes: Integers) -> Integers:
    """Micros that so many more units of a SKU are worth at each of the nodes (ascending), once they and all that is on its way are there.

    Nothing where the node has no cell of it: planning knows of no demand there.
    """
    cells, skus, index = pool.stock.arrays
    first = skus[c.INDEX_START, sku_index]
    entries = index[first : first + skus[c.INDEX_COUNT, sku_index]]
    _, at, found = np.intersect1d(nodes, entries >> SLOT_BITS, assume_unique=True, return_indices=True)
    rows = cells[:, entries[found] & SLOT_MASK]
    price, demand = rows[c.PRICE], rows[c.DEMAND]
    margin = min(int(skus[c.SKU_MARGIN, sku_index]), MARGIN_MAX)
    left = rows[c.ATF] + rows[c.INCOMING] + 1
    total, each = np.zeros(len(at), np.int64), price
    for unit in range(min(units, UNITS_LOOKED_AT)):
        if margin > 0:
            each = np.maximum(price, np.where(demand > 0, margin * tail_of(demand, left + unit) >> 16, 0))
        total = np.minimum(total + np.minimum(each, VALUE_MAX), VALUE_MAX)
    beyond = max(units - UNITS_LOOKED_AT, 0)
    total = np.minimum(total + np.minimum(each, VALUE_MAX // max(beyond, 1)) * beyond, VALUE_MAX)
    values = np.zeros(len(nodes), np.int64)
    values[at] = total
    return values
