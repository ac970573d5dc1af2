"""A simulation that finds nothing proves something only when it finds what is there: each of these defects, within a few worlds."""

from __future__ import annotations

import pytest

from engine.proof.simulation.run import Plan, play
from engine.proof.simulation.upkeep import quiet
from tests.simulation.defects import DEFECTS, Defect

WORLDS = 16


def plans() -> list[Plan]:
    return [Plan(seed, 1, 300, crashes_per_thousand=40) for seed in range(1, 1 + WORLDS)]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.plant.__name__)
def test_it_is_seen(defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = defect.plant(monkeypatch)
    with quiet():
        broken = next((played.broken for plan in plans() if (played := play(plan, parts)).broken), None)
    assert broken is not None, f"not seen in {WORLDS} worlds"
    assert broken[0] in defect.checks, broken
