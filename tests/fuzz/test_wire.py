"""Hostile bytes on the wire: no crash, no hang, always a typed answer, and what was refused has changed nothing."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

import grpc
import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from engine.journal.memory import MemoryJournal, Tape
from engine.planning.worker import Thought
from engine.service import refresh
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import returns_pb2 as returns
from tests.fuzz.calls import CALLS, Call
from tests.fuzz.conftest import examples
from tests.fuzz.messages import contents
from tests.fuzz.sending import state, try_out
from tests.service.world import LIMITS, Outcome, World, ingest, open_world, place, rate_card, reserve, zone_chart

SMALL = replace(
    LIMITS,
    nodes_max=64,
    skus_max=1_024,
    cells_max=4_096,
    batch_items_max=20,
    stock_lines_max=20,
    import_rows_per_message_max=20,
    import_rows_per_stream_max=50,
    import_all_or_nothing_rows_max=30,
    page_size_max=20,
)
"""So that a message can be over them without being long."""


class Step(NamedTuple):
    """One call, and how many seconds pass before it."""

    call: Call
    messages: tuple[bytes, ...]
    after_s: int


@st.composite
def steps(draw: st.DrawFn) -> Step:
    call = draw(st.sampled_from(CALLS))
    count = draw(st.integers(0, 4)) if call.streams_in else 1
    after_s = draw(st.sampled_from([0] * 9 + [3_600]))
    return Step(call, tuple(draw(contents(call)) for _ in range(count)), after_s)


@contextmanager
def quiet() -> Iterator[None]:
    """Nothing may be logged as an error: neither an incident nor what gRPC or asyncio say of an exception that nobody expected."""
    records: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            records.append(self.format(record))

    keeper = Keeper(logging.ERROR)
    logging.getLogger().addHandler(keeper)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(keeper)
    assert not records, "\n".join(records)


class Here:
    """Thinks in this process: starting one takes longer than a hundred other calls."""

    def __init__(self, thought: Thought, *, timeout_s: float) -> None:
        del timeout_s
        self._thought = thought
        self._parts: list[Any] = []

    def start(self) -> None:
        pass

    def send(self, part: Any) -> None:
        self._parts.append(part)

    def results(self) -> Iterator[Any]:
        return iter(self._thought(self._parts))

    def close(self) -> None:
        pass


@asynccontextmanager
async def busy_world(tape: Tape) -> AsyncIterator[tuple[World, grpc.aio.Channel]]:
    """A server on a copy of a journal."""
    copy = Tape()
    copy.frames, copy.head = list(tape.frames), tape.head
    with patch.object(refresh, "Work", Here):
        async with (
            open_world(limits=SMALL, journal=MemoryJournal(copy), filled=False) as world,
            grpc.aio.insecure_channel(world.target) as channel,
        ):
            yield world, channel


async def _record(tape: Tape) -> None:
    """A store with stock, reservations, orders in every state, and a return."""
    async with open_world(limits=SMALL, journal=MemoryJournal(tape)) as world:
        client = world.client
        for sku_key in ("sku-1", "sku-2", "sku-3"):
            for node_key in ("east", "west", "shop-e"):
                await world.stock(sku_key, node_key, 20)
        for _ in range(3):
            await client.reserve(reserve(("sku-1", 2), ("sku-2", 1)))
        shipped = await client.place_order(place("o-1", ("sku-1", 1)))
        await client.place_order(place("o-2", ("sku-2", 2), pickup_node_key="shop-e"))
        await client.place_order(place("o-3", reservation_id=1))
        await client.ingest_order(ingest("o-4", ("sku-3", 70)))
        await client.accept(fulfillment.AcceptRequest(fulfillment_order_id=1))
        await client.ship(fulfillment.ShipRequest(fulfillment_order_id=1))
        await client.accept(fulfillment.AcceptRequest(fulfillment_order_id=2))
        item = returns.ReturnItem(line_index=0, units=1)
        back = returns.AuthorizeReturnRequest(
            channel_key="web", order_id=shipped.order.order_id, drop_off_node_key="east", lines=[item]
        )
        assert (await client.authorize_return(back)).result.outcome == Outcome.OK


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as running:
        yield running


@pytest.fixture(scope="module")
def tape(runner: asyncio.Runner) -> Tape:
    """What ``busy_world`` starts with."""
    recorded = Tape()
    runner.run(_record(recorded))
    return recorded


async def serves_an_order(world: World) -> None:
    """A normal order goes through, at a new node and of a new SKU: what became of the others is the fuzzer's business."""
    client = world.client
    east: dict[str, Any] = {"latitude": 40.7, "longitude": -74.0}
    for put in (
        client.put_rate_card(network.PutRateCardRequest(rate_card=rate_card("ground", 5))),
        client.put_zone_chart(network.PutZoneChartRequest(zone_chart=zone_chart())),
        client.put_nodes(network.PutNodesRequest(nodes=[network.Node(node_key="proof", ships=True, **east)])),
        client.put_skus(network.PutSkusRequest(skus=[network.Sku(sku_key="proof", weight_grams=500)])),
        client.put_channels(
            network.PutChannelsRequest(channels=[network.Channel(channel_key="proof", node_keys=["proof"])])
        ),
    ):
        done: Any = await put
        assert done.result.outcome == Outcome.OK, done
    await world.stock("proof", "proof", 3)
    placed = await client.place_order(place("proof", ("proof", 2), channel_key="proof", service_key="ground"))
    assert placed.result.outcome == Outcome.OK, placed


@given(plan=st.lists(steps(), min_size=1, max_size=12))
@examples(60)
def test_whatever_is_sent(plan: list[Step], runner: asyncio.Runner, tape: Tape) -> None:
    """Every call of every service, one after the other on a server with some history."""

    async def play() -> None:
        async with busy_world(tape) as (world, channel):
            for call, messages, after_s in plan:
                if after_s:
                    world.clock.advance(after_s * 10**9)
                    await state(channel)  # what has expired is free before anybody looks
                told = await try_out(world, channel, call, messages or (b"",))
                event(f"{'error' if told.error else 'reply'}: {call!r}")
            await serves_an_order(world)
            audit = await world.client.audit_invariants(admin.AuditInvariantsRequest(replay=True))
            assert audit.ok, audit

    with quiet():
        runner.run(play())
