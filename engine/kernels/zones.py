"""The network as kernels see it: who may serve a question, and what a package costs to carry.

The tuples that travel between kernels:

* ``stock``: ``cells`` int64[CELL_ROWS, slots], ``skus`` int64[SKU_ROWS, skus], ``index`` int64[positions]. The free
  units of a slot are ``cells[ATF, slot] - cells[PENDING, slot]``.
* ``network``: ``nodes`` int64[NODE_ROWS, nodes], ``zones`` uint8[regions, nodes], ``rates`` int64[services, zones,
  steps], ``breaks`` int64[services, steps], ``distances`` uint16[regions, nodes] in kilometres, ``ship_days`` int64[services, nodes]
  (day number on which a package that is asked for now leaves the node, NEVER_SHIPS: not within the horizon), ``transit``
  int64[services, zones] in days.

* ``state``: all of the pool's arrays; see ``effects``.

All arrays are C-contiguous and writable; SKU, channel, region and service indexes are the caller's to check.
"""

from typing import Final, TypeAlias

import numpy as np
from numba import types
from numpy.typing import NDArray

from engine.kernels.columns import (
    COST_MAX,
    INDEX_COUNT,
    INDEX_START,
)
from engine.kernels.compiled import inner, kernel

Integers: TypeAlias = NDArray[np.int64]
Stock: TypeAlias = tuple[Integers, Integers, Integers]
Network: TypeAlias = tuple[Integers, NDArray[np.uint8], Integers, Integers, NDArray[np.uint16], Integers, Integers]
State: TypeAlias = tuple[
    Integers, Integers, Integers, Integers, Integers, Integers, Integers, Integers, Integers, Integers
]

Bytes: TypeAlias = NDArray[np.uint8]

VECTOR: Final = types.int64[::1]
BYTES: Final = types.uint8[::1]
BYTES_READ: Final = types.Array(types.uint8, 1, "C", readonly=True)
MATRIX: Final = types.int64[:, ::1]
CUBE: Final = types.int64[:, :, ::1]
STOCK: Final = types.Tuple([MATRIX, MATRIX, VECTOR])
NETWORK: Final = types.Tuple([MATRIX, types.uint8[:, ::1], CUBE, MATRIX, types.uint16[:, ::1], MATRIX, MATRIX])
STATE: Final = types.Tuple([MATRIX, MATRIX, VECTOR, MATRIX, MATRIX, MATRIX, MATRIX, MATRIX, VECTOR, MATRIX])

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
def serves(flags: int, channels: int, needs: int, channel: int) -> bool:
    """Whether a node with these NODE_FLAGS and NODE_CHANNELS may serve a question at all. Scalars only: in a scan the
    reference counts of arrays handed to a function would cost more than the work.
    """
    return flags & needs == needs and (channels >> channel) & 1 == 1


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
