"""Overselling by a gap between check and act: many clients at once, over the wire."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier
from typing import Any

import pytest

from engine.client import Client
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1.types_pb2 import QUANTITY_ALLOCATED
from tests.failures.cases import case
from tests.failures.rush import Rush, by_decision, outcomes
from tests.service.world import Outcome, claim, ingest, lines, place, reserve

Ask = Callable[[str, int], Any]
WAYS: dict[str, tuple[str, str, Ask]] = {
    "reserve": ("east", "reserve", lambda sku, _: reserve((sku, 1))),
    "reserve for pickup": ("shop-e", "reserve", lambda sku, _: reserve((sku, 1), pickup_node_key="shop-e")),
    "place": ("east", "place_order", lambda sku, at: place(f"{sku}-{at}", (sku, 1))),
    "place for pickup": (
        "shop-e",
        "place_order",
        lambda sku, at: place(f"{sku}-{at}", (sku, 1), pickup_node_key="shop-e"),
    ),
}
"""Where the units are, and how one of them is asked for."""


@case(1)
@pytest.mark.parametrize("way", WAYS)
async def test_two_checkouts_get_the_last_unit(rush: Rush, way: str) -> None:
    """saleor/saleor#543: of N clients and one unit, exactly one succeeds, and the others are told that nothing is left."""
    node, method, ask = WAYS[way]
    sku = await rush.sku(**{node.replace("-", "_"): 1})
    answers = await rush.call(method, [ask(sku, at) for at in range(100)])
    assert outcomes(answers) == {Outcome.OK: 1, Outcome.INSUFFICIENT_STOCK: 99}
    losers = [answer for answer in answers if answer.result.outcome != Outcome.OK]
    assert {answer.shortages[0].available_units for answer in losers} == {0}
    cell = await rush.cell(sku, node)
    assert (cell.on_hand_units, cell.reserved_units + cell.allocated_units, cell.atf_units) == (1, 1, 0)


@case(2)
async def test_front_ends_drive_the_quantity_below_zero(rush: Rush) -> None:
    """magento/magento2#6363: 18 front ends sell and ship; whenever somebody looks, nothing is below zero."""
    sku = await rush.sku(east=30)
    seen: list[tuple[int, int]] = []

    async def front_end(number: int) -> int:
        client, shipped = rush.clients[number], 0
        for turn in range(4):
            answer = await client.place_order(place(f"{sku}-{number}-{turn}", (sku, 1)))
            for work in answer.order.fulfillment_order_ids:
                await client.accept(fulfillment.AcceptRequest(fulfillment_order_id=work))
                await client.ship(fulfillment.ShipRequest(fulfillment_order_id=work))
                shipped += 1
            cell = await rush.cell(sku)
            seen.append((cell.on_hand_units, cell.atf_units))
        return shipped

    shipped = await rush.at_once(front_end(number) for number in range(18))
    assert min(min(pair) for pair in seen) == 0, "72 carts want 30 units: it got to zero and not beyond"
    cell = await rush.cell(sku)
    assert (sum(shipped), cell.on_hand_units, cell.allocated_units) == (30, 0, 0)


@case(3)
@pytest.mark.parametrize("seed", [3])
async def test_carts_that_fit_alone_are_all_sold(rush: Rush, seed: int) -> None:
    """opencart/opencart#4811: in the order of the decisions each cart is granted exactly when it still fits."""
    chance = Random(seed)
    sku = await rush.sku(east=40)
    units = [chance.randint(2, 9) for _ in range(100)]
    answers = await rush.call("reserve", [reserve((sku, count)) for count in units])
    asked = {answer.result.journal_seq: count for answer, count in zip(answers, units, strict=True)}
    free = 40
    for answer in by_decision(answers):
        count = asked[answer.result.journal_seq]
        assert answer.result.outcome == (Outcome.OK if count <= free else Outcome.INSUFFICIENT_STOCK)
        free -= count if count <= free else 0
    cell = await rush.cell(sku)
    assert (cell.reserved_units, cell.atf_units) == (40 - free, free)


