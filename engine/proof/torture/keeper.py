"""Keeps a server running: whoever strikes it down sees it come back, as under a supervisor of the operating system."""

import asyncio
import signal
from collections import Counter
from contextlib import suppress
from time import perf_counter

from engine.proof.torture.ledger import Ledger
from engine.proof.torture.servers import Ending, ServerProcess, Starter

START_S = 180.0
"""Kernels are compiled when they never were before."""
_AGAIN_AFTER_S = 0.1
_ADVICE = {
    "fenced": "another writer has extended the journal",
    "journal lost": "the server ended: its journal could not be written",
    "journal not to be had": "the journal cannot be used",
}
"""What a server says that ends by itself, by the name we give to such an ending. The first that fits counts."""


class Keeper:
    """A server on a port, started again whenever it has ended.

    ``endings`` counts how servers ended; ``recoveries_ms`` has the time from each ending to the next answer. An ending that nobody brought
    about, or without a clear message, is noted in the ledger.
    """

    def __init__(
        self, starter: Starter, port: int, ledger: Ledger, endings: Counter[str], recoveries_ms: list[float]
    ) -> None:
        self.target = f"127.0.0.1:{port}"
        self.serving = asyncio.Event()
        self.process: ServerProcess | None = None
        self.endings = endings
        self.allowed: set[str] = set()
        """Names of endings by itself that are not wrong now."""
        self._starter = starter
        self._port = port
        self._ledger = ledger
        self._recoveries_ms = recoveries_ms
        self._retired = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep."""
        self._task = asyncio.ensure_future(self._keep())

    def retire(self) -> None:
        """Do not start it again once it has ended."""
        self._retired = True

    async def wait_serving(self) -> ServerProcess:
        """The server, once it answers calls."""
        await asyncio.wait_for(self.serving.wait(), START_S)
        assert self.process is not None
        return self.process

    async def wait_open(self) -> ServerProcess:
        """The server that starts, once its port is open: from then on it looks at the journal. Or it answers already, or has ended."""
        while self.process is None:  # noqa: ASYNC110 - nobody here can be told
            await asyncio.sleep(0.001)
        process = self.process
        while process.is_running and not self.serving.is_set():
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.close()
                break
            await asyncio.sleep(0.005)
        return process

    async def close(self) -> None:
        """End it in an orderly way; it must say nothing and return 0."""
        self.retire()
        if self.process is not None:
            self.process.send(signal.SIGTERM)
        await self.gone()

    def kill(self) -> None:
        """End it at once, for good; nothing when it has ended."""
        self.retire()
        if self.process is not None:
            self.process.send(signal.SIGKILL)

    async def gone(self) -> None:
        """Once the last server has ended."""
        if self._task is not None:
            await self._task

    async def _keep(self) -> None:
        down_s: float | None = None
        while not self._retired:
            process = self.process = self._starter.start(self._port)
            is_ready = await process.ready()
            if is_ready:
                if down_s is not None:
                    self._recoveries_ms.append((perf_counter() - down_s) * 1_000)
                self.serving.set()
            ending = await process.ended()
            if is_ready:
                down_s = perf_counter()
            self.serving.clear()
            self.process = None
            self._judge(ending)
            if not is_ready and not ending.by_signal:
                await asyncio.sleep(_AGAIN_AFTER_S)

    def _judge(self, ending: Ending) -> None:
        if ending.by_signal:
            self.endings["killed"] += 1
        elif ending.code == 0:
            self.endings["drained"] += 1
        else:
            name = next((name for name, said in _ADVICE.items() if said in ending.said), "by itself")
            self.endings[name] += 1
            if name not in self.allowed:
                self._ledger.find("other", f"the server ended ({name}, exit code {ending.code}): {ending.said}")
