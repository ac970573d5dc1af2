"""PlanningService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

from engine.service.convert import planning as convert
from engine.service.convert import waves
from engine.service.door import Context, Door
from engine.service.errors import abort
from engine.service.refresh import PriceRefresher
from engine.service.shadows import shadow_report
from engine.service.transfers import TransferFinder
from engine.service.waves import WaveRunner
from engine.snapshots import SnapshotFolder
from stockpool.v1 import planning_pb2 as pb
from stockpool.v1.planning_pb2_grpc import PlanningServiceServicer


class Planning(PlanningServiceServicer):
    """Each call is an entry of ``convert.planning``."""

    def __init__(
        self,
        door: Door,
        refresher: PriceRefresher,
        finder: TransferFinder,
        waves: WaveRunner,
        snapshots: SnapshotFolder | None,
    ) -> None:
        self._door = door
        self._snapshots = snapshots
        self._refresher = refresher
        self._finder = finder
        self._waves = waves

    async def SetPrices(self, request: pb.SetPricesRequest, context: Context) -> pb.SetPricesResponse:
        """Writes prices."""
        return await self._door.answer(context, request, convert.SET_PRICES)

    async def RefreshPrices(self, request: pb.RefreshPricesRequest, context: Context) -> pb.RefreshPricesResponse:
        """Plans prices anew and writes them."""
        try:
            engine = await self._door.enter(context, request)
            plan_key = convert.refresh_prices(request, engine.rules)
            return pb.RefreshPricesResponse(plan_key=await self._refresher.refresh(engine, plan_key))
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)

    async def GetPrices(self, request: pb.GetPricesRequest, context: Context) -> pb.GetPricesResponse:
        """Prices of a SKU."""
        return await self._door.answer(context, request, convert.GET_PRICES)

    async def SuggestTransfers(
        self, request: pb.SuggestTransfersRequest, context: Context
    ) -> pb.SuggestTransfersResponse:
        """Units that are worth more elsewhere."""
        try:
            engine = await self._door.enter(context, request)
            wish = convert.suggest_transfers(request, engine.rules)
            return convert.transfers(await self._finder.find(engine, wish), engine.names)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)

    async def GetShadowReport(self, request: pb.GetShadowReportRequest, context: Context) -> pb.GetShadowReportResponse:
        """What a draft policy would have decided otherwise."""
        try:
            return await shadow_report(self._door, self._snapshots, request, context)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)

    async def RunWave(self, request: pb.RunWaveRequest, context: Context) -> pb.RunWaveResponse:
        """Plans floating work jointly, and moves it."""
        try:
            engine = await self._door.enter(context, request)
            asked = waves.run_wave(request, engine.rules, engine.names)
            if asked is None:
                return waves.no_wave(request, engine.writer.last_seq)
            return waves.wave(await self._waves.run(engine, asked), engine.writer.last_seq, engine.names)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
