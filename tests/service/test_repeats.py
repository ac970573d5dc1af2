"""The same request id: the same body gets the first answer again, byte for byte; another body gets REQUEST_ID_REUSED."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import StockpoolError
from engine.client.attempts import AGE_KEY
from engine.journal.memory import MemoryJournal, Tape
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1.reservations_pb2_grpc import ReservationServiceStub
from stockpool.v1.types_pb2 import Destination
from tests.service.world import (
    LIMITS,
    SECOND_NS,
    Outcome,
    World,
    claim,
    ingest,
    lines,
    nodes,
    open_world,
    place,
    rate_card,
    reserve,
    zone_chart,
)

ID = "the-same"
Make = Callable[[World], Awaitable[Any]]


async def _order(world: World) -> orders.Order:
    await world.stock("sku-1", "shop-e", 9)
    return (await world.client.place_order(place("first", ("sku-1", 2), pickup_node_key="shop-e"))).order


async def _work(world: World, *steps: str) -> int:
    work = (await _order(world)).fulfillment_order_ids[0]
    for step in steps:
        request: Any = {"accept": fulfillment.AcceptRequest, "mark_ready": fulfillment.MarkReadyRequest}[step]
        await getattr(world.client, step)(request(fulfillment_order_id=work))
    return work


async def _parcel(world: World) -> int:
    await world.stock("sku-1", "east", 9)
    placed = await world.client.place_order(place("first", ("sku-1", 2)))
    work = placed.order.fulfillment_order_ids[0]
    await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
    return work


async def _reservation(world: World) -> int:
    await world.stock("sku-1", "east", 9)
    return (await world.client.reserve(reserve(("sku-1", 2)))).reservation.reservation_id


async def _return(world: World) -> int:
    request = returns.AuthorizeReturnRequest(
        channel_key="web", lines=[returns.ReturnItem(sku_key="sku-1", units=2)], drop_off_node_key="shop-e"
    )
    return (await world.client.authorize_return(request)).return_order.return_id


async def _now(request: Any) -> Any:
    return request


async def _extend(world: World) -> Any:
    reservation_id = await _reservation(world)
    return reservations.ExtendReservationRequest(reservation_id=reservation_id, ttl=Duration(seconds=99))


async def _release(world: World) -> Any:
    return reservations.ReleaseReservationRequest(reservation_id=await _reservation(world))


async def _cancel(world: World) -> Any:
    return orders.CancelOrderRequest(order_id=(await _order(world)).order_id)


async def _step(world: World, request: Any, *steps: str) -> Any:
    return request(fulfillment_order_id=await _work(world, *steps))


async def _reject(world: World) -> Any:
    work = await _parcel(world)
    await world.stock("sku-1", "west", 9)
    return fulfillment.RejectRequest(fulfillment_order_id=work, reason=fulfillment.REJECT_REASON_NOT_IN_STOCK)


async def _ship(world: World) -> Any:
    return fulfillment.ShipRequest(fulfillment_order_id=await _parcel(world), tracking="1Z")


async def _receive(world: World) -> Any:
    item = returns.ReceivedItem(units=2, disposition=returns.DISPOSITION_RESTOCK)
    return returns.ReceiveReturnRequest(return_id=await _return(world), items=[item])


REQUESTS: dict[str, Make] = {
    "put_nodes": lambda _: _now(network.PutNodesRequest(nodes=nodes())),
    "put_skus": lambda _: _now(network.PutSkusRequest(skus=[network.Sku(sku_key="new")])),
    "put_channels": lambda _: _now(network.PutChannelsRequest(channels=[network.Channel(channel_key="new")])),
    "put_rate_card": lambda _: _now(network.PutRateCardRequest(rate_card=rate_card("air", 9))),
    "put_zone_chart": lambda _: _now(network.PutZoneChartRequest(zone_chart=zone_chart())),
    "put_routing_policy": lambda _: _now(
        network.PutRoutingPolicyRequest(policy=network.RoutingPolicy(policy_key="new", allow_unit_split=True))
    ),
    "adjust_stock": lambda _: _now(inventory.AdjustStockRequest(sku_key="sku-1", node_key="east", delta_units=5)),
    "set_stock": lambda _: _now(inventory.SetStockRequest(sku_key="sku-1", node_key="east", on_hand_units=5)),
    "receive_stock": lambda _: _now(inventory.ReceiveStockRequest(node_key="east", lines=lines(("sku-1", 5)))),
    "record_sale": lambda _: _now(
        inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines(("sku-1", 5)))
    ),
    "reserve": lambda _: _now(reserve(("sku-1", 1), allow_partial=True)),
    "batch_reserve": lambda _: _now(
        reservations.BatchReserveRequest(reservations=[claim(("sku-1", 1)), claim(("sku-9", 1)), claim(("sku-2", 1))])
    ),
    "extend_reservation": _extend,
    "release_reservation": _release,
    "place_order": lambda _: _now(place("o-1", ("sku-3", 1))),
    "ingest_order": lambda _: _now(ingest("m-1", ("sku-3", 1))),
    "cancel_order": _cancel,
    "accept": lambda world: _step(world, fulfillment.AcceptRequest),
    "reject": _reject,
    "ship": _ship,
    "mark_ready": lambda world: _step(world, fulfillment.MarkReadyRequest, "accept"),
    "hand_over": lambda world: _step(world, fulfillment.HandOverRequest, "accept", "mark_ready"),
    "authorize_return": lambda _: _now(
        returns.AuthorizeReturnRequest(
            channel_key="web",
            lines=[returns.ReturnItem(sku_key="sku-1", units=1)],
            ship_from=Destination(postal_code="90001"),
        )
    ),
    "receive_return": _receive,
}


@pytest.mark.parametrize("method", REQUESTS)
async def test_same_body_gets_the_first_answer(world: World, method: str) -> None:
    await world.stock("sku-3", "east", 3)
    request = await REQUESTS[method](world)
    request.request_id = ID
    call = getattr(world.client, method)
    first = await call(request)
    assert first.result.outcome in (Outcome.OK, Outcome.PARTIAL, Outcome.INSUFFICIENT_STOCK), first
    # Much happens meanwhile; none of it may shine through.
    world.clock.advance(5 * SECOND_NS)
    await world.stock("sku-1", "west", 77)
    decided = world.writer.last_seq
    again = await call(request)
    assert again.SerializeToString(deterministic=True) == first.SerializeToString(deterministic=True)
    assert world.writer.last_seq == decided, "a repeated request is not decided again"


@pytest.mark.parametrize("method", REQUESTS)
async def test_other_body_is_refused(world: World, method: str) -> None:
    await world.client.adjust_stock(
        inventory.AdjustStockRequest(request_id=ID, sku_key="sku-5", node_key="west", delta_units=1)
    )
    request = await REQUESTS[method](world)
    request.request_id = ID
    decided = world.writer.last_seq
    response = await getattr(world.client, method)(request)
    assert (response.result.outcome, response.result.subject) == (Outcome.REQUEST_ID_REUSED, ID)
    assert world.writer.last_seq == decided


async def test_first_answer_survives_a_restart() -> None:
    tape = Tape()
    async with open_world(journal=MemoryJournal(tape)) as world:
        await world.stock("sku-1", "east", 3)
        first = await world.client.reserve(reserve(("sku-1", 2), request_id=ID))
        refusal = await world.client.reserve(reserve(("sku-2", 2), request_id="refused"))
    async with open_world(journal=MemoryJournal(tape), filled=False) as world:
        await world.stock("sku-2", "east", 3)
        again = await world.client.reserve(reserve(("sku-1", 2), request_id=ID))
        refused_again = await world.client.reserve(reserve(("sku-2", 2), request_id="refused"))
        assert again.SerializeToString() == first.SerializeToString()
        assert refused_again.SerializeToString() == refusal.SerializeToString()
        reused = await world.client.reserve(reserve(("sku-1", 3), request_id=ID))
        assert reused.result.outcome == Outcome.REQUEST_ID_REUSED


async def test_at_once_is_decided_once(world: World) -> None:
    """A hundred times the same request in flight together."""
    await world.stock("sku-1", "east", 500)
    request = reserve(("sku-1", 2), request_id=ID)
    answers = await asyncio.gather(*(world.client.reserve(request) for _ in range(100)))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert await world.available("sku-1") == 498


async def test_what_is_sold_twice_is_granted_once(world: World) -> None:
    """A refusal sticks to its id, also when stock has come meanwhile."""
    await world.stock("sku-1", "east", 1)
    first = await world.client.reserve(reserve(("sku-1", 1)))
    second = await world.client.reserve(reserve(("sku-1", 1), request_id="late"))
    assert (first.result.outcome, second.result.outcome) == (Outcome.OK, Outcome.INSUFFICIENT_STOCK)
    await world.stock("sku-1", "east", 10)
    third = await world.client.reserve(reserve(("sku-1", 1), request_id="late"))
    assert third == second


async def test_too_old_to_know(world: World) -> None:
    """Longer ago than the window: it may have been decided and forgotten, so it is not decided now."""
    await world.stock("sku-1", "east", 5)
    call = ReservationServiceStub(world.client.channel_at(0)).Reserve
    request = reserve(("sku-1", 1), request_id="lost")
    window_ms = LIMITS.request_window_ns // 1_000_000
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(request, metadata=((AGE_KEY, str(window_ms + 1)),))
    error = StockpoolError("Reserve", caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.FAILED_PRECONDITION, "REQUEST_TOO_OLD")
    assert await world.available("sku-1") == 5
    granted = await call(request, metadata=((AGE_KEY, str(window_ms)),))
    assert granted.result.outcome == Outcome.OK, "what was refused did not stick to its id"
    again = await call(request, metadata=((AGE_KEY, str(window_ms * 2)),))
    assert again == granted, "what is remembered is answered at any age"


@pytest.mark.parametrize("age", ["-1", "1.5", "soon", "9" * 13, ""])
async def test_an_age_that_is_none(world: World, age: str) -> None:
    call = ReservationServiceStub(world.client.channel_at(0)).Reserve
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(reserve(("sku-1", 1), request_id=ID), metadata=((AGE_KEY, age),))
    error = StockpoolError("Reserve", caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert AGE_KEY in str(error)
