"""ReservationService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from collections.abc import AsyncIterator
from typing import Any

from engine.service.convert import reservations as convert
from engine.service.convert.batches import BATCH_RELEASE
from engine.service.convert.entry import Entry
from engine.service.convert.reservation_columns import BATCH_RESERVE_COLUMNS
from engine.service.door import Context, Door
from engine.service.errors import abort
from engine.service.reading import Unreadable
from engine.service.streams import ReserveStream
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1.reservations_pb2_grpc import ReservationServiceServicer


def batch_entry(request: Any) -> Entry[Any, pb.BatchReserveResponse]:
    """How a BatchReserve is taken and answered: in columns when it comes in columns."""
    if isinstance(request, Unreadable) or not request.HasField("columns"):
        return convert.BATCH_RESERVE
    return BATCH_RESERVE_COLUMNS


class Reservations(ReservationServiceServicer):
    """Each call is an entry of ``convert.reservations``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        """Holds units."""
        return await self._door.answer(context, request, convert.RESERVE)

    async def BatchReserve(self, request: pb.BatchReserveRequest, context: Context) -> pb.BatchReserveResponse:
        """Holds units for many, in one decision."""
        return await self._door.answer(context, request, batch_entry(request))

    async def StreamReserve(
        self, request_iterator: AsyncIterator[pb.StreamReserveRequest], context: Context
    ) -> AsyncIterator[pb.StreamReserveResponse]:
        """Holds units for as long as requests come."""
        stream: ReserveStream | None = None
        try:
            with self._door.stream(context):
                stream = ReserveStream(self._door, context)
                async for response in stream.answers(request_iterator):
                    yield response
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        finally:
            if stream is not None:
                await stream.drop()

    async def GetReservation(self, request: pb.GetReservationRequest, context: Context) -> pb.GetReservationResponse:
        """One reservation."""
        return await self._door.answer(context, request, convert.GET_RESERVATION)

    async def ExtendReservation(
        self, request: pb.ExtendReservationRequest, context: Context
    ) -> pb.ExtendReservationResponse:
        """Moves the end."""
        return await self._door.answer(context, request, convert.EXTEND_RESERVATION)

    async def ReleaseReservation(
        self, request: pb.ReleaseReservationRequest, context: Context
    ) -> pb.ReleaseReservationResponse:
        """Gives the units back."""
        return await self._door.answer(context, request, convert.RELEASE_RESERVATION)

    async def BatchRelease(self, request: pb.BatchReleaseRequest, context: Context) -> pb.BatchReleaseResponse:
        """Gives the units of many back."""
        return await self._door.answer(context, request, BATCH_RELEASE)
