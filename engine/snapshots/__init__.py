"""Snapshots: the whole state at one place of the journal as a file, so that a start need not replay everything before."""

from engine.snapshots.choice import SnapshotForeign, SnapshotStray, newest_machine, require_fit
from engine.snapshots.content import comparable, read_machine
from engine.snapshots.file import Header, SnapshotDamaged, SnapshotError, SnapshotGone, SnapshotReader, SnapshotVersion
from engine.snapshots.folder import FolderBusy, Snapshot, SnapshotFolder

__all__ = [
    "FolderBusy",
    "Header",
    "Snapshot",
    "SnapshotDamaged",
    "SnapshotError",
    "SnapshotFolder",
    "SnapshotForeign",
    "SnapshotGone",
    "SnapshotReader",
    "SnapshotStray",
    "SnapshotVersion",
    "comparable",
    "newest_machine",
    "read_machine",
    "require_fit",
]
