"""Slow thinking in a process of its own: what crashes, hangs or eats memory there ends that process, and nothing else."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection
from threading import Lock, Timer
from types import TracebackType
from typing import Any, Final, Self

NICE: Final = 10
"""How much lower than the server's its priority is."""
MEMORY_BYTES_MAX: Final = 8 << 30
"""How much address space it may take; beyond that it fails, and the machine does not."""
END_S: Final = 5.0
"""How long one that was killed may take to be gone."""
_PART, _END, _FAILED = "part", "end", "failed"
Thought = Callable[[list[Any]], Iterable[Any]]
"""What is run there: a function at the top of a module, from parts to parts. It gets everything before it is asked for anything."""


class WorkFailed(Exception):
    """No result: why, in words."""


class Work:
    """One thought in a fresh process. Send the parts, then take the results, both piece by piece so that no large copy is ever made at once.

    Methods block: call them away from an event loop. ``close`` ends the process, whatever it is doing. It also ends by itself when its time is
    over, or when nobody is there any more who takes its results.
    """

    def __init__(self, thought: Thought, *, timeout_s: float, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        context = get_context("spawn")  # nothing of the server's state, threads or locks is there
        self._ours, self._theirs = context.Pipe()
        self._timeout_s = timeout_s
        self._is_late = self._is_over = False
        self._lock = Lock()
        self._process = context.Process(
            target=_think, args=(self._theirs, thought, memory_bytes_max, timeout_s), name="planning", daemon=True
        )
        self._timer = Timer(timeout_s, self._give_up)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, stack: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Begin; nothing begins any more once it was closed, by another thread."""
        with self._lock:
            if not self._is_over:
                self._process.start()
                self._timer.start()
            self._theirs.close()

    def send(self, part: Any) -> None:
        """Hand over one part. Raises WorkFailed."""
        self._send((_PART, part))

    def results(self) -> Iterator[Any]:
        """That was all: what it finds, part by part. Raises WorkFailed, also after some parts."""
        self._send((_END, None))
        while True:
            try:
                kind, part = self._ours.recv()
            except (EOFError, OSError):
                raise self._failure() from None
            if kind == _END:
                return
            if kind == _FAILED:
                raise WorkFailed(part)
            yield part

    def close(self) -> None:
        """End the process, at once. Who waits for its results is told that it ended."""
        with self._lock:
            self._is_over = True
            if self._process.pid is not None:
                self._timer.cancel()
                self._process.kill()
                self._process.join(END_S)

    def _send(self, message: tuple[str, Any]) -> None:
        try:
            self._ours.send(message)
        except OSError:
            raise self._failure() from None

    def _give_up(self) -> None:
        self._is_late = True
        self._process.kill()

    def _failure(self) -> WorkFailed:
        self._process.join(END_S)
        if self._is_late or self._process.exitcode == -signal.SIGALRM:
            return WorkFailed(f"it took longer than {self._timeout_s:g} s and was ended")
        return WorkFailed(f"its process ended (exit code {self._process.exitcode})")


def _think(pipe: Connection, thought: Thought, memory_bytes_max: int, timeout_s: float) -> None:
    """In the process: everything comes, then results go."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's
    signal.setitimer(signal.ITIMER_REAL, timeout_s + END_S)  # should the server be gone, and a solver never come back
    os.nice(NICE)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = memory_bytes_max if hard == resource.RLIM_INFINITY else min(memory_bytes_max, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        parts = []
        while (message := pipe.recv())[0] == _PART:
            parts.append(message[1])
        for result in thought(parts):
            pipe.send((_PART, result))
        pipe.send((_END, None))
    except (EOFError, BrokenPipeError):
        return  # nobody waits any more
    except MemoryError:
        pipe.send((_FAILED, f"it needs more memory than {memory_bytes_max:,} bytes"))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in words; the process ends here
        pipe.send((_FAILED, f"{type(error).__name__}: {error}"))
