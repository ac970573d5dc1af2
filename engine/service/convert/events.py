"""StreamEvents: a decision of the journal as an event."""

from collections.abc import Callable
from typing import Any

from engine.kernels import columns as c
from engine.model import decisions as d
from engine.model.decisions import Decision
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import CommandKind
from engine.model.replies import FulfillmentReply
from engine.pool.names import Names
from engine.service.convert.fulfillment import fill_fulfillment_order
from engine.service.convert.orders import fill_order
from engine.service.convert.returns import fill_return
from engine.service.convert.wording import fill_time
from stockpool.v1 import admin_pb2 as pb

COMMANDS = {kind: "".join(word.capitalize() for word in kind.name.split("_")) for kind in CommandKind}
"""What an event calls its command: the name of the call."""


def fill_event(event: pb.Event, decision: Decision, names: Names) -> None:
    """One decision: its judgement, then its effects in order, numbers before documents."""
    event.journal_seq = decision.seq
    fill_time(event.time, decision.now_ns)
    event.request_id = decision.request_id
    event.command = COMMANDS[decision.kind]
    event.outcome = int(decision.outcome)  # type: ignore[assignment]
    event.reference = decision.reference
    if decision.effects is not None:
        _fill_numbers(event, decision.effects.tolist(), names)
    if decision.documents:
        keys = {document.order_id: document.order_key for document in decision.documents if isinstance(document, Order)}
        if isinstance(decision.reply, FulfillmentReply) and decision.reply.fulfillment_order is not None:
            keys.setdefault(decision.reply.fulfillment_order.order_id, decision.reply.order_key)
        for document in decision.documents:
            _DOCUMENTS[type(document)](event.effects.add(), document, names, keys)


def _fill_numbers(event: pb.Event, rows: list[list[int]], names: Names) -> None:
    add, skus, nodes, cell = event.effects.add, names.sku_keys, names.node_keys, names.cell
    held: Any = None
    for operation, one, two, three, four, five in rows:
        if operation == c.OP_MOVE:
            if two != c.RESERVED:
                sku, node = cell(one)
                moved = add().stock_moved
                moved.sku_key, moved.node_key = skus[sku], nodes[node]
                moved.quantity, moved.delta_units, moved.reason = two + 1, three, four  # type: ignore[assignment]
        elif operation == c.OP_HOLD:
            held = add().reservation_held
            held.reservation_id = one
            fill_time(held.expire_time, two)
            held.channel_key = names.channel_keys[three]
            held.kind = five & c.META_KIND_MASK
        elif operation == c.OP_LEG:
            sku, node = cell(two)
            held.legs.add(line_index=four, sku_key=skus[sku], node_key=nodes[node], units=three)
        elif operation == c.OP_CLOSE:
            closed = add().reservation_closed
            closed.reservation_id, closed.state = one, two  # type: ignore[assignment]
        elif operation == c.OP_OPEN_CELL:
            opened = add().cell_opened
            opened.sku_key, opened.node_key = skus[one], nodes[two]
        elif operation == c.OP_EXTEND:
            extended = add().reservation_extended
            extended.reservation_id = one
            fill_time(extended.expire_time, two)
        elif operation == c.OP_FEED:
            sku, node = cell(two)
            advanced = add().source_advanced
            advanced.sku_key, advanced.node_key = skus[sku], nodes[node]
            advanced.source_key, advanced.source_seq = names.source_keys[one], three
        elif operation == c.OP_PRICE:
            sku, node = cell(one)
            priced = add().price_set
            priced.sku_key, priced.node_key = skus[sku], nodes[node]
            priced.price_micros, priced.demand_1024ths = two, three


def _order(effect: pb.Effect, document: Any, names: Names, keys: dict[int, str]) -> None:
    del keys
    fill_order(effect.order, document, names)


def _fulfillment_order(effect: pb.Effect, document: Any, names: Names, keys: dict[int, str]) -> None:
    fill_fulfillment_order(effect.fulfillment_order, document, keys.get(document.order_id, ""), names)


def _return(effect: pb.Effect, document: Any, names: Names, keys: dict[int, str]) -> None:
    del keys
    fill_return(effect.return_order, document, names)


def _network(kind: str, key: Callable[[Any], str]) -> Callable[[pb.Effect, Any, Names, dict[int, str]], None]:
    def fill(effect: pb.Effect, document: Any, names: Names, keys: dict[int, str]) -> None:
        del names, keys
        effect.network_changed.kind = kind
        effect.network_changed.key = key(document)

    return fill


_DOCUMENTS: dict[type[Any], Callable[[pb.Effect, Any, Names, dict[int, str]], None]] = {
    Order: _order,
    FulfillmentOrder: _fulfillment_order,
    Return: _return,
    d.NodePut: _network("node", lambda put: put.node.node_key),
    d.SkuPut: _network("sku", lambda put: put.sku.sku_key),
    d.ChannelPut: _network("channel", lambda put: put.channel.channel_key),
    d.RateCardPut: _network("rate_card", lambda put: put.rate_card.service_key),
    d.ZoneChartPut: _network("zone_chart", lambda _: ""),
    d.PolicyPut: _network("policy", lambda put: put.policy.policy_key),
    d.SourcePut: _network("source", lambda put: put.source_key),
    d.PricePlanPut: _network("price_plan", lambda put: put.price_plan.plan_key),
}
