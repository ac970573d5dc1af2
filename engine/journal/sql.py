"""The journal in a SQL database, through SQLAlchemy Core. What differs between databases is in `sqlite` and `postgres`."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError

from engine.journal import tables
from engine.journal.frame import Frame, Tail, check_follows, check_head, seal, unseal
from engine.journal.journal import (
    JournalClosed,
    JournalCut,
    JournalDamaged,
    JournalError,
    JournalFenced,
    JournalUnavailable,
    Mark,
    Record,
    require_place,
    require_range,
    require_successor,
)

__all__ = ["SqlJournal", "Store", "open_sql_journal"]

_CHUNK_BYTES = 8 * 1024 * 1024
_CHUNK_ROWS = 4096
_CUT_BYTES = 2 * 1024 * 1024  # of one step: some milliseconds during which a writer waits
_CUT_REST = 4
"""How many times as long as a step takes is waited after it: the writer, who asks again and again for the lock, has its turn."""


class Store(Protocol):
    """What a database must offer to hold a journal. One connection of its own for writing; readers take theirs from `engine`."""

    @property
    def engine(self) -> Engine:
        """Connections for reading, each statement its own snapshot."""

    @property
    def transaction(self) -> dict[str, Any]:
        """Execution options of a connection whose statements are one transaction."""

    def write(self, frame: Frame, tail: Tail) -> bool:
        """Make `frame` durable if the journal ends at `tail`, else change nothing and return False. Raises JournalError."""

    def explain(self, error: DBAPIError) -> JournalError:
        """What an error of the database, met outside `write`, means for the journal."""

    def close(self, *, tidy: bool = False) -> None:
        """Close every connection. With `tidy`, of the last who wrote: leave the store as one wants to find it."""


def open_sql_journal(url: str, *, owner: bool = True) -> SqlJournal:
    """Open the journal in the SQLite file or PostgreSQL database at `url`; see `engine.journal.open_journal`."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ValueError(
            "not a database url; use sqlite:///path.db or postgresql+psycopg://user@host/database"
        ) from error
    if parsed.get_backend_name() == "sqlite":
        from engine.journal.sqlite import SqliteStore

        return SqlJournal(SqliteStore(parsed, owner=owner), owner=owner)
    from engine.journal.postgres import PostgresStore

    return SqlJournal(PostgresStore(parsed, owner=owner), owner=owner)


