"""The shop that is tortured: its network, its goods, and the requests that open it. Known stock, so that every unit can be accounted for."""

from collections.abc import Iterator

from google.protobuf.message import Message

from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import types_pb2 as types

WAREHOUSES = ("east", "west")
STORES = ("shop-1", "shop-2", "shop-3")
NODES = (*WAREHOUSES, *STORES)
HOT = tuple(f"hot-{number}" for number in range(1, 5))
"""SKUs that everybody wants: sold out most of the time."""
COLD = tuple(f"cold-{number}" for number in range(1, 61))
SKUS = (*HOT, *COLD)
HOT_UNITS, COLD_UNITS = 30, 200
"""Opening stock of each node."""
SHOPS = ("web", "app")
"""Channels that ask before they sell."""
TILL, MARKET = "till", "market"
"""Channels that tell what they have sold."""
EVERYTHING = SHOPS[0]
"""A channel over all nodes."""
POSTAL_CODES = ("10001", "90001")
_MILLION = 1_000_000
_PLACES = {
    "east": (40.7, -74.0),
    "west": (34.0, -118.2),
    "shop-1": (40.8, -73.9),
    "shop-2": (33.9, -118.3),
    "shop-3": (41.0, -74.1),
}


def opening_units(sku_key: str) -> int:
    """Units on hand of a SKU at each node when the shop opens."""
    return HOT_UNITS if sku_key in HOT else COLD_UNITS


def opening() -> Iterator[tuple[str, Message]]:
    """The requests that open the shop, in order: name of the call and request."""
    for service_key, price in (("ground", 5), ("express", 9)):
        yield "PutRateCard", network.PutRateCardRequest(rate_card=_rate_card(service_key, price))
    yield "PutZoneChart", network.PutZoneChartRequest(zone_chart=_zone_chart())
    policy = network.RoutingPolicy(
        policy_key="default", default_service_key="ground", allow_unit_split=True, split_penalty=_usd(2)
    )
    yield "PutRoutingPolicy", network.PutRoutingPolicyRequest(policy=policy)
    yield "PutNodes", network.PutNodesRequest(nodes=[_node(node_key) for node_key in NODES])
    skus = [network.Sku(sku_key=sku_key, weight_grams=400) for sku_key in SKUS]
    yield "PutSkus", network.PutSkusRequest(skus=skus)
    channels = [network.Channel(channel_key=key, all_nodes=True) for key in (*SHOPS, MARKET)]
    channels.append(network.Channel(channel_key=TILL, node_keys=STORES))
    yield "PutChannels", network.PutChannelsRequest(channels=channels)
    for node_key in NODES:
        lines = [types.LineItem(sku_key=sku_key, units=opening_units(sku_key)) for sku_key in SKUS]
        yield "ReceiveStock", inventory.ReceiveStockRequest(node_key=node_key, lines=lines, reference="opening stock")


def _node(node_key: str) -> network.Node:
    latitude, longitude = _PLACES[node_key]
    is_store = node_key in STORES
    return network.Node(
        node_key=node_key,
        kind=network.NODE_KIND_STORE if is_store else network.NODE_KIND_WAREHOUSE,
        latitude=latitude,
        longitude=longitude,
        ships=True,
        offers_pickup=is_store,
        accepts_returns=True,
        package_cost=_usd(2 if is_store else 1),
        unit_cost=_usd(1),
    )


def _rate_card(service_key: str, price: int) -> network.RateCard:
    prices = [price * zone * step * _MILLION for zone in (1, 2, 3) for step in (1, 2)]
    return network.RateCard(
        service_key=service_key, currency_code="USD", step_grams=[1_000, 5_000], zone_count=3, price_micros=prices
    )


def _zone_chart() -> network.ZoneChart:
    return network.ZoneChart(
        regions=[
            network.Region(region_key="100", latitude=40.75, longitude=-73.99),
            network.Region(region_key="900", latitude=33.97, longitude=-118.25),
        ],
        band_metres=[200_000, 2_000_000],
    )


def _usd(units: int) -> types.Money:
    return types.Money(currency_code="USD", micros=units * _MILLION)
