"""The writer in company: many callers of every kind at once, and the one who stays when the others have left."""

from __future__ import annotations

import asyncio
import itertools
from random import Random

import pytest

from engine import writer as writing
from engine.journal.codec import decode
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.recovery import recover
from engine.writer import Answer, Writer
from tests.builders import limits, ship
from tests.unit.writer_bench import Bench, turns


@pytest.mark.parametrize("linger_ns", [0, 500_000])
async def test_a_lone_caller_is_answered_after_company_has_left(linger_ns: int) -> None:
    bench = Bench()
    bench.writer = Writer(bench.machine, bench.journal, bench.clock, linger_ns=linger_ns, on_lost=bench._on_lost)
    bench.writer.start()
    for size in (8, 1, 1, 8, 1):
        answers = await asyncio.wait_for(asyncio.gather(*(bench.status() for _ in range(size))), 30)
        assert len(answers) == size
    await bench.writer.drain()


async def company(monkeypatch: pytest.MonkeyPatch, took_s: float) -> tuple[Bench, list[asyncio.Future[Answer]]]:
    """Eight go together, which takes so long, and three of them come again. Company may be waited for an hour."""
    clock = itertools.count(0, took_s)
    monkeypatch.setattr(writing, "monotonic", lambda: next(clock))
    bench = Bench(limits())
    hour_ns = 3_600 * SECOND_NS
    bench.writer = Writer(bench.machine, bench.journal, bench.clock, linger_ns=hour_ns, on_lost=bench._on_lost)
    bench.writer.start()
    await asyncio.gather(*(bench.status() for _ in range(8)))
    bench.journal.gate.clear()
    bench.journal.entered.clear()
    first = [bench.reserve() for _ in range(8)]
    assert await asyncio.to_thread(bench.journal.entered.wait, 30)
    second = [bench.reserve() for _ in range(3)]
    await turns()
    assert not any(future.done() for future in first)
    bench.journal.gate.set()
    await asyncio.gather(*first)
    await turns()
    return bench, second


async def test_who_went_together_goes_together_again(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, second = await company(monkeypatch, took_s=1_800.0)
    assert not any(future.done() for future in second)  # the rest of the company is missing
    second += [bench.reserve() for _ in range(5)]
    await asyncio.wait_for(asyncio.gather(*second), 30)
    assert [len(record) for record in bench.records()] == [8, 8]
    await bench.writer.drain()


async def test_company_is_not_waited_for_where_groups_take_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, second = await company(monkeypatch, took_s=0.0)
    await asyncio.wait_for(asyncio.gather(*second), 30)
    assert [len(record) for record in bench.records()] == [8, 3]
    await bench.writer.drain()


@pytest.mark.parametrize("seed", range(3))
async def test_callers_of_every_kind_one_truth(seed: int) -> None:
    """Runs of Reserves broken by everything else: cancelled, repeated, reused, refused for lack of room."""
    chance = Random(seed)
    bench = Bench(
        limits(open_reservations_max=12, reservation_legs_max=40, request_ids_remembered=25, batch_items_max=5)
    )
    bench.writer.start()

    def work(name: int, at: int) -> m.Command | q.Query:
        make, request_id = bench.store.make, f"{name}/{at - chance.choice([0, 0, 0, 1])}"
        asked: list[m.Command | q.Query] = [
            make(m.Reserve, request_id, claim=ship([("A", chance.randint(1, 3))])),
            make(m.Reserve, request_id, claim=ship([("A", 1), ("B", 2)], ttl_ns=SECOND_NS)),
            make(m.Reserve, request_id, claim=ship([("Z", 1)])),
            make(m.ReleaseReservation, request_id, reservation_id=chance.randint(1, 40)),
            make(m.ReceiveStock, request_id, node_key="dc", lines=(("A", 2),)),
            make(m.BatchReserve, request_id, claims=m.ClaimColumns.of((ship([("B", 1)]),) * 3)),
            q.GetStatus(0),
        ]
        return chance.choice(asked)

    async def caller(name: int) -> None:
        for at in range(25):
            future = bench.writer.submit(work(name, at))
            if chance.random() < 0.1:
                future.cancel()
            else:
                await future
            if chance.random() < 0.1:
                bench.clock.advance(SECOND_NS)

    await asyncio.gather(*(caller(name) for name in range(10)))
    await bench.writer.drain()
    bench.store.audit()
    assert not bench.lost
    assert recover(bench.journal, bench.limits).digest() == bench.machine.digest(), f"seed {seed}"
    twin = Bench(bench.limits)
    decided = [each for record in bench.journal.read(bench.first_seq + 1) for each in decode(record)]
    assert [each.seq for each in decided] == list(range(bench.first_seq + 1, bench.machine.seq + 1))
    for decision in decided:
        twin.machine.apply(decision)
        twin.store.audit()
