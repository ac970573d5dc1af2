"""Idempotency and messages: what is sent twice happens once, and what is told twice can be recognised."""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import Any

import pytest

from engine.journal.memory import MemoryJournal, Tape
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from tests.failures.cases import case
from tests.failures.rush import Rush, by_decision, outcomes
from tests.service.world import Outcome, World, ingest, lines, open_world, place, reserve


@case(68)
async def test_a_slow_webhook_cuts_stock_twice(rush: Rush) -> None:
    """woocommerce/woocommerce-paypal-payments#3976: a message that is sent again, also before its first answer and from elsewhere,
    changes stock once; an order that is told anew under another id is recognised by its key.
    """
    sku = await rush.sku(east=50, shop_e=50)
    sale = inventory.RecordSaleRequest(
        request_id=f"{sku}-sale", node_key="shop-e", channel_key="till", lines=lines((sku, 3))
    )
    paid = place(f"{sku}-paid", (sku, 2), request_id=f"{sku}-paid")
    told = [ingest(f"{sku}-told", (sku, 4)) for _ in range(30)]
    sales, orders_placed, orders_told = await rush.at_once(
        [
            rush.call("record_sale", [sale] * 30),
            rush.call("place_order", [paid] * 30),
            rush.call("ingest_order", told),
        ]
    )
    for answers in (sales, orders_placed):
        assert len({answer.SerializeToString() for answer in answers}) == 1
    assert outcomes(orders_told) == {Outcome.OK: 1, Outcome.DUPLICATE_ORDER: 29}
    first = next(answer.order.order_id for answer in orders_told if answer.result.outcome == Outcome.OK)
    duplicates = {answer.existing_order_id for answer in orders_told if answer.result.outcome != Outcome.OK}
    assert duplicates == {first}
    cells = await rush.cells(sku)
    assert (cells["shop-e"].on_hand_units, cells["east"].on_hand_units) == (47, 50)
    assert sum(cell.allocated_units for cell in cells.values()) == 2 + 4


@case(69)
async def test_carts_at_the_same_time_get_key_conflicts(rush: Rush) -> None:
    """medusajs/medusa#3206, medusajs/medusa#1887, medusajs/medusa#13962: carts do not conflict by being at the same time; where two want
    one key, the loser is told whose it is, and another key works at the first try.
    """
    sku = await rush.sku(east=400)
    start = rush.seq
    held = await rush.call("reserve", [reserve((sku, 1))] * 100)
    placed = await rush.call("place_order", [place(f"{sku}-{at}", (sku, 1)) for at in range(100)])
    assert outcomes([*held, *placed]) == {Outcome.OK: 200}
    assert rush.seq - start == 200, "nothing was tried twice"
    assert len({answer.reservation.reservation_id for answer in held}) == 100
    assert len({answer.order.order_id for answer in placed}) == 100
    same = await rush.call("place_order", [place(f"{sku}-same", (sku, 1))] * 100)
    assert outcomes(same) == {Outcome.OK: 1, Outcome.DUPLICATE_ORDER: 99}
    winner = by_decision(same)[0]
    assert winner.result.outcome == Outcome.OK, "the first one decided"
    assert {answer.existing_order_id for answer in same} == {0, winner.order.order_id}
    retried = await rush.call("place_order", [place(f"{sku}-again-{at}", (sku, 1)) for at in range(99)])
    assert outcomes(retried) == {Outcome.OK: 99}


@case(70)
async def test_a_fixed_transaction_id_makes_instances_collide(rush: Rush) -> None:
    """medusajs/medusa#13931: clients that give no id make ids that never meet; instances that share a fixed one do not get each other's
    answers but are told, each of them, that the id is taken.
    """
    skus = await rush.skus(2, east=300)
    start = rush.seq
    answers = await rush.call("reserve", [reserve((skus[0], 1))] * 300)
    assert outcomes(answers) == {Outcome.OK: 300}
    ids = Counter(event.request_id for event in await rush.events(start))
    assert len(ids) == 300
    assert "" not in ids
    fixed = [reserve((skus[1], 1 + at % 3), request_id=f"{skus[1]}-fixed") for at in range(90)]
    answers = await rush.call("reserve", fixed)
    assert outcomes(answers) == {Outcome.OK: 30, Outcome.REQUEST_ID_REUSED: 60}
    winner = next(at for at, answer in enumerate(answers) if answer.result.outcome == Outcome.OK) % 3
    for at, answer in enumerate(answers):
        assert answer.HasField("reservation") == (at % 3 == winner)
    assert (await rush.cell(skus[1])).reserved_units == 1 + winner


