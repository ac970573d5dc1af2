"""The shortest history that still breaks the same promise: parts are left out as long as it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeVar

from engine.proof.simulation.auditor import Violation
from engine.proof.simulation.history import Call, History, Step
from engine.proof.simulation.simulation import Parts, Simulation
from engine.proof.simulation.world import World

T = TypeVar("T")
NEVER = 1 << 60
RUNS_MAX = 1_500
"""Attempts after which what was reached will do."""


class Ending(NamedTuple):
    """How a telling of steps ended: the promise that broke, and how many steps it took."""

    broken: Violation
    step_count: int


class Shrunk(NamedTuple):
    """What is left, the promise that it breaks, and after how many attempts. No promise: told again, it did not break."""

    history: History
    broken: Violation | None
    run_count: int


def tell(world: World, steps: Sequence[Step], parts: Parts | None, everything_each: int) -> Ending | None:
    """Play steps as they were written down."""
    simulation = Simulation(world.limits, parts, everything_each=everything_each)
    at = 0
    try:
        for at, step in enumerate(steps, 1):  # noqa: B007 - how far it came is what matters
            simulation.step(step)
        simulation.finish()
    except Violation as broken:
        return Ending(broken, at)
    return None


def shrink(world: World, steps: Sequence[Step], parts: Parts | None = None, *, runs_max: int = RUNS_MAX) -> Shrunk:
    """Leave out groups, calls, faults and waiting, in large pieces first."""
    return _Shrinking(world, parts, runs_max).shrink(list(steps))


class _Shrinking:
    """The attempts to shrink one history."""

    def __init__(self, world: World, parts: Parts | None, runs_max: int) -> None:
        self._world, self._parts, self._runs_max = world, parts, runs_max
        self._run_count = 0
        self._everything_each = NEVER
        self._broken: Violation | None = None

    def shrink(self, steps: list[Step]) -> Shrunk:
        """See `shrink`."""
        ending = self._tell(steps)
        if ending is None:
            # What only a look at everything shows, and what heals later, is looked for after each group.
            self._everything_each = 1
            ending = self._tell(steps)
        if ending is None:
            return Shrunk(History(steps), None, self._run_count)
        self._broken = ending.broken
        steps = steps[: ending.step_count]
        size = -1
        while size != (size := _size(steps)):
            steps = self._fewer(steps, list)
            steps = _regrouped(steps, self._fewer(_calls(steps), lambda calls: _regrouped(steps, calls)))  # noqa: B023
            steps = self._simpler(steps)
            steps = self._joined(steps)
        return Shrunk(History(steps), self._broken, self._run_count)

    def _tell(self, steps: Sequence[Step]) -> Ending | None:
        self._run_count += 1
        return tell(self._world, steps, self._parts, self._everything_each)

    def _breaks(self, steps: Sequence[Step]) -> bool:
        """Whether the same promise still breaks."""
        if self._run_count >= self._runs_max:
            return False
        ending = self._tell(steps)
        assert self._broken is not None
        if ending is None or ending.broken.check != self._broken.check:
            return False
        self._broken = ending.broken
        return True

    def _fewer(self, items: list[T], build: Callable[[list[T]], list[Step]]) -> list[T]:
        """Leave out pieces, of half the length at first, of one item at last."""
        length = max(1, len(items) // 2)
        while True:
            at = 0
            while at < len(items):
                rest = items[:at] + items[at + length :]
                if self._breaks(build(rest)):
                    items = rest
                else:
                    at += length
            if length == 1:
                return items
            length //= 2

    def _simpler(self, steps: list[Step]) -> list[Step]:
        """Without faults, without waiting, in one process, with everybody listening, where that changes nothing."""
        for at in range(len(steps)):
            for simplify in _SIMPLIFICATIONS:
                simpler = simplify(steps[at])
                attempt = [*steps[:at], simpler, *steps[at + 1 :]]
                if simpler != steps[at] and self._breaks(attempt):
                    steps = attempt
        return steps

    def _joined(self, steps: list[Step]) -> list[Step]:
        """Neighbours as one group, where that changes nothing."""
        at = 0
        while at + 1 < len(steps):
            one, other = steps[at : at + 2]
            attempt = [*steps[:at], replace(one, calls=one.calls + other.calls, fault=other.fault), *steps[at + 2 :]]
            plain = one.fault is None and one.process == other.process and not other.by_ns and other.upkeep is None
            if plain and self._breaks(attempt):
                steps = attempt
            else:
                at += 1
        return steps


def _size(steps: Sequence[Step]) -> int:
    return len(steps) + sum(len(step.calls) + (step.fault is not None) + (step.upkeep is not None) for step in steps)


def _calls(steps: Sequence[Step]) -> list[tuple[int, Call]]:
    return [(at, call) for at, step in enumerate(steps) for call in step.calls]


def _regrouped(steps: Sequence[Step], calls: Sequence[tuple[int, Call]]) -> list[Step]:
    """The same steps with these calls only."""
    kept: dict[int, list[Call]] = {}
    for at, call in calls:
        kept.setdefault(at, []).append(call)
    return [replace(step, calls=tuple(kept.get(at, ()))) for at, step in enumerate(steps)]


_SIMPLIFICATIONS: tuple[Callable[[Step], Step], ...] = (
    lambda step: replace(step, fault=None),
    lambda step: replace(step, upkeep=None),
    lambda step: replace(step, by_ns=0),
    lambda step: replace(step, process=0),
    lambda step: replace(step, calls=tuple(replace(call, given_up=False) for call in step.calls)),
)
