"""The audit along a replay: every invariant again and again, and when one breaks, the first decision after which it was broken."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from engine.core.image import image_of
from engine.core.machine import Machine
from engine.core.rebuilding import machine_of
from engine.journal import Journal, JournalError
from engine.model.queries import Audit, Finding
from engine.recovery import advance

log = logging.getLogger("stockpool")

Findings = Callable[[Machine], Sequence[Finding]]


class Wrong(NamedTuple):
    """Something is wrong from a decision on."""

    what: str
    seq: int
    """The first decision after which it is wrong, as far as can be told."""
    good_seq: int
    """The last one after which it was right; ``seq`` − 1 when the decision itself is to blame."""
    findings: tuple[Finding, ...]

    @property
    def place(self) -> str:
        """Since when, in words."""
        if self.good_seq == self.seq - 1:
            return f"from seq {self.seq} on"
        return f"between seq {self.good_seq} and {self.seq}"

    def __str__(self) -> str:
        told = "; ".join(
            f"{one.invariant}: {one.subject} is {one.actual}, not {one.expected}" for one in self.findings[:3]
        )
        return f"{self.what}, {self.place}{told and f' ({told})'}"


class StateWrong(Exception):
    """The audit has found something; ``wrong`` says what and since when."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__(str(wrong))
        self.wrong = wrong


def broken_invariants(machine: Machine, *, closed: bool = True) -> tuple[Finding, ...]:
    """What the audit of one state finds; see ``queries.Audit`` for ``closed``."""
    report = machine.answer(Audit(0, digest=False, closed=closed), machine.now_ns).report  # type: ignore[attr-defined]
    findings: tuple[Finding, ...] = report.findings
    return findings


def first_wrong(good: Machine, journal: Journal, bad_seq: int, findings: Findings = broken_invariants) -> Wrong | None:
    """The first decision after ``good``'s last one after which ``findings`` finds something; None when it finds nothing after ``bad_seq``.

    Halves what is in doubt, and replays from the last good state. What broke and healed by itself in between may hide an earlier one.
    ``good`` itself is left as it is.
    """
    found = findings(_later(good, journal, bad_seq))
    if not found:
        return None
    low, high = good.seq, bad_seq
    while high - low > 1:
        machine = _later(good, journal, (low + high) // 2)
        told = findings(machine)
        log.info("looking for the first wrong decision: seq %d is %s", machine.seq, "wrong" if told else "good")
        if told:
            high, found = machine.seq, told
        else:
            low, good = machine.seq, machine
    return Wrong("a decision of the journal breaks an invariant", high, low, tuple(found))


def _later(good: Machine, journal: Journal, seq: int) -> Machine:
    """A second machine, gone on to ``seq``."""
    machine = machine_of(image_of(good), good.pool.limits)
    advance(machine, journal, to_seq=seq)
    return machine


class Auditor:
    """Audits one machine while it goes on, at a bounded cost."""

    def __init__(
        self, machine: Machine, replayed: Callable[[int], Machine], journal: Journal, share_max: float
    ) -> None:
        """``replayed``: a machine of its own at a sequence audited before. ``share_max``: share of a core that audits may take."""
        self._machine = machine
        self._replayed = replayed
        self._journal = journal
        self._pause = 1 / share_max - 1
        self._next_s = 0.0
        self.audited_seq = 0
        self.count = 0
        self.cpu_s = 0.0
        """Processor time that all audits took."""

    @property
    def is_due(self) -> bool:
        """Whether there is something new, and the last audit is long enough ago."""
        return self._machine.seq > self.audited_seq and time.monotonic() >= self._next_s

    def audit(self, *, closed: bool) -> None:
        """Look at the machine as it is. Raises StateWrong with the first decision after which it was wrong."""
        if self._machine.seq == self.audited_seq and not closed:
            return
        begun_s = time.process_time()
        findings = broken_invariants(self._machine, closed=closed)
        taken_s = time.process_time() - begun_s
        self.cpu_s += taken_s
        self.count += 1
        self._next_s = time.monotonic() + taken_s * self._pause
        if findings:
            raise StateWrong(self._blame(findings))
        self.audited_seq = self._machine.seq

    def _blame(self, findings: tuple[Finding, ...]) -> Wrong:
        seq = self._machine.seq
        broken = "the state breaks an invariant"
        try:
            good = self._replayed(self.audited_seq)
            if broken_invariants(good) and self._journal.first_seq() == 1:
                good = Machine(self._machine.pool.limits)
        except JournalError as error:
            return Wrong(f"{broken}, and what it was before cannot be told: {error}", seq, 0, findings)
        earlier = broken_invariants(good)
        if earlier:
            return Wrong(f"{broken}, and it did when the journal was cut", good.seq, 0, earlier)
        wrong = None if good.seq == seq else first_wrong(good, self._journal, seq)
        return wrong or Wrong(f"{broken}, but a replay of the journal does not", seq, good.seq, findings)
