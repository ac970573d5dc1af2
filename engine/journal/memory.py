"""A journal in memory: for tests, simulations and demonstrations. Keeps every promise of a journal but durability."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from threading import Lock

from engine.journal.frame import Frame, Tail, check_follows, check_head, seal, unseal
from engine.journal.journal import (
    JournalClosed,
    JournalCut,
    JournalDamaged,
    JournalFenced,
    Mark,
    Record,
    require_place,
    require_range,
    require_successor,
)

__all__ = ["MemoryJournal", "Tape"]


class Tape:
    """What would be on the disk: frames in order, the head, and where the beginning was cut off. Outlives the journals that write it, so a test can reopen it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.head = Tail(0, 0)
        self.cut = Mark(0, 0, 0)
        self.lock = Lock()


class MemoryJournal:
    """The journal on a `Tape` of its own, or on one given, which several journals may share as several writers."""

    def __init__(self, tape: Tape | None = None) -> None:
        self._tape = Tape() if tape is None else tape
        self._closed = False
        self._known = self._end()

    def last_seq(self) -> int:
        """See `Journal.last_seq`."""
        return self._end().seq

    def append(self, record: Record, *, expected_seq: int) -> None:
        """See `Journal.append`."""
        require_successor(record, expected_seq)
        if expected_seq != self._known.seq:
            self._known = self._end()
        tape = self._tape
        with tape.lock:
            if self._closed:
                raise JournalClosed
            if tape.head.seq != expected_seq or tape.head != self._known:
                raise JournalFenced(expected_seq, tape.head.seq)
            frame = seal(record, tape.head)
            tape.frames.append(frame)
            tape.head = self._known = Tail(record.last_seq, frame.checksum)

    def read(self, from_seq: int = 1, *, limit: int | None = None) -> Iterator[Record]:
        """See `Journal.read`."""
        require_range(from_seq, limit)
        return self._read(from_seq, limit)

    def first_seq(self) -> int:
        """See `Journal.first_seq`."""
        self._end()
        return self._tape.cut.seq + 1

    def mark(self, seq: int) -> Mark | None:
        """See `Journal.mark`."""
        self._end()
        tape = self._tape
        with tape.lock:
            if seq == tape.cut.seq:
                found = tape.cut
            else:
                at = bisect_right(tape.frames, seq, key=lambda frame: frame.first_seq) - 1
                if at < 0 or tape.frames[at].first_seq + tape.frames[at].decisions - 1 != seq:
                    return None
                origin = tape.cut.origin if tape.cut.seq else tape.frames[0].checksum
                found = Mark(seq, tape.frames[at].checksum, origin)
            at = bisect_right(tape.frames, seq, key=lambda frame: frame.first_seq)
            if at < len(tape.frames):
                check_follows(found, tape.frames[at].previous)
            return found

    def cut(self, mark: Mark) -> None:
        """See `Journal.cut`."""
        if mark.seq <= self._tape.cut.seq:
            return
        require_place(mark, self.mark(mark.seq))
        tape = self._tape
        with tape.lock:
            tape.frames = [frame for frame in tape.frames if frame.first_seq > mark.seq]
            tape.cut = mark

    def _read(self, from_seq: int, limit: int | None) -> Iterator[Record]:
        head, cut = self._end(), self._tape.cut
        if from_seq <= cut.seq:
            raise JournalCut(cut.seq + 1)
        try:
            tail = Tail(cut.seq, cut.checksum)
            yield from unseal(self._frames(from_seq), from_seq=from_seq, cut=tail, head=head, limit=limit)
        except JournalDamaged as damage:
            now = self._tape.cut
            if damage.seq is not None and cut.seq < now.seq and damage.seq <= now.seq:  # cut while it was read
                raise JournalCut(now.seq + 1) from None
            raise

    def _frames(self, from_seq: int) -> Iterator[Frame]:
        at = max(0, bisect_right(self._tape.frames, from_seq, key=lambda frame: frame.first_seq) - 1)
        while at < len(self._tape.frames):
            if self._closed:
                raise JournalClosed
            frame = self._tape.frames[at]
            yield frame
            # Looked up anew each time: a cut meanwhile moves the others.
            at = bisect_right(self._tape.frames, frame.first_seq, key=lambda frame: frame.first_seq)

    def _end(self) -> Tail:
        with self._tape.lock:
            if self._closed:
                raise JournalClosed
            frames, head, cut = self._tape.frames, self._tape.head, self._tape.cut
            check_head(
                head,
                Tail(frames[-1].first_seq + frames[-1].decisions - 1, frames[-1].checksum)
                if frames
                else Tail(cut.seq, cut.checksum),
            )
            return head

    def close(self) -> None:
        """See `Journal.close`."""
        self._closed = True
