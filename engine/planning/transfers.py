"""Transfers worth making: units that are worth more at another node than carrying them there costs.

Worth is what routing goes by: the next unit to leave a cell counts the greater of the price that planning gave it and the margin x P(walk-ins
want all that are left), see ``kernels.prices``. A price is what one more unit is worth, hence at the destination it counts for the first unit
only and what follows counts by the walk-ins alone; at the source it counts for every unit that leaves. So a suggestion is never too
large, and what is left of the difference is found when prices are made anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels import columns as c
from engine.kernels.prices import MARGIN_MAX, tail_of
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, carrier_cost
from engine.model.prices import PricePlan
from engine.planning.refresh import Lanes, Piece, read_cells, read_lanes

if TYPE_CHECKING:  # the process that plans has no pool, and need not load its kernels
    from engine.pool.pool import Pool

UNITS_MAX: Final = 64
"""Units of one suggestion."""
A_SKU_MAX: Final = 64
"""Suggestions of one SKU."""
ROWS: Final = (c.KEY, c.ATF, c.PRICE, c.DEMAND, c.INCOMING)
"""What is read of each cell."""
NEVER: Final = 1 << 55
"""Micros of a way that nobody offers, and of a unit that is not there. A hundred of them still add up."""


class Places(NamedTuple):
    """The network as transfers see it."""

    lanes: Lanes
    regions: Integers
    """int64[nodes]: the region in which a node lies; −1: not known, or the node is closed: nothing can be sent there."""


class Wish(NamedTuple):
    """What is asked for."""

    gain_micros_min: int
    limit: int


class Transfer(NamedTuple):
    """Units of a SKU to carry from one node to another, in one package."""

    sku_index: int
    source_index: int
    destination_index: int
    units: int
    cost_micros: int
    """Carrier + handling at the source."""
    gain_micros: int
    """By how much more they are worth at the destination, less the cost."""


class Suggested(NamedTuple):
    """Transfers, and the plan whose prices they go by; none while there is no such plan, or it is too old."""

    transfers: list[Transfer]
    price_plan: PricePlan | None
    age_ns: int


def read_places(pool: Pool) -> Places:
    """Costs and zones, and where each node lies."""
    network = pool.network
    regions = [-1 if node.closed else network.region_of(node.postal_code) for node in network.nodes]
    return Places(read_lanes(pool), np.array(regions, np.int64))


def read_shelves(pool: Pool, first_sku: int) -> Piece:
    """Rows ROWS of the cells of some SKUs, see ``refresh.read_cells``."""
    return read_cells(pool, first_sku, ROWS)


def find_transfers(parts: list[Any]) -> Iterator[list[Transfer]]:
    """The suggestions that gain most, best first, ties by SKU, source and destination; for ``planning.worker``.

    The parts are one ``Wish``, one ``Places``, and any number of ``Piece`` in order of their SKUs.
    """
    (wish,) = [part for part in parts if isinstance(part, Wish)]
    (places,) = [part for part in parts if isinstance(part, Places)]
    found: list[Transfer] = []
    first_sku = 0
    for piece in parts:
        if isinstance(piece, Piece):
            for sku in range(piece.skus.shape[1]):
                cells = piece.cells[:, piece.cells[0] >> SLOT_BITS == first_sku + sku]
                found += _of_sku(first_sku + sku, cells, piece.skus[:, sku], places, wish.gain_micros_min)
            first_sku += piece.skus.shape[1]
            found = sorted(found, key=_rank)[: wish.limit]
    yield found


def _rank(transfer: Transfer) -> tuple[int, ...]:
    return -transfer.gain_micros, *transfer[:3]


def _of_sku(sku: int, cells: Integers, goods: Integers, places: Places, least: int) -> Iterable[Transfer]:
    """The best transfer, then the best after that one, and so on."""
    keys, free, price, demand, incoming = cells.copy()
    margin, arrived = min(int(goods[1]), MARGIN_MAX), np.zeros_like(free)
    found: list[Transfer] = []
    wanted = _sells(np.array([free + incoming, price, demand, arrived]), margin, UNITS_MAX)
    units_max = min(int((wanted > 0).any(axis=1).sum()), int(free.max(initial=0)))
    if units_max <= 0:
        return found
    nodes = keys & SLOT_MASK
    costs = _costs(int(goods[0]), nodes, places, units_max)
    while len(found) < A_SKU_MAX:
        sells = _sells(np.array([free + incoming + arrived, price, demand, arrived]), margin, units_max)
        leaves = _leaves(np.array([free, price, demand]), margin, units_max)
        gains = sells.cumsum(axis=0)[:, None, :] - leaves.cumsum(axis=0)[:, :, None] - costs
        count, source, destination = np.unravel_index(int(gains.argmax()), gains.shape)
        gain, units = int(gains[count, source, destination]), int(count) + 1
        if gain < max(least, 1):
            break
        cost = int(costs[count, source, destination])
        found.append(Transfer(sku, int(nodes[source]), int(nodes[destination]), units, cost, gain))
        free[source] -= units
        arrived[destination] += units
    return found


def _sells(cells: Integers, margin: int, units_max: int) -> Integers:
    """``[units - 1, cell]``: micros that the last of so many more units is worth; ``cells`` = (all that will be there, price, demand,
    units that arrived by a transfer already).
    """
    there, price, demand, arrived = cells
    steps = np.arange(units_max)[:, None]
    tails = tail_of(np.broadcast_to(demand, (units_max, len(demand))), there + 1 + steps)
    sells: Integers = np.where(demand > 0, margin, 0) * tails >> 16
    sells[0] = np.where(arrived == 0, np.maximum(sells[0], price), sells[0])
    return sells


def _leaves(cells: Integers, margin: int, units_max: int) -> Integers:
    """``[units - 1, cell]``: micros that the last of so many units is worth where it is, NEVER when there are fewer; ``cells`` =
    (free, price, demand).
    """
    free, price, demand = cells
    steps = np.arange(units_max)[:, None]
    tails = tail_of(np.broadcast_to(demand, (units_max, len(demand))), free - steps)
    leaves: Integers = np.where(free > steps, np.maximum(price, np.where(demand > 0, margin, 0) * tails >> 16), NEVER)
    return leaves


def _costs(grams: int, nodes: Integers, places: Places, units_max: int) -> Integers:
    """``[units - 1, source, destination]``: micros to carry so many units by the cheapest service; NEVER where none goes."""
    zones, rates, breaks, handling = places.lanes
    regions = places.regions[nodes]
    lane: NDArray[np.uint8] = zones[np.maximum(regions, 0)][:, nodes].T.copy()  # [source, destination]
    lane[:, regions < 0] = 0
    np.fill_diagonal(lane, 0)
    services, zone_count = rates.shape[:2]
    by_zone = np.full((units_max, zone_count), NEVER, np.int64)
    for zone in np.unique(lane[lane > 0]).tolist():
        for units in range(units_max):
            offers = [
                int(carrier_cost(rates, breaks, service, zone, grams * (units + 1))) for service in range(services)
            ]
            by_zone[units, zone] = min((offer for offer in offers if offer >= 0), default=NEVER)
    package, each = handling[:, nodes]
    work = package + each * np.arange(1, units_max + 1)[:, None]
    costs: Integers = np.minimum(by_zone[:, lane] + work[:, :, None], NEVER)
    return costs
