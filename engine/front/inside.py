"""What Envoy runs: pyvoy imports ``application`` into Envoy's process and gives it an event loop in a thread of its own.

The process that started Envoy holds the other end of a pipe: it sends the settings and later the word to stop, and hears when calls are
answered and how it ended. Should it go away without a word, the engine ends as well.
"""

import asyncio
import ctypes
import importlib.util
import logging
import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.settings import LOG_FORMAT, LOG_TIMES, Settings

PIPE_VARIABLE, EXECUTABLE_VARIABLE = "STOCKPOOL_FRONT_PIPE", "STOCKPOOL_FRONT_PYTHON"
FOR_ENVOY = ("LD_PRELOAD", "PYTHONHOME", "PYTHONPATH")
"""Variables that make Envoy find Python; processes that the engine starts are to have them as they were, see ``KEPT``."""
KEPT = "STOCKPOOL_FRONT_KEPT_"
READY, ENDED, FAILED, STOP = "ready", "ended", "failed", "stop"
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Application:
    """The ASGI application: begins when Envoy has started, and hands calls on to the services."""

    def __init__(self, pipe: Connection, settings: Settings) -> None:
        # Only now: they bring the kernels with them.
        from engine.service.asgi.application import GrpcApplication
        from engine.service.port import MESSAGE_BYTES_MAX

        class EnvoyPort(GrpcApplication):
            """Envoy has opened it, and whoever started Envoy knows its number."""

            async def start(self) -> int:
                return settings.port

        self._pipe = pipe
        self._settings = settings
        self._calls = EnvoyPort(MESSAGE_BYTES_MAX)
        self._start = self._calls.start_call
        self._stop = asyncio.Event()
        self._serving: asyncio.Task[None] | None = None

    _asgi_single_callable = True  # says to pyvoy what it would see by a coroutine function

    def __call__(self, scope: Any, receive: Any, send: Any) -> Any:
        """One HTTP request, or the life of the process."""
        return self._start(scope, receive, send) if scope["type"] == "http" else self._live(receive, send)

    async def _live(self, receive: Any, send: Any) -> None:
        from engine.service.asgi.steps import make_task

        await receive()
        loop = asyncio.get_running_loop()
        loop.set_task_factory(make_task)
        threading.Thread(target=self._hear, args=(loop,), name="pipe", daemon=True).start()
        self._serving = asyncio.create_task(self._serve())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self) -> None:
        from engine import app

        sys.setswitchinterval(app.SWITCH_AFTER_S)
        try:
            await app.serve(
                self._settings,
                self._stop,
                on_ready=lambda ready: self._pipe.send((READY, ready)),
                open_port=lambda _: self._calls,
            )
        except Exception as error:  # noqa: BLE001 - whoever started us says what it means
            self._tell(FAILED, error)
        else:
            self._tell(ENDED, None)

    def _tell(self, word: str, what: Any) -> None:
        try:
            self._pipe.send((word, what))
        except OSError:
            os._exit(0)  # nobody is there, and all is done
        except Exception:  # noqa: BLE001 - an exception that cannot travel goes as its words
            self._pipe.send((word, RuntimeError(f"{type(what).__name__}: {what}")))

    def _hear(self, loop: asyncio.AbstractEventLoop) -> None:
        with suppress(EOFError, OSError):
            self._pipe.recv()
        loop.call_soon_threadsafe(self._stop.set)


def _import_numpy() -> None:
    """NumPy with the system's allocator instead of Envoy's, which writes zeros into what is to be zero: of arrays made at their maximum
    nearly all would lie in memory without ever being used.
    """
    found = importlib.util.find_spec("numpy")
    if found is not None and hasattr(os, "RTLD_DEEPBIND"):
        for folder in found.submodule_search_locations or ():
            for library in Path(folder).glob("_core/_multiarray_umath*.so"):
                ctypes.CDLL(str(library), os.RTLD_NOW | os.RTLD_DEEPBIND)  # stays as it is when it is imported


def _die_with_parent() -> None:
    """Be killed with the process that started us, as if we were one; elsewhere than on Linux the closed pipe has to do."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL, 0, 0, 0)


def _be_python() -> None:
    """Processes that the engine starts are Python's, not Envoy's, and find their own way."""
    sys.executable = os.environ.pop(EXECUTABLE_VARIABLE)
    multiprocessing.set_executable(sys.executable)
    for name in FOR_ENVOY:
        kept = os.environ.pop(KEPT + name, None)
        os.environ.pop(name, None)
        if kept is not None:
            os.environ[name] = kept


def _begin() -> Application:
    pipe = Connection(int(os.environ.pop(PIPE_VARIABLE)))
    os.set_inheritable(pipe.fileno(), False)
    _be_python()
    _die_with_parent()
    _import_numpy()
    settings: Settings = pipe.recv()
    logging.basicConfig(level=settings.log_level.upper(), format=LOG_FORMAT, datefmt=LOG_TIMES)
    return Application(pipe, settings)


def __getattr__(name: str) -> Any:
    """``application``, made when pyvoy asks for it: whoever imports this module otherwise only wants its names."""
    if name != "application":
        raise AttributeError(name)
    made = globals()["application"] = _begin()
    return made
