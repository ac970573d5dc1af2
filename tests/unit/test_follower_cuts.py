"""The journal is cut behind the older of two good snapshots, and nothing else notices."""

from __future__ import annotations

from dataclasses import replace

import pytest

from engine.follower import NothingToCut, compact
from engine.journal import JournalCut, Record
from engine.journal.codec import encode
from engine.journal.memory import MemoryJournal, Tape
from engine.recovery import recover
from engine.snapshots import SnapshotFolder
from tests.builders import SMALL, day
from tests.unit.same import same
from tests.unit.test_follower import OFTEN, folder, follower, growing, spoilt_snapshot

__all__ = ["folder"]


def test_the_journal_is_cut_behind_the_older_snapshot(folder: SnapshotFolder) -> None:
    store, journal = day(0), MemoryJournal()
    one = follower(journal, folder, replace(OFTEN, keep_decisions=0))
    for end_seq in growing(store, journal):
        one.step()
        kept = [each.seq for each in folder.snapshots()]
        assert journal.first_seq() == (kept[-1] + 1 if len(kept) == 2 else 1), end_seq
        assert recover(journal, SMALL, snapshots=folder).seq == end_seq
    same(store, recover(journal, SMALL, snapshots=folder))
    one = follower(journal, folder, replace(OFTEN, keep_decisions=0))
    same(store, one.machine)


@pytest.mark.parametrize("keep", [0, 1, 5, 6, 7, 13, 10_000])
def test_so_many_decisions_stay_in_any_case(folder: SnapshotFolder, keep: int) -> None:
    journal = MemoryJournal()
    one = follower(journal, folder, replace(OFTEN, keep_decisions=keep))
    for end_seq in growing(day(1), journal):
        one.step()
        kept = [each.seq for each in folder.snapshots()]
        older = kept[1] if len(kept) == 2 else 0
        first_seq = journal.first_seq()
        assert first_seq <= older + 1
        assert end_seq - first_seq + 1 >= min(keep, end_seq)
        assert first_seq == 1 or first_seq > min(older, end_seq - keep) - 6, "records are cut whole"


def test_a_journal_is_not_cut_behind_fewer_than_two_good_snapshots(folder: SnapshotFolder) -> None:
    journal = day(0).journal(8)
    with pytest.raises(NothingToCut, match="0 of the 2"):
        compact(journal, folder)
    spoilt_snapshot(folder, journal, 16, lambda _: None)
    with pytest.raises(NothingToCut, match="1 of the 2"):
        compact(journal, folder)
    spoilt_snapshot(folder, journal, 32, lambda _: None)
    for each in folder.snapshots():
        content = each.path.read_bytes()
        each.path.write_bytes(content[:-200] + bytes([content[-200] ^ 1]) + content[-199:])
        with pytest.raises(NothingToCut, match=r"damaged.*make new snapshots"):
            compact(journal, folder)
        each.path.write_bytes(content)
    assert journal.first_seq() == 1
    cut = compact(journal, folder)
    assert (cut.first_seq_before, cut.first_seq, cut.snapshot_seqs) == (1, 17, (32, 16))
    assert compact(journal, folder).first_seq_before == 17
    with pytest.raises(JournalCut):
        recover(journal, SMALL)


def test_a_writer_goes_on_behind_a_cut(folder: SnapshotFolder) -> None:
    store = day(0)
    tape = Tape()
    writer, journal = MemoryJournal(tape), MemoryJournal(tape)
    for end_seq in growing(store, writer):
        del end_seq
    one = follower(journal, folder, replace(OFTEN, keep_decisions=0))
    one.step()
    end_seq = journal.last_seq()
    writer.append(Record(end_seq + 1, 1, encode(store.decisions[-1:]).body), expected_seq=end_seq)
    assert journal.last_seq() == end_seq + 1
