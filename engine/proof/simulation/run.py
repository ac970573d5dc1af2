"""Worlds by seed: played, told again, shrunk when a promise was broken."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from engine.proof.simulation.auditor import Violation
from engine.proof.simulation.history import History
from engine.proof.simulation.shrink import Shrunk, shrink
from engine.proof.simulation.simulation import Figures, Parts, Simulation
from engine.proof.simulation.workload import Workload
from engine.proof.simulation.world import draw

WORLD_COMMANDS = 1_000
"""Commands of a world at most. A restart replays the world from its beginning: a long one would do little else."""
CRASHES_PER_THOUSAND = 10.0


class Plan(NamedTuple):
    """What makes a world: the same plan gives the same journal, byte for byte."""

    seed: int
    number: int
    """Which of the worlds of the seed, from 1."""
    commands: int
    crashes_per_thousand: float = CRASHES_PER_THOUSAND

    def chance(self) -> Random:
        """Where all chance of the world comes from."""
        return Random(f"{self.seed}/{self.number}")  # noqa: S311 - chance that can be repeated is the point


class Played(NamedTuple):
    """What a world came to."""

    plan: Plan
    figures: Figures
    journal_hash: str
    broken: tuple[str, str] | None = None
    """The check that failed, and what it found."""


def plans(seed: int, commands: int, crashes_per_thousand: float = CRASHES_PER_THOUSAND) -> list[Plan]:
    """The worlds of a seed that make so many commands together."""
    return [
        Plan(seed, number, min(WORLD_COMMANDS, commands - first), crashes_per_thousand)
        for number, first in enumerate(range(0, commands, WORLD_COMMANDS), 1)
    ]


def play(plan: Plan, parts: Parts | None = None, history: History | None = None) -> Played:
    """Play a world to its end or to the first broken promise; its steps are written into ``history``."""
    chance = plan.chance()
    world = draw(chance)
    simulation = Simulation(world.limits, parts)
    workload = Workload(chance, world, simulation, plan.crashes_per_thousand)
    try:
        while simulation.figures.commands < plan.commands:
            step = workload.next()
            if history is not None:
                history.steps.append(step)
            workload.heard(step, answered=simulation.step(step))
        simulation.finish()
    except Violation as broken:
        return Played(plan, simulation.figures, simulation.journal_hash(), (broken.check, broken.what))
    return Played(plan, simulation.figures, simulation.journal_hash())


def shortest(plan: Plan, parts: Parts | None = None) -> Shrunk:
    """Play a world that breaks a promise once more, and shrink what happened."""
    history = History()
    play(plan, parts, history)
    return shrink(draw(plan.chance()), history.steps, parts)
