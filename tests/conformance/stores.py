"""The stores of the conformance suite: how each is opened, and how its stored bytes are tampered with from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from sqlalchemy import Connection, create_engine, text

from engine.journal import Journal, open_journal
from engine.journal.frame import Frame, Tail
from engine.journal.memory import MemoryJournal, Tape
from engine.journal.sql import SqlJournal


class StoreUnderTest(Protocol):
    def open(self) -> Journal: ...
    def frames(self) -> list[Frame]: ...
    def replace(self, first_seq: int, frame: Frame | None) -> None:
        """Put `frame` in the place of the one stored at `first_seq`; None removes it."""

    def head(self) -> Tail: ...
    def set_head(self, head: Tail) -> None: ...


class MemoryStore:
    def __init__(self) -> None:
        self._tape = Tape()

    def open(self) -> Journal:
        return MemoryJournal(self._tape)

    def frames(self) -> list[Frame]:
        return list(self._tape.frames)

    def replace(self, first_seq: int, frame: Frame | None) -> None:
        kept = [stored for stored in self._tape.frames if stored.first_seq != first_seq]
        self._tape.frames = sorted([*kept, frame] if frame else kept, key=lambda stored: stored.first_seq)

    def head(self) -> Tail:
        return self._tape.head

    def set_head(self, head: Tail) -> None:
        self._tape.head = head


class SqlStore:
    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> Journal:
        return open_journal(self.url)

    def frames(self) -> list[Frame]:
        with self.connect() as connection:
            columns = ", ".join(Frame._fields)
            return [
                Frame(*row) for row in connection.execute(text(f"SELECT {columns} FROM journal ORDER BY first_seq"))
            ]

    def replace(self, first_seq: int, frame: Frame | None) -> None:
        with self.connect() as connection:
            connection.execute(text("DELETE FROM journal WHERE first_seq = :seq"), {"seq": first_seq})
            if frame is not None:
                columns, values = ", ".join(frame._fields), ", ".join(f":{name}" for name in frame._fields)
                connection.execute(text(f"INSERT INTO journal ({columns}) VALUES ({values})"), frame._asdict())

    def head(self) -> Tail:
        with self.connect() as connection:
            return Tail(*connection.execute(text("SELECT seq, checksum FROM journal_head")).one())

    def set_head(self, head: Tail) -> None:
        with self.connect() as connection:
            connection.execute(text("UPDATE journal_head SET seq = :seq, checksum = :checksum"), head._asdict())

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A connection beside the journal's, committed at the end."""
        engine = create_engine(self.url)
        try:
            with engine.begin() as connection:
                yield connection
        finally:
            engine.dispose()


def opened(store: SqlStore) -> SqlJournal:
    journal = store.open()
    assert isinstance(journal, SqlJournal)
    return journal


def writer_of(journal: SqlJournal) -> Connection:
    """The connection that the journal writes with."""
    connection = journal._store._connection  # type: ignore[attr-defined]
    assert isinstance(connection, Connection)
    return connection
