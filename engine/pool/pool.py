"""The live state: columns for kernels, records for people, one way to change either."""

from collections.abc import Callable
from typing import Any

import numpy as np

from engine.kernels import columns as c
from engine.kernels.effects import apply_effects
from engine.kernels.zones import Integers, State
from engine.model import decisions
from engine.model.decisions import Document, Run
from engine.model.limits import Limits
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.pool.changes import Changes
from engine.pool.memory import blank
from engine.pool.names import Names
from engine.pool.network import Network
from engine.pool.orders import OrderBook
from engine.pool.promise import Promises
from engine.pool.reservations import Reservations
from engine.pool.stock import Stock


class Pool:
    """One stock pool. ``apply``, or ``apply_run`` for many at once, is all that changes anything; everything else reads."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.seq = 0
        """Sequence of the last decision; kept by the machine."""
        self.state = empty_state(limits)
        self.names = Names(self.state[0])
        self.network = Network(limits, self.names)
        self.stock = Stock(self.state, limits.cells_max)
        self.reservations = Reservations(self.state, limits)
        self.orders = OrderBook(limits)
        self.promises = Promises(limits, self.network, self.state[9])
        self.changes = Changes(self.state)
        """For those who watch; not part of the state."""
        # Nothing here points back to the pool: one that is no longer needed is freed at once, with its gigabytes.
        network, names, orders, skus = self.network, self.names, self.orders, self.state[1]
        self._put: dict[type[Any], Callable[[Any], None]] = {
            decisions.NodePut: lambda put: network.put_node(put.at, put.node),
            decisions.SkuPut: lambda put: put_sku(network, skus, put),
            decisions.ChannelPut: lambda put: network.put_channel(put.at, put.channel),
            decisions.RateCardPut: lambda put: network.put_rate_card(put.at, put.rate_card),
            decisions.ZoneChartPut: lambda put: network.put_zone_chart(put.zone_chart),
            decisions.PolicyPut: lambda put: network.put_policy(put.policy),
            decisions.PricePlanPut: lambda put: network.put_price_plan(put.price_plan),
            decisions.SourcePut: lambda put: names.sources.put(put.at, put.source_key),
            Order: orders.put_order,
            FulfillmentOrder: orders.put_fulfillment_order,
            Return: orders.put_return,
        }

    def counter(self, field: int) -> int:
        """One scalar of the state, see ``kernels.columns``."""
        return int(self.state[8][field])

    def total(self, row: int) -> int:
        """Sum of a quantity over all cells."""
        return self.counter(c.TOTAL_FIRST + row)

    def apply(self, effects: Integers | None, documents: tuple[Document, ...]) -> None:
        """Fold a decision into the state: numbers first, then documents."""
        if effects is not None:
            apply_effects(self.state, effects)
        for document in documents:
            self._put[type(document)](document)

    def apply_run(self, run: Run) -> None:
        """Fold consecutive decisions into the state, to the same end as ``apply`` on each."""
        self.apply(run.effects, run.documents)
        # Work first: when an order is forgotten, so is its work.
        self.orders.put_stored_work(run.fulfillment_orders)
        self.orders.put_stored_orders(run.orders)
        self.orders.put_stored_returns(run.returns)

    def movements(self, slot: int, before: int, limit: int) -> list[list[int]]:
        """Entries of the movement ring for a cell, newest first: ``[position, seq, ns, row, delta, balance, reason]``.

        ``before`` 0 starts with the newest, else only positions below it. Ends where the ring was overwritten.
        """
        ring = self.state[6]
        oldest = self.counter(c.MOVEMENT_NEXT) - ring.shape[1]
        position = int(self.state[0][c.MOVED, slot]) - 1
        found: list[list[int]] = []
        while position >= max(oldest, 0) and len(found) < limit:
            seq, ns, _, row, delta, balance, reason, previous = ring[:, position % ring.shape[1]].tolist()
            if not before or position < before:
                found.append([position, seq, ns, row, delta, balance, reason])
            position = previous - 1
        return found


def put_sku(network: Network, skus: Integers, put: decisions.SkuPut) -> None:
    """The SKU is now this, for people and for kernels."""
    network.put_sku(put.at, put.sku)
    skus[c.SKU_MARGIN, put.at] = put.sku.unit_margin_micros


def effect_matrix(seq: int, now_ns: int, rows: list[decisions.EffectRow] | Integers) -> Integers | None:
    """Effects of a decision as a matrix that starts with its OP_AT; ``None`` when there are none.

    A matrix that comes in keeps its first row free for OP_AT.
    """
    at = (c.OP_AT, seq, now_ns, 0, 0, 0)
    if isinstance(rows, np.ndarray):
        if len(rows) < 2:
            return None
        rows[0] = at
        return rows
    return np.array([at, *rows], dtype=np.int64) if rows else None


def empty_state(limits: Limits) -> State:
    """Columns at the maximum that ``limits`` allow. Pages that are never touched cost nothing, unless all are taken at once (``pool.memory``).

    Reservations get twice the columns, so that a free one is always near. Chunks of the index double and leave theirs to
    others: four entries a cell are what the worst order of arrival needs.
    """
    columns = 2 * limits.open_reservations_max
    counters = np.zeros(c.COUNTERS, dtype=np.int64)
    counters[c.RESERVATION_NEXT] = 1
    return (
        blank(c.CELL_ROWS, limits.cells_max),
        blank(c.SKU_ROWS, limits.skus_max),
        blank(4 * limits.cells_max + c.CHUNK_MIN * limits.skus_max),
        blank(c.RES_ROWS, columns),
        blank(c.HELD_ROWS, limits.reservation_legs_max),
        blank(c.EXPIRY_ROWS, 2 * columns),
        blank(c.MOVEMENT_ROWS, limits.movements_remembered),
        np.zeros(
            (limits.sources_max, limits.cells_max), dtype=np.int64
        ),  # few sources are ever used: never taken at once
        counters,
        blank(c.CAPACITY_ROWS, c.CAPACITY_WIDTH * limits.nodes_max),
    )
