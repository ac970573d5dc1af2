"""Following the journal: replay what is new, audit it, make a snapshot now and then, cut the journal behind it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from threading import Event
from typing import Any

from engine.core.differences import differences
from engine.core.image import image_of
from engine.core.machine import Machine
from engine.follower.audit import Auditor, StateWrong, Wrong
from engine.follower.compaction import NothingToCut, compact
from engine.follower.shadows import Shadows, write_tallies
from engine.journal import Journal, JournalUnavailable
from engine.model.limits import Limits
from engine.recovery import fold, recover, runs
from engine.snapshots import (
    Snapshot,
    SnapshotDamaged,
    SnapshotError,
    SnapshotFolder,
    SnapshotForeign,
    SnapshotGone,
    SnapshotReader,
    SnapshotStray,
    comparable,
    read_machine,
    require_fit,
)

log = logging.getLogger("stockpool")

POLL_S = 0.5
"""How long a follower that is up to date waits before it looks again."""
RETRY_S = 5.0
"""How long it waits when the journal cannot be reached."""
SNAPSHOT_RETRY_S = 60.0
"""How long when a snapshot cannot be written."""
RUNS_A_STEP = 64
"""Runs that are folded before anything else is looked at: some hundred milliseconds."""
RUNS_A_SLOW_STEP = 2
"""The same when each decision is compared with what a draft policy makes of it."""
SHADOWS_TOLD_S = 1.0
"""How often what was compared is written while there is more to replay."""


@dataclass(frozen=True, slots=True)
class Policy:
    """When snapshots are made, what is kept, and what the audit may cost.

    ``keep_decisions``: cut the journal behind the older snapshot, but leave so many decisions; None: never cut.
    """

    every_decisions: int = 1_000_000
    every_s: float = 900.0
    keep_decisions: int | None = None
    audit_share_max: float = 0.05


class Follower:
    """Replays one journal and keeps its snapshots. ``told`` hears of everything that happens, for a status file or a test."""

    def __init__(
        self,
        journal: Journal,
        folder: SnapshotFolder,
        limits: Limits,
        policy: Policy,
        told: Callable[[dict[str, Any]], None] = lambda _: None,
    ) -> None:
        self._journal = journal
        self._folder = folder
        self._limits = limits
        self._policy = policy
        self._told = told
        self._begun_s, self._begun_cpu_s = time.monotonic(), time.process_time()
        self._last_s = self._begun_s
        self._not_before_s = 0.0
        self._snapshot: dict[str, Any] = {}
        self.machine = self._start()
        self._mark = journal.mark(self.machine.seq)
        self._shadows = Shadows(self.machine)
        self._shadows_told_s = 0.0
        self._auditor = Auditor(self.machine, self._replayed, journal, policy.audit_share_max)
        self._auditor.audit(closed=True)

    # Along the journal

    def follow(self, stop: Event) -> None:
        """Until ``stop``. Raises what ``step`` does; a journal or a disk that fails is tried again."""
        while not stop.is_set():
            try:
                moved = self.step()
            except JournalUnavailable as error:
                log.warning("the follower waits: %s", error)
                stop.wait(RETRY_S)
                continue
            if not moved:
                stop.wait(POLL_S)

    def step(self) -> bool:
        """Some of what is new, an audit and a snapshot when they are due. False: there was nothing new.

        Raises StateWrong, and SnapshotStray when the journal has become another one: start anew.
        """
        moved = False
        watching = self._shadows.is_watching
        end_seq = self._journal.last_seq() if watching else 0
        for records in islice(runs(self._journal, self.machine.seq + 1), RUNS_A_SLOW_STEP if watching else RUNS_A_STEP):
            if not moved:
                self._require_history()
            self._shadows.fold(records, end_seq - self.machine.seq)
            moved = True
        self._tell_shadows(now=not moved)
        if moved:
            self._mark = self._journal.mark(self.machine.seq)
        if self._auditor.is_due:
            self._auditor.audit(closed=False)
            self._tell()
        if self._snapshot_is_due:
            try:
                self.snapshot()
            except SnapshotError as error:  # the disk is full, say: to write gigabytes again at once would not help
                self._not_before_s = time.monotonic() + SNAPSHOT_RETRY_S
                log.warning("%s; the next one is tried in %.0f s", error, SNAPSHOT_RETRY_S)
        return moved

    def _tell_shadows(self, *, now: bool) -> None:
        now_s = time.monotonic()
        if self._shadows.is_news and (now or now_s - self._shadows_told_s >= SHADOWS_TOLD_S):
            write_tallies(self._folder, self._shadows.tallies())
            self._shadows.is_news, self._shadows_told_s = False, now_s

    def _require_history(self) -> None:
        """What comes next must follow what was folded: a backup may have been restored meanwhile, and have gone on otherwise."""
        if self._journal.mark(self.machine.seq) != self._mark:
            raise SnapshotStray(
                f"the journal has another history up to seq {self.machine.seq} than the follower has seen"
            )

    def catch_up(self) -> None:
        """To the end of the journal as it is now."""
        end_seq = self._journal.last_seq()
        while self.machine.seq < end_seq:
            self.step()

    # Snapshots

    @property
    def _snapshot_is_due(self) -> bool:
        now_s = time.monotonic()
        if now_s < self._not_before_s:
            return False
        new = self.machine.seq - self.snapshot_seq
        late = now_s - self._last_s >= self._policy.every_s
        return new >= self._policy.every_decisions or (new > 0 and late)

    @property
    def snapshot_seq(self) -> int:
        """Sequence of the newest snapshot, 0 when there is none."""
        return self._folder.newest_seq()

    def snapshot(self) -> Snapshot | None:
        """Audit, make a snapshot of the state as it is, read it back, and cut the journal where that is asked for.

        None: the state at this sequence has one already. Raises StateWrong, SnapshotError and JournalError.
        """
        machine = self.machine
        self._last_s = time.monotonic()
        self._auditor.audit(closed=True)
        self._require_history()
        if self._mark is None or machine.seq in (0, self.snapshot_seq):
            return None
        begun_s = time.monotonic()
        made = self._folder.write(machine, self._mark, machine.digest())
        self._folder.prune()
        took_s = time.monotonic() - begun_s
        self._snapshot = {"snapshot_bytes": made.size, "snapshot_s": round(took_s, 3)}
        log.info(
            "snapshot at seq %d: %.1f MB, written and read back in %.1f s; audits take %.2f %% of a core",
            *(made.seq, made.size / 1e6, took_s, 100 * self.status()["audit_core_share"]),
        )
        if self._policy.keep_decisions is not None:
            self._compact(self._policy.keep_decisions)
        self._tell()
        return made

    def _compact(self, keep_decisions: int) -> None:
        try:
            cut = compact(self._journal, self._folder, keep_decisions=keep_decisions)
        except NothingToCut as error:
            log.info("the journal is not cut: %s", error)
            return
        if cut.first_seq > cut.first_seq_before:
            log.info("the journal begins at seq %d now", cut.first_seq)

    # The beginning

    def _start(self) -> Machine:
        """At the newest snapshot, reached from the one before when there are two: so it is checked against a replay. Else at the beginning."""
        usable = self._usable()
        if len(usable) < 2:
            return recover(self._journal, self._limits, snapshots=self._folder, to_seq=usable[0].seq if usable else 0)
        newest, older = usable[:2]
        machine = recover(self._journal, self._limits, snapshots=self._folder, to_seq=older.seq)
        for records in runs(self._journal, machine.seq + 1):
            fold(machine, [record for record in records if record.last_seq <= newest.seq])
            if records[-1].last_seq >= newest.seq:
                break
        wrong = compare_snapshot(newest, machine, older.seq)
        if wrong is not None:
            raise StateWrong(wrong)
        return machine

    def _usable(self) -> list[Snapshot]:
        """The snapshots that the journal can go on from; others are set aside, so that nobody counts on them."""
        usable = []
        end_seq = self._journal.last_seq()
        for snapshot in self._folder.snapshots():
            try:
                with SnapshotReader(snapshot.path) as reader:
                    require_fit(snapshot, reader.header, self._journal, end_seq)
                    reader.verify()
                usable.append(snapshot)
            except SnapshotForeign:
                raise
            except SnapshotGone:
                continue
            except SnapshotError as error:
                if snapshot.seq >= self._journal.first_seq() - 1:
                    log.error("%s; it is set aside as %s", error, self._folder.set_aside(snapshot))  # noqa: TRY400
        return usable

    def _replayed(self, seq: int) -> Machine:
        return recover(self._journal, self._limits, to_seq=seq, snapshots=self._folder)

    # What it tells

    def status(self) -> dict[str, Any]:
        """How far it is, and what it costs: shares of a core since it began."""
        elapsed_s = max(time.monotonic() - self._begun_s, 1e-9)
        return {
            "seq": self.machine.seq,
            "audited_seq": self._auditor.audited_seq,
            "audits": self._auditor.count,
            "audit_core_share": round(self._auditor.cpu_s / elapsed_s, 5),
            "core_share": round((time.process_time() - self._begun_cpu_s) / elapsed_s, 5),
            "snapshot_seq": self.snapshot_seq,
            **self._snapshot,
        }

    def _tell(self) -> None:
        self._told(self.status())


def compare_snapshot(snapshot: Snapshot, replayed: Machine, good_seq: int) -> Wrong | None:
    """What is wrong with a snapshot, in the light of a replay to its sequence from a good one at ``good_seq``; None when nothing is."""
    with SnapshotReader(snapshot.path) as reader:
        if not comparable(reader.header, replayed.pool.limits) or reader.header.digest == replayed.digest():
            return None
        try:
            kept = read_machine(reader, replayed.pool.limits)
        except SnapshotDamaged as error:
            return Wrong(str(error), snapshot.seq, good_seq, ())
    found = differences(image_of(replayed), image_of(kept))
    return Wrong(f"the snapshot {snapshot.path} is not what the journal tells", snapshot.seq, good_seq, tuple(found))
