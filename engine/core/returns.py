"""Deciding returns: where goods go back to, and what they become when they arrive."""

import numpy as np

from engine.core.claims import node_refusal
from engine.core.draft import Draft
from engine.core.stock import open_cells
from engine.kernels import columns as c
from engine.model.commands import AuthorizeReturn, ReceiveReturn
from engine.model.decisions import Document, EffectRow
from engine.model.orders import Order, Return, ReturnLine
from engine.model.outcomes import Disposition, Outcome, ReturnState, StockReason
from engine.model.replies import ReturnReply
from engine.pool.pool import Pool
from engine.pool.stock import CapacityExhausted, move

RETURN_NEEDS = c.FLAG_OPEN | c.FLAG_RETURNS

UNAVAILABLE_ROW = {Disposition.REFURBISH: c.IN_RETURN, Disposition.QUARANTINE: c.QUALITY_CONTROL}
ON_HAND_AFTER = (Disposition.RESTOCK, Disposition.REFURBISH, Disposition.QUARANTINE)


def decide_authorize(pool: Pool, command: AuthorizeReturn, now_ns: int) -> Draft:
    """Expect goods back at the cheapest node that takes them, or where the buyer brings them."""
    channel = pool.names.channels.find(command.channel_key)
    if channel < 0:
        return Draft(ReturnReply(Outcome.UNKNOWN_CHANNEL, command.channel_key))
    resolved = _goods(pool, command, channel)
    if isinstance(resolved, ReturnReply):
        return Draft(resolved)
    order, goods = resolved
    chosen = _choose_node(pool, command, channel, goods)
    if isinstance(chosen, ReturnReply):
        return Draft(chosen)
    node, cost = chosen
    try:
        slots, effects = open_cells(pool, [(sku, node) for _, sku, _ in goods])
    except CapacityExhausted as full:
        return Draft(ReturnReply(Outcome.CAPACITY_EXHAUSTED, full.limit))
    # From here on nothing may fail.
    lines = tuple(ReturnLine(line, sku, slot, units) for (line, sku, units), slot in zip(goods, slots, strict=True))
    effects += [move(line.slot, c.INCOMING, line.authorised_units, StockReason.RETURN) for line in lines]
    record = Return(pool.orders.next_return_id, command.order_id, node, ReturnState.AUTHORISED, lines, cost, now_ns)
    documents: tuple[Document, ...] = (record,) if order is None else (record, order)
    return Draft(ReturnReply(Outcome.OK, "", record), effects, documents)


def _goods(
    pool: Pool, command: AuthorizeReturn, channel: int
) -> tuple[Order | None, list[tuple[int, int, int]]] | ReturnReply:
    """(order line or −1, SKU, units) of each line, and the order with the units marked as returned."""
    goods = []
    if not command.order_id:
        for _, sku_key, units in command.lines:
            sku = pool.names.skus.find(sku_key)
            if sku < 0:
                return ReturnReply(Outcome.UNKNOWN_SKU, sku_key)
            goods.append((-1, sku, units))
        return None, goods
    order = pool.orders.orders.get(command.order_id)
    if order is None or order.channel_index != channel:
        return ReturnReply(Outcome.UNKNOWN_ORDER, str(command.order_id))
    lines = list(order.lines)
    for index, _, _ in command.lines:
        if index >= len(lines):
            return ReturnReply(Outcome.UNKNOWN_LINE, str(index))
    for index, _, units in command.lines:
        line = lines[index]
        if units > line.fulfilled_units - line.returned_units:
            return ReturnReply(Outcome.UNITS_EXCEEDED, str(index))
        lines[index] = line._replace(returned_units=line.returned_units + units)
        goods.append((index, line.sku_index, units))
    return order._replace(lines=tuple(lines)), goods


