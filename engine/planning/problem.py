"""What planning works on: plain copies of stock and network, and the orders as questions of the router.

Nothing in a `Problem` points back to the pool: it can be pickled, sent to a worker process and changed there at will.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels.workspace import Question
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, Network, Stock
from engine.pool.pool import Pool


class Orders(NamedTuple):
    """Questions of the router, stacked. The lines of order i are ``lines[first[i] : first[i + 1]]``."""

    questions: Integers
    """int64[orders, ORDER_WIDTH]"""
    lines: Integers
    """int64[lines, LINE_WIDTH]; each SKU in one line of an order at most."""
    first: Integers
    """int64[orders + 1]"""

    @property
    def total(self) -> int:
        """How many orders there are."""
        return len(self.questions)

    def question(self, order: int) -> Question:
        """One order as the router takes it: views of the stack."""
        return self.questions[order], self.lines[self.first[order] : self.first[order + 1]]


class Takes(NamedTuple):
    """What each order takes from the stock. Order i takes ``units[j]`` of the cell ``slots[j]`` for j in first[i] .. first[i + 1] − 1."""

    slots: Integers
    units: Integers
    first: Integers


class Problem(NamedTuple):
    """Orders, and the stock and network that they are routed on; see ``kernels.zones`` for the arrays."""

    stock: Stock
    network: Network
    orders: Orders


def stacked(questions: Iterable[Question]) -> Orders:
    """Copies of the questions in one stack, in their order."""
    asked = list(questions)
    first = np.zeros(len(asked) + 1, np.int64)
    first[1:] = np.cumsum([len(lines) for _, lines in asked])
    return Orders(
        np.array([order for order, _ in asked], np.int64).reshape(-1, c.ORDER_WIDTH),
        np.concatenate([np.zeros((0, c.LINE_WIDTH), np.int64), *(lines for _, lines in asked)]),
        first,
    )


def cut_stock(stock: Stock, skus: Integers) -> Stock:
    """A copy of the cells of some SKUs alone: ``skus[i]`` is SKU i there, and its slots lie in node order.

    Row KEY still tells the SKU and node that a cell has in ``stock``: answers find their way back by it. Costs time and memory by
    the cells of these SKUs, however large the pool is.
    """
    cells, directory, index = stock
    counts, starts = directory[c.INDEX_COUNT, skus], directory[c.INDEX_START, skus]
    ends = np.cumsum(counts)
    places = np.arange(ends[-1] if len(ends) else 0)
    positions = places + np.repeat(starts - (ends - counts), counts)
    entries = index[positions]
    taken = np.zeros((c.SKU_ROWS, len(skus)), np.int64)
    taken[:] = directory[:, skus]
    taken[c.INDEX_START], taken[c.INDEX_CAPACITY] = ends - counts, counts
    taken[c.EXTENT_NEXT] = taken[c.EXTENT_END] = 0  # nothing is ever opened in a copy
    return np.ascontiguousarray(cells[:, entries & SLOT_MASK]), taken, entries >> SLOT_BITS << SLOT_BITS | places


def joined_stock(parts: Sequence[Stock]) -> Stock:
    """Pieces of a stock, each of other SKUs, as one: the SKUs of a piece follow those of the piece before it."""
    slots = positions = 0
    cells, skus, index = [], [], []
    for piece in parts:
        directory = piece[1].copy()
        directory[c.INDEX_START] += positions
        cells.append(piece[0])
        skus.append(directory)
        index.append(piece[2] + slots)
        slots += piece[0].shape[1]
        positions += len(piece[2])
    return np.ascontiguousarray(np.concatenate(cells, axis=1)), np.concatenate(skus, axis=1), np.concatenate(index)


def problem_of(pool: Pool, orders: Orders) -> Problem:
    """A copy of what the orders need from the pool: the cells of their SKUs, renumbered, and the network as far as it is used."""
    wanted, places = np.unique(orders.lines[:, c.LINE_SKU], return_inverse=True)
    lines = orders.lines.copy()
    lines[:, c.LINE_SKU] = places
    return Problem(
        cut_stock(pool.stock.arrays, wanted),
        network_of(pool),
        Orders(orders.questions.copy(), lines, orders.first.copy()),
    )


def network_of(pool: Pool) -> Network:
    """A copy of the network without the room for nodes and regions that do not exist."""
    nodes, zones, rates, breaks, distances, ship_days, transit = pool.network.arrays
    node_count, region_count = len(pool.network.nodes), len(pool.names.regions)
    return (
        nodes[:, :node_count].copy(),
        zones[:region_count, :node_count].copy(),
        rates.copy(),
        breaks.copy(),
        distances[:region_count, :node_count].copy(),
        ship_days[:, :node_count].copy(),
        transit.copy(),
    )
