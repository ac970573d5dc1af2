"""One gRPC call over ASGI, of any of the four kinds, from its headers to its status."""

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import aclosing
from typing import Any, NoReturn

import grpc
from grpc.aio import EOF, AbortError

from engine.service.asgi.context import Context
from engine.service.asgi.wire import (
    CONTENT_TYPE,
    HEAD_BYTES,
    IDENTITY,
    Reader,
    Refused,
    framed,
    headers_of,
    status_headers,
)

Event = Mapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]

_TYPE = (b"content-type", CONTENT_TYPE)
_ACCEPTS = (b"grpc-accept-encoding", b"identity, deflate, gzip")
START: Event = {"type": "http.response.start", "status": 200, "headers": [_TYPE, _ACCEPTS], "trailers": True}
_NO_MORE: Event = {"type": "http.response.body", "body": b"", "more_body": False}
DONE: Event = {"type": "http.response.trailers", "headers": [(b"grpc-status", b"0")]}
LOOK_S, LOOK_S_MAX = 0.25, 2.0
"""A call that takes so long is looked after for the first time, then after twice as long each time up to the second."""

_log = logging.getLogger("engine.service")


class Shared:
    """What the calls of an application have in common."""

    def __init__(self, bytes_max: int) -> None:
        """``bytes_max``: longest message."""
        self.bytes_max = bytes_max
        self.now_s = 0.0
        """By time.monotonic, when calls were last looked after, or since when there are any."""
        self.under_way: set[Call] = set()


