"""Holds end by the clock: at the instant that was shown, for every reader, and for ever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from engine.client import StockpoolError
from engine.kernels import columns as c
from engine.kernels import reach
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.network import Channel
from engine.model.orders import ReceivedItem
from engine.model.outcomes import CommandKind, Disposition, Outcome, ReservationState
from engine.pool import reservations as pool_reservations
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import reservations_pb2 as reservations
from tests.builders import MINUTE_NS, SMALL, Store, day, pickup, priced, ship
from tests.failures.cases import case
from tests.failures.rush import ROOMY, Rush, outcomes
from tests.service.world import Outcome as Wire
from tests.service.world import claim, open_world, place, reserve


async def free(rush: Rush, sku: str) -> int:
    return (await rush.cell(sku)).atf_units


@case(36)
@pytest.mark.parametrize("ttl_s", [1, 60, 90, 600, 601, 86_400, None])
async def test_a_hold_ignores_the_minutes_that_were_set(rush: Rush, ttl_s: int | None) -> None:
    """woocommerce/woocommerce#45245, woocommerce/woocommerce#43361, woocommerce/woocommerce#50578: the time that was asked for is the
    time that is shown, and the time that is shown is when the units are free; a moment before they are not.
    """
    limits = {limit.name: limit.value for limit in (await rush.client.get_limits(admin.GetLimitsRequest())).limits}
    ttl = None if ttl_s is None else Duration(seconds=ttl_s)
    asked_ns = limits["reservation_ttl_default_ns"] if ttl_s is None else ttl_s * SECOND_NS
    sku = await rush.sku(east=1)
    held = (await rush.client.reserve(reserve((sku, 1), ttl=ttl))).reservation
    now_ns = rush.world.clock.now_ns()
    shown = held.create_time.ToNanoseconds(), held.expire_time.ToNanoseconds()
    assert shown == (now_ns, now_ns + asked_ns)
    rush.world.clock.advance(asked_ns - 1)
    assert await free(rush, sku) == 0
    rush.world.clock.advance(1)
    assert await free(rush, sku) == 1


@case(36)
async def test_minutes_beyond_the_limit_are_cut_in_silence(rush: Rush) -> None:
    """woocommerce/woocommerce#45245: a time to live that is not granted is refused with the limit, never replaced by another one."""
    sku = await rush.sku(east=1)
    with pytest.raises(StockpoolError) as refused:
        await rush.client.reserve(reserve((sku, 1), ttl=Duration(seconds=86_401)))
    assert [problem.field for problem in refused.value.fields] == ["reservation.ttl"]
    assert refused.value.metadata["limit"] == "reservation_ttl_max_ns"
    assert await free(rush, sku) == 1


@case(37)
async def test_an_expired_cart_is_renewed_after_another_buyer_reserved(rush: Rush) -> None:
    """be-BOP-io-SA/be-BOP#533: what has expired stays so, whether somebody took its units or not; who was first afterwards buys."""
    sku = await rush.sku(east=1)
    first = (await rush.client.reserve(reserve((sku, 1), ttl=Duration(seconds=60)))).reservation.reservation_id
    rush.world.clock.advance(60 * SECOND_NS)
    renew = reservations.ExtendReservationRequest(reservation_id=first, ttl=Duration(seconds=60))
    renewals, second = await rush.at_once(
        [rush.call("extend_reservation", [renew] * 20), rush.call("reserve", [reserve((sku, 1))] * 20)]
    )
    assert outcomes(renewals) == {Wire.RESERVATION_EXPIRED: 20}
    assert outcomes(second) == {Wire.OK: 1, Wire.INSUFFICIENT_STOCK: 19}
    late = await rush.client.place_order(place(f"{sku}-late", reservation_id=first))
    assert late.result.outcome == Wire.RESERVATION_EXPIRED
    winner = next(answer.reservation.reservation_id for answer in second if answer.result.outcome == Wire.OK)
    bought = await rush.client.place_order(place(f"{sku}-won", reservation_id=winner))
    assert bought.result.outcome == Wire.OK
    assert (await rush.client.extend_reservation(renew)).result.outcome == Wire.RESERVATION_EXPIRED


