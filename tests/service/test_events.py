"""StreamEvents: every decision once and in order, from any sequence, live, and enough to recount the stock from."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import AsyncClient, Client, StockpoolError
from engine.journal import Record
from engine.journal.memory import MemoryJournal
from engine.service import events as module
from engine.service.limits import EVENT_STREAMS_MAX
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types
from tests.service.world import (
    LIMITS,
    SECOND_NS,
    Outcome,
    World,
    claim,
    ingest,
    lines,
    open_world,
    place,
    reserve,
    until,
)


async def events(world: World, from_seq: int = 0) -> list[admin.Event]:
    """Everything up to the present."""
    stream = world.client.stream_events(admin.StreamEventsRequest(from_seq=from_seq))
    return [event async for part in stream for event in part.events]


def changes(event: admin.Event) -> list[str]:
    return [str(effect.WhichOneof("change")) for effect in event.effects]


async def busy_day(world: World) -> None:
    """One of everything that changes stock."""
    client = world.client
    await client.import_stock(
        [
            inventory.ImportStockRequest(
                sku_keys=["sku-1", "sku-2", "sku-1"],
                node_keys=["east", "east", "shop-e"],
                on_hand_units=[50, 50, 20],
                safety_stock_units=[-1, 2, -1],
                source_key="wms",
                source_seq=1,
            )
        ]
    )
    await client.adjust_stock(
        inventory.AdjustStockRequest(
            sku_key="sku-1", node_key="east", quantity=types.QUANTITY_DAMAGED, delta_units=2, reference="note 7"
        )
    )
    await client.receive_stock(inventory.ReceiveStockRequest(node_key="west", lines=lines(("sku-1", 9))))
    await client.record_sale(
        inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines(("sku-1", 3)), reference="bon 1")
    )
    kept = (await client.reserve(reserve(("sku-1", 4), ("sku-2", 1)))).reservation.reservation_id
    await client.extend_reservation(
        reservations.ExtendReservationRequest(reservation_id=kept, ttl=Duration(seconds=3_000))
    )
    await client.batch_reserve(
        reservations.BatchReserveRequest(reservations=[claim(("sku-1", 1)), claim(("sku-9", 1))])
    )
    given_back = await client.reserve(reserve(("sku-1", 2)))
    await client.release_reservation(
        reservations.ReleaseReservationRequest(reservation_id=given_back.reservation.reservation_id)
    )
    order = (await client.place_order(place("o-1", reservation_id=kept))).order
    for work in order.fulfillment_order_ids:
        await client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
        await client.ship(fulfillment.ShipRequest(fulfillment_order_id=work))
    rejected = (await client.place_order(place("o-2", ("sku-1", 2)))).order
    await client.reject(
        fulfillment.RejectRequest(
            fulfillment_order_id=rejected.fulfillment_order_ids[0], reason=fulfillment.REJECT_REASON_MISMATCH
        )
    )
    await client.ingest_order(ingest("m-1", ("sku-2", 99)))
    await client.cancel_order(orders.CancelOrderRequest(order_id=rejected.order_id, reference="changed my mind"))
    goods = await client.authorize_return(
        returns.AuthorizeReturnRequest(
            channel_key="web",
            order_id=order.order_id,
            lines=[returns.ReturnItem(line_index=0, units=3)],
            drop_off_node_key="shop-e",
        )
    )
    item = returns.ReceivedItem(units=2, disposition=returns.DISPOSITION_RESTOCK)
    await client.receive_return(
        returns.ReceiveReturnRequest(return_id=goods.return_order.return_id, items=[item], node_key="west")
    )
    world.clock.advance(10_000 * SECOND_NS)
    await world.available("sku-1")  # ends what has expired


def recount(stream: list[admin.Event]) -> dict[tuple[str, str, str], int]:
    """Units of every quantity of every cell, by adding up what the events say."""
    units: Counter[tuple[str, str, str]] = Counter()
    held: dict[int, list[Any]] = {}
    for event in stream:
        for effect in event.effects:
            moved, hold, closed = effect.stock_moved, effect.reservation_held, effect.reservation_closed
            change = effect.WhichOneof("change")
            if change == "stock_moved":
                name = types.Quantity.Name(moved.quantity).removeprefix("QUANTITY_").lower()
                units[moved.sku_key, moved.node_key, name] += moved.delta_units
            elif change == "reservation_held":
                held[hold.reservation_id] = list(hold.legs)
                for leg in hold.legs:
                    units[leg.sku_key, leg.node_key, "reserved"] += leg.units
            elif change == "reservation_closed":
                for leg in held.pop(closed.reservation_id):
                    units[leg.sku_key, leg.node_key, "reserved"] -= leg.units
    return {cell: count for cell, count in units.items() if count}


async def test_events_tell_the_whole_stock(world: World) -> None:
    await busy_day(world)
    stream = await events(world)
    assert [event.journal_seq for event in stream] == list(range(1, world.writer.last_seq + 1))
    told = recount(stream)
    present = {}
    for sku in ("sku-1", "sku-2"):
        request = inventory.GetAvailabilityRequest(channel_key="web", sku_key=sku, with_cells=True)
        for cell in (await world.client.get_availability(request)).availability.cells:
            for quantity in types.Quantity.keys()[1:]:
                name = quantity.removeprefix("QUANTITY_").lower()
                if count := getattr(cell, f"{name}_units"):
                    present[cell.sku_key, cell.node_key, name] = count
    assert told == present


async def test_event_says_who_asked_for_what(world: World) -> None:
    await busy_day(world)
    stream = await events(world)
    by_command = {event.command: event for event in stream}
    assert by_command["AdjustStock"].reference == "note 7"
    assert by_command["RecordSale"].reference == "bon 1"
    assert by_command["CancelOrder"].reference == "changed my mind"
    assert changes(by_command["ReceiveStock"]) == ["cell_opened", "stock_moved"]
    assert changes(by_command["ExtendReservation"]) == ["reservation_extended"]
    assert changes(by_command["ReleaseReservation"]) == ["reservation_closed"]
    assert "source_advanced" in changes(by_command["ImportStock"])
    assert changes(by_command["PutChannels"]) == ["network_changed"] * 3
    assert {"order", "fulfillment_order", "reservation_closed"} <= set(changes(by_command["PlaceOrder"])) | set(
        changes(next(event for event in stream if event.command == "PlaceOrder"))
    )
    assert {"order", "return_order"} <= set(changes(by_command["AuthorizeReturn"]))
    expired = by_command["Expire"]
    assert (expired.request_id, changes(expired)) == ("", ["reservation_closed"])
    assert expired.effects[0].reservation_closed.state == reservations.RESERVATION_STATE_EXPIRED
    assert all(event.request_id for event in stream if event.command != "Expire")
    for event in stream:
        for effect in event.effects:
            if effect.WhichOneof("change") == "fulfillment_order":
                assert effect.fulfillment_order.order_key in ("o-1", "o-2", "m-1")


async def test_refusal_is_an_event_without_effects(world: World) -> None:
    await world.client.reserve(reserve(("sku-1", 1), request_id="refused"))
    last = (await events(world))[-1]
    assert (last.request_id, last.outcome, list(last.effects)) == ("refused", Outcome.INSUFFICIENT_STOCK, [])


async def test_from_any_sequence(world: World) -> None:
    """Also from the middle of a group."""
    await asyncio.gather(*(world.client.reserve(reserve(("sku-1", 1))) for _ in range(50)))
    stream = await events(world)
    for from_seq in range(len(stream) + 2):
        assert await events(world, from_seq) == stream[max(from_seq - 1, 0) :]


async def test_parts_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await busy_day(world)
    whole = await events(world)
    monkeypatch.setattr(module, "EVENTS_MAX", 4)
    monkeypatch.setattr(module, "BYTES_MAX", 600)
    monkeypatch.setattr(module, "READ_BYTES_MAX", 2_000)
    parts = [part async for part in world.client.stream_events(admin.StreamEventsRequest())]
    assert [event for part in parts for event in part.events] == whole
    assert all(1 <= len(part.events) <= 4 for part in parts)
    for part in parts:
        del part.events[-1]
        assert part.ByteSize() < 700, "only the last event may go beyond"


async def test_follow(world: World) -> None:
    stream = world.client.stream_events(admin.StreamEventsRequest(from_seq=world.writer.last_seq + 1, follow=True))
    seen: list[admin.Event] = []

    async def read() -> None:
        async for part in stream:
            seen.extend(part.events)

    reader = asyncio.create_task(read())
    for number in range(5):
        await world.client.reserve(reserve(("sku-1", 1), request_id=f"r{number}"))
        await until(lambda count=number: len(seen) == count + 1)  # type: ignore[misc]
    assert [event.request_id for event in seen] == [f"r{number}" for number in range(5)]
    reader.cancel()
    await asyncio.wait([reader])
    await stream.aclose()


class Slow(MemoryJournal):
    """A journal whose appends wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()

    def append(self, record: Record, *, expected_seq: int) -> None:
        self.open.wait(30)
        super().append(record, expected_seq=expected_seq)