def _choose_node(
    pool: Pool, command: AuthorizeReturn, channel: int, goods: list[tuple[int, int, int]]
) -> tuple[int, int] | ReturnReply:
    """Node and cost: Σ carrier (zone, weight) + handling of each unit, least first, ties to the lower node."""
    network = pool.network
    units = sum(count for _, _, count in goods)
    if command.drop_off_node_key:
        node = pool.names.nodes.find(command.drop_off_node_key)
        if node < 0:
            return ReturnReply(Outcome.UNKNOWN_NODE, command.drop_off_node_key)
        refusal = node_refusal(pool, node, channel, c.FLAG_RETURNS)
        if refusal:
            return ReturnReply(refusal, command.drop_off_node_key)
        return node, units * network.nodes[node].unit_cost_micros
    region = network.region_of(command.postal_code)
    if region < 0:
        return ReturnReply(Outcome.UNKNOWN_DESTINATION, command.postal_code)
    service_key = command.service_key or network.policy_of(channel).default_service_key
    service = pool.names.services.find(service_key)
    if service < 0:
        return ReturnReply(Outcome.UNKNOWN_SERVICE, service_key)
    nodes = network.candidates(channel, RETURN_NEEDS)
    grams = sum(network.skus[sku].weight_grams * count for _, sku, count in goods)
    by_zone = np.array([network.carrier_micros(service, zone, grams) for zone in range(network.rates.shape[1])])
    carrier = by_zone[network.zones[region, nodes]]
    nodes, carrier = nodes[carrier >= 0], carrier[carrier >= 0]
    if not nodes.size:
        return ReturnReply(Outcome.NO_RETURN_NODE)
    costs = carrier + units * network.node_rows[c.NODE_UNIT_COST, nodes]
    best = int(np.argmin(costs))
    return int(nodes[best]), int(costs[best])


def decide_receive(pool: Pool, command: ReceiveReturn) -> Draft:
    """Goods arrived, here or where they were expected; what is restocked is sellable in this very decision."""
    goods = pool.orders.returns.get(command.return_id)
    node = pool.names.nodes.find(command.node_key) if command.node_key else -1
    if command.node_key and node < 0:
        return Draft(ReturnReply(Outcome.UNKNOWN_NODE, command.node_key))
    if goods is None:
        return Draft(ReturnReply(Outcome.UNKNOWN_RETURN, str(command.return_id)))
    if node < 0:
        node = goods.node_index
    lines = list(goods.lines)
    for item in command.items:
        if item.line_index >= len(lines):
            return Draft(ReturnReply(Outcome.UNKNOWN_LINE, str(item.line_index), goods))
    if goods.state == ReturnState.RECEIVED:
        return Draft(ReturnReply(Outcome.INVALID_TRANSITION, goods.state.name, goods))
    for item in command.items:
        line = lines[item.line_index]
        if item.units > line.expected_units:
            return Draft(ReturnReply(Outcome.UNITS_EXCEEDED, str(item.line_index), goods))
        restocked = item.units if item.disposition == Disposition.RESTOCK else 0
        lines[item.line_index] = line._replace(
            received_units=line.received_units + item.units, restocked_units=line.restocked_units + restocked
        )
    try:
        slots, effects = open_cells(pool, [(goods.lines[item.line_index].sku_index, node) for item in command.items])
    except CapacityExhausted as full:
        return Draft(ReturnReply(Outcome.CAPACITY_EXHAUSTED, full.limit, goods))
    # From here on nothing may fail.
    for item, slot in zip(command.items, slots, strict=True):
        effects += _arrival(goods.lines[item.line_index].slot, slot, item.units, item.disposition)
    complete = not any(line.expected_units for line in lines)
    state = ReturnState.RECEIVED if complete else ReturnState.PARTLY_RECEIVED
    after = goods._replace(lines=tuple(lines), state=state)
    return Draft(ReturnReply(Outcome.OK, "", after), effects, (after,))


def _arrival(expected_slot: int, slot: int, units: int, disposition: Disposition) -> list[EffectRow]:
    effects = [move(expected_slot, c.INCOMING, -units, StockReason.RETURN)]
    if disposition in ON_HAND_AFTER:
        effects.append(move(slot, c.ON_HAND, units, StockReason.RETURN))
    if disposition in UNAVAILABLE_ROW:
        effects.append(move(slot, UNAVAILABLE_ROW[disposition], units, StockReason.RETURN))
    return effects
