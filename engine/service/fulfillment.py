"""FulfillmentService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import fulfillment as convert
from engine.service.door import Context, Door
from stockpool.v1 import fulfillment_pb2 as pb
from stockpool.v1.fulfillment_pb2_grpc import FulfillmentServiceServicer


class Fulfillment(FulfillmentServiceServicer):
    """Each call is an entry of ``convert.fulfillment``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def ListFulfillmentOrders(
        self, request: pb.ListFulfillmentOrdersRequest, context: Context
    ) -> pb.ListFulfillmentOrdersResponse:
        """Work of a node or of an order."""
        return await self._door.answer(context, request, convert.LIST_FULFILLMENT_ORDERS)

    async def Accept(self, request: pb.AcceptRequest, context: Context) -> pb.AcceptResponse:
        """The node takes the work."""
        return await self._door.answer(context, request, convert.ACCEPT)

    async def Reject(self, request: pb.RejectRequest, context: Context) -> pb.RejectResponse:
        """The node cannot do it."""
        return await self._door.answer(context, request, convert.REJECT)

    async def Ship(self, request: pb.ShipRequest, context: Context) -> pb.ShipResponse:
        """The package has left."""
        return await self._door.answer(context, request, convert.SHIP)

    async def MarkReady(self, request: pb.MarkReadyRequest, context: Context) -> pb.MarkReadyResponse:
        """Waiting at the counter."""
        return await self._door.answer(context, request, convert.MARK_READY)

    async def HandOver(self, request: pb.HandOverRequest, context: Context) -> pb.HandOverResponse:
        """The buyer has it."""
        return await self._door.answer(context, request, convert.HAND_OVER)
