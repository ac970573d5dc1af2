"""Every outcome of the contract, brought about over the wire."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1.types_pb2 import Destination
from tests.service.world import (
    SECOND_NS,
    WEST,
    Outcome,
    World,
    claim,
    ingest,
    lines,
    place,
    rate_card,
    reserve,
    zone_chart,
)

Act = Callable[[World], Awaitable[Any]]
ACTS: dict[str, tuple[Outcome, str, Act]] = {}


def outcome(expected: Outcome, subject: str = "") -> Callable[[Act], Act]:
    """Registers an act: its response must have this outcome and subject."""

    def register(act: Act) -> Act:
        assert act.__name__ not in ACTS, act.__name__
        ACTS[act.__name__] = expected, subject, act
        return act

    return register


async def held(world: World, units: int = 1, **fields: Any) -> int:
    """Stock for a reservation, and its id."""
    await world.stock("sku-1", "east", 10)
    response = await world.client.reserve(reserve(("sku-1", units), **fields))
    assert response.result.outcome == Outcome.OK, response
    return response.reservation.reservation_id


async def ordered(world: World, key: str = "o-1") -> orders.Order:
    """A placed order of two sku-1, to be shipped from the east."""
    await world.stock("sku-1", "east", 10)
    response = await world.client.place_order(place(key, ("sku-1", 2)))
    assert response.result.outcome == Outcome.OK, response
    return response.order


async def shipped(world: World) -> orders.Order:
    """The same after it left."""
    for work in (order := await ordered(world)).fulfillment_order_ids:
        await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
        response = await world.client.ship(fulfillment.ShipRequest(fulfillment_order_id=work, tracking="1Z"))
        assert response.result.outcome == Outcome.OK, response
    return order


async def on_its_way_back(world: World) -> returns.Return:
    """Two sku-1 that come back to the east."""
    response = await world.client.authorize_return(going_back(order_id=(await shipped(world)).order_id))
    assert response.result.outcome == Outcome.OK, response
    return response.return_order


def going_back(**fields: Any) -> returns.AuthorizeReturnRequest:
    fields.setdefault("channel_key", "web")
    fields.setdefault("lines", [returns.ReturnItem(line_index=0, units=2)])
    if "drop_off_node_key" not in fields:
        fields.setdefault("ship_from", Destination(postal_code="10001"))
    return returns.AuthorizeReturnRequest(**fields)


def arrived(return_id: int, units: int = 2, line_index: int = 0, **fields: Any) -> returns.ReceiveReturnRequest:
    item = returns.ReceivedItem(line_index=line_index, units=units, disposition=returns.DISPOSITION_RESTOCK)
    return returns.ReceiveReturnRequest(return_id=return_id, items=[item], **fields)


@outcome(Outcome.OK)
async def done(world: World) -> Any:
    await world.stock("sku-1", "east", 10)
    return await world.client.reserve(reserve(("sku-1", 1)))


@outcome(Outcome.REQUEST_ID_REUSED, "again")
async def reused(world: World) -> Any:
    await world.client.reserve(reserve(("sku-1", 1), request_id="again"))
    return await world.client.reserve(reserve(("sku-1", 2), request_id="again"))


@outcome(Outcome.REQUEST_ID_REUSED, "again")
async def reused_by_another_call(world: World) -> Any:
    """Both bodies are the same bytes: only the call differs."""
    work = (await ordered(world)).fulfillment_order_ids[0]
    await world.client.accept(fulfillment.AcceptRequest(request_id="again", fulfillment_order_id=work))
    return await world.client.hand_over(fulfillment.HandOverRequest(request_id="again", fulfillment_order_id=work))


@outcome(Outcome.UNKNOWN_CHANNEL, "shop")
async def unknown_channel(world: World) -> Any:
    return await world.client.reserve(reserve(("sku-1", 1), channel_key="shop"))


@outcome(Outcome.UNKNOWN_CHANNEL, "shop")
async def unknown_channel_of_options(world: World) -> Any:
    return await world.client.get_fulfillment_options(
        orders.GetFulfillmentOptionsRequest(
            channel_key="shop", lines=lines(("sku-1", 1)), ship_to=Destination(postal_code="10001")
        )
    )


@outcome(Outcome.UNKNOWN_SKU, "sku-9")
async def unknown_sku(world: World) -> Any:
    return await world.client.place_order(place("o-1", ("sku-1", 1), ("sku-9", 1)))


@outcome(Outcome.UNKNOWN_SKU, "sku-9")
async def unknown_sku_read(world: World) -> Any:
    return await world.client.get_sku(network.GetSkuRequest(sku_key="sku-9"))


@outcome(Outcome.UNKNOWN_NODE, "north")
async def unknown_node(world: World) -> Any:
    return await world.client.receive_stock(inventory.ReceiveStockRequest(node_key="north", lines=lines(("sku-1", 1))))


@outcome(Outcome.UNKNOWN_NODE, "north")
async def unknown_node_of_a_channel(world: World) -> Any:
    channel = network.Channel(channel_key="web", node_keys=["east", "north"])
    return await world.client.put_channels(network.PutChannelsRequest(channels=[channel]))


@outcome(Outcome.UNKNOWN_DESTINATION, "55555")
async def unknown_destination(world: World) -> Any:
    return await world.client.reserve(reserve(("sku-1", 1), ship_to=Destination(postal_code="55555")))


@outcome(Outcome.UNKNOWN_DESTINATION, "900")
async def region_that_must_stay(world: World) -> Any:
    chart = zone_chart()
    del chart.regions[1]
    return await world.client.put_zone_chart(network.PutZoneChartRequest(zone_chart=chart))


@outcome(Outcome.UNKNOWN_SERVICE, "drone")
async def unknown_service(world: World) -> Any:
    return await world.client.reserve(reserve(("sku-1", 1), service_key="drone"))


@outcome(Outcome.UNKNOWN_POLICY, "frugal")
async def unknown_policy(world: World) -> Any:
    channel = network.Channel(channel_key="app", all_nodes=True, policy_key="frugal")
    return await world.client.put_channels(network.PutChannelsRequest(channels=[channel]))


@outcome(Outcome.UNKNOWN_RESERVATION, "77")
async def unknown_reservation(world: World) -> Any:
    return await world.client.release_reservation(reservations.ReleaseReservationRequest(reservation_id=77))


@outcome(Outcome.UNKNOWN_ORDER, "77")
async def unknown_order(world: World) -> Any:
    return await world.client.cancel_order(orders.CancelOrderRequest(order_id=77))


@outcome(Outcome.UNKNOWN_ORDER, "nobody's")
async def unknown_order_key(world: World) -> Any:
    return await world.client.get_order(orders.GetOrderRequest(channel_key="web", order_key="nobody's"))


@outcome(Outcome.UNKNOWN_LINE, "3")
async def unknown_line(world: World) -> Any:
    order = await ordered(world)
    line = orders.LineUnits(line_index=3, units=1)
    return await world.client.cancel_order(orders.CancelOrderRequest(order_id=order.order_id, lines=[line]))


@outcome(Outcome.UNKNOWN_FULFILLMENT_ORDER, "77")
async def unknown_fulfillment_order(world: World) -> Any:
    return await world.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=77))


@outcome(Outcome.UNKNOWN_RETURN, "77")
async def unknown_return(world: World) -> Any:
    return await world.client.receive_return(arrived(77))


@outcome(Outcome.DUPLICATE_ORDER, "o-1")
async def duplicate_order(world: World) -> Any:
    order = await ordered(world)
    response = await world.client.place_order(place("o-1", ("sku-1", 1)))
    assert response.existing_order_id == order.order_id
    return response


@outcome(Outcome.DUPLICATE_ORDER, "m-1")
async def duplicate_ingest(world: World) -> Any:
    first = await world.client.ingest_order(ingest("m-1", ("sku-1", 1)))
    response = await world.client.ingest_order(ingest("m-1", ("sku-1", 1)))
    assert response.existing_order_id == first.order.order_id
    return response


@outcome(Outcome.RESERVATION_EXPIRED, "1")
async def expired(world: World) -> Any:
    reservation = await held(world, ttl=Duration(seconds=60))
    world.clock.advance(60 * SECOND_NS)
    return await world.client.place_order(place("o-1", reservation_id=reservation))


@outcome(Outcome.RESERVATION_COMMITTED, "1")
async def committed(world: World) -> Any:
    reservation = await held(world)
    await world.client.place_order(place("o-1", reservation_id=reservation))
    return await world.client.release_reservation(reservations.ReleaseReservationRequest(reservation_id=reservation))


@outcome(Outcome.RESERVATION_RELEASED, "1")
async def released(world: World) -> Any:
    reservation = await held(world)
    await world.client.release_reservation(reservations.ReleaseReservationRequest(reservation_id=reservation))
    return await world.client.release_reservation(reservations.ReleaseReservationRequest(reservation_id=reservation))


@outcome(Outcome.EXTENSION_LIMIT, "reservation_hold_max_ns")
async def extended_too_often(world: World) -> Any:
    reservation = await held(world, ttl=Duration(seconds=86_400))
    response: Any = None
    for _ in range(8):
        request = reservations.ExtendReservationRequest(reservation_id=reservation, ttl=Duration(seconds=86_400))
        response = await world.client.extend_reservation(request)
        if response.result.outcome != Outcome.OK:
            break
        world.clock.advance(86_000 * SECOND_NS)
    return response


@outcome(Outcome.NODE_NOT_IN_CHANNEL, "shop-e")
async def node_not_in_channel(world: World) -> Any:
    return await world.client.reserve(reserve(("sku-1", 1), channel_key="market", pickup_node_key="shop-e"))


@outcome(Outcome.NODE_CLOSED, "shut")
async def node_closed(world: World) -> Any:
    return await world.client.reserve(reserve(("sku-1", 1), pickup_node_key="shut"))


@outcome(Outcome.NODE_LACKS_SERVICE, "east")
async def node_lacks_pickup(world: World) -> Any:
    return await world.client.place_order(place("o-1", ("sku-1", 1), pickup_node_key="east"))


@outcome(Outcome.STALE_SOURCE, "wms")
async def stale_source(world: World) -> Any:
    response: Any = None
    for units in (5, 9):
        response = await world.client.set_stock(
            inventory.SetStockRequest(
                sku_key="sku-1", node_key="east", on_hand_units=units, source_key="wms", source_seq=10
            )
        )
    assert response.cell.on_hand_units == 5
    return response


@outcome(Outcome.STALE_QUANTITY, "sku-1")
async def stale_quantity(world: World) -> Any:
    await world.stock("sku-1", "east", 5)
    request = inventory.SetStockRequest(sku_key="sku-1", node_key="east", on_hand_units=9, expected_on_hand_units=4)
    response = await world.client.set_stock(request)
    assert response.cell.on_hand_units == 5
    return response


@outcome(Outcome.INSUFFICIENT_STOCK)
async def insufficient_stock(world: World) -> Any:
    await world.stock("sku-1", "east", 5)
    response = await world.client.reserve(reserve(("sku-2", 1), ("sku-1", 9)))
    told = [(line.line_index, line.sku_key, line.requested_units, line.available_units) for line in response.shortages]
    assert told == [(0, "sku-2", 1, 0), (1, "sku-1", 9, 5)]
    return response


@outcome(Outcome.NO_PLAN)
async def no_rule_for_the_order(world: World) -> Any:
    rule = network.RoutingRule(name="large", applies=network.RuleConditions(units_min=9))
    policy = network.RoutingPolicy(policy_key="default", default_service_key="ground", rules=[rule])
    await world.client.put_routing_policy(network.PutRoutingPolicyRequest(policy=policy))
    await world.stock("sku-1", "east", 5)
    return await world.client.reserve(reserve(("sku-1", 1)))


@outcome(Outcome.INSUFFICIENT_STOCK, "sku-1")
async def adjusted_below_zero(world: World) -> Any:
    await world.stock("sku-1", "east", 5)
    request = inventory.AdjustStockRequest(sku_key="sku-1", node_key="east", delta_units=-6)
    response = await world.client.adjust_stock(request)
    assert response.cell.on_hand_units == 5
    return response


@outcome(Outcome.PARTIAL)
async def partial(world: World) -> Any:
    await world.stock("sku-1", "east", 5)
    response = await world.client.reserve(reserve(("sku-1", 9), allow_partial=True))
    assert sum(leg.units for leg in response.reservation.legs) == 5
    return response


@outcome(Outcome.PARTIAL)
async def ingested_without_stock(world: World) -> Any:
    response = await world.client.ingest_order(ingest("m-1", ("sku-1", 3)))
    assert response.order.lines[0].short_units == 3
    return response


@outcome(Outcome.INVALID_TRANSITION, "OPEN")
async def shipped_before_accepted(world: World) -> Any:
    work = (await ordered(world)).fulfillment_order_ids[0]
    return await world.client.ship(fulfillment.ShipRequest(fulfillment_order_id=work))


@outcome(Outcome.UNITS_EXCEEDED, "0")
async def returned_too_much(world: World) -> Any:
    order = await shipped(world)
    item = returns.ReturnItem(line_index=0, units=3)
    return await world.client.authorize_return(going_back(order_id=order.order_id, lines=[item]))


@outcome(Outcome.UNITS_EXCEEDED, "sku-1")
async def ordered_more_than_held(world: World) -> Any:
    reservation = await held(world)
    return await world.client.place_order(place("o-1", ("sku-1", 2), reservation_id=reservation))


@outcome(Outcome.NO_RETURN_NODE)
async def nobody_takes_it_back(world: World) -> Any:
    await world.client.put_channels(
        network.PutChannelsRequest(channels=[network.Channel(channel_key="far", node_keys=["west"])])
    )
    item = returns.ReturnItem(sku_key="sku-1", units=1)
    request = going_back(channel_key="far", lines=[item], ship_from=Destination(postal_code=WEST))
    return await world.client.authorize_return(request)


@outcome(Outcome.CAPACITY_EXHAUSTED, "services_max")
async def too_many_services(world: World) -> Any:
    response: Any = None
    for number in range(3):
        card = rate_card(f"service-{number}", 1)
        response = await world.client.put_rate_card(network.PutRateCardRequest(rate_card=card))
    return response


@outcome(Outcome.BATCH_REFUSED)
async def batch_refused(world: World) -> Any:
    await world.stock("sku-1", "east", 5)
    request = reservations.BatchReserveRequest(
        reservations=[claim(("sku-1", 1)), claim(("sku-2", 1)), claim(("sku-9", 1))], all_or_nothing=True
    )
    response = await world.client.batch_reserve(request)
    expected = [Outcome.BATCH_REFUSED, Outcome.INSUFFICIENT_STOCK, Outcome.UNKNOWN_SKU]
    assert [result.outcome for result in response.results] == expected
    assert response.results[2].subject == "sku-9"
    assert await world.available("sku-1") == 5
    return response


@pytest.mark.parametrize("name", ACTS)
async def test_outcome_over_the_wire(world: World, name: str) -> None:
    expected, subject, act = ACTS[name]
    result = (await act(world)).result
    assert (Outcome(result.outcome), result.subject) == (expected, subject)
    assert result.detail.endswith(".")
    assert result.subject in result.detail
    assert result.journal_seq
    if expected in (Outcome.EXTENSION_LIMIT, Outcome.CAPACITY_EXHAUSTED):
        told = await world.client.get_limits(admin.GetLimitsRequest())
        assert subject in {limit.name for limit in told.limits}, "a caller looks the value up by this name"


def test_every_outcome_is_reached() -> None:
    moved = {Outcome.STALE_PLAN}  # by tests/service/test_rerouting.py
    assert not set(Outcome) - {expected for expected, _, _ in ACTS.values()} - moved
