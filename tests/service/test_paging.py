"""Lists: every entry once, in order, whatever the size of the page."""

from __future__ import annotations

from typing import Any

import pytest

from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import types_pb2 as types
from tests.service.world import Outcome, World, ingest, place


async def pages(call: Any, request: Any, field: str, page_size: int) -> list[list[Any]]:
    found = []
    while True:
        request.page_size = page_size
        response = await call(request)
        assert response.result.outcome == Outcome.OK
        found.append(list(getattr(response, field)))
        if not response.next_page_token:
            return found
        request.page_token = response.next_page_token


@pytest.mark.parametrize("page_size", [1, 2, 5, 6, 0])
async def test_network_lists(world: World, page_size: int) -> None:
    nodes = await pages(world.client.list_nodes, network.ListNodesRequest(), "nodes", page_size)
    assert [node.node_key for page in nodes for node in page] == ["east", "west", "shop-e", "shop-w", "shut"]
    skus = await pages(world.client.list_skus, network.ListSkusRequest(), "skus", page_size)
    assert [sku.sku_key for page in skus for sku in page] == [f"sku-{number}" for number in range(1, 6)]
    assert all(len(page) == page_size for page in nodes[:-1])


async def test_what_was_put_is_what_is_got(world: World) -> None:
    node = network.Node(
        node_key="north",
        name="Nordlager",
        kind=network.NODE_KIND_WAREHOUSE,
        latitude=60.2,
        longitude=-24.9,
        postal_code="10002",
        ships=True,
        accepts_returns=True,
        package_cost=types.Money(currency_code="USD", micros=1_500_000),
        unit_cost=types.Money(currency_code="USD", micros=5),
        default_safety_stock_units=3,
    )
    await world.client.put_nodes(network.PutNodesRequest(nodes=[node]))
    assert (await world.client.get_node(network.GetNodeRequest(node_key="north"))).node == node
    channel = network.Channel(
        channel_key="app", name="The app", node_keys=["east", "north"], threshold_units=2, policy_key="default"
    )
    await world.client.put_channels(network.PutChannelsRequest(channels=[channel]))
    assert (await world.client.get_channel(network.GetChannelRequest(channel_key="app"))).channel == channel
    listed = await world.client.list_channels(network.ListChannelsRequest())
    assert [one.channel_key for one in listed.channels] == ["web", "till", "market", "app"]
    cards = (await world.client.list_rate_cards(network.ListRateCardsRequest())).rate_cards
    assert [card.service_key for card in cards] == ["ground", "express"]
    card = await world.client.get_rate_card(network.GetRateCardRequest(service_key="express"))
    assert card.rate_card == cards[1]
    chart = (await world.client.get_zone_chart(network.GetZoneChartRequest())).zone_chart
    assert [region.region_key for region in chart.regions] == ["100", "900"]
    chart.pair_origins.append("100")
    chart.pair_destinations.append("900")
    chart.pair_zones.append(3)
    await world.client.put_zone_chart(network.PutZoneChartRequest(zone_chart=chart))
    assert (await world.client.get_zone_chart(network.GetZoneChartRequest())).zone_chart == chart
    policies = (await world.client.list_routing_policies(network.ListRoutingPoliciesRequest())).policies
    got = await world.client.get_routing_policy(network.GetRoutingPolicyRequest(policy_key="default"))
    assert list(policies) == [got.policy]
    assert got.policy.split_penalty.micros == 2_000_000


async def test_a_channel_without_a_policy_has_the_default(world: World) -> None:
    await world.client.put_channels(network.PutChannelsRequest(channels=[network.Channel(channel_key="app")]))
    got = await world.client.get_channel(network.GetChannelRequest(channel_key="app"))
    assert got.channel.policy_key == "default"


