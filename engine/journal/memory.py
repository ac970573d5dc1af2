"""A journal in memory: for tests, simulations and demonstrations. Keeps every promise of a journal but durability."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from threading import Lock

from engine.journal.frame import Frame, Tail, check_head, seal, unseal
from engine.journal.journal import JournalClosed, JournalFenced, Record, require_range, require_successor

__all__ = ["MemoryJournal", "Tape"]


class Tape:
    """What would be on the disk: frames in order, and the head. Outlives the journals that write it, so a test can reopen it."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.head = Tail(0, 0)
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

    def _read(self, from_seq: int, limit: int | None) -> Iterator[Record]:
        head = self._end()
        position = bisect_right(self._tape.frames, from_seq, key=lambda frame: frame.first_seq)
        yield from unseal(self._frames(max(0, position - 1)), from_seq=from_seq, head=head, limit=limit)

    def _frames(self, position: int) -> Iterator[Frame]:
        while position < len(self._tape.frames):
            if self._closed:
                raise JournalClosed
            yield self._tape.frames[position]
            position += 1

    def _end(self) -> Tail:
        with self._tape.lock:
            if self._closed:
                raise JournalClosed
            frames, head = self._tape.frames, self._tape.head
            check_head(
                head,
                Tail(frames[-1].first_seq + frames[-1].decisions - 1, frames[-1].checksum) if frames else Tail(0, 0),
            )
            return head

    def close(self) -> None:
        """See `Journal.close`."""
        self._closed = True
