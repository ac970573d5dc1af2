"""Routing policies in text tables: ``rule`` rows in the order in which they are tried, and a ``policy`` row that puts them.

    rule name=parcels units=..3 any=outlets keep=1 packages=1 after=NEXT
    policy                                            -> OK
    route lines=A:1                                   -> OK parcels: east
    route lines=A:9 says=OTHER_UNITS                  -> NO_PLAN

``units=2..5``, ``lines=``, ``value=`` (in whole money): a range that is open where nothing stands. ``route`` asks what a claim would get and
holds nothing; its subject is the rule that decided, and the nodes that send. ``says``: what each rule said.
"""

from __future__ import annotations

from engine.core.claims import Plan
from engine.kernels import columns as c
from engine.model.outcomes import AfterAction, NodeKind, Outcome, RuleVerdict
from engine.model.policies import ANY, DEFAULT_POLICY, Applies, Candidates, Form, RoutingPolicy, Rule
from engine.model.replies import Plain
from engine.pool.pool import Pool

Words = dict[str, str]
MONEY = 1_000_000
"""Micros of one unit of money."""


def _range(text: str) -> tuple[int, int]:
    least, _, most = text.partition("..")
    return int(least or 0), int(most or 0)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def rule(words: Words) -> Rule:
    """What one ``rule`` row says."""
    values, units, lines = (_range(words.get(name, "")) for name in ("value", "units", "lines"))
    return Rule(
        words["name"],
        Applies(
            _words(words.get("service", "")), values[0] * MONEY, values[1] * MONEY, units[0], units[1], lines[0],
            lines[1], _words(words.get("region", "")),
        ),
        Candidates(
            _words(words.get("any", "")), _words(words.get("none", "")),
            tuple(NodeKind[kind] for kind in _words(words.get("kind", ""))), int(words.get("km", 0)),
            int(words.get("keep", 0)), int(words.get("late", ANY)),
        ),
        Form(
            int(words.get("packages", 0)), int(words.get("split_value", 0)) * MONEY,
            None if "unit_split" not in words else words["unit_split"] == "yes",
        ),
        AfterAction[words.get("after", "NEXT")],
    )  # fmt: skip


def policy(words: Words, rules: list[Rule]) -> RoutingPolicy:
    """What a ``policy`` row says."""
    return RoutingPolicy(
        words.get("key", DEFAULT_POLICY), int(words.get("split", 1)) * MONEY, words.get("unit_split", "yes") == "yes",
        "ground", rules=tuple(rules), draft="draft" in words,
    )  # fmt: skip


def told(pool: Pool, plan: Plan, channel_index: int, words: Words) -> Plain:
    """What a ``route`` row is compared with."""
    names = [each.name for each in pool.network.policy_of(channel_index).rules]
    said = [RuleVerdict(plan.verdicts >> at * c.VERDICT_BITS & 15).name for at in range(len(names))]
    if "says" in words:
        assert said == words["says"].split(","), said
    if "after" in words:
        assert plan.after == AfterAction[words["after"]], plan.after
    nodes = dict.fromkeys(pool.names.node_keys[pool.names.cell(leg.slot)[1]] for leg in plan.legs)
    rule_name = names[plan.rule - 1] if 0 < plan.rule <= len(names) else "none"
    return Plain(Outcome(plan.outcome), f"{rule_name}: {','.join(sorted(nodes)) or 'nobody'}")
