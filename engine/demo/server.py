"""The real server, in a process of its own: callers and engine share neither an interpreter nor its lock."""

import asyncio
import json
import os
import resource
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from engine.demo.report import Footprint

_START_S = 180.0
"""Kernels are compiled when they never were before; replaying a journal takes its time, too."""
_STOP_S = 30.0
_KEPT_SETTINGS = ("STOCKPOOL_CACHE_DIR", "STOCKPOOL_LIMITS__", "STOCKPOOL_LINGER")
_LOG_LINES = 20


class ServerFailedError(Exception):
    """The server did not start; the message says why."""


class ServerProcess:
    """A server on a free port of this machine. Use it with ``async with``; it never outlives the program that started it.

    ``target`` is where it listens. It runs in a session of its own, so that Ctrl-C reaches the player alone.
    """

    target = ""

    def __init__(self, journal_url: str, log: Path, settings: Mapping[str, str] | None = None) -> None:
        """``log`` takes what the server writes to its standard error; ``settings`` are variables of its environment."""
        self.journal_url = journal_url
        self._log = log
        self._settings = dict(settings or {})
        self._process: Process | None = None

    async def __aenter__(self) -> Self:
        """Starts it and waits until it answers.

        Raises:
            ServerFailedError: it does not.
        """
        command = (
            sys.executable,
            "-m",
            "engine",
            "serve",
            "--journal",
            self.journal_url,
            "--host",
            "127.0.0.1",
            "--port",
            "0",
        )
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                "--json",
                "--stop-on-eof",
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env=_environment() | self._settings,
                start_new_session=True,
            )
        assert self._process.stdout is not None
        said = b""
        try:
            said = await asyncio.wait_for(self._process.stdout.readline(), _START_S)
            self.target = json.loads(said)["target"]
        except (TimeoutError, ValueError, KeyError):
            await self._end()
            said += await self._process.stdout.read()
            raise ServerFailedError(self._reason(said)) from None
        except asyncio.CancelledError:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it in an orderly way, or after half a minute in any."""
        await self._end()

    async def stop(self) -> Footprint:
        """Ends it, and says what it had used."""
        await self._end()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        unit = 1 if sys.platform == "darwin" else 1_024
        return Footprint(
            journal_bytes=journal_bytes(self.journal_url),
            cpu_s=round(used.ru_utime + used.ru_stime, 2),
            memory_bytes=used.ru_maxrss * unit,
        )

    def _reason(self, said: bytes) -> str:
        """Why it did not start: in its own words, else the end of its log."""
        try:
            error = json.loads(said)["error"]
        except (ValueError, KeyError):
            return "\n".join(self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
        return f"{error['what']}: {error['why']}"

    async def _end(self) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), _STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


def journal_bytes(journal_url: str) -> int | None:
    """Size of a SQLite journal with the log beside it; None for other stores, and where there is no such file (any more)."""
    scheme, _, place = journal_url.partition(":///")
    path = place.partition("?")[0]
    if scheme.partition("+")[0] != "sqlite" or not Path(path).is_file():
        return None
    files = [Path(path + suffix) for suffix in ("", "-wal")]
    return sum(file.stat().st_size for file in files if file.is_file())


def _environment() -> dict[str, str]:
    """Ours, without the settings of another server; the demo has none of its credentials."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STOCKPOOL_") or name.startswith(_KEPT_SETTINGS)
    }
