"""Durability: the journal of decisions, on SQLite, PostgreSQL, or in memory."""

from __future__ import annotations

from engine.journal.journal import (
    Journal,
    JournalClosed,
    JournalCut,
    JournalDamaged,
    JournalError,
    JournalFenced,
    JournalUnavailable,
    JournalVersion,
    Mark,
    Record,
)

__all__ = [
    "Journal",
    "JournalClosed",
    "JournalCut",
    "JournalDamaged",
    "JournalError",
    "JournalFenced",
    "JournalUnavailable",
    "JournalVersion",
    "Mark",
    "Record",
    "open_journal",
]


def open_journal(url: str, *, owner: bool = True) -> Journal:
    """Open the journal at `url`, creating it when there is none.

    With `owner` false, for those who look at it beside a writer: nothing is made where there is none, nothing can be appended, and
    SQLite's write-ahead log is left to the writer. Cutting is theirs, too.

    `memory://` keeps it in this process only. `sqlite:///shop.db` (relative path) or `sqlite:////var/lib/shop.db` (absolute)
    is a file whose folder must exist. `postgresql+psycopg://user@host/database` is a PostgreSQL database, whose journal tables
    are made in the first schema of the search path.

    Raises ValueError for any other url, JournalUnavailable when the store cannot be opened or is not there, JournalDamaged when what is there
    is not a sound journal, JournalVersion when a newer engine made it.
    """
    scheme = url.partition(":")[0]
    if url == "memory://":
        from engine.journal.memory import MemoryJournal

        return MemoryJournal()
    if scheme.partition("+")[0] in ("sqlite", "postgresql"):
        from engine.journal.sql import open_sql_journal  # SQLAlchemy takes a while to import: only when it is used

        return open_sql_journal(url, owner=owner)
    raise ValueError(
        f"not a journal url: {scheme!r}; use memory://, sqlite:///path.db or postgresql+psycopg://user@host/database"
    )
