"""PlanningService over the wire."""

from __future__ import annotations

import asyncio
import logging
from multiprocessing import active_children
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import StockpoolError
from engine.planning.history import DAY_NS
from engine.service import refresh, transfers
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import planning_pb2 as planning
from stockpool.v1.types_pb2 import LineItem
from tests.service.world import LIMITS, Outcome, World, nodes, open_world, until, usd
from tests.unit.test_planning_worker import crash, hang

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


async def sell(world: World, sku_key: str, node_key: str, units: int) -> None:
    line = LineItem(sku_key=sku_key, units=units)
    request = inventory.RecordSaleRequest(channel_key="till", node_key=node_key, lines=[line])
    assert (await world.client.record_sale(request)).result.outcome == Outcome.OK


async def demands(world: World, sku_key: str) -> dict[str, int]:
    shown = await world.client.get_prices(planning.GetPricesRequest(sku_key=sku_key))
    return {each.node_key: each.demand_1024ths for each in shown.prices}


async def test_a_refresh_forecasts_the_demand_of_walk_ins(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stockpool")
    for node in ("shop-e", "shop-w", "east"):
        await world.stock("sku-1", node, 50)
    await world.stock("sku-2", "east", 5)
    for _ in range(14):
        await sell(world, "sku-1", "shop-e", 2)
        world.clock.advance(DAY_NS)
    ask = planning.RefreshPricesRequest(request_id="monday")
    meanwhile = planning.RefreshPricesRequest(request_id="tuesday")
    response, other = await asyncio.gather(*map(world.client.refresh_prices, (ask, meanwhile)))
    assert response == other, "who asks while a refresh is under way gets its result"
    assert response.plan_key == "monday"
    assert "1 of 4 cells changed, by 14 sales of 14.0 days and 0 orders" in caplog.text
    found = await demands(world, "sku-1")
    assert 7 * 1_024 < found["shop-e"] < 14 * 1_024
    assert (found["shop-w"], found["east"]) == (0, 0)
    assert await world.client.refresh_prices(ask) == response
    assert (await world.client.get_status(admin.GetStatusRequest())).price_plan.plan_key == "monday"


async def test_prices_that_are_too_old_do_not_count_and_the_status_says_so(world: World) -> None:
    await world.client.set_prices(planning.SetPricesRequest(plan_key="p", complete=True))
    world.clock.advance(LIMITS.price_age_max_ns - 1)
    assert not (await world.client.get_status(admin.GetStatusRequest())).price_plan.expired
    world.clock.advance(1)
    status = await world.client.get_status(admin.GetStatusRequest())
    assert (status.price_plan.plan_key, status.price_plan.expired) == ("p", True)
    assert status.price_plan.age == Duration(seconds=LIMITS.price_age_max_ns // SECOND_NS)
    await world.client.set_prices(planning.SetPricesRequest(plan_key="q", complete=True))
    status = await world.client.get_status(admin.GetStatusRequest())
    assert (status.price_plan.plan_key, status.price_plan.expired) == ("q", False)


async def test_a_planning_process_that_fails_changes_nothing_and_is_told(world: World, monkeypatch: Any) -> None:
    await world.stock("sku-1", "shop-e", 50)
    await sell(world, "sku-1", "shop-e", 2)
    monkeypatch.setattr(refresh, "find_prices", crash)
    with pytest.raises(StockpoolError) as failed:
        await world.client.refresh_prices(planning.RefreshPricesRequest())
    assert failed.value.reason == "PLANNING_FAILED"
    assert "its process ended (exit code -11)" in str(failed.value)
    assert await demands(world, "sku-1") == {"shop-e": 0}
    status = await world.client.get_status(admin.GetStatusRequest())
    assert status.price_problem == "its process ended (exit code -11)"
    assert not status.HasField("price_plan")


async def test_the_cadence_goes_on_after_a_failure(monkeypatch: Any) -> None:
    monkeypatch.setattr(refresh, "find_prices", crash)
    async with open_world(price_refresh_s=1) as world, asyncio.timeout(120):
        await world.stock("sku-1", "shop-e", 50)
        await sell(world, "sku-1", "shop-e", 2)
        while not (await world.client.get_status(admin.GetStatusRequest())).price_problem:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        monkeypatch.undo()
        while (await world.client.get_status(admin.GetStatusRequest())).price_problem:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        assert (await demands(world, "sku-1"))["shop-e"] > 0


async def test_a_server_that_closes_ends_a_refresh_under_way(monkeypatch: Any) -> None:
    monkeypatch.setattr(refresh, "find_prices", hang)
    async with open_world() as world:
        call = asyncio.ensure_future(world.client.refresh_prices(planning.RefreshPricesRequest()))
        await until(lambda: any(child.name == "planning" for child in active_children()))
        await world.server.close()
        assert not any(child.name == "planning" for child in active_children())
        with pytest.raises(StockpoolError) as ended:
            await call
        assert ended.value.reason == "NOT_SERVING"


async def stock_where_nobody_comes(world: World) -> None:
    """Nine at east; nobody comes there, and three want one in the west, at a margin of 20."""
    located = [node for node in nodes() if node.node_key == "west"]
    located[0].postal_code = "90001"
    await world.client.put_nodes(network.PutNodesRequest(nodes=located))
    await world.stock("sku-1", "east", 9)
    await world.stock("sku-1", "west", 0)
    sku = network.Sku(sku_key="sku-1", weight_grams=400, unit_margin=usd(20))
    await world.client.put_skus(network.PutSkusRequest(skus=[sku]))
    west = planning.SetPricesRequest(
        plan_key="p", sku_keys=["sku-1"], node_keys=["west"], price_micros=[0], demand_1024ths=[3 << 10], complete=True
    )
    await world.client.set_prices(west)


async def test_transfers_are_suggested_where_units_are_worth_more(world: World) -> None:
    await stock_where_nobody_comes(world)
    told = await world.client.suggest_transfers(planning.SuggestTransfersRequest())
    (transfer,) = told.transfers
    assert (transfer.sku_key, transfer.from_node_key, transfer.to_node_key) == ("sku-1", "east", "west")
    assert transfer.units >= 2
    assert told.price_plan.plan_key == "p"
    more = planning.SuggestTransfersRequest(gain_min=transfer.gain)
    assert (await world.client.suggest_transfers(more)).transfers == told.transfers
    more.gain_min.micros += 1
    assert not (await world.client.suggest_transfers(more)).transfers


async def test_without_prices_nothing_is_suggested(world: World) -> None:
    ask = planning.SuggestTransfersRequest()
    assert await world.client.suggest_transfers(ask) == planning.SuggestTransfersResponse()
    await stock_where_nobody_comes(world)
    world.clock.advance(LIMITS.price_age_max_ns)
    told = await world.client.suggest_transfers(ask)
    assert (len(told.transfers), told.price_plan.expired) == (0, True)


async def test_a_process_that_finds_no_transfers_is_told(world: World, monkeypatch: Any) -> None:
    await stock_where_nobody_comes(world)
    monkeypatch.setattr(transfers, "find_transfers", crash)
    with pytest.raises(StockpoolError) as failed:
        await world.client.suggest_transfers(planning.SuggestTransfersRequest())
    assert (failed.value.reason, "found no transfers" in str(failed.value)) == ("PLANNING_FAILED", True)


async def test_what_is_asked_of_transfers_is_checked(world: World) -> None:
    ask = planning.SuggestTransfersRequest(gain_min=usd(-1), page_size=LIMITS.page_size_max + 1)
    with pytest.raises(StockpoolError) as failed:
        await world.client.suggest_transfers(ask)
    assert {"gain_min.micros", "page_size"} == {each.field for each in failed.value.fields}
