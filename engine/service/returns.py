"""ReturnService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import returns as convert
from engine.service.door import Context, Door
from stockpool.v1 import returns_pb2 as pb
from stockpool.v1.returns_pb2_grpc import ReturnServiceServicer


class Returns(ReturnServiceServicer):
    """Each call is an entry of ``convert.returns``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def AuthorizeReturn(self, request: pb.AuthorizeReturnRequest, context: Context) -> pb.AuthorizeReturnResponse:
        """Expects goods back."""
        return await self._door.answer(context, request, convert.AUTHORIZE_RETURN)

    async def ReceiveReturn(self, request: pb.ReceiveReturnRequest, context: Context) -> pb.ReceiveReturnResponse:
        """Books goods that arrived."""
        return await self._door.answer(context, request, convert.RECEIVE_RETURN)
