"""Which day a package leaves on, kept current: calendars as tables for ``kernels.promise``, refreshed by the time that is handed in.

Derived scratch. It follows from the network, from the capacity taken and from the time alone: two machines in the same state promise
the same at the same time, however they came there. Nothing of it is journaled, for decisions tell the days that they promised.
"""

from typing import NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels import promise as kernels
from engine.kernels.promise import COLLECTED, SPAN_END, SPAN_EPOCH, SPAN_MARKS, SPAN_NODES, SPAN_ROWS, SPAN_SLOTS_END
from engine.kernels.zones import NEVER_SHIPS, Integers
from engine.model.limits import Limits
from engine.pool.calendars import DAY_NS, MINUTE_NS, Schedule, instant_ns, ready_ns, schedule, zone_of
from engine.pool.network import Network

HORIZON_DAYS = 28
"""A day is promised when it is less than so many after the present day (UTC)."""
HOURS_HORIZON_DAYS = 8
"""The same for an hour of collection, where hours are counted."""
SPAN_DAYS = 45
"""Days of a table. It begins a day early, as it is still yesterday in the west, and serves until its end is near."""
AGED_DAYS = 4
"""A table that began longer ago is made anew when there is time."""
RENEWED_AT_ONCE = 8


class Ready(NamedTuple):
    """When goods can be collected."""

    ready_ns: int
    """0: not known."""
    day: int


