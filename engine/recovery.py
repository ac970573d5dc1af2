"""Start-up is replay: the journal from the beginning to its end, folded into an empty machine."""

from collections.abc import Callable

from engine.core.machine import Machine
from engine.journal import Journal, JournalDamaged, JournalError, Record
from engine.journal.codec import decode, decode_run
from engine.model.decisions import Decision
from engine.model.limits import Limits

BYTES_PER_RUN = 1 << 18
"""Bytes of records gathered before they are folded: what is paid for each run is then next to nothing."""


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
    waiting: list[Record] = []
    tail: list[Decision] = []
    size = 0
    following = 1
    for record in journal.read():
        if record.first_seq != following:
            raise JournalDamaged(following, f"the next record starts at seq {record.first_seq}")
        if to_seq is not None and record.last_seq >= to_seq:
            # A query may have looked in the middle of a group: only so many decisions of the last record count.
            tail = [decision for decision in decode(record) if decision.seq <= to_seq]
            break
        following = record.last_seq + 1
        waiting.append(record)
        size += len(record.body)
        if size >= BYTES_PER_RUN:
            _fold(machine, waiting)
            waiting, size = [], 0
            if progress:
                progress(machine.seq)
    if waiting:
        _fold(machine, waiting)
    for decision in tail:
        machine.apply(decision)
    if progress:
        progress(machine.seq)
    return machine


def _fold(machine: Machine, records: list[Record]) -> None:
    run = decode_run(records)
    try:
        machine.apply_run(run)
    except (ValueError, IndexError) as error:
        raise LimitsTooLow(records[-1].last_seq, str(error)) from error


def replayed_digest(journal: Journal, limits: Limits, to_seq: int) -> str:
    """Digest of the state that the journal tells at ``to_seq``."""
    return recover(journal, limits, to_seq=to_seq).digest()
