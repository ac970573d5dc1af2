"""Before the doors open: the network, the catalog and the opening stock, over the wire like everything else."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

import numpy as np

from engine.client import AsyncClient
from engine.demo import scenario as words
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import types_pb2 as types

_ENTRIES_MAX = 1_000
"""Entries that one put takes."""
_KINDS = {
    words.NodeKind.STORE: network.NODE_KIND_STORE,
    words.NodeKind.WAREHOUSE: network.NODE_KIND_WAREHOUSE,
}

ItemT = TypeVar("ItemT")


class OpeningRefusedError(Exception):
    """The server does not take the scenario's network or stock; the message says what and why."""


async def put_network(client: AsyncClient, scenario: words.Scenario) -> None:
    """Puts rate cards, zone chart, routing policies, nodes, SKUs and channels, in the order in which they need one another.

    Raises:
        OpeningRefusedError: the server refused one of them.
        StockpoolError: a call failed.
    """
    for card in scenario.rate_cards:
        _check("rate card", await client.put_rate_card(rate_card_request(card, scenario.currency_code)))
    _check("zone chart", await client.put_zone_chart(zone_chart_request(scenario.zone_chart)))
    for policy in scenario.policies:
        _check("routing policy", await client.put_routing_policy(policy_request(policy)))
    for nodes in _chunks(scenario.nodes):
        _check("nodes", await client.put_nodes(network.PutNodesRequest(nodes=[_node(node) for node in nodes])))
    for skus in _chunks(scenario.skus):
        _check("SKUs", await client.put_skus(network.PutSkusRequest(skus=[_sku(sku) for sku in skus])))
    _check("channels", await client.put_channels(_channels(scenario.channels)))


async def import_opening(client: AsyncClient, scenario: words.Scenario, progress: Callable[[int], None]) -> None:
    """Sends the opening stock as one stream; ``progress`` is told the rows of each message as it leaves.

    Raises:
        OpeningRefusedError: the server refused rows.
        StockpoolError: the stream failed.
    """

    def messages() -> Iterator[inventory.ImportStockRequest]:
        for columns in scenario.opening(10_000):
            yield inventory.ImportStockRequest(
                sku_keys=columns.sku_keys,
                node_keys=columns.node_keys,
                on_hand_units=columns.on_hand_units.tolist(),
                safety_stock_units=columns.safety_stock_units.tolist(),
                reference="opening stock",
            )
            progress(len(columns))

    response = await client.import_stock(messages())
    _check("opening stock", response)
    if response.applied_count != scenario.cell_count:
        raise OpeningRefusedError(
            f"{response.applied_count} of {scenario.cell_count} rows of the opening stock went in"
        )


def _check(what: str, response: object) -> None:
    result: types.Result = response.result  # type: ignore[attr-defined]
    if result.outcome != types.OUTCOME_OK:
        name = types.Outcome.Name(result.outcome).removeprefix("OUTCOME_")
        raise OpeningRefusedError(f"the server refused the {what}: {name} {result.subject} {result.detail}".rstrip())


def _chunks(items: Sequence[ItemT]) -> Iterator[list[ItemT]]:
    waiting = iter(items)
    while chunk := list(islice(waiting, _ENTRIES_MAX)):
        yield chunk


def rate_card_request(card: words.RateCard, currency_code: str) -> network.PutRateCardRequest:
    """The request that puts a rate card."""
    return network.PutRateCardRequest(
        rate_card=network.RateCard(
            service_key=card.service_key,
            currency_code=currency_code,
            step_grams=card.step_grams.tolist(),
            zone_count=len(card.price_micros),
            price_micros=np.ravel(card.price_micros).tolist(),
        )
    )


def zone_chart_request(chart: words.ZoneChart) -> network.PutZoneChartRequest:
    """The request that puts a zone chart."""
    places = zip(chart.region_keys, chart.latitudes.tolist(), chart.longitudes.tolist(), strict=True)
    return network.PutZoneChartRequest(
        zone_chart=network.ZoneChart(
            regions=[network.Region(region_key=key, latitude=north, longitude=east) for key, north, east in places],
            band_metres=chart.band_metres.tolist(),
            pair_origins=[chart.region_keys[index] for index in chart.pair_origins.tolist()],
            pair_destinations=[chart.region_keys[index] for index in chart.pair_destinations.tolist()],
            pair_zones=chart.pair_zones.tolist(),
        )
    )


def policy_request(policy: words.RoutingPolicy) -> network.PutRoutingPolicyRequest:
    """The request that puts a routing policy."""
    return network.PutRoutingPolicyRequest(
        policy=network.RoutingPolicy(
            policy_key=policy.policy_key,
            split_penalty=types.Money(micros=policy.split_penalty_micros),
            allow_unit_split=policy.allow_unit_split,
            default_service_key=policy.default_service_key,
        )
    )


def _node(node: words.Node) -> network.Node:
    return network.Node(
        node_key=node.node_key,
        name=node.name,
        kind=_KINDS[node.kind],
        latitude=node.latitude,
        longitude=node.longitude,
        postal_code=node.postal_code,
        ships=node.ships,
        offers_pickup=node.offers_pickup,
        accepts_returns=node.accepts_returns,
        package_cost=types.Money(micros=node.package_cost_micros),
        unit_cost=types.Money(micros=node.unit_cost_micros),
    )


def _sku(sku: words.Sku) -> network.Sku:
    return network.Sku(
        sku_key=sku.sku_key,
        title=sku.title,
        weight_grams=sku.weight_grams,
        unit_value=types.Money(micros=sku.unit_value_micros),
    )


def _channels(channels: Sequence[words.Channel]) -> network.PutChannelsRequest:
    return network.PutChannelsRequest(
        channels=[
            network.Channel(
                channel_key=channel.channel_key,
                name=channel.name,
                all_nodes=True,
                threshold_units=channel.threshold_units,
                policy_key=channel.policy_key,
            )
            for channel in channels
        ]
    )
