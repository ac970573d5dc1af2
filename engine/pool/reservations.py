"""Reservations behind a small Python face: reading them, and which of them are due."""

from typing import NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels import effects as kernels
from engine.kernels.zones import Integers, State
from engine.model.limits import Limits
from engine.model.outcomes import FulfillmentKind, Outcome, ReservationState
from engine.pool.stock import CapacityExhausted

DUE_MAX = 1 << 17
"""Reservations that one expiry ends at most; the next one follows at once."""

CLOSED_OUTCOME = {
    ReservationState.COMMITTED: Outcome.RESERVATION_COMMITTED,
    ReservationState.RELEASED: Outcome.RESERVATION_RELEASED,
    ReservationState.EXPIRED: Outcome.RESERVATION_EXPIRED,
}


class Held(NamedTuple):
    """Units of a reservation's line at a cell."""

    line_index: int
    slot: int
    units: int
    when: int = 0
    """Local day on which they leave the node, or are ready for collection, and the hour of it where hours are counted, as in
    ``kernels.columns``; 0: not known, and nothing is taken of its capacity."""

    @property
    def day(self) -> int:
        """The local day; 0: not known."""
        return self.when & c.WHEN_DAY


class Reservation(NamedTuple):
    """A reservation as the columns tell it. ``destination``: region index for shipping, node index for pickup."""

    reservation_id: int
    state: ReservationState
    expires_ns: int
    created_ns: int
    channel_index: int
    destination: int
    kind: FulfillmentKind
    service_index: int
    legs: tuple[Held, ...]
    due_day: int = 0
    """Day by which the buyer was promised arrival; 0: none."""
    store_index: int = -1
    """The store to which it is shipped for collection; −1: none."""


class Reservations:
    """The reservations of the pool. The columns remember the latest reservation of each; older ones are forgotten."""

    def __init__(self, state: State, limits: Limits) -> None:
        self._rows, self._held, self._expiry, self._counters = state[3], state[4], state[5], state[8]
        self._limits = limits
        self._due = np.zeros(DUE_MAX, dtype=np.int64)

    def get(self, reservation_id: int) -> Reservation | None:
        """The reservation, ``None`` when it never was or is forgotten."""
        column = reservation_id % self._rows.shape[1]
        found, state, expires, created, channel, destination, meta, leg = self._rows[:, column].tolist()
        if found != reservation_id or state == 0:
            return None
        legs = []
        while leg:
            slot, units, line, leg, work = self._held[:, leg - 1].tolist()
            legs.append(Held(line, slot, units, work >> 1))
        return Reservation(
            reservation_id,
            ReservationState(state),
            expires,
            created,
            channel,
            destination,
            FulfillmentKind(meta & c.META_KIND_MASK),
            (meta >> c.META_SERVICE_SHIFT & c.META_SERVICE_MASK) - 1,
            tuple(reversed(legs)),
            meta >> c.META_DUE_SHIFT & c.META_DUE_MASK,
            (meta >> c.META_STORE_SHIFT) - 1,
        )

    def channel_of(self, reservation_id: int) -> int:
        """Channel of the reservation, −1 when it never was or is forgotten."""
        found, state, _, _, channel, *_ = self._rows[:, reservation_id % self._rows.shape[1]].tolist()
        return int(channel) if found == reservation_id and state else -1

    def check_room(self, reservations: int, legs: int) -> None:
        """Raise CapacityExhausted when that many more do not fit."""
        if int(self._counters[c.RESERVATIONS_OPEN]) + reservations > self._limits.open_reservations_max:
            raise CapacityExhausted("open_reservations_max")
        if int(self._counters[c.HELD_OPEN]) + legs > self._limits.reservation_legs_max:
            raise CapacityExhausted("reservation_legs_max")

    def due(self, now_ns: int) -> Integers:
        """Ids of open reservations that have ended by ``now_ns``, ascending; at most DUE_MAX of them."""
        if not self._counters[c.EXPIRY_COUNT] or self._expiry[c.EXPIRY_NS, 0] > now_ns:
            return self._due[:0]
        count = kernels.due(self._rows, self._expiry, self._counters, now_ns, self._due)
        # Sorted, and the second of two that are alike left out: numpy.unique hashes, in forty times the time.
        ids = np.sort(self._due[:count])
        return ids[np.diff(ids, prepend=0) > 0]