@case(38)
async def test_a_lock_is_held_while_the_payment_runs(rush: Rush) -> None:
    """saleor/saleor#11069: while shoppers are at the payment provider, an import has sent half of its rows and a reader of events does
    not read, everybody else is served.
    """
    sku = await rush.sku(east=60)
    paying = await rush.call("reserve", [reserve((sku, 1))] * 20)
    import_call: Any = rush.client.channel.stream_unary(
        "/stockpool.v1.InventoryService/ImportStock",
        request_serializer=inventory.ImportStockRequest.SerializeToString,
        response_deserializer=inventory.ImportStockResponse.FromString,
    )()
    half: dict[str, Any] = {"request_id": f"import-{sku}", "node_keys": ["west"], "all_or_nothing": True}
    await import_call.write(inventory.ImportStockRequest(sku_keys=[sku], on_hand_units=[5], **half))
    reader = rush.client.stream_events(admin.StreamEventsRequest(follow=True))
    assert (await anext(reader)).events
    others = await rush.call("place_order", [place(f"{sku}-o{at}", (sku, 1)) for at in range(100)])
    assert outcomes(others) == {Wire.OK: 40, Wire.INSUFFICIENT_STOCK: 60}
    paid = await rush.call(
        "place_order",
        [place(f"{sku}-p{at}", reservation_id=one.reservation.reservation_id) for at, one in enumerate(paying)],
    )
    assert outcomes(paid) == {Wire.OK: 20}
    await import_call.write(inventory.ImportStockRequest(sku_keys=[sku], on_hand_units=[7], **half))
    await import_call.done_writing()
    assert (await import_call).applied_count == 2
    await reader.aclose()
    assert (await rush.cell(sku, "west")).on_hand_units == 7


def _spoilt(store: Store) -> list[m.Command]:
    """Commands that are good but for one thing, which is found last."""
    make = store.make
    good, bad = ship([("A", 1), ("B", 1)]), ship([("A", 1), ("B", 99)])
    order: dict[str, Any] = {"channel_key": "web", "customer_key": ""}
    claims = m.ClaimColumns.of((good, good, bad))
    goods: dict[str, Any] = {"channel_key": "web", "order_id": 1, "postal_code": "10001"}
    received = (ReceivedItem(0, 1, Disposition.RESTOCK), ReceivedItem(0, 9, Disposition.RESTOCK))
    rows: dict[str, Any] = {
        "sku_keys": ("A", "B", "C"),
        "node_keys": ("dc", "east", "moon"),
        "on_hand_units": (1, 2, 3),
    }
    return [
        make(m.Reserve, claim=bad),
        make(m.Reserve, claim=pickup([("A", 1), ("B", 1), ("C", 1)])),
        make(m.BatchReserve, claims=claims, all_or_nothing=True),
        make(m.PlaceOrder, order_key="n1", lines=priced(bad.lines), claim=bad, **order),
        make(m.PlaceOrder, order_key="n2", lines=priced([("A", 1), ("B", 2)]), reservation_id=2, **order),
        make(m.PlaceOrder, order_key="n3", lines=priced([("A", 1)]), reservation_id=1, **order),
        make(m.ExtendReservation, reservation_id=1, ttl_ns=SECOND_NS),
        make(m.CancelOrder, order_id=1, lines=((0, 1), (1, 1))),
        make(m.ReceiveStock, node_key="lab", lines=(("A", 1), ("nothing", 1))),
        make(m.RecordSale, node_key="lab", channel_key="till", lines=(("A", 1), ("nothing", 1))),
        make(m.ImportStock, all_or_nothing=True, **rows),
        make(m.AuthorizeReturn, lines=((0, "", 1), (1, "", 2)), **goods),
        make(m.ReceiveReturn, return_id=1, node_key="lab", items=received),
        make(m.PutChannels, channels=(Channel("new"), Channel("odd", node_keys=("moon",)))),
    ]


