"""An independent recount: reads the stream of events, keeps books of its own, and checks every promise against them.

It shares no code with the engine and believes none of its derived figures: from "a quantity changed" and "units were reserved" it works
out for itself what was free in each cell at each instant. It also recounts what the engine must never do: number a decision twice or
skip one, let a quantity fall below zero, end a reservation twice, commit an expired one, keep two orders under one key, or lose a unit
of an order.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from sys import intern
from typing import Any

from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2 as types

FINDINGS_KEPT = 50
_NS = 1_000_000_000

# Position of each quantity in the books: its number in the contract.
_ON_HAND = types.QUANTITY_ON_HAND
_RESERVED = types.QUANTITY_RESERVED
_ALLOCATED = types.QUANTITY_ALLOCATED
_INCOMING = types.QUANTITY_INCOMING
_QUANTITIES = range(_ON_HAND, _INCOMING + 1)
# What one more unit of a quantity does to what is free.
_FREE_SIGN = {quantity: 1 if quantity == _ON_HAND else 0 if quantity == _INCOMING else -1 for quantity in _QUANTITIES}
_OPEN_WORK = {
    fulfillment.FULFILLMENT_ORDER_STATE_OPEN,
    fulfillment.FULFILLMENT_ORDER_STATE_ACCEPTED,
    fulfillment.FULFILLMENT_ORDER_STATE_READY_FOR_PICKUP,
}


@dataclass(slots=True)
class Hold:
    """An open reservation: cells and units, and when it ends."""

    legs: list[tuple[int, int]]
    expire_ns: int


@dataclass(slots=True)
class OpenOrder:
    """An order that still has units to come."""

    allocated_units: int
    short_units: int


@dataclass(slots=True)
class Books:
    """What the events say so far.

    ``cells`` numbers each (SKU, node) and ``keys`` lists them; ``columns[quantity][cell]`` are units; ``free[cell]`` is what may still be
    promised.
    """

    cells: dict[tuple[str, str], int] = field(default_factory=dict)
    keys: list[tuple[str, str]] = field(default_factory=list)
    columns: list[list[int]] = field(default_factory=lambda: [[] for _ in range(_INCOMING + 1)])
    free: list[int] = field(default_factory=list)
    holds: dict[int, Hold] = field(default_factory=dict)
    work: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    open_orders: dict[int, OpenOrder] = field(default_factory=dict)
    order_ids: dict[tuple[str, str], int] = field(default_factory=dict)


class Recount:
    """Takes events in order of their sequence, from 1 on.

    ``oversold_units`` is what requests promised beyond what was free; ``findings`` names what is wrong, the first of them;
    ``finding_count`` counts all. ``decided`` counts decisions by command and outcome.
    """

    def __init__(self) -> None:
        self.books = Books()
        self.last_seq = 0
        self.event_count = 0
        self.effect_count = 0
        self.refusal_count = 0
        self.oversold_units = 0
        self.promise_count = 0
        self.duplicate_order_count = 0
        self.finding_count = 0
        self.findings: list[str] = []
        self.decided: Counter[tuple[str, int]] = Counter()
        self._request_ids: set[str] = set()
        self._time_ns = 0
        self._promised: Counter[int] = Counter()
        self._suspects: set[tuple[int, int]] = set()
        self._takers: dict[str, Callable[[Any], None]] = {
            "cell_opened": self._open_cell,
            "stock_moved": self._move_stock,
            "reservation_held": self._hold,
            "reservation_closed": self._close,
            "reservation_extended": self._extend,
            "order": self._book_order,
            "fulfillment_order": self._book_work,
        }

    @property
    def is_ok(self) -> bool:
        """Whether nothing is wrong and nothing was oversold."""
        return not self.finding_count and not self.oversold_units and not self.duplicate_order_count

    def take(self, event: admin.Event) -> None:
        """Books one event and checks what it must not have done."""
        seq = event.journal_seq
        if seq != self.last_seq + 1:
            self.find(f"seq {seq} follows {self.last_seq}")
        self.last_seq = seq
        self.event_count += 1
        time_ns = _ns(event.time)
        if time_ns < self._time_ns:
            self.find(f"seq {seq} is dated {self._time_ns - time_ns} ns before the one in front of it")
        self._time_ns = time_ns
        request_id = event.request_id
        if request_id:
            if request_id in self._request_ids:
                self.find(f"seq {seq} decides request {request_id} a second time")
            self._request_ids.add(request_id)
        outcome = event.outcome
        self.decided[event.command, outcome] += 1
        effects = event.effects
        if not effects:
            self.refusal_count += outcome not in {types.OUTCOME_OK, types.OUTCOME_PARTIAL}
            return
        takers = self._takers
        for effect in effects:
            kind = effect.WhichOneof("change")
            taker = takers.get(kind)
            if taker is not None:
                taker(getattr(effect, kind))
        self.effect_count += len(effects)
        if self._promised:
            self._check_promises(event)
        if self._suspects:
            self._check_suspects(event)

    def find(self, what: str) -> None:
        """Notes something that must not be."""
        self.finding_count += 1
        if len(self.findings) < FINDINGS_KEPT:
            self.findings.append(what)

    def open_units_by_cell(self) -> tuple[Counter[int], Counter[int]]:
        """Units of open reservations and of open fulfillment orders by cell: what the books must show as reserved and allocated."""
        reserved: Counter[int] = Counter()
        for hold in self.books.holds.values():
            for cell, units in hold.legs:
                reserved[cell] += units
        allocated: Counter[int] = Counter()
        for lines in self.books.work.values():
            for cell, units in lines:
                allocated[cell] += units
        return reserved, allocated

    def name_of(self, cell: int) -> str:
        """SKU and node of a cell, for a sentence."""
        sku_key, node_key = self.books.keys[cell]
        return f"{sku_key} at {node_key}"

    # --- one effect each ---

    def _open_cell(self, change: admin.CellOpened) -> None:
        key = (change.sku_key, change.node_key)
        if key in self.books.cells:
            self.find(f"seq {self.last_seq} opens the cell {key[0]} at {key[1]} again")
        else:
            self._new_cell(key)

    def _move_stock(self, change: admin.StockMoved) -> None:
        cell = self._cell(change.sku_key, change.node_key)
        self._move(cell, change.quantity, change.delta_units)

    def _hold(self, change: admin.ReservationHeld) -> None:
        legs = [(self._cell(leg.sku_key, leg.node_key), leg.units) for leg in change.legs]
        if change.reservation_id in self.books.holds:
            self.find(f"seq {self.last_seq} holds reservation {change.reservation_id} again")
        for cell, units in legs:
            if units <= 0:
                self.find(f"seq {self.last_seq} reserves {units} units of {self.name_of(cell)}")
            self._move(cell, _RESERVED, units)
        self.books.holds[change.reservation_id] = Hold(legs, _ns(change.expire_time))

    def _close(self, change: admin.ReservationClosed) -> None:
        hold = self.books.holds.pop(change.reservation_id, None)
        if hold is None:
            self.find(f"seq {self.last_seq} ends reservation {change.reservation_id}, which is not open")
            return
        for cell, units in hold.legs:
            self._move(cell, _RESERVED, -units)
        if change.state == reservations.RESERVATION_STATE_EXPIRED:
            if self._time_ns < hold.expire_ns:
                self.find(f"seq {self.last_seq} lets reservation {change.reservation_id} expire before its time")
        elif self._time_ns >= hold.expire_ns:
            how = reservations.ReservationState.Name(change.state).removeprefix("RESERVATION_STATE_")
            self.find(f"seq {self.last_seq}: reservation {change.reservation_id} is {how}, but had expired")

    def _extend(self, change: admin.ReservationExtended) -> None:
        hold = self.books.holds.get(change.reservation_id)
        if hold is None or self._time_ns >= hold.expire_ns:
            self.find(f"seq {self.last_seq} extends reservation {change.reservation_id}, which is not open")
        else:
            hold.expire_ns = _ns(change.expire_time)

    def _book_order(self, order: orders.Order) -> None:
        key, order_id = (order.channel_key, order.order_key), order.order_id
        if self.books.order_ids.setdefault(key, order_id) != order_id:
            self.duplicate_order_count += 1
            self.find(
                f"seq {self.last_seq}: orders {self.books.order_ids[key]} and {order_id} of {key[0]} are both {key[1]}"
            )
        allocated = short = 0
        for line in order.lines:
            parts = (line.allocated_units, line.fulfilled_units, line.cancelled_units, line.short_units)
            allocated += parts[0]
            short += parts[3]
            if sum(parts) != line.units or min(parts) < 0 or line.returned_units > parts[1]:
                self.find(f"seq {self.last_seq}: units of line {line.line_index} of order {order_id} do not add up")
        if allocated or short:
            self.books.open_orders[order_id] = OpenOrder(allocated, short)
        else:
            self.books.open_orders.pop(order_id, None)

    def _book_work(self, work: fulfillment.FulfillmentOrder) -> None:
        if work.state in _OPEN_WORK:
            if work.fulfillment_order_id not in self.books.work:
                lines = [(self._cell(line.sku_key, work.node_key), line.units) for line in work.lines]
                self.books.work[work.fulfillment_order_id] = lines
        elif self.books.work.pop(work.fulfillment_order_id, None) is None:
            self.find(f"seq {self.last_seq} closes fulfillment order {work.fulfillment_order_id}, which is not open")

    # --- the books ---

    def _cell(self, sku_key: str, node_key: str) -> int:
        cell = self.books.cells.get((sku_key, node_key))
        if cell is None:
            self.find(f"seq {self.last_seq} speaks of the cell {sku_key} at {node_key}, which was never opened")
            cell = self._new_cell((sku_key, node_key))
        return cell

    def _new_cell(self, key: tuple[str, str]) -> int:
        key = (intern(key[0]), intern(key[1]))  # a text once, however many cells name it
        self.books.keys.append(key)
        cell = self.books.cells[key] = len(self.books.free)
        for quantity in _QUANTITIES:
            self.books.columns[quantity].append(0)
        self.books.free.append(0)
        return cell

    def _move(self, cell: int, quantity: int, delta: int) -> None:
        column = self.books.columns[quantity]
        column[cell] = units = column[cell] + delta
        if quantity in {_RESERVED, _ALLOCATED}:
            self._promised[cell] += delta
        self.books.free[cell] += _FREE_SIGN[quantity] * delta
        if units < 0 and quantity != _ON_HAND:
            self._suspects.add((cell, quantity))

    def _check_promises(self, event: admin.Event) -> None:
        """More units promised in a cell than were free in it: oversold. Looked at when the decision is whole, for it is one instant."""
        free = self.books.free
        for cell, units in self._promised.items():
            if units <= 0:
                continue
            self.promise_count += 1
            if free[cell] < 0:
                beyond = min(units, -free[cell])
                self.oversold_units += beyond
                self.find(
                    f"seq {event.journal_seq}: {event.command} {event.request_id} promises {units} units of {self.name_of(cell)}, "
                    f"{beyond} more than were free"
                )
        self._promised.clear()

    def _check_suspects(self, event: admin.Event) -> None:
        for cell, quantity in self._suspects:
            if self.books.columns[quantity][cell] < 0:
                name = types.Quantity.Name(quantity)
                self.find(
                    f"seq {event.journal_seq}: {name} of {self.name_of(cell)} is {self.books.columns[quantity][cell]}"
                )
        self._suspects.clear()


def _ns(stamp: Any) -> int:
    return int(stamp.seconds * _NS + stamp.nanos)
