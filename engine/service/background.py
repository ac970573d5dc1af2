"""Work beside the calls that is done once at a time: whoever asks for it while it is under way gets its result."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from engine.writer import NotServing

T = TypeVar("T")


class OneAtATime(Generic[T]):
    """One run of some work at a time, and a task that asks for it on a cadence. Belongs to the event loop."""

    def __init__(self) -> None:
        self._running: asyncio.Task[T] | None = None
        self._cadence: asyncio.Task[None] | None = None

    def keep(self, cadence: Coroutine[Any, Any, None]) -> None:
        """Runs beside everything until ``close``."""
        self._cadence = asyncio.create_task(cadence)

    async def close(self) -> None:
        """End what is under way, at once."""
        tasks = [task for task in (self._cadence, self._running) if task is not None]
        self._cadence = self._running = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def run(self, begin: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the run that is under way, else of a new one. It goes on when its caller no longer waits.

        Raises whatever the run raises, and NotServing when it was ended by ``close``.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(begin())
            self._running.add_done_callback(_seen)
        running = self._running
        await asyncio.wait((running,))  # who no longer waits does not end it
        if running.cancelled():
            raise NotServing
        return running.result()


def _seen(task: asyncio.Task[Any]) -> None:
    """What went wrong is told to those who wait; when nobody does any more, it was logged, or noted, where it happened."""
    if not task.cancelled():
        task.exception()
