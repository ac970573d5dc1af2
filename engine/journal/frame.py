"""How a record is stored: with a format version, its length, and checksums that chain it to its predecessor.

    checksum = crc32(version, first_seq, count, body length, checksum of the previous record, body)

The chain makes a record that was swapped, dropped or taken from another journal as visible as a flipped bit. The head of the
journal (`Tail`) repeats the last sequence number and checksum, so that a lost end is noticed as well.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from zlib import crc32

from engine.journal.journal import JournalDamaged, Mark, Record

__all__ = ["FORMAT_VERSION", "WHOLE", "Frame", "Tail", "check_follows", "check_head", "seal", "unseal"]

FORMAT_VERSION = 1
_HEADER = struct.Struct("<HqqqI")  # version, first_seq, count, body length, checksum of the previous record


class Frame(NamedTuple):
    """A record as stored. `decisions` is its count, `previous` the checksum of the record before it, 0 for the first."""

    version: int
    first_seq: int
    decisions: int
    body_length: int
    previous: int
    checksum: int
    body: bytes


class Tail(NamedTuple):
    """Where a journal ends: its last sequence number and the checksum of its last record. Both 0 when it is empty."""

    seq: int
    checksum: int


WHOLE = Tail(0, 0)
"""Where a journal begins from which nothing was cut."""


def seal(record: Record, tail: Tail) -> Frame:
    """The frame of `record` as the successor of a journal that ends at `tail`."""
    length = len(record.body)
    checksum = _checksum(FORMAT_VERSION, record.first_seq, record.count, length, tail.checksum, record.body)
    return Frame(FORMAT_VERSION, record.first_seq, record.count, length, tail.checksum, checksum, record.body)


def unseal(
    frames: Iterable[Frame], *, from_seq: int, head: Tail, cut: Tail = WHOLE, limit: int | None = None
) -> Iterator[Record]:
    """The checked records of `frames`, which must start at the record that contains `from_seq` and go on up to `head`.

    `cut` is the place up to which the journal was cut off; `from_seq` lies behind it. Raises JournalDamaged at the first frame that is not what was written, does not follow its predecessor, or is missing.
    """
    if from_seq > head.seq or limit == 0:
        return
    seq, checksum = from_seq - 1, 0  # of the record before
    for given, frame in enumerate(frames, 1):
        if given == 1:
            seq, checksum = _start(frame, from_seq, cut)
        if frame.first_seq != seq + 1:
            raise _gap(seq + 1, frame.first_seq)
        record = _check(frame, checksum)
        seq, checksum = seq + frame.decisions, frame.checksum
        if seq >= head.seq and (seq, checksum) != head:
            raise JournalDamaged(record.first_seq, f"the record and the head of the journal (seq {head.seq}) disagree")
        yield record
        if seq == head.seq or given == limit:
            return
    raise JournalDamaged(seq + 1, f"records are missing: the journal should go on to seq {head.seq}")


def check_head(head: Tail, end: Tail) -> None:
    """Raise JournalDamaged unless `head` describes `end`, the tail that the records themselves tell."""
    if head.seq > end.seq:
        raise JournalDamaged(
            end.seq + 1, f"records are missing: the head is at seq {head.seq}, the records end at {end.seq}"
        )
    if head.seq < end.seq:
        raise JournalDamaged(head.seq + 1, f"the head is behind: it is at seq {head.seq}, the records end at {end.seq}")
    if head != end:
        raise JournalDamaged(end.seq, "the checksum in the head is not that of the last record")


def check_follows(mark: Mark, previous: int) -> None:
    """Raise JournalDamaged unless `previous`, which the record behind the mark has, is the checksum of the record before it."""
    if previous != mark.checksum:
        raise _loose(mark.seq + 1)


def _checksum(version: int, first_seq: int, count: int, length: int, previous: int, body: bytes) -> int:
    return crc32(body, crc32(_HEADER.pack(version, first_seq, count, length, previous)))


def _start(frame: Frame, from_seq: int, cut: Tail) -> Tail:
    """The tail just before the first frame of a read; the frame must contain `from_seq`."""
    if frame.first_seq > from_seq:
        raise _gap(from_seq, frame.first_seq)
    last_seq = frame.first_seq + frame.decisions - 1
    if frame.decisions >= 1 and last_seq < from_seq:
        raise JournalDamaged(last_seq + 1, f"the record that holds seq {from_seq} is missing")
    return Tail(frame.first_seq - 1, cut.checksum if frame.first_seq == cut.seq + 1 else frame.previous)


def _check(frame: Frame, checksum_before: int) -> Record:
    version, seq, count, length, previous, written, body = frame
    if version != FORMAT_VERSION:
        raise JournalDamaged(
            seq,
            f"the record has format version {version}, known is {FORMAT_VERSION}",
            "If a newer engine has written it, run that engine; else restore the journal from a backup or a replica",
        )
    if len(body) != length:
        raise JournalDamaged(seq, f"the body has {len(body)} bytes, written were {length}")
    try:
        checksum = _checksum(version, seq, count, length, previous, body)
    except struct.error as error:
        raise JournalDamaged(seq, f"a field of the record is out of range ({error})") from error
    if checksum != written:
        raise JournalDamaged(seq, f"the checksum is {checksum:#010x}, written was {written:#010x}")
    if previous != checksum_before:
        raise _loose(seq)
    return Record(seq, count, body)


def _gap(expected: int, found: int) -> JournalDamaged:
    return JournalDamaged(expected, f"a record is missing: after seq {expected - 1} comes seq {found}")


def _loose(seq: int) -> JournalDamaged:
    return JournalDamaged(seq, "the record does not follow the one before it (the checksums do not chain)")
