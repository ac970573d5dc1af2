"""Explanations: what is told of each kind of decision, the next best plans against every plan there is, and the same again after a restart."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest

from engine.follower.explanations import explain_order
from engine.model import commands as m
from engine.model.calendars import Calendar
from engine.model.explanations import Alternative, AskedRule, Dropped, Explanation, Replayed
from engine.model.network import Node, RateCard, RoutingPolicy
from engine.model.outcomes import AfterAction, CommandKind, DropReason, NodeKind, Outcome, RejectReason, RuleVerdict
from engine.model.policies import Applies, Candidates, Form, Rule, Weights
from tests.builders import NODES, POLICY, SMALL, Store, pickup, priced, ship
from tests.property.busy import Busy
from tests.property.twins import Twins


def explained(store: Store, order_id: int, group: int = 1) -> tuple[Explanation, ...]:
    return explain_order(store.journal(group), store.machine.pool.limits, store.order(order_id))


def replayed(explanation: Explanation) -> Replayed:
    assert explanation.replayed is not None, explanation.obstacle
    return explanation.replayed


def only(store: Store, order_id: int) -> Replayed:
    (explanation,) = explained(store, order_id)
    return replayed(explanation)


def nodes(store: Store, told: Replayed | Alternative) -> set[str]:
    return {store.machine.pool.names.node_keys[node] for node in told.plan.nodes}


def test_a_placed_order() -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 5), ("B", "west", 5), ("A", "west", 0))
    order_id = store.place(ship([("A", 1)])).order.order_id
    store.stock(("A", "dc", 0), ("A", "east", 0))  # what came later does not count
    told = only(store, order_id)
    assert told.reproduced
    assert (told.policy_key, told.node_count, told.candidate_count) == ("default", 4, 2)
    assert told.dropped == (Dropped(DropReason.DOES_NOT_SHIP, 1), Dropped(DropReason.NO_STOCK, 1))
    assert nodes(store, told) == {"east"}
    assert [(nodes(store, each), each.extra_micros) for each in told.alternatives] == [({"dc"}, 1_400_000)]
    assert [(cell.node_index, cell.atf) for cell in told.cells] == [(0, 5), (1, 5)]
    (routing,) = store.order(order_id).routings
    assert told.plan.cost is not None
    assert (routing.seq, routing.kind, routing.total_micros) == (
        told.seq,
        CommandKind.PLACE_ORDER,
        told.plan.cost.total,
    )


def test_each_reason() -> None:
    store = Store()
    changed = (
        Node("dc", closed=True),
        Node("east", ships=False, offers_pickup=True, latitude=40.0, longitude=-75.0),
        Node("far", latitude=-40.0, longitude=170.0),
        Node("near", latitude=40.0, longitude=-75.0),
        Node("poor", latitude=40.0, longitude=-75.0),
        Node("idle", latitude=40.0, longitude=-75.0, calendar=Calendar("UTC")),
    )
    store.tell(m.PutNodes, nodes=changed)
    one_zone = RateCard("ground", "USD", (1_000,), 1, (4_000_000,))
    store.tell(m.PutRateCard, rate_card=one_zone)
    store.stock(*[("A", node, 5) for node in ("dc", "east", "far", "near", "west", "idle")], ("A", "poor", 1))
    store.tell(m.PutSkus, skus=())
    order_id = store.place(ship([("A", 2)])).order.order_id
    told = only(store, order_id)
    assert {each.reason: each.node_count for each in told.dropped} == {
        DropReason.CLOSED: 1,
        DropReason.DOES_NOT_SHIP: 2,
        DropReason.NO_LANE: 2,
        DropReason.NOT_ENOUGH_STOCK: 1,
        DropReason.NO_SHIP_DAY: 1,
    }
    assert (nodes(store, told), told.candidate_count, told.alternatives) == ({"near"}, 1, ())


def test_the_rules_of_then_and_what_each_said() -> None:
    store = Store()
    rules = (
        Rule("many", Applies(units_min=9)),
        Rule("whole", form=Form(unit_split=False)),
        Rule("part", after=AfterAction.PARTIAL),
    )
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(rules=rules))
    store.stock(("A", "dc", 2), ("A", "east", 2))
    order_id = store.place(ship([("A", 5)])).order.order_id
    store.tell(m.PutRoutingPolicy, policy=POLICY)
    told = only(store, order_id)
    assert (told.reproduced, told.policy_version, told.plan.rule, told.after) == (True, 2, "part", AfterAction.PARTIAL)
    assert told.rules == (
        AskedRule("many", RuleVerdict.OTHER_UNITS),
        AskedRule("whole", RuleVerdict.TOO_FEW_UNITS),
        AskedRule("part", RuleVerdict.SERVED_IN_PART),
    )
    assert {each.plan.rule for each in told.alternatives} == {"part"}


def test_alternatives_lose_by_what_is_minimised() -> None:
    """East costs less, but its unit is worth more there."""
    store = Store()
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(weights=Weights(price=100)))
    store.stock(("A", "dc", 5), ("A", "east", 5))
    rows: dict[str, Any] = {"sku_keys": ("A",), "node_keys": ("east",), "price_micros": (9_000_000,)}
    store.tell(m.SetPrices, plan_key="p", complete=True, demand_1024ths=(0,), **rows)
    told = only(store, store.place(ship([("A", 1)])).order.order_id)
    (other,) = told.alternatives
    assert (nodes(store, told), nodes(store, other)) == ({"dc"}, {"east"})
    assert told.plan.cost is not None
    assert other.plan.cost is not None
    assert other.plan.cost.total - told.plan.cost.total == -1_400_000
    assert other.extra_micros == 9_000_000 - 1_400_000


def test_a_move_and_what_was_proposed() -> None:
    """The first order moves by itself; then both change places as proposed, which the second alone would not have done."""
    store = Store()
    store.stock(("A", "west", 1))
    first = store.place(ship([("A", 1)])).order.order_id
    store.stock(("A", "dc", 1))
    assert store.tell(m.RerouteOrder, moves=(m.Move(first),)).moved
    second = store.place(ship([("A", 1)], "50001", service_key="express")).order.order_id
    legs = (("A", "west", 1),), (("A", "dc", 1),)
    moves = tuple(m.Move(each, legs=leg) for each, leg in zip((first, second), legs, strict=True))
    assert store.tell(m.RerouteOrder, moves=moves).moved
    alone, together = explained(store, first)[1:]
    assert (replayed(alone).reproduced, alone.routing.proposed) == (True, False)
    assert (replayed(together).reproduced, together.routing.proposed) == (True, True)
    assert (nodes(store, replayed(alone)), nodes(store, replayed(together))) == ({"dc"}, {"west"})
    assert replayed(together).alternatives[0].extra_micros < 0, "alone it would have stayed"


def test_nodes_that_a_rule_does_not_let_serve_are_told_apart() -> None:
    store = Store()
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(groups=("outlets",)),))
    candidates = Candidates(("outlets",), kinds=(NodeKind.STORE,), distance_km_max=100, keep_units=3)
    rules = (Rule("near", candidates=candidates, after=AfterAction.BACKORDER),)
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(rules=rules))
    store.stock(("A", "dc", 9), ("A", "east", 3), ("A", "west", 9))
    told = only(store, store.ingest(ship([("A", 1)])).order.order_id)
    assert told.dropped == (
        Dropped(DropReason.DOES_NOT_SHIP, 1),
        Dropped(DropReason.NO_STOCK, 1),
        Dropped(DropReason.RULE, 2),
    )


def test_a_released_order_is_explained_by_the_state_of_its_release() -> None:
    store = Store()
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(rules=(Rule("wait", after=AfterAction.HOLD),)))
    order_id = store.place(ship([("A", 2)])).order.order_id
    store.stock(("A", "dc", 1))
    assert store.tell(m.ReleaseOrder, order_id=order_id).outcome == Outcome.PARTIAL
    store.stock(("A", "dc", 9))
    held, first = (replayed(each) for each in explained(store, order_id))
    assert (held.after, held.plan.units, held.plan.rule) == (AfterAction.HOLD, 0, "wait")
    assert (first.reproduced, first.lines, first.plan.units) == (True, ((0, 2),), 1)


def test_a_channel_that_sells_from_some_nodes() -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "west", 5))
    order_id = store.place(ship([("A", 2)], channel="mall")).order.order_id
    told = only(store, order_id)
    assert Dropped(DropReason.NOT_IN_CHANNEL, 2) in told.dropped
    assert told.policy_key == "whole"


def test_a_reserved_order_is_explained_by_the_state_of_its_reservation() -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 5), ("B", "west", 5))
    other = store.reserve(ship([("B", 1)])).reservation_id
    held = store.reserve(ship([("A", 4), ("Z", 1)][:1], to="10001")).reservation_id
    store.stock(("A", "dc", 0))
    assert other != held
    order_id = store.commit(held, [("A", 2)]).order.order_id
    (explanation,) = explained(store, order_id)
    told = replayed(explanation)
    assert (explanation.routing.reservation_id, told.lines, told.reproduced) == (held, ((0, 4),), True)
    assert told.seq < explanation.routing.seq
    assert len(told.alternatives) == 1, "the warehouse had five then"


@pytest.mark.parametrize("group", [1, 3, 100])
def test_an_item_of_a_batch_saw_the_items_before_it(group: int) -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 5))
    claims = m.ClaimColumns.of((ship([("A", 4)]), ship([("A", 4)]), ship([("A", 1)])))
    store.tell(m.BatchReserve, claims=claims)
    found = []
    for reservation_id in (1, 2, 3):
        order_id = store.commit(reservation_id, order_key=f"k{reservation_id}").order.order_id
        (explanation,) = explained(store, order_id, group)
        told = replayed(explanation)
        assert told.reproduced
        found.append((nodes(store, told), [cell.atf for cell in told.cells]))
    assert found == [({"east"}, [5, 5]), ({"dc"}, [5]), ({"east"}, [1, 1])]


def test_a_fact_that_is_short() -> None:
    store = Store()
    store.stock(("A", "dc", 2), ("A", "west", 1))
    reply = store.ingest(ship([("A", 7), ("B", 1)]))
    told = only(store, reply.order.order_id)
    assert (told.plan.outcome, told.plan.units, told.reproduced) == (Outcome.PARTIAL, 3, True)
    assert [(short.line_index, short.available_units) for short in told.plan.shortages] == [(0, 3), (1, 0)]
    assert {each.units_fewer for each in told.alternatives} == {1, 2}, "a plan that serves fewer units lost by that"
    assert [each.units_fewer for each in told.alternatives] == [1, 2]


def test_a_fact_that_nobody_can_serve() -> None:
    store = Store()
    told = only(store, store.ingest(ship([("A", 1)])).order.order_id)
    assert (told.plan.units, told.alternatives, told.candidate_count, told.reproduced) == (0, (), 0, True)
    assert Dropped(DropReason.NO_STOCK, 3) in told.dropped


def test_pickup_is_the_buyers_choice() -> None:
    store = Store()
    store.stock(("A", "east", 5), ("A", "dc", 5))
    told = only(store, store.place(pickup([("A", 2)])).order.order_id)
    assert (told.node_count, told.candidate_count, told.dropped, told.alternatives) == (1, 1, (), ())
    assert (told.plan.cost, nodes(store, told), told.reproduced) == (None, {"east"}, True)
    assert [cell.atf for cell in told.cells] == [5]


def test_what_a_node_refused_is_explained_apart() -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 5), ("A", "west", 5))
    order_id = store.place(ship([("A", 2)])).order.order_id
    for _ in range(3):
        work = next(each for each in store.work(order_id) if each.is_open)
        store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.MISMATCH)
    first, second, third, last = map(replayed, explained(store, order_id))
    assert [nodes(store, each) for each in (first, second, third, last)] == [{"east"}, {"dc"}, {"west"}, set()]
    assert all(each.reproduced for each in (first, second, third, last))
    assert Dropped(DropReason.REJECTED_BEFORE, 1) in second.dropped
    assert Dropped(DropReason.REJECTED_BEFORE, 2) in third.dropped
    assert [each.rejected_id for each in store.order(order_id).routings] == [0, 1, 2, 3]
    assert last.plan.outcome == Outcome.INSUFFICIENT_STOCK


def test_an_order_of_a_version_that_kept_nothing() -> None:
    store = Store()
    store.stock(("A", "dc", 5))
    order_id = store.place(ship([("A", 2)])).order.order_id
    old = store.order(order_id)._replace(routings=())
    assert explain_order(store.journal(), SMALL, old) == ()


def test_too_far_from_any_state_that_is_kept() -> None:
    store = Store()
    store.stock(("A", "dc", 5))
    order = store.place(ship([("A", 2)])).order
    (explanation,) = explain_order(store.journal(), SMALL, order, replay_max=5)
    assert explanation.replayed is None
    assert "5 at most" in explanation.obstacle
    assert explanation.routing.total_micros > 0


@pytest.mark.parametrize("seed", range(12))
def test_next_best_plans_are_those_of_every_plan_there_is(seed: int) -> None:
    """The twin lists every way to put whole lines into packages of nodes."""
    chance = Random(seed)
    store = Store()
    policy = RoutingPolicy("default", chance.randint(0, 3_000_000), False, "ground")
    store.tell(m.PutRoutingPolicy, policy=policy)
    keys = [f"n{at}" for at in range(4)]
    places = [
        Node(
            key, latitude=chance.uniform(30, 45), longitude=chance.uniform(-120, -70),
            package_cost_micros=chance.randint(0, 2_000_000), unit_cost_micros=chance.randint(0, 1_000_000),
        )
        for key in keys
    ]  # fmt: skip
    store.tell(m.PutNodes, nodes=tuple(places))
    stocked = {(sku, node): chance.choice((0, 1, 3, 3)) for sku in "ABC" for node in ("dc", "east", "west", *keys)}
    store.stock(*[(sku, node, units) for (sku, node), units in stocked.items()])
    lines = [(sku, chance.randint(1, 2)) for sku in "ABC"[: chance.randint(1, 3)]]
    reply = store.place(ship(lines))
    plans = every_plan(store, lines, stocked)
    assert (reply.outcome == Outcome.OK) == bool(plans), f"seed {seed}"
    if not plans:
        return
    told = only(store, reply.order.order_id)
    expected: list[tuple[int, frozenset[str]]] = []
    for cost, sent in sorted(plans, key=lambda each: each[0]):
        if not any(better <= sent for _, better in expected):
            expected.append((cost, sent))
    assert told.plan.cost is not None
    assert (told.plan.cost.total, frozenset(nodes(store, told))) == expected[0], f"seed {seed}"
    found = [(told.plan.cost.total + each.extra_micros, frozenset(nodes(store, each))) for each in told.alternatives]
    assert found == expected[1:4], f"seed {seed}"


def every_plan(
    store: Store, lines: list[tuple[str, int]], stocked: dict[tuple[str, str], int]
) -> list[tuple[int, frozenset[str]]]:
    """(Cost, nodes) of every plan that serves each line whole from one node."""
    network, names = store.machine.pool.network, store.machine.pool.names
    region, penalty = network.region_of("10001"), network.policies["default"].split_penalty_micros
    candidates = [node.node_key for node in network.nodes if node.ships]
    found = []
    for senders in product(candidates, repeat=len(lines)):
        if any(stocked[sku, node] < units for (sku, units), node in zip(lines, senders, strict=True)):
            continue
        for numbers in product(range(len(lines)), repeat=len(lines)):  # lines of one node and number share a package
            boxes: dict[tuple[str, int], list[tuple[str, int]]] = {}
            for line, node, number in zip(lines, senders, numbers, strict=True):
                boxes.setdefault((node, number), []).append(line)
            cost = penalty * (len(boxes) - 1)
            for (node, _), inside in boxes.items():
                record = network.nodes[names.nodes.find(node)]
                grams = sum(network.skus[names.skus.find(sku)].weight_grams * units for sku, units in inside)
                zone = int(network.zones[region, names.nodes.find(node)])
                cost += network.carrier_micros(names.services.find("ground"), zone, grams)
                cost += record.package_cost_micros + record.unit_cost_micros * sum(units for _, units in inside)
            found.append((cost, frozenset(senders)))
    return found


@pytest.mark.parametrize("seed", [3, 4])
def test_every_plan_of_a_busy_day_is_found_again(seed: int) -> None:
    """Whatever was decided in between, and however the journal was grouped."""
    twins = Twins(SMALL)
    busy = Busy(twins, seed)
    for sku, node, units in (("A", "dc", 20), ("A", "east", 9), ("B", "dc", 9), ("B", "west", 9)):
        busy.tell(m.SetStock, sku_key=sku, node_key=node, on_hand_units=units)
    for _ in range(250):
        busy.step()
    store = twins.store
    orders = [*store.machine.pool.orders.orders.values()]
    assert len(orders) > 4, f"seed {seed}"
    one_by_one, together = store.journal(), store.journal(9)
    for order in orders:
        told = explain_order(one_by_one, SMALL, order)
        assert told == explain_order(together, SMALL, order), f"seed {seed}"
        assert told, f"seed {seed}"
        for each in told:
            assert replayed(each).reproduced, f"seed {seed}: {each}"


def test_duplicate_lines_are_told_as_asked() -> None:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 1))
    lines = [("A", 1), ("A", 2)]
    told = only(store, store.place(ship(lines)).order.order_id)
    assert told.lines == ((0, 1), (0, 2))
    assert told.reproduced
    assert priced(lines)
    assert Dropped(DropReason.NOT_ENOUGH_STOCK, 1) in told.dropped
