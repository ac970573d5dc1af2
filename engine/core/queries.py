"""Answering queries: reads of the present state, by the same code that decides."""

from typing import Any

import numpy as np

from engine.core.claims import reply_legs
from engine.kernels import columns as c
from engine.kernels.batches import PICKUP_NEEDS
from engine.kernels.offers import find_offers
from engine.kernels.questions import SHIP_NEEDS
from engine.model import answers as a
from engine.model import queries as q
from engine.model import replies as r
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import FulfillmentKind, FulfillmentState, Outcome, Quantity, ReservationState, StockReason
from engine.model.prices import PricePlan
from engine.pool.offers import View
from engine.pool.pool import Pool

OPEN_STATES = (FulfillmentState.OPEN, FulfillmentState.ACCEPTED, FulfillmentState.READY_FOR_PICKUP)


def get_availability(pool: Pool, query: q.GetAvailability) -> a.AvailabilityAnswer:
    """ATS of SKUs for a channel, all at one instant."""
    names = pool.names
    channel = names.channels.find(query.channel_key)
    if channel < 0:
        return a.AvailabilityAnswer(Outcome.UNKNOWN_CHANNEL, query.channel_key)
    node = -1
    if query.node_key:
        node = names.nodes.find(query.node_key)
        if node < 0:
            return a.AvailabilityAnswer(Outcome.UNKNOWN_NODE, query.node_key)
    view = np.array(view_of(channel, query.kind, node), dtype=np.int64)
    found = np.empty((2, len(query.sku_keys)), dtype=np.int64)
    found[0] = [names.skus.find(key) for key in query.sku_keys]
    threshold = pool.network.channels[channel].threshold_units
    find_offers(pool.stock.arrays, pool.network.node_rows, view, threshold, found)
    rows = zip(query.sku_keys, *found.tolist(), strict=True)
    return a.AvailabilityAnswer(
        Outcome.OK, "", tuple([_availability(pool, row, (channel, node), query.with_cells) for row in rows])
    )


def view_of(channel_index: int, kind: FulfillmentKind, node_index: int = -1) -> View:
    """A channel as kernels know it that asks for a kind of fulfilment, at all of its nodes or at one."""
    needs = PICKUP_NEEDS if kind == FulfillmentKind.PICKUP else SHIP_NEEDS
    return View(channel_index, needs, node_index)


def _availability(pool: Pool, row: tuple[str, int, int], at: tuple[int, int], with_cells: bool) -> a.SkuAvailability:
    sku_key, sku, units = row
    if sku < 0:
        return a.SkuAvailability(sku_key, Outcome.UNKNOWN_SKU, -1, 0, ())
    cells: list[r.Cell] = []
    if with_cells:
        channel, node = at
        if node >= 0:
            slots = [pool.stock.find(sku, node)]
        else:
            slots = [slot for place, slot in pool.stock.cells_of(sku) if pool.network.serves(place, channel)]
        cells = [pool.stock.cell(slot) for slot in slots if slot >= 0]
    return a.SkuAvailability(sku_key, Outcome.OK, sku, units, tuple(cells))


def get_indexes(pool: Pool, query: q.GetIndexes) -> a.IndexesAnswer:
    """The indexes of keys, and what says that they are this store's."""
    names = pool.names
    return a.IndexesAnswer(
        Outcome.OK,
        "",
        names.directory(),
        tuple(map(names.skus.find, query.sku_keys)),
        tuple(map(names.nodes.find, query.node_keys)),
    )


def get_reservation(pool: Pool, query: q.GetReservation) -> a.ReservationAnswer:
    """A reservation as it stands; expiry has been swept before any query is answered."""
    found = pool.reservations.get(query.reservation_id)
    if found is None:
        return a.ReservationAnswer(Outcome.UNKNOWN_RESERVATION, str(query.reservation_id))
    return a.ReservationAnswer(
        Outcome.OK, "", found.reservation_id, found.state, found.channel_index, found.kind, found.created_ns,
        found.expires_ns, reply_legs(pool, found.legs) if found.state == ReservationState.HELD else (),
        found.due_day,
    )  # fmt: skip


def get_order(pool: Pool, query: q.GetOrder) -> a.OrderAnswer:
    """An order by id, or by its channel's key."""
    order_id, subject = query.order_id, str(query.order_id)
    if not order_id:
        subject = query.order_key
        channel = pool.names.channels.find(query.channel_key)
        if channel < 0:
            return a.OrderAnswer(Outcome.UNKNOWN_CHANNEL, query.channel_key)
        order_id = pool.orders.order_of_key(channel, query.order_key)
    order = pool.orders.orders.get(order_id)
    return a.OrderAnswer(Outcome.OK, "", order) if order else a.OrderAnswer(Outcome.UNKNOWN_ORDER, subject)


def list_work(pool: Pool, query: q.ListFulfillmentOrders, now_ns: int) -> a.FulfillmentOrdersAnswer:
    """Fulfillment orders of a node or of an order, by id."""
    states = query.states or (() if query.order_id else OPEN_STATES)
    node = -1
    if query.node_key or query.ship_to_node_key:
        node = pool.names.nodes.find(query.node_key or query.ship_to_node_key)
        if node < 0:
            return a.FulfillmentOrdersAnswer(Outcome.UNKNOWN_NODE, query.node_key or query.ship_to_node_key)
    if query.order_id:
        order = pool.orders.orders.get(query.order_id)
        if order is None:
            return a.FulfillmentOrdersAnswer(Outcome.UNKNOWN_ORDER, str(query.order_id))
        source = pool.orders.work_of_order(order)
    elif query.ship_to_node_key:
        source = iter(sorted(pool.orders.bound_for(node), key=lambda work: work.fulfillment_order_id))
    elif set(states) <= set(OPEN_STATES):
        source = pool.orders.work_of_node(node)
    else:
        source = iter(pool.orders.fulfillment_orders.values())
    page = []
    for work in source:
        fits = work.fulfillment_order_id > query.after_id and (not states or work.state in states)
        fits = fits and (query.with_unreleased or work.release_ns <= now_ns or work.state != FulfillmentState.OPEN)
        if fits and (node < 0 or query.ship_to_node_key or work.node_index == node):
            page.append(work)
            if len(page) > query.limit:
                break
    more = len(page) > query.limit
    page = page[: query.limit]
    keys = tuple(pool.orders.orders[work.order_id].order_key for work in page)
    return a.FulfillmentOrdersAnswer(Outcome.OK, "", tuple(page), keys, more)


