"""A start from a snapshot and the journal behind it: equal to a replay of everything, or refused with what is needed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from engine.journal import Journal, JournalCut, JournalDamaged, JournalError, Mark
from engine.journal.codec import encode
from engine.journal.memory import MemoryJournal
from engine.recovery import LimitsTooLow, SnapshotMissing, advance, recover
from engine.snapshots import FolderBusy, SnapshotError, SnapshotFolder, SnapshotForeign
from engine.snapshots.folder import KEPT
from tests.builders import SMALL, Store, day, limits, ship
from tests.property.busy import Busy
from tests.property.twins import Twins
from tests.unit.same import same


def snapshot(folder: SnapshotFolder, journal: Journal, seq: int) -> Mark:
    """A snapshot of the journal at the end of a record."""
    machine = recover(journal, SMALL, to_seq=seq)
    mark = journal.mark(seq)
    assert mark is not None
    folder.write(machine, mark, machine.digest())
    return mark


def ends(journal: Journal) -> list[int]:
    return [record.last_seq for record in journal.read()]


@pytest.fixture
def folder(tmp_path: Path) -> SnapshotFolder:
    return SnapshotFolder(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_snapshot_and_tail_give_the_live_state(seed: int, folder: SnapshotFolder) -> None:
    store = day(seed)
    journal = store.journal(7)
    for seq in ends(journal):
        snapshot(folder, journal, seq)
        same(store, recover(journal, SMALL, snapshots=folder))
        folder.snapshots()[0].path.unlink()


@pytest.mark.parametrize("seed", range(2))
def test_snapshots_in_a_long_day(seed: int, folder: SnapshotFolder) -> None:
    """Each start goes on from the snapshot before: what one lost, all that follow would lack."""
    given = limits(reservation_legs_max=400, request_ids_remembered=60)
    twins, chance = Twins(given), Random(seed)
    busy, journal, whole = Busy(twins, 40 + seed), MemoryJournal(), MemoryJournal()
    for _ in range(6):
        for _ in range(60):
            busy.step()
        decisions = twins.store.decisions
        while (at := journal.last_seq()) < len(decisions):
            group = decisions[at : at + chance.randint(1, 12)]
            for each in (journal, whole):
                each.append(encode(group), expected_seq=at)
        started = recover(journal, given, snapshots=folder)
        assert started.digest() == twins.store.machine.digest() == recover(whole, given).digest(), f"seed {seed}"
        same(twins.store, started)
        mark = journal.mark(started.seq)
        assert mark is not None
        folder.write(started, mark, started.digest())
        folder.prune()
        if len(folder.snapshots()) == KEPT:
            older = journal.mark(folder.snapshots()[-1].seq)
            assert older is not None
            journal.cut(older)
            with pytest.raises(JournalCut):
                recover(journal, given)


def test_a_start_at_any_decision_takes_the_newest_snapshot_before_it(folder: SnapshotFolder) -> None:
    store = day(1)
    journal = store.journal(16)
    for seq in ends(journal)[1:]:
        snapshot(folder, journal, seq)
    twin = Store(network=False)
    for decision in store.decisions:
        twin.machine.apply(decision)
        assert recover(journal, SMALL, to_seq=decision.seq, snapshots=folder).digest() == twin.machine.digest()


def test_a_machine_that_stands_inside_a_record_goes_on() -> None:
    store = day(2)
    journal = store.journal(16)
    for seq in (5, 17, 40):
        machine = recover(journal, SMALL, to_seq=seq)
        advance(machine, journal, to_seq=seq + 3)
        advance(machine, journal)
        same(store, machine)


# Damaged, missing, foreign


def test_a_damaged_newest_falls_back_to_the_one_before_and_says_so(
    folder: SnapshotFolder, caplog: pytest.LogCaptureFixture
) -> None:
    store = day(0)
    journal = store.journal(8)
    for seq in ends(journal)[2:5:2]:
        snapshot(folder, journal, seq)
    newest, before = folder.snapshots()
    content = bytearray(newest.path.read_bytes())
    content[len(content) // 3] ^= 4
    newest.path.write_bytes(content)
    told: list[int] = []
    with caplog.at_level(logging.ERROR):
        machine = recover(journal, SMALL, snapshots=folder, progress=told.append)
    same(store, machine)
    assert f"{newest.path} is damaged" in caplog.text
    assert "going back" in caplog.text
    before.path.write_bytes(b"")
    same(store, recover(journal, SMALL, snapshots=folder))


def test_a_cut_journal_without_a_good_snapshot_is_refused_with_what_is_needed(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    mark = snapshot(folder, journal, ends(journal)[3])
    journal.cut(mark)
    with pytest.raises(
        JournalCut, match=rf"begins at seq {mark.seq + 1}.*snapshot at seq {mark.seq} or later.*--snapshots"
    ):
        recover(journal, SMALL)
    folder.snapshots()[0].path.write_bytes(b"no longer good")
    with pytest.raises(SnapshotMissing, match=rf"snapshot at seq {mark.seq} or later is needed") as caught:
        recover(journal, SMALL, snapshots=folder)
    assert isinstance(caught.value, JournalError)
    assert str(folder.path) in str(caught.value)


def test_a_snapshot_before_the_cut_is_of_no_use(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    early, late = snapshot(folder, journal, ends(journal)[1]), snapshot(folder, journal, ends(journal)[4])
    journal.cut(late)
    folder.snapshots()[0].path.unlink()
    assert folder.newest_seq() == early.seq
    with pytest.raises(SnapshotMissing):
        recover(journal, SMALL, snapshots=folder)


def test_a_state_before_the_cut_cannot_be_had(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    mark = snapshot(folder, journal, ends(journal)[3])
    journal.cut(mark)
    assert recover(journal, SMALL, to_seq=mark.seq + 3, snapshots=folder).seq == mark.seq + 3
    with pytest.raises(SnapshotMissing):
        recover(journal, SMALL, to_seq=mark.seq - 1, snapshots=folder)


def test_a_start_that_a_follower_overtakes_is_tried_once_more(
    folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between choosing a snapshot and reading what follows it, newer ones were made and the journal cut behind them."""
    store = day(0)
    journal = store.journal(8)
    snapshot(folder, journal, 16)
    read = journal.read
    overtaken: list[Mark] = []

    def read_late(from_seq: int = 1, *, limit: int | None = None) -> object:
        if from_seq == 17 and not overtaken:
            overtaken.append(snapshot(folder, journal, 40))
            journal.cut(snapshot(folder, journal, 32))
        return read(from_seq, limit=limit)

    monkeypatch.setattr(journal, "read", read_late)
    same(store, recover(journal, SMALL, snapshots=folder))
    assert overtaken


