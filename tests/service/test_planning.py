"""PlanningService over the wire."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import planning_pb2 as planning
from tests.service.world import Outcome, World, usd

SECOND_NS = 1_000_000_000


async def test_prices_are_written_in_parts_and_shown_with_their_age(world: World) -> None:
    await world.stock("sku-1", "east", 5)
    await world.stock("sku-1", "west", 5)
    first = planning.SetPricesRequest(
        plan_key="monday", sku_keys=["sku-1"], node_keys=["east"], price_micros=[2_500_000], demand_1024ths=[1_536]
    )
    response = await world.client.set_prices(first)
    assert (response.result.outcome, response.row_count, response.cell_count, response.changed_count) == (1, 1, 1, 1)
    shown = await world.client.get_prices(planning.GetPricesRequest(sku_key="sku-1"))
    assert not shown.HasField("price_plan")
    await world.client.set_prices(planning.SetPricesRequest(plan_key="monday", complete=True))
    world.clock.advance(90 * SECOND_NS)
    shown = await world.client.get_prices(planning.GetPricesRequest(sku_key="sku-1"))
    assert shown.price_plan.plan_key == "monday"
    assert shown.price_plan.age == Duration(seconds=90)
    assert [(each.node_key, each.price, each.demand_1024ths) for each in shown.prices] == [
        ("east", usd(2.5), 1_536),
        ("west", usd(0), 0),
    ]


async def test_events_tell_prices(world: World) -> None:
    await world.stock("sku-1", "east", 5)
    request = planning.SetPricesRequest(
        plan_key="p", sku_keys=["sku-1"], node_keys=["east"], price_micros=[7], demand_1024ths=[8], complete=True
    )
    seq = (await world.client.set_prices(request)).result.journal_seq
    stream = world.client.stream_events(admin.StreamEventsRequest(from_seq=seq))
    (event,) = (await anext(stream)).events
    await stream.aclose()
    assert event.command == "SetPrices"
    assert event.effects[0].price_set == admin.PriceSet(
        sku_key="sku-1", node_key="east", price_micros=7, demand_1024ths=8
    )
    assert event.effects[1].network_changed == admin.NetworkChanged(kind="price_plan", key="p")


async def test_the_margin_of_a_sku_is_kept(world: World) -> None:
    sku = network.Sku(sku_key="sku-1", unit_margin=usd(3))
    await world.client.put_skus(network.PutSkusRequest(skus=[sku]))
    shown = await world.client.get_sku(network.GetSkuRequest(sku_key="sku-1"))
    assert shown.sku.unit_margin == usd(3)
    assert shown.result.outcome == Outcome.OK
