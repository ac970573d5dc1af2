"""ReservationService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import reservations as convert
from engine.service.door import Context, Door
from stockpool.v1 import reservations_pb2 as pb
from stockpool.v1.reservations_pb2_grpc import ReservationServiceServicer


class Reservations(ReservationServiceServicer):
    """Each call is an entry of ``convert.reservations``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def Reserve(self, request: pb.ReserveRequest, context: Context) -> pb.ReserveResponse:
        """Holds units."""
        return await self._door.answer(context, request, convert.RESERVE)

    async def BatchReserve(self, request: pb.BatchReserveRequest, context: Context) -> pb.BatchReserveResponse:
        """Holds units for many, in one decision."""
        return await self._door.answer(context, request, convert.BATCH_RESERVE)

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
