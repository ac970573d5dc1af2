"""What a request speaks of by id alone, looked up for callers whose credentials do not cover everything."""

from typing import Any

from engine.model.outcomes import FulfillmentState, Outcome
from engine.model.queries import GetOrder, GetReservation, ListFulfillmentOrders
from engine.pool.names import Names
from engine.service.auth import Credential
from engine.service.errors import PermissionDenied
from engine.writer import Writer
from stockpool.v1.fulfillment_pb2 import ListFulfillmentOrdersRequest
from stockpool.v1.returns_pb2 import ReceiveReturnRequest

ALL_STATES = tuple(FulfillmentState)


async def require_subject(credential: Credential, request: Any, writer: Writer, names: Names) -> None:
    """The node of a fulfillment order, the channel of a reservation or an order. What does not exist is left to its outcome.

    Raises:
        PermissionDenied: it is another's.
    """
    fields = request.DESCRIPTOR.fields_by_name
    if credential.nodes is not None:
        if isinstance(request, ListFulfillmentOrdersRequest | ReceiveReturnRequest) and not request.node_key:
            raise PermissionDenied("These credentials cover some nodes only; name one of them in node_key.")
        if "fulfillment_order_id" in fields:
            await _require_node(credential, request.fulfillment_order_id, writer, names)
    if credential.channels is not None:
        if "reservation_id" in fields and request.reservation_id > 0:
            _, found = await writer.submit(GetReservation(0, request.reservation_id))
            if found.outcome == Outcome.OK:
                credential.require_channel(names.channel_keys[found.channel_index])
        if "order_id" in fields and request.order_id > 0:
            _, found = await writer.submit(GetOrder(0, request.order_id))
            if found.outcome == Outcome.OK and found.order is not None:
                credential.require_channel(names.channel_keys[found.order.channel_index])


async def _require_node(credential: Credential, fulfillment_order_id: int, writer: Writer, names: Names) -> None:
    query = ListFulfillmentOrders(0, "", 0, ALL_STATES, fulfillment_order_id - 1, 1)
    _, found = await writer.submit(query)
    for work in found.fulfillment_orders:
        if work.fulfillment_order_id == fulfillment_order_id:
            credential.require_node(names.node_keys[work.node_index])
