"""OrderService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

import asyncio

from engine.follower.explanations import explain_order
from engine.service.convert import explanations
from engine.service.convert import orders as convert
from engine.service.convert.batches import BATCH_COMMIT
from engine.service.door import Context, Door
from engine.service.errors import abort
from engine.service.limits import EXPLAIN_REPLAY_MAX
from engine.snapshots import SnapshotFolder
from stockpool.v1 import orders_pb2 as pb
from stockpool.v1.orders_pb2_grpc import OrderServiceServicer


class Orders(OrderServiceServicer):
    """Each call but ExplainOrder is an entry of ``convert.orders``."""

    def __init__(self, door: Door, snapshots: SnapshotFolder | None = None) -> None:
        self._door = door
        self._snapshots = snapshots
        self._replaying = asyncio.Lock()
        """A replay takes as much memory as the state again: one at a time."""

    async def GetFulfillmentOptions(
        self, request: pb.GetFulfillmentOptionsRequest, context: Context
    ) -> pb.GetFulfillmentOptionsResponse:
        """How the lines could reach the buyer."""
        return await self._door.answer(context, request, convert.GET_FULFILLMENT_OPTIONS)

    async def PlaceOrder(self, request: pb.PlaceOrderRequest, context: Context) -> pb.PlaceOrderResponse:
        """Makes an order."""
        return await self._door.answer(context, request, convert.PLACE_ORDER)

    async def BatchCommit(self, request: pb.BatchCommitRequest, context: Context) -> pb.BatchCommitResponse:
        """Makes orders of many reservations."""
        return await self._door.answer(context, request, BATCH_COMMIT)

    async def IngestOrder(self, request: pb.IngestOrderRequest, context: Context) -> pb.IngestOrderResponse:
        """Books an order that was sold elsewhere."""
        return await self._door.answer(context, request, convert.INGEST_ORDER)

    async def ReleaseOrder(self, request: pb.ReleaseOrderRequest, context: Context) -> pb.ReleaseOrderResponse:
        """Routes the short units of an order again, and ends its hold."""
        return await self._door.answer(context, request, convert.RELEASE_ORDER)

    async def RerouteOrder(self, request: pb.RerouteOrderRequest, context: Context) -> pb.RerouteOrderResponse:
        """Moves units to better nodes."""
        return await self._door.answer(context, request, convert.REROUTE_ORDER)

    async def CancelOrder(self, request: pb.CancelOrderRequest, context: Context) -> pb.CancelOrderResponse:
        """Cancels what has not left."""
        return await self._door.answer(context, request, convert.CANCEL_ORDER)

    async def GetOrder(self, request: pb.GetOrderRequest, context: Context) -> pb.GetOrderResponse:
        """One order."""
        return await self._door.answer(context, request, convert.GET_ORDER)

    async def ExplainOrder(self, request: pb.ExplainOrderRequest, context: Context) -> pb.ExplainOrderResponse:
        """Why an order is routed as it is: the state of then is replayed away from the event loop, beside the decisions."""
        try:
            engine, answer = await self._door.ask(context, request, convert.get_order)
            response = explanations.EXPLAIN_ORDER.answer(answer.seq, answer.reply, engine.names)
            if answer.reply.order is not None:
                limits = engine.rules.limits
                async with self._replaying:
                    explained = await asyncio.to_thread(
                        explain_order, engine.journal, limits, answer.reply.order, self._snapshots,
                        replay_max=EXPLAIN_REPLAY_MAX,
                    )  # fmt: skip
                explanations.add_explanations(response.routings, explained, engine.names)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        return response
