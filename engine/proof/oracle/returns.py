"""Returns: where goods go back to, and what they become."""

from __future__ import annotations

from engine.model import commands as m
from engine.model.orders import Return, ReturnLine
from engine.model.outcomes import Disposition, Outcome, Quantity, ReturnState, StockReason
from engine.model.replies import ReturnReply
from engine.proof.oracle.claims import node_refusal
from engine.proof.oracle.state import Pair, State

KEPT = (Disposition.RESTOCK, Disposition.REFURBISH, Disposition.QUARANTINE)
Goods = list[tuple[int, str, int]]
"""(order line or −1, SKU, units) a line."""


def authorize(state: State, command: m.AuthorizeReturn) -> ReturnReply:
    refusal = _refusal(state, command)
    if refusal is not None:
        return ReturnReply(*refusal)
    order = state.orders.get(command.order_id)
    goods: Goods = []
    lines = list(order.lines) if order else []
    for index, sku, units in command.lines:
        if order:
            line = lines[index]
            if line.returned_units + units > line.fulfilled_units:
                return ReturnReply(Outcome.UNITS_EXCEEDED, str(index))
            lines[index] = line._replace(returned_units=line.returned_units + units)
            goods.append((index, list(state.skus)[line.sku_index], units))
        else:
            goods.append((-1, sku, units))
    node = command.drop_off_node_key
    node, cost = (node, _handling(state, node, goods)) if node else _cheapest(state, command, goods)
    if not node:
        return ReturnReply(Outcome.NO_RETURN_NODE)
    if order:
        state.orders[order.order_id] = order._replace(lines=tuple(lines))
    return ReturnReply(Outcome.OK, "", _expect(state, command.order_id, node, cost, goods))


def _service(state: State, command: m.AuthorizeReturn) -> str:
    policy = state.policies[state.channels[command.channel_key].policy_key]
    return command.service_key or policy.default_service_key


def _refusal(state: State, command: m.AuthorizeReturn) -> tuple[Outcome, str] | None:
    """What is wrong before units are counted."""
    if command.channel_key not in state.channels:
        return Outcome.UNKNOWN_CHANNEL, command.channel_key
    for _, sku, _ in command.lines:
        if not command.order_id and sku not in state.skus:
            return Outcome.UNKNOWN_SKU, sku
    node = command.drop_off_node_key
    if node and node not in state.nodes:
        return Outcome.UNKNOWN_NODE, node
    if not node and not state.region_of(command.postal_code):
        return Outcome.UNKNOWN_DESTINATION, command.postal_code
    if not node and _service(state, command) not in state.rate_cards:
        return Outcome.UNKNOWN_SERVICE, _service(state, command)
    if command.order_id:
        order = state.orders.get(command.order_id)
        if order is None or order.channel_index != state.channel_index(command.channel_key):
            return Outcome.UNKNOWN_ORDER, str(command.order_id)
        for index, _, _ in command.lines:
            if index >= len(order.lines):
                return Outcome.UNKNOWN_LINE, str(index)
    if node:
        unfit = node_refusal(state, node, command.channel_key, offers=state.nodes[node].accepts_returns)
        return (unfit, node) if unfit is not None else None
    return None


def _handling(state: State, node: str, goods: Goods) -> int:
    return state.nodes[node].unit_cost_micros * sum(units for _, _, units in goods)


def _cheapest(state: State, command: m.AuthorizeReturn, goods: Goods) -> tuple[str, int]:
    """Node and cost; an empty key when nobody takes the goods."""
    channel, region, service = command.channel_key, state.region_of(command.postal_code), _service(state, command)
    grams = sum(state.skus[sku].weight_grams * units for _, sku, units in goods)
    best = "", 0
    for node, found in state.nodes.items():
        carrier = state.carrier(service, state.zone(region, node), grams)
        if state.serves(node, channel) and found.accepts_returns and not found.closed and carrier is not None:
            cost = carrier + _handling(state, node, goods)
            if not best[0] or cost < best[1]:
                best = node, cost
    return best


def _expect(state: State, order_id: int, node: str, cost: int, goods: Goods) -> Return:
    pairs: list[Pair] = [(sku, node) for _, sku, _ in goods]
    state.open(pairs)
    lines = []
    for (index, sku, units), pair in zip(goods, pairs, strict=True):
        state.move(pair, Quantity.INCOMING, units, StockReason.RETURN)
        lines.append(ReturnLine(index, state.sku_index(sku), state.place(pair), units))
    found = Return(
        state.next_return_id, order_id, state.node_index(node), ReturnState.AUTHORISED, tuple(lines), cost, state.now_ns
    )
    state.next_return_id += 1
    state.returns[found.return_id] = found
    return found


def receive(state: State, command: m.ReceiveReturn) -> ReturnReply:
    if command.node_key and command.node_key not in state.nodes:
        return ReturnReply(Outcome.UNKNOWN_NODE, command.node_key)
    found = state.returns.get(command.return_id)
    if found is None:
        return ReturnReply(Outcome.UNKNOWN_RETURN, str(command.return_id))
    for item in command.items:
        if item.line_index >= len(found.lines):
            return ReturnReply(Outcome.UNKNOWN_LINE, str(item.line_index), found)
    if found.state == ReturnState.RECEIVED:
        return ReturnReply(Outcome.INVALID_TRANSITION, "RECEIVED", found)
    lines = list(found.lines)
    for item in command.items:
        line = lines[item.line_index]
        if line.received_units + item.units > line.authorised_units:
            return ReturnReply(Outcome.UNITS_EXCEEDED, str(item.line_index), found)
        restocked = item.units if item.disposition == Disposition.RESTOCK else 0
        lines[item.line_index] = line._replace(
            received_units=line.received_units + item.units, restocked_units=line.restocked_units + restocked
        )
    expected_at = list(state.nodes)[found.node_index]
    arrived_at = command.node_key or expected_at
    skus = list(state.skus)
    for item in command.items:
        sku = skus[found.lines[item.line_index].sku_index]
        expected = sku, expected_at
        state.move(
            expected, Quantity.INCOMING, -min(item.units, state.units(expected, Quantity.INCOMING)), StockReason.RETURN
        )
        if item.disposition in KEPT:
            _shelve(state, (sku, arrived_at), item.units, item.disposition)
    complete = all(line.received_units == line.authorised_units for line in lines)
    after = found._replace(lines=tuple(lines), state=ReturnState.RECEIVED if complete else ReturnState.PARTLY_RECEIVED)
    state.returns[after.return_id] = after
    if complete:
        state.closed_returns.append(after.return_id)
        if len(state.closed_returns) > state.limits.closed_orders_remembered:
            del state.returns[state.closed_returns.pop(0)]
    return ReturnReply(Outcome.OK, "", after)


def _shelve(state: State, pair: Pair, units: int, disposition: Disposition) -> None:
    state.open([pair])
    state.move(pair, Quantity.ON_HAND, units, StockReason.RETURN)
    if disposition == Disposition.REFURBISH:
        state.move(pair, Quantity.IN_RETURN, units, StockReason.RETURN)
    if disposition == Disposition.QUARANTINE:
        state.move(pair, Quantity.QUALITY_CONTROL, units, StockReason.RETURN)
