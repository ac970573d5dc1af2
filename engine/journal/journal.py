"""The journal: the durable, ordered list of decisions that the state in memory is a fold of.

A journal is a row of records. A record holds one group: the decisions `first_seq .. first_seq + count - 1`, as bytes that only
the codec understands. Sequence numbers start at 1 and have no gaps.

One rule carries everything: `append` succeeds only while the journal still ends where the caller believes it ends. Two writers
can therefore never both extend the same end, however long one of them was delayed; the loser gets `JournalFenced`. No lock and
no lease is needed for that.

Implementations: `memory.MemoryJournal`, `sql.SqlJournal` (SQLite, PostgreSQL). All of them pass `tests/conformance`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

__all__ = [
    "RECORD_BYTES_MAX",
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
    "require_place",
    "require_range",
    "require_successor",
]

RECORD_BYTES_MAX = 256 * 1024 * 1024
"""Longest body of one record, in bytes. Well below what SQLite (1 GB) and PostgreSQL (1 GB a message) can take."""

_SEQ_MAX = 2**63 - 1
_COUNT_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Record:
    """One group of decisions, as written in one durable step.

    `first_seq` is the sequence number of its first decision (from 1), `count` how many decisions it holds (at least 1), `body`
    their encoding (1 to `RECORD_BYTES_MAX` bytes). Raises ValueError when a field is out of range.
    """

    first_seq: int
    count: int
    body: bytes

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _COUNT_MAX:
            raise ValueError(f"record.count must be 1 to {_COUNT_MAX}, got {self.count}")
        if not 1 <= self.first_seq <= _SEQ_MAX - self.count:
            raise ValueError(f"record.first_seq must be 1 to 2**63 - 1 - count, got {self.first_seq}")
        if not 1 <= len(self.body) <= RECORD_BYTES_MAX:
            raise ValueError(f"record.body must have 1 to {RECORD_BYTES_MAX} bytes, got {len(self.body)}")

    @property
    def last_seq(self) -> int:
        """Sequence number of the last decision in the record."""
        return self.first_seq + self.count - 1


class Mark(NamedTuple):
    """A place between two records of one history: whoever holds a state of that place can tell whether a journal leads there.

    `seq` is the last sequence number before it; `checksum` that of the record which ends there, and by its chain of everything before;
    `origin` the checksum of the very first record, which tells one journal from another.
    """

    seq: int
    checksum: int
    origin: int


class JournalError(Exception):
    """What every error of a journal is."""


class JournalClosed(JournalError):
    """The journal object was used after `close`."""

    def __init__(self) -> None:
        super().__init__("the journal is closed; open it again with open_journal")


class JournalFenced(JournalError):
    """The journal does not end where the writer believed: somebody else has written. Nothing of the append was written."""

    def __init__(self, expected_seq: int, actual_seq: int) -> None:
        self.expected_seq = expected_seq
        self.actual_seq = actual_seq
        where = (
            f"it ends at seq {actual_seq}, this writer expected {expected_seq}"
            if expected_seq != actual_seq
            else f"it ends at seq {actual_seq} as expected, but with another record than the one this writer knows"
        )
        super().__init__(
            f"fenced: another writer has extended the journal ({where}). "
            "Stop this writer; to take over again, replay the journal from its end and continue from there"
        )


class JournalDamaged(JournalError):
    """What is stored is not what was written. Never skipped: `seq` names the first decision that cannot be trusted.

    `seq` is None when not even that can be told (the file is not a journal at all).
    """

    def __init__(self, seq: int | None, what: str, remedy: str | None = None) -> None:
        self.seq = seq
        self.what = what
        self.remedy = remedy or _remedy(seq)
        place = "" if seq is None else f" at seq {seq}"
        super().__init__(f"the journal is damaged{place}: {what}. {self.remedy}")


def _remedy(seq: int | None) -> str:
    if seq is None:
        return "Restore the journal from a backup or a replica"
    return (
        f"Restore the journal from a backup or a replica that holds seq {seq}. Do not delete rows: everything from seq {seq} on "
        "would be lost to the engine although callers were told it happened"
    )


class JournalCut(JournalError):
    """What is asked for was cut off on purpose, behind a snapshot. `first_seq` is the first decision that can still be read."""

    def __init__(self, first_seq: int) -> None:
        self.first_seq = first_seq
        super().__init__(
            f"the journal begins at seq {first_seq}: what came before was cut off behind a snapshot. To replay it, name the folder with a "
            f"snapshot at seq {first_seq - 1} or later (--snapshots FOLDER)"
        )


class JournalUnavailable(JournalError):
    """The journal cannot be reached or written now: disk full, read-only, database gone.

    `outcome_unknown` is True when the append may nevertheless have become durable (the connection broke between sending and
    the answer). The writer must then stop and learn the truth by opening the journal again; it must not answer anybody.
    """

    def __init__(self, what: str, *, outcome_unknown: bool = False) -> None:
        self.what = what
        self.outcome_unknown = outcome_unknown
        ending = (
            "; it is not known whether the last append was written: open the journal again and replay its end"
            if outcome_unknown
            else "; nothing was written"
        )
        super().__init__(f"the journal is unavailable: {what}{ending}")


class JournalVersion(JournalError):
    """The journal was made by a newer version of the engine than this one."""

    def __init__(self, found: int, supported: int) -> None:
        self.found = found
        self.supported = supported
        super().__init__(
            f"the journal has schema version {found}; this engine knows versions up to {supported}. Run the newer engine again"
        )


class Journal(Protocol):
    """A journal that one thread writes and any thread may read."""

    def last_seq(self) -> int:
        """Sequence number of the last durable decision, 0 when the journal is empty. Asks the store every time."""

    def append(self, record: Record, *, expected_seq: int) -> None:
        """Write `record` behind `expected_seq`; it is durable when this returns.

        `record.first_seq` must be `expected_seq + 1` (else ValueError). Raises JournalFenced when the journal does not end at
        `expected_seq`, JournalUnavailable when it cannot be written. Nothing is retried inside. After an append whose outcome
        is unknown, this object refuses every further append: only opening the journal again tells the truth.
        """

    def read(self, from_seq: int = 1, *, limit: int | None = None) -> Iterator[Record]:
        """The records in order, the one that contains `from_seq` first, at most `limit` of them.

        Ends where the journal ended when the first record was asked for; nothing when `from_seq` lies behind that end. Every
        record is checked against its checksum and against its predecessor; raises JournalDamaged at the first that fails, and
        JournalCut when `from_seq` was cut off, be it while reading. Readers never hold up the writer, however slowly they go on.
        """

    def first_seq(self) -> int:
        """Sequence number of the first decision that can be read: 1 unless the beginning was cut off."""

    def mark(self, seq: int) -> Mark | None:
        """The place behind `seq` in this journal; None when no record ends there, or when it was cut off.

        The place of the cut itself is still known. Raises JournalDamaged when the record behind it does not follow.
        """

    def cut(self, mark: Mark) -> None:
        """Forget every record up to this place, durably and for good; the head and the fence are untouched.

        Goes in small steps, each a transaction of its own, so that a writer in another process need not wait long. Nothing happens when
        that much was cut before. Raises ValueError when the place is none of this journal.
        """

    def close(self) -> None:
        """Release the store. Calling it again does nothing; any other call afterwards raises JournalClosed."""


def require_successor(record: Record, expected_seq: int) -> None:
    """Raise ValueError unless `record` starts right behind `expected_seq`."""
    if record.first_seq != expected_seq + 1:
        raise ValueError(f"record.first_seq must be expected_seq + 1 = {expected_seq + 1}, got {record.first_seq}")


def require_place(mark: Mark, found: Mark | None) -> None:
    """Raise ValueError unless `found`, what the journal has at that sequence number, is the place itself."""
    if mark != found:
        what = "no record ends there" if found is None else "its history is another one"
        raise ValueError(f"the place behind seq {mark.seq} is none of this journal: {what}")


def require_range(from_seq: int, limit: int | None) -> None:
    """Raise ValueError unless `from_seq` and `limit` are such that `Journal.read` takes."""
    if from_seq < 1:
        raise ValueError(f"from_seq must be at least 1, got {from_seq}")
    if limit is not None and limit < 0:
        raise ValueError(f"limit must not be negative, got {limit}")
