"""Time, for the one floor that may ask for it. Integer nanoseconds since the epoch (UTC)."""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch; never less than an earlier answer of the same clock."""


class SystemClock:
    """The machine's clock, except that it never goes backwards.

    When the machine's clock is set back, this one goes on from where it was, a tenth slower than time passes, until the other has caught
    up: no decision is dated before one that it depends on, and a hold lasts at most a ninth longer than promised, however far the clock
    was set. ``not_before_ns`` carries that over a restart: pass the time of the last decision of the journal. A clock that jumps ahead
    is believed: every hold that ends before its new time ends at once.
    """

    def __init__(self, not_before_ns: int = 0) -> None:
        self._last_ns = not_before_ns
        self._passed_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """The present, or a little after the last answer when the machine's clock is behind it."""
        passed_ns = time.monotonic_ns()
        slowly_ns = self._last_ns + (passed_ns - self._passed_ns) * 9 // 10
        self._last_ns = max(slowly_ns, time.time_ns())
        self._passed_ns = passed_ns
        return self._last_ns


class ManualClock:
    """A clock that moves when it is told to, for tests."""

    def __init__(self, now_ns: int = 1_700_000_000_000_000_000) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        """What it was set to."""
        return self._now_ns

    def advance(self, by_ns: int) -> int:
        """Move on by ``by_ns`` (at least 0) and return the new time."""
        if by_ns < 0:
            raise ValueError(f"time does not go backwards: advance({by_ns})")
        self._now_ns += by_ns
        return self._now_ns
