"""Which snapshot a start can go on from: the newest that is sound and lies on the history of the journal."""

from __future__ import annotations

import logging

from engine.core.machine import Machine
from engine.journal import Journal, JournalDamaged, Mark
from engine.model.limits import Limits
from engine.snapshots.content import read_machine
from engine.snapshots.file import Header, SnapshotError, SnapshotReader
from engine.snapshots.folder import Snapshot, SnapshotFolder

log = logging.getLogger("stockpool")


class SnapshotForeign(SnapshotError):
    """The snapshot is of another journal: the folder, or the journal, is not the one that was meant."""


class SnapshotStray(SnapshotError):
    """The snapshot is of this journal, but of a history that it no longer has: a backup was restored, say."""


def newest_machine(
    folder: SnapshotFolder, journal: Journal, limits: Limits, *, to_seq: int | None = None
) -> Machine | None:
    """The machine of the newest good snapshot at or before ``to_seq``; None when there is none to go on from.

    A snapshot that is damaged or of another history is said loudly, and the one before is taken. Raises SnapshotForeign,
    JournalDamaged (the journal ends before a snapshot that was made of it), and NoRoom.
    """
    end_seq = journal.last_seq()
    first_seq = journal.first_seq()
    for snapshot in folder.snapshots():
        if snapshot.seq < first_seq - 1 or (to_seq is not None and snapshot.seq > to_seq):
            continue
        try:
            with SnapshotReader(snapshot.path) as reader:
                require_fit(snapshot, reader.header, journal, end_seq)
                machine = read_machine(reader, limits)
        except SnapshotForeign:
            raise
        except SnapshotError as error:
            log.error("%s; going back to the snapshot before, or to the journal alone", error)  # noqa: TRY400 - it says it all
        else:
            log.info("going on from the snapshot %s", snapshot.path)
            return machine
    return None


def require_fit(snapshot: Snapshot, header: Header, journal: Journal, end_seq: int) -> Mark:
    """The place of the snapshot in the journal, which ends at ``end_seq``.

    Raises SnapshotForeign, SnapshotStray, and JournalDamaged when the journal has lost its end.
    """
    end = journal.mark(end_seq)
    if end is None or (end_seq and end.origin != header.origin):
        raise SnapshotForeign(
            f"the snapshot {snapshot.path} is of another journal; name the folder that belongs to this one, or an empty one"
        )
    if header.seq > end_seq:
        raise JournalDamaged(
            end_seq + 1,
            f"it ends at seq {end_seq}, but the snapshot {snapshot.path} was made of it at seq {header.seq}",
            "Restore the end of the journal from a replica. If it is a backup that was restored on purpose, move that snapshot away: "
            "what was answered after the backup is lost then",
        )
    mark = Mark(header.seq, header.checksum, header.origin)
    if header.seq != snapshot.seq or journal.mark(header.seq) != mark:
        raise SnapshotStray(f"the snapshot {snapshot.path} is of a history that the journal no longer has")
    return mark
