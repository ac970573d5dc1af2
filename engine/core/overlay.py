"""Thinking about what is not so: units and days count as free, or as taken, while the router is asked; nothing is written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import numpy as np

from engine.core.claims import Plan, Planner, Question
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.orders import FulfillmentOrder
from engine.pool.pool import Pool
from engine.pool.reservations import Held

WHOLE = 0
"""A cell that is open as it is."""
Cells = tuple[tuple[int, int], ...]
"""(slot, units)"""


def fence_of(pool: Pool, cells: Cells) -> dict[int, int]:
    """The cells alone, for ``Overlay.plan``: where a SKU comes from one of them that one as it is, else each with exactly its units."""
    cell = pool.names.cell
    cells_of_sku = Counter([cell(slot)[0] for slot, _ in cells])
    return {slot: units if cells_of_sku[cell(slot)[0]] > 1 else WHOLE for slot, units in cells}


class Overlay:
    """What a decision under way would give back and take. The rows of the kernels for pending units and days are set for each question."""

    def __init__(self, pool: Pool, planner: Planner) -> None:
        self._pool, self._planner = pool, planner
        self._units: defaultdict[int, int] = defaultdict(int)
        self._days: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0])

    def give_back(self, work: Iterable[FulfillmentOrder]) -> None:
        """These units, and the day that each of them takes, are free."""
        for each in work:
            for line in each.lines:
                self._units[line.slot] -= line.units
            if each.ship_day:
                self._note_day(each.node_index, each.ship_day, -1, -sum([line.units for line in each.lines]))

    def take(self, legs: Sequence[Held]) -> None:
        """These units are taken, one order a node."""
        seen: set[int] = set()
        for leg in legs:
            self._units[leg.slot] += leg.units
            node, day = self._pool.names.cell(leg.slot)[1], leg.when & c.WHEN_DAY
            if day:
                self._note_day(node, day, int(node not in seen), leg.units)
                seen.add(node)

    def _note_day(self, node: int, day: int, orders: int, units: int) -> None:
        entry = self._days[node, day]
        entry[0] += orders
        entry[1] += units

    def take_units(self, units: Mapping[int, int]) -> None:
        """These units by slot are taken, by somebody who needs no day."""
        for slot, count in units.items():
            self._units[slot] += count

    def copy(self) -> Overlay:
        """The same, to think on from here."""
        other = Overlay(self._pool, self._planner)
        other._units.update(self._units)
        other._days.update({key: list(taken) for key, taken in self._days.items()})
        return other

    def plan(self, question: Question, fence: Mapping[int, int] | None = None) -> Plan:
        """The router's answer. ``fence``: the slots that may serve, each with its units, or WHOLE for all that it has."""
        with self.applied(*self._columns(question, fence)):
            return self._planner.plan(question)

    def thought(self) -> AbstractContextManager[None]:
        """While it is entered, whatever the planner is asked is asked of this."""
        return self.applied(*self._own())

    @contextmanager
    def applied(self, slots: Integers, units: Integers) -> Iterator[None]:
        """Units by slot and the days are pending while this is entered."""
        pending = self._pool.state[0][c.PENDING]
        days = np.array([(*key, *taken) for key, taken in self._days.items()], dtype=np.int64).reshape(-1, 4)
        pending[slots] = units
        if len(days):
            self._pool.promises.set_pending(days)
        try:
            yield
        finally:
            pending[slots] = 0
            if len(days):
                days[:, 2:] = 0
                self._pool.promises.set_pending(days)

    def _own(self) -> tuple[Integers, Integers]:
        return np.array([*self._units], dtype=np.int64), np.array([*self._units.values()], dtype=np.int64)

    def _columns(self, question: Question, fence: Mapping[int, int] | None) -> tuple[Integers, Integers]:
        """Slots, and the units of each that count as taken. Of a slot that is named twice the last one counts."""
        own = self._own()
        if fence is None:
            return own
        free = self._pool.state[0][c.ATF]
        closed = np.concatenate([self._pool.stock.slots_of_sku(sku) for sku in {sku for sku, _ in question.lines}])
        slots, units = [own[0], closed], [own[1], np.maximum(free[closed], 0)]
        for slot, given in fence.items():
            taken = self._units.get(slot, 0)
            if given != WHOLE:  # beside them what a rule keeps in every cell: it counts as free, and is kept
                taken = max(int(free[slot]) - given - self._kept(question), taken)
            slots.append(np.array([slot], dtype=np.int64))
            units.append(np.array([taken], dtype=np.int64))
        return np.concatenate(slots), np.concatenate(units)

    def _kept(self, question: Question) -> int:
        rules = self._pool.network.policy_of(question.channel_index).rules
        return max([rule.candidates.keep_units for rule in rules], default=0)
