"""A whole bench against a real server: processes of the load, the world, the recount, and a store that is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from engine.bench.plan import BATCH, COLUMNS, RESERVE, BenchError, Goods, Point
from engine.bench.session import Session, World
from engine.bench.world import goods_of_world, recount
from engine.model.limits import Limits
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import types_pb2
from tests.service.world import LIMITS, open_world

CLOSED = Point(RESERVE, 1, 2, 0.5, 3, 0.0, 0.5, 0.1, 10.0)
OPEN = replace(CLOSED, in_flight=0, rate=200.0)
BATCHES = replace(CLOSED, call=BATCH, items=20, in_flight=1)
IN_COLUMNS = replace(BATCHES, call=COLUMNS)
WIDE = Limits(nodes_max=16, skus_max=64, cells_max=256, open_reservations_max=100_000, reservation_legs_max=200_000)


async def test_a_world_of_its_own_is_sold_out_and_recounted() -> None:
    said: list[str] = []
    async with open_world(limits=WIDE, filled=False) as world:
        session = Session(world.target, None, None, None, World(12, 3, 40), 2, 1)
        result = await session.run([CLOSED, OPEN, IN_COLUMNS, BATCHES], said.append)
        assert result.is_ok, result.recount
        assert result.recount is not None
        assert 0 < result.recount.granted_units <= 12 * 3 * 40
        assert [one.processes for one in result.measured] == [2, 2, 1, 1]
        assert all(one.tally.latencies.count for one in result.measured)
        assert not any(one.tally.failures for one in result.measured), result.measured
        assert all(one.tally.outcomes.keys() - {1} for one in result.measured[2:]), "what is short is refused"
        assert {"recounting", "making a world: 12 SKUs at each of 3 nodes"} <= set(said)
        with pytest.raises(BenchError, match="holds a store already"):
            await session.run([CLOSED], said.append)
        # A unit that nobody was granted, and one that was granted and is not held.
        goods = goods_of_world(12, 3)
        granted: Any = Counter(dict.fromkeys(range(12), 0))
        wrong = await recount(world.client, goods, 40, granted, Counter())
        assert not wrong.is_ok
        assert any("0 were granted" in problem for problem in wrong.problems)


async def test_in_a_store_that_is_there_only_what_was_named_is_reserved() -> None:
    async with open_world(limits=replace(LIMITS, open_reservations_max=10_000, reservation_legs_max=20_000)) as world:
        for sku_key in ("sku-1", "sku-2", "sku-3"):
            await world.stock(sku_key, "shop-e", 1_000_000)
        named = Goods("web", ("sku-1", "sku-2"), ("shop-e",), ttl_s=3_600)
        result = await Session(world.target, None, None, named, World(1, 1, 1), 1, 1).run([CLOSED], lambda _: None)
        assert result.is_ok
        assert result.recount is None
        tally = result.measured[0].tally
        assert tally.granted > 0
        request = inventory.BatchGetAvailabilityRequest(
            channel_key="web",
            sku_keys=["sku-1", "sku-2", "sku-3"],
            kind=types_pb2.FULFILLMENT_KIND_PICKUP,
            node_key="shop-e",
        )
        told = await world.client.batch_get_availability(request)
        left = [one.ats_units for one in told.availabilities]
        assert [1_000_000 - units for units in left] == [tally.granted_units[0], tally.granted_units[1], 0]
        for wrong, complaint in (
            (replace(named, sku_keys=("sku-1", "nothing")), "does not know nothing"),
            (replace(named, channel_key="nowhere"), "does not know nowhere"),
            (replace(named, sku_keys=("sku-1",)), "2 lines need as many SKUs"),
        ):
            with pytest.raises(BenchError, match=complaint):
                await Session(world.target, None, None, wrong, World(1, 1, 1), 1, 1).run([CLOSED], lambda _: None)


async def test_a_server_that_is_not_there_is_told() -> None:
    session = Session("localhost:1", None, None, None, World(12, 3, 40), 1, 1)
    with pytest.raises(BenchError, match="failed at localhost:1"):
        await session.run([CLOSED], lambda _: None)
