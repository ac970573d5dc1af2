"""The journal in a SQL database, through SQLAlchemy Core. What differs between databases is in `sqlite` and `postgres`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from engine.journal import tables
from engine.journal.frame import Frame, Tail, check_head, seal, unseal
from engine.journal.journal import (
    JournalClosed,
    JournalDamaged,
    JournalError,
    JournalFenced,
    JournalUnavailable,
    Record,
    require_range,
    require_successor,
)

__all__ = ["SqlJournal", "Store", "open_sql_journal"]

_CHUNK_BYTES = 8 * 1024 * 1024
_CHUNK_ROWS = 4096


class Store(Protocol):
    """What a database must offer to hold a journal. One connection of its own for writing; readers take theirs from `engine`."""

    @property
    def engine(self) -> Engine:
        """Connections for reading, each statement its own snapshot."""

    def write(self, frame: Frame, tail: Tail) -> bool:
        """Make `frame` durable if the journal ends at `tail`, else change nothing and return False. Raises JournalError."""

    def explain(self, error: DBAPIError) -> JournalError:
        """What an error of the database, met outside `write`, means for the journal."""

    def close(self) -> None:
        """Close every connection."""


def open_sql_journal(url: str) -> SqlJournal:
    """Open the journal in the SQLite file or PostgreSQL database at `url`; see `engine.journal.open_journal`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(
            "not a database url; use sqlite:///path.db or postgresql+psycopg://user@host/database"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        from engine.journal.sqlite import SqliteStore

        return SqlJournal(SqliteStore(parsed))
    from engine.journal.postgres import PostgresStore

    return SqlJournal(PostgresStore(parsed))


class SqlJournal:
    """A journal kept in the tables of `engine.journal.tables`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()  # append against close; contended only then
        self._closed = False
        self._doubt: BaseException | None = None  # why it is not known where the journal ends
        try:
            self._tail = self._end()
        except JournalError:
            store.close()
            raise

    def last_seq(self) -> int:
        """See `Journal.last_seq`."""
        return self._end().seq

    def append(self, record: Record, *, expected_seq: int) -> None:
        """See `Journal.append`."""
        require_successor(record, expected_seq)
        with self._lock:
            if self._closed:
                raise JournalClosed
            if self._doubt is not None:
                raise JournalUnavailable(
                    "an earlier append has an unknown outcome", outcome_unknown=True
                ) from self._doubt
            if self._tail.seq != expected_seq:
                self._tail = self._end()
            if self._tail.seq != expected_seq:
                raise JournalFenced(expected_seq, self._tail.seq)
            frame = seal(record, self._tail)
            try:
                written = self._store.write(frame, self._tail)
            except JournalUnavailable as error:
                self._doubt = error if error.outcome_unknown else None
                raise
            except JournalError:
                raise
            except BaseException as error:  # KeyboardInterrupt, for one: it may come at any point
                self._doubt = error
                raise
            if not written:
                raise JournalFenced(expected_seq, self._end().seq)
            self._tail = Tail(record.last_seq, frame.checksum)

    def read(self, from_seq: int = 1, *, limit: int | None = None) -> Iterator[Record]:
        """See `Journal.read`."""
        require_range(from_seq, limit)
        return self._read(from_seq, limit)

    def close(self) -> None:
        """See `Journal.close`."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._store.close()

    def _read(self, from_seq: int, limit: int | None) -> Iterator[Record]:
        head = self._end()
        rows = _CHUNK_ROWS if limit is None else min(limit, _CHUNK_ROWS)
        yield from unseal(self._frames(from_seq, head.seq, rows), from_seq=from_seq, head=head, limit=limit)

    def _frames(self, from_seq: int, head_seq: int, rows: int) -> Iterator[Frame]:
        """The stored frames from the one that contains `from_seq`, in chunks of bounded size.

        Each chunk is fetched whole before it is handed out, so that a slow reader holds no snapshot open: an open one would
        keep SQLite's write-ahead log from being reused and PostgreSQL's dead rows from being cleaned up.
        """
        start = self._fetch(tables.START, from_seq=from_seq)[0][0]
        next_seq = from_seq if start is None else start
        while next_seq <= head_seq:
            lengths = self._fetch(tables.LENGTHS, from_seq=next_seq, to_seq=head_seq, rows=rows)
            if not lengths:
                return
            chunk_end = _chunk_end(lengths)
            for row in self._fetch(tables.FRAMES, from_seq=next_seq, to_seq=chunk_end):
                yield Frame._make(row)
            next_seq = chunk_end + 1

    def _end(self) -> Tail:
        """The end of the journal as stored, after comparing the head with the last record."""
        rows = self._fetch(tables.END)
        if not rows:
            raise JournalDamaged(None, f"table {tables.HEAD.name} has no row")
        head_seq, head_checksum, first_seq, count, checksum = rows[0]
        head = Tail(head_seq, head_checksum)
        check_head(head, Tail(0, 0) if first_seq is None else Tail(first_seq + count - 1, checksum))
        return head

    def _fetch(self, statement: Any, **values: int) -> Sequence[Any]:
        with self._reading() as connection:
            return connection.execute(statement, values).all()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if self._closed:
            raise JournalClosed
        try:
            with self._store.engine.connect() as connection:
                yield connection
        except DBAPIError as error:
            raise self._store.explain(error) from error


def _chunk_end(lengths: Sequence[Any]) -> int:
    """The first_seq of the last record of a chunk: as many as fit into the size of a chunk, at least one."""
    size = 0
    end: int = lengths[0][0]
    for first_seq, length in lengths:
        size += length
        if size > _CHUNK_BYTES and first_seq != lengths[0][0]:
            break
        end = first_seq
    return end
