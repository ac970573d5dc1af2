"""The server itself: health, reflection, limits, status, audit, large messages, an orderly end."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from engine.client import AsyncClient, StockpoolError
from engine.journal import Record
from engine.journal.memory import MemoryJournal
from engine.service.port import MESSAGE_BYTES_MAX, SERVICES
from engine.service.server import Server
from engine.settings import Settings
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1.types_pb2 import Destination, Money
from tests.service.world import Outcome, World, claim, lines, nodes, open_world, place, rate_card, reserve

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


async def healths(target: str) -> set[Any]:
    """What health says of the server and of each service."""
    async with grpc.aio.insecure_channel(target) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        return {(await stub.Check(health_pb2.HealthCheckRequest(service=name))).status for name in ("", *SERVICES)}


async def test_health_while_starting() -> None:
    server = Server(Settings.load(journal="memory://", port=0))
    port = await server.start()
    try:
        assert await healths(f"localhost:{port}") == {NOT_SERVING}
    finally:
        await server.stop(0)


async def test_health_while_serving_and_draining(world: World) -> None:
    assert await healths(world.target) == {SERVING}
    await world.server.close()
    assert await healths(world.target) == {NOT_SERVING}


async def test_reflection_tells_every_call(world: World) -> None:
    async with grpc.aio.insecure_channel(world.target) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[arg-type]

        async def ask(**fields: Any) -> Any:
            call = stub.ServerReflectionInfo(iter([reflection_pb2.ServerReflectionRequest(**fields)]))
            return await anext(aiter(call))

        listed = {service.name for service in (await ask(list_services="")).list_services_response.service}
        assert set(SERVICES) <= listed
        assert "grpc.health.v1.Health" in listed
        calls = set()
        for name in SERVICES:
            answer = await ask(file_containing_symbol=name)
            for content in answer.file_descriptor_response.file_descriptor_proto:
                for service in FileDescriptorProto.FromString(content).service:
                    calls |= {method.name for method in service.method}
        assert {"Reserve", "PlaceOrder", "ImportStock", "StreamEvents"} <= calls


async def test_status(world: World) -> None:
    await world.stock("sku-1", "east", 5)
    await world.client.reserve(reserve(("sku-1", 2)))
    sale = inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines(("sku-2", 3)))
    shortages = (await world.client.record_sale(sale)).shortages
    assert [(cell.sku_key, cell.node_key, cell.atf_units) for cell in shortages] == [("sku-2", "shop-e", -3)]
    status = await world.client.get_status(admin.GetStatusRequest(min_journal_seq=world.writer.last_seq))
    assert (status.node_count, status.sku_count, status.channel_count, status.cell_count) == (5, 5, 3, 2)
    assert (status.on_hand_units, status.reserved_units, status.available_units) == (2, 2, 3)
    assert (status.shortage_units, status.shortage_cell_count) == (3, 1)
    assert status.open_reservation_count == 1
    assert status.journal_seq == world.writer.last_seq
    assert (status.journal_kind, status.version) == ("memory", "0.1.0")
    assert status.start_time.seconds > 0


@pytest.mark.parametrize("replay", [False, True])
async def test_audit(world: World, replay: bool) -> None:
    await world.stock("sku-1", "east", 5)
    await world.client.reserve(reserve(("sku-1", 2)))
    report = await world.client.audit_invariants(admin.AuditInvariantsRequest(replay=replay))
    assert (report.ok, list(report.findings)) == (True, [])
    assert (report.cell_count, report.reservation_count, report.journal_seq) == (1, 1, world.writer.last_seq)
    assert report.digest
    assert report.elapsed.nanos


async def test_audit_in_the_middle_of_a_group(world: World) -> None:
    """Others decide before and after it in the same group; the replay ends where the audit looked."""
    await world.stock("sku-1", "east", 5_000)
    for _ in range(5):
        calls: list[Any] = [world.client.reserve(reserve(("sku-1", 1))) for _ in range(20)]
        calls.insert(10, world.client.audit_invariants(admin.AuditInvariantsRequest(replay=True)))
        report = (await asyncio.gather(*calls))[10]
        assert report.ok, report


async def test_audit_finds_a_state_that_is_not_the_journals(world: World) -> None:
    """Someone changed memory behind the engine's back."""
    await world.stock("sku-1", "east", 5)
    world.writer._groups.machine.pool.state[0][0, 0] += 1
    report = await world.client.audit_invariants(admin.AuditInvariantsRequest(replay=True))
    assert not report.ok
    assert "the live state is what the journal tells" in {finding.invariant for finding in report.findings}


