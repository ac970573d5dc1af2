"""The beginning of a journal can be cut off, and everything else stays as it was: the fence, the chain, what a reader is told."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from engine.journal import (
    Journal,
    JournalClosed,
    JournalCut,
    JournalDamaged,
    JournalFenced,
    JournalUnavailable,
    Mark,
    Record,
    open_journal,
)
from engine.journal.frame import Frame
from tests.conformance.filling import COUNTS, LAST_SEQ, STARTS, fill, reading
from tests.conformance.stores import SqlStore, StoreUnderTest

ENDS = [start + count - 1 for start, count in zip(STARTS, COUNTS, strict=True)]


def place(journal: Journal, seq: int) -> Mark:
    mark = journal.mark(seq)
    assert mark is not None
    return mark


# Places


def test_a_journal_knows_the_places_between_its_records(filled: StoreUnderTest) -> None:
    frames = filled.frames()
    with closing(filled.open()) as journal:
        assert [journal.mark(seq) for seq in ENDS] == [
            Mark(seq, frame.checksum, frames[0].checksum) for seq, frame in zip(ENDS, frames, strict=True)
        ]
        others = set(range(1, LAST_SEQ + 3)) - set(ENDS)
        assert [journal.mark(seq) for seq in others] == [None] * len(others)
        assert journal.mark(0) == Mark(0, 0, 0)


def test_a_place_whose_successor_does_not_follow_is_damage(filled: StoreUnderTest) -> None:
    frame = filled.frames()[2]
    filled.replace(frame.first_seq, frame._replace(previous=frame.previous ^ 1))
    with closing(filled.open()) as journal, pytest.raises(JournalDamaged) as caught:
        journal.mark(4)
    assert caught.value.seq == 5


# Cutting


@pytest.mark.parametrize("at", range(5))
def test_what_is_cut_is_gone_and_the_rest_is_read_as_before(filled: StoreUnderTest, at: int) -> None:
    seq = ENDS[at]
    with closing(filled.open()) as journal:
        records = list(journal.read())
        mark = place(journal, seq)
        journal.cut(mark)
        assert journal.first_seq() == seq + 1
        assert filled.frames() == [] or filled.frames()[0].first_seq == seq + 1
        for gone in range(1, seq + 1):
            with pytest.raises(JournalCut, match=f"begins at seq {seq + 1}") as caught:
                list(journal.read(gone))
            assert caught.value.first_seq == seq + 1
            assert journal.mark(gone) == (mark if gone == seq else None)
        assert list(journal.read(seq + 1)) == records[at + 1 :]
        assert [journal.mark(end) is not None for end in ENDS[at:]] == [True] * (5 - at)
        journal.cut(mark)  # again: nothing
    with closing(filled.open()) as journal:
        assert (journal.first_seq(), journal.last_seq()) == (seq + 1, LAST_SEQ)
        assert list(journal.read(seq + 1)) == records[at + 1 :]


def test_one_cut_after_the_other_keeps_the_origin(filled: StoreUnderTest) -> None:
    origin = filled.frames()[0].checksum
    with closing(filled.open()) as journal:
        for seq in ENDS:
            mark = place(journal, seq)
            assert mark.origin == origin
            journal.cut(mark)
            assert journal.mark(seq) == mark
        assert place(journal, LAST_SEQ).origin == origin


def test_the_fence_holds_when_everything_was_cut(filled: StoreUnderTest) -> None:
    with closing(filled.open()) as late, closing(filled.open()) as journal:
        journal.cut(place(journal, LAST_SEQ))
        assert filled.frames() == []
        for expected_seq in (0, 3, LAST_SEQ - 1, LAST_SEQ + 1):
            with pytest.raises(JournalFenced) as caught:
                journal.append(Record(expected_seq + 1, 1, b"x"), expected_seq=expected_seq)
            assert caught.value.actual_seq == LAST_SEQ
        late.append(Record(LAST_SEQ + 1, 2, b"goes on"), expected_seq=LAST_SEQ)
        with pytest.raises(JournalFenced):
            journal.append(Record(LAST_SEQ + 1, 1, b"too late"), expected_seq=LAST_SEQ)
    with closing(filled.open()) as journal:
        assert [record.body for record in journal.read(LAST_SEQ + 1)] == [b"goes on"]
        journal.append(Record(LAST_SEQ + 3, 1, b"and on"), expected_seq=LAST_SEQ + 2)
        assert len(list(journal.read(LAST_SEQ + 1))) == 2


def test_only_whole_records_of_this_history_are_cut(filled: StoreUnderTest) -> None:
    before = filled.frames()
    with closing(filled.open()) as journal:
        mark = place(journal, 4)
        for wrong in (
            Mark(6, mark.checksum, mark.origin),
            Mark(LAST_SEQ + 1, mark.checksum, mark.origin),
            mark._replace(checksum=mark.checksum ^ 1),
            mark._replace(origin=mark.origin ^ 1),
        ):
            with pytest.raises(ValueError, match="none of this journal"):
                journal.cut(wrong)
        assert journal.first_seq() == 1
    assert filled.frames() == before


def test_the_chain_goes_on_across_a_cut(filled: StoreUnderTest) -> None:
    with closing(filled.open()) as journal:
        journal.cut(place(journal, 4))
    first = filled.frames()[0]
    filled.replace(first.first_seq, first._replace(previous=first.previous ^ 1))
    with pytest.raises(JournalDamaged) as caught:
        list(reading(filled, 5))
    assert caught.value.seq == 5


def test_a_record_that_is_missing_behind_the_cut_is_damage_and_no_cut(filled: StoreUnderTest) -> None:
    with closing(filled.open()) as journal:
        journal.cut(place(journal, 4))
    filled.replace(5, None)
    with pytest.raises(JournalDamaged) as caught:
        list(reading(filled, 5))
    assert caught.value.seq == 5


def test_a_reader_under_whom_the_journal_is_cut_is_told(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.sql._CHUNK_ROWS", 2)
    with closing(store.open()) as journal:
        records = fill(journal, [1] * 9)
        reader = journal.read()
        seen = [next(reader), next(reader)]
        journal.cut(place(journal, 6))
        with pytest.raises(JournalCut) as caught:
            seen.extend(reader)
        assert caught.value.first_seq == 7
        assert seen == records[:2]


def test_a_closed_journal_cuts_nothing(filled: StoreUnderTest) -> None:
    journal = filled.open()
    mark = place(journal, 4)
    journal.close()
    with pytest.raises(JournalClosed):
        journal.cut(mark)
    with pytest.raises(JournalClosed):
        journal.mark(4)
    with pytest.raises(JournalClosed):
        journal.first_seq()


def test_a_writer_goes_on_while_another_cuts(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step by step, and none of the writer's appends is refused or lost."""
    monkeypatch.setattr("engine.journal.sql._CUT_BYTES", 40_000)
    with closing(store.open()) as writer, closing(store.open()) as other, ThreadPoolExecutor(1) as pool:
        for seq in range(60):
            writer.append(Record(seq + 1, 1, b"x" * 20_000), expected_seq=seq)
        cutting = pool.submit(other.cut, place(other, 50))
        last = 60
        while not cutting.done() or last < 70:
            writer.append(Record(last + 1, 1, b"y" * 20_000), expected_seq=last)
            last += 1
            time.sleep(0.001)  # who never pauses keeps the lock of a SQLite file to itself
        cutting.result()
        assert [record.first_seq for record in writer.read(51)] == list(range(51, last + 1))