@case(4)
async def test_a_campaign_sells_more_than_there_is(rush: Rush) -> None:
    """nopSolutions/nopCommerce#4184: a burst of a thousand carts on 137 units sells 137."""
    sku = await rush.sku(east=100, west=37)
    answers = await rush.call("reserve", [reserve((sku, 1)) for _ in range(1_000)])
    assert outcomes(answers) == {Outcome.OK: 137, Outcome.INSUFFICIENT_STOCK: 863}
    assert len({answer.reservation.reservation_id for answer in answers if answer.HasField("reservation")}) == 137
    reserved = {node: cell.reserved_units for node, cell in (await rush.cells(sku)).items()}
    assert reserved == {"east": 100, "west": 37}


@case(5)
@pytest.mark.parametrize("seed", [5])
async def test_a_paid_order_is_silently_short(rush: Rush, seed: int) -> None:
    """vendurehq/vendure#3508, vendurehq/vendure#4930: an order that was placed has every unit; one that was sold elsewhere says, to
    the unit, what it lacks.
    """
    chance = Random(seed)
    skus = await rush.skus(3, east=20, west=15)
    before = (await rush.status()).short_order_units
    carts = [[(sku, chance.randint(1, 4)) for sku in chance.sample(skus, 2)] for _ in range(80)]
    placed = [place(f"{skus[0]}-p{at}", *cart) for at, cart in enumerate(carts[:50])]
    sold = [ingest(f"{skus[0]}-s{at}", *cart) for at, cart in enumerate(carts[50:])]
    answers, facts = await rush.at_once([rush.call("place_order", placed), rush.call("ingest_order", sold)])
    assert outcomes(answers).keys() == {Outcome.OK, Outcome.INSUFFICIENT_STOCK}
    assert outcomes(facts).keys() <= {Outcome.OK, Outcome.PARTIAL}
    for answer in answers:
        assert answer.HasField("order") == (answer.result.outcome == Outcome.OK)
        assert all(line.allocated_units == line.units for line in answer.order.lines)
    short = 0
    for answer in facts:
        told = {
            shortage.line_index: shortage.requested_units - shortage.available_units for shortage in answer.shortages
        }
        for line in (await rush.order(answer.order.order_id)).lines:
            assert line.units == line.allocated_units + line.short_units
            assert line.short_units == told.get(line.line_index, 0)
            short += line.short_units
        assert answer.result.outcome == (Outcome.PARTIAL if told else Outcome.OK)
    assert short > 0, "stock was scarce"
    assert (await rush.status()).short_order_units - before == short


@case(6)
async def test_decrements_overwrite_each_other(rush: Rush) -> None:
    """awesto/django-shop#888: each decrement counts, the one that finds nothing is refused; whoever reads, decides and writes back
    is told when the number has changed meanwhile.
    """
    sku = await rush.sku(east=60)
    one_less = inventory.AdjustStockRequest(sku_key=sku, node_key="east", delta_units=-1)
    answers = await rush.call("adjust_stock", [one_less] * 100)
    assert outcomes(answers) == {Outcome.OK: 60, Outcome.INSUFFICIENT_STOCK: 40}
    left = [answer.cell.on_hand_units for answer in by_decision(answers) if answer.result.outcome == Outcome.OK]
    assert left == list(range(59, -1, -1))

    async def one_more(number: int) -> None:
        believed = 0
        for _ in range(20):
            answer = await rush.clients[number].set_stock(_compare_and_set(sku, believed, believed + 1))
            if answer.result.outcome == Outcome.OK:
                return
            assert answer.result.outcome == Outcome.STALE_QUANTITY
            believed = answer.cell.on_hand_units
        pytest.fail("in each round somebody succeeds, so 20 rounds are enough for 20 callers")

    await rush.at_once(one_more(number) for number in range(20))
    assert (await rush.cell(sku)).on_hand_units == 20


