"""One walk along the journal for an audit: every invariant on the way, every snapshot where it lies, and the state at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine.core.machine import Machine
from engine.follower.audit import Auditor, StateWrong, Wrong
from engine.follower.follower import compare_snapshot
from engine.journal import Journal
from engine.model.limits import Limits
from engine.recovery import advance, recover
from engine.snapshots import (
    Snapshot,
    SnapshotError,
    SnapshotFolder,
    SnapshotForeign,
    SnapshotGone,
    SnapshotReader,
    require_fit,
)

_SHARE_MAX = 0.2
"""Share of a core that audits on the way may take; how often decides how far back one has to look when something is wrong."""


class Walk(NamedTuple):
    """What a walk saw."""

    machine: Machine
    """As the journal tells it, at the end of the walk or where the audit ended it."""
    first_seq: int
    """The first decision that was replayed; beyond 1, a snapshot took the place of what came before."""
    snapshot_seqs: tuple[int, ...]
    """Snapshots that were read and are what the journal tells."""
    wrong: tuple[Wrong, ...]


def walk(
    journal: Journal,
    limits: Limits,
    folder: SnapshotFolder | None = None,
    *,
    to_seq: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Walk:
    """Replay the journal, the whole of it where it is whole, and audit it and its snapshots on the way.

    Ends at the first decision that breaks an invariant; a snapshot that is wrong is noted, and the walk goes on. One that newer ones replace
    meanwhile is nobody's loss: a follower beside the walk keeps the last two. Raises JournalError when the
    journal cannot be replayed, SnapshotForeign when the folder belongs to another one.
    """
    end_seq = journal.last_seq() if to_seq is None else to_seq
    sound, wrong = _checked(journal, folder, end_seq)
    first_seq = journal.first_seq()
    base = sound[0].seq if first_seq > 1 and sound else 0
    machine = recover(journal, limits, to_seq=base, snapshots=folder if first_seq > 1 else None)
    auditor = Auditor(machine, lambda seq: recover(journal, limits, to_seq=seq, snapshots=folder), journal, _SHARE_MAX)

    def audited(seq: int) -> None:
        if auditor.is_due:
            auditor.audit(closed=False)
        if progress:
            progress(seq)

    agreed: list[int] = []
    try:
        for snapshot in sound:
            advance(machine, journal, to_seq=snapshot.seq, progress=audited)
            try:
                differs = compare_snapshot(snapshot, machine, agreed[-1] if agreed else 0)
            except SnapshotGone:
                continue
            if differs is None:
                agreed.append(snapshot.seq)
            else:
                wrong.append(differs)
        advance(machine, journal, to_seq=end_seq, progress=audited)
        auditor.audit(closed=True)
    except StateWrong as error:
        wrong.append(error.wrong)
    return Walk(machine, base + 1, tuple(agreed), tuple(wrong))


def _checked(journal: Journal, folder: SnapshotFolder | None, end_seq: int) -> tuple[list[Snapshot], list[Wrong]]:
    """The snapshots up to a sequence whose checksums are right and that lie on the journal's history, oldest first; and the others."""
    sound: list[Snapshot] = []
    wrong: list[Wrong] = []
    journal_end_seq = journal.last_seq()
    for snapshot in reversed([] if folder is None else folder.snapshots()):
        if snapshot.seq < journal.first_seq() - 1:
            continue
        try:
            with SnapshotReader(snapshot.path) as reader:
                require_fit(snapshot, reader.header, journal, journal_end_seq)
                reader.verify()
        except SnapshotForeign:
            raise
        except SnapshotGone:
            continue
        except SnapshotError as error:
            wrong.append(Wrong(str(error), snapshot.seq, 0, ()))
        else:
            if snapshot.seq <= end_seq:
                sound.append(snapshot)
    return sound, wrong
