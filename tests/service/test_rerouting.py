"""Moving work over the wire: grace, the queue of a node, a move, what events and explanations say of it."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import types_pb2 as types
from tests.service.world import World, place


async def with_grace(world: World, seconds: int) -> None:
    found = await world.client.get_routing_policy(network.GetRoutingPolicyRequest(policy_key="default"))
    found.policy.grace_period.CopyFrom(Duration(seconds=seconds))
    put = await world.client.put_routing_policy(network.PutRoutingPolicyRequest(policy=found.policy))
    assert put.result.outcome == types.OUTCOME_OK
    again = await world.client.get_routing_policy(network.GetRoutingPolicyRequest(policy_key="default"))
    assert again.policy.grace_period.seconds == seconds


async def queue(world: World, node: str, *, with_unreleased: bool = False) -> list[int]:
    request = fulfillment.ListFulfillmentOrdersRequest(node_key=node, with_unreleased=with_unreleased)
    listed = await world.client.list_fulfillment_orders(request)
    return [each.fulfillment_order_id for each in listed.fulfillment_orders]


async def test_an_order_moves_within_its_grace(world: World) -> None:
    await with_grace(world, 600)
    await world.stock("sku-1", "west", 1)
    order = (await world.client.place_order(place("o-1", ("sku-1", 1)))).order
    (work,) = order.fulfillment_order_ids
    assert (await queue(world, "west"), await queue(world, "west", with_unreleased=True)) == ([], [work])
    listed = await world.client.list_fulfillment_orders(
        fulfillment.ListFulfillmentOrdersRequest(order_id=order.order_id)
    )
    assert listed.fulfillment_orders[0].HasField("release_time")
    await world.stock("sku-1", "east", 1)
    request = orders.RerouteOrderRequest(request_id="move", order_id=order.order_id, fulfillment_order_ids=[work])
    moved = await world.client.reroute_order(request)
    assert (moved.result.outcome, moved.moved) == (types.OUTCOME_OK, True)
    assert moved.saving.micros > 0
    assert await world.client.reroute_order(request) == moved, "the first answer again"
    new = moved.order.fulfillment_order_ids[-1]
    assert await queue(world, "east", with_unreleased=True) == [new]
    assert await queue(world, "west", with_unreleased=True) == []
    assert (await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))).result.subject == "MOVED"
    assert (await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=new))).result.outcome == 1
    assert await queue(world, "east") == [new], "who has begun sees it"
    told = await world.client.explain_order(orders.ExplainOrderRequest(order_id=order.order_id))
    assert [each.command for each in told.routings] == ["PlaceOrder", "RerouteOrder"]
    assert all(each.reproduced for each in told.routings)


async def test_without_grace_the_node_is_asked_at_once(world: World) -> None:
    await world.stock("sku-1", "east", 1)
    order = (await world.client.place_order(place("o-1", ("sku-1", 1)))).order
    assert await queue(world, "east") == list(order.fulfillment_order_ids)
    stale = orders.RerouteOrderRequest(order_id=order.order_id, fulfillment_order_ids=[99])
    refused = (await world.client.reroute_order(stale)).result
    assert (refused.outcome, refused.subject) == (types.OUTCOME_STALE_PLAN, str(order.order_id))
    same = await world.client.reroute_order(orders.RerouteOrderRequest(order_id=order.order_id))
    assert (same.result.outcome, same.moved, same.saving.micros) == (types.OUTCOME_OK, False, 0)
    assert same.order.fulfillment_order_ids == order.fulfillment_order_ids