async def test_nothing_is_shown_before_it_is_durable() -> None:
    journal = Slow()
    async with open_world(journal=journal) as world:
        durable = world.writer.last_seq
        journal.open.clear()
        call = asyncio.ensure_future(world.client.reserve(reserve(("sku-1", 1))))
        await until(lambda: world.writer.inbox_count == 1)
        try:
            assert [event.journal_seq for event in await events(world)] == list(range(1, durable + 1))
        finally:
            journal.open.set()
        await call
        assert len(await events(world)) == durable + 1


async def test_follower_is_sent_away_when_the_server_closes(world: World) -> None:
    stream = world.client.stream_events(admin.StreamEventsRequest(follow=True))
    await anext(stream)
    await world.server.close()
    with pytest.raises(StockpoolError) as caught:
        async for _ in stream:
            pass
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_SERVING")


@pytest.fixture
async def welcoming() -> AsyncIterator[World]:
    """A server where one client may open all streams that there are."""
    async with open_world(limits=dataclasses.replace(LIMITS, client_streams_max=EVENT_STREAMS_MAX + 1)) as opened:
        yield opened


async def test_too_many_streams(welcoming: World) -> None:
    world = welcoming
    request = admin.StreamEventsRequest(follow=True)
    streams = [world.client.stream_events(request) for _ in range(EVENT_STREAMS_MAX)]
    for stream in streams:
        await anext(stream)
    with pytest.raises(StockpoolError) as caught:
        await anext(world.client.stream_events(request))
    assert (caught.value.code, caught.value.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "OVERLOADED")
    assert caught.value.retry_after_s
    assert caught.value.metadata == {"limit": "event_streams_max", "value": str(EVENT_STREAMS_MAX)}
    for stream in streams:
        await stream.aclose()

    async def once_more() -> bool:
        try:
            await anext(world.client.stream_events(request))
        except StockpoolError:
            return False
        return True

    async with asyncio.timeout(30):
        while not await once_more():
            pass


