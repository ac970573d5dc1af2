"""A rush on a real server: a hundred clients, each on a connection of its own, that call at the same time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from time import sleep
from typing import Any, TypeVar

from google.protobuf.message import Message

from engine.client import AsyncClient
from engine.journal import Record
from engine.journal.memory import MemoryJournal
from engine.model.limits import Limits
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1.types_pb2 import CellQuantities
from tests.service.world import LIMITS, World, open_world

CLIENTS = 100
WRITE_S = 0.001
ROOMY: Limits = replace(
    LIMITS,
    skus_max=1_024,
    cells_max=8_192,
    open_reservations_max=65_536,
    reservation_legs_max=262_144,
    closed_orders_remembered=16_384,
    movements_remembered=65_536,
    request_ids_remembered=65_536,
)
"""Room for all that the tests of one module leave behind."""

T = TypeVar("T")


class PacedJournal(MemoryJournal):
    """Takes as long to write as a good disk, so that callers pile up behind a commit as they do in earnest."""

    def append(self, record: Record, *, expected_seq: int) -> None:
        """See ``Journal.append``."""
        sleep(WRITE_S)
        super().append(record, expected_seq=expected_seq)


@dataclass
class Rush:
    """A server and those who call it. Each test takes SKUs of its own."""

    world: World
    clients: list[AsyncClient]
    sku_count: int = field(default=0)

    @property
    def client(self) -> AsyncClient:
        """Somebody who calls alone."""
        return self.world.client

    @property
    def seq(self) -> int:
        """Sequence of the last decision."""
        return self.world.writer.last_seq

    async def at_once(self, calls: Iterable[Awaitable[T]]) -> list[T]:
        """Results of calls that are all under way together, in order."""
        return list(await asyncio.gather(*calls))

    async def call(self, method: str, requests: Sequence[Message]) -> list[Any]:
        """Sends all requests at once, each by the next client; their responses, in order."""
        clients = self.clients
        return await self.at_once(
            getattr(clients[at % len(clients)], method)(request) for at, request in enumerate(requests)
        )

    async def skus(self, count: int = 1, **stock: int) -> list[str]:
        """New SKUs, with these units on hand each: east=5 (shop_e stands for shop-e)."""
        keys = [f"new-{self.sku_count + at}" for at in range(count)]
        self.sku_count += count
        entries = [network.Sku(sku_key=key, weight_grams=500) for key in keys]
        await self.client.put_skus(network.PutSkusRequest(skus=entries))
        for node, units in stock.items():
            for key in keys:
                await self.world.stock(key, node.replace("_", "-"), units)
        return keys

    async def sku(self, **stock: int) -> str:
        """One new SKU."""
        return (await self.skus(1, **stock))[0]

    async def cells(self, sku_key: str) -> dict[str, CellQuantities]:
        """The cells of a SKU by node."""
        request = inventory.GetAvailabilityRequest(channel_key="web", sku_key=sku_key, with_cells=True)
        found = (await self.client.get_availability(request)).availability.cells
        assert len({cell.node_key for cell in found}) == len(found), "a cell comes once"
        return {cell.node_key: cell for cell in found}

    async def cell(self, sku_key: str, node_key: str = "east") -> CellQuantities:
        """One cell."""
        return (await self.cells(sku_key))[node_key]

    async def order(self, order_id: int) -> orders.Order:
        """An order as it stands."""
        response = await self.client.get_order(orders.GetOrderRequest(order_id=order_id))
        assert response.result.outcome == 1, response
        return response.order

    async def status(self) -> admin.GetStatusResponse:
        """Counts and totals."""
        return await self.client.get_status(admin.GetStatusRequest())

    async def audit(self, *, replay: bool = False) -> None:
        """Every invariant holds; with ``replay`` the journal tells this very state."""
        response = await self.client.audit_invariants(admin.AuditInvariantsRequest(replay=replay))
        assert response.ok, response

    async def events(self, after_seq: int = 0) -> list[admin.Event]:
        """Every decision after a sequence, from the stream of events."""
        request = admin.StreamEventsRequest(from_seq=after_seq + 1)
        return [event async for part in self.client.stream_events(request) for event in part.events]


@asynccontextmanager
async def open_rush(clients: int = CLIENTS) -> AsyncIterator[Rush]:
    """A server with the sample network, and its callers."""
    async with open_world(limits=ROOMY, journal=PacedJournal()) as world, AsyncExitStack() as stack:
        callers = [await stack.enter_async_context(connected(world.target)) for _ in range(clients)]
        yield Rush(world, callers)


def connected(target: str) -> AsyncClient:
    """A client that shares its connection with nobody, and tries nothing twice."""
    client = AsyncClient(target, timeout_s=30, retries=0)
    client._options.append(("grpc.use_local_subchannel_pool", 1))
    return client


def outcomes(responses: Iterable[Any]) -> Counter[int]:
    """How often each outcome came."""
    return Counter(response.result.outcome for response in responses)


def by_decision(responses: Iterable[Any]) -> list[Any]:
    """Responses in the order in which they were decided."""
    ordered = sorted(responses, key=lambda response: response.result.journal_seq)
    seqs = [response.result.journal_seq for response in ordered]
    assert len(set(seqs)) == len(seqs), "every request is a decision of its own"
    return ordered
