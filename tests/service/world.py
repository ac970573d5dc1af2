"""A real server in this process with a real client: the machine on a journal in memory, and a small network to play with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine.client import AsyncClient
from engine.clock import ManualClock
from engine.journal import Journal
from engine.journal.memory import MemoryJournal
from engine.model import outcomes
from engine.model.limits import Limits
from engine.recovery import recover
from engine.service.server import Server
from engine.settings import Settings
from engine.writer import Writer
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1.types_pb2 import Destination, LineItem, Money

Outcome: Any = outcomes.Outcome
"""The engine's enum, untyped: its members equal those of the contract, which a type checker cannot know."""
SECOND_NS = 1_000_000_000
LIMITS = Limits(
    nodes_max=16,
    skus_max=64,
    cells_max=256,
    regions_max=16,
    services_max=4,
    sources_max=3,
    open_reservations_max=64,
    reservation_legs_max=256,
    movements_remembered=1_024,
    request_ids_remembered=4_096,
    closed_orders_remembered=1_024,
)
"""Small enough to be filled by a test."""
EAST, WEST = "10001", "90001"


@dataclass
class World:
    """A running server, the client that speaks to it, and what is behind it."""

    client: AsyncClient
    server: Server
    writer: Writer
    journal: Journal
    clock: ManualClock
    target: str

    async def stock(self, sku_key: str, node_key: str, units: int) -> None:
        """Sets the units on hand of a cell."""
        response = await self.client.set_stock(
            inventory.SetStockRequest(sku_key=sku_key, node_key=node_key, on_hand_units=units)
        )
        assert response.result.outcome == 1, response

    async def available(self, sku_key: str, channel_key: str = "web") -> int:
        """ATS of a SKU for a channel that ships."""
        response = await self.client.get_availability(
            inventory.GetAvailabilityRequest(channel_key=channel_key, sku_key=sku_key)
        )
        return response.availability.ats_units


@asynccontextmanager
async def open_world(
    *,
    limits: Limits = LIMITS,
    journal: Journal | None = None,
    url: str = "memory://",
    filled: bool = True,
    token: str | None = None,
    root_certificates: bytes | None = None,
    **settings: Any,
) -> AsyncIterator[World]:
    """A server on a free port; ``filled`` with the sample network. ``url``: where its settings say that the journal is."""
    chosen = Settings.load(journal=url, host="localhost", port=0, limits=limits, **settings)
    journal = journal or MemoryJournal()
    machine = recover(journal, limits)
    clock = ManualClock(max(machine.now_ns, ManualClock().now_ns()))
    writer = Writer(machine, journal, clock, linger_ns=0, on_lost=lambda _: None)
    server = Server(chosen)
    port = await server.start()
    writer.start()
    await server.open(writer, machine.pool.names, journal)
    target = f"localhost:{port}"
    async with AsyncClient(target, token=token, timeout_s=30, retries=0, root_certificates=root_certificates) as client:
        world = World(client, server, writer, journal, clock, target)
        try:
            if filled:
                await fill(client)
            yield world
        finally:
            await server.close()
            await writer.drain()
            await server.stop(0)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another thread or the server will bring about."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - nobody here can be told
            await asyncio.sleep(0.005)


async def fill(client: AsyncClient) -> None:
    """Two warehouses, two shops, three channels, five SKUs, ground and express."""
    for request in (
        network.PutRateCardRequest(rate_card=rate_card("ground", 5)),
        network.PutRateCardRequest(rate_card=rate_card("express", 9)),
    ):
        await _done(client.put_rate_card(request))
    await _done(client.put_zone_chart(network.PutZoneChartRequest(zone_chart=zone_chart())))
    await _done(client.put_nodes(network.PutNodesRequest(nodes=nodes())))
    skus = [network.Sku(sku_key=f"sku-{number}", title=f"Thing {number}", weight_grams=500) for number in range(1, 6)]
    await _done(client.put_skus(network.PutSkusRequest(skus=skus)))
    policy = network.RoutingPolicy(
        policy_key="default", default_service_key="ground", allow_unit_split=True, split_penalty=usd(2)
    )
    await _done(client.put_routing_policy(network.PutRoutingPolicyRequest(policy=policy)))
    channels = [
        network.Channel(channel_key="web", all_nodes=True),
        network.Channel(channel_key="till", node_keys=["shop-e", "shop-w"]),
        network.Channel(channel_key="market", node_keys=["east", "west"]),
    ]
    await _done(client.put_channels(network.PutChannelsRequest(channels=channels)))


