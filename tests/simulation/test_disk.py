"""The simulated disk does to bytes what it says, and no more: a fault that does not happen proves nothing."""

from __future__ import annotations

import pytest

from engine.journal import JournalDamaged, JournalFenced, JournalUnavailable, Record
from engine.journal.memory import MemoryJournal
from engine.proof.simulation.disk import Crash, Disk, SimulatedJournal
from engine.proof.simulation.history import Fault, Trouble


def written(disk: Disk, *bodies: bytes) -> SimulatedJournal:
    journal = SimulatedJournal(disk)
    for body in bodies:
        seq = journal.last_seq()
        journal.append(Record(seq + 1, 1, body), expected_seq=seq)
    return journal


def bodies(disk: Disk) -> list[bytes]:
    """What the next process reads."""
    return [record.body for record in SimulatedJournal(disk).read()]


def append(journal: SimulatedJournal, body: bytes, fault: Fault | None = None) -> None:
    journal._disk.fault = fault
    seq = journal._tape.head.seq
    journal.append(Record(seq + 1, 1, body), expected_seq=seq)


def test_a_torn_write_is_whole_or_nothing_wherever_it_is_torn() -> None:
    sizes = Disk(), Disk()
    written(sizes[0], b"first")
    written(sizes[1], b"first", b"second")
    entry = len(sizes[1].synced) - len(sizes[0].synced)
    for kept in range(entry + 1):
        disk = Disk()
        journal = written(disk, b"first")
        with pytest.raises(Crash):
            append(journal, b"second", Fault(Trouble.TORN, kept / entry))
        disk.crash(kept / entry)
        assert bodies(disk) == ([b"first", b"second"] if kept == entry else [b"first"]), kept
        assert disk.torn_count == (0 < kept < entry)
        append(SimulatedJournal(disk), b"third")
        assert bodies(disk)[-1] == b"third"


@pytest.mark.parametrize("trouble", [Trouble.BEFORE, Trouble.REFUSED])
def test_what_was_not_written_is_not_there(trouble: Trouble) -> None:
    disk = Disk()
    journal = written(disk, b"first")
    with pytest.raises((Crash, JournalUnavailable)):
        append(journal, b"second", Fault(trouble, 1.0))
    disk.crash(1.0)
    assert bodies(disk) == [b"first"]


@pytest.mark.parametrize("trouble", [Trouble.AFTER, Trouble.ROTTEN])
def test_what_was_written_is_there_though_nobody_was_told(trouble: Trouble) -> None:
    disk = Disk()
    with pytest.raises(Crash):
        append(written(disk, b"first"), b"second", Fault(trouble, 0.0))
    disk.crash(0.0)
    assert bodies(disk) == [b"first", b"second"]


def test_nobody_knows_whether_a_broken_commit_was_written() -> None:
    for part, there in ((0.4, [b"first"]), (0.6, [b"first", b"second"])):
        disk = Disk()
        journal = written(disk, b"first")
        with pytest.raises(JournalUnavailable) as caught:
            append(journal, b"second", Fault(Trouble.UNKNOWN, part))
        assert caught.value.outcome_unknown
        assert bodies(disk) == there
        with pytest.raises(JournalUnavailable):
            append(journal, b"third")


def test_a_late_commit_lands_while_the_journal_ends_where_it_was_meant_to() -> None:
    disk = Disk()
    with pytest.raises(JournalUnavailable):
        append(written(disk, b"first"), b"late", Fault(Trouble.LATE, 0.2))
    second = SimulatedJournal(disk)
    assert [record.body for record in second.read()] == [b"first"], "it was opened before the late one came"
    with pytest.raises(JournalFenced):
        append(second, b"second")
    assert bodies(disk) == [b"first", b"late"]


def test_a_late_commit_never_lands_behind_another_one() -> None:
    disk = Disk()
    with pytest.raises(JournalUnavailable):
        append(written(disk, b"first"), b"late", Fault(Trouble.LATE, 0.9))
    written(disk, b"second", b"third", b"fourth", b"fifth", b"sixth")
    assert bodies(disk) == [b"first", b"second", b"third", b"fourth", b"fifth", b"sixth"]


def test_of_two_processes_one_is_fenced() -> None:
    disk = Disk()
    one, other = written(disk, b"first"), SimulatedJournal(disk)
    append(one, b"second")
    with pytest.raises(JournalFenced):
        append(other, b"another second")
    assert bodies(disk) == [b"first", b"second"]


def test_every_flipped_bit_of_every_record_is_noticed() -> None:
    disk = Disk()
    written(disk, b"first", b"second")
    seen = set()
    steps = 2 * 8 * len(disk.synced)
    for step in range(steps):
        tape = disk.rotten(step / steps)
        assert tape is not None
        seen.add(tuple(tape.frames))
        with pytest.raises(JournalDamaged):
            list(MemoryJournal(tape).read())
    records = 8 * sum(len(frame.body) + 34 for frame in disk.tape().frames)
    assert len(seen) == records, "every bit had its turn"


def test_an_empty_disk_cannot_rot() -> None:
    assert Disk().rotten(0.5) is None
