"""What a wave works on: the orders whose work still floats, as questions of the router, with what they take now.

Read from the pool a little at a time, as everything is that planning needs. An order that changes meanwhile is found out when its move is
decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import numpy as np

from engine.core.claims import Planner
from engine.core.overlay import Overlay
from engine.core.rerouting import cells_of, floating_work, question_of
from engine.core.waiting import asked_again
from engine.kernels import columns as c
from engine.kernels.workspace import Question
from engine.kernels.zones import Integers
from engine.model.orders import FulfillmentOrder, Order
from engine.model.outcomes import Outcome
from engine.planning.problem import Orders, stacked
from engine.pool.pool import Pool

WORK_A_LOOK: Final = 5_000
"""Fulfillment orders that are looked through while the writer waits."""
ORDERS_A_LOOK: Final = 40
"""Orders whose questions are made while it waits: each is routed once."""


class Sought(NamedTuple):
    """Which orders a wave looks at."""

    channel_index: int = -1
    """−1: of every channel."""
    with_released: bool = False
    """Also work that its node was asked to do. Work at a node that has closed is looked at in any case."""


class Found(NamedTuple):
    """Orders with floating work. ``next_node``: where to read on, −1 when that was all."""

    order_ids: list[int]
    next_node: int


class Floats(NamedTuple):
    """Some orders as a wave sees them. What order i takes now: ``units[j]`` of the cell ``keys[j]`` (sku << SLOT_BITS | node), j in
    takes_first[i] .. takes_first[i + 1] − 1.
    """

    order_ids: list[int]
    work_ids: list[tuple[int, ...]]
    """The floating work that was seen."""
    orders: Orders
    """SKUs are those of the store."""
    keys: Integers
    units: Integers
    takes_first: Integers
    left_out: int
    """Orders that no node can serve in full now: they stay where they are."""


def read_found(pool: Pool, now_ns: int, first_node: int, sought: Sought) -> Found:
    """Look through the open work of nodes from ``first_node`` on."""
    order_ids: dict[int, None] = {}
    count = 0
    for node_index in range(first_node, len(pool.network.nodes)):
        if count >= WORK_A_LOOK:
            return Found(list(order_ids), node_index)
        closed = pool.network.nodes[node_index].closed
        for work in pool.orders.work_of_node(node_index):
            count += 1
            if _is_sought(pool, work, sought, now_ns, closed=closed):
                order_ids[work.order_id] = None
    return Found(list(order_ids), -1)


def _is_sought(pool: Pool, work: FulfillmentOrder, sought: Sought, now_ns: int, *, closed: bool) -> bool:
    if not work.floats or not (closed or sought.with_released or work.release_ns > now_ns):
        return False
    return sought.channel_index in (-1, pool.orders.orders[work.order_id].channel_index)


def read_floats(pool: Pool, planner: Planner, order_ids: Iterable[int]) -> Floats:
    """Orders by their ids, those that still float."""
    seen, work_ids = [], []
    questions: list[Question] = []
    keys: list[int] = []
    units: list[int] = []
    takes_first = [0]
    left_out = 0
    for order_id in order_ids:
        order = pool.orders.orders.get(order_id)
        work = floating_work(pool, order) if order is not None else ()
        if order is None or not work:
            continue
        question = asked_of(pool, planner, order, work)
        if question is None:
            left_out += 1
            continue
        questions.append(question)
        seen.append(order_id)
        work_ids.append(tuple([each.fulfillment_order_id for each in work]))
        for slot, count in cells_of(work):
            keys.append(int(pool.state[0][c.KEY, slot]))
            units.append(count)
        takes_first.append(len(keys))
    columns = [np.array(each, np.int64) for each in (keys, units, takes_first)]
    return Floats(seen, work_ids, stacked(questions), columns[0], columns[1], columns[2], left_out)


def read_served(pool: Pool, planner: Planner, order_ids: Iterable[int]) -> list[int]:
    """Those of some orders with short units that would get any now. An order on hold waits for a person."""
    served = []
    for order_id in order_ids:
        order = pool.orders.orders.get(order_id)
        if (
            order is not None
            and order.short_units
            and not order.on_hold
            and planner.plan(asked_again(pool, order)).legs
        ):
            served.append(order_id)
    return served


def asked_of(pool: Pool, planner: Planner, order: Order, work: Sequence[FulfillmentOrder]) -> Question | None:
    """The router's question for the floating units of an order by the rule that would decide now; None: no rule serves it in full."""
    overlay = Overlay(pool, planner)
    overlay.give_back(work)
    asked, _ = question_of(pool, order, work)
    return planner.last_question() if overlay.plan(asked).outcome == Outcome.OK else None


def joined_floats(parts: Sequence[Floats]) -> Floats:
    """All of them, by order id."""
    rows = [(each.order_ids[at], each, at) for each in parts for at in range(len(each.order_ids))]
    rows.sort(key=lambda row: row[0])
    takes = [slice(each.takes_first[at], each.takes_first[at + 1]) for _, each, at in rows]
    none = np.zeros(0, np.int64)
    return Floats(
        [order_id for order_id, _, _ in rows],
        [each.work_ids[at] for _, each, at in rows],
        stacked(each.orders.question(at) for _, each, at in rows),
        np.concatenate([none, *(each.keys[own] for (_, each, _), own in zip(rows, takes, strict=True))]),
        np.concatenate([none, *(each.units[own] for (_, each, _), own in zip(rows, takes, strict=True))]),
        np.cumsum([0, *(own.stop - own.start for own in takes)]).astype(np.int64),
        sum(each.left_out for each in parts),
    )


def chosen_floats(floats: Floats, places: Integers, sku_indexes: Integers) -> Floats:
    """Some of the orders, by their places; ``sku_indexes``, ascending: SKU i of the lines is the store's ``sku_indexes[i]`` from now on."""
    chosen = places.tolist()
    takes = [slice(floats.takes_first[at], floats.takes_first[at + 1]) for at in chosen]
    orders = stacked(floats.orders.question(at) for at in chosen)
    orders.lines[:, c.LINE_SKU] = np.searchsorted(sku_indexes, orders.lines[:, c.LINE_SKU])
    none = np.zeros(0, np.int64)
    return Floats(
        [floats.order_ids[at] for at in chosen],
        [floats.work_ids[at] for at in chosen],
        orders,
        np.concatenate([none, *(floats.keys[own] for own in takes)]),
        np.concatenate([none, *(floats.units[own] for own in takes)]),
        np.cumsum([0, *(own.stop - own.start for own in takes)]).astype(np.int64),
        0,
    )
