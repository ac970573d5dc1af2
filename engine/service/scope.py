"""What a request speaks of by id alone, looked up for callers whose credentials do not cover everything."""

from typing import Any

from engine.model.queries import FindOwners
from engine.pool.names import Names
from engine.service.auth import Credential
from engine.service.convert import wire
from engine.service.errors import PermissionDenied
from engine.writer import Writer
from stockpool.v1.fulfillment_pb2 import ListFulfillmentOrdersRequest
from stockpool.v1.returns_pb2 import ReceiveReturnRequest

_NODE_INDEXES = ("pickup_node_indexes", "node_indexes")


def _nodes(columns: Any) -> list[int]:
    """Indexes of the nodes that columns name."""
    found = [wire.numbers(getattr(columns, name)) for name in _NODE_INDEXES if hasattr(columns, name)]
    return [index for column in found if column is not None for index in column.tolist()]


async def require_subject(credential: Credential, request: Any, writer: Writer, names: Names) -> None:
    """The node of a fulfillment order, the channel of a reservation or an order. What does not exist is left to its outcome.

    Raises:
        PermissionDenied: it is another's.
    """
    fields = request.DESCRIPTOR.fields_by_name
    if credential.nodes is not None:
        for index in set(_nodes(request.columns if "columns" in fields else request)):
            if 0 <= index < len(names.node_keys):  # else it is refused for what it is
                credential.require_node(names.node_keys[index])
    work_id = reservation_id = order_id = 0
    if credential.nodes is not None:
        listing = isinstance(request, ListFulfillmentOrdersRequest)
        named = request.node_key or request.ship_to_node_key if listing else True
        if isinstance(request, ReceiveReturnRequest):
            named = request.node_key
        if not named:
            raise PermissionDenied("These credentials cover some nodes only; name one of them in node_key.")
        work_id = request.fulfillment_order_id if "fulfillment_order_id" in fields else 0
    if credential.channels is not None:
        reservation_id = request.reservation_id if "reservation_id" in fields else 0
        order_id = request.order_id if "order_id" in fields else 0
    if not (work_id or reservation_id or order_id):
        return
    _, found = await writer.submit(FindOwners(0, reservation_id, order_id, work_id))
    if found.node_index >= 0:
        credential.require_node(names.node_keys[found.node_index])
    for index in (found.reservation_channel_index, found.order_channel_index):
        if index >= 0:
            credential.require_channel(names.channel_keys[index])
