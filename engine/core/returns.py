"""Deciding returns: where goods go back to, and what they become when they arrive."""

from collections import defaultdict
from collections.abc import Sequence

from engine.core.claims import node_refusal
from engine.core.draft import Draft
from engine.core.return_nodes import Journey, choose_node
from engine.core.stock import open_cells
from engine.kernels import columns as c
from engine.model.commands import AuthorizeReturn, ReceiveReturn
from engine.model.decisions import Document, EffectRow
from engine.model.orders import Order, ReceivedItem, Return, ReturnLine
from engine.model.outcomes import Disposition, Outcome, ReturnState, StockReason
from engine.model.replies import ReturnReply
from engine.pool.pool import Pool
from engine.pool.stock import CapacityExhausted, move

UNAVAILABLE_ROW = {Disposition.REFURBISH: c.IN_RETURN, Disposition.QUARANTINE: c.QUALITY_CONTROL}
ON_HAND_AFTER = (Disposition.RESTOCK, Disposition.REFURBISH, Disposition.QUARANTINE)


def decide_authorize(pool: Pool, command: AuthorizeReturn, now_ns: int) -> Draft:
    """Expect goods back at the node that `choose_node` says, or where the buyer brings them."""
    channel = pool.names.channels.find(command.channel_key)
    if channel < 0:
        return Draft(ReturnReply(Outcome.UNKNOWN_CHANNEL, command.channel_key))
    for _, sku_key, _ in () if command.order_id else command.lines:
        if pool.names.skus.find(sku_key) < 0:
            return Draft(ReturnReply(Outcome.UNKNOWN_SKU, sku_key))
    journey = _journey(pool, command, channel)
    if isinstance(journey, ReturnReply):
        return Draft(journey)
    refusal = _unknown_order(pool, command, channel)
    if refusal is not None:
        return Draft(refusal)
    unfit = node_refusal(pool, journey.node_index, channel, c.FLAG_RETURNS) if journey.node_index >= 0 else None
    if unfit:
        return Draft(ReturnReply(unfit, command.drop_off_node_key))
    resolved = _goods(pool, command)
    if isinstance(resolved, ReturnReply):
        return Draft(resolved)
    order, goods = resolved
    node, cost = choose_node(pool, journey, channel, [(sku, units) for _, sku, units in goods])
    if node < 0:
        return Draft(ReturnReply(Outcome.NO_RETURN_NODE))
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


def _journey(pool: Pool, command: AuthorizeReturn, channel: int) -> Journey | ReturnReply:
    if command.drop_off_node_key:
        node = pool.names.nodes.find(command.drop_off_node_key)
        return Journey(node) if node >= 0 else ReturnReply(Outcome.UNKNOWN_NODE, command.drop_off_node_key)
    region = pool.network.region_of(command.postal_code)
    if region < 0:
        return ReturnReply(Outcome.UNKNOWN_DESTINATION, command.postal_code)
    service_key = command.service_key or pool.network.policy_of(channel).default_service_key
    service = pool.names.services.find(service_key)
    return Journey(-1, region, service) if service >= 0 else ReturnReply(Outcome.UNKNOWN_SERVICE, service_key)


def _unknown_order(pool: Pool, command: AuthorizeReturn, channel: int) -> ReturnReply | None:
    """The refusal when the channel has no such order, or the order no such line."""
    if not command.order_id:
        return None
    order = pool.orders.orders.get(command.order_id)
    if order is None or order.channel_index != channel:
        return ReturnReply(Outcome.UNKNOWN_ORDER, str(command.order_id))
    for index, _, _ in command.lines:
        if index >= len(order.lines):
            return ReturnReply(Outcome.UNKNOWN_LINE, str(index))
    return None


def _goods(pool: Pool, command: AuthorizeReturn) -> tuple[Order | None, list[tuple[int, int, int]]] | ReturnReply:
    """(order line or −1, SKU, units) of each line, and the order with the units marked as returned."""
    if not command.order_id:
        return None, [(-1, pool.names.skus.find(sku_key), units) for _, sku_key, units in command.lines]
    order = pool.orders.orders[command.order_id]
    lines = list(order.lines)
    goods = []
    for index, _, units in command.lines:
        line = lines[index]
        if units > line.fulfilled_units - line.returned_units:
            return ReturnReply(Outcome.UNITS_EXCEEDED, str(index))
        lines[index] = line._replace(returned_units=line.returned_units + units)
        goods.append((index, line.sku_index, units))
    return order._replace(lines=tuple(lines)), goods


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
    kept = [item for item in command.items if item.disposition in ON_HAND_AFTER]
    try:
        slots, effects = open_cells(pool, [(goods.lines[item.line_index].sku_index, node) for item in kept])
    except CapacityExhausted as full:
        return Draft(ReturnReply(Outcome.CAPACITY_EXHAUSTED, full.limit, goods))
    # From here on nothing may fail.
    effects += _no_longer_incoming(pool, goods, command.items)
    for item, slot in zip(kept, slots, strict=True):
        effects.append(move(slot, c.ON_HAND, item.units, StockReason.RETURN))
        if item.disposition in UNAVAILABLE_ROW:
            effects.append(move(slot, UNAVAILABLE_ROW[item.disposition], item.units, StockReason.RETURN))
    complete = not any(line.expected_units for line in lines)
    state = ReturnState.RECEIVED if complete else ReturnState.PARTLY_RECEIVED
    after = goods._replace(lines=tuple(lines), state=state)
    return Draft(ReturnReply(Outcome.OK, "", after), effects, (after,))


def _no_longer_incoming(pool: Pool, goods: Return, items: Sequence[ReceivedItem]) -> list[EffectRow]:
    """What arrived is not expected any more; what an adjustment wrote off before is not written off twice."""
    units: defaultdict[int, int] = defaultdict(int)
    for item in items:
        units[goods.lines[item.line_index].slot] += item.units
    left = {slot: min(count, pool.stock.units(slot, c.INCOMING)) for slot, count in units.items()}
    return [move(slot, c.INCOMING, -count, StockReason.RETURN) for slot, count in left.items() if count]
