"""``python -m benchmarks.timed_server URL`` serves the journal at URL with the real server, and tells what its groups took.

It says where it listens on standard output, ends with standard input, and then tells in a line of JSON the longest groups of the
writer in ms: those in which prices were written, those in which work was moved, those in which planning read of the state, and all others.
"""

from __future__ import annotations

import json
import sys
from time import perf_counter, thread_time
from typing import Any

from engine import app
from engine.group import GroupCommit
from engine.model.commands import RerouteOrder, SetPrices
from engine.model.queries import Look
from engine.settings import Settings

KEPT = 5
_SORTS = {"SetPrices": SetPrices, "RerouteOrder": RerouteOrder, "Look": Look}


class Longest:
    """The longest groups of one sort: by the clock, and by the processor time of the writer's thread, which a busy machine does not lengthen."""

    def __init__(self) -> None:
        self.clock_ms: list[float] = []
        self.cpu_ms: list[float] = []

    def add(self, clock_s: float, cpu_s: float) -> None:
        """One more."""
        self.clock_ms = sorted([*self.clock_ms, 1e3 * clock_s])[-KEPT:]
        self.cpu_ms = sorted([*self.cpu_ms, 1e3 * cpu_s])[-KEPT:]


class Timed:
    """Takes the place of ``GroupCommit.commit``."""

    def __init__(self) -> None:
        self.longest = {sort: Longest() for sort in (*_SORTS, "")}
        self._commit = GroupCommit.commit

    def commit(self, groups: Any, jobs: Any, clock_ns: int, instant_s: float) -> Any:
        """Commit, and note how long that took."""
        begun, begun_cpu = perf_counter(), thread_time()
        try:
            return self._commit(groups, jobs, clock_ns, instant_s)
        finally:
            kinds = {type(job[0]) for job in jobs}
            sort = next((name for name, kind in _SORTS.items() if kind in kinds), "")
            self.longest[sort].add(perf_counter() - begun, thread_time() - begun_cpu)


def main() -> None:
    timed = Timed()
    GroupCommit.commit = lambda *given: timed.commit(*given)  # type: ignore[method-assign]  # noqa: PLW0108 - it must be bound
    settings = Settings.load(journal=sys.argv[1], port=0, log_level="warning")
    app.run(settings, on_ready=lambda ready: print(ready.target, flush=True), stop_on_eof=True)
    print(json.dumps({sort: vars(longest) for sort, longest in timed.longest.items()}), flush=True)


if __name__ == "__main__":
    main()