async def test_before_the_beginning(world: World) -> None:
    with pytest.raises(StockpoolError) as caught:
        await anext(world.client.stream_events(admin.StreamEventsRequest(from_seq=-1)))
    assert [problem.field for problem in caught.value.fields] == ["from_seq"]


async def test_blocking_client_reads_the_same(world: World) -> None:
    await busy_day(world)

    def read() -> list[admin.Event]:
        with Client(world.target) as client:
            return [event for part in client.stream_events(admin.StreamEventsRequest()) for event in part.events]

    assert await asyncio.to_thread(read) == await events(world)


async def test_a_reader_that_comes_back_misses_nothing(world: World) -> None:
    """The server goes away in the middle; the client goes on behind the last event it gave."""
    await busy_day(world)
    everything = await events(world)
    async with AsyncClient(world.target, retries=3) as client:
        stream = client.stream_events(admin.StreamEventsRequest(follow=True))
        seen = list((await anext(stream)).events)
        door = world.server._door
        engine = door._engine
        assert engine is not None
        door.close()

        async def reopen() -> None:
            await asyncio.sleep(0.05)
            door.open(engine.writer, engine.names, engine.journal)
            await world.client.reserve(reserve(("sku-1", 1), request_id="after"))

        opening = asyncio.create_task(reopen())
        seen.extend((await anext(stream)).events)
        await opening
        await stream.aclose()
    assert [event.journal_seq for event in seen] == list(range(1, len(everything) + 2))
