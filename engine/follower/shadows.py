"""Draft policies under shadow: the follower asks the router again before each claim that it replays, and adds up what would be otherwise.

The writer has no part in it. What is counted is in memory and in a file beside the snapshots; it begins anew with each follower, and says since when
it counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Final

from engine.core.machine import Machine
from engine.core.shadow import counted, example_of, units_by_slot
from engine.follower.explanations import RESERVING, Asked, placed, reserved
from engine.journal import Record
from engine.kernels.zones import Integers
from engine.model.decisions import Decision
from engine.model.orders import Order
from engine.model.outcomes import CommandKind, FulfillmentKind
from engine.model.policies import RoutingPolicy
from engine.model.shadows import ShadowTally
from engine.recovery import fold, fold_singly
from engine.snapshots import SnapshotFolder

log = logging.getLogger("stockpool")

FILE: Final = "shadows.json"
BEHIND_MAX: Final = 20_000
"""Decisions that a follower may be behind and still compare: then it passes over some, so that its snapshots stay young."""
_PLACING = (CommandKind.PLACE_ORDER, CommandKind.INGEST_ORDER)
_Key = tuple[str, int]
"""A channel and a version of its policy."""


class Shadows:
    """What is counted for one machine, from now on."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._tallies: dict[_Key, ShadowTally] = {}
        self._compiled: dict[_Key, tuple[Integers, Integers]] = {}
        self._failed = False
        self.is_news = False
        """Something was counted since it was last told."""

    @property
    def is_watching(self) -> bool:
        """Whether any draft is under shadow in the present state."""
        return any(draft.shadow for draft in self._machine.pool.network.rulebook.drafts.values())

    def fold(self, records: list[Record], behind: int) -> None:
        """Fold records as `recovery.fold` does, and compare on the way. ``behind``: decisions that the journal is ahead."""
        if not self.is_watching:
            fold(self._machine, records)
        elif behind > BEHIND_MAX:
            before_seq = self._machine.seq
            self._begin(before_seq + 1, self._machine.now_ns)
            fold(self._machine, records)
            for key, tally in self._tallies.items():
                self._tallies[key] = tally._replace(passed_count=tally.passed_count + self._machine.seq - before_seq)
        else:
            fold_singly(self._machine, records, self._see)
        self._begin(self._machine.seq + 1, self._machine.now_ns)
        self.is_news = self.is_news or bool(self._tallies)

    def tallies(self) -> list[ShadowTally]:
        """What was counted, for drafts that are still under shadow."""
        watched = {(key, draft.version) for key, draft in self._watched()}
        self._tallies = {key: tally for key, tally in self._tallies.items() if key in watched}
        return [tally._replace(through_seq=self._machine.seq) for tally in self._tallies.values()]

    # Counting

    def _watched(self) -> Iterator[tuple[str, RoutingPolicy]]:
        """Channels with the drafts under shadow of their policies."""
        network = self._machine.pool.network
        for channel in network.channels:
            draft = network.rulebook.drafts.get(channel.policy_key)
            if draft is not None and draft.shadow:
                yield channel.channel_key, draft

    def _begin(self, seq: int, now_ns: int) -> None:
        for channel_key, draft in self._watched():
            key = channel_key, draft.version
            if key not in self._tallies:
                self._tallies[key] = ShadowTally(channel_key, draft.policy_key, draft.version, seq, now_ns)

    def _see(self, decision: Decision) -> None:
        """Compare what this decision routed, in the state before it. Nothing that goes wrong here may keep the follower from its work."""
        try:
            for asked in self._asked(decision):
                self._compare(decision, asked)
        except Exception:
            if not self._failed:
                self._failed = True
                log.exception("the decision at seq %d could not be compared with a draft policy", decision.seq)

    def _asked(self, decision: Decision) -> Iterator[Asked]:
        if decision.kind in RESERVING:
            return reserved(self._machine, decision)
        if decision.kind in _PLACING:
            made = (each for each in decision.documents if isinstance(each, Order))
            return (
                placed(self._machine, decision, order.order_id)
                for order in made
                if not order.routings[0].reservation_id
            )
        return iter(())

    def _compare(self, decision: Decision, asked: Asked) -> None:
        pool, question = self._machine.pool, asked.question
        channel = pool.network.channels[question.channel_index]
        draft = pool.network.rulebook.drafts.get(channel.policy_key)
        if draft is None or not draft.shadow or question.kind != FulfillmentKind.SHIP:
            return
        key = channel.channel_key, draft.version
        if key not in self._tallies:
            self._begin(decision.seq, decision.now_ns)
        tally = self._tallies[key]
        self._tallies[key] = tally._replace(failed_count=tally.failed_count + 1)  # unless it goes well
        compared = self._machine.compare(question, self._rules(key, draft), asked.taken, decision.now_ns)
        if units_by_slot(compared.active) == asked.granted:
            example = example_of(pool, compared, decision.seq, asked.order_id, asked.reservation_id)
            self._tallies[key] = counted(tally, compared, example)

    def _rules(self, key: _Key, draft: RoutingPolicy) -> Integers:
        """The draft, compiled as those in force are: again whenever they are, for then a name or the prices may have come."""
        rulebook = self._machine.pool.network.rulebook
        known = self._compiled.get(key)
        if known is None or known[0] is not rulebook.rules:
            known = self._compiled[key] = rulebook.rules, rulebook.compiled(draft)
        return known[1]


# The file


def write_tallies(folder: SnapshotFolder, tallies: list[ShadowTally]) -> None:
    """Note what was counted; a disk that fails is the business of snapshots."""
    path = folder.path / FILE
    new = path.with_suffix(".json.new")
    try:
        new.write_text(json.dumps([each.as_json() for each in tallies]) + "\n", encoding="utf-8")
        new.replace(path)
    except OSError:
        new.unlink(missing_ok=True)


def read_tally(folder: SnapshotFolder, channel_key: str, version: int) -> ShadowTally | None:
    """What the follower counted of a channel under a version of its policy; None when it has not begun."""
    try:
        found = [ShadowTally.of_json(each) for each in json.loads((folder.path / FILE).read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return next((each for each in found if (each.channel_key, each.version) == (channel_key, version)), None)
