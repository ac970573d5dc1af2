"""What a journal says when its database fails it: full, read-only, busy, gone, killed."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text

from engine.journal import JournalDamaged, JournalFenced, JournalUnavailable, Record, open_journal, tables
from engine.journal.checkpoint import PAGE_BYTES
from engine.journal.frame import Tail, seal
from tests.conformance.stores import SqlStore, opened, writer_of
from tests.postgres import PostgresServer

ROOT = Path(__file__).parents[2]


def test_what_a_killed_writer_was_told_is_there(sql_store: SqlStore) -> None:
    script = (
        "import sys\n"
        "from engine.journal import Record, open_journal\n"
        "journal = open_journal(sys.argv[1])\n"
        "seq = 0\n"
        "while True:\n"
        "    journal.append(Record(seq + 1, 1, b'x' * 3000), expected_seq=seq)\n"
        "    seq += 1\n"
        "    print(seq, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, sql_store.url], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 50:
                writer.send_signal(signal.SIGKILL)
                break
        told = max([50, *(int(line) for line in writer.stdout.read().split("\n")[:-1])])
    with closing(sql_store.open()) as journal:
        last_seq = journal.last_seq()
        assert told <= last_seq <= told + 1  # at most the one it had not been told about
        assert [record.first_seq for record in journal.read()] == list(range(1, last_seq + 1))
        journal.append(Record(last_seq + 1, 1, b"the next writer"), expected_seq=last_seq)


def test_an_append_that_was_interrupted_leaves_the_outcome_open(sql_store: SqlStore) -> None:
    with closing(opened(sql_store)) as journal:

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        event.listen(journal._store.engine, "after_cursor_execute", interrupt)
        with pytest.raises(KeyboardInterrupt):
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        event.remove(journal._store.engine, "after_cursor_execute", interrupt)
        with pytest.raises(JournalUnavailable, match="earlier append") as caught:
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        assert caught.value.outcome_unknown
    with closing(sql_store.open()) as reopened:
        last_seq = reopened.last_seq()
        assert len(list(reopened.read())) == last_seq
        reopened.append(Record(last_seq + 1, 1, b"y"), expected_seq=last_seq)


# SQLite


def test_a_full_disk(sqlite_store: SqlStore) -> None:
    with closing(opened(sqlite_store)) as journal:
        journal.append(Record(1, 1, b"x" * 1000), expected_seq=0)
        run = writer_of(journal).exec_driver_sql
        run(f"PRAGMA max_page_count = {run('PRAGMA page_count').scalar_one() + 2}")
        with pytest.raises(JournalUnavailable, match="the disk is full") as caught:
            journal.append(Record(2, 1, b"x" * 100_000), expected_seq=1)
        assert not caught.value.outcome_unknown
        assert caught.value.__cause__ is not None
        assert journal.last_seq() == 1
        run("PRAGMA max_page_count = 1000000")
        journal.append(Record(2, 1, b"x" * 100_000), expected_seq=1)
        assert [len(record.body) for record in journal.read()] == [1000, 100_000]


def test_an_error_of_the_commit_itself_leaves_the_outcome_open(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(sqlite_store)) as journal:
        journal.append(Record(1, 1, b"x"), expected_seq=0)

        def fail_to_commit(_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        monkeypatch.setattr(journal._store.engine.dialect, "do_commit", fail_to_commit)
        with pytest.raises(JournalUnavailable, match="not known whether") as caught:
            journal.append(Record(2, 1, b"x"), expected_seq=1)
        assert caught.value.outcome_unknown
        monkeypatch.undo()
        with pytest.raises(JournalUnavailable, match="earlier append") as caught:
            journal.append(Record(2, 1, b"x"), expected_seq=1)
        assert caught.value.outcome_unknown
        assert [record.first_seq for record in journal.read()] == [1]  # reading goes on


def test_another_process_that_keeps_the_write_lock(sqlite_store: SqlStore) -> None:
    with closing(opened(sqlite_store)) as journal, sqlite_store.connect() as other:
        writer_of(journal).exec_driver_sql("PRAGMA busy_timeout = 50")
        other.exec_driver_sql("PRAGMA busy_timeout = 50")
        other.exec_driver_sql("UPDATE journal_schema SET version = 1")  # its transaction stays open
        with pytest.raises(JournalUnavailable, match="another process has held the write lock") as caught:
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        assert not caught.value.outcome_unknown
        other.rollback()
        journal.append(Record(1, 1, b"x"), expected_seq=0)


@pytest.mark.parametrize("writers", [1, 2])
def test_only_who_wrote_last_moves_the_log_at_the_end(sqlite_store: SqlStore, writers: int) -> None:
    """Beside another that goes on writing it could bring on a race in SQLite by which a commit is lost."""
    journal, others = opened(sqlite_store), [opened(sqlite_store) for _ in range(writers - 1)]
    journal.append(Record(1, 1, b"x"), expected_seq=0)
    for other in others:
        other.append(Record(2, 1, b"y"), expected_seq=1)
        with pytest.raises(JournalFenced):
            journal.append(Record(2, 1, b"x"), expected_seq=1)
    said: list[str] = []
    event.listen(journal._store.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    journal.close()
    assert any("wal_checkpoint" in statement for statement in said) == (not others)
    for other in others:
        other.close()
    with closing(sqlite_store.open()) as reopened:
        assert len(list(reopened.read())) == writers


def test_places_where_no_journal_can_be(tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match=f"the folder {tmp_path / 'missing'} does not exist"):
        open_journal(f"sqlite:///{tmp_path / 'missing' / 'journal.db'}")
    with pytest.raises(JournalUnavailable, match="is a folder"):
        open_journal(f"sqlite:///{tmp_path}")
    note = tmp_path / "note.txt"
    note.write_text("not a database, but long enough to be taken for one" * 100)
    with pytest.raises(JournalDamaged, match=r"note.txt is not a sound SQLite database"):
        open_journal(f"sqlite:///{note}")
    assert note.read_text().startswith("not a database")


def test_a_database_file_with_a_lost_page(sqlite_store: SqlStore, tmp_path: Path) -> None:
    with closing(sqlite_store.open()) as journal:
        for seq in range(40):
            journal.append(Record(seq + 1, 1, b"x" * 3000), expected_seq=seq)
    file = tmp_path / "journal.db"
    content = bytearray(file.read_bytes())
    content[2 * PAGE_BYTES :] = bytes(len(content) - 2 * PAGE_BYTES)
    file.write_bytes(content)
    with pytest.raises(JournalDamaged), closing(sqlite_store.open()) as journal:
        list(journal.read())


def test_the_file_is_synced_at_every_commit(sqlite_store: SqlStore) -> None:
    with closing(opened(sqlite_store)) as journal:
        pragmas = ("journal_mode", "synchronous", "page_size", "wal_autocheckpoint", "fullfsync")
        run = writer_of(journal).exec_driver_sql
        assert [run(f"PRAGMA {pragma}").scalar() for pragma in pragmas] == ["wal", 2, PAGE_BYTES, 0, 1]


def test_the_write_ahead_log_does_not_grow_for_ever(
    sqlite_store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.checkpoint.LOG_BYTES", 20 * PAGE_BYTES)
    log = tmp_path / "journal.db-wal"
    sizes = []
    with closing(opened(sqlite_store)) as journal:
        for seq in range(200):
            journal.append(Record(seq + 1, 1, b"x" * 2000), expected_seq=seq)
            checkpoint = journal._store._checkpointer._pass  # type: ignore[attr-defined]
            if checkpoint is not None:
                checkpoint.join()
            sizes.append(log.stat().st_size)
        assert max(sizes) < 60 * PAGE_BYTES
        assert max(sizes[20:]) == max(sizes)  # started anew, not cut: its room is used again and again
        assert len(list(journal.read())) == 200
    assert not log.exists()
    with sqlite_store.connect() as connection:
        assert connection.execute(text("PRAGMA integrity_check")).scalar() == "ok"


def test_a_checkpoint_that_fails_is_logged_and_the_append_stands(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("engine.journal.checkpoint.LOG_BYTES", 1)
    with closing(opened(sqlite_store)) as journal:
        execute = journal._store.engine.dialect.do_execute

        def fail_to_checkpoint(cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
            if "wal_checkpoint" in statement:
                raise sqlite3.OperationalError("disk I/O error")
            execute(cursor, statement, parameters, context)

        monkeypatch.setattr(journal._store.engine.dialect, "do_execute", fail_to_checkpoint)
        for seq in range(20):
            journal.append(Record(seq + 1, 1, b"x"), expected_seq=seq)
        monkeypatch.undo()
    assert "checkpoint of the journal failed" in caplog.text
    with closing(sqlite_store.open()) as reopened:
        assert reopened.last_seq() == 20


def test_appends_during_checkpoints_lose_nothing(sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.checkpoint.LOG_BYTES", 2 * PAGE_BYTES)
    with closing(opened(sqlite_store)) as journal:
        for seq in range(300):
            journal.append(Record(seq + 1, 1, seq.to_bytes(4, "little") * 500), expected_seq=seq)
    with closing(sqlite_store.open()) as reopened:
        assert [record.body[:4] for record in reopened.read()] == [seq.to_bytes(4, "little") for seq in range(300)]


def test_a_reader_that_keeps_its_snapshot_open_stops_nobody(
    sqlite_store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.journal.checkpoint.LOG_BYTES", PAGE_BYTES)
    with closing(opened(sqlite_store)) as journal:
        journal.append(Record(1, 1, b"x"), expected_seq=0)
        with sqlite_store.connect() as reader:
            reader.exec_driver_sql("BEGIN")
            assert reader.execute(text("SELECT count(*) FROM journal")).scalar() == 1
            for seq in range(1, 60):
                journal.append(Record(seq + 1, 1, b"x"), expected_seq=seq)
            assert reader.execute(text("SELECT count(*) FROM journal")).scalar() == 1
        assert len(list(journal.read())) == 60


# PostgreSQL


def test_a_connection_that_breaks_during_an_append_leaves_the_outcome_open(
    postgres_store: SqlStore, postgres: PostgresServer
) -> None:
    with closing(opened(postgres_store)) as journal, postgres_store.connect() as other:
        pid = writer_of(journal).exec_driver_sql("SELECT pg_backend_pid()").scalar()
        other.execute(text("SELECT seq FROM journal_head FOR UPDATE"))  # the append will wait for this row
        with ThreadPoolExecutor(1) as pool:
            append = pool.submit(journal.append, Record(1, 1, b"x"), expected_seq=0)
            with postgres.connect() as admin:
                wait_until_blocked(admin, pid)
                admin.execute("SELECT pg_terminate_backend(%s)", [pid])
            with pytest.raises(JournalUnavailable, match="not known whether") as caught:
                append.result(timeout=60)
        assert caught.value.outcome_unknown
        assert caught.value.__cause__ is not None
        other.rollback()
        with pytest.raises(JournalUnavailable, match="earlier append"):
            journal.append(Record(1, 1, b"x"), expected_seq=0)
    with closing(postgres_store.open()) as reopened:
        assert reopened.last_seq() == 0


def test_a_connection_that_broke_between_appends_is_found(postgres_store: SqlStore, postgres: PostgresServer) -> None:
    with closing(opened(postgres_store)) as journal:
        pid = writer_of(journal).exec_driver_sql("SELECT pg_backend_pid()").scalar()
        with postgres.connect() as admin:
            admin.execute("SELECT pg_terminate_backend(%s, 30000)", [pid])
        with pytest.raises(JournalUnavailable) as caught:
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        assert caught.value.outcome_unknown


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
def test_an_append_that_waited_for_another_writer_is_fenced(
    postgres_store: SqlStore, postgres: PostgresServer, isolation: str
) -> None:
    """The statement of the late writer has begun, and is held up until the other writer has committed."""
    with postgres_store.connect() as other:
        other.execute(
            text(f"ALTER DATABASE {other.engine.url.database} SET default_transaction_isolation = '{isolation}'")
        )
    with closing(opened(postgres_store)) as journal, postgres_store.connect() as other:
        pid = writer_of(journal).exec_driver_sql("SELECT pg_backend_pid()").scalar()
        frame = seal(Record(1, 2, b"the other"), Tail(0, 0))
        other.execute(tables.MOVE_HEAD_AND_APPEND, frame._asdict() | {"expected_seq": 0, "last_seq": 2})
        with ThreadPoolExecutor(1) as pool:
            append = pool.submit(journal.append, Record(1, 1, b"late"), expected_seq=0)
            with postgres.connect() as admin:
                wait_until_blocked(admin, pid)
            other.commit()
            with pytest.raises(JournalFenced) as caught:
                append.result(timeout=60)
        assert caught.value.actual_seq == 2
        assert [record.body for record in journal.read()] == [b"the other"]


def test_another_client_that_keeps_the_head(postgres_store: SqlStore) -> None:
    with closing(opened(postgres_store)) as journal, postgres_store.connect() as other:
        writer_of(journal).exec_driver_sql("SET lock_timeout TO 50")
        other.execute(text("SELECT seq FROM journal_head FOR UPDATE"))
        with pytest.raises(JournalUnavailable, match="another client has held the head") as caught:
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        assert not caught.value.outcome_unknown
        other.rollback()
        journal.append(Record(1, 1, b"x"), expected_seq=0)


def test_a_server_that_confirms_too_early_is_asked_to_wait(postgres_store: SqlStore) -> None:
    with postgres_store.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {connection.engine.url.database} SET synchronous_commit = off"))
    with closing(opened(postgres_store)) as journal:
        assert writer_of(journal).exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_a_server_that_never_syncs_is_refused(postgres_store: SqlStore, postgres: PostgresServer) -> None:
    with postgres.connect() as admin:
        try:
            _set_fsync(admin, "off")
            with pytest.raises(JournalUnavailable, match="fsync"):
                postgres_store.open()
        finally:
            _set_fsync(admin, "on")


def test_servers_that_cannot_be_reached(postgres_url: str, tmp_path: Path) -> None:
    with pytest.raises(JournalUnavailable, match="the connection failed"):
        open_journal(f"postgresql+psycopg://postgres:secret@/test?host={tmp_path}")
    with pytest.raises(JournalUnavailable, match="does not exist") as caught:
        open_journal(postgres_url.replace("/test_", "/missing_").replace("postgres@", "postgres:secret@"))
    assert "secret" not in str(caught.value)


def wait_until_blocked(admin: psycopg.Connection[Any], pid: Any) -> None:
    """Return when the session `pid` waits for a lock."""
    while admin.execute("SELECT cardinality(pg_blocking_pids(%s))", [pid]).fetchall() == [(0,)]:
        time.sleep(0.01)


def _set_fsync(admin: psycopg.Connection[Any], value: str) -> None:
    admin.execute(f"ALTER SYSTEM SET fsync = {value}".encode())
    admin.execute("SELECT pg_reload_conf()")
    while admin.execute("SHOW fsync").fetchall() != [(value,)]:
        time.sleep(0.01)
