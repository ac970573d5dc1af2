"""A writer that writes nothing notices that another one has taken over: it does not answer from an old state for ever."""

from __future__ import annotations

import asyncio

import pytest

from engine import writer as writing
from engine.journal import JournalFenced, JournalUnavailable
from engine.model.outcomes import Outcome
from engine.writer import JournalLost, NotServing
from tests.unit.writer_bench import Bench, GatedJournal


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says that checks are timed by: 0 until it is set."""
    reading = [0.0]
    monkeypatch.setattr(writing, "monotonic", lambda: reading[0])
    return reading


def beside(bench: Bench) -> Bench:
    """A second writer on the same journal, in the same state; not started."""
    other = Bench()
    other.journal = GatedJournal(bench.journal._tape)
    other.writer._groups.journal = other.journal
    return other


@pytest.mark.usefixtures("instant")
async def test_an_idle_writer_ends_when_another_one_has_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "IDLE_S", 0.005)
    bench = Bench()
    other = beside(bench)
    bench.writer.start()
    assert (await bench.reserve()).reply.outcome == Outcome.OK
    other.writer.start()
    assert await asyncio.to_thread(other.told.wait, 30)
    assert isinstance(other.lost[0], JournalFenced)
    with pytest.raises(NotServing):
        await other.reserve()
    assert (await bench.reserve()).reply.outcome == Outcome.OK, "the one that wrote goes on"
    await bench.writer.drain()


async def test_a_read_is_not_answered_from_a_state_long_overtaken(instant: list[float]) -> None:
    bench = Bench()
    other = beside(bench)
    bench.writer.start()
    other.writer.start()
    assert (await other.status()).seq == bench.first_seq
    await bench.reserve()
    instant[0] = 0.9
    assert (await other.status()).seq == bench.first_seq, "a little later it may still be"
    instant[0] = 1.0
    with pytest.raises(JournalLost) as caught:
        await other.status()
    assert caught.value.fenced
    await bench.writer.drain()


async def test_a_writer_that_writes_need_not_ask(instant: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.writer.start()
    for second in range(5):
        instant[0] = float(second)
        await bench.reserve()
        monkeypatch.setattr(bench.journal, "last_seq", lambda: pytest.fail("an append has just told"))
        await bench.status()
    monkeypatch.undo()
    await bench.writer.drain()


async def test_a_journal_that_cannot_be_asked_ends_the_writer(
    instant: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> int:
        raise JournalUnavailable("the database is gone")

    bench = Bench()
    bench.writer.start()
    await bench.status()
    monkeypatch.setattr(bench.journal, "last_seq", gone)
    await bench.status()
    instant[0] = 1.0
    with pytest.raises(JournalLost) as caught:
        await bench.status()
    assert not caught.value.fenced
    assert await asyncio.to_thread(bench.told.wait, 30)
