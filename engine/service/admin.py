"""AdminService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from engine.follower.status import audited_seq
from engine.service import events, replays
from engine.service.convert import admin as convert
from engine.service.crowd import Crowded
from engine.service.door import Context, Door
from engine.service.errors import NOT_SERVING_RETRY_NS, abort
from engine.service.limits import EVENT_STREAMS_MAX, stated
from engine.service.refresh import PriceRefresher
from engine.snapshots import SnapshotFolder
from stockpool.v1 import admin_pb2 as pb
from stockpool.v1.admin_pb2_grpc import AdminServiceServicer


class Admin(AdminServiceServicer):
    """State, limits, audit, events. ``journal_kind`` says where the journal is kept; ``start_ns``: when the process started."""

    def __init__(
        self,
        door: Door,
        journal_kind: str,
        start_ns: int,
        snapshots: SnapshotFolder | None,
        refresher: PriceRefresher,
    ) -> None:
        self._door = door
        self._journal_kind = journal_kind
        self._start_ns = start_ns
        self._snapshots = snapshots
        self._refresher = refresher
        self._streams = 0

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        """Counts and totals."""
        try:
            engine, answer = await self._door.ask(context, request, convert.get_status)
            response = convert.status_response(answer.reply, answer.seq, self._start_ns)
            response.version = version("stockpool")
            response.inbox_count = engine.writer.inbox_count
            response.journal_kind = self._journal_kind
            response.price_problem = self._refresher.problem
            if self._snapshots is not None:
                response.snapshot_seq = self._snapshots.newest_seq()
                response.audited_seq = audited_seq(self._snapshots)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        return response

    async def GetLimits(self, request: pb.GetLimitsRequest, context: Context) -> pb.GetLimitsResponse:
        """Every limit."""
        try:
            engine = await self._door.enter(context, request)
            response = pb.GetLimitsResponse()
            for name, value, unit, meaning in stated(engine.rules.limits):
                response.limits.add(name=name, value=value, unit=unit, meaning=meaning)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        return response

    async def AuditInvariants(self, request: pb.AuditInvariantsRequest, context: Context) -> pb.AuditInvariantsResponse:
        """Recomputes and compares; with ``replay`` against a second state made from the journal, away from the event loop."""
        start_ns = time.monotonic_ns()
        try:
            engine, answer = await self._door.ask(context, request, convert.audit)
            response = convert.audit_response(answer.reply.report, answer.seq)
            if request.replay:
                await replays.compare(engine, self._snapshots, answer.seq, response)
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)
        response.elapsed.FromNanoseconds(time.monotonic_ns() - start_ns)
        return response

    async def StreamEvents(
        self, request: pb.StreamEventsRequest, context: Context
    ) -> AsyncIterator[pb.StreamEventsResponse]:
        """Decisions in order."""
        try:
            engine = await self._door.enter(context, request)
            convert.check_events(request, engine.rules)
            with self._door.stream(context), self._stream():
                async for part in events.stream(engine, request):
                    yield part
        except Exception as error:  # noqa: BLE001 - see Door.answer
            await abort(context, error)

    @contextmanager
    def _stream(self) -> Iterator[None]:
        if self._streams >= EVENT_STREAMS_MAX:
            raise Crowded("event_streams_max", EVENT_STREAMS_MAX, "The server", NOT_SERVING_RETRY_NS)
        self._streams += 1
        try:
            yield
        finally:
            self._streams -= 1
