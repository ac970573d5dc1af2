"""gRPC services as an ASGI application, for servers that speak HTTP better than Python does."""

import asyncio
import time
from collections.abc import Awaitable, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, TypeVar

import grpc

from engine.service.asgi.call import Call, Event, Receive, Send, Shared
from engine.service.asgi.steps import STARTED, Started, SteppedCall
from engine.service.asgi.wire import CONTENT_TYPE, Metadata, Refused

ROUND_S = 0.02
"""How often calls under way are looked after: deadlines are kept so exactly. The writer keeps them to the moment."""


CallT = TypeVar("CallT", bound=Call)
_CONTENT_TYPES = (CONTENT_TYPE + b"+", CONTENT_TYPE + b";")
_UNKNOWN = Refused(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
_CLOSED = Refused(grpc.StatusCode.UNAVAILABLE, "The server ends.")
_NO_GRPC = (
    b"This address takes calls of gRPC and gRPC-Web by POST, and JSON (content-type: application/json) by POST to "
    b"/stockpool.v1.SERVICE/METHOD.\n"
)


class _Details:
    """What a ``grpc.GenericRpcHandler`` is asked with. One for all calls: whoever is asked answers at once."""

    __slots__ = ("method",)
    invocation_metadata: Metadata = ()

    def __init__(self) -> None:
        self.method = ""


class GrpcApplication:
    """Takes handlers as a ``grpc.aio.Server`` does, and calls as an ASGI application. Belongs to one event loop."""

    def __init__(self, message_bytes_max: int) -> None:
        """``message_bytes_max``: longest message either way; a longer one is RESOURCE_EXHAUSTED."""
        self._shared = Shared(message_bytes_max)
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._details = _Details()
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
        named = _named(scope)
        if named is None:
            return _send_no_grpc(send)
        return self._begun(Call(scope, named, receive, send, self._shared)).answer(self._handler(scope))

    def start_call(self, scope: Event, receive: Receive, send: Send) -> Awaitable[None] | Started:
        """As calling it, for a server like pyvoy's whose event loop makes tasks by ``steps.make_task``: see ``SteppedCall``."""
        named = _named(scope)
        if named is None:
            return _send_no_grpc(send)
        call = self._begun(SteppedCall(scope, named, receive, send, self._shared))
        handler = self._handler(scope)
        if not getattr(handler, "needs_task", True):
            call.begin(handler)
            return STARTED
        return call.answer(handler)

    async def stop(self, grace_s: float) -> None:
        """Take no calls any more; those under way have ``grace_s`` seconds, then they are cancelled."""
        self._is_closed = True
        until_s = time.monotonic() + grace_s
        calls = self._shared.under_way
        while calls and time.monotonic() < until_s:  # noqa: ASYNC110 - calls do not tell of their end, which costs each of them something
            await asyncio.sleep(ROUND_S / 4)
        for call in calls:
            call.cancel()
        while calls:  # noqa: ASYNC110 - as above
            await asyncio.sleep(ROUND_S / 4)

    @property
    def under_way(self) -> AbstractSet[Call]:
        """Calls that have begun and not ended."""
        return self._shared.under_way

    def _begun(self, call: CallT) -> CallT:
        if self._round is None:
            self._shared.now_s = time.monotonic()
            self._round = asyncio.get_running_loop().call_later(ROUND_S, self._look_after)
        return call

    def _handler(self, scope: Event) -> Any:
        if self._is_closed:
            return _CLOSED
        details: Any = self._details
        details.method = scope["path"]
        for handlers in self._handlers:
            handler = handlers.service(details)
            if handler is not None:
                return handler
        return _UNKNOWN

    def _look_after(self) -> None:
        shared = self._shared
        now_s = shared.now_s = time.monotonic()
        for call in shared.under_way:
            call.look(now_s)
        self._round = asyncio.get_running_loop().call_later(ROUND_S, self._look_after) if shared.under_way else None


def _named(scope: Event) -> dict[bytes, bytes] | None:
    """The headers of a call by name; None when it is no call of gRPC."""
    named = dict(scope["headers"])
    kind = named.get(b"content-type", b"")
    if scope["method"] != "POST" or not (kind == CONTENT_TYPE or kind.startswith(_CONTENT_TYPES)):
        return None
    return named


async def _send_no_grpc(send: Send) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(_NO_GRPC))]
    await send({"type": "http.response.start", "status": 415, "headers": headers})
    await send({"type": "http.response.body", "body": _NO_GRPC, "more_body": False})
