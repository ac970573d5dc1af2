"""Who watches what, and what they are told of it."""

from __future__ import annotations

import asyncio

import numpy as np

from engine.kernels.zones import Integers
from engine.model.limits import SECOND_NS
from engine.pool.names import Names
from engine.pool.offers import View
from engine.service.convert import watching as convert
from engine.service.convert.watching import Subject, Watch
from engine.service.limits import WATCH_ENTRIES_MAX
from stockpool.v1 import inventory_pb2 as pb


class Delivery:
    """What some watchers are told of one state, in as many messages as it takes. Messages are made when they are asked for, once for all."""

    def __init__(self, names: Names, seq: int, resume_seqs: tuple[int, int], complete: bool) -> None:
        """``resume_seqs``: before it has been told and after."""
        self._names = names
        self._seq = seq
        self._resume_seqs = resume_seqs
        self._complete = complete
        self._unknown: tuple[str, ...] = ()
        self._sku_indexes: Integers = np.zeros(0, dtype=np.int64)
        self._units: Integers = self._sku_indexes
        self._parts: dict[int, pb.WatchAvailabilityResponse] = {}

    def fill(self, sku_indexes: Integers, units: Integers, unknown: tuple[str, ...]) -> None:
        """Copies of what is told."""
        self._sku_indexes, self._units, self._unknown = sku_indexes, units, unknown

    def __len__(self) -> int:
        """Entries."""
        return self._sku_indexes.size + len(self._unknown)

    @property
    def part_count(self) -> int:
        """How many messages it takes, at least one."""
        return max(len(self) - 1, 0) // WATCH_ENTRIES_MAX + 1

    def part(self, number: int) -> pb.WatchAvailabilityResponse:
        """One of its messages, from 0."""
        message = self._parts.get(number)
        if message is None:
            message = self._parts[number] = self._part(number * WATCH_ENTRIES_MAX, number == self.part_count - 1)
        return message

    def _part(self, first: int, last: bool) -> pb.WatchAvailabilityResponse:
        keys, end = self._names.sku_keys, first + WATCH_ENTRIES_MAX
        pairs = zip(self._sku_indexes[first:end].tolist(), self._units[first:end].tolist(), strict=True)
        known = self._sku_indexes.size
        unknown = self._unknown[max(first - known, 0) : max(end - known, 0)]
        units = [(keys[sku], count) for sku, count in pairs]
        return convert.part(self._seq, self._resume_seqs[last], self._complete, unknown, units)


class Subscription:
    """What one or more watchers watch."""

    def __init__(self, subject: Subject, view: View, size_max: int) -> None:
        """``size_max``: the most offers that it has, but for SKUs that are put later."""
        self.subject = subject
        self.view = view
        self.size_max = size_max
        self.watchers = 0
        self.at: Integers = np.zeros(0, dtype=np.int64)
        """Positions of its offers."""
        self.unknown: dict[str, None] = {}
        """SKUs that do not exist yet."""
        self.changed_look = 0
        """The look that last found something of it to be new, as far as is known."""
        self.known_look = 0
        """Looks up to this one are known in that."""
        self.filled = False
        """All of it has been looked at."""
        self.deliveries: dict[tuple[int, ...], Delivery] = {}
        """Of the present state, by what they are made for: those who were told the same are told the same."""


class Watcher:
    """One stream. ``seq``: what it is told first is no older."""

    def __init__(self, subscription: Subscription, watch: Watch, seq: int) -> None:
        self.subscription = subscription
        self.seq = seq
        self.from_seq = watch.from_seq
        self.interval_s = watch.interval_ns / SECOND_NS
        self.complete = True
        """It has been told everything, whatever it knew."""
        self.catching_up = False
        """It has not been told yet all that has changed since ``from_seq``."""
        self.told_look = 0
        """It has been told what this look found; 0: nothing yet."""
        self.told_seq = 0
        self.resume_seq = 0
        self.due_s = 0.0
        self.next: asyncio.Future[Delivery] | None = None
        """Set while it is ready for more."""

    def begin(self, began_seq: int) -> None:
        """It is told something for the first time. Changes after ``began_seq`` are known."""
        if 0 <= began_seq <= self.from_seq and self.from_seq:
            self.complete, self.catching_up = False, True
            self.resume_seq = self.from_seq