@pytest.mark.parametrize("page_size", [1, 3, 4, 100])
async def test_movements_newest_first_with_who_asked(world: World, page_size: int) -> None:
    for number in range(1, 8):
        await world.client.adjust_stock(
            inventory.AdjustStockRequest(
                request_id=f"count-{number}",
                sku_key="sku-1",
                node_key="east",
                delta_units=number,
                reason=types.STOCK_REASON_CORRECTION,
                reference=f"sheet {number}",
            )
        )
        await world.stock("sku-2", "east", number)  # other cells' movements lie in between
    request = inventory.ListMovementsRequest(sku_key="sku-1", node_key="east")
    found = await pages(world.client.list_movements, request, "movements", page_size)
    moves = [move for page in found for move in page]
    assert [move.request_id for move in moves] == [f"count-{number}" for number in range(7, 0, -1)]
    assert [move.reference for move in moves] == [f"sheet {number}" for number in range(7, 0, -1)]
    assert [move.delta_units for move in moves] == list(range(7, 0, -1))
    assert [move.balance_units for move in moves] == [28, 21, 15, 10, 6, 3, 1]
    assert {move.reason for move in moves} == {types.STOCK_REASON_CORRECTION}
    assert all(move.time.seconds and move.quantity == types.QUANTITY_ON_HAND for move in moves)
    assert [move.journal_seq for move in moves] == sorted({move.journal_seq for move in moves}, reverse=True)


async def test_movements_from_before_the_journal_was_cut(world: World) -> None:
    """They are remembered; only who asked for them is gone."""
    for number in range(1, 7):
        request = inventory.SetStockRequest(
            request_id=f"count-{number}", sku_key="sku-1", node_key="east", on_hand_units=number, reference="sheet"
        )
        await world.client.set_stock(request)
    mark = world.journal.mark(world.writer.last_seq - 2)
    assert mark is not None
    world.journal.cut(mark)
    response = await world.client.list_movements(inventory.ListMovementsRequest(sku_key="sku-1", node_key="east"))
    assert [move.balance_units for move in response.movements] == [6, 5, 4, 3, 2, 1]
    assert [(move.request_id, move.reference) for move in response.movements] == [
        ("count-6", "sheet"), ("count-5", "sheet"), *[("", "")] * 4,
    ]  # fmt: skip


async def test_movements_of_a_cell_that_never_moved(world: World) -> None:
    request = inventory.ListMovementsRequest(sku_key="sku-1", node_key="east")
    response = await world.client.list_movements(request)
    assert (response.result.outcome, list(response.movements), response.next_page_token) == (Outcome.OK, [], "")


@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_work_of_a_node(world: World, page_size: int) -> None:
    await world.stock("sku-1", "east", 100)
    placed = [(await world.client.place_order(place(f"o-{number}", ("sku-1", 1)))).order for number in range(5)]
    work = [order.fulfillment_order_ids[0] for order in placed]
    await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work[1]))
    await world.client.ship(fulfillment.ShipRequest(fulfillment_order_id=work[1], tracking="1Z999"))
    call = world.client.list_fulfillment_orders
    request = fulfillment.ListFulfillmentOrdersRequest
    to_do = await pages(call, request(node_key="east"), "fulfillment_orders", page_size)
    assert [one.order_key for page in to_do for one in page] == ["o-0", "o-2", "o-3", "o-4"]
    gone = await pages(
        call,
        request(node_key="east", states=[fulfillment.FULFILLMENT_ORDER_STATE_SHIPPED]),
        "fulfillment_orders",
        page_size,
    )
    (parcel,) = (one for page in gone for one in page)
    assert (parcel.fulfillment_order_id, parcel.tracking, parcel.zone, parcel.weight_grams) == (
        work[1],
        "1Z999",
        1,
        500,
    )
    assert (parcel.carrier_cost.micros, parcel.handling_cost.micros) == (5_000_000, 1_100_000)
    of_order = await call(request(order_id=placed[1].order_id))
    assert [one.fulfillment_order_id for one in of_order.fulfillment_orders] == [work[1]], "closed work of an order too"


async def test_work_of_an_order_at_several_nodes(world: World) -> None:
    await world.stock("sku-1", "east", 1)
    await world.stock("sku-1", "west", 1)
    order = (await world.client.ingest_order(ingest("m-1", ("sku-1", 3)))).order
    listed = await world.client.list_fulfillment_orders(
        fulfillment.ListFulfillmentOrdersRequest(order_id=order.order_id)
    )
    assert [(one.node_key, one.lines[0].units) for one in listed.fulfillment_orders] == [("east", 1), ("west", 1)]
    one_node = await world.client.list_fulfillment_orders(
        fulfillment.ListFulfillmentOrdersRequest(order_id=order.order_id, node_key="west")
    )
    assert [one.node_key for one in one_node.fulfillment_orders] == ["west"]
