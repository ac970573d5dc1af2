"""How long calls took: one small histogram a call, cheap enough to record every one of a million."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, Self

_OCTAVE = 128
"""Buckets a doubling; a quantile is known to within 1/128 of its value."""
_OCTAVE_BITS = 7
_BUCKETS = 40 * _OCTAVE


class Histogram:
    """Durations in whole microseconds, counted in buckets that widen with the value.

    Below 128 µs every microsecond has its own bucket; above, each doubling is cut into 128. Quantiles are the upper edge of their bucket:
    never below the truth, and at most 0.8 % above it. The largest duration is kept exactly.
    """

    __slots__ = ("_buckets", "count", "max_us", "sum_us")

    def __init__(self) -> None:
        self._buckets = [0] * _BUCKETS
        self.count = 0
        self.sum_us = 0
        self.max_us = 0

    def record(self, duration_us: int) -> None:
        """Counts one duration; negative ones count as 0, those beyond 12 days in the last bucket."""
        duration_us = max(duration_us, 0)
        shift = max(duration_us.bit_length() - _OCTAVE_BITS - 1, 0)
        self._buckets[min((shift << _OCTAVE_BITS) + (duration_us >> shift), _BUCKETS - 1)] += 1
        self.count += 1
        self.sum_us += duration_us
        self.max_us = max(self.max_us, duration_us)

    def quantile_us(self, share: float) -> int:
        """The duration that ``share`` (0 to 1) of all stayed at or under; 0 when nothing was recorded."""
        rank = max(math.ceil(share * self.count), 1)
        for index, count in enumerate(self._buckets):
            rank -= count
            if rank <= 0 and self.count:
                return min(_upper_us(index), self.max_us)
        return self.max_us

    def absorb(self, other: "Histogram") -> None:
        """Counts what another one has counted."""
        for index, count in enumerate(other._buckets):  # noqa: SLF001 - one of us
            self._buckets[index] += count
        self.count += other.count
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)

    def as_json(self) -> dict[str, Any]:
        """The buckets that are not empty, for another process."""
        buckets = [(index, count) for index, count in enumerate(self._buckets) if count]
        return {"buckets": buckets, "sum_us": self.sum_us, "max_us": self.max_us}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Self:
        """One that was told by another process."""
        made = cls()
        for index, count in told["buckets"]:
            made._buckets[index] = count
            made.count += count
        made.sum_us, made.max_us = told["sum_us"], told["max_us"]
        return made

    @property
    def mean_us(self) -> float:
        """The arithmetic mean; 0 when nothing was recorded."""
        return self.sum_us / self.count if self.count else 0.0


class Latencies:
    """One histogram a call, by the call's name in the contract."""

    def __init__(self) -> None:
        self._histograms: dict[str, Histogram] = {}

    def of(self, call: str) -> Histogram:
        """The histogram of a call, made when it is first asked for."""
        histogram = self._histograms.get(call)
        if histogram is None:
            histogram = self._histograms[call] = Histogram()
        return histogram

    def __iter__(self) -> Iterator[tuple[str, Histogram]]:
        """Calls by how often they were made, the most frequent first."""
        yield from sorted(self._histograms.items(), key=lambda item: (-item[1].count, item[0]))

    @property
    def count(self) -> int:
        """All calls together."""
        return sum(histogram.count for histogram in self._histograms.values())


def _upper_us(index: int) -> int:
    """The largest duration that falls into a bucket."""
    if index < 2 * _OCTAVE:
        return index
    shift = (index >> _OCTAVE_BITS) - 1
    return ((index - (shift << _OCTAVE_BITS) + 1) << shift) - 1
