"""The writer and those who no longer wait: what is past its deadline is dropped before it is decided, never after."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine import writer as writing
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.outcomes import CommandKind, Outcome
from engine.writer import DeadlinePassed
from tests.unit.writer_bench import Bench, turns


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.writer.start()
    yield bench
    bench.journal.gate.set()
    await bench.writer.drain()


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says that deadlines are judged by: 0 until it is set."""
    reading = [0.0]
    monkeypatch.setattr(writing, "monotonic", lambda: reading[0])
    return reading


async def test_what_is_past_its_deadline_is_dropped_undecided(bench: Bench, instant: list[float]) -> None:
    """Alone, in the middle of a run of Reserves, and a read; the others of the group go on."""
    _ = await bench.block()
    futures = [bench.reserve(deadline_s=1.0), *(bench.reserve(deadline_s=1.1) for _ in range(2))]
    futures += [bench.reserve("late", deadline_s=0.5), *(bench.reserve() for _ in range(2))]
    futures += [bench.writer.submit(q.GetStatus(0), 1.0), bench.status()]
    await turns()
    instant[0] = 1.0
    bench.journal.gate.set()
    told: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    dropped = {at for at, each in enumerate(told) if isinstance(each, DeadlinePassed)}
    assert dropped == {0, 3, 6}
    assert [each.reply.outcome for at, each in enumerate(told) if at not in dropped] == [Outcome.OK] * 5
    assert bench.records() == [[CommandKind.RESERVE], [CommandKind.RESERVE] * 4]
    assert bench.writer.inbox_count == 0
    assert (await bench.reserve("late", units=2)).reply.outcome == Outcome.OK, "the id was never used"


async def test_a_deadline_that_passes_after_the_decision_changes_nothing(bench: Bench, instant: list[float]) -> None:
    bench.journal.gate.clear()
    bench.journal.entered.clear()
    futures = [bench.reserve(deadline_s=1.0), bench.writer.submit(q.GetStatus(0), 1.0)]
    assert await asyncio.to_thread(bench.journal.entered.wait, 30)
    instant[0] = 2.0
    bench.journal.gate.set()
    assert [each.reply.outcome for each in await asyncio.gather(*futures)] == [Outcome.OK] * 2


async def test_a_deadline_has_nothing_to_do_with_the_time_of_the_store(bench: Bench, instant: list[float]) -> None:
    """That one may be set by hand, and stands still when it is set back."""
    bench.clock.advance(1_000 * SECOND_NS)
    assert (await bench.reserve(deadline_s=1.0)).reply.outcome == Outcome.OK
    instant[0] = 1.0
    with pytest.raises(DeadlinePassed):
        await bench.reserve(deadline_s=1.0)
