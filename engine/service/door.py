"""What every call passes on its way in and out: is the server open, may the caller, is the request sound, what came of it."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from engine.journal import Journal
from engine.model.commands import Command
from engine.model.limits import Limits
from engine.model.queries import Query
from engine.pool.names import Names
from engine.service.auth import Auth
from engine.service.convert.entry import Entry
from engine.service.crowd import Crowd
from engine.service.errors import InvalidRequest, Problem, abort
from engine.service.fields import Rules, shown
from engine.service.reading import Unreadable
from engine.service.scope import require_subject
from engine.writer import NEVER, Answer, DeadlinePassed, NotServing, Writer

RequestT = TypeVar("RequestT", bound=Message)
ResponseT = TypeVar("ResponseT", bound=Message)
AGE_KEY = "stockpool-request-age-ms"
AGE_DIGITS_MAX = 12
MILLISECOND_NS = 1_000_000
Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Engine:
    """What is behind the door once the journal has been replayed."""

    writer: Writer
    names: Names
    journal: Journal
    rules: Rules
    closing: asyncio.Event
    """Set when the server closes: streams without an end of their own end then."""


class Door:
    """Closed until ``open`` gives it an engine: calls are then told that the server is not serving."""

    __slots__ = ("_engine", "_requests", "_streams", "auth", "limits")

    def __init__(self, limits: Limits, auth: Auth | None) -> None:
        self.limits = limits
        self.auth = auth
        self._engine: Engine | None = None
        self._requests = Crowd("client_requests_max", limits.client_requests_max)
        self._streams = Crowd("client_streams_max", limits.client_streams_max)

    def open(self, writer: Writer, names: Names, journal: Journal) -> Engine:
        """From now on calls are answered, by what is returned."""
        self._engine = Engine(writer, names, journal, Rules(self.limits, names), asyncio.Event())
        return self._engine

    def close(self) -> None:
        """From now on calls are told that the server is not serving; those under way go on, but for streams of events."""
        if self._engine is not None:
            self._engine.closing.set()
        self._engine = None

    def opened(self) -> Engine:
        """The engine. Raises NotServing while there is none."""
        if self._engine is None:
            raise NotServing
        return self._engine

    async def enter(self, context: Context, request: Message | Unreadable) -> Engine:
        """The engine, for a caller who may make this request.

        Raises:
            NotServing: the server is starting or draining.
            Unauthenticated, PermissionDenied: the caller may not.
            InvalidRequest: what was sent is no such request.
        """
        engine = self.opened()
        credential = None if self.auth is None else self.auth.credential(context.invocation_metadata())
        if isinstance(request, Unreadable):
            request.refuse()
        if credential is not None:
            credential.require(request)
            await require_subject(credential, request, engine.writer, engine.names)
        return engine

    def client(self, context: Context) -> str:
        """Whose the call is, for what is limited by client: the name of the credential; the connection where there are none.

        Raises:
            Unauthenticated: nobody's.
        """
        if self.auth is None:
            peer: str = context.peer()
            return peer
        return self.auth.credential(context.invocation_metadata()).name

    @contextmanager
    def stream(self, context: Context) -> Iterator[None]:
        """While a stream is open. Raises Crowded, Unauthenticated."""
        client = self.client(context)
        self._streams.enter(client)
        try:
            yield
        finally:
            self._streams.leave(client)

    async def answer(self, context: Context, request: RequestT, entry: Entry[RequestT, ResponseT]) -> ResponseT:
        """One call from request to response."""
        try:
            engine = self.opened()
            client = self.client(context)
            self._requests.enter(client)
            try:
                engine.writer.require_room()
                if self.auth is not None or isinstance(request, Unreadable):
                    engine = await self.enter(context, request)
                work = entry.work(request, engine.rules)
                age_ns = request_age_ns(context)
                if age_ns and isinstance(work, Command):
                    work = replace(work, age_ns=age_ns)
                seq, reply = await engine.writer.submit(work, deadline(context))
            finally:
                self._requests.leave(client)
            return entry.answer(seq, reply, engine.names)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told by a status, and what is not foreseen is logged
            await abort(context, error)

    async def ask(
        self, context: Context, request: RequestT, make: Callable[[RequestT, Rules], Query]
    ) -> tuple[Engine, Answer]:
        """The answer to a query, for calls that make their response in another way."""
        engine = await self.enter(context, request)
        client = self.client(context)
        self._requests.enter(client)
        try:
            return engine, await engine.writer.submit(make(request, engine.rules), deadline(context))
        finally:
            self._requests.leave(client)


def request_age_ns(context: Context) -> int:
    """How long ago the caller first sent this request, by metadata ``stockpool-request-age-ms``; 0: it says nothing.

    Raises:
        InvalidRequest: that is no number of milliseconds.
    """
    for key, value in context.invocation_metadata() or ():
        if key == AGE_KEY:
            text = str(value)
            if not (text.isascii() and text.isdigit() and len(text) <= AGE_DIGITS_MAX):
                description = f"must be whole milliseconds of at most {AGE_DIGITS_MAX} digits, got {shown(value)}"
                raise InvalidRequest([Problem(AGE_KEY, description)])
            return int(text) * MILLISECOND_NS
    return 0


def deadline(context: Context) -> float:
    """When the caller stops waiting, in seconds of ``time.monotonic``: the writer drops what it has not decided by then.

    gRPC notices a deadline, too, and cancels the call, but only when the event loop gets to it.

    Raises:
        DeadlinePassed: the caller has stopped already.
    """
    remaining_s: float | None = context.time_remaining()
    if remaining_s is None:
        return NEVER
    if remaining_s <= 0:
        raise DeadlinePassed
    return time.monotonic() + remaining_s
