"""A journal that may be read and not written: who writes is refused at the start, who looks at it is not."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from engine.journal import JournalUnavailable, Record, open_journal
from tests.conformance.stores import SqlStore, opened, writer_of


def test_a_file_that_is_opened_read_only(sqlite_store: SqlStore, tmp_path: Path) -> None:
    with closing(opened(sqlite_store)) as journal:
        journal.append(Record(1, 1, b"x"), expected_seq=0)
    url = f"sqlite:///file:{tmp_path / 'journal.db'}?mode=ro&uri=true"
    with pytest.raises(JournalUnavailable, match="it is read-only; check the permissions"):
        open_journal(url)
    with closing(open_journal(url, owner=False)) as reader:
        assert [record.body for record in reader.read()] == [b"x"]


def test_a_read_only_connection(sqlite_store: SqlStore) -> None:
    with closing(opened(sqlite_store)) as journal:
        writer_of(journal).exec_driver_sql("PRAGMA query_only = ON")
        with pytest.raises(JournalUnavailable, match="read-only") as caught:
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        assert not caught.value.outcome_unknown
        assert journal.last_seq() == 0


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_file_and_folder(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    with closing(open_journal(f"sqlite:///{file}")) as journal:
        journal.append(Record(1, 1, b"x"), expected_seq=0)
    file.chmod(0o444)
    with pytest.raises(JournalUnavailable, match="read-only"):
        open_journal(f"sqlite:///{file}")
    with closing(open_journal(f"sqlite:///{file}", owner=False)) as journal:
        assert journal.last_seq() == 1
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(JournalUnavailable, match="permissions"):
            open_journal(f"sqlite:///{tmp_path / 'new.db'}")
    finally:
        tmp_path.chmod(0o755)


def test_a_read_only_server(postgres_store: SqlStore) -> None:
    postgres_store.open().close()
    with postgres_store.connect() as connection:
        connection.execute(
            text(f"ALTER DATABASE {connection.engine.url.database} SET default_transaction_read_only = on")
        )
    with pytest.raises(JournalUnavailable, match="read-only; give the url of the primary server"):
        postgres_store.open()
    with closing(open_journal(postgres_store.url, owner=False)) as journal:
        assert journal.last_seq() == 0


def test_a_server_that_becomes_read_only(postgres_store: SqlStore) -> None:
    with closing(opened(postgres_store)) as journal:
        writer_of(journal).exec_driver_sql("SET default_transaction_read_only = on")
        with pytest.raises(JournalUnavailable, match="read-only") as caught:
            journal.append(Record(1, 1, b"x"), expected_seq=0)
        assert not caught.value.outcome_unknown
        assert journal.last_seq() == 0
