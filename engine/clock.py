"""Time, for the one floor that may ask for it. Integer nanoseconds since the epoch (UTC)."""

import time
from typing import Protocol


class Clock(Protocol):
    """What time it is."""

    def now_ns(self) -> int:
        """Nanoseconds since the epoch; never less than an earlier answer of the same clock."""


class SystemClock:
    """The machine's clock, except that it never goes backwards.

    When the machine's clock is set back, this one stands still until it is overtaken: a hold may then last longer by that much, but no
    decision is dated before one that it depends on. ``not_before_ns`` carries that promise over a restart: pass the time of the last
    decision of the journal.
    """

    def __init__(self, not_before_ns: int = 0) -> None:
        self._last_ns = not_before_ns

    def now_ns(self) -> int:
        """The present, or the last answer when the machine's clock is behind it."""
        self._last_ns = max(self._last_ns, time.time_ns())
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
