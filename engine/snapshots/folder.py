"""The folder of a journal's snapshots: the last two are kept, each was read back before it got its name."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final, NamedTuple

from engine.core.machine import Machine
from engine.journal import Mark
from engine.snapshots.content import read_machine, write_machine
from engine.snapshots.file import SnapshotError, SnapshotReader

KEPT: Final = 2
"""Snapshots that are kept: when the newest turns out to be damaged, there is the one before."""
_ENDING: Final = ".snapshot"
_TEMPORARY: Final = ".tmp"
_ASIDE: Final = ".unusable"
_LOCK: Final = ".lock"
_BUFFER: Final = 1 << 20
_SYNC_BYTES: Final = 8 << 20


class FolderBusy(SnapshotError):
    """Somebody else makes snapshots in the folder."""


class Snapshot(NamedTuple):
    """A file in the folder, by its name alone: what is in it was not looked at."""

    path: Path
    seq: int

    @property
    def size(self) -> int:
        """Bytes of the file; 0 when it is gone."""
        try:
            return self.path.stat().st_size
        except OSError:
            return 0


class SnapshotFolder:
    """A folder with the snapshots of one journal."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def snapshots(self) -> list[Snapshot]:
        """What is there, the newest first."""
        try:
            paths = list(self.path.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SnapshotError(f"the folder of snapshots cannot be read: {error}") from error
        found = [Snapshot(path, int(path.stem)) for path in paths if path.suffix == _ENDING and path.stem.isdecimal()]
        return sorted(found, key=lambda snapshot: -snapshot.seq)

    def newest_seq(self) -> int:
        """Sequence of the newest snapshot, 0 when there is none."""
        return max([snapshot.seq for snapshot in self.snapshots()], default=0)

    def write(self, machine: Machine, mark: Mark, digest: str) -> Snapshot:
        """Write the machine as it is at ``mark``, read it back and compare, and only then give it its name, durably.

        Raises SnapshotError when what is read back is not what was written, or the folder cannot be written; nothing is left behind.
        """
        name = self.path / f"{mark.seq:019}{_ENDING}"
        temporary = name.with_suffix(_TEMPORARY)
        try:
            with temporary.open("wb", buffering=_BUFFER) as file:
                steady = _Steady(file)
                write_machine(steady, machine, mark, digest)
                steady.sync()
            with SnapshotReader(temporary) as reader:
                read_machine(reader, machine.pool.limits)
            temporary.replace(name)
            self._sync()
        except OSError as error:
            raise SnapshotError(f"the snapshot cannot be written: {error}") from error
        finally:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        return Snapshot(name, mark.seq)

    def prune(self) -> None:
        """Remove all but the newest two."""
        for snapshot in self.snapshots()[KEPT:]:
            snapshot.path.unlink(missing_ok=True)

    def set_aside(self, snapshot: Snapshot) -> Path:
        """Give a file that cannot be used another name, under which nobody counts it among the snapshots."""
        aside = snapshot.path.with_suffix(_ASIDE)
        snapshot.path.replace(aside)
        return aside

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Be the only one who makes snapshots here; the folder is made when there is none. Raises FolderBusy."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise SnapshotError(f"the folder of snapshots cannot be used: {error}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise FolderBusy(f"somebody else makes snapshots in {self.path}") from None
            for leftover in self.path.glob(f"*{_TEMPORARY}"):
                leftover.unlink(missing_ok=True)  # of one who was killed while writing
            yield
        finally:
            os.close(descriptor)

    def _sync(self) -> None:
        """Make the names in the folder durable."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class _Steady:
    """A file that is synced as it grows. All of it at once would hold up the journal's own sync, on the same disk, for as long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unsynced = 0

    def write(self, part: bytes) -> int:
        """Write, and sync what has come together."""
        self._unsynced += len(part)
        if self._unsynced >= _SYNC_BYTES:
            self.sync()
        return self._file.write(part)

    def sync(self) -> None:
        """Make what was written durable."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._unsynced = 0
