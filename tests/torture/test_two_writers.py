"""Two servers on one journal: at no moment can both succeed, the loser says so and ends, and a client that follows loses nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from engine.client import AsyncClient, StockpoolError
from engine.journal import open_journal
from engine.journal.codec import decode_requests
from engine.ready import JournalLost
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1.types_pb2 import OUTCOME_OK
from tests.torture.serving import on_hand, open_shop, receipt, serving


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


async def test_the_one_that_comes_later_and_writes_first_takes_over(url: str) -> None:
    async with serving(url) as first, AsyncClient(first.target, retries=0) as old:
        await open_shop(old)
        kept = await old.receive_stock(receipt(1))
        async with serving(url) as second, AsyncClient(second.target, retries=0) as new:
            assert second.ready.journal_seq == kept.result.journal_seq
            assert await new.receive_stock(receipt(1)) == kept, "it knows what the first one answered"
            assert (await new.receive_stock(receipt(2))).result.outcome == OUTCOME_OK
            with pytest.raises(StockpoolError) as caught:
                await old.receive_stock(receipt(3))
            assert caught.value.reason in {"FENCED", "NOT_SERVING"}, "NOT_SERVING: it had noticed before it was asked"
            with pytest.raises(JournalLost, match="another writer has extended the journal") as ended:
                await first.ended
            assert "at the writer that took over" in str(ended.value)
            assert await on_hand(new) == 2


async def test_the_one_that_comes_later_and_never_writes_ends(url: str) -> None:
    """Its state is old from the first write of the other on; it must not answer from it for long."""
    async with serving(url) as first, AsyncClient(first.target) as old:
        await open_shop(old)
        async with serving(url) as second:
            await old.receive_stock(receipt(1))
            with pytest.raises(JournalLost, match="another writer"):
                await asyncio.wait_for(second.ended, 30)
            assert await on_hand(old) == 1


async def test_everybody_gets_an_answer_when_both_are_asked_at_once(url: str) -> None:
    """Half of the callers begin at either server. One of the two must lose; nobody's units are lost or booked twice."""
    count = 120
    async with serving(url) as first, AsyncClient(first.target) as opener:
        await open_shop(opener)
        async with serving(url) as second:
            here, there = first.target, second.target
            async with AsyncClient([here, there], retries=20) as one, AsyncClient([there, here], retries=20) as two:
                calls = [(two if number % 2 else one).receive_stock(receipt(number)) for number in range(count)]
                answers = await asyncio.gather(*calls)
                done, _ = await asyncio.wait(
                    (first.ended, second.ended), timeout=30, return_when=asyncio.FIRST_COMPLETED
                )
                assert len(done) == 1, "one loses, one goes on"
                with pytest.raises(JournalLost, match="another writer"):
                    await done.pop()
                assert {answer.result.outcome for answer in answers} == {OUTCOME_OK}
                assert await on_hand(one) == count
                assert (await two.audit_invariants(admin.AuditInvariantsRequest(replay=True))).ok
    journal = open_journal(url, owner=False)
    decided = {request_id: seq for record in journal.read() for seq, request_id, _ in decode_requests(record)}
    journal.close()
    assert [decided[f"receipt-{number}"] for number in range(count)] == [
        answer.result.journal_seq for answer in answers
    ]
