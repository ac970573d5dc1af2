"""Start-up is replay: the journal folded into a machine, from its beginning or from the newest good snapshot on, to its end."""

from collections.abc import Callable, Iterator

from engine.core.machine import Machine
from engine.core.rebuilding import NoRoom
from engine.journal import Journal, JournalCut, JournalDamaged, JournalError, Record
from engine.journal.codec import decode, decode_run
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.snapshots import SnapshotFolder, newest_machine

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


class SnapshotMissing(JournalError):
    """The journal was cut, and no snapshot can be used that takes the place of what is gone."""

    def __init__(self, first_seq: int, folder: SnapshotFolder) -> None:
        self.first_seq = first_seq
        super().__init__(
            f"the journal begins at seq {first_seq}: what came before was cut off behind a snapshot. A snapshot at seq {first_seq - 1} or "
            f"later is needed, and {folder.path} has none that is good: bring one back from a backup of that folder"
        )


def recover(
    journal: Journal,
    limits: Limits,
    *,
    to_seq: int | None = None,
    snapshots: SnapshotFolder | None = None,
    progress: Callable[[int], None] | None = None,
) -> Machine:
    """A machine in the state that the journal tells, up to and with ``to_seq`` (default: its end).

    With ``snapshots`` from the newest good one on. ``progress`` is told the sequence reached, now and then.

    Raises:
        JournalDamaged: with the sequence that cannot be read.
        JournalCut, SnapshotMissing: the beginning was cut off and nothing takes its place.
        SnapshotForeign: the snapshots are of another journal.
        LimitsTooLow: a limit was lowered below what the journal needs.
    """
    try:
        return _recovered(journal, limits, to_seq, snapshots, progress)
    except JournalCut as cut:
        if snapshots is None:
            raise
        first_seq = cut.first_seq
    # A follower may have made newer snapshots and cut the journal behind them just now.
    try:
        return _recovered(journal, limits, to_seq, snapshots, progress)
    except JournalCut:
        raise SnapshotMissing(first_seq, snapshots) from None


def _recovered(
    journal: Journal,
    limits: Limits,
    to_seq: int | None,
    snapshots: SnapshotFolder | None,
    progress: Callable[[int], None] | None,
) -> Machine:
    machine = None
    try:
        if snapshots is not None:
            machine = newest_machine(snapshots, journal, limits, to_seq=to_seq)
    except NoRoom as error:
        raise LimitsTooLow(journal.last_seq(), str(error)) from error
    if machine is None:
        machine = Machine(limits)
    advance(machine, journal, to_seq=to_seq, progress=progress)
    return machine


def advance(
    machine: Machine, journal: Journal, *, to_seq: int | None = None, progress: Callable[[int], None] | None = None
) -> None:
    """Fold what the journal tells after the machine's last decision, up to and with ``to_seq`` (default: its end)."""
    for records in runs(journal, machine.seq + 1):
        if to_seq is not None and records[-1].last_seq >= to_seq:
            whole = [record for record in records if record.last_seq <= to_seq]
            fold(machine, whole)
            # A query may have looked in the middle of a group: only so many decisions of the last record count.
            for decision in decode(records[len(whole)]) if machine.seq < to_seq else ():
                if machine.seq < decision.seq <= to_seq:
                    machine.apply(decision)
            break
        fold(machine, records)
        if progress:
            progress(machine.seq)
    if progress:
        progress(machine.seq)


def runs(journal: Journal, from_seq: int) -> Iterator[list[Record]]:
    """The records from the one that holds ``from_seq`` on, in runs that are worth folding together."""
    waiting: list[Record] = []
    size = 0
    following = from_seq
    for record in journal.read(from_seq):
        if record.first_seq != following and (waiting or record.first_seq > from_seq):
            raise JournalDamaged(following, f"the next record starts at seq {record.first_seq}")
        following = record.last_seq + 1
        waiting.append(record)
        size += len(record.body)
        if size >= BYTES_PER_RUN:
            yield waiting
            waiting, size = [], 0
    if waiting:
        yield waiting


def fold_singly(machine: Machine, records: list[Record], before: Callable[[Decision], None]) -> None:
    """The same to the same end as ``fold``, one decision after the other; ``before`` sees each, and the state that it was decided in.

    Raises LimitsTooLow.
    """
    for record in records:
        for decision in decode(record):
            if decision.seq <= machine.seq:
                continue
            before(decision)
            try:
                machine.apply(decision)
            except (ValueError, IndexError) as error:
                raise LimitsTooLow(decision.seq, str(error)) from error


def fold(machine: Machine, records: list[Record]) -> None:
    """Fold consecutive records into a machine that stands in the first of them or right before it. Raises LimitsTooLow."""
    if records and records[0].first_seq <= machine.seq:
        for decision in decode(records[0]):
            if decision.seq > machine.seq:
                machine.apply(decision)
        records = records[1:]
    if not records:
        return
    run = decode_run(records)
    try:
        machine.apply_run(run)
    except (ValueError, IndexError) as error:
        raise LimitsTooLow(records[-1].last_seq, str(error)) from error
