"""Ship to store over the wire: offered, ordered, followed by the store, handed over."""

from __future__ import annotations

import pytest

from engine.client import StockpoolError
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1.types_pb2 import Destination
from tests.service.world import EAST, Outcome, World, lines, place


async def arriving(world: World) -> list[tuple[int, int]]:
    request = fulfillment.ListFulfillmentOrdersRequest(ship_to_node_key="shop-e")
    listed = await world.client.list_fulfillment_orders(request)
    return [(each.fulfillment_order_id, each.state) for each in listed.fulfillment_orders]


async def test_from_the_offer_to_the_buyer(world: World) -> None:
    await world.stock("sku-1", "west", 2)
    shop = (await world.client.get_node(network.GetNodeRequest(node_key="shop-e"))).node
    shop.postal_code = EAST
    await world.client.put_nodes(network.PutNodesRequest(nodes=[shop]))
    request = orders.GetFulfillmentOptionsRequest(
        channel_key="web", lines=lines(("sku-1", 1)), ship_to=Destination(postal_code=EAST), ship_to_store_max=1
    )
    told = await world.client.get_fulfillment_options(request)
    (offer,) = told.ship_to_store_options
    assert (offer.node_key, offer.shipped.available) == ("shop-e", True)
    placed = await world.client.place_order(place("o-1", ("sku-1", 1), ship_to=None, ship_to_node_key=offer.node_key))
    assert placed.result.outcome == Outcome.OK
    assert (placed.cost, placed.order.pickup_node_key) == (offer.shipped.cost, "shop-e")
    (work,) = placed.order.fulfillment_order_ids
    assert await arriving(world) == [(work, fulfillment.FULFILLMENT_ORDER_STATE_OPEN)]
    await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
    await world.client.ship(fulfillment.ShipRequest(fulfillment_order_id=work, tracking="1Z"))
    arrived = await world.client.mark_ready(fulfillment.MarkReadyRequest(fulfillment_order_id=work))
    assert arrived.fulfillment_order.state == fulfillment.FULFILLMENT_ORDER_STATE_ARRIVED
    assert arrived.fulfillment_order.ship_to_node_key == "shop-e"
    await world.client.hand_over(fulfillment.HandOverRequest(fulfillment_order_id=work))
    assert await arriving(world) == []
    order = (await world.client.get_order(orders.GetOrderRequest(order_id=placed.order.order_id))).order
    assert order.state == orders.ORDER_STATE_COMPLETED


async def test_a_list_is_of_one_place(world: World) -> None:
    request = fulfillment.ListFulfillmentOrdersRequest(ship_to_node_key="shop-e", node_key="east")
    with pytest.raises(StockpoolError) as refused:
        await world.client.list_fulfillment_orders(request)
    assert "ship_to_node_key" in str(refused.value)