class Promises:
    """The tables, and what they promise now. ``refresh`` before anything is decided or answered."""

    def __init__(self, limits: Limits, network: Network, capacity: Integers) -> None:
        self._network, self._capacity = network, capacity
        rows, nodes = limits.services_max + 1, limits.nodes_max
        span = np.zeros(SPAN_MARKS + nodes, dtype=np.int64)
        self._days = np.zeros((rows, nodes, SPAN_DAYS), dtype=np.int64)
        self._latest = np.zeros((rows, nodes, SPAN_DAYS), dtype=np.int64)
        self._hours = np.zeros((nodes, 24 * SPAN_DAYS), dtype=np.int64)
        self._hours_latest = np.zeros((nodes, 24 * SPAN_DAYS), dtype=np.int64)
        self.ship_days = network.days
        """By row (service + 1, or COLLECTED) and node: the day on which a package that is asked for now leaves, or NEVER_SHIPS; 0 without a calendar."""
        self._most = np.zeros((4, nodes), dtype=np.int64)
        self._span = span
        span[SPAN_EPOCH] = 1
        at = np.zeros((rows, nodes), dtype=np.int64)
        self.arrays: kernels.Promise = (
            self._days, self._latest, at, self.ship_days, self._most, capacity, span, (self._hours, self._hours_latest),
        )  # fmt: skip
        """What kernels see."""
        self._schedules: dict[int, Schedule] = {}
        self._since_ns, self._until_ns = 0, -1
        self._first_days: dict[int, int] = {}
        """Where the table of each node with a calendar begins."""
        self._services = 0

    def refresh(self, now_ns: int) -> None:
        """Promise for ``now_ns`` from here on."""
        if not self._since_ns <= now_ns <= self._until_ns or self._network.retimed:
            self._refresh(now_ns)
        elif self._schedules and self._capacity[c.CAPACITY_TOUCHED, 0]:
            kernels.settle_touched(self.arrays)

    def _refresh(self, now_ns: int) -> None:
        today = now_ns // DAY_NS
        self._since_ns, self._until_ns = now_ns, (today + 1) * DAY_NS - 1
        if self._bring_tables(today):
            self._until_ns = min(self._until_ns, now_ns + MINUTE_NS)
        self._span[SPAN_NODES] = len(self._network.nodes)
        self._span[SPAN_END] = today + HORIZON_DAYS
        self._span[SPAN_SLOTS_END] = today + HOURS_HORIZON_DAYS
        self._span[SPAN_ROWS] = self._services + 1 if self._schedules else 0
        if self._schedules:
            self._until_ns = min(self._until_ns, kernels.refresh_days(self.arrays, now_ns))

    def _bring_tables(self, today: int) -> bool:
        """Make the tables of nodes that were put meanwhile, and of those that end soon; whether some are left for the next time.

        Thousands at once would hold up whoever asks next, so a table is made anew long before it ends, a few at a time. Which span a table
        has changes nothing of what it promises.
        """
        network = self._network
        keys = tuple([card.service_key for card in network.rate_cards])
        nodes = sorted(network.retimed) if len(keys) == self._services else range(len(network.nodes))
        self._services = len(keys)
        for node in nodes:
            self._bring_table(node, keys, today - 1)
        network.retimed.clear()
        aged = [node for node, first in self._first_days.items() if not today - AGED_DAYS <= first < today]
        end = today + HORIZON_DAYS - SPAN_DAYS
        ending = [node for node in aged if not end < self._first_days[node] < today]
        for node in ending or aged[:RENEWED_AT_ONCE]:
            self._bring_table(node, keys, today - 1)
        return len(aged) > max(len(ending), RENEWED_AT_ONCE)

    def _bring_table(self, node: int, service_keys: tuple[str, ...], first_day: int) -> None:
        calendar = self._network.nodes[node].calendar
        made = schedule(calendar, service_keys, first_day, SPAN_DAYS) if calendar else None
        if made is None and node not in self._schedules:
            return  # most stores have none, and memory that is never touched costs nothing
        self._days[:, node] = self.ship_days[:, node] = self._most[:, node] = 0
        if made is None or calendar is None:
            del self._schedules[node], self._first_days[node]
            return
        self._schedules[node], self._first_days[node] = made, first_day
        self._most[:, node] = (
            calendar.orders_per_day_max, calendar.units_per_day_max, 1, calendar.pickups_per_hour_max,
        )  # fmt: skip
        if made.ready_hours:
            self._hours[node] = self._hours_latest[node] = 0
            count = len(made.ready_hours)
            self._hours[node, :count] = [day | hour + 1 << c.WHEN_HOUR for day, hour in made.ready_hours]
            self._hours_latest[node, :count] = made.ready_hours_latest_ns
        leaving, ready = len(made.leave_days), len(made.ready_days)
        self._days[COLLECTED, node, :ready] = made.ready_days
        self._latest[COLLECTED, node, :ready] = made.ready_latest_ns
        rows = slice(1, len(service_keys) + 1)
        self._days[rows, node, :leaving] = made.leave_days
        if service_keys:  # a store where goods are only collected has none
            self._latest[rows, node, :leaving] = made.latest_ns

    def set_pending(self, days: Integers) -> None:
        """What counts as taken of some days while a decision is thought out, see ``kernels.promise.set_pending``."""
        kernels.set_pending(self.arrays, days)

    def drop_pending(self) -> None:
        """A batch broke off: nothing is pending."""
        self._capacity[[c.CAPACITY_ORDERS_PENDING, c.CAPACITY_UNITS_PENDING]] = 0
        self._until_ns = -1

    # Questions

    def ship_day(self, service_index: int, node_index: int) -> int:
        """The day on which a package leaves the node that is asked for now; 0: not known, or not within the horizon."""
        day = int(self.ship_days[service_index + 1, node_index])
        return day if day < NEVER_SHIPS else 0

    def ready(self, node_index: int, asked_ns: int) -> Ready:
        """When goods that are asked for now can be collected at the node. In a day or hour that is full they move on to the next."""
        made, when = self._schedules.get(node_index), int(self.ship_days[COLLECTED, node_index])
        calendar = self._network.nodes[node_index].calendar
        zone = zone_of(calendar.time_zone) if calendar else None
        if made is None or calendar is None or zone is None or when >= NEVER_SHIPS:
            return Ready(0, 0)
        day, hour = when & c.WHEN_DAY, (when >> c.WHEN_HOUR) - 1
        begins_ns = instant_ns(zone, day, 60 * max(hour, 0))
        opens_ns = next(
            window.opens_ns for window in made.windows if window.day == day and window.closes_ns > begins_ns
        )
        first_ns = ready_ns(made.windows, asked_ns, calendar.handling_minutes * MINUTE_NS)
        return Ready(max(first_ns, begins_ns, opens_ns), day)
