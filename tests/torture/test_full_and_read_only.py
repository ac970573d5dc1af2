"""A journal that cannot be written, without any crash: nobody is told what was not kept, the server ends and says why."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.client import AsyncClient, StockpoolError
from engine.journal import JournalUnavailable, sqlite
from engine.ready import JournalLost
from stockpool.v1.types_pb2 import OUTCOME_OK
from tests.conformance.stores import SqlStore
from tests.torture.serving import on_hand, open_shop, receipt, serving

PADDING = "x" * 128
TOGETHER = 20
"""Receipts that are asked for at one time."""


async def fill(url: str) -> tuple[int, str]:
    """Books receipts until one fails: how many were answered, and what the server said when it ended."""
    async with serving(url) as served, AsyncClient(served.target, retries=0, timeout_s=30) as client:
        await open_shop(client)
        answered, failed = 0, False
        while not failed:
            answers = await asyncio.gather(
                *(
                    client.receive_stock(receipt(number, padding=PADDING))
                    for number in range(answered, answered + TOGETHER)
                ),
                return_exceptions=True,
            )
            reasons = {answer.reason or answer.code.name for answer in answers if isinstance(answer, StockpoolError)}
            # The last two are gRPC's own, when the server has gone or goes.
            assert reasons <= {"JOURNAL_UNAVAILABLE", "NOT_SERVING", "UNAVAILABLE", "CANCELLED"}
            failed = bool(reasons)
            answered += sum(not isinstance(answer, BaseException) for answer in answers)
            assert answered < 5_000
        with pytest.raises(JournalLost, match="same request ids") as ended:
            await served.ended
        return answered, str(ended.value)


async def goes_on(url: str, answered: int) -> None:
    """With room again: every receipt that was answered is booked, and the others can be asked for again."""
    async with serving(url) as served, AsyncClient(served.target) as client:
        assert await on_hand(client) in range(answered, answered + 21), (
            "at most the last group, of which nobody was told"
        )
        for number in range(answered + 20):
            assert (await client.receive_stock(receipt(number, padding=PADDING))).result.outcome == OUTCOME_OK
        assert await on_hand(client) == answered + 20


async def test_no_more_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    with monkeypatch.context() as patch:
        patch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, "max_page_count = 8"))
        answered, said = await fill(url)
    assert "the disk is full; make room and start again" in said
    assert answered >= 20
    await goes_on(url, answered)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    options = ["-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if sys.platform != "linux" or subprocess.run(["mount", *options], check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_full_disk(disk: Path) -> None:
    url = f"sqlite:///{disk / 'journal.db'}"
    answered, said = await fill(url)
    assert "the disk is full; make room and start again" in said
    assert answered >= 20
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,size=64m", str(disk)], check=True)
    await goes_on(url, answered)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
async def test_a_file_that_may_not_grow(tmp_path: Path) -> None:
    """A quota of the operating system: to SQLite an error of the disk."""
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700_000, hard))
    try:
        answered, said = await fill(url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "the disk reports an error" in said
    assert answered >= 20
    await goes_on(url, answered)


async def test_a_read_only_file_is_refused_at_the_start(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    async with serving(f"sqlite:///{path}") as served, AsyncClient(served.target) as client:
        await open_shop(client)
    with pytest.raises(JournalUnavailable, match="it is read-only; check the permissions"):
        async with serving(f"sqlite:///file:{path}?mode=ro&uri=true"):
            pytest.fail("it must not serve")


async def test_a_read_only_database(postgres_url: str) -> None:
    """It may become so under a running server: when another one is made the primary."""
    store = SqlStore(postgres_url)
    async with serving(postgres_url) as served, AsyncClient(served.target, retries=0) as client:
        await open_shop(client)
        await client.receive_stock(receipt(1))
        with store.connect() as connection:
            database = connection.engine.url.database
            connection.execute(text(f"ALTER DATABASE {database} SET default_transaction_read_only = on"))
            connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name AND pid <> pg_backend_pid()"
                ),
                {"name": database},
            )
        with pytest.raises(StockpoolError):
            await client.receive_stock(receipt(2))
        with pytest.raises(JournalLost):
            await served.ended
    with pytest.raises(JournalUnavailable, match="it is read-only; give the url of the primary server"):
        async with serving(postgres_url):
            pytest.fail("it must not serve")
