"""One group: decided, applied, made durable, and only then answered.

Neither threads nor an event loop nor a clock: the writer runs this step on its own thread, the simulation runs it by itself.
"""

import logging
import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from engine.core.machine import Machine, Repeated
from engine.journal import Journal, JournalFenced
from engine.journal.codec import encode
from engine.model.commands import Command, Malformed, Reserve, TooOld
from engine.model.decisions import Decision
from engine.model.queries import Query

log = logging.getLogger(__name__)

CHECK_S = 1.0
"""Who has appended nothing for so long asks the journal whether another writer took over. Without that, a server that was paused or
cut off, and whose callers went on elsewhere, would answer reads from an old state for ever."""
NEVER = math.inf
"""The deadline of a caller who waits for ever."""


class Waiter(Protocol):
    """Who waits for an answer: a future of the event loop, for one."""

    def cancelled(self) -> bool:
        """Whether nobody waits any more."""


WaiterT = TypeVar("WaiterT", bound=Waiter)
Job = tuple[Command | Query, WaiterT, float]
"""What is asked, who waits for the answer, and until when, in seconds of ``time.monotonic``."""


class Answer(NamedTuple):
    """A reply and its sequence: of the decision (the first one for a repeated request), or the last one a query saw."""

    seq: int
    reply: Any


class DeadlinePassed(Exception):
    """The caller no longer waits: the request is dropped undecided."""


class SeqNotReached(Exception):
    """A query asked for a state that is newer than the present."""

    def __init__(self, last_seq: int) -> None:
        super().__init__(f"the last decision is {last_seq}")
        self.last_seq = last_seq


Release = list[tuple[WaiterT, Answer | Exception]]
"""What each of a group is told."""


class GroupCommit:
    """A machine and the journal that keeps what it decides. After an exception neither can be used any more: the state in memory may
    be ahead of the journal. Recovery tells what was kept.
    """

    def __init__(self, machine: Machine, journal: Journal) -> None:
        self.machine = machine
        self.journal = journal
        self.durable_seq = machine.seq
        """Sequence of the last durable decision."""
        self._items_max = machine.pool.limits.batch_items_max
        self._check_at = 0.0

    def commit(self, jobs: Sequence[Job[WaiterT]], clock_ns: int, instant_s: float) -> Release[WaiterT]:
        """Decide and apply a group in order and make it durable; what each may then be told.

        ``clock_ns``: what the clock says; ``instant_s``: what ``time.monotonic`` says. Raises JournalError: nobody may be told anything.
        """
        machine = self.machine
        now_ns = max(clock_ns, machine.now_ns)
        decisions: list[Decision] = []
        while expiry := machine.expire(now_ns):
            machine.apply(expiry)
            decisions.append(expiry)
        release: Release[WaiterT] = []
        at = 0
        while at < len(jobs):
            answers = self._judge_reserves(jobs, at, now_ns, instant_s, decisions)
            if not answers:
                work, waiter, deadline_s = jobs[at]
                # Who no longer waits is told something all the same, for it is counted.
                if deadline_s <= instant_s or waiter.cancelled():
                    answers = [DeadlinePassed()]
                else:
                    answers = [self._judge(work, now_ns, decisions)]
            release += [
                (waiter, answer) for (_, waiter, _), answer in zip(jobs[at : at + len(answers)], answers, strict=True)
            ]
            at += len(answers)
        if decisions:
            self.journal.append(encode(decisions), expected_seq=decisions[0].seq - 1)
            self.durable_seq = decisions[-1].seq
            self._check_at = instant_s + CHECK_S
        elif instant_s >= self._check_at:
            self._require_end(instant_s)
        return release

    def _require_end(self, instant_s: float) -> None:
        """Raise JournalFenced when the journal does not end where this writer ended it; the reads of the group are not released."""
        end_seq = self.journal.last_seq()
        if end_seq != self.durable_seq:
            raise JournalFenced(self.durable_seq, end_seq)
        self._check_at = instant_s + CHECK_S

    def _judge(self, work: Command | Query, now_ns: int, decisions: list[Decision]) -> Answer | Exception:
        machine = self.machine
        try:
            if isinstance(work, Query):
                if work.min_journal_seq > machine.seq:
                    return SeqNotReached(machine.seq)
                return Answer(machine.seq, machine.answer(work, now_ns))
            decision = machine.decide(work, now_ns)
        except (Malformed, TooOld) as error:
            return error
        except Exception as error:
            # A defect in deciding. It has changed nothing, so the others of the group go on.
            log.exception("a decision failed: %s", type(work).__name__)
            return error
        if isinstance(decision, Repeated):
            return Answer(decision.seq, decision.reply)
        machine.apply(decision)
        decisions.append(decision)
        return Answer(decision.seq, decision.reply)

    def _judge_reserves(
        self, jobs: Sequence[Job[WaiterT]], at: int, now_ns: int, instant_s: float, decisions: list[Decision]
    ) -> list[Answer | Exception]:
        """Answers to the Reserves that follow each other from ``at`` on, decided together; none when there are fewer than two."""
        machine = self.machine
        commands: dict[str, Reserve] = {}
        for work, waiter, deadline_s in jobs[at : at + self._items_max]:
            if not isinstance(work, Reserve) or deadline_s <= instant_s or waiter.cancelled():
                break
            if work.age_ns or work.request_id in commands or machine.knows(work.request_id):
                break
            commands[work.request_id] = work
        if len(commands) < 2:
            return []
        try:
            judged = machine.decide_reserves(list(commands.values()), now_ns)
        except Exception:
            # A defect in deciding; one by one it hits its own caller alone.
            log.exception("a run of Reserves failed together")
            return []
        if judged is None:
            return []
        machine.apply_reserves(*judged)
        decisions += judged[0]
        return [Answer(decision.seq, decision.reply) for decision in judged[0]]
