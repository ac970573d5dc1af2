"""AdminService on the wire."""

# ruff: noqa: N802 - methods are named by the contract

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from importlib.metadata import version

from engine.model.queries import Finding
from engine.recovery import replayed_digest
from engine.service import events
from engine.service.convert import admin as convert
from engine.service.crowd import Crowded
from engine.service.door import Context, Door, Engine
from engine.service.errors import NOT_SERVING_RETRY_NS, abort
from engine.service.limits import EVENT_STREAMS_MAX, stated
from stockpool.v1 import admin_pb2 as pb
from stockpool.v1.admin_pb2_grpc import AdminServiceServicer


class Admin(AdminServiceServicer):
    """State, limits, audit, events. ``journal_kind`` says where the journal is kept; ``start_ns``: when the process started."""

    def __init__(self, door: Door, journal_kind: str, start_ns: int) -> None:
        self._door = door
        self._journal_kind = journal_kind
        self._start_ns = start_ns
        self._streams = 0

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        """Counts and totals."""
        try:
            engine, answer = await self._door.ask(context, request, convert.get_status)
            response = convert.status_response(answer.reply.report, answer.seq, self._start_ns)
            response.version = version("stockpool")
            response.inbox_count = engine.writer.inbox_count
            response.journal_kind = self._journal_kind
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
                await _compare(engine, answer.seq, response)
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


async def _compare(engine: Engine, seq: int, response: pb.AuditInvariantsResponse) -> None:
    """A finding when the replayed state differs. Its numbers are 1 and 0: digests are not counted."""
    digest = await asyncio.to_thread(replayed_digest, engine.journal, engine.rules.limits, seq)
    if digest != response.digest:
        subject = f"journal_seq {seq}: live {response.digest}, replayed {digest}"
        convert.add_finding(response, Finding("replay equals the live state", subject, 1, 0))
