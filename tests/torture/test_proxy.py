"""The cable to PostgreSQL, cut in the life of an append: what the writer is told, and what was written."""

from __future__ import annotations

import asyncio
from contextlib import closing

import pytest

from engine.journal import JournalUnavailable, Record, open_journal
from engine.proof.torture.proxy import Cut, Proxy
from tests.postgres import PostgresServer


def way(url: str, proxy: Proxy) -> str:
    """The url of a database of the server, over the proxy."""
    return f"postgresql+psycopg://postgres@127.0.0.1:{proxy.port}/{url.partition('@/')[2].partition('?')[0]}"


@pytest.mark.parametrize("is_prepared", [False, True], ids=["first append", "append with a prepared statement"])
@pytest.mark.parametrize("where", list(Cut), ids=lambda where: where.value)
async def test_the_writer_knows_that_it_does_not_know(
    postgres: PostgresServer, postgres_url: str, where: Cut, is_prepared: bool
) -> None:
    def append(seq: int) -> None:
        journal.append(Record(seq, 1, b"x" * 999), expected_seq=seq - 1)

    async with Proxy(postgres.socket) as proxy:
        journal = await asyncio.to_thread(open_journal, way(postgres_url, proxy))
        kept = 9 if is_prepared else 1
        for seq in range(1, kept + 1):
            await asyncio.to_thread(append, seq)
        cutting = asyncio.ensure_future(proxy.cut(where))
        await asyncio.sleep(0)
        with pytest.raises(JournalUnavailable, match="not known whether") as caught:
            await asyncio.to_thread(append, kept + 1)
        assert caught.value.outcome_unknown
        await cutting
        with pytest.raises(JournalUnavailable, match="earlier append"):
            await asyncio.to_thread(append, kept + 1)
        await asyncio.to_thread(journal.close)
    with closing(open_journal(postgres_url)) as reopened:
        assert reopened.last_seq() == kept + (where in {Cut.AFTER, Cut.ANSWER})
        assert [record.first_seq for record in reopened.read()] == list(range(1, reopened.last_seq() + 1))


async def test_nothing_is_cut_but_an_append(postgres: PostgresServer, postgres_url: str) -> None:
    async with Proxy(postgres.socket) as proxy:
        journal = await asyncio.to_thread(open_journal, way(postgres_url, proxy))
        cutting = asyncio.ensure_future(proxy.cut(Cut.BEFORE))
        await asyncio.sleep(0)
        for _ in range(7):
            assert await asyncio.to_thread(journal.last_seq) == 0
        assert await asyncio.to_thread(list, journal.read()) == []
        assert not cutting.done()
        cutting.cancel()
        await asyncio.gather(cutting, return_exceptions=True)
        await asyncio.to_thread(journal.append, Record(1, 1, b"x"), expected_seq=0)
        await asyncio.to_thread(journal.close)
