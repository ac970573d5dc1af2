"""OrderService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import orders as convert
from engine.service.door import Context, Door
from stockpool.v1 import orders_pb2 as pb
from stockpool.v1.orders_pb2_grpc import OrderServiceServicer


class Orders(OrderServiceServicer):
    """Each call is an entry of ``convert.orders``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def GetFulfillmentOptions(
        self, request: pb.GetFulfillmentOptionsRequest, context: Context
    ) -> pb.GetFulfillmentOptionsResponse:
        """How the lines could reach the buyer."""
        return await self._door.answer(context, request, convert.GET_FULFILLMENT_OPTIONS)

    async def PlaceOrder(self, request: pb.PlaceOrderRequest, context: Context) -> pb.PlaceOrderResponse:
        """Makes an order."""
        return await self._door.answer(context, request, convert.PLACE_ORDER)

    async def IngestOrder(self, request: pb.IngestOrderRequest, context: Context) -> pb.IngestOrderResponse:
        """Books an order that was sold elsewhere."""
        return await self._door.answer(context, request, convert.INGEST_ORDER)

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Context) -> pb.CancelOrderResponse:
        """Cancels what has not left."""
        return await self._door.answer(context, request, convert.CANCEL_ORDER)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        """One order."""
        return await self._door.answer(context, request, convert.GET_ORDER)
