"""The shortest history: what is left breaks the same promise, and nothing in it can be left out."""

from __future__ import annotations

import pytest

from engine.model.commands import ReceiveStock, ReleaseReservation
from engine.proof.simulation.history import Again, Ask, Call, Fault, History, Step, Trouble
from engine.proof.simulation.run import Plan, play, shortest
from engine.proof.simulation.shrink import NEVER, shrink, tell
from engine.proof.simulation.simulation import Parts
from engine.proof.simulation.world import draw
from tests.simulation.defects import recovery_forgets_requests, release_loses_a_unit

PLANS = [Plan(seed, 1, 150, crashes_per_thousand=20) for seed in range(1, 10)]


def broken_plan(parts: Parts, check: str = "") -> Plan:
    """The first world in which something breaks, or just this promise."""
    for plan in PLANS:
        broken = play(plan, parts).broken
        if broken is not None and check in ("", broken[0]):
            return plan
    raise AssertionError(f"nothing breaks in {len(PLANS)} worlds")


def asked(history: History) -> list[type]:
    return [call.item.kind for step in history.steps for call in step.calls if isinstance(call.item, Ask)]


def test_a_defect_in_release_needs_stock_a_hold_and_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        parts = release_loses_a_unit(patch)
        plan = broken_plan(parts, "cells")
        shrunk = shortest(plan, parts)
        assert shrunk.broken is not None
        assert shrunk.broken.check == "cells"
        kinds = asked(shrunk.history)
        assert kinds[-1] is ReleaseReservation
        assert {ReceiveStock, ReleaseReservation} < set(kinds)
        assert len(kinds) <= 10, shrunk.history.told()
        assert not any(step.fault or step.by_ns or step.process for step in shrunk.history.steps)
        for at in range(len(shrunk.history.steps)):
            rest = shrunk.history.steps[:at] + shrunk.history.steps[at + 1 :]
            ending = tell(draw(plan.chance()), rest, parts, NEVER)
            assert ending is None or ending.broken.check != "cells", f"group {at + 1} could be left out"
        told = shrunk.history.told()
        assert "ReleaseReservation(reservation_id=<reservation of #" in told
    assert tell(draw(plan.chance()), shrunk.history.steps, None, NEVER) is None, "without the defect nothing breaks"


def test_a_defect_in_recovery_needs_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = recovery_forgets_requests(monkeypatch)
    shrunk = shortest(broken_plan(parts), parts)
    assert shrunk.broken is not None
    assert shrunk.history.command_count == 1
    assert len(shrunk.history.steps) == 1


def test_what_refers_to_a_thing_that_was_left_out_asks_of_an_unknown_one() -> None:
    release = Ask(2, ReleaseReservation, {"reservation_id": 1})
    steps = [Step(0, (Call(Again(1)), Call(release)), Fault(Trouble.SLOW, 0.5))]
    assert tell(draw(PLANS[0].chance()), steps, None, 1) is None


def test_what_never_breaks_is_not_shrunk() -> None:
    steps = [Step(0, (Call(Ask(1, ReceiveStock, {"node_key": "dc", "lines": (("hot", 1),)})),))]
    shrunk = shrink(draw(PLANS[0].chance()), steps)
    assert shrunk.broken is None
    assert shrunk.history.steps == steps


def test_attempts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = release_loses_a_unit(monkeypatch)
    plan, history = broken_plan(parts), History()
    play(plan, parts, history)
    bounded = shrink(draw(plan.chance()), history.steps, parts, runs_max=4)
    assert bounded.run_count == 4
    assert bounded.broken is not None
    assert bounded.history.command_count <= history.command_count
