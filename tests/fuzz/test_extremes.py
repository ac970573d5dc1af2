"""The greatest numbers that are allowed, all at once: nothing overflows, no cost is below zero, and no call ends in a defect."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from engine.service.convert.network import STEP_GRAMS_MAX, WEIGHT_GRAMS_MAX
from engine.service.fields import COST_MICROS_MAX, MONEY_MICROS_MAX
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1.types_pb2 import Destination, Money
from tests.fuzz.calls import BY_NAME
from tests.fuzz.sending import judge, send
from tests.service.world import EAST, LIMITS, Outcome, World, claim, items, lines, reserve

MOST = LIMITS.units_max
DEAREST, PRICIEST = Money(micros=COST_MICROS_MAX), Money(micros=MONEY_MICROS_MAX)
HEAVY = [f"heavy-{number}" for number in range(10)]
HOME = Destination(postal_code=EAST)


async def fill(world: World, step_grams: int) -> None:
    """A channel of its own with two of the dearest nodes, full of the heaviest SKUs, and parcels of ``step_grams`` at the highest rate."""
    client = world.client
    card = network.RateCard(
        service_key="air",
        currency_code="USD",
        step_grams=[step_grams],
        zone_count=3,
        price_micros=[COST_MICROS_MAX] * 3,
    )
    nodes = [
        network.Node(
            node_key=node_key,
            ships=True,
            offers_pickup=True,
            accepts_returns=True,
            latitude=40.7,
            longitude=-74.0,
            package_cost=DEAREST,
            unit_cost=DEAREST,
        )
        for node_key in ("rich-1", "rich-2")
    ]
    skus = [network.Sku(sku_key=key, weight_grams=WEIGHT_GRAMS_MAX, unit_value=PRICIEST) for key in HEAVY]
    policy = network.RoutingPolicy(
        policy_key="dear", split_penalty=DEAREST, allow_unit_split=True, default_service_key="air"
    )
    channel = network.Channel(channel_key="rich", node_keys=["rich-1", "rich-2"], policy_key="dear")
    for put in (
        client.put_rate_card(network.PutRateCardRequest(rate_card=card)),
        client.put_nodes(network.PutNodesRequest(nodes=nodes)),
        client.put_skus(network.PutSkusRequest(skus=skus)),
        client.put_routing_policy(network.PutRoutingPolicyRequest(policy=policy)),
        client.put_channels(network.PutChannelsRequest(channels=[channel])),
    ):
        done: Any = await put
        assert done.result.outcome == Outcome.OK, done
    for key in HEAVY:
        for node_key in ("rich-1", "rich-2"):
            await world.stock(key, node_key, MOST)


def requests(units: int, request_id: str) -> list[tuple[str, Message]]:
    """One of each call that has units in it: of every SKU so many; ``rich`` is the channel."""
    basket = [(key, units) for key in HEAVY]
    common: dict[str, Any] = {"request_id": request_id, "channel_key": "rich"}
    priced = [orders.OrderItem(sku_key=key, units=count, unit_price=PRICIEST) for key, count in basket]
    back = [returns.ReturnItem(sku_key=key, units=count) for key, count in basket]
    held = claim(*basket, channel_key="rich")
    return [
        ("GetFulfillmentOptions", orders.GetFulfillmentOptionsRequest(channel_key="rich", lines=lines(*basket), ship_to=HOME)),
        ("Reserve", reserve(*basket, channel_key="rich", request_id=f"{request_id}-1")),
        ("BatchReserve", reservations.BatchReserveRequest(request_id=f"{request_id}-2", reservations=[held] * 3)),
        ("PlaceOrder", orders.PlaceOrderRequest(**common | {"request_id": f"{request_id}-3"}, order_key=f"{units}-a", lines=priced, ship_to=HOME)),
        ("PlaceOrder", orders.PlaceOrderRequest(**common | {"request_id": f"{request_id}-4"}, order_key=f"{units}-b", lines=priced, pickup_node_key="rich-1")),
        ("IngestOrder", orders.IngestOrderRequest(**common | {"request_id": f"{request_id}-5"}, order_key=f"{units}-c", lines=priced, ship_to=HOME)),
        ("AuthorizeReturn", returns.AuthorizeReturnRequest(**common | {"request_id": f"{request_id}-6"}, lines=back, drop_off_node_key="rich-1")),
        ("AuthorizeReturn", returns.AuthorizeReturnRequest(**common | {"request_id": f"{request_id}-7"}, lines=back, ship_from=HOME)),
        ("ReceiveStock", inventory.ReceiveStockRequest(request_id=f"{request_id}-8", node_key="rich-1", lines=lines(*basket))),
        ("RecordSale", inventory.RecordSaleRequest(**common | {"request_id": f"{request_id}-9"}, node_key="rich-1", lines=lines(*basket))),
    ]  # fmt: skip


def amounts(message: Message) -> list[int]:
    """Every amount of money, anywhere in a message."""
    if isinstance(message, Money):
        return [message.micros]
    found: list[int] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            for one in value if field.is_repeated else [value]:
                found += amounts(one)
    return found


@pytest.mark.parametrize("step_grams", [1, STEP_GRAMS_MAX])
async def test_the_greatest_of_everything(world: World, step_grams: int) -> None:
    """From one unit up to the most that a line may have, a hundred times more each time."""
    await fill(world, step_grams)
    async with grpc.aio.insecure_channel(world.target) as channel:
        for units in (1, 100, 10_000, 1_000_000, MOST):
            for name, request in requests(units, f"u-{units}"):
                told = await send(channel, BY_NAME[name], [request.SerializeToString()])
                judge(BY_NAME[name], told)
                assert told.error is None, told
                reply = BY_NAME[name].response.FromString(told.parts[0])
                assert min(amounts(reply), default=0) >= 0, reply
        for work in range(1, 6):
            request = fulfillment.RejectRequest(
                request_id=f"reject-{work}", fulfillment_order_id=work, reason=fulfillment.REJECT_REASON_NOT_IN_STOCK
            )
            judge(BY_NAME["Reject"], await send(channel, BY_NAME["Reject"], [request.SerializeToString()]))
    audit = await world.client.audit_invariants(admin.AuditInvariantsRequest(replay=True))
    assert audit.ok, audit


async def test_a_reservation_whose_price_rose_beyond_measure(world: World) -> None:
    """Held while it cost little, placed when every unit costs a million."""
    await world.stock("sku-1", "east", 10**9)
    held = await world.client.reserve(reserve(("sku-1", 10**8)))
    assert held.result.outcome == Outcome.OK, held
    node = network.Node(
        node_key="east", ships=True, unit_cost=DEAREST, package_cost=DEAREST, latitude=40.7, longitude=-74.0
    )
    await world.client.put_nodes(network.PutNodesRequest(nodes=[node]))
    placed = await world.client.place_order(
        orders.PlaceOrderRequest(
            channel_key="web",
            order_key="o",
            reservation_id=held.reservation.reservation_id,
            lines=items(("sku-1", 10**8)),
        )
    )
    assert placed.result.outcome == Outcome.OK, placed
    assert min(amounts(placed)) >= 0
    assert placed.cost.total.micros == 1 << 55
    assert (await world.client.audit_invariants(admin.AuditInvariantsRequest(replay=True))).ok
