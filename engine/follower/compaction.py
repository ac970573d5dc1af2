"""Compaction: the beginning of the journal is cut off, behind a snapshot that takes its place."""

from __future__ import annotations

from typing import NamedTuple

from engine.journal import Journal, Mark
from engine.snapshots import Snapshot, SnapshotError, SnapshotFolder, SnapshotReader, require_fit
from engine.snapshots.folder import KEPT


class NothingToCut(SnapshotError):
    """There are not two good snapshots; the journal is needed as it is."""


class Cut(NamedTuple):
    """What a compaction did. ``first_seq``: the first decision that the journal still has; the same as ``first_seq_before``: nothing."""

    first_seq_before: int
    first_seq: int
    last_seq: int
    snapshot_seqs: tuple[int, ...]


def compact(journal: Journal, folder: SnapshotFolder, *, keep_decisions: int = 0) -> Cut:
    """Cut off the records up to the older of the two kept snapshots, after both were read and compared with their checksums.

    The latest ``keep_decisions`` stay in any case, for those who follow the events. Raises NothingToCut, and what ``require_fit`` does.
    """
    end_seq, before = journal.last_seq(), journal.first_seq()
    kept = folder.snapshots()[:KEPT]
    if len(kept) < KEPT:
        raise NothingToCut(f"{folder.path} has {len(kept)} of the {KEPT} snapshots that the journal may be cut behind")
    places = [_verified(snapshot, journal, end_seq) for snapshot in kept]
    seq = min(places[-1].seq, end_seq - keep_decisions)
    if seq >= before:
        if seq < end_seq:
            seq = next(journal.read(seq + 1, limit=1)).first_seq - 1
        mark = journal.mark(seq)
        if mark is not None and seq >= before:
            journal.cut(mark)
    return Cut(before, journal.first_seq(), end_seq, tuple(place.seq for place in places))


def _verified(snapshot: Snapshot, journal: Journal, end_seq: int) -> Mark:
    try:
        with SnapshotReader(snapshot.path) as reader:
            mark = require_fit(snapshot, reader.header, journal, end_seq)
            reader.verify()
            return mark
    except SnapshotError as error:
        raise NothingToCut(f"{error}; make new snapshots first") from error
