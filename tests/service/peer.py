"""What an ASGI server would do for calls of gRPC, for tests that have none."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Awaitable, Generator, Mapping
from typing import Any

import grpc

from engine.service.asgi import wire
from engine.service.asgi.application import GrpcApplication
from engine.service.asgi.call import Call
from engine.service.asgi.steps import Started

BYTES_MAX = 1_000
EMPTY: Any = None


class Sent:
    """What ``send`` gives where it acts when it is called."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    def __await__(self) -> Generator[Any, Any, None]:
        if self._error is not None:
            raise self._error
        yield from ()


async def ended(call: Call) -> None:
    """Wait for the end of a call that has no task to wait for."""
    end = asyncio.Event()
    call.add_done_callback(lambda _: end.set())
    await end.wait()


class Peer:
    """What an ASGI server would do for one call."""

    in_steps = at_once = False

    def __init__(self, *body: bytes, headers: dict[str, str] | None = None, ends: bool = True) -> None:
        """``body``: as it comes; unless ``ends`` the caller then goes on saying nothing."""
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()
        self._events = [{"type": "http.request", "body": part, "more_body": True} for part in body]
        self._ends = ends
        if ends and body and self.at_once:
            self._events[-1]["more_body"] = False
        elif ends:
            self._events.append({"type": "http.request", "body": b"", "more_body": False})
        named = {"content-type": "application/grpc", "te": "trailers"} | (headers or {})
        self.headers = [(name.encode(), value.encode()) for name, value in named.items()]

    async def receive(self) -> dict[str, Any]:
        if self._events:
            return self._events.pop(0)
        if self._ends and not self.gone.is_set():
            return {"type": "http.request", "body": b"", "more_body": False}  # as pyvoy does
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, event: Mapping[str, Any]) -> None:
        if self.gone.is_set():
            raise OSError("gone")
        self.sent.append(dict(event))

    async def call(self, application: GrpcApplication, path: str = "/test.Test/Unary") -> None:
        scope = {
            "type": "http", "method": "POST", "path": path, "headers": self.headers, "client": ("127.0.0.1", 7),
        }  # fmt: skip
        if not self.in_steps:
            await application(scope, self.receive, self.send)
            return
        before = set(application.under_way)
        started = application.start_call(scope, lambda: asyncio.ensure_future(self.receive()), self.send_at_once)
        if isinstance(started, Started):
            (call,) = application.under_way - before
            await ended(call)
        else:
            await started

    def send_at_once(self, event: Mapping[str, Any]) -> Awaitable[None]:
        if self.gone.is_set():
            return Sent(OSError("gone"))
        self.sent.append(dict(event))
        return Sent()

    @property
    def trailers(self) -> dict[bytes, bytes]:
        """The status, wherever it is."""
        last = self.sent[-1]
        return dict(last["headers"] if "headers" in last else self.sent[0]["headers"])

    @property
    def status(self) -> grpc.StatusCode:
        number = int(self.trailers[b"grpc-status"])
        return next(code for code in grpc.StatusCode if code.value[0] == number)

    @property
    def messages(self) -> list[bytes]:
        reader = wire.Reader(BYTES_MAX, dict(self.sent[0]["headers"]).get(b"grpc-encoding", b"identity"))
        for event in self.sent:
            reader.feed(event.get("body", b""))
        taken: list[bytes] = []
        while (message := reader.take()) is not None:
            taken.append(message)
        assert reader.is_empty
        return taken


def made(**kinds: Any) -> GrpcApplication:
    """An application with the servicers given by the name of their kind."""
    application = GrpcApplication(BYTES_MAX)
    makers: dict[str, Any] = {
        "unary": grpc.unary_unary_rpc_method_handler,
        "answers": grpc.unary_stream_rpc_method_handler,
        "requests": grpc.stream_unary_rpc_method_handler,
        "both": grpc.stream_stream_rpc_method_handler,
    }
    handlers: dict[str, Any] = {
        kind.capitalize(): types.SimpleNamespace(
            **makers[kind](servicer, lambda content: content, lambda content: content)._asdict(),
            needs_task=kind != "unary",
        )
        for kind, servicer in kinds.items()
    }
    application.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("test.Test", handlers)])
    return application


async def echo(request: bytes, _: Any) -> bytes:
    return request