def _compare_and_set(sku: str, expected: int, wanted: int) -> inventory.SetStockRequest:
    return inventory.SetStockRequest(
        sku_key=sku, node_key="east", on_hand_units=wanted, expected_on_hand_units=expected
    )


@case(7)
async def test_an_order_stands_before_its_units_are_taken(rush: Rush) -> None:
    """magento/inventory#3036: the order and its allocation are one decision, so no order was ever without its units."""
    sku = await rush.sku(east=30)
    start = rush.seq
    held = await rush.call("reserve", [reserve((sku, 1)) for _ in range(20)])
    reserved = [
        place(f"{sku}-r{at}", reservation_id=answer.reservation.reservation_id) for at, answer in enumerate(held)
    ]
    direct = [place(f"{sku}-d{at}", (sku, 1)) for at in range(40)]
    answers = await rush.call("place_order", [*reserved, *direct])
    assert outcomes(answers) == {Outcome.OK: 30, Outcome.INSUFFICIENT_STOCK: 30}
    events = [event for event in await rush.events(start) if event.command == "PlaceOrder" and event.effects]
    assert len(events) == 30
    for event in events:
        taken = [
            effect.stock_moved.delta_units
            for effect in event.effects
            if effect.HasField("stock_moved") and effect.stock_moved.quantity == QUANTITY_ALLOCATED
        ]
        closed = [effect for effect in event.effects if effect.HasField("reservation_closed")]
        (order,) = [effect.order for effect in event.effects if effect.HasField("order")]
        assert (taken, order.lines[0].allocated_units) == ([1], 1)
        assert len(closed) == order.order_key.startswith(f"{sku}-r")


@case(8)
async def test_a_lost_race_is_tried_again_in_secret(rush: Rush) -> None:
    """openfoodfoundation/openfoodnetwork#5300, openfoodfoundation/openfoodnetwork#5406: each request is decided once, and who lost is
    told the present number.
    """
    sku = await rush.sku(east=5)
    start = rush.seq
    answers = await rush.call("set_stock", [_compare_and_set(sku, 5, 10 + at) for at in range(100)])
    assert outcomes(answers) == {Outcome.OK: 1, Outcome.STALE_QUANTITY: 99}
    winner = next(at for at, answer in enumerate(answers) if answer.result.outcome == Outcome.OK)
    assert {answer.cell.on_hand_units for answer in answers} == {10 + winner}
    assert rush.seq - start == 100, "one decision a request, refusals included"


@case(9)
async def test_the_counter_forgets_an_allocation(rush: Rush) -> None:
    """django-oscar/django-oscar#2102: what is allocated at the nodes is what the orders and their work say, unit by unit."""
    sku = await rush.sku(east=70, west=70)
    answers = await rush.call("place_order", [place(f"{sku}-{at}", (sku, 1 + at % 3)) for at in range(60)])
    assert outcomes(answers) == {Outcome.OK: 60}
    cells = await rush.cells(sku)
    ordered = [await rush.order(answer.order.order_id) for answer in answers]
    assert sum(cell.allocated_units for cell in cells.values()) == sum(
        order.lines[0].allocated_units for order in ordered
    )
    assert cells["east"].allocated_units + cells["west"].allocated_units == 20 * (1 + 2 + 3)


