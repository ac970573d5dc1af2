"""A journal with a few records in it, and what can still be read of one that is damaged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing

import pytest

from engine.journal import Journal, JournalDamaged, Record
from tests.conformance.stores import StoreUnderTest

COUNTS = (3, 1, 4, 1, 5)  # decisions in each record of `filled`: records start at 1, 4, 5, 9, 10; the last seq is 14
STARTS = (1, 4, 5, 9, 10)
LAST_SEQ = sum(COUNTS)


def fill(journal: Journal, counts: Sequence[int] = COUNTS) -> list[Record]:
    records = []
    seq = journal.last_seq()
    for count in counts:
        record = Record(seq + 1, count, f"decisions {seq + 1} to {seq + count}".encode())
        journal.append(record, expected_seq=seq)
        records.append(record)
        seq += count
    return records


def reading(store: StoreUnderTest, from_seq: int = 1) -> Iterator[Record]:
    """Open, read and close; lets a test see what came before an error."""
    with closing(store.open()) as journal:
        yield from journal.read(from_seq)


def damage_of(store: StoreUnderTest) -> tuple[list[int], JournalDamaged]:
    """The first_seq of the records that were still read, and the error that ended it."""
    starts: list[int] = []
    with pytest.raises(JournalDamaged) as caught:
        starts.extend(record.first_seq for record in reading(store))
    return starts, caught.value
