"""The writer: nothing leaves before it is durable, nothing accepted is lost, and a lost journal is told to everybody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

from engine import writer as writing
from engine.journal import JournalFenced, JournalUnavailable
from engine.journal.codec import decode
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.outcomes import CommandKind, Outcome
from engine.recovery import recover
from engine.writer import Answer, JournalLost, NotServing, Overloaded, SeqNotReached
from tests.builders import GROUND, limits, ship
from tests.unit.writer_bench import Bench, GatedJournal, turns


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    bench = Bench()
    bench.writer.start()
    yield bench
    bench.journal.gate.set()
    await bench.writer.drain()


async def test_an_answer_comes_after_its_decision_is_durable(bench: Bench) -> None:
    future = await bench.block()
    await turns()
    assert not future.done()
    assert bench.writer.last_seq == bench.first_seq
    assert bench.journal.last_seq() == bench.first_seq
    bench.journal.gate.set()
    seq, reply = await future
    assert reply.outcome == Outcome.OK
    assert seq == bench.writer.last_seq == bench.journal.last_seq() == bench.first_seq + 1


async def test_a_read_that_saw_a_change_waits_for_it_to_be_durable(bench: Bench) -> None:
    bench.journal.gate.clear()
    bench.journal.entered.clear()
    reserve, status = bench.reserve(), bench.status()
    assert await asyncio.to_thread(bench.journal.entered.wait, 30)
    await turns()
    assert not status.done()
    bench.journal.gate.set()
    seq, reply = await status
    assert (seq, reply.report.reserved_units) == ((await reserve).seq, 1)


async def test_what_arrives_during_a_commit_forms_the_next_group(bench: Bench) -> None:
    _ = await bench.block()
    futures = [bench.reserve() for _ in range(5)]
    await turns()
    futures += [bench.reserve(units=9) for _ in range(2)]
    await turns()
    bench.journal.gate.set()
    answers = await asyncio.gather(*futures)
    assert [answer.reply.outcome for answer in answers] == [Outcome.OK] * 5 + [Outcome.INSUFFICIENT_STOCK] * 2
    assert [len(group) for group in bench.records()] == [1, 7]
    assert [answer.seq for answer in answers] == list(range(bench.first_seq + 2, bench.first_seq + 9))


async def test_a_read_alone_writes_nothing(bench: Bench) -> None:
    seq, _ = await bench.status()
    assert seq == bench.first_seq
    assert bench.records() == []


async def test_a_cancelled_request_is_dropped_undecided(bench: Bench) -> None:
    _ = await bench.block()
    futures = [bench.reserve() for _ in range(3)]
    await turns()
    futures[1].cancel()
    bench.journal.gate.set()
    await futures[2]
    assert bench.records() == [[CommandKind.RESERVE], [CommandKind.RESERVE] * 2]
    assert bench.machine.pool.counter(c.RESERVATIONS_OPEN) == 3
    await turns()
    assert bench.writer.inbox_count == 0


async def test_a_request_cancelled_after_it_was_decided_stays_decided(bench: Bench) -> None:
    future = await bench.block()
    future.cancel()
    bench.journal.gate.set()
    seq, again = await bench.reserve("blocked")
    assert (seq, again.outcome) == (bench.first_seq + 1, Outcome.OK)
    assert bench.machine.pool.counter(c.RESERVATIONS_OPEN) == 1


async def test_a_full_inbox_refuses_at_once_and_takes_again_later() -> None:
    bench = Bench(limits(inbox_max=3))
    bench.writer.start()
    futures = [await bench.block(), bench.reserve(), bench.status()]
    with pytest.raises(Overloaded) as caught:
        await bench.reserve()
    assert caught.value.retry_after_ns > 0
    bench.journal.gate.set()
    await asyncio.gather(*futures)
    assert bench.writer.inbox_count == 0
    assert (await bench.reserve()).reply.outcome == Outcome.OK
    await bench.writer.drain()


async def test_a_drained_writer_has_answered_everything(bench: Bench) -> None:
    futures = [await bench.block(), *(bench.reserve() for _ in range(4))]
    await turns()
    futures.append(bench.reserve())
    futures.append(bench.status())
    draining = asyncio.ensure_future(bench.writer.drain())
    await turns()
    with pytest.raises(NotServing):
        await bench.reserve()
    bench.journal.gate.set()
    await draining
    await turns()
    assert all(future.done() and not future.exception() for future in futures)
    assert bench.machine.seq == bench.journal.last_seq() == bench.writer.last_seq
    await bench.writer.drain()


async def test_draining_an_idle_writer_ends_at_once(bench: Bench) -> None:
    await bench.writer.drain()
    assert not bench.writer._thread.is_alive()
    with pytest.raises(NotServing):
        await bench.status()


# A lost journal


async def failed(bench: Bench, failure: Exception, *others: asyncio.Future[Answer]) -> list[Any]:
    """What those who wait are told when the append that is held up fails."""
    bench.journal.failure = failure
    bench.journal.gate.set()
    return await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 30)


async def test_a_failed_append_is_told_to_everybody_who_waits(bench: Bench) -> None:
    first = await bench.block()
    handed_over = [bench.reserve() for _ in range(3)] + [bench.status()]
    await turns()
    gathered = [bench.reserve(), bench.status()]
    told = await failed(bench, JournalUnavailable("disk full"), first, *handed_over, *gathered)
    assert [type(each) for each in told] == [JournalLost] * 7
    assert not any(each.fenced for each in told)
    assert await asyncio.to_thread(bench.told.wait, 30)
    assert [type(error) for error in bench.lost] == [JournalUnavailable]
    assert bench.writer.inbox_count == 0
    with pytest.raises(NotServing):
        await bench.reserve()
    assert bench.records() == []


async def test_one_who_submits_while_the_writer_ends_is_told_too(bench: Bench) -> None:
    first = await bench.block()
    bench.journal.failure = JournalUnavailable("disk full")
    bench.journal.gate.set()
    await asyncio.to_thread(bench.told.wait, 30)
    late: list[Any] = []
    try:
        late.append(bench.reserve())
    except NotServing:
        late.append(None)
    told = await asyncio.wait_for(asyncio.gather(first, *filter(None, late), return_exceptions=True), 30)
    assert {type(each) for each in told} == {JournalLost}


async def test_a_fenced_writer_says_so(bench: Bench) -> None:
    (told,) = await failed(bench, JournalFenced(3, 9), await bench.block())
    assert told.fenced
    assert await asyncio.to_thread(bench.told.wait, 30)
    assert isinstance(bench.lost[0], JournalFenced)


async def test_another_writer_on_the_same_journal_fences_this_one(bench: Bench) -> None:
    other = Bench()
    other.journal = GatedJournal(bench.journal._tape)
    other.writer._groups.journal = other.journal
    other.writer.start()
    assert (await bench.reserve()).reply.outcome == Outcome.OK
    with pytest.raises(JournalLost) as caught:
        await other.reserve()
    assert caught.value.fenced
    assert [len(group) for group in bench.records()] == [1]


async def test_a_defect_in_apply_ends_the_writer(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def spoilt(_: Any) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(bench.machine, "apply", spoilt)
    told = await asyncio.wait_for(asyncio.gather(bench.reserve(), bench.status(), return_exceptions=True), 30)
    assert [type(each) for each in told] == [JournalLost] * 2
    assert await asyncio.to_thread(bench.told.wait, 30)
    assert isinstance(bench.lost[0], RuntimeError)
    assert bench.records() == [], "what memory says may be wrong: it is not written down"
    with pytest.raises(NotServing):
        await bench.reserve()


async def test_a_defect_in_deciding_hurts_its_own_caller_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    decide = bench.machine.decide

    def faulty(command: Any, now_ns: int) -> Any:
        if isinstance(command, list) or command.request_id == "bad":
            raise ZeroDivisionError
        return decide(command, now_ns)

    monkeypatch.setattr(bench.machine, "decide", faulty)
    monkeypatch.setattr(bench.machine, "decide_reserves", faulty)
    futures = [bench.reserve(), bench.reserve("bad"), bench.reserve(), bench.status()]
    told: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(told[1], ZeroDivisionError)
    assert [each.reply.outcome for at, each in enumerate(told) if at != 1] == [Outcome.OK] * 3
    assert bench.records() == [[CommandKind.RESERVE] * 2]
    assert not bench.lost


async def test_what_is_no_longer_well_formed_is_told_and_not_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    card = bench.store.make(m.PutRateCard, rate_card=GROUND._replace(currency_code="EUR"))
    futures = [bench.reserve(), bench.writer.submit(card), bench.reserve()]
    told: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(told[1], m.Malformed)
    assert [told[0].reply.outcome, told[2].reply.outcome] == [Outcome.OK] * 2
    assert bench.records() == [[CommandKind.RESERVE] * 2]
    assert not caplog.records


async def test_a_defect_in_answering_hurts_its_own_caller_alone(bench: Bench) -> None:
    futures = [bench.writer.submit(q.GetEntry(0, "no such kind", "")), bench.reserve()]
    told: list[Any] = await asyncio.gather(*futures, return_exceptions=True)
    assert isinstance(told[0], KeyError)
    assert told[1].reply.outcome == Outcome.OK


# Repeats and sequences


async def test_a_repeat_within_its_own_group_gets_the_same_answer(bench: Bench) -> None:
    _ = await bench.block()
    command = bench.store.make(m.Reserve, "twice", claim=ship([("A", 1)]))
    other = bench.store.make(m.Reserve, "twice", claim=ship([("A", 2)]))
    futures = [bench.writer.submit(each) for each in (command, command, other)]
    await turns()
    bench.journal.gate.set()
    first, second, reused = await asyncio.gather(*futures)
    assert first == second
    assert (reused.seq, reused.reply.outcome, reused.reply.subject) == (first.seq, Outcome.REQUEST_ID_REUSED, "twice")
    assert bench.records() == [[CommandKind.RESERVE]] * 2
    assert bench.machine.pool.counter(c.RESERVATIONS_OPEN) == 2


async def test_a_repeat_of_long_ago_gets_the_first_sequence(bench: Bench) -> None:
    command = bench.store.make(m.Reserve, "twice", claim=ship([("A", 1)]))
    first = await bench.writer.submit(command)
    await bench.reserve()
    assert await bench.writer.submit(command) == first


async def test_a_read_of_a_state_yet_to_come_is_refused(bench: Bench) -> None:
    with pytest.raises(SeqNotReached) as caught:
        await bench.status(bench.first_seq + 1)
    assert caught.value.last_seq == bench.first_seq
    seq, _ = await bench.reserve()
    assert (await bench.status(seq)).seq == seq


async def test_watchers_wake_when_something_is_durable(bench: Bench) -> None:
    await asyncio.wait_for(bench.writer.wait_beyond(bench.first_seq - 1), 30)
    watchers = [asyncio.ensure_future(bench.writer.wait_beyond(bench.first_seq + extra)) for extra in (0, 1)]
    future = await bench.block()
    await turns()
    assert not watchers[0].done()
    bench.journal.gate.set()
    await future
    await asyncio.wait_for(watchers[0], 30)
    assert not watchers[1].done()
    await bench.reserve()
    await asyncio.wait_for(watchers[1], 30)


# Time


async def test_what_has_expired_ends_before_the_group_is_judged(bench: Bench) -> None:
    await bench.reserve(units=10, ttl_ns=SECOND_NS)
    bench.clock.advance(SECOND_NS)
    assert (await bench.reserve(units=10)).reply.outcome == Outcome.OK
    assert bench.records() == [[CommandKind.RESERVE], [CommandKind.EXPIRE, CommandKind.RESERVE]]


async def test_a_read_ends_what_has_expired(bench: Bench) -> None:
    await bench.reserve(units=10, ttl_ns=SECOND_NS)
    bench.clock.advance(SECOND_NS)
    seq, reply = await bench.status()
    assert reply.report.reserved_units == 0
    assert seq == bench.journal.last_seq() == bench.first_seq + 2


async def test_an_idle_writer_ends_what_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "IDLE_S", 0.01)
    bench = Bench()
    bench.writer.start()
    seq, _ = await bench.reserve(ttl_ns=SECOND_NS)
    bench.clock.advance(SECOND_NS)
    await asyncio.wait_for(bench.writer.wait_beyond(seq), 30)
    assert bench.records() == [[CommandKind.RESERVE], [CommandKind.EXPIRE]]
    await bench.writer.drain()


async def test_time_never_goes_back(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    await bench.reserve()
    monkeypatch.setattr(bench.clock, "now_ns", lambda: 5)
    reply = (await bench.reserve()).reply
    assert reply.created_ns == bench.store.now_ns
    times = [each.now_ns for record in bench.journal.read() for each in decode(record)]
    assert times == sorted(times)


# All together


@pytest.mark.parametrize("seed", range(2))
async def test_many_callers_one_truth(seed: int) -> None:
    chance = Random(seed)
    bench = Bench(
        limits(open_reservations_max=500, reservation_legs_max=500, group_max=7, request_ids_remembered=9_999)
    )
    bench.writer.start()
    held: list[int] = []

    async def caller(name: int) -> None:
        for at in range(20):
            future = bench.reserve(f"{name}/{at}", units=chance.randint(1, 2), ttl_ns=chance.randint(1, 5) * SECOND_NS)
            if chance.random() < 0.1:
                future.cancel()
                await turns(1)
                continue
            reply = (await future).reply
            assert reply.outcome in (Outcome.OK, Outcome.INSUFFICIENT_STOCK)
            if reply.reservation_id:
                held.append(reply.reservation_id)
            if chance.random() < 0.3:
                bench.clock.advance(chance.randint(0, 2) * SECOND_NS)

    await asyncio.gather(*(caller(name) for name in range(12)))
    await bench.writer.drain()
    assert len(set(held)) == len(held) > 0, f"seed {seed}"
    bench.store.audit()
    assert recover(bench.journal, bench.limits).digest() == bench.machine.digest(), f"seed {seed}"