@case(39)
@pytest.mark.parametrize("at", range(14))
def test_a_record_is_partly_written_before_the_last_check(at: int) -> None:
    """tigerbeetle/tigerbeetle#2000: whatever is found wrong last, nothing of what was right before it is written."""
    store = Store()
    store.stock(("A", "east", 9), ("B", "east", 9))
    store.reserve(ship([("A", 1)], ttl_ns=MINUTE_NS))
    store.wait(MINUTE_NS)
    store.reserve(ship([("A", 1), ("B", 1)]))
    store.place(ship([("A", 1), ("B", 1)]))
    for step in (m.Accept, m.Ship):
        store.tell(step, fulfillment_order_id=1)
    goods: dict[str, Any] = {"channel_key": "web", "order_id": 1, "postal_code": "10001"}
    store.tell(m.AuthorizeReturn, lines=((0, "", 1),), **goods)
    store.sweep()
    command = _spoilt(store)[at]
    before = [array.copy() for array in store.machine.pool.state]
    answer = store.submit(command)
    assert answer.outcome not in (Outcome.OK, Outcome.PARTIAL)
    (decision,) = store.decisions[-1:]
    assert (decision.effects, decision.documents) == (None, ())
    assert all((was == now).all() for was, now in zip(before, store.machine.pool.state, strict=True))
    store.audit()


@case(39)
@pytest.mark.parametrize("seed", range(6))
def test_deciding_writes(seed: int) -> None:
    """tigerbeetle/tigerbeetle#2000: on any day no refusal has an effect, and what has none is the same state."""
    refusals = [
        decision
        for decision in day(seed).decisions
        if decision.kind != CommandKind.BATCH_RESERVE and decision.reply.outcome not in (Outcome.OK, Outcome.PARTIAL)
    ]
    assert len(refusals) > 5
    assert all(decision.effects is None and not decision.documents for decision in refusals)


@case(40)
async def test_an_expired_hold_counts_until_it_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    """tigerbeetle/tigerbeetle#2118, tigerbeetle/tigerbeetle#1657: a thousand times as many holds expire as one sweep may end, and the
    very next reader, whoever it is, finds every unit free.
    """
    monkeypatch.setattr(pool_reservations, "DUE_MAX", 5)
    batch = reservations.BatchReserveRequest(reservations=[claim(("sku-1", 1), ttl=Duration(seconds=60))] * 1_000)
    async with open_world(limits=ROOMY) as world:
        await world.stock("sku-1", "east", 5_000)
        for _ in range(5):
            await world.client.batch_reserve(batch)
        assert await world.available("sku-1") == 0
        world.clock.advance(60 * SECOND_NS - 1)
        assert await world.available("sku-1") == 0
        world.clock.advance(1)
        assert await world.available("sku-1") == 5_000
        assert (await world.client.reserve(reserve(("sku-1", 5_000)))).result.outcome == Wire.OK


@pytest.mark.compiled
@case(41)
def test_many_holds_on_one_hot_sku_expire_together() -> None:
    """tigerbeetle/tigerbeetle#3658: 100,000 holds on one SKU end in one instant and one decision; nothing is left behind, and all
    their units are held again at once.
    """
    count = 100_000 if hasattr(reach.ats, "py_func") else 2_000  # interpreted kernels take fifty times as long
    store = Store(replace(SMALL, open_reservations_max=count, reservation_legs_max=count, batch_items_max=1_000))
    store.stock(("A", "dc", count))
    claims = m.ClaimColumns.of([ship([("A", 1)], ttl_ns=MINUTE_NS)] * 1_000)
    for _ in range(count // 1_000):
        assert store.tell(m.BatchReserve, claims=claims).outcome == Outcome.OK
    assert store.reserve(ship([("A", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    assert store.cell("A", "dc").reserved == count
    store.wait(MINUTE_NS)
    decided = len(store.decisions)
    assert store.ats("A") == count
    assert len(store.decisions) == decided + 1
    pool = store.machine.pool
    assert (pool.counter(c.RESERVATIONS_OPEN), pool.counter(c.HELD_OPEN), pool.total(c.RESERVED)) == (0, 0, 0)
    newest = store.ask(q.GetReservation(0, count))
    assert (newest.state, newest.legs) == (ReservationState.EXPIRED, ())
    assert store.reserve(ship([("A", count)])).outcome == Outcome.OK
    store.audit()
