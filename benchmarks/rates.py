"""Rates of several rounds that alternate, and what they say of each other."""

from __future__ import annotations

from statistics import median

from benchmarks.history import Note


class Rates:
    """Reservations a second by name, a list over the rounds."""

    def __init__(self) -> None:
        self._rates: dict[str, list[float]] = {}

    def add(self, name: str, per_s: float) -> None:
        """One round's."""
        self._rates.setdefault(name, []).append(per_s)

    def of(self, name: str) -> float:
        """The median over the rounds."""
        return median(self._rates[name])

    def best(self, *names: str) -> str:
        """The name with the highest median."""
        return max(names, key=self.of)

    def over(self, name: str, other: str) -> float:
        """The median of the rounds' ratios."""
        return median(one / two for one, two in zip(self._rates[name], self._rates[other], strict=True))

    def note(self, note: Note) -> None:
        """Note every median as ``<name>_per_s``."""
        for name in self._rates:
            note(f"{name}_per_s", self.of(name), "1/s")