async def _done(call: Any) -> None:
    response = await call
    assert response.result.outcome == 1, response


def usd(units: float) -> Money:
    return Money(currency_code="USD", micros=round(units * 1_000_000))


def rate_card(service_key: str, price: int, currency_code: str = "USD") -> network.RateCard:
    """Three zones, two weight steps; ``price`` dollars in zone 1."""
    prices = [price * zone * step * 1_000_000 for zone in (1, 2, 3) for step in (1, 2)]
    return network.RateCard(
        service_key=service_key,
        currency_code=currency_code,
        step_grams=[1_000, 5_000],
        zone_count=3,
        price_micros=prices,
    )


def zone_chart() -> network.ZoneChart:
    """New York and Los Angeles, by distance."""
    return network.ZoneChart(
        regions=[
            network.Region(region_key="100", latitude=40.75, longitude=-73.99),
            network.Region(region_key="900", latitude=33.97, longitude=-118.25),
        ],
        band_metres=[200_000, 2_000_000],
    )


def nodes() -> list[network.Node]:
    """Warehouses ship, shops offer pickup; shops and the eastern warehouse take returns; one shop is closed."""
    east: dict[str, Any] = {"latitude": 40.7, "longitude": -74.0}
    west: dict[str, Any] = {"latitude": 34.0, "longitude": -118.2}
    return [
        network.Node(
            node_key="east", ships=True, accepts_returns=True, package_cost=usd(1), unit_cost=usd(0.1), **east
        ),
        network.Node(node_key="west", ships=True, package_cost=usd(1), unit_cost=usd(0.1), **west),
        network.Node(node_key="shop-e", offers_pickup=True, accepts_returns=True, **east),
        network.Node(node_key="shop-w", offers_pickup=True, **west),
        network.Node(node_key="shut", closed=True, offers_pickup=True, ships=True, **east),
    ]


def lines(*pairs: tuple[str, int]) -> list[LineItem]:
    return [LineItem(sku_key=sku_key, units=units) for sku_key, units in pairs]


def claim(*pairs: tuple[str, int], **fields: Any) -> reservations.ReservationRequest:
    """A claim for the web channel, shipped to New York unless ``fields`` say otherwise."""
    fields.setdefault("channel_key", "web")
    if not {"pickup_node_key", "ship_to", "ship_to_node_key"} & fields.keys():
        fields["ship_to"] = Destination(postal_code=EAST)
    return reservations.ReservationRequest(lines=lines(*pairs), **fields)


def reserve(*pairs: tuple[str, int], request_id: str = "", **fields: Any) -> reservations.ReserveRequest:
    return reservations.ReserveRequest(request_id=request_id, reservation=claim(*pairs, **fields))


def items(*pairs: tuple[str, int]) -> list[orders.OrderItem]:
    return [orders.OrderItem(sku_key=sku_key, units=units, unit_price=usd(20)) for sku_key, units in pairs]


def place(order_key: str, *pairs: tuple[str, int], **fields: Any) -> orders.PlaceOrderRequest:
    """An order of the web channel, shipped to New York unless ``fields`` say otherwise."""
    fields.setdefault("channel_key", "web")
    if not {"pickup_node_key", "ship_to", "ship_to_node_key", "reservation_id"} & fields.keys():
        fields["ship_to"] = Destination(postal_code=EAST)
    return orders.PlaceOrderRequest(order_key=order_key, lines=items(*pairs), **fields)


def ingest(order_key: str, *pairs: tuple[str, int], **fields: Any) -> orders.IngestOrderRequest:
    fields.setdefault("channel_key", "market")
    fields.setdefault("ship_to", Destination(postal_code=EAST))
    return orders.IngestOrderRequest(order_key=order_key, lines=items(*pairs), **fields)
