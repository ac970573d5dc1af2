"""The composition root: starts, drains, starts again where it ended, and ends when its journal cannot be written."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from engine import app
from engine.client import AsyncClient, StockpoolError
from engine.journal import Journal, JournalFenced, JournalUnavailable, Record
from engine.journal.memory import MemoryJournal
from engine.ready import JournalLost, Ready
from engine.settings import Settings
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import types_pb2 as types


class BrokenJournal(MemoryJournal):
    """Takes one record, and then fails for good."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def append(self, record: Record, *, expected_seq: int) -> None:
        if expected_seq:
            raise self._error
        super().append(record, expected_seq=expected_seq)


def settings(url: str) -> Settings:
    return Settings.load(journal=url, host="127.0.0.1", port=0)


def channel(key: str) -> network.PutChannelsRequest:
    return network.PutChannelsRequest(request_id=f"put {key}", channels=[network.Channel(channel_key=key)])


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[tuple[Ready, asyncio.Event, asyncio.Task[None]]]:
    """A server that is ready; it is stopped at the end unless it ended by itself."""
    stop = asyncio.Event()
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(app.serve(settings(url), stop, on_ready=ready.set_result))
    await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await serving
    yield ready.result(), stop, serving
    if not serving.done():
        stop.set()
        await serving


async def test_it_starts_again_where_it_ended(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    async with serving(url) as (ready, _, _), AsyncClient(ready.target) as client:
        assert (ready.journal_seq, ready.node_count) == (0, 0)
        await client.put_nodes(network.PutNodesRequest(nodes=[network.Node(node_key="north")]))
        first = await client.put_channels(channel("web"))
    async with serving(url) as (ready, _, _), AsyncClient(ready.target) as client:
        assert (ready.journal_seq, ready.node_count) == (2, 1)
        assert await client.put_channels(channel("web")) == first, "the same request, the first answer"
        status = await client.get_status(admin.GetStatusRequest())
        assert (status.journal_seq, status.channel_count) == (2, 1)


async def test_everything_that_was_accepted_is_answered_before_it_ends(tmp_path: Path) -> None:
    async with (
        serving(f"sqlite:///{tmp_path / 'journal.db'}") as (ready, stop, task),
        AsyncClient(ready.target, retries=0) as client,
    ):
        calls = [asyncio.create_task(client.put_channels(channel(f"c{number}"))) for number in range(60)]
        await calls[0]
        stop.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await task
    accepted = [one for one in answers if not isinstance(one, BaseException)]
    refused = [one for one in answers if isinstance(one, StockpoolError)]
    assert len(accepted) + len(refused) == 60
    assert accepted
    assert all(one.result.outcome == types.OUTCOME_OK for one in accepted)
    # CANCELLED: gRPC itself turned the call away, before the engine heard of it.
    assert {one.code.name for one in refused} <= {"UNAVAILABLE", "CANCELLED"}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (JournalUnavailable("the disk is full"), "JOURNAL_UNAVAILABLE"),
        (JournalFenced(1, 9), "FENCED"),
    ],
)
async def test_it_ends_when_the_journal_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str
) -> None:
    def open_broken(_: str) -> Journal:
        return BrokenJournal(error)

    monkeypatch.setattr(app, "open_journal", open_broken)
    async with serving("memory://") as (ready, _, task), AsyncClient(ready.target, retries=0) as client:
        await client.put_channels(channel("web"))
        with pytest.raises(StockpoolError) as raised:
            await client.put_channels(channel("app"))
        assert raised.value.reason == reason
        with pytest.raises(JournalLost, match="same request ids"):
            await task


async def test_a_journal_that_cannot_be_opened_ends_it_at_once(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="does not exist"):
        async with serving(f"sqlite:///{tmp_path / 'nowhere' / 'journal.db'}"):
            pytest.fail("it must not get here")


def test_no_password_is_announced() -> None:
    shown = app._shown("postgresql+psycopg://user:secret@host/db")
    assert shown == "postgresql+psycopg://user:***@host/db"
    assert app._shown("sqlite:////a/b.db") == "sqlite:////a/b.db"
