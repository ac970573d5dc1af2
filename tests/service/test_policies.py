"""Routing policies on the wire: told as they were put, refused with the field, drafts and versions, orders that wait, explanations."""

from __future__ import annotations

import pytest

from engine.client import StockpoolError
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2 as types
from stockpool.v1.types_pb2 import Destination
from tests.service.world import EAST, World, claim, usd


def default(*rules: network.RoutingRule, draft: bool = False) -> network.RoutingPolicy:
    return network.RoutingPolicy(
        policy_key="default", default_service_key="ground", allow_unit_split=True, split_penalty=usd(2), rules=rules,
        draft=draft,
    )  # fmt: skip


def big(after: network.AfterAction) -> network.RoutingRule:
    return network.RoutingRule(name="big", applies=network.RuleConditions(units_min=3), after=after)


REST = network.RoutingRule(name="rest")


async def put(world: World, policy: network.RoutingPolicy) -> int:
    response = await world.client.put_routing_policy(network.PutRoutingPolicyRequest(policy=policy))
    assert response.result.outcome == types.OUTCOME_OK
    return response.version


async def place(world: World, key: str, units: int) -> orders.PlaceOrderResponse:
    return await world.client.place_order(
        orders.PlaceOrderRequest(
            channel_key="web", order_key=key, ship_to=Destination(postal_code=EAST),
            lines=[orders.OrderItem(sku_key="sku-1", units=units, unit_price=usd(3))],
        )
    )  # fmt: skip


async def test_a_policy_is_told_as_it_was_put(world: World) -> None:
    node = (await world.client.get_node(network.GetNodeRequest(node_key="east"))).node
    node.groups.extend(["own", "big"])
    node.performance_penalty.CopyFrom(usd(0.5))
    node.capacity_price.CopyFrom(usd(1))
    await world.client.put_nodes(network.PutNodesRequest(nodes=[node]))
    assert (await world.client.get_node(network.GetNodeRequest(node_key="east"))).node == node
    full = network.RoutingRule(
        name="near and cheap",
        applies=network.RuleConditions(
            service_keys=["ground"], value_min=usd(1), value_max=usd(90), units_min=1, units_max=9, lines_min=1,
            lines_max=4, region_prefixes=["1"],
        ),
        candidates=network.RuleCandidates(
            groups_any=["own"], groups_none=["big"], kinds=[network.NODE_KIND_WAREHOUSE], distance_km_max=500,
            keep_units=2,
        ),
        form=network.RuleForm(packages_max=3, split_value_min=usd(50), unit_split=False),
        after=network.AFTER_ACTION_NEXT,
    )  # fmt: skip
    policy = default(full, big(network.AFTER_ACTION_HOLD), REST)
    policy.weights.CopyFrom(network.RoutingWeights(carrier=100, handling=90, price=80, performance=70, capacity=1))
    policy.version = await put(world, policy)
    policy.rules[2].after = network.AFTER_ACTION_NEXT
    got = (await world.client.get_routing_policy(network.GetRoutingPolicyRequest(policy_key="default"))).policy
    assert got == policy


async def test_a_draft_is_in_force_when_it_is_activated(world: World) -> None:
    await world.stock("sku-1", "east", 9)
    version = await put(world, default(big(network.AFTER_ACTION_REFUSE), draft=True))
    draft = network.GetRoutingPolicyRequest(policy_key="default", draft=True)
    assert (await world.client.get_routing_policy(draft)).policy.version == version
    request = reservations.ReserveRequest(reservation=claim(("sku-1", 1)))
    assert (await world.client.reserve(request)).result.outcome == types.OUTCOME_OK
    listed = (await world.client.list_routing_policies(network.ListRoutingPoliciesRequest())).policies
    assert [(each.policy_key, each.draft) for each in listed] == [("default", False), ("default", True)]
    activate = network.ActivateRoutingPolicyRequest(policy_key="default", version=version)
    activated = await world.client.activate_routing_policy(activate)
    assert (activated.result.outcome, activated.version) == (types.OUTCOME_OK, version)
    refused = await world.client.reserve(reservations.ReserveRequest(reservation=claim(("sku-1", 1))))
    assert (refused.result.outcome, refused.result.subject) == (types.OUTCOME_NO_PLAN, "")
    again = network.ActivateRoutingPolicyRequest(policy_key="default")
    assert (await world.client.activate_routing_policy(again)).result.outcome == types.OUTCOME_UNKNOWN_POLICY
    assert (await world.client.get_routing_policy(draft)).result.outcome == types.OUTCOME_UNKNOWN_POLICY


