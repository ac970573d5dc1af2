"""One simulated world: groups, faults, crashes and restarts over the engine's own step, codec and recovery."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from engine.core.machine import Machine
from engine.group import CHECK_S, NEVER, Answer, GroupCommit, Job
from engine.journal import Journal, JournalDamaged, JournalError
from engine.journal.frame import Tail
from engine.journal.memory import MemoryJournal
from engine.kernels.reservations import LEGS_PER_ITEM_MAX
from engine.model import commands as m
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.model.queries import Query
from engine.proof.oracle import Choice
from engine.proof.simulation.auditor import Auditor, Trial, Violation
from engine.proof.simulation.comparison import compare_cells, compare_everything, compare_recovered
from engine.proof.simulation.disk import Crash, Disk, SimulatedJournal
from engine.proof.simulation.history import Again, Ask, Call, Step, Trouble, Upkeep
from engine.proof.simulation.upkeep import Shelf, quiet
from engine.proof.simulation.witness import decisions_of
from engine.proof.simulation.world import EPOCH_NS
from engine.recovery import recover
from engine.snapshots import SnapshotFolder

HOUR_NS = 3_600_000_000_000
EVERYTHING_EACH = 250
"""Commands after which everything is compared, not only the cells."""


class Waiting(NamedTuple):
    """A caller; ``gone``: nobody waits any more."""

    gone: bool

    def cancelled(self) -> bool:
        """See `engine.group.Waiter`."""
        return self.gone


@dataclass
class Process:
    """A running engine: what a crash takes away."""

    commit: GroupCommit
    overtaken_s: float | None = None
    """Since when the journal goes on without it."""

    @property
    def machine(self) -> Machine:
        """Its state."""
        return self.commit.machine


def _from_snapshot(journal: Journal, limits: Limits, folder: SnapshotFolder) -> Machine:
    return recover(journal, limits, snapshots=folder)


class Parts(NamedTuple):
    """What a world is built from. A test puts a defect into one of them, and sees whether the simulation does."""

    disk: Callable[[], Disk] = Disk
    journal: Callable[[Disk], Journal] = SimulatedJournal
    commit: Callable[[Machine, Journal], GroupCommit] = GroupCommit
    recover: Callable[[Journal, Limits], Machine] = recover
    go_on: Callable[[Journal, Limits, SnapshotFolder], Machine] = _from_snapshot


class Figures(NamedTuple):
    """What happened in a world, or in several."""

    commands: int = 0
    acknowledged: int = 0
    groups: int = 0
    crashes: int = 0
    torn_writes: int = 0
    recoveries: int = 0
    decisions: int = 0
    journal_bytes: int = 0
    snapshots: int = 0
    damaged_snapshots: int = 0
    cuts: int = 0
    cut_decisions: int = 0
    recoveries_from_snapshots: int = 0

    def __add__(self, other: Figures) -> Figures:  # type: ignore[override]
        return Figures(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Simulation:
    """Plays steps. Raises Violation at the first broken promise."""

    def __init__(self, limits: Limits, parts: Parts | None = None, *, everything_each: int = EVERYTHING_EACH) -> None:
        self._limits = limits
        self._parts = parts or Parts()
        self._everything_each = everything_each
        self.disk = self._parts.disk()
        self.shelf = Shelf(self.disk, limits)
        self.auditor = Auditor(limits, self._recall)
        self._processes: list[Process | None] = [None, None]
        self._clock_ns = EPOCH_NS
        self._instant_s = 0.0
        self._everything_at = everything_each
        self._latest: Trial | None = None
        """The group that came to the disk last without an answer."""
        self._digests: list[tuple[int, str]] = []
        self._figures = Figures()

    @property
    def figures(self) -> Figures:
        """What happened so far."""
        return self._figures._replace(
            acknowledged=self.auditor.acknowledged_count,
            torn_writes=self.disk.torn_count,
            decisions=self.auditor.seq,
            journal_bytes=len(self.disk.synced),
            snapshots=self.shelf.figures.snapshots,
            damaged_snapshots=self.shelf.figures.damaged,
            cuts=self.shelf.figures.cuts,
            cut_decisions=self.shelf.figures.cut_decisions,
        )

    @property
    def behind_ns(self) -> int:
        """How far the clock is behind the last decision; positive after it was set back."""
        return self.auditor.decided_ns - self._clock_ns

    def journal_hash(self) -> str:
        """Of all bytes on the disk."""
        return hashlib.blake2b(self.disk.synced, digest_size=16).hexdigest()

    def finish(self) -> None:
        """The end of the world: everything once more, and the states on the way told again by the journal alone."""
        process = self._start(0)
        compare_everything(self.auditor, process.machine)
        for seq, digest in self._digests[-2:]:
            replayed = recover(MemoryJournal(self.disk.whole()), self._limits, to_seq=seq)
            if replayed.digest() != digest:
                raise Violation("replay", f"another state at seq {seq} than it was live")

    # A group

    def step(self, step: Step) -> bool:
        """Play one step; whether its answers were released."""
        self._let_time_pass(step.by_ns)
        if step.upkeep is not None:
            self._tend(step.upkeep)
        process = self._processes[step.process] or self._start(step.process)
        jobs, trial = self._jobs(step)
        self._figures += Figures(commands=step.command_count, groups=1)
        ends = step.fault is not None and step.fault.trouble.ends
        before = (process.machine.seq, process.machine.digest()) if ends else (-1, "")
        overtaken = process.machine.seq < self.auditor.seq
        self.disk.fault, self.disk.writer = step.fault, trial
        delayed_ns = self.disk.delay_ns
        release = []
        try:
            release = process.commit.commit(jobs, self._clock_ns, self._instant_s)
            # With nothing to write there was nothing to go wrong: the process dies before it answers.
            ends = ends and self.disk.fault is not None
        except (Crash, JournalError):
            ends = True
        except Exception as error:
            raise Violation("process", f"the step of a group failed: {error!r}") from error
        self.disk.fault = None
        if ends:
            self._end(step, trial, process, before)
            return False
        self._let_time_pass(self.disk.delay_ns - delayed_ns)
        answers = [answer for _, answer in release]
        if overtaken:
            self._check_overtaken(process, trial, answers)
        else:
            self._check(process, trial, answers)
        return True

    def _let_time_pass(self, by_ns: int) -> None:
        """The clock on the wall may be set to anything; the time that really passes is another."""
        self._clock_ns += by_ns
        self._instant_s += by_ns / 1e9 if 0 <= by_ns < HOUR_NS else 0.001

    def _jobs(self, step: Step) -> tuple[list[Job[Waiting]], Trial]:
        jobs: list[Job[Waiting]] = []
        calls = []
        for at, call in enumerate(step.calls):
            work = self._work(call)
            if work is None:
                continue
            gone = call.given_up and at % 2 == 0
            deadline_s = self._instant_s if call.given_up and not gone else NEVER
            jobs.append((work, Waiting(gone), deadline_s))
            calls.append((work, call.given_up))
        lead_ns = max(self._clock_ns, self.auditor.decided_ns) - EPOCH_NS - int(self._instant_s * 1e9)
        return jobs, Trial(self._clock_ns, lead_ns, tuple(calls))

    def _work(self, call: Call) -> m.Command | Query | None:
        """What is asked; None when it repeats what was left out."""
        item, ledger = call.item, self.auditor.ledger
        if isinstance(item, Ask):
            return ledger.make(item, self._instant_s)
        if isinstance(item, Again):
            return ledger.repeat(item, self._instant_s)
        return ledger.query(item, self.auditor.seq + item.ahead if item.ahead else 0)

    def _check(self, process: Process, trial: Trial, answers: list[Answer | Exception]) -> None:
        landed = self._landed()
        if len(landed) > 1 or (landed and landed[0][0] is not trial):
            raise Violation("journal", "a group was answered, and another one was written")
        decisions = landed[0][1] if landed else []
        due = self.auditor.landed(trial, decisions, read=True)
        self.auditor.answered(trial, due, answers)
        self._note_overtaken()
        compare_cells(self.auditor, process.machine)
        if self._figures.commands >= self._everything_at:
            self._everything_at = self._figures.commands + self._everything_each
            compare_everything(self.auditor, process.machine)
            self._digests.append((self.auditor.seq, process.machine.digest()))

    def _check_overtaken(self, process: Process, trial: Trial, answers: list[Answer | Exception]) -> None:
        """A process that does not know yet that another one went on may answer what it knows, for a moment."""
        if self._landed():
            raise Violation("fence", "a process that was overtaken has written")
        since_s = process.overtaken_s
        assert since_s is not None
        if answers and self._instant_s - since_s >= CHECK_S + 1e-6:
            raise Violation("fence", f"answers {self._instant_s - since_s:.3f} s after another process went on")
        self.auditor.answered_late(trial, answers)

    def _landed(self) -> list[tuple[Trial | None, list[Decision]]]:
        """What has come to the disk since it was looked at last: whose it is, and what it says."""
        found = []
        for frame in self.disk.news():
            writer = self.disk.writers.get(Tail(frame.first_seq + frame.decisions - 1, frame.checksum))
            found.append((writer, decisions_of(frame)))
        return found

    def _settle(self) -> None:
        """Judge what has come to the disk though nobody was told."""
        if self.disk.forgot:
            raise Violation("durability", "the disk has lost what was safe")
        for writer, decisions in self._landed():
            if writer is None:
                raise Violation("journal", f"nobody has written the record at seq {decisions[0].seq}")
            self.auditor.landed(writer, decisions, read=False)
            self._latest = writer
        self._note_overtaken()

    def _note_overtaken(self) -> None:
        for process in self._processes:
            if process is not None and process.machine.seq < self.auditor.seq and process.overtaken_s is None:
                process.overtaken_s = self._instant_s

    # The end of a process, and the next one

    def _end(self, step: Step, trial: Trial, process: Process, before: tuple[int, str]) -> None:
        fault = step.fault
        self._figures += Figures(crashes=1)
        self._processes[step.process] = None
        self.disk.crash(fault.part if fault is not None else 0.0)
        self._settle()
        if fault is not None and fault.trouble is Trouble.ROTTEN:
            self._meet_rot(fault.part)
        machine = self._start(step.process).machine
        if self._latest is trial:
            # Nobody was told, and yet it is there: all of it.
            before = process.machine.seq, process.machine.digest()
        if machine.seq == before[0] and machine.digest() != before[1]:
            raise Violation("replay", f"another state at seq {machine.seq} than it was live")

    def _start(self, slot: int) -> Process:
        """Recover from what the disk holds, and see whether everything that was promised is there."""
        journal = self._parts.journal(self.disk)
        self._settle()
        whole = MemoryJournal(self.disk.whole()) if self.disk.cut.seq else journal
        try:
            machine = self._parts.recover(whole, self._limits)
        except Exception as error:
            raise Violation("recovery", f"failed: {error!r}") from error
        self._figures += Figures(recoveries=1)
        if machine.seq != self.auditor.seq:
            raise Violation("recovery", f"ends at seq {machine.seq}, the disk holds {self.auditor.seq}")
        machine = self._go_on(journal, machine)
        compare_recovered(self.auditor, machine)
        process = self._processes[slot] = Process(self._parts.commit(machine, journal))
        return process

    def _go_on(self, journal: Journal, told: Machine) -> Machine:
        """The machine of the newest good snapshot and what follows, if there is one: the same that the whole journal has told."""
        folder = self.shelf.folder
        if folder is None:
            return told
        try:
            with quiet():  # about files that we have damaged
                machine = self._parts.go_on(journal, self._limits, folder)
        except Exception as error:
            raise Violation("snapshot", f"a start from it failed: {_placeless(error, folder)}") from error
        if (machine.seq, machine.digest()) != (told.seq, told.digest()):
            raise Violation(
                "snapshot", f"gives another state at seq {machine.seq} than the journal does at seq {told.seq}"
            )
        self._figures += Figures(recoveries_from_snapshots=1)
        return machine

    def _tend(self, upkeep: Upkeep) -> None:
        try:
            self.shelf.tend(upkeep)
        except Exception as error:
            raise Violation(
                "snapshot", f"{upkeep.care.value}, and fails: {_placeless(error, self.shelf.folder)}"
            ) from error

    def _meet_rot(self, part: float) -> None:
        tape = self.disk.rotten(part)
        if tape is None:
            return
        try:
            self._parts.recover(MemoryJournal(tape), self._limits)
        except JournalDamaged:
            return
        raise Violation("damage", f"a flipped bit at {part:.6f} of the journal was not noticed")

    def _recall(self, decision: Decision, command: m.BatchReserve) -> list[Choice]:
        """What the engine would have held, had the batch not been all or nothing, and had there been room: asked of the state just before."""
        limits = self._limits
        roomy = replace(
            limits,
            open_reservations_max=limits.open_reservations_max + limits.batch_items_max,
            reservation_legs_max=limits.reservation_legs_max + LEGS_PER_ITEM_MAX,
        )
        machine = recover(MemoryJournal(self.disk.whole()), roomy, to_seq=decision.seq - 1)
        whole = machine.decide(replace(command, request_id="recall", all_or_nothing=False), decision.now_ns)
        assert isinstance(whole, Decision)
        return self.auditor.choices_of(whole)


def _placeless(error: Exception, folder: SnapshotFolder | None) -> str:
    """The error without the name of the folder, which differs from run to run."""
    return repr(error) if folder is None else repr(error).replace(str(folder.path), "snapshots")
