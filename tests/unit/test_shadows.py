"""A draft policy in the shadow: what is counted, against a twin in which the draft is in force; and that nothing else changes."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest

from engine.core.machine import Machine
from engine.core.policies import contradictions
from engine.follower import Follower, Policy
from engine.follower import shadows as shadowing
from engine.follower.shadows import read_tally
from engine.journal.codec import encode
from engine.journal.memory import MemoryJournal
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.decisions import Decision
from engine.model.outcomes import AfterAction, CommandKind, NodeKind, Outcome
from engine.model.policies import Applies, Candidates, Form, RoutingPolicy, Rule
from engine.model.shadows import ShadowExample, ShadowSide, ShadowTally
from engine.recovery import recover
from engine.snapshots import SnapshotFolder
from tests.builders import MINUTE_NS, POLICY, SMALL, Store, pickup, ship

QUIET = Policy(every_decisions=10**9, every_s=1e9)
SHADOW = POLICY._replace(
    split_penalty_micros=300_000, draft=True, shadow=True,
    rules=(
        Rule("small", Applies(units_max=3), Candidates(kinds=(NodeKind.STORE,))),
        Rule("whole", Applies(lines_max=2), form=Form(packages_max=1), after=AfterAction.REFUSE),
        Rule("rest"),
    ),
)  # fmt: skip
"""Small orders from shops, orders of few SKUs in one package or not at all."""


class Followed:
    """A store, its journal as it grows, and the follower of that."""

    def __init__(self, folder: SnapshotFolder, store: Store | None = None) -> None:
        self.store, self.journal, self.folder = store or Store(), MemoryJournal(), folder
        self.follower = Follower(self.journal, folder, SMALL, QUIET)
        self.step()

    def put(self, policy: RoutingPolicy = SHADOW) -> int:
        """The version of the policy, once the follower knows it."""
        version: int = self.store.tell(m.PutRoutingPolicy, policy=policy).version
        self.step()
        return version

    def step(self, group: int = 3) -> None:
        at, decisions = self.journal.last_seq(), self.store.decisions
        while at < len(decisions):
            part = decisions[at : at + group]
            self.journal.append(encode(part), expected_seq=at)
            at += len(part)
        while self.follower.step():
            pass

    def tally(self, version: int, channel: str = "web") -> ShadowTally:
        self.step()
        assert self.follower.machine.digest() == self.store.machine.digest(), "comparing changes nothing"
        tally = read_tally(self.folder, channel, version)
        assert tally is not None
        assert tally.through_seq == self.store.machine.seq
        return tally


@pytest.fixture
def followed(tmp_path: Path) -> Followed:
    return Followed(SnapshotFolder(tmp_path))


class Twin:
    """Decides each command once more, in a store made anew from the journal in which the draft is in force."""

    def __init__(self) -> None:
        self.compared = self.different = self.fewer = self.alike = 0
        self.units = [0, 0]
        self.costs = [[0, 0, 0, 0], [0, 0, 0, 0]]

    def see(self, before: Machine, command: m.Command, made: Decision) -> None:
        activated = before.decide(m.ActivateRoutingPolicy("draft", 1, "default", 0), made.now_ns)
        assert isinstance(activated, Decision)
        before.apply(activated)
        other = before.decide(command, made.now_ns)
        assert isinstance(other, Decision)
        mine, theirs = _granted(made), _granted(other)
        if not mine:
            return
        self.compared += 1
        self.different += mine != theirs
        units = [sum(mine.values()), sum(theirs.values())]
        self.fewer += units[1] < units[0]
        self.units = [a + b for a, b in zip(self.units, units, strict=True)]
        if units[0] == units[1]:
            self.alike += 1
            for sums, decision in zip(self.costs, (made, other), strict=True):
                cost: Any = _cost(decision)
                for at, value in enumerate((cost.package_count, cost.carrier, cost.handling, cost.split_penalty)):
                    sums[at] += value


def _granted(decision: Decision) -> dict[int, int]:
    units: dict[int, int] = {}
    for operation, _, slot, count, *_ in [] if decision.effects is None else decision.effects.tolist():
        if operation == c.OP_LEG:
            units[slot] = units.get(slot, 0) + count
    for document in decision.documents:
        for line in getattr(document, "lines", ()) if hasattr(document, "node_index") else ():
            units[line.slot] = units.get(line.slot, 0) + line.units
    return units


def _cost(decision: Decision) -> Any:
    reply: Any = decision.reply
    return reply.cost


@pytest.mark.parametrize("seed", range(4))
def test_what_is_counted_is_what_the_draft_decides_when_it_is_in_force(seed: int, followed: Followed) -> None:
    chance, store, twin = Random(seed), followed.store, Twin()
    for sku in "ABC":
        store.stock(*((sku, node, chance.randrange(3, 8)) for node in ("dc", "east", "west")))
    version = followed.put()
    for at in range(30):
        lines = [(sku, chance.randrange(1, 4)) for sku in chance.sample("ABC", chance.randrange(1, 4))]
        claim = ship(lines, to=chance.choice(("10001", "90001", "50000")))
        command: m.Command = store.make(m.Reserve, claim=claim)
        if at % 2:
            command = store.make(
                m.PlaceOrder, channel_key="web", order_key=f"o{at}", customer_key="", claim=claim,
                lines=tuple((sku, units, 0) for sku, units in lines),
            )  # fmt: skip
        store.wait(10 * MINUTE_NS)
        store.sweep()
        before = recover(store.journal(8), SMALL)
        store.submit(command)
        twin.see(before, command, store.decisions[-1])
    tally = followed.tally(version)
    assert (tally.compared_count, tally.different_count, tally.more_count, tally.fewer_count, tally.alike_count) == (
        twin.compared, twin.different, 0, twin.fewer, twin.alike,
    )  # fmt: skip
    assert [tally.active_units, tally.draft_units] == twin.units
    assert [list(tally.active), list(tally.draft)] == twin.costs
    assert (tally.failed_count, tally.passed_count) == (0, 0)
    assert len(tally.examples) == min(twin.different, 20)
    assert twin.compared > 8
    assert twin.fewer > 0
    assert twin.different > twin.fewer
    assert twin.alike > 0


def order(store: Store, *lines: tuple[str, int], **fields: Any) -> None:
    assert store.place(ship(lines, **fields)).outcome == Outcome.OK


def test_a_known_answer(followed: Followed) -> None:
    """Two grams too many for the shop's first step: 500 g from the warehouse cost 5 and a handling of 0.5, from the shop 4 and 0.1."""
    store = followed.store
    store.stock(("A", "dc", 5), ("A", "east", 5))
    warehouse = Rule("warehouse", candidates=Candidates(kinds=(NodeKind.WAREHOUSE,)))
    version = followed.put(POLICY._replace(rules=(warehouse,), draft=True, shadow=True))
    order(store, ("A", 1))
    assert store.ingest(ship([("A", 2)])).outcome == Outcome.OK
    tally = followed.tally(version)
    assert tally.active == ShadowSide(2, 8_000_000, 300_000, 0)
    assert tally.draft == ShadowSide(2, 10_000_000, 1_000_000, 0)
    first, second = tally.examples
    assert first._replace(seq=0) == ShadowExample(0, 1, 0, 1, 1, 4_100_000, ("east",), 1, 5_500_000, ("dc",), 0)
    assert (second.order_id, second.active_units, second.draft_node_keys) == (2, 2, ("dc",))
    assert store.decisions[first.seq - 1].kind == CommandKind.PLACE_ORDER


