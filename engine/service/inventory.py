"""InventoryService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing

from engine.model.answers import MovementsAnswer
from engine.service.convert import inventory as convert
from engine.service.convert.batches import BATCH_ADJUST_STOCK
from engine.service.convert.watching import watch as watched
from engine.service.door import Context, Door, deadline, request_age_ns
from engine.service.errors import InvalidRequest, Problem, abort
from engine.service.events import requests_behind
from engine.service.imports import ImportStream
from engine.service.watching import Hub
from stockpool.v1 import inventory_pb2 as pb
from stockpool.v1.inventory_pb2_grpc import InventoryServiceServicer


class Inventory(InventoryServiceServicer):
    """Each call is an entry of ``convert.inventory``; imports and movements take a few steps more."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self.hub: Hub | None = None

    async def AdjustStock(self, request: pb.AdjustStockRequest, context: Context) -> pb.AdjustStockResponse:
        """Changes a quantity by a difference."""
        return await self._door.answer(context, request, convert.ADJUST_STOCK)

    async def BatchAdjustStock(
        self, request: pb.BatchAdjustStockRequest, context: Context
    ) -> pb.BatchAdjustStockResponse:
        """Changes a quantity of many cells."""
        return await self._door.answer(context, request, BATCH_ADJUST_STOCK)

    async def SetStock(self, request: pb.SetStockRequest, context: Context) -> pb.SetStockResponse:
        """Sets a quantity to a count."""
        return await self._door.answer(context, request, convert.SET_STOCK)

    async def ReceiveStock(self, request: pb.ReceiveStockRequest, context: Context) -> pb.ReceiveStockResponse:
        """Books goods received."""
        return await self._door.answer(context, request, convert.RECEIVE_STOCK)

    async def RecordSale(self, request: pb.RecordSaleRequest, context: Context) -> pb.RecordSaleResponse:
        """Books a sale at the till."""
        return await self._door.answer(context, request, convert.RECORD_SALE)

    async def GetAvailability(self, request: pb.GetAvailabilityRequest, context: Context) -> pb.GetAvailabilityResponse:
        """What a channel may sell of one SKU."""
        return await self._door.answer(context, request, convert.GET_AVAILABILITY)

    async def BatchGetAvailability(
        self, request: pb.BatchGetAvailabilityRequest, context: Context
    ) -> pb.BatchGetAvailabilityResponse:
        """What a channel may sell of many SKUs."""
        return await self._door.answer(context, request, convert.BATCH_GET_AVAILABILITY)

    async def WatchAvailability(
        self, request: pb.WatchAvailabilityRequest, context: Context
    ) -> AsyncIterator[pb.WatchAvailabilityResponse]:
        """What a channel may sell, now and whenever it changes."""
        try:
            engine = await self._door.enter(context, request)
            watch = watched(request, engine.rules)
            if self.hub is None or self.hub.engine is not engine:
                self.hub = Hub(engine)
            with self._door.stream(context):
                async with aclosing(self.hub.stream(watch, deadline(context))) as parts:
                    async for part in parts:
                        yield part
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)

    async def ListMovements(self, request: pb.ListMovementsRequest, context: Context) -> pb.ListMovementsResponse:
        """Movements of one cell; who asked for them is read from the journal."""
        try:
            engine, answer = await self._door.ask(context, request, convert.list_movements)
            response = convert.LIST_MOVEMENTS.answer(answer.seq, answer.reply, engine.names)
            if isinstance(answer.reply, MovementsAnswer):
                seqs = [row.seq for row in answer.reply.movements]
                behind = await asyncio.to_thread(requests_behind, engine.journal, seqs)
                for movement in response.movements:
                    movement.request_id, movement.reference = behind.get(movement.journal_seq, ("", ""))
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        return response

    async def ImportStock(
        self, request_iterator: AsyncIterator[pb.ImportStockRequest], context: Context
    ) -> pb.ImportStockResponse:
        """Sets many cells."""
        stream: ImportStream | None = None
        opened = ExitStack()
        try:
            async for request in request_iterator:
                engine = await self._door.enter(context, request)
                if stream is None:
                    opened.enter_context(self._door.stream(context))
                    stream = ImportStream(engine, request, deadline(context), request_age_ns(context))
                await stream.take(request)
            return await _ended(stream)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        finally:
            opened.close()
            if stream is not None:
                stream.drop()


async def _ended(stream: ImportStream | None) -> pb.ImportStockResponse:
    if stream is None:
        raise InvalidRequest([Problem("messages", "is empty; send at least one message")])
    return await stream.end()
