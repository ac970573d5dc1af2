"""What goes on beside the processes: a follower makes snapshots, files rot, the journal is cut behind what is sound.

The folder is a real one: what is read back at a restart is a file as any other. It holds nothing that the journal does not tell, so the same
seed still gives the same journal.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from engine.follower.compaction import NothingToCut, compact
from engine.follower.follower import Follower, Policy
from engine.journal import Mark
from engine.journal.memory import MemoryJournal
from engine.model.limits import Limits
from engine.proof.simulation.disk import Crash, Disk
from engine.proof.simulation.history import Care, Upkeep
from engine.snapshots import Snapshot, SnapshotError, SnapshotFolder, SnapshotReader

_WHEN_TOLD = Policy(every_decisions=1 << 60, every_s=1e18)
"""By no clock: a snapshot is made when a step says so."""
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - the folder in it is made for us alone
"""Files here survive no power cut, and need not: syncs, which cost most of the time elsewhere, are free."""


class UpkeepFigures(NamedTuple):
    """How often what was done."""

    snapshots: int = 0
    damaged: int = 0
    cuts: int = 0
    cut_decisions: int = 0


class Shelf:
    """The snapshots of one world."""

    def __init__(self, disk: Disk, limits: Limits) -> None:
        self._disk, self._limits = disk, limits
        self._path: Path | None = None
        self.figures = UpkeepFigures()

    @property
    def folder(self) -> SnapshotFolder | None:
        """Where they are; None before the first was made."""
        return None if self._path is None else SnapshotFolder(self._path)

    def tend(self, upkeep: Upkeep) -> None:
        """Do what a step says, as far as it can be done. Raises what a follower raises."""
        if upkeep.care is Care.SNAPSHOT:
            self._follow()
        elif upkeep.care is Care.DAMAGE:
            self._damage(upkeep.part)
        else:
            self._cut(upkeep)

    def _follow(self) -> None:
        """A follower starts, checks what is there, replays what is new, and makes a snapshot of it."""
        if self._path is None:
            where = _IN_MEMORY if _IN_MEMORY.is_dir() else None
            self._path = Path(tempfile.mkdtemp(prefix="stockpool-simulation-", dir=where))
            weakref.finalize(self, shutil.rmtree, self._path, ignore_errors=True)
        folder = SnapshotFolder(self._path)
        with folder.locked(), quiet():  # of files that it sets aside: we have damaged them
            follower = Follower(MemoryJournal(self._disk.tape()), folder, self._limits, _WHEN_TOLD)
            follower.catch_up()
            made = follower.snapshot()
        if made is not None:
            self._count(snapshots=1)

    def _damage(self, part: float) -> None:
        """The newest file loses its end, or one of its bits is another, unless a start would need it."""
        sound = self._sound()
        if not sound or (len(sound) < 2 and self._disk.cut.seq):
            return
        content = bytearray(sound[0].path.read_bytes())
        at = min(int(abs(2 * part - 1) * len(content)), len(content) - 1)
        if part < 0.5:
            del content[at:]
        else:
            content[at] ^= 1 << at % 8
        sound[0].path.write_bytes(content)
        self._count(damaged=1)

    def _cut(self, upkeep: Upkeep) -> None:
        """The journal is cut, or whoever cuts dies on the way."""
        if self.folder is None:
            return
        before = self._disk.cut.seq
        dies_at = upkeep.part if upkeep.care is Care.CUT_SHORT else None
        try:
            keep = int(upkeep.part * 40) if dies_at is None else 0
            compact(_CutJournal(self._disk, dies_at), self.folder, keep_decisions=keep)
        except (NothingToCut, Crash):
            pass
        if self._disk.cut.seq > before:
            self._count(cuts=1, cut_decisions=self._disk.cut.seq - before)

    def _sound(self) -> list[Snapshot]:
        """Those whose checksums are right, the newest first."""
        sound = []
        for snapshot in [] if self.folder is None else self.folder.snapshots():
            try:
                with SnapshotReader(snapshot.path) as reader:
                    reader.verify()
            except SnapshotError:
                continue
            sound.append(snapshot)
        return sound

    def _count(self, **more: int) -> None:
        counted = self.figures._asdict()
        self.figures = UpkeepFigures(**{name: count + more.get(name, 0) for name, count in counted.items()})


class _CutJournal(MemoryJournal):
    """The journal on a disk, to whoever cuts it, record by record; ``dies_at``: after which share of the way it dies, if it does."""

    def __init__(self, disk: Disk, dies_at: float | None) -> None:
        super().__init__(disk.tape())
        self._disk, self._dies_at = disk, dies_at

    def cut(self, mark: Mark) -> None:
        """See `Journal.cut`."""
        if mark.seq <= self._tape.cut.seq:
            return
        if self._dies_at is None:
            super().cut(mark)
            self._disk.cut = mark
            return
        ends = [frame.first_seq + frame.decisions - 1 for frame in self._tape.frames if frame.first_seq <= mark.seq]
        reached = self.mark(ends[min(int(self._dies_at * len(ends)), len(ends) - 1)])
        assert reached is not None
        self._disk.cut = reached
        raise Crash


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing is logged meanwhile."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(level)