def find_owners(pool: Pool, query: q.FindOwners) -> a.OwnersAnswer:
    """Whose things are; looked up one by one, whatever else the store remembers."""
    order = pool.orders.orders.get(query.order_id)
    work = pool.orders.fulfillment_orders.get(query.fulfillment_order_id)
    return a.OwnersAnswer(
        Outcome.OK, "", pool.reservations.channel_of(query.reservation_id),
        order.channel_index if order else -1, _owner(work) if work else -1,
    )  # fmt: skip


def _owner(work: FulfillmentOrder) -> int:
    """Whose turn it is: the node's that does the work, or the store's that its parcel goes to."""
    on_the_way = work.store_node_index >= 0 and work.state not in OPEN_STATES
    return work.store_node_index if on_the_way else work.node_index


def list_movements(pool: Pool, query: q.ListMovements) -> a.MovementsAnswer:
    """Physical movements of a cell, newest first."""
    sku, node = pool.names.skus.find(query.sku_key), pool.names.nodes.find(query.node_key)
    if sku < 0:
        return a.MovementsAnswer(Outcome.UNKNOWN_SKU, query.sku_key)
    if node < 0:
        return a.MovementsAnswer(Outcome.UNKNOWN_NODE, query.node_key)
    slot = pool.stock.find(sku, node)
    entries = pool.movements(slot, query.before, query.limit + 1) if slot >= 0 else []
    rows = tuple(
        a.MovementRow(position, seq, ns, Quantity(row + 1), delta, balance, StockReason(reason))
        for position, seq, ns, row, delta, balance, reason in entries[: query.limit]
    )
    return a.MovementsAnswer(Outcome.OK, "", rows, len(entries) > query.limit)


def _registries(pool: Pool) -> dict[str, tuple[list[Any], dict[str, int], Outcome]]:
    names, network = pool.names, pool.network
    drafts = list(network.rulebook.drafts.values())
    policies = [*network.policies.values(), *drafts]
    keys = {key: index for index, key in enumerate(network.policies)}
    draft_keys = {policy.policy_key: index for index, policy in enumerate(drafts)}
    return {
        "node": (network.nodes, names.nodes.index_of, Outcome.UNKNOWN_NODE),
        "sku": (network.skus, names.skus.index_of, Outcome.UNKNOWN_SKU),
        "channel": (network.channels, names.channels.index_of, Outcome.UNKNOWN_CHANNEL),
        "rate_card": (network.rate_cards, names.services.index_of, Outcome.UNKNOWN_SERVICE),
        "policy": (policies, keys, Outcome.UNKNOWN_POLICY),
        "policy_draft": (drafts, draft_keys, Outcome.UNKNOWN_POLICY),
    }


def get_entry(pool: Pool, query: q.GetEntry) -> a.EntriesAnswer:
    """One entry of the network."""
    if query.kind == "zone_chart":
        return a.EntriesAnswer(Outcome.OK, "", (pool.network.zone_chart,))
    entries, index_of, unknown = _registries(pool)[query.kind]
    index = index_of.get(query.key, -1)
    return a.EntriesAnswer(Outcome.OK, "", (entries[index],)) if index >= 0 else a.EntriesAnswer(unknown, query.key)


def list_entries(pool: Pool, query: q.ListEntries) -> a.EntriesAnswer:
    """Entries of one kind by index, ``after`` itself not included (−1: from the first)."""
    entries = _registries(pool)[query.kind][0]
    first = query.after + 1
    page = tuple(entries[first : first + query.limit])
    last = first + len(page) - 1
    return a.EntriesAnswer(Outcome.OK, "", page, last if last + 1 < len(entries) else -1)


def age_ns(plan: PricePlan | None, now_ns: int) -> int:
    """How old the prices of a plan are; 0 when there is none."""
    return max(now_ns - plan.set_ns, 0) if plan else 0


def get_status(pool: Pool, now_ns: int) -> a.StatusAnswer:
    """Counts and totals; each is kept by apply, none is summed up here."""
    status = q.Status(
        node_count=len(pool.names.nodes),
        sku_count=len(pool.names.skus),
        channel_count=len(pool.names.channels),
        cell_count=pool.counter(c.CELLS_OPEN),
        on_hand_units=pool.total(c.ON_HAND),
        reserved_units=pool.total(c.RESERVED),
        allocated_units=pool.total(c.ALLOCATED),
        available_units=pool.counter(c.AVAILABLE),
        shortage_units=pool.counter(c.SHORTAGE),
        shortage_cell_count=pool.counter(c.SHORTAGE_CELLS),
        short_order_units=pool.orders.short_units,
        open_reservation_count=pool.counter(c.RESERVATIONS_OPEN),
        open_order_count=pool.orders.open_order_count,
        open_fulfillment_order_count=pool.orders.open_fulfillment_order_count,
    )
    plan = pool.network.price_plan
    return a.StatusAnswer(Outcome.OK, "", status, plan, age_ns(plan, now_ns))