async def _read(world: World, from_seq: int = 1, *, until: int = 0) -> list[bytes]:
    """Events as bytes; with ``until``, following until that one came."""
    events: list[admin.Event] = []
    stream = world.client.stream_events(admin.StreamEventsRequest(from_seq=from_seq, follow=bool(until)))
    async for part in stream:
        events += part.events
        if until and events[-1].journal_seq >= until:
            break
    await stream.aclose()
    assert [event.journal_seq for event in events] == list(range(from_seq, from_seq + len(events)))
    return [event.SerializeToString(deterministic=True) for event in events]


@case(71)
@pytest.mark.parametrize("seed", [71])
async def test_an_event_has_no_stable_id(seed: int) -> None:
    """saleor/apps#339: an event has the sequence of its decision for ever: who follows live, who reads later, who begins in the middle
    and who asks after a restart see the same bytes under the same number, none left out, none twice.
    """
    chance, tape = Random(seed), Tape()
    async with open_world(journal=MemoryJournal(tape)) as world:
        await world.stock("sku-1", "east", 30)
        last = world.writer.last_seq + 80
        live = asyncio.create_task(_read(world, until=last))
        calls: list[Any] = [world.client.reserve(reserve(("sku-1", 1 + at % 3))) for at in range(60)]
        calls += [world.client.place_order(place(f"o-{at}", ("sku-1", 1))) for at in range(20)]
        await asyncio.gather(*calls)
        whole = await live
        assert await _read(world) == whole
    async with open_world(journal=MemoryJournal(tape), filled=False) as world:
        assert await _read(world) == whole
        for seq in chance.sample(range(1, last + 1), 10):
            assert await _read(world, seq) == whole[seq - 1 :]
        await world.stock("sku-2", "east", 1)
        assert (await _read(world))[: len(whole)] == whole, "the next number comes behind, and takes nobody's"


@case(72)
async def test_an_order_is_finished_twice(rush: Rush) -> None:
    """mollie/spree-mollie-gateway#25: finishing the same hold, shipping the same work and handing over the same goods, by twenty callers
    with a request of their own each, happens once.
    """
    sku = await rush.sku(east=9, shop_e=9)
    held = (await rush.client.reserve(reserve((sku, 2)))).reservation.reservation_id
    placed = await rush.call("place_order", [place(f"{sku}-{at % 2}", reservation_id=held) for at in range(40)])
    ended = outcomes(placed)
    assert ended[Outcome.OK] == 1
    assert ended[Outcome.DUPLICATE_ORDER] + ended[Outcome.RESERVATION_COMMITTED] == 39
    parcel = next(answer.order for answer in placed if answer.result.outcome == Outcome.OK).fulfillment_order_ids[0]
    counter = (await rush.client.place_order(place(f"{sku}-c", (sku, 3), pickup_node_key="shop-e"))).order
    goods = counter.fulfillment_order_ids[0]
    await rush.client.accept(fulfillment.AcceptRequest(fulfillment_order_id=parcel))
    await rush.client.mark_ready(fulfillment.MarkReadyRequest(fulfillment_order_id=goods))
    shipped = await rush.call("ship", [fulfillment.ShipRequest(fulfillment_order_id=parcel)] * 20)
    handed = await rush.call("hand_over", [fulfillment.HandOverRequest(fulfillment_order_id=goods)] * 20)
    assert outcomes(shipped) == outcomes(handed) == {Outcome.OK: 1, Outcome.INVALID_TRANSITION: 19}
    cells = await rush.cells(sku)
    assert [(cell.on_hand_units, cell.allocated_units) for cell in (cells["east"], cells["shop-e"])] == [(7, 0), (6, 0)]
    late = await rush.client.cancel_order(orders.CancelOrderRequest(order_id=counter.order_id))
    assert late.result.outcome == Outcome.INVALID_TRANSITION