async def test_options_say_what_reserve_grants(world: World) -> None:
    await world.stock("sku-1", "east", 5)
    await world.stock("sku-1", "shop-e", 5)
    request = orders.GetFulfillmentOptionsRequest(
        channel_key="web",
        lines=lines(("sku-1", 4)),
        ship_to=Destination(postal_code="10001"),
        pickup_store_max=3,
    )
    options = await world.client.get_fulfillment_options(request)
    assert [option.service_key for option in options.ship_options] == ["ground", "express"]
    assert [option.node_key for option in options.pickup_options] == ["shop-e"]
    cheapest = options.ship_options[0]
    response = await world.client.reserve(reserve(("sku-1", 4), service_key=cheapest.service_key))
    assert (list(response.reservation.legs), response.cost) == (list(cheapest.legs), cheapest.cost)
    assert response.cost.total.currency_code == "USD"
    read = await world.client.get_reservation(
        reservations.GetReservationRequest(reservation_id=response.reservation.reservation_id)
    )
    assert read.reservation == response.reservation


async def test_options_tell_dates_and_orders_keep_them(world: World) -> None:
    days: Any = range(1, 8)
    hours = [network.OpeningHours(weekday=day, opens_minute=0, closes_minute=1_440) for day in days]
    calendar = network.Calendar(time_zone="UTC", hours=hours, handling_minutes=90, pickups_per_hour_max=1)
    timed = [node for node in nodes() if node.node_key in ("east", "shop-e")]
    for node in timed:
        node.calendar.CopyFrom(calendar)
    await world.client.put_nodes(network.PutNodesRequest(nodes=timed))
    card = rate_card("ground", 5)
    card.transit_days.extend([2, 3, 4])
    await world.client.put_rate_card(network.PutRateCardRequest(rate_card=card))
    await world.stock("sku-1", "east", 5)
    await world.stock("sku-1", "shop-e", 5)
    options = await world.client.get_fulfillment_options(
        orders.GetFulfillmentOptionsRequest(
            channel_key="web", lines=lines(("sku-1", 1)), ship_to=Destination(postal_code="10001"), pickup_store_max=3
        )
    )
    now = datetime.fromtimestamp(world.clock.now_ns() // 1_000_000_000, UTC)
    ready = now + timedelta(minutes=90)
    ground, express = options.ship_options
    assert (ground.ship_date, ground.arrival_date) == (f"{ready.date()}", f"{ready.date() + timedelta(days=2)}")
    assert (express.ship_date, express.arrival_date) == (f"{ready.date()}", ""), "its card has no transit days"
    (store,) = options.pickup_options
    assert (store.available, store.ready_date) == (True, f"{ready.date()}")
    assert store.ready_time.ToDatetime(UTC).replace(microsecond=0) == ready
    for key, fields in (("k1", {}), ("k2", {"pickup_node_key": "shop-e"})):
        order = (await world.client.place_order(place(key, ("sku-1", 1), **fields))).order
        page = await world.client.list_fulfillment_orders(
            fulfillment.ListFulfillmentOrdersRequest(order_id=order.order_id)
        )
        (work,) = page.fulfillment_orders
        arrival = "" if fields else ground.arrival_date
        assert (work.ship_date, work.arrival_date) == (ground.ship_date, arrival)
        assert work.HasField("ready_hour") == bool(fields)
        assert work.ready_hour == (ready.hour if fields else 0)


async def test_a_promised_day_is_kept_and_told(world: World) -> None:
    days: Any = range(1, 8)
    hours = [network.OpeningHours(weekday=day, opens_minute=0, closes_minute=1_440) for day in days]
    (east,) = (node for node in nodes() if node.node_key == "east")
    east.calendar.CopyFrom(network.Calendar(time_zone="UTC", hours=hours))
    await world.client.put_nodes(network.PutNodesRequest(nodes=[east]))
    card = rate_card("ground", 5)
    card.transit_days.extend([2, 3, 4])
    await world.client.put_rate_card(network.PutRateCardRequest(rate_card=card))
    policy = network.RoutingPolicy(
        policy_key="default",
        default_service_key="ground",
        late_penalty=Money(currency_code="USD", micros=1_500_000),
        weights=network.RoutingWeights(carrier=100, handling=100, lateness=100),
        rules=[network.RoutingRule(name="a day", candidates=network.RuleCandidates(late_days_max=1))],
    )
    await world.client.put_routing_policy(network.PutRoutingPolicyRequest(policy=policy))
    read = await world.client.get_routing_policy(network.GetRoutingPolicyRequest(policy_key="default"))
    assert (read.policy.late_penalty, read.policy.weights.lateness) == (policy.late_penalty, 100)
    assert read.policy.rules[0].candidates.late_days_max == 1
    await world.stock("sku-1", "east", 9)
    today = datetime.fromtimestamp(world.clock.now_ns() // 1_000_000_000, UTC).date()
    tomorrow, soon = f"{today + timedelta(days=1)}", f"{today + timedelta(days=2)}"
    late = await world.client.place_order(place("late", ("sku-1", 1), promised_date=tomorrow))
    assert (late.order.promised_date, late.cost.lateness.micros) == (tomorrow, 1_500_000)
    total = late.cost.carrier.micros + late.cost.handling.micros + 1_500_000
    assert late.cost.total.micros == total
    explained = await world.client.explain_order(orders.ExplainOrderRequest(order_id=late.order.order_id))
    (told,) = explained.routings
    (package,) = told.plan.packages
    assert (told.promised_date, package.lateness.micros, package.arrival_date) == (tomorrow, 1_500_000, soon)
    refused = await world.client.reserve(reserve(("sku-1", 1), promised_date=f"{today}"))
    assert refused.result.outcome == Outcome.INSUFFICIENT_STOCK
    kept = (await world.client.reserve(reserve(("sku-1", 1), promised_date=soon))).reservation
    batch = reservations.BatchReserveRequest(
        reservations=[claim(("sku-1", 1), promised_date=soon), claim(("sku-1", 1), promised_date=f"{today}")]
    )
    first, second = (await world.client.batch_reserve(batch)).results
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.INSUFFICIENT_STOCK)
    found = await world.client.get_reservation(reservations.GetReservationRequest(reservation_id=kept.reservation_id))
    assert kept.promised_date == found.reservation.promised_date == soon
    order = await world.client.place_order(
        orders.PlaceOrderRequest(channel_key="web", order_key="kept", reservation_id=kept.reservation_id)
    )
    assert (order.order.promised_date, order.cost.HasField("lateness")) == (soon, False)


async def test_what_can_be_sent_to_a_store_is_offered_and_granted(world: World) -> None:
    await world.stock("sku-1", "east", 9)
    request = orders.GetFulfillmentOptionsRequest(
        channel_key="web", lines=lines(("sku-1", 2)), ship_to=Destination(postal_code="10001"), ship_to_store_max=3
    )
    options = await world.client.get_fulfillment_options(request)
    assert not options.ship_to_store_options, "nobody knows the region of a store without a postal code"
    (shop,) = (node for node in nodes() if node.node_key == "shop-e")
    shop.postal_code = "10002"
    await world.client.put_nodes(network.PutNodesRequest(nodes=[shop]))
    options = await world.client.get_fulfillment_options(request)
    (option,) = options.ship_to_store_options
    assert (option.node_key, option.shipped.service_key) == ("shop-e", "ground")
    placed = await world.client.place_order(place("sent", ("sku-1", 2), ship_to_node_key="shop-e"))
    assert (placed.result.outcome, placed.cost) == (Outcome.OK, option.shipped.cost)
    order = placed.order
    assert (order.pickup_node_key, order.service_key) == ("shop-e", "ground")
    assert order.ship_to.postal_code == "10002"
    held = await world.client.reserve(reserve(("sku-1", 2), ship_to_node_key="shop-e"))
    assert held.cost == option.shipped.cost
    batch = reservations.BatchReserveRequest(
        reservations=[claim(("sku-1", 1), ship_to_node_key="shop-e"), claim(("sku-1", 1), ship_to_node_key="east")]
    )
    first, second = (await world.client.batch_reserve(batch)).results
    assert (first.outcome, second.outcome) == (Outcome.OK, Outcome.UNKNOWN_DESTINATION)
    kept = await world.client.place_order(
        orders.PlaceOrderRequest(channel_key="web", order_key="kept", reservation_id=held.reservation.reservation_id)
    )
    assert kept.order.pickup_node_key == "shop-e"


async def test_batch_of_a_thousand(world: World) -> None:
    """One result an item, in order; each is decided after the ones before it."""
    skus = [network.Sku(sku_key=f"b-{number}") for number in range(10)]
    await world.client.put_skus(network.PutSkusRequest(skus=skus))
    for sku in skus:
        await world.stock(sku.sku_key, "east", 3)
    items = [claim((f"b-{number % 10}", 1)) for number in range(60)]
    items[5].channel_key = "nowhere"
    response = await world.client.batch_reserve(reservations.BatchReserveRequest(reservations=items))
    assert response.result.outcome == Outcome.OK
    outcomes = [result.outcome for result in response.results]
    assert len(outcomes) == 60
    assert outcomes[5] == Outcome.UNKNOWN_CHANNEL
    assert response.results[5].subject == "nowhere"
    assert outcomes.count(Outcome.OK) == 30
    assert outcomes[40:] == [Outcome.INSUFFICIENT_STOCK] * 20
    granted = [result for result in response.results if result.outcome == Outcome.OK]
    assert len({result.reservation_id for result in granted}) == 30
    assert all(result.expire_time.seconds for result in granted)
    assert {(result.line_index, result.available_units) for result in response.results[40:]} == {(0, 0)}


async def test_message_that_is_too_long(world: World) -> None:
    request = inventory.ImportStockRequest(request_id="x", sku_keys=["k" * 1_000] * (MESSAGE_BYTES_MAX // 1_000 + 1))
    async with grpc.aio.insecure_channel(
        world.target, options=[("grpc.max_send_message_length", 2 * MESSAGE_BYTES_MAX)]
    ) as channel:
        call: Any = channel.stream_unary(
            "/stockpool.v1.InventoryService/ImportStock",
            request_serializer=inventory.ImportStockRequest.SerializeToString,
        )
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(iter([request]))
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


class Held(MemoryJournal):
    """A journal whose appends wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.open.set()

    def append(self, record: Record, *, expected_seq: int) -> None:
        self.open.wait(30)
        super().append(record, expected_seq=expected_seq)


async def test_draining_answers_what_was_accepted() -> None:
    journal = Held()
    async with open_world(journal=journal) as world:
        await world.stock("sku-1", "east", 50)
        journal.open.clear()
        calls = [asyncio.ensure_future(world.client.reserve(reserve(("sku-1", 1)))) for _ in range(20)]
        async with asyncio.timeout(30):
            while world.writer.inbox_count < 20:  # noqa: ASYNC110 - nobody here can be told
                await asyncio.sleep(0.005)
        await world.server.close()
        with pytest.raises(StockpoolError) as caught:
            await world.client.reserve(reserve(("sku-1", 1)))
        assert caught.value.reason == "NOT_SERVING"
        journal.open.set()
        await world.writer.drain()
        await world.server.stop(5)
        answers = await asyncio.gather(*calls)
        assert {answer.result.outcome for answer in answers} == {Outcome.OK}


async def test_an_address_that_is_taken(world: World) -> None:
    port = int(world.target.rpartition(":")[2])
    second = Server(Settings.load(journal="memory://", port=port))
    with pytest.raises(RuntimeError, match="bind"):
        await second.start()


async def test_client_waits_for_a_server_that_starts() -> None:
    """NOT_SERVING is retried, with the same request id, until the journal has been replayed."""
    async with open_world() as world:
        door = world.server._door
        engine = door._engine
        assert engine is not None
        door.close()
        async with AsyncClient(world.target, retries=5) as client:
            call = asyncio.ensure_future(client.reserve(reserve(("sku-1", 1))))
            await asyncio.sleep(0.05)
            door.open(engine.writer, engine.names, engine.journal)
            assert (await call).result.outcome == Outcome.INSUFFICIENT_STOCK
