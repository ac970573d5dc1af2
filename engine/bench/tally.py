"""What a load counted: calls, outcomes, failures and latencies of one process, and of all together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from engine.demo.latency import Histogram

LATE_S = 0.01
"""A call of an open loop that is sent so long after it was due waited for the load generator, not for the server."""


@dataclass(slots=True)
class Tally:
    """Counts of one process. What belongs to the warm-up is in ``granted_units`` and ``unknown_units`` only: these are recounted."""

    answered: int = 0
    """Calls that were answered within the measured seconds."""
    granted: int = 0
    """Reservations granted by these."""
    outcomes: Counter[int] = field(default_factory=Counter)
    """Reservations of these by outcome."""
    failures: Counter[str] = field(default_factory=Counter)
    """Calls that failed, by the name of their status; their time is in the latencies."""
    latencies: Histogram = field(default_factory=Histogram)
    """From when a call was due, in an open loop, or sent, in a closed one, until it was answered or given up."""
    late: int = 0
    """Calls of an open loop that were sent late. Their latencies count from when they were due, all the same."""
    granted_units: Counter[int] = field(default_factory=Counter)
    """Units that were granted since the begin, by position of the SKU."""
    unknown_units: Counter[int] = field(default_factory=Counter)
    """Units of calls that were not answered: they may have been granted."""

    def absorb(self, other: Tally) -> None:
        """Add another one."""
        self.answered += other.answered
        self.granted += other.granted
        self.outcomes.update(other.outcomes)
        self.failures.update(other.failures)
        self.latencies.absorb(other.latencies)
        self.late += other.late
        self.granted_units.update(other.granted_units)
        self.unknown_units.update(other.unknown_units)

    def as_json(self) -> dict[str, Any]:
        """As a process tells it."""
        return {
            "answered": self.answered,
            "granted": self.granted,
            "outcomes": list(self.outcomes.items()),
            "failures": list(self.failures.items()),
            "latencies": self.latencies.as_json(),
            "late": self.late,
            "granted_units": list(self.granted_units.items()),
            "unknown_units": list(self.unknown_units.items()),
        }

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Tally:
        """As it comes out of a process."""
        return cls(
            told["answered"],
            told["granted"],
            Counter(dict(told["outcomes"])),
            Counter(dict(told["failures"])),
            Histogram.of_json(told["latencies"]),
            told["late"],
            Counter(dict(told["granted_units"])),
            Counter(dict(told["unknown_units"])),
        )