async def test_an_order_on_hold_is_released_and_explained(world: World) -> None:
    await world.stock("sku-1", "east", 2)
    version = await put(world, default(big(network.AFTER_ACTION_HOLD), REST))
    placed = await place(world, "big one", 4)
    assert (placed.result.outcome, placed.order.state) == (types.OUTCOME_PARTIAL, orders.ORDER_STATE_ON_HOLD)
    assert [(each.requested_units, each.available_units) for each in placed.shortages] == [(4, 0)]
    await world.stock("sku-1", "west", 9)
    released = await world.client.release_order(orders.ReleaseOrderRequest(order_id=placed.order.order_id))
    assert (released.result.outcome, released.order.state) == (types.OUTCOME_OK, orders.ORDER_STATE_ROUTED)
    assert released.cost.total.micros > 0
    again = await world.client.release_order(orders.ReleaseOrderRequest(order_id=placed.order.order_id))
    assert again.result.outcome == types.OUTCOME_INVALID_TRANSITION
    told = await world.client.explain_order(orders.ExplainOrderRequest(channel_key="web", order_key="big one"))
    held, sent = told.routings
    assert (held.command, sent.command) == ("PlaceOrder", "ReleaseOrder")
    for each in (held, sent):
        assert (each.replayed, each.reproduced, each.policy_version) == (True, True, version)
        assert each.plan.rule == "big"
    assert held.after == network.AFTER_ACTION_HOLD
    assert [(rule.name, rule.verdict) for rule in held.rules] == [
        ("big", orders.RULE_VERDICT_TOO_FEW_UNITS), ("rest", orders.RULE_VERDICT_UNSPECIFIED),
    ]  # fmt: skip
    assert sent.rules[0].verdict == orders.RULE_VERDICT_SERVED


async def test_a_change_takes_effect_at_once(world: World) -> None:
    await world.stock("sku-1", "east", 9)
    assert (await place(world, "a", 3)).result.outcome == types.OUTCOME_OK
    await put(world, default(network.RoutingRule(name="small", applies=network.RuleConditions(units_max=2))))
    assert (await place(world, "b", 3)).result.outcome == types.OUTCOME_NO_PLAN
    await put(world, default())
    assert (await place(world, "b", 3)).result.outcome == types.OUTCOME_OK


@pytest.mark.parametrize(
    ("rule", "field"),
    [
        (network.RoutingRule(), "name"),
        (network.RoutingRule(name="a", after=9), "after"),  # type: ignore[arg-type]
        (network.RoutingRule(name="a", applies=network.RuleConditions(units_min=-1)), "applies.units_min"),
        (network.RoutingRule(name="a", applies=network.RuleConditions(lines_max=99)), "applies.lines_max"),
        (network.RoutingRule(name="a", applies=network.RuleConditions(units_min=3, units_max=2)), "applies.units_max"),
        (network.RoutingRule(name="a", applies=network.RuleConditions(service_keys=["boat"])), "applies.service_keys[0]"),
        (network.RoutingRule(name="a", applies=network.RuleConditions(region_prefixes=["7"])), "applies.region_prefixes[0]"),
        (network.RoutingRule(name="a", applies=network.RuleConditions(region_prefixes=["1"] * 101)), "applies.region_prefixes"),
        (network.RoutingRule(name="a", candidates=network.RuleCandidates(groups_any=["new"])), "candidates.groups_any[0]"),
        (network.RoutingRule(name="a", candidates=network.RuleCandidates(kinds=[7])), "candidates.kinds[0]"),  # type: ignore[list-item]
        (network.RoutingRule(name="a", candidates=network.RuleCandidates(distance_km_max=-1)), "candidates.distance_km_max"),
        (network.RoutingRule(name="a", form=network.RuleForm(packages_max=101)), "form.packages_max"),
        (network.RoutingRule(name="a", form=network.RuleForm(packages_max=1, unit_split=True)), "form.unit_split"),
    ],
)  # fmt: skip
async def test_what_is_wrong_with_a_rule_is_told_with_its_place(
    world: World, rule: network.RoutingRule, field: str
) -> None:
    with pytest.raises(StockpoolError) as caught:
        await put(world, default(REST, rule))
    assert f"policy.rules[1].{field}" in str(caught.value)
    kept = (await world.client.get_routing_policy(network.GetRoutingPolicyRequest(policy_key="default"))).policy
    assert not kept.rules


async def test_too_many_rules_and_weights_that_say_nothing(world: World) -> None:
    many = [network.RoutingRule(name=f"r{at}") for at in range(16)]
    nothing = default()
    nothing.weights.SetInParent()
    heavy = default()
    heavy.weights.CopyFrom(network.RoutingWeights(carrier=1_001))
    for policy, field in (
        (default(*many), "policy.rules"),
        (nothing, "policy.weights"),
        (heavy, "policy.weights.carrier"),
    ):
        with pytest.raises(StockpoolError) as caught:
            await put(world, policy)
        assert field in str(caught.value)