class Call(Context):
    """``answer`` runs it, in the task that ASGI gave it; nothing else needs one."""

    _reader: Reader | None = None
    _handler: Any = None
    _task: asyncio.Task[Any] | None = None
    _is_whole = False
    """The request is there to its end."""
    _started = False
    _passed = False
    """Its deadline has."""
    _refused: Refused | None = None

    def __init__(
        self, scope: Event, named: Mapping[bytes, bytes], receive: Receive, send: Send, shared: Shared
    ) -> None:
        """``named``: the headers by name."""
        super().__init__(scope, named.get(b"grpc-timeout"))
        self._named = named
        self._receive = receive
        self._send = send
        self._shared = shared
        self._look_s = shared.now_s + LOOK_S

    async def answer(self, handler: Any) -> None:
        """Run what answers the call: a ``grpc.RpcMethodHandler``, or why there is none."""
        self._begin(handler)
        await self._settle(self._answer())

    def _begin(self, handler: Any) -> None:
        self._handler = handler
        self._shared.under_way.add(self)

    async def _answer(self) -> None:
        handler = self._handler
        if isinstance(handler, Refused):
            await self._refuse(handler)
        elif handler.request_streaming or handler.response_streaming:
            await self._stream(handler)
            await self._end(self._code or grpc.StatusCode.OK, self._details)
        else:
            request = handler.request_deserializer(await self._only(await self._receive()))
            await self._respond(await handler.unary_unary(request, self))

    async def _respond(self, response: Any) -> None:
        """The answer of a unary call whose servicer has done with it."""
        if self._is_plain():
            await self._reply(response)
        else:
            await self.write(response)
            await self._end(self._code or grpc.StatusCode.OK, self._details)

    def _is_plain(self) -> bool:
        """Whether the servicer has said nothing of how its answer goes out."""
        return self._code is None and self._compression is None and self._trailing is None and not self._started

    async def _settle(self, answering: Awaitable[None]) -> None:
        """See the call to its end, in this task, and tell the caller how it went."""
        self._task = asyncio.current_task()
        try:
            await answering
        except AbortError:
            await self._end(self._code or grpc.StatusCode.UNKNOWN, self._details)
        except Refused as refused:
            await self._refuse(refused)
        except asyncio.CancelledError:
            await self._end_cancelled()
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller is told by a status
            _log.exception("a call failed in its servicer")
            await self._end(grpc.StatusCode.UNKNOWN, f"Unexpected {type(error)}: {error}")
        finally:
            self._leave()

    def _leave(self) -> None:
        """The call has ended."""
        self._handler = None
        self._shared.under_way.discard(self)
        self._tell_done()

    async def send_initial_metadata(self, initial_metadata: Iterable[tuple[str, str | bytes]]) -> None:
        """Send the headers of the answer now."""
        self._initial = tuple(initial_metadata)
        await self._start(b"")

    async def read(self) -> Any:
        """The next message of a stream of requests; ``grpc.aio.EOF`` behind the last."""
        try:
            content = await self._next()
        except Refused as refused:
            # The servicer could take it for an error of its own.
            self._refused = refused
            await self._break_off()
        if content is None:
            return EOF
        read = self._handler.request_deserializer
        return content if read is None else read(content)

    async def write(self, message: Any) -> None:
        """Send a message of a stream of responses."""
        made = self._handler.response_serializer
        await self._start(self._framed(message if made is None else made(message)))

    def look(self, now_s: float) -> None:
        """See whether the call should end: its deadline has passed, or nobody waits any more. Now and then for whoever takes long."""
        if self._deadline_s is not None and now_s >= self._deadline_s:
            self._passed = True
            self._give_up()
        elif now_s >= self._look_s:
            self._look_s = now_s + min(2 * (now_s - self._look_s) + 2 * LOOK_S, LOOK_S_MAX)
            # While a request is read its reader hears of the end.
            if self._is_whole:
                asyncio.ensure_future(self._receive()).add_done_callback(self._note)

    def cancel(self) -> None:
        """The server ends: so does the call."""
        self._give_up()

    def _note(self, event: "asyncio.Future[Event]") -> None:
        if not event.cancelled() and event.exception() is None and event.result()["type"] == "http.disconnect":
            self._gone = True
            self._give_up()

    def _give_up(self) -> None:
        if self._task is not None and not self._ended:
            self._task.cancel()

    async def _lose(self) -> NoReturn:
        """There is nobody to answer any more."""
        self._gone = True
        await self._break_off()

    async def _break_off(self) -> NoReturn:
        """End the servicer, also when it is a task of its own making that reads or writes."""
        self._give_up()
        await asyncio.sleep(0)
        raise asyncio.CancelledError

    def _whole(self, event: Event) -> bytes | None:
        """The message of a request that has one, when ``event`` brings all of it as it is, which it does nearly always."""
        if event["type"] != "http.request" or event.get("more_body", False):
            return None
        self._is_whole = True
        content: bytes = event.get("body", b"")
        length = len(content) - HEAD_BYTES
        if (
            0 <= length <= self._shared.bytes_max
            and not content[0]
            and length == int.from_bytes(content[1:HEAD_BYTES], "big")
        ):
            return content[HEAD_BYTES:]
        return None

    async def _only(self, event: Event) -> bytes:
        """The message of a request that has one, which begins with ``event``."""
        message = self._whole(event)
        if message is not None:
            return message
        if event["type"] != "http.request":
            await self._lose()
        message = await self._next(event.get("body", b""))
        if message is None:
            raise Refused(grpc.StatusCode.INTERNAL, "The call ended without a message.")
        await self._to_end()
        return message

    async def _to_end(self) -> None:
        """Hear the end of a request whose one message has come."""
        while not self._is_whole:
            await self._more()
        if self._reader is not None and not self._reader.is_empty:
            raise Refused(grpc.StatusCode.INTERNAL, "The call has more than the one message that it takes.")

    async def _next(self, content: bytes = b"") -> bytes | None:
        """The next message of the request, of which ``content`` has come; None at its end."""
        if self._reader is None:
            self._reader = Reader(self._shared.bytes_max, self._named.get(b"grpc-encoding", IDENTITY))
        if content:
            self._reader.feed(content)
        while (message := self._reader.take()) is None:
            if self._is_whole:
                if not self._reader.is_empty:
                    raise Refused(grpc.StatusCode.INTERNAL, "The request ended in the middle of a message.")
                return None
            await self._more()
        return message

    async def _more(self) -> None:
        event = await self._receive()
        if event["type"] != "http.request":
            await self._lose()
        self._is_whole = not event.get("more_body", False)
        if self._reader is not None and (body := event.get("body")):
            self._reader.feed(body)

    async def _stream(self, handler: Any) -> None:
        if handler.request_streaming:
            request: Any = self._requests()
        else:
            request = handler.request_deserializer(await self._only(await self._receive()))
        if not handler.response_streaming:
            response = await handler.stream_unary(request, self)
            await self.write(response)
            return
        answer = (handler.stream_stream or handler.unary_stream)(request, self)
        if inspect.isawaitable(answer):
            await answer  # a servicer that calls ``write`` itself
            return
        async with aclosing(answer):
            async for message in answer:
                await self.write(message)

    async def _requests(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not EOF:
            yield message

    def _framed(self, message: bytes) -> bytes:
        if len(message) > self._shared.bytes_max:
            text = f"SERVER: Sent message larger than max ({len(message)} vs. {self._shared.bytes_max})"
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, text)
        return framed(message, IDENTITY if self._compression is None else self._encoding())

    async def _reply(self, response: Any) -> None:
        """The whole answer of a unary call that went well."""
        content = self._framed(self._handler.response_serializer(response))
        self._ended = True
        send = self._send
        try:
            await send(START)
            await send({"type": "http.response.body", "body": content, "more_body": False})
            await send(DONE)
        except OSError:
            self._gone = True

    async def _start(self, content: bytes) -> None:
        """Headers, unless they are sent, and some of the body."""
        try:
            if not self._started:
                self._started = True
                headers = [_TYPE, _ACCEPTS, *headers_of(self._initial)]
                if self._compression is not None:
                    headers.append((b"grpc-encoding", self._encoding()))
                await self._send({**START, "headers": headers})
            await self._send({"type": "http.response.body", "body": content, "more_body": True})
        except OSError:
            await self._lose()

    async def _end(self, code: grpc.StatusCode, details: str) -> None:
        """The status: in trailers, or in the headers when nothing else was sent."""
        self._ended = True
        status = [*status_headers(code, details), *headers_of(self._trailing)]
        try:
            if self._started:
                await self._send(_NO_MORE)
                await self._send({"type": "http.response.trailers", "headers": status})
            else:
                headers = [_TYPE, _ACCEPTS, *headers_of(self._initial), *status]
                await self._send({"type": "http.response.start", "status": 200, "headers": headers})
                await self._send(_NO_MORE)
        except OSError:
            self._gone = True

    async def _refuse(self, refused: Refused) -> None:
        self._trailing = None
        await self._end(refused.code, refused.details)

    async def _end_cancelled(self) -> None:
        """By its deadline, its caller, what it sent, or the end of the server."""
        if self._refused is not None:
            await self._refuse(self._refused)
        elif self._passed:
            await self._end(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded")
        elif not self._gone:
            await self._end(grpc.StatusCode.CANCELLED, "Cancelled on the server side.")
