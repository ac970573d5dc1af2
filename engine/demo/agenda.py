"""What happens next: the calls of a day and everything they bring about later, in order of the scenario's time.

An order that is placed at ten is picked at eleven and shipped at two. The agenda merges the calls of a day with such later steps, and
a bounded number of workers take them from it. Nobody waits for the clock: time only orders.
"""

import asyncio
import heapq
from collections.abc import Awaitable, Callable, Iterable, Iterator

from engine.demo.scenario import Call

Step = Callable[[], Awaitable[None]]
"""Something to do that takes no arguments; made with ``partial``."""

FOR_EVER_NS = 1 << 62


class Agenda:
    """Steps in order of time.

    ``now_ns`` is the scenario's time of the step that was begun last. Setting ``stopped`` lets the steps under way finish and begins no
    other.
    """

    def __init__(self, play: Callable[[Call], Awaitable[None]]) -> None:
        """``play`` is what is done with a call of the scenario."""
        self.now_ns = 0
        self.stopped = False
        self._play = play
        self._calls: Iterator[Call] = iter(())
        self._call: Call | None = None
        self._later: list[tuple[int, int, Step]] = []
        self._put_count = 0
        self._active = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Steps that are put and not begun."""
        return len(self._later)

    def put(self, at_ns: int, step: Step) -> None:
        """Lets a step happen at ``at_ns``, or next when that is past. Steps of one instant keep their order."""
        self._put_count += 1
        heapq.heappush(self._later, (at_ns, self._put_count, step))
        self._changed.set()

    async def run(self, calls: Iterable[Call] = (), *, until_ns: int = FOR_EVER_NS, in_flight: int) -> None:
        """Plays all calls (in order of time) and the steps before ``until_ns``, at most ``in_flight`` at once.

        Returns when nothing is under way any more. Raises an ExceptionGroup of what steps raised.
        """
        self._calls = iter(calls)
        self._call = next(self._calls, None)
        async with asyncio.TaskGroup() as workers:
            for _ in range(in_flight):
                workers.create_task(self._work(until_ns))

    async def _work(self, until_ns: int) -> None:
        while True:
            begun = self._begin(until_ns)
            if begun is None:
                if not self._active:
                    self._changed.set()  # the other workers end as well
                    return
                self._changed.clear()
                await self._changed.wait()
                continue
            self._active += 1
            try:
                await begun
            finally:
                self._active -= 1
                if not self._active:
                    self._changed.set()

    def _begin(self, until_ns: int) -> Awaitable[None] | None:
        """The earliest step, begun; None when there is none before ``until_ns`` at present."""
        if self.stopped:
            return None
        call, later = self._call, self._later
        if call is not None and (not later or call.at_ns <= later[0][0]):
            self._call = next(self._calls, None)
            self.now_ns = call.at_ns
            return self._play(call)
        if later and later[0][0] < until_ns:
            at_ns, _, step = heapq.heappop(later)
            self.now_ns = max(self.now_ns, at_ns)
            return step()
        return None