@case(10)
async def test_a_public_call_goes_around_the_lock(rush: Rush) -> None:
    """medusajs/medusa#16569: every call that takes units, all of them at once, and together they get what there is."""
    sku = await rush.sku(east=50, shop_e=14)
    taken = 0

    async def from_reservation(number: int) -> int:
        client = rush.clients[number]
        held = await client.reserve(reserve((sku, 1)))
        if held.result.outcome != Outcome.OK:
            return 0
        request = place(f"{sku}-h{number}", reservation_id=held.reservation.reservation_id)
        return int((await client.place_order(request)).result.outcome == Outcome.OK)

    async def batch(number: int) -> int:
        request = reservations.BatchReserveRequest(reservations=[claim((sku, 1)), claim((sku, 2), allow_partial=True)])
        answer = await rush.clients[number].batch_reserve(request)
        first, second = answer.results
        got = second.available_units if second.outcome == Outcome.PARTIAL else 2 * (second.outcome == Outcome.OK)
        return int(first.outcome == Outcome.OK) + got

    async def one_call(number: int, way: str) -> int:
        _, method, ask = WAYS[way]
        answer = await getattr(rush.clients[number], method)(ask(sku, number))
        return int(answer.result.outcome == Outcome.OK)

    for counts in await rush.at_once(
        rush.at_once([from_reservation(at), batch(at), *(one_call(at, way) for way in WAYS)]) for at in range(20)
    ):
        taken += sum(counts)
    cells = await rush.cells(sku)
    assert taken == 50 + 14
    assert {node: cell.atf_units for node, cell in cells.items()} == {"east": 0, "shop-e": 0}
    assert sum(cell.reserved_units + cell.allocated_units for cell in cells.values()) == 64


@case(11)
async def test_documents_submitted_together_exceed_the_stock(rush: Rush) -> None:
    """frappe/erpnext#51375: of whole documents of five units, as many are granted as fit, and of the others nothing is held."""
    sku = await rush.sku(east=32)
    document = reservations.BatchReserveRequest(reservations=[claim((sku, 1))] * 5, all_or_nothing=True)
    answers = await rush.call("batch_reserve", [document] * 40)
    assert outcomes(answers) == {Outcome.OK: 6, Outcome.BATCH_REFUSED: 34}
    refused = [answer for answer in answers if answer.result.outcome == Outcome.BATCH_REFUSED]
    assert not any(result.reservation_id for answer in refused for result in answer.results)
    assert (await rush.cell(sku)).reserved_units == 30


@case(12)
async def test_twenty_processes_reserve_from_ten_units(rush: Rush) -> None:
    """odoo/odoo#32857: twenty callers, each waiting in a thread of its own, start at the same instant; ten get a unit, ten a
    refusal, and nobody an error.
    """
    sku = await rush.sku(east=10)
    barrier = Barrier(20)

    def process() -> int:
        with Client(rush.world.target, timeout_s=30, retries=0) as client:
            client._options.append(("grpc.use_local_subchannel_pool", 1))
            barrier.wait(30)
            return client.reserve(reserve((sku, 1))).result.outcome

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(20) as pool:
        got = await asyncio.gather(*(loop.run_in_executor(pool, process) for _ in range(20)))
    assert sorted(got) == [Outcome.OK] * 10 + [Outcome.INSUFFICIENT_STOCK] * 10
    assert (await rush.cell(sku)).reserved_units == 10


@case(13)
async def test_first_touch_makes_two_rows_of_one_cell(rush: Rush) -> None:
    """odoo/odoo#272560: whichever calls are the first to speak of a SKU at a node, all at once: it gets one cell, and each counts."""
    sku = await rush.sku()
    start = rush.seq
    received = inventory.ReceiveStockRequest(node_key="shop-e", lines=lines((sku, 3)))
    sale = inventory.RecordSaleRequest(node_key="shop-e", channel_key="till", lines=lines((sku, 1)))
    found = inventory.AdjustStockRequest(sku_key=sku, node_key="shop-e", delta_units=2)
    await rush.at_once(
        [
            rush.call("receive_stock", [received] * 20),
            rush.call("record_sale", [sale] * 20),
            rush.call("adjust_stock", [found] * 20),
        ]
    )
    opened = [
        effect for event in await rush.events(start) for effect in event.effects if effect.HasField("cell_opened")
    ]
    assert len(opened) == 1
    assert (await rush.cell(sku, "shop-e")).on_hand_units == 20 * (3 - 1 + 2)
