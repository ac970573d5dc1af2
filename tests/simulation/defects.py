"""Defects, each planted into one part of the engine or under it: what the simulation must see to be worth running."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import NamedTuple

import numpy as np
import pytest

from engine.core import fulfillment, rebuilding, rerouting, reservations
from engine.core.claims import Planner
from engine.core.draft import Draft
from engine.core.machine import Machine
from engine.core.replies import RequestLog
from engine.group import NEVER, GroupCommit, Job, Release, WaiterT
from engine.journal import Journal, JournalDamaged, JournalUnavailable, Record
from engine.journal.codec import decode, encode
from engine.journal.frame import Tail
from engine.journal.memory import MemoryJournal
from engine.kernels import columns as c
from engine.model.commands import Claim, ReleaseReservation
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.pool.orders import OrderBook
from engine.pool.pool import Pool
from engine.pool.promise import Promises
from engine.pool.reservations import Reservations
from engine.proof.simulation import upkeep
from engine.proof.simulation.disk import Disk, SimulatedJournal
from engine.proof.simulation.simulation import Parts, Waiting
from engine.recovery import recover
from engine.snapshots import SnapshotFolder, SnapshotReader, content


class Defect(NamedTuple):
    """``plant`` puts it in, for the length of a test; ``checks``: the promises that it may be seen to break first."""

    plant: Callable[[pytest.MonkeyPatch], Parts]
    checks: tuple[str, ...]


# In deciding and applying


def days_are_never_full(patch: pytest.MonkeyPatch) -> Parts:
    honest = Promises._bring_table

    def bring_table(promises: Promises, node: int, service_keys: tuple[str, ...], first_day: int) -> None:
        honest(promises, node, service_keys, first_day)
        promises.arrays[4][:2] = 0

    patch.setattr(Promises, "_bring_table", bring_table)
    return Parts()


def who_is_too_busy_gets_more(patch: pytest.MonkeyPatch) -> Parts:
    honest = fulfillment.allocation
    patch.setattr(fulfillment, "allocation", lambda work, sign, **_: honest(work, sign))
    return Parts()


def moved_units_stay_allocated(patch: pytest.MonkeyPatch) -> Parts:
    honest = fulfillment.allocation
    patch.setattr(rerouting, "allocation", lambda work, sign: honest(work, sign) if sign > 0 else [])
    return Parts()


def snapshots_forget_promised_days(patch: pytest.MonkeyPatch) -> Parts:
    patch.setattr(rebuilding, "_put_capacity", lambda *_: None)
    return Parts()


def release_loses_a_unit(patch: pytest.MonkeyPatch) -> Parts:
    honest = reservations.decide_release

    def decide_release(pool: Pool, command: ReleaseReservation) -> Draft:
        draft = honest(pool, command)
        found = pool.reservations.get(command.reservation_id)
        if not draft.effects or found is None:
            return draft
        loss = (c.OP_MOVE, found.legs[0].slot, c.ON_HAND, -1, 0, 0)
        return draft._replace(effects=[*draft.effects, loss])

    patch.setattr(reservations, "decide_release", decide_release)
    return Parts()


def expiry_comes_late(patch: pytest.MonkeyPatch) -> Parts:
    honest = Reservations.due
    patch.setattr(Reservations, "due", lambda self, now_ns: honest(self, now_ns - 1))
    return Parts()


def refusals_do_not_stick(patch: pytest.MonkeyPatch) -> Parts:
    honest = Machine._note

    def note(machine: Machine, decision: Decision) -> None:
        honest(machine, decision._replace(request_id="") if decision.outcome > 2 else decision)

    patch.setattr(Machine, "_note", note)
    return Parts()


def orders_remember_too_much(patch: pytest.MonkeyPatch) -> Parts:
    """A closed order is kept live, and forgotten on replay."""
    honest = OrderBook.__init__

    def init(book: OrderBook, limits: Limits) -> None:
        honest(book, replace(limits, closed_orders_remembered=limits.closed_orders_remembered + 1))

    patch.setattr(OrderBook, "__init__", init)
    return Parts()


def two_get_the_same_unit(patch: pytest.MonkeyPatch) -> Parts:
    """Reserves that come together are each judged on the state before the first of them: the oldest race of all."""
    honest = reservations.decide_reserves

    def decide_reserves(pool: Pool, planner: Planner, claims: Sequence[Claim], now_ns: int) -> reservations.Judged:
        alone = [honest(pool, planner, (claim,), now_ns) for claim in claims]
        matrices = [alone[0].effects[:1]]
        replies = []
        granted = 0
        for judged in alone:
            reply = judged.replies[0]
            effects = judged.effects[1:].copy()
            effects[:, 1] += granted
            matrices.append(effects)
            replies.append(reply._replace(reservation_id=reply.reservation_id + granted) if len(effects) else reply)
            granted += len(effects) > 0
        return reservations.Judged(replies, [each.row_counts[0] for each in alone], np.concatenate(matrices))

    patch.setattr(reservations, "decide_reserves", decide_reserves)
    return Parts()


# In the step of a group


def time_goes_back(_: pytest.MonkeyPatch) -> Parts:
    class Believing(GroupCommit):
        """Believes the clock, whatever it says."""

        def commit(self, jobs: Sequence[Job[WaiterT]], clock_ns: int, instant_s: float) -> Release[WaiterT]:
            self.machine.now_ns = 0
            return super().commit(jobs, clock_ns, instant_s)

    return Parts(commit=Believing)


def answers_though_the_write_failed(_: pytest.MonkeyPatch) -> Parts:
    class Deaf(SimulatedJournal):
        def append(self, record: Record, *, expected_seq: int) -> None:
            with suppress(JournalUnavailable):
                super().append(record, expected_seq=expected_seq)

    return Parts(journal=Deaf)


def answers_from_the_past(_: pytest.MonkeyPatch) -> Parts:
    class Trusting(GroupCommit):
        """Never asks whether another writer went on."""

        def _require_end(self, instant_s: float) -> None:
            pass

    return Parts(commit=Trusting)


def nobody_gives_up(_: pytest.MonkeyPatch) -> Parts:
    class Stubborn(GroupCommit):
        """Decides what nobody waits for any more."""

        def commit(self, jobs: Sequence[Job[WaiterT]], clock_ns: int, instant_s: float) -> Release[WaiterT]:
            patient = [(work, Waiting(gone=False), NEVER) for work, _, _ in jobs]
            release = super().commit(patient, clock_ns, instant_s)
            return [(waiter, answer) for (_, waiter, _), (_, answer) in zip(jobs, release, strict=True)]

    return Parts(commit=Stubborn)


# In the journal


def acknowledged_before_it_is_written(_: pytest.MonkeyPatch) -> Parts:
    class Behind(SimulatedJournal):
        """Writes a record when the next one comes."""

        def __init__(self, disk: Disk) -> None:
            super().__init__(disk)
            self._kept: tuple[Record, int] | None = None

        def append(self, record: Record, *, expected_seq: int) -> None:
            kept, self._kept = self._kept, (record, expected_seq)
            if kept is not None:
                super().append(kept[0], expected_seq=kept[1])

    return Parts(journal=Behind)


def written_and_not_synced(_: pytest.MonkeyPatch) -> Parts:
    class Lazy(Disk):
        """Syncs every third write."""

        def __init__(self) -> None:
            super().__init__()
            self._writes = count(1)

        def sync(self) -> None:
            if next(self._writes) % 3 == 0:
                super().sync()

    return Parts(disk=Lazy)


def a_group_in_two_records(_: pytest.MonkeyPatch) -> Parts:
    class Halving(SimulatedJournal):
        """Writes the first decision of a group by itself."""

        def append(self, record: Record, *, expected_seq: int) -> None:
            del expected_seq
            decisions = decode(record)
            for part in (decisions[:1], decisions[1:]):
                if part:
                    super().append(encode(part), expected_seq=part[0].seq - 1)

    return Parts(journal=Halving)


def no_fence(_: pytest.MonkeyPatch) -> Parts:
    class Unfenced(SimulatedJournal):
        """Writes wherever the journal ends now."""

        def append(self, record: Record, *, expected_seq: int) -> None:
            self._tape.head = self._known = Tail(expected_seq, self._disk.tail.checksum)
            self._disk.tail = self._tape.head
            super().append(record, expected_seq=expected_seq)

    return Parts(journal=Unfenced)


# In recovery


def recovery_forgets_the_last_group(_: pytest.MonkeyPatch) -> Parts:
    def recover_less(journal: Journal, limits: Limits) -> Machine:
        records = list(journal.read())
        return recover(journal, limits, to_seq=records[-1].first_seq - 1 if len(records) > 1 else None)

    return Parts(recover=recover_less)


def recovery_forgets_requests(_: pytest.MonkeyPatch) -> Parts:
    def recover_forgetful(journal: Journal, limits: Limits) -> Machine:
        machine = recover(journal, limits)
        machine.requests = RequestLog(limits.request_ids_remembered)
        return machine

    return Parts(recover=recover_forgetful)


def recovery_skips_damage(_: pytest.MonkeyPatch) -> Parts:
    def recover_somehow(journal: Journal, limits: Limits) -> Machine:
        kept = MemoryJournal()
        with suppress(JournalDamaged):
            for record in journal.read():
                kept.append(record, expected_seq=record.first_seq - 1)
        return recover(kept, limits)

    return Parts(recover=recover_somehow)


def replay_drops_returns(patch: pytest.MonkeyPatch) -> Parts:
    patch.setattr(OrderBook, "put_stored_returns", lambda *_: None)
    return Parts()


# In snapshots and cuts


def a_start_leaves_out_the_tail(_: pytest.MonkeyPatch) -> Parts:
    def go_on(journal: Journal, limits: Limits, folder: SnapshotFolder) -> Machine:
        return recover(journal, limits, snapshots=folder, to_seq=folder.newest_seq())

    return Parts(go_on=go_on)


def damaged_snapshots_are_believed(patch: pytest.MonkeyPatch) -> Parts:
    patch.setattr(SnapshotReader, "_compare", lambda *_: None)
    patch.setattr(content, "comparable", lambda *_: False)
    return Parts()


def cut_behind_nothing(patch: pytest.MonkeyPatch) -> Parts:
    """All of the journal is cut, whatever snapshots there are."""

    def compact(journal: Journal, folder: SnapshotFolder, *, keep_decisions: int) -> None:
        del folder, keep_decisions
        mark = journal.mark(journal.last_seq())
        assert mark is not None
        journal.cut(mark)

    patch.setattr(upkeep, "compact", compact)
    return Parts()


def cut_behind_the_newest(patch: pytest.MonkeyPatch) -> Parts:
    """There is nothing to go back to when that one is damaged."""

    def compact(journal: Journal, folder: SnapshotFolder, *, keep_decisions: int) -> None:
        del keep_decisions
        mark = journal.mark(folder.newest_seq())
        if mark is not None:
            journal.cut(mark)

    patch.setattr(upkeep, "compact", compact)
    return Parts()


def snapshots_do_not_know_what_was_forgotten(patch: pytest.MonkeyPatch) -> Parts:
    """Then a request that was decided, and forgotten, is taken for new."""
    honest = RequestLog.put_image
    patch.setattr(RequestLog, "put_image", lambda log, image: honest(log, image._replace(forgotten_seq=0, marks=())))
    return Parts()


DEFECTS = (
    Defect(release_loses_a_unit, ("cells",)),
    Defect(days_are_never_full, ("days", "work", "decision")),
    Defect(who_is_too_busy_gets_more, ("days", "work", "decision")),
    Defect(moved_units_stay_allocated, ("cells", "decision")),
    Defect(snapshots_forget_promised_days, ("snapshot",)),
    Defect(expiry_comes_late, ("journal", "cells", "answer")),
    Defect(refusals_do_not_stick, ("journal", "acknowledged", "replay")),
    Defect(orders_remember_too_much, ("orders", "decision")),
    Defect(two_get_the_same_unit, ("plan", "decision")),
    Defect(time_goes_back, ("journal",)),
    Defect(answers_though_the_write_failed, ("journal",)),
    Defect(answers_from_the_past, ("fence",)),
    Defect(nobody_gives_up, ("answer", "journal")),
    Defect(acknowledged_before_it_is_written, ("journal",)),
    Defect(written_and_not_synced, ("journal",)),
    Defect(a_group_in_two_records, ("journal",)),
    Defect(no_fence, ("fence", "journal")),
    Defect(recovery_forgets_the_last_group, ("recovery",)),
    Defect(recovery_forgets_requests, ("acknowledged", "snapshot")),
    Defect(recovery_skips_damage, ("damage",)),
    Defect(replay_drops_returns, ("returns", "replay")),
    Defect(a_start_leaves_out_the_tail, ("snapshot",)),
    Defect(damaged_snapshots_are_believed, ("snapshot",)),
    Defect(cut_behind_nothing, ("snapshot",)),
    Defect(cut_behind_the_newest, ("snapshot",)),
    Defect(snapshots_do_not_know_what_was_forgotten, ("journal", "answer")),
)
