"""Malformed requests: INVALID_ARGUMENT with the path of every field that is wrong, and nothing changed."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import StockpoolError
from engine.service.port import MESSAGE_BYTES_MAX
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import planning_pb2 as planning
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types
from stockpool.v1.types_pb2 import Destination, LineItem, Money
from tests.service.world import World, claim, ingest, items, lines, place, rate_card, reserve, usd, zone_chart

LONG = "k" * 65
NAN = float("nan")
NONE_SUCH: Any = 99
"""A number that no enum has."""


def bad_chart() -> network.ZoneChart:
    chart = zone_chart()
    chart.regions[1].region_key = "100"
    chart.band_metres[:] = [500, 400]
    chart.pair_origins.append("100")
    return chart


def bad_card() -> network.RateCard:
    card = rate_card("ground", 5, "usd")
    card.step_grams[:] = [0, 5]
    card.zone_count = 17
    return card


MALFORMED: list[tuple[str, Any, list[str]]] = [
    (
        "reserve",
        reservations.ReserveRequest(request_id="r"),
        ["reservation.channel_key", "reservation.lines", "reservation.fulfillment"],
    ),
    ("reserve", reserve(("sku-1", 0), ("", 1)), ["reservation.lines[0].units", "reservation.lines[1].sku_key"]),
    ("reserve", reserve(("sku-1", -4)), ["reservation.lines[0].units"]),
    ("reserve", reserve(("sku\n1", 1)), ["reservation.lines[0].sku_key"]),
    ("reserve", reserve(("sku-1", 1), ship_to=Destination(postal_code="1")), ["reservation.ship_to.postal_code"]),
    ("reserve", reserve(("sku-1", 1), ship_to=Destination()), ["reservation.ship_to.postal_code"]),
    ("reserve", reserve(("sku-1", 1), pickup_node_key=""), ["reservation.pickup_node_key"]),
    ("reserve", reserve(("sku-1", 1), ttl=Duration(nanos=5)), ["reservation.ttl"]),
    ("reserve", reserve(("sku-1", 1), ttl=Duration(seconds=-5)), ["reservation.ttl"]),
    ("reserve", reserve(("sku-1", 1), request_id="\x07"), ["request_id"]),
    ("batch_reserve", reservations.BatchReserveRequest(), ["reservations"]),
    (
        "batch_reserve",
        reservations.BatchReserveRequest(reservations=[claim(("sku-1", 1)), claim(("sku-1", 0), channel_key="")]),
        ["reservations[1].channel_key", "reservations[1].lines[0].units"],
    ),
    ("get_reservation", reservations.GetReservationRequest(min_journal_seq=-1), ["min_journal_seq", "reservation_id"]),
    ("extend_reservation", reservations.ExtendReservationRequest(reservation_id=-1), ["reservation_id", "ttl"]),
    ("release_reservation", reservations.ReleaseReservationRequest(), ["reservation_id"]),
    (
        "adjust_stock",
        inventory.AdjustStockRequest(quantity=types.QUANTITY_RESERVED, reason=NONE_SUCH),
        ["sku_key", "node_key", "quantity", "delta_units", "reason"],
    ),
    (
        "adjust_stock",
        inventory.AdjustStockRequest(sku_key="a", node_key="b", delta_units=1, quantity=NONE_SUCH),
        ["quantity"],
    ),
    ("set_stock", inventory.SetStockRequest(sku_key="a", node_key="b", source_seq=4), ["on_hand_units", "source_key"]),
    (
        "set_stock",
        inventory.SetStockRequest(sku_key="a", node_key="b", on_hand_units=-1, safety_stock_units=-1, source_key="wms"),
        ["on_hand_units", "safety_stock_units", "source_seq"],
    ),
    ("receive_stock", inventory.ReceiveStockRequest(lines=[LineItem(sku_key="a")]), ["node_key", "lines[0].units"]),
    ("record_sale", inventory.RecordSaleRequest(reference="a\nb"), ["node_key", "channel_key", "lines", "reference"]),
    ("get_availability", inventory.GetAvailabilityRequest(kind=NONE_SUCH), ["channel_key", "sku_key", "kind"]),
    (
        "batch_get_availability",
        inventory.BatchGetAvailabilityRequest(channel_key="web", sku_keys=["a", "", "c\x00"]),
        ["sku_keys[1]", "sku_keys[2]"],
    ),
    ("list_movements", inventory.ListMovementsRequest(page_size=-1), ["sku_key", "node_key", "page_size"]),
    ("put_nodes", network.PutNodesRequest(), ["nodes"]),
    (
        "put_nodes",
        network.PutNodesRequest(
            nodes=[
                network.Node(node_key="a", latitude=91, longitude=NAN, kind=NONE_SUCH, default_safety_stock_units=-1),
                network.Node(node_key="a", package_cost=Money(micros=-1), unit_cost=Money(currency_code="$")),
            ]
        ),
        [
            "nodes[0].latitude",
            "nodes[0].longitude",
            "nodes[0].kind",
            "nodes[0].default_safety_stock_units",
            "nodes[1].package_cost.micros",
            "nodes[1].unit_cost.currency_code",
            "nodes[1].node_key",
        ],
    ),
    (
        "put_skus",
        network.PutSkusRequest(skus=[network.Sku(weight_grams=-1)]),
        ["skus[0].sku_key", "skus[0].weight_grams"],
    ),
    (
        "put_skus",
        network.PutSkusRequest(skus=[network.Sku(sku_key="a", unit_value=Money(currency_code="EUR", micros=1))]),
        ["skus[0].unit_value.currency_code"],
    ),
    (
        "put_channels",
        network.PutChannelsRequest(channels=[network.Channel(node_keys=["a", ""], threshold_units=-1)]),
        ["channels[0].channel_key", "channels[0].node_keys[1]", "channels[0].threshold_units"],
    ),
    (
        "put_rate_card",
        network.PutRateCardRequest(rate_card=bad_card()),
        ["rate_card.currency_code", "rate_card.step_grams[0]", "rate_card.zone_count", "rate_card.price_micros"],
    ),
    ("put_rate_card", network.PutRateCardRequest(rate_card=rate_card("air", 1, "EUR")), ["rate_card.currency_code"]),
    (
        "put_zone_chart",
        network.PutZoneChartRequest(zone_chart=bad_chart()),
        ["zone_chart.regions[1].region_key", "zone_chart.band_metres[1]", "zone_chart.pair_zones"],
    ),
    (
        "put_routing_policy",
        network.PutRoutingPolicyRequest(policy=network.RoutingPolicy(split_penalty=Money(micros=-5))),
        ["policy.policy_key", "policy.split_penalty.micros"],
    ),
    ("get_node", network.GetNodeRequest(), ["node_key"]),
    ("list_channels", network.ListChannelsRequest(min_journal_seq=-3), ["min_journal_seq"]),
    (
        "get_fulfillment_options",
        orders.GetFulfillmentOptionsRequest(pickup_store_max=-1),
        ["channel_key", "lines", "ship_to.postal_code", "pickup_store_max"],
    ),
    ("place_order", orders.PlaceOrderRequest(), ["channel_key", "order_key", "lines", "fulfillment"]),
    ("place_order", place("o", reservation_id=-1), ["reservation_id"]),
    ("place_order", place("o", reservation_id=1, pickup_node_key="shop-e"), ["pickup_node_key"]),
    (
        "place_order",
        orders.PlaceOrderRequest(
            channel_key="web",
            order_key="o",
            pickup_node_key="shop-e",
            lines=[orders.OrderItem(sku_key="a", units=1, unit_price=Money(currency_code="EUR", micros=-1))],
        ),
        ["lines[0].unit_price.micros", "lines[0].unit_price.currency_code"],
    ),
    ("ingest_order", ingest("", ("sku-1", 1), ship_to=Destination()), ["order_key", "ship_to.postal_code"]),
    (
        "cancel_order",
        orders.CancelOrderRequest(
            lines=[orders.LineUnits(line_index=at, units=units) for at, units in ((-1, 0), (0, 1), (0, 1))]
        ),
        ["order_id", "lines[0].line_index", "lines[0].units", "lines[2].line_index"],
    ),
    ("get_order", orders.GetOrderRequest(), ["channel_key", "order_key"]),
    (
        "list_fulfillment_orders",
        fulfillment.ListFulfillmentOrdersRequest(states=[NONE_SUCH]),
        ["node_key", "states[0]"],
    ),
    ("accept", fulfillment.AcceptRequest(), ["fulfillment_order_id"]),
    ("reject", fulfillment.RejectRequest(fulfillment_order_id=1), ["reason"]),
    ("ship", fulfillment.ShipRequest(fulfillment_order_id=1, tracking="\t"), ["tracking"]),
    ("mark_ready", fulfillment.MarkReadyRequest(fulfillment_order_id=-1), ["fulfillment_order_id"]),
    ("hand_over", fulfillment.HandOverRequest(), ["fulfillment_order_id"]),
    ("authorize_return", returns.AuthorizeReturnRequest(), ["channel_key", "lines", "journey"]),
    (
        "authorize_return",
        returns.AuthorizeReturnRequest(
            channel_key="web", order_id=1, drop_off_node_key="", lines=[returns.ReturnItem(line_index=-1)]
        ),
        ["lines[0].units", "lines[0].line_index", "drop_off_node_key"],
    ),
    ("receive_return", returns.ReceiveReturnRequest(), ["return_id", "items"]),
    (
        "receive_return",
        returns.ReceiveReturnRequest(return_id=1, items=[returns.ReceivedItem(line_index=-1)]),
        ["items[0].line_index", "items[0].units", "items[0].disposition"],
    ),
    ("get_prices", planning.GetPricesRequest(min_journal_seq=-1), ["min_journal_seq", "sku_key"]),
    ("get_shadow_report", planning.GetShadowReportRequest(version=-1), ["channel_key", "version"]),
    ("set_prices", planning.SetPricesRequest(), ["plan_key", "sku_keys"]),
    (
        "set_prices",
        planning.SetPricesRequest(
            plan_key="p", sku_keys=["a", "\n"], node_keys=["b"], price_micros=[0, -1], demand_1024ths=[1]
        ),
        ["sku_keys[1]", "node_keys", "price_micros[1]", "demand_1024ths"],
    ),
    ("get_status", admin.GetStatusRequest(min_journal_seq=-1), ["min_journal_seq"]),
]

OVER: list[tuple[str, Any, str, str, int]] = [
    ("reserve", reserve((LONG, 1)), "reservation.lines[0].sku_key", "key_length_max", 64),
    ("reserve", reserve(("sku-1", 10**9 + 1)), "reservation.lines[0].units", "units_max", 10**9),
    ("reserve", reserve(*[("sku-1", 1)] * 11), "reservation.lines", "lines_per_order_max", 10),
    ("reserve", reserve(("sku-1", 1), request_id=LONG), "request_id", "request_id_characters_max", 64),
    (
        "reserve",
        reserve(("sku-1", 1), ttl=Duration(seconds=86_401)),
        "reservation.ttl",
        "reservation_ttl_max_ns",
        86_400 * 10**9,
    ),
    (
        "batch_reserve",
        reservations.BatchReserveRequest(reservations=[claim(("sku-1", 1))] * 1_001),
        "reservations",
        "batch_items_max",
        1_000,
    ),
    (
        "receive_stock",
        inventory.ReceiveStockRequest(node_key="east", lines=lines(*[("sku-1", 1)] * 1_001)),
        "lines",
        "stock_lines_max",
        1_000,
    ),
    (
        "set_prices",
        planning.SetPricesRequest(
            plan_key="p", sku_keys=["a"], node_keys=["b"], price_micros=[10**12 + 1], demand_1024ths=[0]
        ),
        "price_micros[0]",
        "cost_micros_max",
        10**12,
    ),
    (
        "adjust_stock",
        inventory.AdjustStockRequest(sku_key="a", node_key="b", delta_units=-(10**9) - 1),
        "delta_units",
        "units_max",
        10**9,
    ),
    (
        "adjust_stock",
        inventory.AdjustStockRequest(sku_key="a", node_key="b", delta_units=1, reference="r" * 129),
        "reference",
        "reference_length_max",
        128,
    ),
    (
        "list_movements",
        inventory.ListMovementsRequest(sku_key="a", node_key="b", page_size=1_001),
        "page_size",
        "page_size_max",
        1_000,
    ),
    (
        "put_skus",
        network.PutSkusRequest(skus=[network.Sku(sku_key="a", title="t" * 201)]),
        "skus[0].title",
        "name_characters_max",
        200,
    ),
    (
        "put_skus",
        network.PutSkusRequest(skus=[network.Sku(sku_key="a", weight_grams=1_000_001)]),
        "skus[0].weight_grams",
        "weight_grams_max",
        1_000_000,
    ),
    (
        "put_nodes",
        network.PutNodesRequest(nodes=[network.Node(node_key="a", unit_cost=usd(1_000_001))]),
        "nodes[0].unit_cost.micros",
        "cost_micros_max",
        10**12,
    ),
    (
        "get_fulfillment_options",
        orders.GetFulfillmentOptionsRequest(
            channel_key="web", lines=lines(("sku-1", 1)), ship_to=Destination(postal_code="10001"), pickup_store_max=51
        ),
        "pickup_store_max",
        "pickup_stores_max",
        50,
    ),
    (
        "place_order",
        orders.PlaceOrderRequest(
            channel_key="web", order_key="o", customer_key=LONG, lines=items(("a", 1)), pickup_node_key="shop-e"
        ),
        "customer_key",
        "key_length_max",
        64,
    ),
    (
        "ship",
        fulfillment.ShipRequest(fulfillment_order_id=1, tracking="1" * 65),
        "tracking",
        "tracking_characters_max",
        64,
    ),
]


async def refused(world: World, method: str, request: Any) -> StockpoolError:
    before = world.writer.last_seq
    with pytest.raises(StockpoolError) as caught:
        await getattr(world.client, method)(request)
    assert caught.value.code == grpc.StatusCode.INVALID_ARGUMENT
    assert world.writer.last_seq == before, "nothing may have been decided"
    return caught.value


@pytest.mark.parametrize(
    ("method", "request_", "paths"), MALFORMED, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_malformed(world: World, method: str, request_: Any, paths: list[str]) -> None:
    error = await refused(world, method, request_)
    assert error.reason == "INVALID_FIELD"
    assert sorted(problem.field for problem in error.fields) == sorted(paths)
    assert all(problem.description for problem in error.fields)
    assert paths[0].partition("[")[0].partition(".")[0] in str(error)


@pytest.mark.parametrize(
    ("method", "request_", "path", "limit", "value"), OVER, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_over_a_limit(world: World, method: str, request_: Any, path: str, limit: str, value: int) -> None:
    error = await refused(world, method, request_)
    assert error.reason == "LIMIT_EXCEEDED"
    assert [problem.field for problem in error.fields] == [path]
    assert error.metadata == {"limit": limit, "value": str(value)}
    assert f"the limit {limit} is {value}" in error.fields[0].description


async def test_limits_that_refuse_are_stated(world: World) -> None:
    stated = {one.name: one.value for one in (await world.client.get_limits(admin.GetLimitsRequest())).limits}
    assert {name: number for _, _, _, name, number in OVER}.items() <= stated.items()


async def test_malformed_outweighs_too_much(world: World) -> None:
    """Where a request is both, the reason is that it is malformed, and both are told."""
    error = await refused(world, "reserve", reserve((LONG, 0)))
    assert error.reason == "INVALID_FIELD"
    assert {problem.field for problem in error.fields} == {
        "reservation.lines[0].sku_key",
        "reservation.lines[0].units",
    }


async def test_thousands_of_problems_fit_into_the_answer(world: World) -> None:
    """Details travel in trailers, which are cut off at 8 KiB: what does not fit is counted."""
    bad = reservations.BatchReserveRequest(reservations=[claim(("", 0))] * 1_000)
    error = await refused(world, "batch_reserve", bad)
    assert error.fields[0].field == "reservations[0].lines[0].sku_key"
    assert error.fields[-1].description == f"and {2_000 - (len(error.fields) - 1)} more problems"


async def test_a_key_may_have_any_printable_text(world: World) -> None:
    """Spaces, accents and other scripts are no problem; 64 is the number of characters, not of bytes."""
    key = "Größe 42 – 靴 " * 4
    await world.client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key=key)]))
    assert (await world.client.get_sku(network.GetSkuRequest(sku_key=key))).sku.sku_key == key


@pytest.mark.parametrize("content", [b"\xff\xff\xff", b"\x0a\x02\xff\xfe", b"\x0a\x05r", b"\x0b" * 200])
async def test_not_a_message_at_all(world: World, content: bytes) -> None:
    """Garbage, text that is not UTF-8, a message cut off, and one nested too deeply: told like any other mistake."""
    async with grpc.aio.insecure_channel(world.target) as channel:
        reserve: Any = channel.unary_unary("/stockpool.v1.ReservationService/Reserve")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reserve(content)
    error = StockpoolError("Reserve", caught.value)
    assert (error.code, error.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [problem.field for problem in error.fields] == ["request"]
    assert "is no stockpool.v1.ReserveRequest" in str(error)


async def test_compressed_messages_are_not_unpacked_beyond_the_limit(world: World, front: str) -> None:
    """A compressed megabyte may be a gigabyte, and grpcio unpacks before it looks at the length: it is told to unpack nothing."""
    async with grpc.aio.insecure_channel(world.target) as channel:
        status: Any = channel.unary_unary("/stockpool.v1.AdminService/GetStatus")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await status(b"\x00" * (MESSAGE_BYTES_MAX + 1), compression=grpc.Compression.Gzip)
        unpacks = front == "envoy"
        assert caught.value.code().name == ("RESOURCE_EXHAUSTED" if unpacks else "UNIMPLEMENTED")
        if unpacks:
            assert await status(b"", compression=grpc.Compression.Gzip)
        assert await status(b"")
