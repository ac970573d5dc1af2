"""Routing policies: which rule is for an item against a slow twin, what reaches the router, versions and drafts, and what is kept of them."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from engine.core.batches import ask_many
from engine.core.claims import VALUE_MAX, Planner, ask, value_of
from engine.core.image import copy_of
from engine.core.policies import contradictions
from engine.core.rebuilding import machine_of
from engine.kernels import columns as c
from engine.kernels import rules as kernel_rules
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Node, RateCard, Region, Sku
from engine.model.outcomes import AfterAction, NodeKind, Outcome, RuleVerdict
from engine.model.policies import NODE_GROUPS_MAX, Applies, Candidates, Form, RoutingPolicy, Rule, Weights
from engine.pool.names import Names
from engine.pool.policies import UNBOUNDED, Rulebook
from engine.recovery import recover
from tests.builders import CHART, NODES, POLICY, SKUS, Store, limits, ship

SEEDS = range(6)


def interpreted(function: Any) -> Any:
    """The Python code of a function that only kernels call: compiled it has no entry from Python."""
    return getattr(function, "py_func", function)


@pytest.fixture(autouse=True)
def _interpreted_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_rules, "contains", interpreted(kernel_rules.contains))


# Which rule is for an item


def slow_verdict(applies: Applies, service: str, region: str, value: int, units: int, lines: int) -> RuleVerdict:
    """The conditions one after the other, by keys."""

    def within(number: int, least: int, most: int) -> bool:
        return number >= least and (most == 0 or number <= most)

    if applies.service_keys and service not in applies.service_keys:
        return RuleVerdict.OTHER_SERVICE
    if not within(value, applies.value_micros_min, applies.value_micros_max):
        return RuleVerdict.OTHER_VALUE
    if not within(units, applies.units_min, applies.units_max):
        return RuleVerdict.OTHER_UNITS
    if not within(lines, applies.lines_min, applies.lines_max):
        return RuleVerdict.OTHER_LINES
    if applies.region_prefixes and not any(region.startswith(prefix) for prefix in applies.region_prefixes):
        return RuleVerdict.OTHER_REGION
    return RuleVerdict.NOT_ASKED


def drawn(chance: Random, services: list[str]) -> Applies:
    def span(most: int) -> tuple[int, int]:
        least = chance.choice([0, 0, chance.randint(1, most)])
        return least, chance.choice([0, 0, chance.randint(max(least, 1), most)])

    value, units, lines = span(50), span(9), span(4)
    prefixes = tuple(f"{chance.randrange(200):03}"[: chance.randint(1, 3)] for _ in range(chance.randint(0, 3)))
    keys = tuple(chance.sample(services, chance.choice([0, 0, 1, 3])))
    return Applies(keys, *value, *units, *lines, prefixes)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_rule_is_for_what_its_conditions_say(seed: int) -> None:
    """200 regions and 70 services: their sets go over several words, and over the sign of one."""
    chance = Random(seed)
    names = Names(np.zeros(c.COUNTERS, dtype=np.int64))
    regions, services = [f"{at:03}" for at in range(200)], [f"s{at}" for at in range(70)]
    for at, key in enumerate(regions):
        names.regions.put(at, key)
    for at, key in enumerate(services):
        names.services.put(at, key)
    book = Rulebook(limits(regions_max=200, services_max=70), names)
    rules = tuple(Rule(f"r{at}", drawn(chance, services)) for at in range(15))
    matrix = book.compiled(RoutingPolicy("default", rules=rules))
    item = np.zeros(c.ITEM_WIDTH, dtype=np.int64)
    for _ in range(200):
        service, region = chance.randrange(70), chance.randrange(200)
        value, units, lines = chance.randint(0, 60), chance.randint(1, 10), chance.randint(1, 5)
        item[[c.ITEM_SERVICE, c.ITEM_DESTINATION, c.ITEM_VALUE]] = service, region, value
        for at, rule in enumerate(rules):
            expected = slow_verdict(rule.applies, services[service], regions[region], value, units, lines)
            said = interpreted(kernel_rules.verdict_before)(matrix, at, item, (units, lines))
            assert said == expected, f"seed {seed}: {rule} {service} {region} {value} {units} {lines}"


def test_numbers_of_the_kernel_are_those_of_the_model() -> None:
    for verdict in RuleVerdict:
        assert getattr(c, f"VERDICT_{verdict.name}") == verdict
    for after in AfterAction:
        assert getattr(c, f"AFTER_{after.name}") == after
    assert max(RuleVerdict) < 1 << c.VERDICT_BITS
    assert max(NodeKind) < 63 - c.KIND_GROUP


# What reaches the router


def test_what_a_rule_makes_of_the_routers_question() -> None:
    store = Store()
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(groups=("city", "outlets")),))
    rule = Rule(
        "all of it",
        candidates=Candidates(("outlets",), ("city",), (NodeKind.STORE,), 250, 3, 2),
        form=Form(4, 20, unit_split=True),
    )
    weights = Weights(90, 80, 70, 60, 50, 40)
    policy = RoutingPolicy("default", 7, False, "ground", weights, 11, (rule,))
    store.machine.pool.network.rulebook.count_prices(True)
    rules = store.machine.pool.network.rulebook.compiled(policy)
    item, order = np.zeros(c.ITEM_WIDTH, dtype=np.int64), np.zeros(64, dtype=np.int64)
    item[c.ITEM_VALUE] = 20
    interpreted(kernel_rules.write_rule)(rules, 0, item, order)
    kinds = sum(1 << c.KIND_GROUP + kind for kind in NodeKind if kind != NodeKind.STORE)
    told = {name: int(order[getattr(c, f"ORDER_{name}")]) for name in (
        "GROUPS_ANY", "GROUPS_NONE", "DISTANCE_MAX", "KEEP_UNITS", "LATE_DAYS_MAX", "LATE_COST", "PACKAGES_MAX",
        "UNIT_SPLIT", "SPLIT_PENALTY",
    )}  # fmt: skip
    assert told == {
        "GROUPS_ANY": 0b10, "GROUPS_NONE": 0b01 | kinds, "DISTANCE_MAX": 250, "KEEP_UNITS": 3, "LATE_DAYS_MAX": 2,
        "LATE_COST": 11, "PACKAGES_MAX": 4, "UNIT_SPLIT": 1, "SPLIT_PENALTY": 7,
    }  # fmt: skip
    assert order[c.ORDER_CARRIER_WEIGHT : c.ORDER_LATE_WEIGHT + 1].tolist() == [90, 80, 70, 60, 50, 40]
    item[c.ITEM_VALUE] = 19
    interpreted(kernel_rules.write_rule)(rules, 0, item, order)
    assert (order[c.ORDER_PACKAGES_MAX], order[c.ORDER_UNIT_SPLIT]) == (1, 0), "worth too little to be split"


def test_a_policy_without_rules_asks_as_plainly_as_can_be() -> None:
    store = Store()
    rules = store.machine.pool.network.rulebook.compiled(RoutingPolicy("default", 7))
    item, order = np.zeros(c.ITEM_WIDTH, dtype=np.int64), np.full(64, -9, dtype=np.int64)
    interpreted(kernel_rules.write_rule)(rules, 0, item, order)
    assert order[c.ORDER_LATE_DAYS_MAX] == UNBOUNDED, "nobody is too late"
    assert (order[c.ORDER_CARRIER_WEIGHT], order[c.ORDER_HANDLING_WEIGHT]) == (100, 100)
    for name in ("PRICE_WEIGHT", "PERFORMANCE_WEIGHT", "CAPACITY_WEIGHT", "LATE_WEIGHT", "PACKAGES_MAX", "GROUPS_ANY",
                 "GROUPS_NONE", "DISTANCE_MAX", "KEEP_UNITS", "LATE_COST"):  # fmt: skip
        assert order[getattr(c, f"ORDER_{name}")] == 0, name


def test_a_rule_for_a_group_in_which_nobody_is_lets_nobody_serve() -> None:
    """As in a draft that was put before its groups were: whoever compiles it meets names that are not known."""
    book = Store().machine.pool.network.rulebook
    rules = book.compiled(RoutingPolicy("default", rules=(Rule("a", candidates=Candidates(("nobody's",))),)))
    assert rules[0, c.RULE_GROUPS_ANY] != 0
    assert not any(rules[0, c.RULE_GROUPS_ANY] & 1 << bit for bit in range(c.KIND_GROUP + max(NodeKind) + 1))


# What an order is worth


def test_what_rules_take_an_order_to_be_worth_never_overflows() -> None:
    store = Store()
    put(store, Rule("dear", Applies(value_micros_min=9)), Rule("rest"))
    dear = SKUS[0]._replace(unit_value_micros=1 << 53)
    store.tell(m.PutSkus, skus=(dear, SKUS[1]._replace(unit_value_micros=5)))
    pool = store.machine.pool
    claims = [ship([("A", 1_000_000)]), ship([("A", 1), ("B", 3)]), ship([("A", 511), ("A", 2)]), ship([("C", 9)])]
    items = ask_many(pool, m.ClaimColumns.of(claims), store.now_ns)[0][0]
    told = [ask(pool, claim, store.now_ns).value_micros for claim in claims]
    assert told == [VALUE_MAX, (1 << 53) + 15, VALUE_MAX, 0]
    assert items[:, c.ITEM_VALUE].tolist() == told
    assert value_of(pool, ()) == 0


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        (Rule("a", Applies(value_micros_min=1)), True),
        (Rule("a", Applies(value_micros_max=1)), True),
        (Rule("a", form=Form(split_value_micros_min=1)), True),
        (Rule("a", Applies(units_max=1)), False),
    ],
)
def test_values_are_added_up_only_where_a_rule_in_force_asks(rule: Rule, asked: bool) -> None:
    store = Store()
    store.tell(m.PutSkus, skus=(SKUS[0]._replace(unit_value_micros=5),))
    put(store, rule, draft=True)
    assert not ask(store.machine.pool, ship([("A", 2)]), store.now_ns).value_micros
    store.tell(m.ActivateRoutingPolicy, policy_key="default")
    assert ask(store.machine.pool, ship([("A", 2)]), store.now_ns).value_micros == (10 if asked else 0)


# What changes a rule without a put of its policy


def decided(store: Store, lines: list[tuple[str, int]], to: str = "10001") -> str:
    plan = Planner(store.machine.pool).plan(ask(store.machine.pool, ship(lines, to=to), store.now_ns))
    rules = store.machine.pool.network.policies["default"].rules
    return rules[plan.rule - 1].name if plan.rule else ""


def test_regions_and_services_that_come_later_are_in_the_sets_of_rules() -> None:
    store = Store(limits(regions_max=80))
    store.stock(("A", "dc", 9))
    rules = (Rule("east", Applies(region_prefixes=("1",))), Rule("rest"))
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(rules=rules))
    later = CHART._replace(regions=(*CHART.regions, Region("123", 40.0, -75.0), Region("321", 40.0, -75.0)))
    assert store.tell(m.PutZoneChart, zone_chart=later).outcome == Outcome.OK
    assert [decided(store, [("A", 1)], to) for to in ("10001", "12345", "32112", "90001")] == [
        "east", "east", "rest", "rest",
    ]  # fmt: skip


def test_a_value_that_changes_changes_the_rule_at_once() -> None:
    store = Store()
    store.stock(("A", "dc", 9))
    rules = (Rule("dear", Applies(value_micros_min=10)), Rule("cheap"))
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(rules=rules))
    assert decided(store, [("A", 2)]) == "cheap"
    store.tell(m.PutSkus, skus=(SKUS[0]._replace(unit_value_micros=5),))
    assert (decided(store, [("A", 2)]), decided(store, [("A", 1)])) == ("dear", "cheap")


@pytest.mark.parametrize("weights", [Weights(), Weights(price=100), Weights(capacity=100, performance=100)])
def test_tons_are_sent_whatever_else_counts(weights: Weights) -> None:
    """Many heavy units might come in as many packages as there are nodes; what each could cost besides is what it does cost at most."""
    store = Store(limits(nodes_max=1_024))
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(weights=weights, rules=(Rule("all", Applies(units_min=1)),)))
    store.tell(
        m.SetPrices,
        plan_key="p",
        sku_keys=("B",),
        node_keys=("dc",),
        price_micros=(1,),
        demand_1024ths=(1,),
        complete=True,
    )
    store.stock(("B", "dc", 4_000), ("B", "east", 3_000))
    assert store.reserve(ship([("B", 4_000)])).outcome == Outcome.OK
    assert store.reserve(ship([("B", 3_000)])).outcome == Outcome.OK


# Versions, drafts, and what is kept


def put(store: Store, *rules: Rule, draft: bool = False) -> int:
    reply = store.tell(m.PutRoutingPolicy, policy=POLICY._replace(rules=rules, draft=draft))
    assert reply.outcome == Outcome.OK
    return int(reply.version)


def test_versions_count_the_puts_of_a_key_and_a_draft_is_in_force_under_its_own() -> None:
    store = Store()
    assert [put(store), put(store, draft=True), put(store, draft=True)] == [2, 3, 4]
    assert store.tell(m.ActivateRoutingPolicy, policy_key="default").version == 4
    network = store.machine.pool.network
    assert (network.policies["default"].version, network.policies["default"].draft) == (4, False)
    assert network.rulebook.drafts == {}
    assert put(store) == 5


def test_a_draft_of_a_new_key_is_listed_but_no_channel_may_use_it() -> None:
    store = Store()
    draft = RoutingPolicy("new", 5, rules=(Rule("a"),), draft=True)
    assert store.tell(m.PutRoutingPolicy, policy=draft).version == 1
    assert store.ask(q.GetEntry(0, "policy", "new")).outcome == Outcome.UNKNOWN_POLICY
    assert store.ask(q.GetEntry(0, "policy_draft", "new")).entries == (draft._replace(version=1),)
    listed = store.ask(q.ListEntries(0, "policy", -1, 99)).entries
    assert [(each.policy_key, each.draft) for each in listed] == [("default", False), ("whole", False), ("new", True)]


def test_replay_and_snapshots_know_policies_drafts_and_groups() -> None:
    store = Store()
    store.tell(m.PutNodes, nodes=(NODES[0]._replace(groups=("own", "big")), NODES[1]._replace(groups=("city",))))
    rule = Rule("own", Applies(("ground",), 1, 9, 1, 9, 1, 9, ("1",)), Candidates(("own",), ("city",), (NodeKind.WAREHOUSE,), 9, 1, 0), Form(2, 3, False), AfterAction.HOLD)  # fmt: skip
    put(store, rule, Rule("rest"))
    put(store, Rule("draft", candidates=Candidates(groups_none=("big",))), draft=True)
    machine = store.machine
    for again in (recover(store.journal(3), machine.pool.limits), machine_of(copy_of(machine), machine.pool.limits)):
        assert again.digest() == machine.digest()
        mine, theirs = machine.pool.network.rulebook, again.pool.network.rulebook
        assert (mine.active, mine.drafts) == (theirs.active, theirs.drafts)
        assert np.array_equal(mine.rules, theirs.rules)
        assert again.pool.names.groups.keys == ["own", "big", "city"]
    before = machine.digest()
    store.tell(m.ActivateRoutingPolicy, policy_key="default")
    assert machine.digest() != before


def test_groups_have_a_limit_and_those_beyond_change_nothing() -> None:
    store = Store()
    many = tuple(f"g{at}" for at in range(NODE_GROUPS_MAX))
    assert store.tell(m.PutNodes, nodes=(Node("x", groups=many),)).outcome == Outcome.OK
    refused = store.tell(m.PutNodes, nodes=(Node("y", groups=("one more",)),))
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "node_groups_max")
    assert store.tell(m.PutNodes, nodes=(Node("y", groups=("g55", "g0")),)).outcome == Outcome.OK
    store.audit()


def test_the_service_of_a_rule_is_looked_up_by_key() -> None:
    store = Store()
    store.tell(m.PutRateCard, rate_card=RateCard("air", "USD", (1_000,), 3, (9, 9, 9)))
    put(store, Rule("air", Applies(("air",)), after=AfterAction.REFUSE), Rule("rest"))
    store.stock(("A", "dc", 1))
    assert store.reserve(ship([("A", 2)], service_key="air", allow_partial=True)).outcome == Outcome.INSUFFICIENT_STOCK
    assert store.reserve(ship([("A", 2)], allow_partial=True)).outcome == Outcome.PARTIAL


# What contradicts itself


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (RoutingPolicy("p", weights=Weights(0, 0)), "weights"),
        (RoutingPolicy("p", weights=Weights(lateness=50)), "weights.lateness"),
        (RoutingPolicy("p", rules=(Rule("a", Applies(units_min=4, units_max=3)),)), "rules[0].applies.units_max"),
        (RoutingPolicy("p", rules=(Rule("a", Applies(lines_min=2, lines_max=1)),)), "rules[0].applies.lines_max"),
        (RoutingPolicy("p", rules=(Rule("a"), Rule("a"))), "rules[1].name"),
        (RoutingPolicy("p", rules=(Rule("a", after=AfterAction.HOLD), Rule("b", Applies(("x",))))), "rules[1]"),
    ],
)
def test_what_can_never_hold_is_told_with_its_path(policy: RoutingPolicy, path: str) -> None:
    assert [found for found, _ in contradictions(policy)] == [path]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        (Applies(units_max=5), Applies(units_min=5)),
        (Applies(("a", "b")), Applies(("b", "c"))),
        (Applies(region_prefixes=("10",)), Applies(region_prefixes=("1",))),
        (Applies(value_micros_min=1), Applies()),
        (Applies(lines_max=2), Applies(lines_max=3)),
    ],
)
def test_a_rule_behind_one_that_is_not_for_all_its_orders_is_reached(earlier: Applies, later: Applies) -> None:
    rules = (Rule("a", earlier, after=AfterAction.REFUSE), Rule("b", later))
    assert not list(contradictions(RoutingPolicy("p", rules=rules)))
    assert list(contradictions(RoutingPolicy("p", rules=(rules[0], Rule("b", earlier)))))


def test_a_sku_without_a_value_is_worth_nothing() -> None:
    store = Store()
    assert Sku("A").unit_value_micros == 0
    assert ask(store.machine.pool, ship([("A", 9)]), store.now_ns).value_micros == 0
