"""Servers in this process, whole: journal, writer, port. And a few requests to load them with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from engine import app
from engine.client import AsyncClient
from engine.model.limits import Limits
from engine.ready import Ready
from engine.settings import Settings
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import types_pb2 as types

LIMITS = Limits(nodes_max=16, skus_max=64, cells_max=512, open_reservations_max=1_024, reservation_legs_max=4_096)
"""Small: a server starts in no time."""


@dataclass
class Served:
    """A server that answers, or has ended. ``ended`` is the task that runs it: it raises what ended the server."""

    target: str
    ready: Ready
    ended: asyncio.Task[None]
    stop: asyncio.Event


@asynccontextmanager
async def serving(url: str) -> AsyncIterator[Served]:
    """A server that is ready; it is stopped at the end unless it ended by itself. What keeps it from starting is raised here."""
    stop = asyncio.Event()
    ready: asyncio.Future[Ready] = asyncio.get_running_loop().create_future()
    settings = Settings.load(journal=url, host="127.0.0.1", port=0, limits=LIMITS)
    ended = asyncio.create_task(app.serve(settings, stop, on_ready=ready.set_result))
    await asyncio.wait((ready, ended), return_when=asyncio.FIRST_COMPLETED)
    if not ready.done():
        await ended
    try:
        yield Served(ready.result().target, ready.result(), ended, stop)
    finally:
        stop.set()
        await asyncio.wait((ended,))


async def open_shop(client: AsyncClient) -> None:
    """One node, one SKU."""
    await client.put_nodes(network.PutNodesRequest(request_id="nodes", nodes=[network.Node(node_key="north")]))
    await client.put_skus(network.PutSkusRequest(request_id="skus", skus=[network.Sku(sku_key="chair")]))


def receipt(number: int, units: int = 1, padding: str = "") -> inventory.ReceiveStockRequest:
    """Units of the SKU that came to the node; ``padding`` makes it as long as may be."""
    return inventory.ReceiveStockRequest(
        request_id=f"receipt-{number}",
        node_key="north",
        lines=[types.LineItem(sku_key="chair", units=units)],
        reference=padding,
    )


async def on_hand(client: AsyncClient) -> int:
    """Units of the SKU at the node."""
    await client.put_channels(
        network.PutChannelsRequest(request_id="channels", channels=[network.Channel(channel_key="web", all_nodes=True)])
    )
    request: Any = inventory.GetAvailabilityRequest(
        channel_key="web", sku_key="chair", node_key="north", with_cells=True
    )
    return (await client.get_availability(request)).availability.cells[0].on_hand_units
