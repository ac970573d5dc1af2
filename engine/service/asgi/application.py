"""gRPC services as an ASGI application, for servers that speak HTTP better than Python does."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping
from typing import Any, NamedTuple

import grpc

from engine.service.asgi.call import Call, Event, Receive, Send
from engine.service.asgi.wire import CONTENT_TYPE, Metadata, Refused

ROUND_S = 0.02
"""How often calls under way are looked after: deadlines are kept so exactly. The writer keeps them to the moment."""


_UNKNOWN = Refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
_CLOSED = Refused(grpc.StatusCode.UNAVAILABLE, "The server ends.")
_NO_GRPC = (
    b"This address takes calls of gRPC and gRPC-Web by POST, and JSON (content-type: application/json) by POST to "
    b"/stockpool.v1.SERVICE/METHOD.\n"
)


class _Details(NamedTuple):
    """What a ``grpc.GenericRpcHandler`` is asked with."""

    method: str
    invocation_metadata: Metadata


class GrpcApplication:
    """Takes handlers as a ``grpc.aio.Server`` does, and calls as an ASGI application. Belongs to one event loop."""

    def __init__(self, message_bytes_max: int) -> None:
        """``message_bytes_max``: longest message either way; a longer one is RESOURCE_EXHAUSTED."""
        self._bytes_max = message_bytes_max
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._calls: set[Call] = set()
        self._round: asyncio.TimerHandle | None = None
        self._is_closed = False

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        """The first that knows a method answers it."""
        self._handlers.extend(handlers)

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Nothing: the generic handlers know the same methods."""

    def __call__(self, scope: Event, receive: Receive, send: Send) -> Awaitable[None]:
        """One HTTP request."""
        if scope["type"] != "http":
            raise ValueError(f"takes gRPC over HTTP, got {scope['type']!r}")
        return self._answer(scope, receive, send)

    async def stop(self, grace_s: float) -> None:
        """Take no calls any more; those under way have ``grace_s`` seconds, then they are cancelled."""
        self._is_closed = True
        until_s = time.monotonic() + grace_s
        while self._calls and time.monotonic() < until_s:  # noqa: ASYNC110 - calls do not tell of their end, which costs each of them something
            await asyncio.sleep(ROUND_S / 4)
        for call in self._calls:
            call.cancel()
        while self._calls:  # noqa: ASYNC110 - as above
            await asyncio.sleep(ROUND_S / 4)

    async def _answer(self, scope: Event, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST" or not _is_grpc(scope):
            await _send_no_grpc(send)
            return
        call = Call(scope, receive, send, self._bytes_max, time.monotonic())
        calls = self._calls
        calls.add(call)
        if self._round is None:
            self._round = asyncio.get_running_loop().call_later(ROUND_S, self._look_after)
        try:
            await call.answer(self._handler(scope))
        finally:
            calls.discard(call)

    def _handler(self, scope: Event) -> Any:
        if self._is_closed:
            return _CLOSED
        path = scope["path"]
        details = _Details(path, ())
        for handlers in self._handlers:
            handler = handlers.service(details)  # type: ignore[arg-type]
            if handler is not None:
                return handler
        return _UNKNOWN

    def _look_after(self) -> None:
        now_s = time.monotonic()
        for call in self._calls:
            call.look(now_s)
        self._round = asyncio.get_running_loop().call_later(ROUND_S, self._look_after) if self._calls else None


def _is_grpc(scope: Event) -> bool:
    for name, value in scope["headers"]:
        if name == b"content-type":
            return bool(value == CONTENT_TYPE or value.startswith((CONTENT_TYPE + b"+", CONTENT_TYPE + b";")))
    return False


async def _send_no_grpc(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_NO_GRPC))]
    await send({"type": "http.response.start", "status": 415, "headers": headers})
    await send({"type": "http.response.body", "body": _NO_GRPC, "more_body": False})
