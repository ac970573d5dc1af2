"""Checkpoints of SQLite's write-ahead log, kept out of the way of commits."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

__all__ = ["LOG_BYTES", "PAGE_BYTES", "Checkpointer"]

_LOG = logging.getLogger(__name__)

PAGE_BYTES = 16384
"""Size of a page of the database file. A record of a group fills few of them, which saves SQLite work at each commit."""

LOG_BYTES = 32 * 1024 * 1024
"""Size at which the write-ahead log is moved into the database file and started anew; about a thousand small records."""


_REST_BYTES = 2 * 1024 * 1024  # what the writer may move between two commits: a few milliseconds
_PASSES_MAX = 4


class Checkpointer:
    """Moves the write-ahead log into the database file while the writer goes on writing, so that it does not grow for ever.

    SQLite starts the log anew only at a commit that finds all of it moved, and a checkpoint beside a busy writer is always a
    few commits behind. So a thread moves the bulk, in passes that each have less left to do, and then the writer itself,
    between two commits, moves the rest.

    Between two passes lies a whole commit, so that each pass begins with a part of the log unmoved, and no commit can start the
    log anew before the pass has ended. That stays clear of a race in SQLite before 3.51.3 (sqlite.org/wal.html, "The WAL-Reset
    Bug"), by which a commit that started the log anew during a checkpoint could be lost.

    A failed checkpoint loses nothing: it is logged, the log grows, and the next one is tried after as many bytes again.
    """

    def __init__(self, writer: Connection, engine: Engine, busy_ms: int) -> None:
        self._writer = writer
        self._engine = engine
        self._busy_ms = busy_ms
        self._unmoved = 0  # bytes written to the log since the last pass began, estimated
        self._passes = 0  # since the log was last started anew
        self._pass: Thread | None = None

    def wrote(self, body_bytes: int) -> None:
        """Note a commit of a record with that many bytes. Called by the writer, between two commits."""
        self._unmoved += (
            body_bytes + 2 * PAGE_BYTES
        )  # its pages, of which it shares one with its predecessor, and the head's
        if self._pass is not None:
            if not self._pass.is_alive():
                self._pass = None  # and go on after the next commit
        elif self._unmoved >= (_REST_BYTES if self._passes else LOG_BYTES) and self._passes < _PASSES_MAX:
            self._passes += 1
            self._unmoved = 0
            self._pass = Thread(target=self._move_bulk, name="journal-checkpoint", daemon=True)
            self._pass.start()
        elif self._passes:
            self._passes = 0
            self._unmoved = 0
            self._move_rest("FULL")

    def close(self, *, tidy: bool) -> None:
        """End. With `tidy`, put all of the log into the database file, unless somebody else is using it.

        Not when another process has gone on writing: its own passes are moving the log, and a checkpoint in between brings on the race
        that they stay clear of.
        """
        if self._pass is not None:
            self._pass.join()
        if tidy:
            self._move_rest("TRUNCATE")

    def _move_bulk(self) -> None:
        with _logged(), self._engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)")

    def _move_rest(self, mode: str) -> None:
        run = self._writer.exec_driver_sql
        with _logged():
            run("PRAGMA busy_timeout = 0")  # a reader in the way is not waited for
            try:
                run(f"PRAGMA wal_checkpoint({mode})")
            finally:
                run(f"PRAGMA busy_timeout = {self._busy_ms}")


@contextmanager
def _logged() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        _LOG.warning("a checkpoint of the journal failed, its write-ahead log goes on growing: %s", error)
