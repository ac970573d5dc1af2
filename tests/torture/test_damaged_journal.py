"""A journal of a real server, damaged in each of its fields: the next server refuses it, names the sequence, and says what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.client import AsyncClient
from engine.journal import JournalDamaged, JournalVersion
from tests.conformance.stores import SqlStore
from tests.torture.serving import open_shop, receipt, serving

RECORDS = 6
"""Of one decision each: a lone caller waits for nobody."""
DAMAGED = 4
"""Which one the test damages."""
FLIPS = {
    "version": lambda frame: frame._replace(version=frame.version + 1),
    "first_seq": lambda frame: frame._replace(first_seq=-frame.first_seq),
    "count, more": lambda frame: frame._replace(decisions=frame.decisions + 1),
    "count, none": lambda frame: frame._replace(decisions=0),
    "count, negative": lambda frame: frame._replace(decisions=-3),
    "body length": lambda frame: frame._replace(body_length=frame.body_length ^ 8),
    "checksum of the one before": lambda frame: frame._replace(previous=frame.previous ^ 1),
    "checksum": lambda frame: frame._replace(checksum=frame.checksum ^ 1 << 31),
    "checksum, out of range": lambda frame: frame._replace(checksum=-1),
    "first byte of the body": lambda frame: frame._replace(body=bytes([frame.body[0] ^ 1]) + frame.body[1:]),
    "last byte of the body": lambda frame: frame._replace(body=frame.body[:-1] + bytes([frame.body[-1] ^ 128])),
    "body, cut short": lambda frame: frame._replace(body=frame.body[: len(frame.body) // 2]),
    "body, cut short with its length": lambda frame: frame._replace(
        body=frame.body[:-1], body_length=frame.body_length - 1
    ),
    "body, empty": lambda frame: frame._replace(body=b"", body_length=0),
    "body, longer": lambda frame: frame._replace(body=frame.body + b"\0", body_length=frame.body_length + 1),
}


@pytest.fixture
async def store(tmp_path: Path) -> SqlStore:
    """The journal that a server left behind."""
    store = SqlStore(f"sqlite:///{tmp_path / 'journal.db'}")
    async with serving(store.url) as served, AsyncClient(served.target) as client:
        await open_shop(client)
        for number in range(RECORDS - 2):
            await client.receive_stock(receipt(number))
    assert [frame.first_seq for frame in store.frames()] == list(range(1, RECORDS + 1))
    return store


async def refusal(store: SqlStore) -> JournalDamaged:
    with pytest.raises(JournalDamaged) as caught:
        async with serving(store.url):
            pytest.fail("it must not serve")
    assert "estore" in caught.value.remedy, "it says what to do"
    assert str(caught.value).endswith(caught.value.remedy)
    return caught.value


@pytest.mark.parametrize("field", FLIPS)
async def test_a_damaged_record_is_refused(store: SqlStore, field: str) -> None:
    frame = store.frames()[DAMAGED - 1]
    store.replace(DAMAGED, FLIPS[field](frame))
    before = store.frames()
    damage = await refusal(store)
    assert damage.seq == DAMAGED
    assert f"at seq {DAMAGED}" in str(damage)
    assert store.frames() == before, "nothing is mended, skipped or thrown away by itself"


async def test_a_record_that_says_it_comes_later_is_refused(store: SqlStore) -> None:
    frame = store.frames()[DAMAGED - 1]
    store.replace(DAMAGED, frame._replace(first_seq=RECORDS + 100))
    assert (await refusal(store)).seq == RECORDS + 1, "the head does not know it"


@pytest.mark.parametrize("seq", [1, DAMAGED, RECORDS])
async def test_a_missing_record_is_refused(store: SqlStore, seq: int) -> None:
    store.replace(seq, None)
    assert (await refusal(store)).seq == seq


@pytest.mark.parametrize(
    ("damage", "seq"),
    [
        ("UPDATE journal_head SET seq = seq + 1", RECORDS + 1),
        ("UPDATE journal_head SET seq = seq - 1", RECORDS),
        ("UPDATE journal_head SET seq = 0", 1),
        ("UPDATE journal_head SET checksum = checksum + 1", RECORDS),
        ("DELETE FROM journal_head", None),
        ("DROP TABLE journal_head", None),
        ("DROP TABLE journal", None),
        ("DELETE FROM journal_schema", None),
    ],
)
async def test_a_damaged_head_is_refused(store: SqlStore, damage: str, seq: int | None) -> None:
    with store.connect() as connection:
        connection.exec_driver_sql(damage)
    assert (await refusal(store)).seq == seq


async def test_a_journal_of_a_newer_engine_is_refused(store: SqlStore) -> None:
    with store.connect() as connection:
        connection.exec_driver_sql("UPDATE journal_schema SET version = version + 1")
    with pytest.raises(JournalVersion, match="Run the newer engine again"):
        async with serving(store.url):
            pytest.fail("it must not serve")


def _overwrite(path: Path) -> None:
    path.write_bytes(b"\xff" * 4_096 + path.read_bytes()[4_096:])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("spoil", [_overwrite, _cut], ids=["overwritten", "cut in half"])
async def test_a_spoilt_file_is_refused(store: SqlStore, tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    spoil(tmp_path / "journal.db")
    await refusal(store)


def test_the_command_says_so(store: SqlStore) -> None:
    frame = store.frames()[DAMAGED - 1]
    store.replace(DAMAGED, FLIPS["checksum"](frame))
    for command in ("serve", "audit"):
        result = CliRunner().invoke(app, [command, "--journal", store.url])
        assert result.exit_code == 1, result.output
        assert "error: the journal cannot be replayed" in result.stderr
        assert f"the journal is damaged at seq {DAMAGED}: the checksum is" in result.stderr
        assert f"Restore the journal from a backup or a replica that holds seq {DAMAGED}" in result.stderr
