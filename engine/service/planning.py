"""PlanningService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import planning as convert
from engine.service.door import Context, Door
from stockpool.v1 import planning_pb2 as pb
from stockpool.v1.planning_pb2_grpc import PlanningServiceServicer


class Planning(PlanningServiceServicer):
    """Each call is an entry of ``convert.planning``."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def SetPrices(self, request: pb.SetPricesRequest, context: Context) -> pb.SetPricesResponse:
        """Writes prices."""
        return await self._door.answer(context, request, convert.SET_PRICES)

    async def GetPrices(self, request: pb.GetPricesRequest, context: Context) -> pb.GetPricesResponse:
        """Prices of a SKU."""
        return await self._door.answer(context, request, convert.GET_PRICES)
