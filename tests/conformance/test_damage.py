"""What is damaged is named, and what lies before it is read."""

from __future__ import annotations

from contextlib import closing

import pytest

from engine.journal import JournalDamaged, Record
from engine.journal.frame import Frame, Tail
from tests.conformance.filling import COUNTS, LAST_SEQ, STARTS, damage_of, reading
from tests.conformance.stores import StoreUnderTest


def broken(frame: Frame, how: str) -> Frame:
    match how:
        case "a flipped bit of the body":
            return frame._replace(body=bytes([frame.body[0] ^ 1]) + frame.body[1:])
        case "a truncated body":
            return frame._replace(body=frame.body[:-1])
        case "an empty body":
            return frame._replace(body=b"")
        case "another body of the same length":
            return frame._replace(body=frame.body[::-1])
        case "another length":
            return frame._replace(body_length=frame.body_length + 1)
        case "a checksum":
            return frame._replace(checksum=frame.checksum ^ 1)
        case "the checksum of the previous record":
            return frame._replace(previous=frame.previous ^ 1)
        case "a checksum out of range":
            return frame._replace(previous=2**40)
        case "fewer decisions":
            return frame._replace(decisions=frame.decisions - 1)
        case "more decisions":
            return frame._replace(decisions=frame.decisions + 1)
        case _:
            return frame._replace(version=99)


@pytest.mark.parametrize(
    "how",
    [
        "a flipped bit of the body",
        "a truncated body",
        "an empty body",
        "another body of the same length",
        "another length",
        "a checksum",
        "the checksum of the previous record",
        "a checksum out of range",
        "fewer decisions",
        "more decisions",
        "an unknown format",
    ],
)
def test_a_damaged_record_is_named_and_what_lies_before_it_is_read(filled: StoreUnderTest, how: str) -> None:
    frame = filled.frames()[2]
    filled.replace(frame.first_seq, broken(frame, how))
    starts, damage = damage_of(filled)
    assert starts == [1, 4]
    assert damage.seq == 5
    assert "seq 5" in str(damage)
    assert "estore" in str(damage)  # says what to do


def test_a_damaged_record_is_found_by_a_read_that_starts_with_it(filled: StoreUnderTest) -> None:
    frame = filled.frames()[2]
    filled.replace(5, broken(frame, "a flipped bit of the body"))
    with pytest.raises(JournalDamaged) as caught:
        list(reading(filled, 6))
    assert caught.value.seq == 5
    assert [record.first_seq for record in reading(filled, 9)] == [9, 10]


@pytest.mark.parametrize("index", range(4))
def test_a_missing_record_is_named(filled: StoreUnderTest, index: int) -> None:
    filled.replace(STARTS[index], None)
    starts, damage = damage_of(filled)
    assert starts == list(STARTS[:index])
    assert damage.seq == STARTS[index]
    if STARTS[index] > 1:
        with pytest.raises(JournalDamaged):
            list(reading(filled, STARTS[index] + COUNTS[index] - 1))


def test_a_missing_last_record_is_found_when_opening(filled: StoreUnderTest) -> None:
    filled.replace(10, None)
    with pytest.raises(JournalDamaged, match="the records end at 9") as caught:
        filled.open()
    assert caught.value.seq == 10


def test_a_record_that_was_swapped_for_a_sound_one_of_another_journal_is_found(filled: StoreUnderTest) -> None:
    from engine.journal.frame import seal

    filled.replace(5, seal(Record(5, 4, b"sound, but not ours"), Tail(4, filled.frames()[1].checksum)))
    starts, damage = damage_of(filled)
    assert starts == [1, 4, 5]
    assert damage.seq == 9  # its successor was not made to follow it


@pytest.mark.parametrize(("seq", "damaged"), [(LAST_SEQ + 1, LAST_SEQ + 1), (9, 10), (0, 1)])
def test_a_head_ahead_of_or_behind_the_records_is_found_when_opening(
    filled: StoreUnderTest, seq: int, damaged: int
) -> None:
    filled.set_head(filled.head()._replace(seq=seq))
    with pytest.raises(JournalDamaged, match="head") as caught:
        filled.open()
    assert caught.value.seq == damaged


def test_a_head_with_another_checksum_is_found_when_opening(filled: StoreUnderTest) -> None:
    filled.set_head(filled.head()._replace(checksum=1))
    with pytest.raises(JournalDamaged, match="checksum in the head"):
        filled.open()


def test_damage_under_an_open_journal_is_found_too(filled: StoreUnderTest) -> None:
    with closing(filled.open()) as journal:
        assert len(list(journal.read())) == 5
        frame = filled.frames()[4]
        filled.replace(10, broken(frame, "a truncated body"))
        with pytest.raises(JournalDamaged):
            list(journal.read())
