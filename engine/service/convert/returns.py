"""ReturnService: goods that come back."""

from typing import Any

from engine.model.commands import AuthorizeReturn, ReceiveReturn
from engine.model.orders import ReceivedItem, Return
from engine.model.outcomes import CommandKind, Disposition
from engine.model.replies import ReturnReply
from engine.pool.names import Names
from engine.service.convert.entry import Entry
from engine.service.convert.wording import fill_money, fill_time
from engine.service.fields import Check, Rules, allowed, fingerprint
from stockpool.v1 import returns_pb2 as pb

RECEIVED_ITEMS_MAX = 60

_DISPOSITIONS = allowed(Disposition)


def authorize_return(request: pb.AuthorizeReturnRequest, rules: Rules) -> AuthorizeReturn:
    """Goods that will come back, by parcel or by hand."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    channel_key = check.key("channel_key", request.channel_key)
    order_id = check.optional_id("order_id", request.order_id)
    lines = _lines(check, request, of_order=bool(order_id))
    service_key = check.optional_key("service_key", request.service_key)
    postal_code = drop_off_node_key = ""
    way = request.WhichOneof("journey")
    if way == "ship_from":
        postal_code = check.postal_code("ship_from.postal_code", request.ship_from.postal_code)
    elif way == "drop_off_node_key":
        drop_off_node_key = check.key("drop_off_node_key", request.drop_off_node_key)
    else:
        check.wrong("journey", "is missing; give ship_from or drop_off_node_key")
    check.done()
    return AuthorizeReturn(
        request_id,
        fingerprint(request, CommandKind.AUTHORIZE_RETURN),
        channel_key,
        order_id,
        lines,
        postal_code,
        drop_off_node_key,
        service_key,
    )


def _lines(check: Check, request: pb.AuthorizeReturnRequest, *, of_order: bool) -> tuple[tuple[int, str, int], ...]:
    """(order line index, SKU key, units): by position with an order, by SKU without."""
    most = check.limits.lines_per_order_max
    check.count("lines", len(request.lines), "lines_per_order_max", most)
    lines = []
    for position, line in enumerate(request.lines):
        path = f"lines[{position}]."
        check.units(f"{path}units", line.units)
        if of_order:
            check.whole(f"{path}line_index", line.line_index, 0, "lines_per_order_max", most - 1)
            lines.append((line.line_index, "", line.units))
        else:
            lines.append((-1, check.key(f"{path}sku_key", line.sku_key), line.units))
    if of_order:
        check.distinct("lines", "line_index", [line[0] for line in lines])
    return tuple(lines)


def receive_return(request: pb.ReceiveReturnRequest, rules: Rules) -> ReceiveReturn:
    """Goods that arrived."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    return_id = check.id("return_id", request.return_id)
    node_key = check.optional_key("node_key", request.node_key)
    check.count("items", len(request.items), "received_items_max", RECEIVED_ITEMS_MAX)
    most = check.limits.lines_per_order_max - 1
    items = tuple(
        [
            ReceivedItem(
                check.whole(f"items[{position}].line_index", item.line_index, 0, "lines_per_order_max", most),
                check.units(f"items[{position}].units", item.units),
                check.word(f"items[{position}].disposition", item.disposition, _DISPOSITIONS),
            )
            for position, item in enumerate(request.items)
        ]
    )
    check.done()
    mark = fingerprint(request, CommandKind.RECEIVE_RETURN)
    return ReceiveReturn(request_id, mark, return_id, node_key, items)


def fill_return(message: pb.Return, goods: Return, names: Names) -> None:
    """A return as it stands."""
    message.return_id = goods.return_id
    message.order_id = goods.order_id
    message.node_key = names.node_keys[goods.node_index]
    message.state = int(goods.state)  # type: ignore[assignment]
    for position, line in enumerate(goods.lines):
        message.lines.add(
            line_index=position,
            sku_key=names.sku_keys[line.sku_index],
            authorised_units=line.authorised_units,
            received_units=line.received_units,
            restocked_units=line.restocked_units,
            order_line_index=line.order_line_index,
        )
    fill_money(message.cost, goods.cost_micros, names)
    fill_time(message.create_time, goods.created_ns)


def _fill_goods(response: Any, reply: ReturnReply, names: Names) -> None:
    if reply.goods is not None:
        fill_return(response.return_order, reply.goods, names)


AUTHORIZE_RETURN = Entry(authorize_return, pb.AuthorizeReturnResponse, _fill_goods)
RECEIVE_RETURN = Entry(receive_return, pb.ReceiveReturnResponse, _fill_goods)
