"""The follower as a child of the server: at low priority, started again when it ends by mistake, ended with the server. It cannot touch it."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import asdict
from subprocess import PIPE, Popen, TimeoutExpired
from threading import Event, Lock, Thread
from time import monotonic
from typing import Any, Final

from engine.settings import NESTED, PREFIX, Settings

log = logging.getLogger("stockpool")

NICE: Final = 10
"""How much lower than the server's its priority is."""
FOUND_SOMETHING: Final = 3
"""How a follower exits whose audit found something wrong: it would find it again."""
RESTART_S: Final = (1.0, 60.0)
"""How long to wait before it is started again: at first, and at most, doubling."""
END_S: Final = 5.0
"""How long it may take to end."""


def command() -> list[str]:
    """What is run; the settings are in the environment."""
    return [sys.executable, "-m", "engine", "snapshot", "--follow", "--nice", str(NICE), "--stop-on-eof"]


def environment(settings: Settings) -> dict[str, str]:
    """The environment in which the child reads the same settings; no secret of a url shows in the list of processes."""
    given: dict[str, Any] = {
        name: getattr(settings, name)
        for name in (
            "journal",
            "snapshots",
            "snapshot_every_decisions",
            "snapshot_every_s",
            "keep_decisions",
            "log_level",
        )
    }
    given |= {f"limits{NESTED}{name}": value for name, value in asdict(settings.limits).items()}
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    inherited |= {name: value for name, value in os.environ.items() if name.upper() == f"{PREFIX}CACHE_DIR"}
    return inherited | {PREFIX + name.upper(): str(value) for name, value in given.items() if value is not None}


class FollowerProcess:
    """A follower beside the server, from ``start`` to ``close``. A thread waits for it: the event loop has no part in it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = Lock()
        self._closing = Event()
        self._process: Popen[bytes] | None = None
        self._thread = Thread(target=self._keep, name="follower", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End the follower, at once: nothing that it writes is ever half there."""
        self._closing.set()
        with self._lock:
            process = self._process
        if process is not None:
            process.terminate()
            try:
                process.wait(END_S)
            except TimeoutExpired:
                process.kill()
        self._thread.join()

    def _keep(self) -> None:
        """Run one follower after the other."""
        wait_s = RESTART_S[0]
        while not self._closing.is_set():
            begun_s = monotonic()
            code = self._run()
            if self._closing.is_set():
                return
            if code == FOUND_SOMETHING:
                log.critical(
                    "the audit has found something wrong, see above; no snapshots are made any more, the server goes on"
                )
                return
            if monotonic() - begun_s > RESTART_S[1]:
                wait_s = RESTART_S[0]
            log.warning("the follower ended (exit code %s); it is started again in %.0f s", code, wait_s)
            self._closing.wait(wait_s)
            wait_s = min(2 * wait_s, RESTART_S[1])

    def _run(self) -> int | None:
        """One follower from its start to its end; None when it cannot be started."""
        with self._lock:
            if self._closing.is_set():
                return 0
            try:
                process = self._process = Popen(  # noqa: S603 - our own command line
                    command(),
                    env=environment(self._settings),
                    stdin=PIPE,  # it ends when this closes, even if this process is killed
                    start_new_session=True,  # Ctrl-C is the server's
                )
            except OSError as error:
                log.warning("the follower cannot be started: %s", error)
                return None
        with process:
            return process.wait()
