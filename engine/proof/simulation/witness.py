"""What the engine did and is, in the oracle's words. The only part of the audit that knows how the engine keeps things."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.core.machine import Machine
from engine.journal import Record
from engine.journal.codec import decode
from engine.journal.frame import Frame
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.answers import FulfillmentOrdersAnswer, OrderAnswer
from engine.model.decisions import Decision
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import FulfillmentState, Outcome
from engine.model.replies import FulfillmentReply, OrderReply, RerouteReply, ReturnReply
from engine.proof.oracle import Choice

Pair = tuple[str, str]
QUANTITY_COUNT = 9
"""Rows of a cell that are kept, on_hand first; the rest is derived or scratch."""
_ROUTED = (m.Reserve, m.BatchReserve, m.PlaceOrder, m.IngestOrder, m.Reject, m.ReleaseOrder, m.RerouteOrder)


def decisions_of(frame: Frame) -> list[Decision]:
    """What a frame of the journal says."""
    return decode(Record(frame.first_seq, frame.decisions, frame.body))


class Tally:
    """The journal summed up with paper and pencil: which cells there are, and Σ effects of each."""

    def __init__(self) -> None:
        self.places: dict[int, tuple[int, int]] = {}
        """SKU index and node index of each slot."""
        self.units: dict[int, list[int]] = {}
        self._legs: dict[int, list[tuple[int, int]]] = {}

    def add(self, decision: Decision) -> None:
        """Add the effects of one decision."""
        for operation, first, second, third, _, _ in [] if decision.effects is None else decision.effects.tolist():
            if operation == c.OP_OPEN_CELL:
                self.places[third] = first, second
                self.units[third] = [0] * QUANTITY_COUNT
            elif operation == c.OP_MOVE:
                self.units[first][second] += third
            elif operation == c.OP_HOLD:
                self._legs[first] = []
            elif operation == c.OP_LEG:
                self._legs[first].append((second, third))
                self.units[second][c.RESERVED] += third
            elif operation == c.OP_CLOSE:
                for slot, units in self._legs.pop(first):
                    self.units[slot][c.RESERVED] -= units


class Witness:
    """Reads the journal's decisions and a machine."""

    def __init__(self) -> None:
        self.tally = Tally()

    def pair(self, slot: int, sku_keys: list[str], node_keys: list[str]) -> Pair:
        """SKU and node of a slot."""
        sku, node = self.tally.places[slot]
        return sku_keys[sku], node_keys[node]

    def choices(self, decision: Decision, keys: tuple[list[str], list[str]]) -> Iterator[Choice]:
        """Units by SKU and node, one entry for each claim, or order, that was granted anything. ``keys``: of SKUs and of nodes."""
        found: list[Choice] = []
        for row in [] if decision.effects is None else decision.effects.tolist():
            if row[0] == c.OP_HOLD:
                found.append({})
            elif row[0] == c.OP_LEG:
                pair = self.pair(row[2], *keys)
                found[-1][pair] = found[-1].get(pair, 0) + row[3]
        work = [each for each in decision.documents if isinstance(each, FulfillmentOrder)]
        by_order: dict[int, Choice] = {}
        for each in work:
            if each.state == FulfillmentState.OPEN:
                of_order = by_order.setdefault(each.order_id, {})
                for line in each.lines:
                    pair = self.pair(line.slot, *keys)
                    of_order[pair] = of_order.get(pair, 0) + line.units
        return iter([*found, *by_order.values()])

    def work_of(self, decision: Decision) -> list[int]:
        """Ids of the fulfillment orders that a decision tells of."""
        return [each.fulfillment_order_id for each in decision.documents if isinstance(each, FulfillmentOrder)]

    def plain(self, value: Any) -> Any:
        """An answer or a record as the oracle writes it: a slot is a SKU and a node."""
        if isinstance(value, FulfillmentOrder | Return):
            lines: Any = value.lines
            return value._replace(lines=tuple(line._replace(slot=self._place(line.slot)) for line in lines))
        if isinstance(value, Order):
            return value._replace(routings=())  # how a plan came about is the engine's own to tell
        if isinstance(value, OrderReply | OrderAnswer):
            return value._replace(order=self.plain(value.order))
        if isinstance(value, RerouteReply):
            return value._replace(orders=tuple(self.plain(each) for each in value.orders))
        if isinstance(value, FulfillmentReply):
            replacements = tuple(self.plain(each) for each in value.replacements)
            return value._replace(fulfillment_order=self.plain(value.fulfillment_order), replacements=replacements)
        if isinstance(value, ReturnReply):
            return value._replace(goods=self.plain(value.goods))
        if isinstance(value, FulfillmentOrdersAnswer):
            return value._replace(fulfillment_orders=tuple(self.plain(each) for each in value.fulfillment_orders))
        return value

    def _place(self, slot: int) -> int:
        sku, node = self.tally.places[slot]
        return sku << 32 | node

    def cells(self, machine: Machine) -> dict[int, list[int]]:
        """The quantities of each slot, on_hand first, then ATF."""
        slots = list(self.tally.places)
        columns = machine.pool.state[0][: QUANTITY_COUNT + 1, slots].T.tolist()
        return dict(zip(slots, columns, strict=True))


def is_routed(command: m.Command) -> bool:
    """Whether the engine chose nodes for it."""
    return isinstance(command, _ROUTED) and not (isinstance(command, m.PlaceOrder) and command.reservation_id)


def choices_unsaid(decision: Decision, command: m.Command) -> bool:
    """A batch that was refused as a whole held nothing: its decision does not tell which nodes were chosen on the way."""
    return isinstance(command, m.BatchReserve) and decision.reply.outcome != Outcome.OK


def machine_records(machine: Machine) -> tuple[dict[int, Any], dict[int, Any], dict[int, Any]]:
    """Orders, work and returns that are remembered."""
    orders = machine.pool.orders
    return dict(orders.orders.items()), dict(orders.fulfillment_orders.items()), dict(orders.returns.items())


def promised_days(machine: Machine) -> dict[tuple[int, int], tuple[int, int, int]]:
    """By node and place in its rings of days and hours: the day or hour, and the orders and units that are promised for it or done in it.

    Places that were never used are left out.
    """
    capacity = machine.pool.state[9]
    found = {}
    for column in capacity[c.CAPACITY_DAY].nonzero()[0].tolist():
        day, orders, units, orders_done, units_done = capacity[: c.CAPACITY_STATE_ROWS, column].tolist()
        found[divmod(column, c.CAPACITY_WIDTH)] = day, orders + orders_done, units + units_done
    return found


NEVER_PROMISED = (0, 0, 0)
"""What stands at a place that was never used."""


def place_of(day: int, hour: int) -> tuple[int, int]:
    """Where `promised_days` has a day (hour −1) or an hour of it, and the number that stands there."""
    if hour < 0:
        return day % c.CAPACITY_DAYS, day
    return c.CAPACITY_DAYS + (24 * day + hour) % c.CAPACITY_HOURS, 24 * day + hour


def findings(machine: Machine) -> tuple[Any, ...]:
    """What the engine's own audit says is wrong."""
    answer: Any = machine.answer(q.Audit(0, digest=False), machine.now_ns)
    return tuple(answer.report.findings)