def test_two_who_cut_at_once_do_no_harm(store: StoreUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.journal.sql._CUT_BYTES", 1)
    with closing(store.open()) as one, closing(store.open()) as two, ThreadPoolExecutor(2) as pool:
        fill(one, [1] * 40)
        for cutting in [pool.submit(one.cut, place(one, 30)), pool.submit(two.cut, place(two, 35))]:
            cutting.result()
        assert (one.first_seq(), two.first_seq()) == (36, 36)
        assert [record.first_seq for record in two.read(36)] == [36, 37, 38, 39, 40]


# Databases only


def test_a_step_that_fails_half_way_cuts_nothing(sql_store: SqlStore, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(sql_store.open()) as journal:
        fill(journal)
        mark = place(journal, 9)
        monkeypatch.setattr("engine.journal.tables.DROP_RECORDS", "SELECT no_such_column FROM journal")
        with pytest.raises(Exception, match=r".+"):
            journal.cut(mark)
        monkeypatch.undo()
        assert journal.first_seq() == 1
        assert len(list(journal.read())) == 5


def test_who_only_looks_makes_nothing_and_writes_nothing(sql_store: SqlStore) -> None:
    with pytest.raises(JournalUnavailable, match=r"does not exist|holds no journal"):
        open_journal(sql_store.url, owner=False)
    with closing(sql_store.open()) as journal:
        fill(journal)
        with closing(open_journal(sql_store.url, owner=False)) as beside:
            assert len(list(beside.read())) == 5
            with pytest.raises(JournalUnavailable, match="looked at"):
                beside.append(Record(LAST_SEQ + 1, 1, b"x"), expected_seq=LAST_SEQ)
            beside.cut(place(beside, 4))
        assert journal.first_seq() == 5
        journal.append(Record(LAST_SEQ + 1, 1, b"x"), expected_seq=LAST_SEQ)


@pytest.mark.parametrize("owner", [True, False])
def test_a_journal_of_the_first_version_is_opened_and_can_be_cut(sql_store: SqlStore, *, owner: bool) -> None:
    with closing(sql_store.open()) as journal:
        records = fill(journal)
    with sql_store.connect() as connection:
        connection.exec_driver_sql("DROP TABLE journal_cut")
        connection.exec_driver_sql("UPDATE journal_schema SET version = 1")
    with closing(open_journal(sql_store.url, owner=owner)) as journal:
        assert list(journal.read()) == records
        journal.cut(place(journal, 4))
    with closing(sql_store.open()) as journal:
        assert list(journal.read(5)) == records[2:]


def test_a_frame_of_no_journal_is_not_taken_for_the_cut(filled: StoreUnderTest) -> None:
    """A record that stands before the cut, put back by hand, is never read."""
    first: Frame = filled.frames()[0]
    with closing(filled.open()) as journal:
        journal.cut(place(journal, 4))
        filled.replace(first.first_seq, first)
        with pytest.raises(JournalCut):
            list(journal.read(1))
        assert [record.first_seq for record in journal.read(5)] == [5, 9, 10]
