"""What every journal promises, against every store."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import Engine, event

from engine.journal import Journal, JournalClosed, JournalDamaged, JournalFenced, JournalVersion, Record
from engine.journal.frame import Frame, Tail
from tests.conformance.filling import LAST_SEQ, fill, reading
from tests.conformance.stores import SqlStore, StoreUnderTest

ROOT = Path(__file__).parents[2]


# Reading and writing


def test_a_new_journal_is_empty(journal: Journal) -> None:
    assert journal.last_seq() == 0
    assert list(journal.read()) == []


def test_what_was_appended_is_read_back_in_order(journal: Journal) -> None:
    records = fill(journal)
    assert journal.last_seq() == LAST_SEQ
    assert list(journal.read()) == records


@pytest.mark.parametrize("body", [b"\0", bytes(range(256)) * 5, b"'; DROP TABLE journal; --", b"\xff" * 100_000])
def test_a_body_is_bytes_and_nothing_else(journal: Journal, body: bytes) -> None:
    journal.append(Record(1, 1, body), expected_seq=0)
    assert next(journal.read()).body == body


@pytest.mark.parametrize("from_seq", range(1, LAST_SEQ + 1))
def test_reading_starts_with_the_record_that_holds_the_sequence_number(from_seq: int) -> None:
    from engine.journal.memory import MemoryJournal

    journal = MemoryJournal()
    records = fill(journal)
    assert list(journal.read(from_seq)) == [record for record in records if record.last_seq >= from_seq]


def test_reading_from_the_middle(journal: Journal) -> None:
    records = fill(journal)
    assert list(journal.read(4)) == records[1:]
    assert list(journal.read(7)) == records[2:]
    assert list(journal.read(14)) == records[4:]
    assert list(journal.read(15)) == []
    assert list(journal.read(1_000_000)) == []


def test_reading_a_limited_number(journal: Journal) -> None:
    records = fill(journal)
    assert list(journal.read(limit=0)) == []
    assert list(journal.read(limit=2)) == records[:2]
    assert list(journal.read(6, limit=2)) == records[2:4]
    assert list(journal.read(limit=99)) == records


def test_a_limit_or_a_start_out_of_range_is_refused_at_once(journal: Journal) -> None:
    with pytest.raises(ValueError, match="from_seq"):
        journal.read(0)
    with pytest.raises(ValueError, match="limit"):
        journal.read(limit=-1)


def test_a_reopened_journal_goes_on_where_it_ended(store: StoreUnderTest) -> None:
    with closing(store.open()) as journal:
        records = fill(journal)
    with closing(store.open()) as journal:
        assert journal.last_seq() == LAST_SEQ
        records += fill(journal)
        assert list(journal.read()) == records


def test_big_records(journal: Journal) -> None:
    records = [Record(first, 1_000_000, bytes([first % 251]) * 20_000_000) for first in (1, 1_000_001)]
    journal.append(records[0], expected_seq=0)
    journal.append(records[1], expected_seq=1_000_000)
    assert list(journal.read()) == records


def test_more_records_than_are_fetched_at_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.sql._CHUNK_ROWS", 7)
    monkeypatch.setattr("engine.journal.sql._CHUNK_BYTES", 70)
    records = fill(journal, [2] * 40)
    assert list(journal.read()) == records
    assert list(journal.read(30, limit=20)) == records[14:34]


def test_a_read_ends_where_the_journal_ended_when_it_began(journal: Journal) -> None:
    records = fill(journal)
    reader = journal.read()
    assert next(reader) == records[0]
    fill(journal)
    assert list(reader) == records[1:]


def test_reading_while_another_thread_appends(journal: Journal) -> None:
    writer = Thread(target=fill, args=(journal, [2] * 150))
    writer.start()
    seen = 0
    while writer.is_alive() or seen == 0:
        records = list(journal.read())
        assert [record.first_seq for record in records] == list(range(1, 2 * len(records), 2))
        assert len(records) >= seen
        seen = len(records)
    writer.join()
    assert len(list(journal.read())) == 150


# Misuse


def test_a_record_is_checked_when_it_is_made() -> None:
    for first_seq, count, body in [
        (1, 0, b"x"),
        (1, -1, b"x"),
        (0, 1, b"x"),
        (-5, 1, b"x"),
        (1, 1, b""),
        (2**63 - 1, 1, b"x"),
    ]:
        with pytest.raises(ValueError, match="must"):
            Record(first_seq, count, body)


def test_a_record_that_does_not_follow_is_a_mistake_of_the_caller(journal: Journal) -> None:
    fill(journal)
    with pytest.raises(ValueError, match="first_seq must be expected_seq"):
        journal.append(Record(LAST_SEQ + 2, 1, b"x"), expected_seq=LAST_SEQ)
    assert journal.last_seq() == LAST_SEQ


def test_closing_twice_does_nothing(store: StoreUnderTest) -> None:
    journal = store.open()
    journal.close()
    journal.close()


def test_a_closed_journal_refuses_everything(store: StoreUnderTest) -> None:
    journal = store.open()
    fill(journal)
    reader = journal.read()
    journal.close()
    with pytest.raises(JournalClosed):
        journal.last_seq()
    with pytest.raises(JournalClosed):
        journal.append(Record(LAST_SEQ + 1, 1, b"x"), expected_seq=LAST_SEQ)
    with pytest.raises(JournalClosed):
        next(reader)


# The fence


@pytest.mark.parametrize("expected_seq", [0, 3, LAST_SEQ - 1, LAST_SEQ + 1, LAST_SEQ + 1000])
def test_an_append_at_another_end_is_fenced_and_writes_nothing(filled: StoreUnderTest, expected_seq: int) -> None:
    before = filled.frames()
    with closing(filled.open()) as journal:
        with pytest.raises(JournalFenced, match=str(LAST_SEQ)) as caught:
            journal.append(Record(expected_seq + 1, 1, b"x"), expected_seq=expected_seq)
        assert (caught.value.expected_seq, caught.value.actual_seq) == (expected_seq, LAST_SEQ)
    assert filled.frames() == before


def test_a_writer_that_was_overtaken_is_fenced_however_late_it_comes(store: StoreUnderTest) -> None:
    with closing(store.open()) as late, closing(store.open()) as other:
        fill(late, [2])
        fill(other, [3, 1])
        with pytest.raises(JournalFenced) as caught:
            late.append(Record(3, 1, b"late"), expected_seq=2)
        assert (caught.value.expected_seq, caught.value.actual_seq) == (2, 6)
        assert [record.count for record in late.read()] == [2, 3, 1]
        late.append(Record(7, 1, b"after it has caught up"), expected_seq=late.last_seq())
        assert other.last_seq() == 7


def test_a_journal_of_the_same_length_but_another_past_fences(filled: StoreUnderTest) -> None:
    """A backup was restored, and another writer took it to the same length: the numbers agree, the contents do not."""
    with closing(filled.open()) as stale:
        last = filled.frames()[-1]
        filled.replace(last.first_seq, None)
        filled.set_head(Tail(last.first_seq - 1, last.previous))
        with closing(filled.open()) as other:
            fill(other, [2, 3])
        with pytest.raises(JournalFenced, match="another record"):
            stale.append(Record(LAST_SEQ + 1, 1, b"x"), expected_seq=LAST_SEQ)


def test_of_writers_that_append_at_once_exactly_one_succeeds(store: StoreUnderTest) -> None:
    writers, rounds = 4, 25
    barrier = Barrier(writers)

    def contend(name: int) -> list[int]:
        won = []
        with closing(store.open()) as journal:
            for seq in range(rounds):
                barrier.wait(timeout=60)
                with suppress(JournalFenced):
                    journal.append(Record(seq + 1, 1, f"{name} {seq + 1}".encode()), expected_seq=seq)
                    won.append(seq + 1)
        return won

    with ThreadPoolExecutor(writers) as pool:
        won = list(pool.map(contend, range(writers)))
    assert sorted(seq for seqs in won for seq in seqs) == list(range(1, rounds + 1))
    claimed = {f"{name} {seq}".encode() for name, seqs in enumerate(won) for seq in seqs}
    assert {record.body for record in reading(store)} == claimed


def test_of_writers_in_two_processes_exactly_one_succeeds_at_each_step(sql_store: SqlStore) -> None:
    names, rounds = ("a", "b"), 60
    expected = []
    with ExitStack() as stack:
        contenders = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(Path(__file__).with_name("contender.py")), sql_store.url, name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                    cwd=ROOT,
                    env=os.environ | {"PYTHONPATH": str(ROOT)},
                )
            )
            for name in names
        ]
        for seq in range(rounds):
            for contender in contenders:  # all are told before any is waited for
                assert contender.stdin is not None
                contender.stdin.write(f"{seq}\n")
            answers = [contender.stdout.readline().strip() for contender in contenders if contender.stdout]
            assert sorted(answers) == ["fenced", "won"]
            expected.append(f"{names[answers.index('won')]} {seq + 1}".encode())
    assert [contender.returncode for contender in contenders] == [0, 0]
    assert [record.body for record in reading(sql_store)] == expected


def test_opening_at_once_makes_one_journal(store: StoreUnderTest) -> None:
    barrier = Barrier(6)

    def open_and_close(_: int) -> int:
        barrier.wait(timeout=60)
        with closing(store.open()) as journal:
            return journal.last_seq()

    with ThreadPoolExecutor(6) as pool:
        assert list(pool.map(open_and_close, range(6))) == [0] * 6


def test_a_journal_made_while_another_looks_for_it_is_found(sql_store: SqlStore) -> None:
    made = False

    def make(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        nonlocal made
        if not made and ("sqlite_master" in statement or "pg_class" in statement):
            made = True
            with closing(sql_store.open()) as other:
                fill(other)

    event.listen(Engine, "after_cursor_execute", make)
    try:
        with closing(sql_store.open()) as journal:
            assert made
            assert journal.last_seq() == LAST_SEQ
    finally:
        event.remove(Engine, "after_cursor_execute", make)


# Databases only


def test_a_record_behind_the_head_is_never_overwritten(sql_store: SqlStore) -> None:
    with closing(sql_store.open()) as journal:
        fill(journal)
        stray = Frame(1, LAST_SEQ + 1, 1, 5, 0, 0, b"stray")
        sql_store.replace(LAST_SEQ + 1, stray)
        with pytest.raises(JournalDamaged) as caught:
            journal.append(Record(LAST_SEQ + 1, 1, b"x"), expected_seq=LAST_SEQ)
        assert caught.value.seq == LAST_SEQ + 1
    assert sql_store.frames()[-1] == stray
    assert sql_store.head().seq == LAST_SEQ


@pytest.mark.parametrize("table", ["journal", "journal_cut", "journal_head", "journal_schema"])
def test_a_missing_table_or_row_is_damage(sql_store: SqlStore, table: str) -> None:
    with closing(sql_store.open()) as journal:
        fill(journal)
    with sql_store.connect() as connection:
        connection.exec_driver_sql(f"DELETE FROM {table}")
    with pytest.raises(JournalDamaged):
        sql_store.open()
    with sql_store.connect() as connection:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    with pytest.raises(JournalDamaged, match=table):
        sql_store.open()


def test_a_journal_of_a_newer_engine_is_refused_untouched(sql_store: SqlStore) -> None:
    sql_store.open().close()
    with sql_store.connect() as connection:
        connection.exec_driver_sql("UPDATE journal_schema SET version = 3")
    with pytest.raises(JournalVersion, match="newer") as caught:
        sql_store.open()
    assert (caught.value.found, caught.value.supported) == (3, 2)
