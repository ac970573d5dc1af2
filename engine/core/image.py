"""The whole state of a machine at one sequence as columns and records: what a snapshot keeps, and what the audit compares.

The heap of expiries is not in it: it follows from the open reservations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, NamedTuple, Protocol, TypeVar

import numpy as np

from engine.core.replies import RequestsImage
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.pool.network import NetworkImage
from engine.pool.orders import BookImage
from engine.pool.pool import Pool

if TYPE_CHECKING:
    from engine.core.machine import Machine


class ColumnSource(Protocol):
    """Where the matrices of ``Columns`` come from, by the names of its fields: memory, or the file of a snapshot."""

    def shape(self, name: str) -> tuple[int, int]:
        """Rows and entries of a matrix."""

    def put(self, name: str, out: Integers) -> None:
        """Write a matrix into one of exactly its shape."""


NO_CAPACITY = np.zeros((c.CAPACITY_STATE_ROWS + 1, 0), dtype=np.int64)


class Columns(NamedTuple):
    """The arrays of the pool cut to what is used, int64[row, entity] each; see ``kernels.columns`` for their rows."""

    cells: Integers
    """By slot."""
    skus: Integers
    """By SKU."""
    directory: Integers
    """One row, by position."""
    reservations: Integers
    """The latest reservation of each column, in no order that matters: its id says where it goes."""
    held: Integers
    """By leg, free ones included."""
    movements: Integers
    """The entries that the ring still has, oldest first."""
    feeds: Integers
    """By source and slot."""
    counters: Integers
    """One row."""
    capacity: Integers = NO_CAPACITY
    """In use, by node and day: the rows that are state, and behind them which column each was."""

    def shape(self, name: str) -> tuple[int, int]:
        """See `ColumnSource`."""
        rows, entries = self._matrix(name).shape
        return rows, entries

    def put(self, name: str, out: Integers) -> None:
        """See `ColumnSource`."""
        out[:] = self._matrix(name)

    def _matrix(self, name: str) -> Integers:
        matrix: Integers = getattr(self, name)
        return matrix


SourceT = TypeVar("SourceT", bound=ColumnSource)


class Image(NamedTuple, Generic[SourceT]):
    """A machine at one sequence. What is in it may be views of a machine: they are good until that machine goes on."""

    seq: int
    now_ns: int
    columns: SourceT
    network: NetworkImage
    orders: BookImage
    requests: RequestsImage


def image_of(machine: Machine) -> Image[Columns]:
    """The machine as it is now; the columns are views of it."""
    pool = machine.pool
    return Image(
        machine.seq,
        machine.now_ns,
        columns_of(pool),
        pool.network.image(),
        pool.orders.image(),
        machine.requests.image(),
    )


def columns_of(pool: Pool) -> Columns:
    """The arrays of the pool; views of it, but for those that lie otherwise there."""
    cells, skus, index, reservations, held, _, movements, feeds, counters, _ = pool.state
    slots, size = pool.counter(c.SLOTS_USED), movements.shape[1]
    oldest = pool.counter(c.MOVEMENT_NEXT) % size if pool.counter(c.MOVEMENT_NEXT) > size else 0
    remembered = min(pool.counter(c.MOVEMENT_NEXT), size)
    return Columns(
        cells[:, :slots],
        skus[:, : len(pool.names.skus)],
        index[None, : pool.counter(c.INDEX_USED)],
        reservations[:, np.flatnonzero(reservations[c.RES_ID])],
        held[:, : pool.counter(c.HELD_USED)],
        np.concatenate((movements[:, oldest:remembered], movements[:, :oldest]), axis=1)
        if oldest
        else movements[:, :remembered],
        feeds[: len(pool.names.sources), :slots],
        counters[None, :],
        capacity_in_use(pool),
    )


def capacity_in_use(pool: Pool) -> Integers:
    """The columns of capacity that were ever used, in order, and behind their rows which column each is."""
    capacity = pool.state[9][: c.CAPACITY_STATE_ROWS, : c.CAPACITY_WIDTH * len(pool.network.nodes)]
    used = np.flatnonzero(capacity[c.CAPACITY_DAY])
    return np.concatenate((capacity[:, used], used[None, :]))


def copy_of(machine: Machine) -> Image[Columns]:
    """The machine as it is now, in memory of its own."""
    image = image_of(machine)
    network = image.network
    return image._replace(
        columns=Columns(*map(np.array, image.columns)),
        network=network._replace(
            nodes=list(network.nodes),
            skus=list(network.skus),
            channels=list(network.channels),
            rate_cards=list(network.rate_cards),
            region_keys=list(network.region_keys),
            source_keys=list(network.source_keys),
        ),
    )