class SqlJournal:
    """A journal kept in the tables of `engine.journal.tables`."""

    def __init__(self, store: Store, *, owner: bool = True) -> None:
        self._store = store
        self._owner = owner
        self._lock = Lock()  # append against close; contended only then
        self._closed = False
        self._doubt: BaseException | None = None  # why it is not known where the journal ends
        self._wrote = False
        try:
            self._tail = self._end()[0]
        except JournalError:
            store.close()
            raise

    def last_seq(self) -> int:
        """See `Journal.last_seq`."""
        return self._end()[0].seq

    def append(self, record: Record, *, expected_seq: int) -> None:
        """See `Journal.append`."""
        require_successor(record, expected_seq)
        with self._lock:
            if self._closed:
                raise JournalClosed
            if not self._owner:
                raise JournalUnavailable("it was opened to be looked at, not to be written")
            if self._doubt is not None:
                raise JournalUnavailable(
                    "an earlier append has an unknown outcome", outcome_unknown=True
                ) from self._doubt
            if self._tail.seq != expected_seq:
                self._tail = self._end()[0]
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
                raise JournalFenced(expected_seq, self._end()[0].seq)
            self._tail = Tail(record.last_seq, frame.checksum)
            self._wrote = True

    def read(self, from_seq: int = 1, *, limit: int | None = None) -> Iterator[Record]:
        """See `Journal.read`."""
        require_range(from_seq, limit)
        return self._read(from_seq, limit)

    def close(self) -> None:
        """See `Journal.close`."""
        with self._lock:
            if not self._closed:
                tidy = self._is_last_writer()
                self._closed = True
                self._store.close(tidy=tidy)

    def _is_last_writer(self) -> bool:
        """Whether the journal ends with what was written here. Else it is another's to tidy up: two at a time could lose a commit."""
        try:
            return self._wrote and self._doubt is None and self._end()[0] == self._tail
        except JournalError:
            return False

    def first_seq(self) -> int:
        """See `Journal.first_seq`."""
        return self._end()[1].seq + 1

    def mark(self, seq: int) -> Mark | None:
        """See `Journal.mark`."""
        rows = self._fetch(tables.MARK, seq=seq)
        if not rows:
            raise JournalDamaged(None, f"table {tables.CUT.name} has no row")
        cut, (ending, following, first) = Mark(*rows[0][:3]), rows[0][3:]
        if seq == cut.seq:
            found = cut
        elif ending is None:
            return None
        else:
            found = Mark(seq, ending, cut.origin if cut.seq else first)
        if following is not None:
            check_follows(found, following)
        return found

    def cut(self, mark: Mark) -> None:
        """See `Journal.cut`."""
        if mark.seq <= self._end()[1].seq:
            return
        require_place(mark, self.mark(mark.seq))
        while (at := self._end()[1].seq) < mark.seq:
            begun = time.monotonic()
            rows = self._fetch(tables.LENGTHS, from_seq=at + 1, to_seq=mark.seq, rows=_CHUNK_ROWS)
            if rows:
                first_seq, count, _ = rows[_chunk(rows, _CUT_BYTES) - 1]
                step = self.mark(first_seq + count - 1)
                if step is not None:  # else somebody else has cut it meanwhile
                    self._drop(step)
            time.sleep(_CUT_REST * (time.monotonic() - begun))

    def _drop(self, mark: Mark) -> None:
        """One step of a cut: a transaction."""
        if self._closed:
            raise JournalClosed
        try:
            with self._store.engine.execution_options(**self._store.transaction).begin() as connection:
                if connection.execute(tables.MOVE_CUT, mark._asdict()).rowcount:
                    connection.execute(tables.DROP_RECORDS, {"seq": mark.seq})
        except DBAPIError as error:
            raise self._store.explain(error) from error

    def _read(self, from_seq: int, limit: int | None) -> Iterator[Record]:
        head, cut = self._end()
        if from_seq <= cut.seq:
            raise JournalCut(cut.seq + 1)
        rows = _CHUNK_ROWS if limit is None else min(limit, _CHUNK_ROWS)
        frames = self._frames(from_seq, head.seq, rows)
        try:
            yield from unseal(frames, from_seq=from_seq, cut=Tail(cut.seq, cut.checksum), head=head, limit=limit)
        except JournalDamaged as damage:
            cut = self._end()[1]
            if damage.seq is not None and damage.seq <= cut.seq:  # cut while it was read
                raise JournalCut(cut.seq + 1) from None
            raise

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
            chunk_end = lengths[_chunk(lengths, _CHUNK_BYTES) - 1][0]
            yield from map(Frame._make, self._fetch(tables.FRAMES, from_seq=next_seq, to_seq=chunk_end))
            next_seq = chunk_end + 1

    def _end(self) -> tuple[Tail, Mark]:
        """The end of the journal as stored, after comparing the head with the last record; and where its beginning was cut."""
        rows = self._fetch(tables.END)
        if not rows or rows[0][2] is None:
            raise JournalDamaged(None, f"table {(tables.CUT if rows else tables.HEAD).name} has no row")
        head, cut, (first_seq, count, checksum) = Tail(*rows[0][:2]), Mark(*rows[0][2:5]), rows[0][5:]
        last = Tail(cut.seq, cut.checksum) if first_seq is None else Tail(first_seq + count - 1, checksum)
        check_head(head, last)
        return head, cut

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


def _chunk(lengths: Sequence[Any], bytes_max: int) -> int:
    """How many records of `LENGTHS` a chunk takes: as many as fit into so many bytes, at least one."""
    size = 0
    for count, (_, _, length) in enumerate(lengths):
        size += length
        if size > bytes_max and count:
            return count
    return len(lengths)
