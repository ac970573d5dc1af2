"""RunWave over the wire, on request and on the cadence: with a process of its own that may crash."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import StockpoolError
from engine.service import waves
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import planning_pb2 as planning
from tests.service.test_rerouting import with_grace
from tests.service.world import Outcome, World, ingest, open_world, place
from tests.unit.test_planning_worker import crash

ORDERS = 6
WAVE = planning.RunWaveRequest(think_time=Duration(seconds=20))


async def crossed(world: World) -> list[int]:
    """Orders to the east whose units are in the west, though there are nearer ones by now; in their grace."""
    await with_grace(world, 3_600)
    await world.stock("sku-1", "west", ORDERS)
    ids = [(await world.client.place_order(place(f"o-{at}", ("sku-1", 1)))).order.order_id for at in range(ORDERS)]
    await world.stock("sku-1", "east", ORDERS - 2)
    return ids


async def nodes_of(world: World, order_id: int) -> list[tuple[str, int]]:
    request = fulfillment.ListFulfillmentOrdersRequest(order_id=order_id)
    listed = await world.client.list_fulfillment_orders(request)
    return [(each.node_key, each.state) for each in listed.fulfillment_orders]


async def test_a_wave_moves_what_is_better_elsewhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "stockpool")
    ids = await crossed(world)
    first, second = await asyncio.gather(world.client.run_wave(WAVE, timeout_s=120), world.client.run_wave(WAVE))
    assert first == second, "who asks while a wave is under way gets its result"
    assert first.result.outcome == Outcome.OK
    assert (first.order_count, first.proposed_count, first.moved_count) == (ORDERS, ORDERS - 2, ORDERS - 2)
    assert first.saving.micros > 0
    assert (first.gap_ppm, first.timed_out, first.stranded_count) == (0, False, 0)
    assert f"wave: {ORDERS} orders, {ORDERS - 2} better elsewhere, {ORDERS - 2} moved" in caplog.text
    last = [(await nodes_of(world, each))[-1][0] for each in ids]
    assert (last.count("east"), last.count("west")) == (ORDERS - 2, 2)
    again = await world.client.run_wave(WAVE)
    assert (again.order_count, again.proposed_count, again.saving.micros) == (ORDERS, 0, 0)
    moved = next(order_id for order_id, node in zip(ids, last, strict=True) if node == "east")
    told = await world.client.explain_order(orders.ExplainOrderRequest(order_id=moved))
    assert [(each.command, each.proposed) for each in told.routings] == [("PlaceOrder", False), ("RerouteOrder", True)]
    assert all(each.reproduced for each in told.routings)
    audit = await world.client.audit_invariants(admin.AuditInvariantsRequest())
    assert not audit.findings


async def test_a_wave_of_nobody_and_of_nothing(world: World) -> None:
    nothing = await world.client.run_wave(WAVE)
    assert (nothing.result.outcome, nothing.order_count, nothing.gap_ppm) == (Outcome.OK, 0, 0)
    nobody = await world.client.run_wave(planning.RunWaveRequest(channel_key="nobody"))
    assert (nobody.result.outcome, nobody.result.subject) == (Outcome.UNKNOWN_CHANNEL, "nobody")


@pytest.mark.parametrize("seconds", [-1, 0, 601])
async def test_time_to_think_has_limits(world: World, seconds: int) -> None:
    with pytest.raises(StockpoolError) as refused:
        await world.client.run_wave(planning.RunWaveRequest(think_time=Duration(seconds=seconds)))
    assert "think_time" in str(refused.value)


async def test_a_process_that_crashes_moves_nothing(world: World, monkeypatch: Any) -> None:
    ids = await crossed(world)
    monkeypatch.setattr(waves, "find_moves", crash)
    with pytest.raises(StockpoolError) as failed:
        await world.client.run_wave(WAVE)
    assert failed.value.reason == "PLANNING_FAILED"
    assert [await nodes_of(world, each) for each in ids] == [[("west", 1)]] * ORDERS
    monkeypatch.undo()
    assert (await world.client.run_wave(WAVE)).moved_count == ORDERS - 2


async def test_what_changes_while_a_wave_thinks_stays(world: World, monkeypatch: Any) -> None:
    """A node begins, and a till sells the unit that another order was to get, between the plan and its moves."""
    ids = await crossed(world)
    honest = waves._Wave._move
    busy = asyncio.Lock()

    async def move(self: Any, group: Any) -> None:
        async with busy:
            if not self._groups:
                await world.stock("sku-1", "east", 1)
                work = (await world.client.get_order(orders.GetOrderRequest(order_id=group[0].order_id))).order
                (begun,) = work.fulfillment_order_ids
                await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=begun))
        await honest(self, group)

    monkeypatch.setattr(waves._Wave, "_move", move)
    told = await world.client.run_wave(WAVE)
    assert (told.proposed_count, told.moved_count) == (ORDERS - 2, 1)
    last = [(await nodes_of(world, each))[-1][0] for each in ids]
    assert last.count("east") == 1
    assert not (await world.client.audit_invariants(admin.AuditInvariantsRequest())).findings


async def test_on_the_cadence_closed_nodes_are_left_and_short_units_are_sent() -> None:
    async with open_world(wave_every_s=1, wave_think_s=5) as world, asyncio.timeout(120):
        await world.stock("sku-1", "west", 1)
        stranded = (await world.client.place_order(place("o-1", ("sku-1", 1)))).order.order_id
        short = (await world.client.ingest_order(ingest("m-1", ("sku-2", 1)))).order
        assert short.state == orders.ORDER_STATE_BACKORDERED
        await world.stock("sku-1", "east", 1)
        await world.stock("sku-2", "east", 1)
        west = (await world.client.get_node(network.GetNodeRequest(node_key="west"))).node
        west.closed = True
        await world.client.put_nodes(network.PutNodesRequest(nodes=[west]))

        async def done() -> bool:
            moved = (await nodes_of(world, stranded))[-1][0] == "east"
            state = (await world.client.get_order(orders.GetOrderRequest(order_id=short.order_id))).order.state
            return moved and state == orders.ORDER_STATE_ROUTED

        while not await done():  # noqa: ASYNC110 - nobody here can be told
            await asyncio.sleep(0.1)
