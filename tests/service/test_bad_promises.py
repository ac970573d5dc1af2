"""What is wrong with a promised day, with what a policy says of late ones, or with a store to send to: refused over the wire, with the field."""

from __future__ import annotations

from typing import Any

import pytest

from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1.types_pb2 import Destination, Money
from tests.service.test_bad_input import refused
from tests.service.world import World, claim, ingest, lines, place, reserve

BAD: list[tuple[str, Any, list[str]]] = [
    ("place_order", place("o", reservation_id=1, promised_date="2026-12-24"), ["promised_date"]),
    ("place_order", place("o", ("sku-1", 1), pickup_node_key="shop-e", promised_date="2026-12-24"), ["promised_date"]),
    ("place_order", place("o", ("sku-1", 1), promised_date="2026-02-30"), ["promised_date"]),
    ("ingest_order", ingest("o", ("sku-1", 1), promised_date="20261224"), ["promised_date"]),
    ("reserve", reserve(("sku-1", 1), promised_date="2620-12-24"), ["reservation.promised_date"]),
    ("place_order", place("o", reservation_id=1, ship_to_node_key="shop-e"), ["ship_to_node_key"]),
    ("place_order", place("o", ("sku-1", 1), ship_to_node_key=65 * "s"), ["ship_to_node_key"]),
    ("reserve", reserve(("sku-1", 1), ship_to_node_key="s\t"), ["reservation.ship_to_node_key"]),
    (
        "get_fulfillment_options",
        orders.GetFulfillmentOptionsRequest(
            channel_key="web",
            lines=lines(("sku-1", 1)),
            ship_to=Destination(postal_code="10001"),
            ship_to_store_max=11,
        ),
        ["ship_to_store_max"],
    ),
    (
        "batch_reserve",
        reservations.BatchReserveRequest(
            reservations=[claim(("sku-1", 1)), claim(("sku-1", 1), promised_date="soon")],
        ),
        ["reservations[1].promised_date"],
    ),
    (
        "put_routing_policy",
        network.PutRoutingPolicyRequest(
            policy=network.RoutingPolicy(
                policy_key="a",
                late_penalty=Money(micros=-1),
                weights=network.RoutingWeights(carrier=100, lateness=1_001),
                rules=[network.RoutingRule(name="a", candidates=network.RuleCandidates(late_days_max=366))],
            )
        ),
        ["policy.late_penalty.micros", "policy.weights.lateness", "policy.rules[0].candidates.late_days_max"],
    ),
]


@pytest.mark.parametrize(
    ("method", "request_", "paths"), BAD, ids=lambda value: value if isinstance(value, str) else ""
)
async def test_malformed(world: World, method: str, request_: Any, paths: list[str]) -> None:
    error = await refused(world, method, request_)
    assert sorted(problem.field for problem in error.fields) == sorted(paths)
    assert all(problem.description for problem in error.fields)
