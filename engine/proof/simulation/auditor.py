"""The auditor: judges every group by the book, remembers every answer that was released, and believes nobody.

It sees what was asked, what was answered and what the disk holds. What is on the disk is held against the oracle, decision by decision;
what was answered, against what is on the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from engine.group import Answer, DeadlinePassed, SeqNotReached
from engine.model import commands as m
from engine.model import queries as q
from engine.model.decisions import Decision
from engine.model.limits import CLOCK_STEP_NS, Limits
from engine.model.outcomes import CommandKind, Outcome
from engine.pool.replies import encode_reply
from engine.proof.oracle import Choice, Oracle
from engine.proof.simulation.ledger import Ledger
from engine.proof.simulation.witness import Witness, choices_unsaid, is_routed

_KINDS = {kind.name.title().replace("_", ""): kind for kind in CommandKind}
"""By the name of the command."""
Recall = Callable[[Decision, m.BatchReserve], list[Choice]]
"""What the engine would have chosen for a batch that was refused as a whole."""


LEAP_NS = CLOCK_STEP_NS
"""A clock that gains more than this at once has leapt."""


class Violation(Exception):
    """A promise was broken. ``check`` names which."""

    def __init__(self, check: str, what: str) -> None:
        super().__init__(f"{check}: {what}")
        self.check, self.what = check, what


class Trial(NamedTuple):
    """A group that a process was given: what the clock said, and each call with whether its caller had given up."""

    clock_ns: int
    lead_ns: int
    """How far the clock is ahead of the time that has really passed."""
    calls: tuple[tuple[m.Command | q.Query, bool], ...]


class Due(NamedTuple):
    """An answer that is due: sequence, reply in the oracle's words, and its bytes when it is a command's."""

    seq: int
    reply: Any
    encoded: bytes | None = None


class Auditor:
    """Judges one world from its first group on."""

    def __init__(self, limits: Limits, recall: Recall) -> None:
        self.oracle = Oracle(limits)
        self.ledger = Ledger()
        self.witness = Witness()
        self.acknowledged_count = 0
        self.decided_ns = 0
        """Time of the last decision."""
        self.first: dict[str, tuple[m.Command, int, bytes]] = {}
        """The command, the sequence and the answer of every request that was decided."""
        self._decided: dict[tuple[str, int], int] = {}
        """What was decided, and the lead of the clock then. When the clock leaps ahead, senders seem to have sent later than they have;
        what they repeat may then be decided once more, if so much was decided in between that the first time was forgotten."""
        self._lead_ns = 0
        self._told: dict[str, list[bytes]] = {}
        self._recall = recall

    @property
    def seq(self) -> int:
        """Sequence of the last decision that the disk holds."""
        return self.oracle.state.seq

    # What the disk holds

    def landed(self, trial: Trial, decisions: Sequence[Decision], *, read: bool) -> list[Due | Exception | None]:
        """A group of which these decisions are on the disk: they must be the whole of it, and right.

        Returns what each call must be told; of queries only when they are ``read`` now.
        """
        try:
            return self._judge(trial, decisions, read=read)
        except Violation:
            raise
        except AssertionError as error:
            raise Violation("plan", f"{error}") from error
        except Exception as error:
            raise Violation("oracle", f"the oracle cannot follow: {error!r}") from error

    def _judge(self, trial: Trial, decisions: Sequence[Decision], *, read: bool) -> list[Due | Exception | None]:
        state = self.oracle.state
        now_ns = max(trial.clock_ns, self.decided_ns)
        self._lead_ns = trial.lead_ns
        before = state.seq
        self.oracle.sweep(now_ns)
        at = state.seq - before
        if at:
            self._hold_against(decisions[0] if decisions else None, CommandKind.EXPIRE, now_ns)
            self.witness.tally.add(decisions[0])
        due: list[Due | Exception | None] = []
        for work, given_up in trial.calls:
            if given_up:
                due.append(DeadlinePassed())
            elif isinstance(work, q.Query):
                due.append(self._look(work) if read else None)
            else:
                told = self._command(work, decisions[at] if at < len(decisions) else None, now_ns)
                at = state.seq - before
                due.append(told)
        if at != len(decisions):
            raise Violation("journal", f"holds {len(decisions)} decisions of a group of {at}")
        if decisions:
            self.decided_ns = now_ns
        return due

    def _command(self, command: m.Command, decision: Decision | None, now_ns: int) -> Due | Exception:
        request_id, oracle = command.request_id, self.oracle
        known = oracle.state.requests.get(request_id)
        if known is not None:
            reply = oracle.judge(command, iter(()))
            _, seq, encoded = self.first[request_id]
            same = known[:2] == (command.fingerprint, type(command))
            return Due(seq, reply, encoded if same else encode_reply(reply))
        if command.age_ns:
            try:
                oracle.require_window(command)
            except m.TooOld as refused:
                return refused  # and what was decided under this id is somebody's who tells no age
        if decision is not None and decision.request_id != request_id:
            decision = None
        if decision is not None:
            self.witness.tally.add(decision)
        choices = self._choices(command, decision)
        try:
            reply = oracle.judge(command, choices)
        except (m.Malformed, m.TooOld) as refused:
            return refused
        before_ns = self._decided.get((request_id, command.fingerprint))
        if command.age_ns and before_ns is not None and self._lead_ns <= before_ns + LEAP_NS:
            raise Violation(
                "twice", f"{command}, {command.age_ns} ns old, was decided before, and is decided once more"
            )
        self._hold_against(decision, _KINDS[type(command).__name__], now_ns)
        assert decision is not None
        if decision.fingerprint != command.fingerprint:
            raise Violation("journal", f"{command} was journaled with fingerprint {decision.fingerprint}")
        said = self.witness.plain(decision.reply)
        if type(said) is not type(reply) or said != reply:
            raise Violation("decision", f"{command}\n    engine: {said}\n    oracle: {reply}")
        if next(choices, None) is not None and not choices_unsaid(decision, command):
            raise Violation("decision", f"{command}: the engine granted more than the oracle")
        self.first[request_id] = command, decision.seq, decision.encoded
        self._decided[request_id, command.fingerprint] = self._lead_ns
        self._told.setdefault(request_id, []).append(decision.encoded)
        self.ledger.note(command, reply, self.witness.work_of(decision))
        return Due(decision.seq, reply, decision.encoded)

    def _choices(self, command: m.Command, decision: Decision | None) -> Iterator[Choice]:
        if decision is None or not is_routed(command):
            return iter(())
        if isinstance(command, m.BatchReserve) and choices_unsaid(decision, command):
            return iter(self._recall(decision, command))
        return iter(self.choices_of(decision))

    def choices_of(self, decision: Decision) -> list[Choice]:
        """Units by SKU and node, one entry for each claim that was granted anything."""
        state = self.oracle.state
        return list(self.witness.choices(decision, (list(state.skus), list(state.nodes))))

    def _hold_against(self, decision: Decision | None, kind: CommandKind, now_ns: int) -> None:
        """The next decision of the journal must be of this kind, at this time, in its place."""
        seq = self.oracle.state.seq
        if decision is None:
            raise Violation("journal", f"lacks the decision {kind.name} at seq {seq}")
        if (decision.seq, decision.kind, decision.now_ns) != (seq, kind, now_ns):
            found = f"{CommandKind(decision.kind).name} at seq {decision.seq}, {decision.now_ns} ns"
            raise Violation("journal", f"has {found}, not {kind.name} at seq {seq}, {now_ns} ns")

    def _look(self, query: q.Query) -> Due | Exception:
        seq = self.oracle.state.seq
        return SeqNotReached(seq) if query.min_journal_seq > seq else Due(seq, self.oracle.answer(query))

    # What was answered

    def answered(
        self, trial: Trial, due: Sequence[Due | Exception | None], answers: Sequence[Answer | Exception]
    ) -> None:
        """Everybody of a group was told something: what was due."""
        if len(due) != len(answers):
            raise Violation("answer", f"{len(answers)} answers to {len(due)} calls")
        for (work, _), wanted, answer in zip(trial.calls, due, answers, strict=True):
            if isinstance(wanted, Exception) or isinstance(answer, Exception):
                if type(wanted) is not type(answer):
                    raise Violation("answer", f"{work}: {answer!r} instead of {wanted!r}")
                continue
            assert wanted is not None
            self.acknowledged_count += not isinstance(work, q.Query)
            said = self.witness.plain(answer.reply)
            if (answer.seq, said) != wanted[:2]:
                raise Violation("answer", f"{work}\n    told: {(answer.seq, said)}\n    due: {wanted[:2]}")
            if wanted.encoded is not None and encode_reply(answer.reply) != wanted.encoded:
                raise Violation("answer", f"{work}: not the first answer, byte for byte")

    def answered_late(self, trial: Trial, answers: Sequence[Answer | Exception]) -> None:
        """A process that was overtaken wrote nothing, but answered: only what it knows from before the other came."""
        for (work, _), answer in zip(trial.calls, answers, strict=True):
            if isinstance(work, q.Query) or isinstance(answer, Exception):
                continue
            told = self._told.get(work.request_id, [])
            reused = answer.reply.outcome == Outcome.REQUEST_ID_REUSED
            if not told or not (reused or encode_reply(answer.reply) in told):
                raise Violation("answer", f"{work}: told {answer} by a process that was overtaken; decided: {told}")
