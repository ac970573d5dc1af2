"""The journal in one SQLite file: write-ahead log, synced at every commit, checkpointed outside the commit path."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from engine.journal import tables
from engine.journal.checkpoint import LOG_BYTES, PAGE_BYTES, Checkpointer
from engine.journal.frame import Frame, Tail
from engine.journal.journal import JournalDamaged, JournalError, JournalUnavailable

__all__ = ["SqliteStore"]

_BUSY_MS = 5_000

_PRAGMAS = (
    f"busy_timeout = {_BUSY_MS}",
    f"page_size = {PAGE_BYTES}",  # holds for a new file only
    "synchronous = FULL",  # the log is synced before a commit returns
    "fullfsync = ON",  # macOS: fsync alone does not reach the disk there
    "checkpoint_fullfsync = ON",
    "wal_autocheckpoint = 0",  # see Checkpointer
    f"journal_size_limit = {4 * LOG_BYTES}",  # a log that once had to grow beyond this is cut back when it starts anew
)


class SqliteStore:
    """A SQLite file as the store of a journal. Several processes may open it; the fence decides who writes."""

    def __init__(self, url: URL, *, owner: bool = True) -> None:
        """With `owner` false nothing is made, and the write-ahead log is left alone: two who move it could lose a commit."""
        self._path = _checked_path(url)
        if not owner and not self._path.is_file():
            raise JournalUnavailable(f"{self._path} does not exist")
        # The driver begins a transaction at the first change, and takes the write lock with it.
        self.engine: Engine = create_engine(url, connect_args={"isolation_level": "IMMEDIATE"})
        event.listen(self.engine, "connect", self._configure)
        self._move_head = str(tables.MOVE_HEAD.compile(self.engine))
        self._append_record = str(tables.APPEND_RECORD.compile(self.engine))
        try:
            self._connection = self.engine.connect()
        except DBAPIError as error:
            raise self.explain(error) from error
        self._checkpointer = Checkpointer(self._connection, self.engine, _BUSY_MS) if owner else None
        try:
            self._create(owner=owner)
            if owner:
                self._require_writable()
        except DBAPIError as error:
            self.close()
            raise self.explain(error) from error
        except JournalError:
            self.close()
            raise
        self._identity = _identity(self._path)

    @property
    def transaction(self) -> dict[str, Any]:
        """See `Store.transaction`."""
        return {}

    def write(self, frame: Frame, tail: Tail) -> bool:
        """See `Store.write`."""
        self._require_file()
        committing = False
        last_seq = frame.first_seq + frame.decisions - 1
        # The statements are compiled once: going through the compiler's cache at every call costs as much as SQLite itself.
        run, connection = self._connection.exec_driver_sql, self._connection
        try:
            moved = run(self._move_head, (last_seq, frame.checksum, tail.seq, tail.checksum)).rowcount == 1
            if moved:
                run(self._append_record, frame)
                committing = True
                connection.commit()
            else:
                connection.rollback()
        except DBAPIError as error:
            with suppress(DBAPIError):
                connection.rollback()
            raise self._explain_write(error, frame, committing=committing) from error
        if moved and self._checkpointer is not None:
            self._checkpointer.wrote(frame.body_length)
        return moved

    def _require_file(self) -> None:
        """Raise JournalUnavailable when the file at the path is no longer the one that is open.

        SQLite would go on writing to a file that nobody else can find, and that ends with this process. And whoever opens the path
        meanwhile makes another journal there, which no fence protects from this writer.
        """
        if _identity(self._path) != self._identity:
            raise JournalUnavailable(
                f"{self._path} was removed, moved or replaced while it was in use, so what is written now would be lost; "
                "put the right file there and start again"
            )

    def explain(self, error: DBAPIError) -> JournalError:
        """See `Store.explain`."""
        return self._explain(error, outcome_unknown=False)

    def close(self, *, tidy: bool = False) -> None:
        """See `Store.close`."""
        if self._checkpointer is not None:
            self._checkpointer.close(tidy=tidy)
        self._connection.close()
        self.engine.dispose()

    def _configure(self, connection: sqlite3.Connection, _record: object) -> None:
        for pragma in _PRAGMAS:
            connection.execute(f"PRAGMA {pragma}")
        mode = _write_ahead_log(connection)
        if mode != "wal":
            raise JournalUnavailable(
                f"{self._path} cannot use a write-ahead log (journal mode {mode}); use a local disk"
            )

    def _create(self, *, owner: bool) -> None:
        connection = self._connection
        version = tables.version_of(connection)
        if version == tables.SCHEMA_VERSION:
            return
        if not version and not owner:
            raise JournalUnavailable(f"{self._path} holds no journal")
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # the driver does not begin by itself before a table is made
        try:
            version = tables.version_of(connection)  # somebody else may have done it meanwhile
            if not version:
                tables.create(connection)
            elif version < tables.SCHEMA_VERSION:
                tables.upgrade(connection)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        _sync_folder(self._path.parent)

    def _require_writable(self) -> None:
        """Find out now, and not when the first caller waits for an answer."""
        # A statement that would change something if there were such a row: beginning a transaction asks for nothing yet.
        self._connection.exec_driver_sql(f"UPDATE {tables.HEAD.name} SET seq = seq WHERE id < 0")  # noqa: S608 - our own name
        self._connection.rollback()

    def _explain_write(self, error: DBAPIError, frame: Frame, *, committing: bool) -> JournalError:
        if _code(error) == sqlite3.SQLITE_CONSTRAINT:
            return JournalDamaged(frame.first_seq, "a record stands behind the head of the journal")
        # An error of COMMIT itself may come after the log was written: it then counts when the file is next opened.
        return self._explain(error, outcome_unknown=committing and _code(error) != sqlite3.SQLITE_BUSY)

    def _explain(self, error: DBAPIError, *, outcome_unknown: bool) -> JournalError:
        code, cause = _code(error), error.orig
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return JournalDamaged(None, f"{self._path} is not a sound SQLite database ({cause})")
        if code == sqlite3.SQLITE_ERROR and "no such" in str(cause):
            return JournalDamaged(None, f"{self._path} is not a complete journal ({cause})")
        reasons = {
            sqlite3.SQLITE_FULL: "the disk is full; make room and start again",
            sqlite3.SQLITE_READONLY: "it is read-only; check the permissions of the file and of its folder",
            sqlite3.SQLITE_BUSY: f"another process has held the write lock for more than {_BUSY_MS} ms",
            sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the path and the permissions of the file and of its folder",
            sqlite3.SQLITE_IOERR: "the disk reports an error",
        }
        reason = reasons.get(code, "SQLite reports an error")
        return JournalUnavailable(f"{self._path}: {reason} ({cause})", outcome_unknown=outcome_unknown)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from every other; None when there is none at the path."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _checked_path(url: URL) -> Path:
    if url.database in (None, "", ":memory:"):
        raise ValueError("sqlite needs the path of a file (sqlite:///path.db); for a journal in memory use memory://")
    path = Path(str(url.database).removeprefix("file:")).absolute()
    if path.is_dir():
        raise JournalUnavailable(f"{path} is a folder; give the path of a file in it")
    if not path.parent.is_dir():
        raise JournalUnavailable(f"{path} cannot be made: the folder {path.parent} does not exist; make it first")
    return path


def _write_ahead_log(connection: sqlite3.Connection) -> str:
    """Switch to the write-ahead log; the switch ignores the busy timeout, so wait for another process that is at it here."""
    deadline = time.monotonic() + _BUSY_MS / 1000
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file durable (SQLite syncs its contents and the names of its log)."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _code(error: DBAPIError) -> int:
    """The primary result code of SQLite, 0 when the error has none."""
    code: Any = getattr(error.orig, "sqlite_errorcode", 0)
    return int(code or 0) & 0xFF
