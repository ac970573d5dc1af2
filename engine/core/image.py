"""The whole state of a machine at one sequence as columns and records, and a machine made of it again.

What a snapshot keeps, and what the audit compares. The heap of expiries is not in it: it follows from the open reservations.
"""

from typing import NamedTuple, Protocol

import numpy as np

from engine.core.machine import Machine
from engine.core.replies import RequestsImage
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.limits import Limits
from engine.pool.network import NetworkImage
from engine.pool.orders import BookImage
from engine.pool.pool import Pool


class ColumnSource(Protocol):
    """Where the matrices of ``Columns`` come from, by the names of its fields: memory, or the file of a snapshot."""

    def shape(self, name: str) -> tuple[int, int]:
        """Rows and entries of a matrix."""

    def put(self, name: str, out: Integers) -> None:
        """Write a matrix into one of exactly its shape."""


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


class Image(NamedTuple):
    """A machine at one sequence. Its columns may be views of a machine: they are good until that machine goes on."""

    seq: int
    now_ns: int
    columns: ColumnSource
    network: NetworkImage
    orders: BookImage
    requests: RequestsImage


class NoRoom(Exception):
    """The image does not fit into a store of these limits; the argument names the one that is too low."""


def image_of(machine: Machine) -> Image:
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
    cells, skus, index, reservations, held, _, movements, feeds, counters = pool.state
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
    )


def machine_of(image: Image, limits: Limits) -> Machine:
    """A machine in the state of the image.

    With limits other than those it was taken under it remembers as much of what is over as it has room for. Raises NoRoom.
    """
    machine = Machine(limits)
    pool = machine.pool
    _require_room(image, limits)
    _put_columns(pool, image.columns)
    try:
        pool.network.put_image(image.network)
    except (ValueError, IndexError) as error:
        raise NoRoom(str(error)) from error
    pool.orders.put_image(image.orders)
    machine.requests.put_image(image.requests)
    machine.seq, machine.now_ns = image.seq, image.now_ns
    return machine


def _require_room(image: Image, limits: Limits) -> None:
    shape, network = image.columns.shape, image.network
    for name, used in (
        ("cells_max", shape("cells")[1]),
        ("skus_max", shape("skus")[1]),
        ("reservation_legs_max", shape("held")[1]),
        ("sources_max", shape("feeds")[0]),
        ("nodes_max", len(network.nodes)),
        ("channels_max", len(network.channels)),
        ("services_max", len(network.rate_cards)),
        ("regions_max", len(network.region_keys)),
    ):
        if used > getattr(limits, name):
            raise NoRoom(name)


def _put_columns(pool: Pool, columns: ColumnSource) -> None:
    cells, skus, directory, reservations, held, expiry, movements, feeds, counters = pool.state
    for name, out in (
        ("cells", cells),
        ("skus", skus),
        ("directory", directory[None, :]),
        ("held", held),
        ("feeds", feeds),
        ("counters", counters[None, :]),
    ):
        rows, entries = columns.shape(name)
        if entries > out.shape[1]:
            raise NoRoom("cells_max")
        columns.put(name, out[:rows, :entries])
    kept = np.empty(columns.shape("reservations"), dtype=np.int64)
    columns.put("reservations", kept)
    _put_reservations(reservations, kept)
    _put_expiry(expiry, kept, counters)
    ring = np.empty(columns.shape("movements"), dtype=np.int64)
    columns.put("movements", ring)
    size = movements.shape[1]
    ring = ring[:, -size:]
    first = int(counters[c.MOVEMENT_NEXT]) - ring.shape[1]
    movements[:, np.arange(first, first + ring.shape[1]) % size] = ring


def _put_reservations(reservations: Integers, kept: Integers) -> None:
    """Each to the column of its id; where two meet because there are fewer columns than before, the later one stays."""
    in_order = kept[:, np.argsort(kept[c.RES_ID])]
    at = in_order[c.RES_ID] % reservations.shape[1]
    reservations[:, at] = in_order
    held = in_order[c.RES_STATE] == c.STATE_HELD
    if not np.array_equal(reservations[c.RES_ID, at[held]], in_order[c.RES_ID, held]):
        raise NoRoom("open_reservations_max")


def _put_expiry(expiry: Integers, reservations: Integers, counters: Integers) -> None:
    """The heap anew: what is sorted is a heap."""
    held = reservations[:, reservations[c.RES_STATE] == c.STATE_HELD]
    order = np.lexsort((held[c.RES_ID], held[c.RES_EXPIRES]))
    if order.size > expiry.shape[1]:
        raise NoRoom("open_reservations_max")
    expiry[c.EXPIRY_NS, : order.size] = held[c.RES_EXPIRES, order]
    expiry[c.EXPIRY_ID, : order.size] = held[c.RES_ID, order]
    counters[c.EXPIRY_COUNT] = order.size
