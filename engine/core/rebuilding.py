"""A machine made of an image again."""

import numpy as np

from engine.core.image import ColumnSource, Image, SourceT
from engine.core.machine import Machine
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.limits import Limits
from engine.pool.pool import Pool


class NoRoom(Exception):
    """The image does not fit into a store of these limits; the argument names the one that is too low."""


def machine_of(image: Image[SourceT], limits: Limits) -> Machine:
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


def _require_room(image: Image[SourceT], limits: Limits) -> None:
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
    cells, skus, directory, reservations, held, expiry, movements, feeds, counters, capacity = pool.state
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
    _put_capacity(capacity, columns)


def _put_capacity(capacity: Integers, columns: ColumnSource) -> None:
    used = np.empty(columns.shape("capacity"), dtype=np.int64)
    columns.put("capacity", used)
    if used.shape[1] and used[-1].max() >= capacity.shape[1]:
        raise NoRoom("nodes_max")
    capacity[: c.CAPACITY_STATE_ROWS, used[-1]] = used[:-1]


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