def test_snapshots_of_another_journal_are_refused(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    snapshot(folder, journal, ends(journal)[3])
    with pytest.raises(SnapshotForeign, match="another journal"):
        recover(day(1).journal(9), SMALL, snapshots=folder)


def test_a_journal_that_lost_its_end_is_not_taken_for_whole(folder: SnapshotFolder) -> None:
    """A backup was restored, or the wrong file named: what was answered since would be forgotten."""
    store = day(0)
    journal = store.journal(8)
    mark = snapshot(folder, journal, ends(journal)[5])
    shorter = MemoryJournal()
    for record in journal.read(limit=3):
        shorter.append(record, expected_seq=record.first_seq - 1)
    for lost, end_seq in ((shorter, 24), (MemoryJournal(), 0)):
        with pytest.raises(
            JournalDamaged, match=f"ends at seq {end_seq}, but the snapshot .* at seq {mark.seq}"
        ) as caught:
            recover(lost, SMALL, snapshots=folder)
        assert caught.value.seq == end_seq + 1
        assert "move that snapshot away" in str(caught.value)


def test_a_snapshot_of_a_history_that_is_no_more_is_passed_over(
    folder: SnapshotFolder, caplog: pytest.LogCaptureFixture
) -> None:
    """The backup that was restored went on to where the snapshot lies, with other decisions."""
    store = day(0)
    journal = store.journal(8)
    snapshot(folder, journal, 16)
    snapshot(folder, journal, 32)
    other, twin = MemoryJournal(), Store()
    for record in journal.read(limit=3):
        other.append(record, expected_seq=record.first_seq - 1)
    twin.machine = recover(other, SMALL)
    twin.now_ns, twin._requests, twin.decisions = store.now_ns, 5_000, []
    for _ in range(20):
        twin.reserve(ship([("A", 1)]))
    for decision in twin.decisions:
        other.append(encode([decision]), expected_seq=decision.seq - 1)
    with caplog.at_level(logging.ERROR):
        machine = recover(other, SMALL, snapshots=folder)
    assert machine.digest() == twin.machine.digest()
    assert "no longer has" in caplog.text


def test_limits_that_were_lowered_are_named(folder: SnapshotFolder) -> None:
    store = Store()
    store.stock(("A", "dc", 9), ("B", "dc", 9))
    for _ in range(3):
        store.reserve(ship([("A", 1), ("B", 1)]))
    journal = store.journal()
    snapshot(folder, journal, journal.last_seq())
    with pytest.raises(LimitsTooLow, match="reservation_legs_max"):
        recover(journal, limits(reservation_legs_max=2), snapshots=folder)


# The folder


def test_the_last_two_are_kept(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    for seq in ends(journal)[:5]:
        snapshot(folder, journal, seq)
        folder.prune()
    assert [each.seq for each in folder.snapshots()] == ends(journal)[3:5][::-1]
    assert sorted(path.name for path in folder.path.iterdir()) == sorted(each.path.name for each in folder.snapshots())


def test_a_folder_that_is_not_there_has_no_snapshots(tmp_path: Path) -> None:
    folder = SnapshotFolder(tmp_path / "nowhere")
    assert (folder.snapshots(), folder.newest_seq()) == ([], 0)
    store = day(0)
    same(store, recover(store.journal(), SMALL, snapshots=folder))


def test_other_files_are_left_alone(folder: SnapshotFolder) -> None:
    for name in ("readme.txt", "12.snapshot.bak", "x.snapshot", ".snapshot", "0000000000000000007.unusable"):
        (folder.path / name).write_text("mine")
    assert folder.snapshots() == []
    folder.prune()
    assert len(list(folder.path.iterdir())) == 5


@pytest.mark.parametrize("step", ["fsync", "replace", "full"])
def test_a_snapshot_that_fails_half_way_leaves_nothing(
    folder: SnapshotFolder, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    journal = day(0).journal(8)
    first = snapshot(folder, journal, 16)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    target: dict[str, Callable[[], None]] = {
        "fsync": lambda: monkeypatch.setattr("os.fsync", fail),
        "replace": lambda: monkeypatch.setattr(Path, "replace", fail),
        "full": lambda: monkeypatch.setattr("engine.snapshots.file.SnapshotWriter.end", fail),
    }
    target[step]()
    with pytest.raises(SnapshotError, match="No space left"):
        snapshot(folder, journal, 32)
    monkeypatch.undo()
    assert [path.name for path in folder.path.iterdir()] == [f"{first.seq:019}.snapshot"]


def test_a_snapshot_that_is_not_read_back_as_it_was_gets_no_name(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    machine = recover(journal, SMALL, to_seq=16)
    mark = journal.mark(16)
    assert mark is not None

    with pytest.raises(SnapshotError, match="another digest"):
        folder.write(machine, mark, "0" * 32)
    assert list(folder.path.iterdir()) == []


def test_one_at_a_time(folder: SnapshotFolder) -> None:
    leftover = folder.path / "0000000000000000009.tmp"
    leftover.write_text("of one who was killed")
    with folder.locked():
        assert not leftover.exists()
        with pytest.raises(FolderBusy), SnapshotFolder(folder.path).locked():
            pytest.fail("two at once")
    with folder.locked():
        pass


def test_a_file_that_was_set_aside_does_not_count(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    snapshot(folder, journal, 16)
    aside = folder.set_aside(folder.snapshots()[0])
    assert aside.exists()
    assert folder.snapshots() == []