def test_items_of_a_batch_see_what_those_before_them_took(followed: Followed) -> None:
    store = followed.store
    store.stock(("A", "dc", 2), ("A", "east", 2))
    version = followed.put(POLICY._replace(draft=True, shadow=True, rules=(Rule("all"),)))
    store.tell(m.BatchReserve, claims=m.ClaimColumns.of([ship([("A", 1)])] * 4), all_or_nothing=False)
    tally = followed.tally(version)
    assert (tally.compared_count, tally.different_count, tally.failed_count) == (4, 0, 0)
    assert tally.active == tally.draft


def test_orders_from_reservations_pickups_and_other_policies_are_not_counted(followed: Followed) -> None:
    store = followed.store
    store.stock(("A", "east", 9), ("A", "dc", 9))
    version = followed.put()
    held = store.reserve(ship([("A", 1)]))
    store.commit(held.reservation_id)
    store.reserve(pickup([("A", 1)]))
    store.reserve(ship([("A", 99)]))
    assert followed.tally(version).compared_count == 1
    assert read_tally(followed.folder, "market", version) is None


def test_it_ends_with_another_draft_and_begins_anew(followed: Followed) -> None:
    store = followed.store
    store.stock(("A", "east", 99))
    first = followed.put()
    order(store, ("A", 1))
    assert followed.tally(first).compared_count == 1
    second = followed.put(SHADOW._replace(split_penalty_micros=5))
    since_seq = store.machine.seq + 1
    order(store, ("A", 1))
    tally = followed.tally(second)
    assert (tally.compared_count, tally.version) == (1, second)
    assert since_seq - 1 <= tally.since_seq <= since_seq
    assert read_tally(followed.folder, "web", first) is None
    assert store.tell(m.ActivateRoutingPolicy, policy_key="default", version=second).outcome == Outcome.OK
    assert not store.machine.pool.network.policies["default"].shadow
    order(store, ("A", 1))
    followed.step()
    order(store, ("A", 1))
    followed.step()
    assert read_tally(followed.folder, "web", second) is None


def test_a_follower_that_is_far_behind_passes_over(followed: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shadowing, "BEHIND_MAX", 3)
    store = followed.store
    store.stock(("A", "east", 99))
    version = followed.put()
    for _ in range(8):
        order(store, ("A", 1))
    tally = followed.tally(version)
    assert (tally.passed_count, tally.compared_count) == (8, 0)
    order(store, ("A", 1))
    assert followed.tally(version).compared_count == 1


def test_a_comparison_that_fails_keeps_nobody_from_following(
    followed: Followed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any) -> None:
        raise RuntimeError("a defect")

    store = followed.store
    store.stock(("A", "east", 99))
    version = followed.put()
    monkeypatch.setattr(Machine, "compare", broken)
    order(store, ("A", 1))
    order(store, ("A", 1))
    tally = followed.tally(version)
    assert (tally.compared_count, tally.failed_count) == (0, 2)
    assert caplog.text.count("could not be compared") == 1, "said once"


def test_who_has_no_draft_under_shadow_leaves_no_file(followed: Followed) -> None:
    followed.store.stock(("A", "east", 9))
    followed.put(SHADOW._replace(shadow=False))
    order(followed.store, ("A", 1))
    followed.step()
    assert not (followed.folder.path / shadowing.FILE).exists()


def test_only_a_draft_has_a_shadow() -> None:
    assert dict(contradictions(POLICY._replace(shadow=True))).keys() == {"shadow"}
    assert not list(contradictions(SHADOW))


def test_a_file_that_is_no_report_is_none(followed: Followed) -> None:
    for text in ("", "{}", "[{}]", '[{"channel_key": "web"}]', "[1]"):
        (followed.folder.path / shadowing.FILE).write_text(text)
        assert read_tally(followed.folder, "web", 2) is None
