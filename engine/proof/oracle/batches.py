"""Batches of releases, adjustments and commits, one item after the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engine.model import commands as m
from engine.model.outcomes import Outcome, Quantity
from engine.model.replies import BatchReply
from engine.proof.oracle import orders, reservations, stock
from engine.proof.oracle.state import Choice, State

OK = Outcome.OK


def _columns(rows: Iterable[tuple[int, int]]) -> bytes:
    """Outcome and one number an item, and three that are 0."""
    return b"".join(int(value).to_bytes(8, "little", signed=True) for row in rows for value in (*row, 0, 0, 0))


def release(state: State, command: m.BatchRelease) -> BatchReply:
    """Reservations of the channel are released; what is another's is not known."""
    if command.channel_key not in state.channels:
        return BatchReply(Outcome.UNKNOWN_CHANNEL, command.channel_key)
    rows = []
    for reservation_id in command.reservation_ids:
        hold = reservations.find(state, reservation_id)
        outcome = Outcome.UNKNOWN_RESERVATION
        if hold is not None and hold.channel == command.channel_key:
            outcome = reservations.release(state, m.ReleaseReservation("", 0, reservation_id)).outcome
        rows.append((outcome, 0))
    return BatchReply(OK, "", _columns(rows))


def commit(state: State, command: m.BatchCommit, choices: Iterator[Choice]) -> BatchReply:
    """Each reservation becomes an order of all that it holds."""
    if command.channel_key not in state.channels:
        return BatchReply(Outcome.UNKNOWN_CHANNEL, command.channel_key)
    rows = []
    customers = command.customer_keys or ("",) * len(command.order_keys)
    for reservation_id, key, customer in zip(command.reservation_ids, command.order_keys, customers, strict=True):
        one = m.PlaceOrder("", 0, command.channel_key, key, customer, (), reservation_id)
        reply = orders.place(state, one, choices)
        rows.append((reply.outcome, reply.order.order_id if reply.order else reply.existing_order_id))
    return BatchReply(OK, "", _columns(rows))


def adjust(state: State, command: m.BatchAdjustStock) -> BatchReply:
    """Each row is an adjustment, decided before any is made, for all of them may be refused together."""
    rows = [
        m.AdjustStock("", 0, sku, node, command.quantity, delta, command.reason)
        for sku, node, delta in zip(
            command.sku_keys,
            _spread(command.node_keys, len(command.sku_keys)),
            _spread(command.delta_units, len(command.sku_keys)),
            strict=True,
        )
    ]
    judged = list(_judged(state, rows))
    outcomes = [outcome for outcome, _ in judged]
    if command.all_or_nothing and any(outcome != OK for outcome in outcomes):
        told = [(Outcome.BATCH_REFUSED if outcome == OK else outcome, 0) for outcome in outcomes]
        return BatchReply(Outcome.BATCH_REFUSED, "", _columns(told))
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome == OK:
            stock.adjust(state, row)
    return BatchReply(OK, "", _columns(judged))


def _judged(state: State, rows: Iterable[m.AdjustStock]) -> Iterator[tuple[Outcome, int]]:
    """Outcome of each row, and the quantity after it."""
    running: dict[tuple[str, str], int] = {}
    for row in rows:
        pair = row.sku_key, row.node_key
        if row.sku_key not in state.skus:
            yield Outcome.UNKNOWN_SKU, 0
        elif row.node_key not in state.nodes:
            yield Outcome.UNKNOWN_NODE, 0
        else:
            units = running.get(pair, state.units(pair, row.quantity))
            if row.delta_units < 0 and units + row.delta_units < 0:
                yield Outcome.INSUFFICIENT_STOCK, units
                continue
            if pair not in running and pair not in state.cells and row.quantity == Quantity.SAFETY_STOCK:
                units += state.nodes[row.node_key].default_safety_stock_units
            running[pair] = units + row.delta_units
            yield OK, running[pair]


def _spread(column: m.Numbers, rows: int) -> list[Any]:
    return list(column) * rows if len(column) == 1 else list(column)
