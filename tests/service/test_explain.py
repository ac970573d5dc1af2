"""ExplainOrder on the wire: the same bytes from a server that has just decided, from one that has just started, and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.cli.explanation import explained_offline
from engine.journal import open_journal
from engine.journal.memory import MemoryJournal
from engine.service import orders as servicer
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import orders_pb2 as pb
from stockpool.v1 import planning_pb2 as planning
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2
from stockpool.v1.types_pb2 import Destination
from tests.service.world import EAST, LIMITS, SECOND_NS, World, claim, open_world, place, usd


async def some_orders(world: World) -> None:
    """One placed directly and refused by its node, one from a reservation."""
    await world.stock("sku-1", "east", 5)
    await world.stock("sku-1", "west", 5)
    placed = await world.client.place_order(
        pb.PlaceOrderRequest(
            channel_key="web", order_key="direct", ship_to=Destination(postal_code=EAST),
            lines=[pb.OrderItem(sku_key="sku-1", units=2, unit_price=usd(3))],
        )
    )  # fmt: skip
    assert placed.result.outcome == 1
    held = await world.client.reserve(reservations.ReserveRequest(reservation=claim(("sku-1", 1))))
    work = placed.order.fulfillment_order_ids[0]
    await world.client.reject(
        fulfillment.RejectRequest(fulfillment_order_id=work, reason=fulfillment.REJECT_REASON_DAMAGED)
    )
    request = pb.PlaceOrderRequest(channel_key="web", order_key="held", reservation_id=held.reservation.reservation_id)
    assert (await world.client.place_order(request)).result.outcome == 1


async def explained(world: World, key: str) -> pb.ExplainOrderResponse:
    response = await world.client.explain_order(pb.ExplainOrderRequest(channel_key="web", order_key=key))
    assert response.result.outcome == 1
    return response


async def test_what_is_told() -> None:
    async with open_world() as world:
        await some_orders(world)
        first, again = (await explained(world, "direct")).routings
        assert (first.command, first.replayed, first.reproduced) == ("PlaceOrder", True, True)
        assert (first.policy_key, first.service_key, first.region_key) == ("default", "ground", "100")
        assert {(each.reason, each.node_count) for each in first.dropped} == {
            (pb.DROP_REASON_CLOSED, 1),
            (pb.DROP_REASON_DOES_NOT_SHIP, 2),
        }
        assert [box.node_key for box in first.plan.packages] == ["east"]
        assert [box.node_key for each in first.alternatives for box in each.plan.packages] == ["west"]
        [second] = first.alternatives
        assert second.extra_cost.micros == second.plan.cost.total.micros - first.plan.cost.total.micros > 0
        assert {cell.node_key: cell.atf_units for cell in first.cells} == {"east": 5, "west": 5}
        assert (again.command, again.rejected_fulfillment_order_id) == ("Reject", 1)
        assert [box.node_key for box in again.plan.packages] == ["west"]
        [held] = (await explained(world, "held")).routings
        assert held.reservation_id == 1
        assert held.plan_journal_seq < held.journal_seq
        assert {cell.node_key: cell.atf_units for cell in held.cells} == {"east": 3, "west": 5}


async def test_the_prices_of_then_are_told_with_their_age() -> None:
    async with open_world() as world:
        await world.stock("sku-1", "east", 5)
        await world.client.place_order(place("before", ("sku-1", 1)))
        await world.client.set_prices(planning.SetPricesRequest(plan_key="p", complete=True))
        world.clock.advance(60 * SECOND_NS)
        await world.client.place_order(place("fresh", ("sku-1", 1)))
        world.clock.advance(LIMITS.price_age_max_ns)
        await world.client.place_order(place("late", ("sku-1", 1)))
        [before], [fresh], [late] = [(await explained(world, key)).routings for key in ("before", "fresh", "late")]
        assert not before.HasField("price_plan")
        assert (fresh.price_plan.plan_key, fresh.price_plan.expired, fresh.price_plan.age.seconds) == ("p", False, 60)
        assert (late.price_plan.plan_key, late.price_plan.expired) == ("p", True)


async def test_an_order_that_is_not_known() -> None:
    async with open_world() as world:
        response = await world.client.explain_order(pb.ExplainOrderRequest(order_id=77))
        assert (response.result.outcome, response.result.subject) == (types_pb2.OUTCOME_UNKNOWN_ORDER, "77")


async def test_the_same_bytes_after_a_restart_and_without_a_server(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    journal = open_journal(f"sqlite:///{path}")
    try:
        async with open_world(journal=journal) as world:
            await some_orders(world)
            before = [await explained(world, key) for key in ("direct", "held")]
        async with open_world(journal=journal, filled=False) as world:
            after = [await explained(world, key) for key in ("direct", "held")]
    finally:
        journal.close()
    offline = [explained_offline(f"sqlite:///{path}", None, 0, "web", key) for key in ("direct", "held")]
    assert [each.SerializeToString(deterministic=True) for each in after] == [
        each.SerializeToString(deterministic=True) for each in before
    ]
    assert [each.SerializeToString(deterministic=True) for each in offline] == [
        each.SerializeToString(deterministic=True) for each in before
    ]


async def test_too_far_to_replay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servicer, "EXPLAIN_REPLAY_MAX", 3)
    async with open_world(journal=MemoryJournal()) as world:
        await some_orders(world)
        first, again = (await explained(world, "direct")).routings
    for routing in (first, again):
        assert not routing.replayed
        assert "stockpool order explain" in routing.obstacle
        assert routing.total_cost.micros > 0, "what is kept with the order is told all the same"
