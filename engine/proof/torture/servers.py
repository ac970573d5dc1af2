"""Servers that can be struck: each is `stockpool serve` in a process of its own, started cold or from a process that is warm.

A cold start is a new interpreter, which takes seconds to load everything before it looks at the journal. A warm one is forked from
a process that has loaded it all and runs the same command, so that more of the time is torture. Either has a follower, which makes
snapshots all the time.
"""

import asyncio
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from engine import app
from engine.proof.torture import following

COLD_EVERY = 8
"""Every so many starts one is cold."""
_KEPT_SETTINGS = ("STOCKPOOL_CACHE_DIR", "STOCKPOOL_LIMITS__", "STOCKPOOL_LINGER")
_LOG_LINES = 12
_ANNOUNCED = b"stockpool"
"""How the lines begin that a server writes to standard output when it answers calls; before that there are none."""


class _Process(Protocol):
    """What a started process of either kind offers."""

    @property
    def pid(self) -> int | None: ...

    def kill(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Ending:
    """How a server ended: its exit code (minus the signal) and the last lines that it said."""

    code: int
    said: str

    @property
    def by_signal(self) -> bool:
        """Whether a signal ended it."""
        return self.code < 0


class ServerProcess:
    """A server that was started. It never outlives the program that started it."""

    def __init__(self, process: _Process, wait: Callable[[], int], announcement: Connection, log: Path) -> None:
        """``wait`` blocks until the process has ended and returns its exit code; ``log`` has what it writes to standard error."""
        self.begun_s = perf_counter()
        self.log = log
        self._process = process
        self._announcement = announcement
        self._ending = asyncio.ensure_future(asyncio.to_thread(wait))

    async def ready(self) -> bool:
        """True once it answers calls, False when it ended before."""
        return (await asyncio.to_thread(_first_line, self._announcement)).startswith(_ANNOUNCED)

    async def ended(self) -> Ending:
        """How it ended, once it has."""
        code = await asyncio.shield(self._ending)
        self._announcement.close()
        return Ending(code, "\n".join(self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]))

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return not self._ending.done()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing when it has ended."""
        if self.is_running and self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, number)


class Starter:
    """Starts servers of one journal."""

    def __init__(self, url: str, folder: Path, *, all_cold: bool) -> None:
        """``folder`` takes their logs and their snapshots."""
        self._snapshots = folder / following.FOLDER
        self._arguments = ["serve", "--journal", url, "--host", "127.0.0.1", "--stop-on-eof"]
        self._arguments += ["--snapshots", str(self._snapshots)]
        self._url = url
        self._folder = folder
        self._all_cold = all_cold
        self._count = 0
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["engine.proof.torture.preload"])

    def start(self, port: int) -> ServerProcess:
        """Start one on a port of this machine."""
        self._count += 1
        log = self._folder / f"server-{self._count}.log"
        arguments = [*self._arguments, "--port", str(port)]
        cold = self._all_cold or self._count % COLD_EVERY == 0
        return self._cold(arguments, log) if cold else self._warm(arguments, log)

    def _cold(self, arguments: list[str], log: Path) -> ServerProcess:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        with log.open("wb") as file, sender:
            process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-m", "engine", *arguments],
                stdin=subprocess.PIPE,
                stdout=sender.fileno(),
                stderr=file,
                env=_environment(),
                start_new_session=True,
            )

        def wait() -> int:
            with process:  # which closes its input, too
                return process.wait()

        return ServerProcess(process, wait, receiver, log)

    def _warm(self, arguments: list[str], log: Path) -> ServerProcess:
        receiver, sender = multiprocessing.Pipe(duplex=False)
        with sender:
            process = self._context.Process(
                target=_serve,
                args=(arguments, _environment(), sender, str(log), (self._url, str(self._snapshots))),
                daemon=True,
            )
            process.start()

        def wait() -> int:
            process.join()
            return process.exitcode or 0

        return ServerProcess(process, wait, receiver, log)


def _serve(
    arguments: list[str], environment: dict[str, str], sender: Connection, log: str, followed: tuple[str, str]
) -> None:
    """In the forked process: become what a shell would have started. ``followed``: the url of the journal, and the folder of its snapshots."""
    os.setsid()
    parent: Any = multiprocessing.parent_process()
    os.dup2(parent.sentinel, 0)  # at its end when our starter has ended: then so do we
    os.dup2(sender.fileno(), 1)
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), 2)
    sender.close()
    os.environ.clear()
    os.environ.update(environment)
    url, snapshots = followed
    follower = following.ForkedFollower(Path(log.replace("server-", "follower-")), url, Path(snapshots))
    vars(app)["FollowerProcess"] = lambda _: follower
    sys.argv = ["stockpool", *arguments]
    runpy.run_module("engine", run_name="__main__")


def _first_line(announcement: Connection) -> bytes:
    """What is said until the first line ends, or the process has."""
    said = b""
    with suppress(OSError):  # closed: it has ended
        while b"\n" not in said and (part := os.read(announcement.fileno(), 4_096)):
            said += part
    return said


def _environment() -> dict[str, str]:
    """Ours, without the settings of another server, and with snapshots all the time."""
    return following.SETTINGS | {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("STOCKPOOL_") or name.startswith(_KEPT_SETTINGS)
    }
