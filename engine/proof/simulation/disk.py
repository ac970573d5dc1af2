"""A disk that fails, and the journal that lies on it as bytes.

An append writes one entry (the frame of the record, then the new head) and syncs. What was not synced may be lost in a crash, from any
byte on. An entry counts when all of it is there; a torn one at the end is rolled back when the disk is opened again, as a database does
with a transaction that was not committed.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from engine.journal import JournalFenced, JournalUnavailable, Mark, Record
from engine.journal.frame import Frame, Tail, seal
from engine.journal.memory import MemoryJournal, Tape
from engine.proof.simulation.history import Fault, Trouble

_HEADER = struct.Struct("<HqqqII")  # version, first_seq, decisions, body length, previous checksum, checksum
_HEAD = struct.Struct("<qI")
LATE_MAX = 4
"""A commit that is late lands before at most so many later writes."""
SLOW_NS_MAX = 30_000_000_000


class Crash(BaseException):
    """The process ends here. No handler of the engine may survive it."""


class _Late(NamedTuple):
    """A commit on its way: it counts only while the journal ends where its writer believed."""

    entry: bytes
    behind: Tail
    writes_left: int


def entry_of(frame: Frame) -> bytes:
    """A frame and the head after it, as they lie on the disk."""
    header = _HEADER.pack(*frame[:6])
    return header + frame.body + _HEAD.pack(frame.first_seq + frame.decisions - 1, frame.checksum)


def frame_of(entry: bytes | bytearray | memoryview) -> Frame:
    """The frame of an entry, whatever its bytes say."""
    version, first_seq, decisions, length, previous, checksum = _HEADER.unpack_from(entry)
    return Frame(version, first_seq, decisions, length, previous, checksum, bytes(entry[_HEADER.size : -_HEAD.size]))


def _tail_of(entry: bytes) -> Tail:
    return Tail(*_HEAD.unpack_from(entry, len(entry) - _HEAD.size))


class Disk:
    """Bytes that survive a crash, and bytes that may not."""

    def __init__(self) -> None:
        self.synced = bytearray()
        self.cache = bytearray()
        self.tail = Tail(0, 0)
        """Where the journal ends, for whoever writes."""
        self.fault: Fault | None = None
        """What happens to the next commit."""
        self.delay_ns = 0
        """How long commits have taken so far."""
        self.torn_count = 0
        self.cut = Mark(0, 0, 0)
        """Where the journal begins, to whoever opens it. Nothing is really gone: the auditor reads it all."""
        self.writer: Any = None
        """Who writes now: noted for each entry."""
        self.writers: dict[Tail, Any] = {}
        """Who wrote the entry that ends so."""
        self._frames: list[Frame] = []
        """The complete entries, up to ``_known_end``; of these ``_seen`` were news once."""
        self._known_end = self._seen = 0
        self._late: _Late | None = None

    # What a journal does

    def commit(self, entry: bytes, behind: Tail) -> bool:
        """Write and sync an entry behind `behind`, unless something else is there: False. Raises what the fault says."""
        self._time_passes()
        if self.tail != behind:
            return False
        self.writers[_tail_of(entry)] = self.writer
        fault, self.fault = self.fault, None
        if fault is not None:
            self._go_wrong(fault, entry)
        self._keep(entry)
        if fault is not None and fault.trouble in (Trouble.AFTER, Trouble.ROTTEN):
            raise Crash
        return True

    def _keep(self, entry: bytes) -> None:
        self.write(entry)
        self.sync()
        self.tail = _tail_of(entry)

    def write(self, entry: bytes) -> None:
        """Hand bytes to the operating system."""
        self.cache += entry

    def sync(self) -> None:
        """Everything written so far survives a crash from now on."""
        self.synced += self.cache
        self.cache.clear()

    def _go_wrong(self, fault: Fault, entry: bytes) -> None:
        trouble, part = fault
        if trouble is Trouble.REFUSED:
            raise JournalUnavailable("no space left on the simulated disk")
        if trouble is Trouble.BEFORE:
            raise Crash
        if trouble is Trouble.TORN:
            self.write(entry)
            raise Crash
        if trouble is Trouble.UNKNOWN:
            if part >= 0.5:
                self._keep(entry)
            raise JournalUnavailable("the connection broke", outcome_unknown=True)
        if trouble is Trouble.LATE:
            self._late = _Late(entry, self.tail, int(part * (LATE_MAX + 1)))
            raise JournalUnavailable("the connection broke", outcome_unknown=True)
        if trouble is Trouble.SLOW:
            self.delay_ns += int(part * SLOW_NS_MAX)

    def _time_passes(self) -> None:
        """A late commit lands, or finds that the journal has gone on without it."""
        late = self._late
        if late is None:
            return
        if late.behind != self.tail:
            self._late = None
        elif late.writes_left:
            self._late = late._replace(writes_left=late.writes_left - 1)
        else:
            self._late = None
            self._keep(late.entry)

    # What a crash and a restart do

    def crash(self, part: float) -> None:
        """Of what was not synced, so much stays; an entry at the end that is not complete is rolled back."""
        keep = round(part * len(self.cache))
        self.torn_count += 0 < keep < len(self.cache)
        del self.cache[keep:]
        self.synced += self.cache
        self.cache.clear()
        self.tape()

    def open(self) -> Tape:
        """What the disk holds, to a process that starts."""
        self._time_passes()
        return self.tape()

    def tape(self) -> Tape:
        """What lies there now."""
        tape = self.whole()
        tape.frames = [frame for frame in tape.frames if frame.first_seq > self.cut.seq]
        tape.cut = self.cut
        return tape

    def whole(self) -> Tape:
        """What ever lay there, also what was cut."""
        self._frames += self._entries()
        del self.synced[self._known_end :]
        tape = Tape()
        tape.frames = list(self._frames)
        if self._frames:
            last = self._frames[-1]
            tape.head = Tail(last.first_seq + last.decisions - 1, last.checksum)
        self.tail = tape.head
        return tape

    def news(self) -> list[Frame]:
        """What came to the disk, safe from any crash, since this was asked last."""
        self._frames += self._entries()
        seen, self._seen = self._seen, len(self._frames)
        return self._frames[seen:]

    @property
    def forgot(self) -> bool:
        """Whether less is there than was seen."""
        return self._known_end > len(self.synced)

    def _entries(self) -> Iterator[Frame]:
        """Complete entries that were not looked at before."""
        while self._known_end + _HEADER.size + _HEAD.size <= len(self.synced):
            at = self._known_end
            end = at + _HEADER.size + _HEADER.unpack_from(self.synced, at)[3] + _HEAD.size
            if end > len(self.synced):
                return
            with memoryview(self.synced) as view:
                frame = frame_of(view[at:end])
            self._known_end = end
            yield frame

    def rotten(self, part: float) -> Tape | None:
        """A copy of which one bit of one record is another; None when the disk is empty."""
        tape = self.whole()
        if not tape.frames:
            return None
        bits = 8 * (len(self.synced) - len(tape.frames) * _HEAD.size)
        bit = min(int(part * bits), bits - 1)
        for at, frame in enumerate(tape.frames):
            entry = bytearray(entry_of(frame))
            size = 8 * (len(entry) - _HEAD.size)
            if bit < size:
                entry[bit // 8] ^= 1 << bit % 8
                tape.frames[at] = frame_of(entry)
                return tape
            bit -= size
        raise AssertionError("the bit lies behind the end")


class SimulatedJournal(MemoryJournal):
    """The journal on a disk, as one process has opened it. It reads what was there then, and what it wrote since."""

    def __init__(self, disk: Disk) -> None:
        super().__init__(disk.open())
        self._disk = disk
        self._lost = False

    def last_seq(self) -> int:
        """See `Journal.last_seq`."""
        return self._disk.tail.seq

    def append(self, record: Record, *, expected_seq: int) -> None:
        """See `Journal.append`."""
        if self._lost:
            raise JournalUnavailable("open the journal again")
        tail = self._tape.head
        if tail.seq != expected_seq:
            raise JournalFenced(expected_seq, self._disk.tail.seq)
        self._lost = True
        if not self._disk.commit(entry_of(seal(record, tail)), tail):
            raise JournalFenced(expected_seq, self._disk.tail.seq)
        self._lost = False
        super().append(record, expected_seq=expected_seq)
