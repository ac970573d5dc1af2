"""Frames: the format, and that no single change of what is stored goes unnoticed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.journal import JournalDamaged, Record
from engine.journal.frame import FORMAT_VERSION, Frame, Tail, check_head, seal, unseal

_BITS = {"version": 15, "first_seq": 62, "decisions": 62, "body_length": 62, "previous": 32, "checksum": 32}
FIRST, SECOND = 0x65849399, 0x432ABDFA


def chain(bodies: list[tuple[int, bytes]]) -> tuple[list[Frame], Tail]:
    frames, tail = [], Tail(0, 0)
    for count, body in bodies:
        record = Record(tail.seq + 1, count, body)
        frames.append(seal(record, tail))
        tail = Tail(record.last_seq, frames[-1].checksum)
    return frames, tail


def test_the_format_is_this_one() -> None:
    """Stored journals depend on these numbers: a change of them is a new format version."""
    frames, tail = chain([(3, b"first"), (1, b"second")])
    assert FORMAT_VERSION == 1
    assert frames == [
        Frame(1, 1, 3, 5, 0, FIRST, b"first"),
        Frame(1, 4, 1, 6, FIRST, SECOND, b"second"),
    ]
    assert tail == (4, SECOND)


journals = st.lists(st.tuples(st.integers(1, 1000), st.binary(min_size=1, max_size=64)), min_size=1, max_size=6)


@given(journals)
def test_what_was_sealed_is_unsealed(bodies: list[tuple[int, bytes]]) -> None:
    frames, head = chain(bodies)
    records = list(unseal(frames, from_seq=1, head=head))
    assert [(record.count, record.body) for record in records] == bodies
    check_head(head, Tail(records[-1].last_seq, frames[-1].checksum))


@given(journals, st.data())
def test_a_flipped_bit_anywhere_is_noticed(bodies: list[tuple[int, bytes]], data: st.DataObject) -> None:
    frames, head = chain(bodies)
    index = data.draw(st.integers(0, len(frames) - 1))
    frame = frames[index]
    field = data.draw(st.sampled_from([*_BITS, "body"]))
    if field == "body":
        position, bit = data.draw(st.integers(0, len(frame.body) - 1)), data.draw(st.integers(0, 7))
        body = bytearray(frame.body)
        body[position] ^= 1 << bit
        frames[index] = frame._replace(body=bytes(body))
    else:
        bit = data.draw(st.integers(0, _BITS[field] - 1))
        frames[index] = frame._replace(**{field: getattr(frame, field) ^ (1 << bit)})
    given_back: list[Record] = []
    with pytest.raises(JournalDamaged) as caught:
        given_back.extend(unseal(frames, from_seq=1, head=head))
    assert [(record.count, record.body) for record in given_back] == bodies[:index]
    assert caught.value.seq is not None


@given(journals.filter(lambda bodies: len(bodies) > 1), st.data())
def test_a_dropped_repeated_or_swapped_frame_is_noticed(bodies: list[tuple[int, bytes]], data: st.DataObject) -> None:
    frames, head = chain(bodies)
    index = data.draw(st.integers(0, len(frames) - 2))
    changed = {
        "dropped": frames[:index] + frames[index + 1 :],
        "repeated": [*frames[: index + 1], *frames[index:]],
        "swapped": [*frames[:index], frames[index + 1], frames[index], *frames[index + 2 :]],
        "cut": frames[:index],
    }[data.draw(st.sampled_from(["dropped", "repeated", "swapped", "cut"]))]
    with pytest.raises(JournalDamaged):
        list(unseal(changed, from_seq=1, head=head))


def test_nothing_is_read_of_an_empty_journal_or_behind_its_end() -> None:
    frames, head = chain([(2, b"x")])
    assert list(unseal([], from_seq=1, head=Tail(0, 0))) == []
    assert list(unseal(frames, from_seq=3, head=head)) == []
    assert list(unseal(frames, from_seq=1, head=head, limit=0)) == []


@pytest.mark.parametrize(
    ("head", "end", "seq"),
    [
        (Tail(5, 9), Tail(4, 9), 5),
        (Tail(0, 0), Tail(4, 9), 1),
        (Tail(4, 9), Tail(4, 8), 4),
        (Tail(4, 9), Tail(0, 0), 1),
    ],
)
def test_a_head_that_is_not_the_end_is_noticed(head: Tail, end: Tail, seq: int) -> None:
    with pytest.raises(JournalDamaged) as caught:
        check_head(head, end)
    assert caught.value.seq == seq
