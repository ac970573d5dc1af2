"""Start-up is replay: the journal from the beginning to its end, folded into an empty machine."""

from collections.abc import Callable

import numpy as np

from engine.core.machine import Machine
from engine.journal import Journal, JournalDamaged, JournalError
from engine.journal.codec import decode, decode_run
from engine.model.decisions import Decision, Run
from engine.model.limits import Limits

EFFECTS_PER_CALL = 1 << 15
"""Effect rows gathered before they are folded: small records are joined, so that a kernel call is not paid for each."""


class LimitsTooLow(JournalError):
    """What the journal tells does not fit into a store of these limits: one is lower than when it was decided."""

    def __init__(self, seq: int, what: str) -> None:
        self.seq = seq
        super().__init__(
            f"the journal does not fit into the limits set ({what}), at seq {seq} at the latest: a limit is lower than when "
            "this was decided. Set it as it was, or higher"
        )


def recover(
    journal: Journal, limits: Limits, *, to_seq: int | None = None, progress: Callable[[int], None] | None = None
) -> Machine:
    """A machine in the state that the journal tells, up to and with ``to_seq`` (default: its end).

    ``progress`` is told the sequence reached, now and then. Raises JournalDamaged with the sequence that cannot be read, and
    LimitsTooLow when a limit was lowered below what the journal needs.
    """
    machine = Machine(limits)
    waiting: list[Run] = []
    tail: list[Decision] = []
    rows = 0
    following = 1
    for record in journal.read():
        if record.first_seq != following:
            raise JournalDamaged(following, f"the next record starts at seq {record.first_seq}")
        if to_seq is not None and record.last_seq >= to_seq:
            # A query may have looked in the middle of a group: only so many decisions of the last record count.
            tail = [decision for decision in decode(record) if decision.seq <= to_seq]
            break
        following = record.last_seq + 1
        run = decode_run(record)
        waiting.append(run)
        rows += len(run.kinds) + (0 if run.effects is None else len(run.effects))
        if rows >= EFFECTS_PER_CALL:
            _fold(machine, waiting)
            waiting, rows = [], 0
            if progress:
                progress(machine.seq)
    if waiting:
        _fold(machine, waiting)
    for decision in tail:
        machine.apply(decision)
    if progress:
        progress(machine.seq)
    return machine


def _fold(machine: Machine, runs: list[Run]) -> None:
    joined = _joined(runs)
    try:
        machine.apply_run(joined)
    except (ValueError, IndexError) as error:
        raise LimitsTooLow(joined.first_seq + len(joined.kinds) - 1, str(error)) from error


def _joined(runs: list[Run]) -> Run:
    """Consecutive runs as one."""
    effects = [run.effects for run in runs if run.effects is not None]
    return Run(
        runs[0].first_seq,
        runs[-1].now_ns,
        [kind for run in runs for kind in run.kinds],
        [request_id for run in runs for request_id in run.request_ids],
        [fingerprint for run in runs for fingerprint in run.fingerprints],
        [reply for run in runs for reply in run.replies],
        tuple(document for run in runs for document in run.documents),
        np.concatenate(effects) if effects else None,
    )


def replayed_digest(journal: Journal, limits: Limits, to_seq: int) -> str:
    """Digest of the state that the journal tells at ``to_seq``."""
    return recover(journal, limits, to_seq=to_seq).digest()
