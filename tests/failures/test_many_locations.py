"""The truth about many locations: what is shown is what is granted, from the places that may serve, and from no other."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Channel
from engine.model.outcomes import FulfillmentKind, OrderState, Outcome, RejectReason
from tests.builders import CHANNELS, NODES, Store, pickup, ship
from tests.failures.cases import case
from tests.failures.rush import Rush, outcomes
from tests.service.world import Outcome as Wire
from tests.service.world import reserve

SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP
PLACES = {"100": "10001", "900": "90001", "500": "50000"}


def scattered(chance: Random) -> Store:
    """A few units of two SKUs over all nodes, some of them promised or oversold, one node perhaps closed."""
    store = Store()
    store.tell(m.PutNodes, nodes=(NODES[chance.randrange(3)]._replace(closed=chance.random() < 0.2),))
    store.stock(*((sku, node, chance.randint(0, 8)) for sku in "AB" for node in ("dc", "east", "west", "lab")))
    for _ in range(3):
        store.reserve(ship([(chance.choice("AB"), chance.randint(1, 3))], to=chance.choice([*PLACES.values()])))
        sold = ((chance.choice("AB"), chance.randint(1, 3)),)
        store.tell(m.RecordSale, node_key=chance.choice(["east", "west"]), channel_key="till", lines=sold)
    return store


def try_out(store: Store, claim: m.Claim) -> bool:
    """Whether a claim is granted; it is given back."""
    held = store.reserve(claim)
    if held.outcome == Outcome.OK:
        store.tell(m.ReleaseReservation, reservation_id=held.reservation_id)
    return bool(held.outcome == Outcome.OK)


def nodes_of(store: Store, legs: Sequence[Any]) -> set[str]:
    return {store.machine.pool.names.nodes.keys[leg.node_index] for leg in legs}


def options(store: Store, lines: Sequence[tuple[str, int]], to: str, channel: str) -> Any:
    return store.ask(q.GetFulfillmentOptions(0, channel, tuple(lines), to, 50))


@case(49)
@pytest.mark.parametrize("seed", range(8))
def test_the_sum_is_checked_and_the_first_location_reserved(seed: int) -> None:
    """medusajs/medusa#14987, medusajs/medusa#15132: what availability and options say, Reserve does: as many units as are shown are
    granted, one more is not; whichever service is shown as available is granted, and no other.
    """
    chance = Random(seed)
    shown = 0
    for _ in range(6):
        store = scattered(chance)
        for sku, channel in (("A", "web"), ("B", "web"), ("A", "app"), ("B", "till")):
            units = store.ats(sku, channel)
            assert not units or try_out(store, ship([(sku, units)], channel=channel)), (sku, channel, units)
            assert not try_out(store, ship([(sku, units + 1)], channel=channel)), (sku, channel, units)
        for channel in ("web", "app", "mall"):
            lines = [(chance.choice("AB"), chance.randint(1, 3)) for _ in range(chance.randint(1, 3))]
            to = chance.choice([*PLACES.values()])
            answer = options(store, lines, to, channel)
            services = store.machine.pool.names.service_keys
            offered = {services[option.service_index] for option in answer.ship_options}
            granted = {service for service in services if try_out(store, ship(lines, to, channel, service_key=service))}
            assert offered == granted, (lines, to, channel)
            shown += len(offered)
    assert shown > 5


@case(50)
def test_one_unit_each_in_two_locations_is_not_two() -> None:
    """solidusio/solidus#1594: an order of two takes one from each."""
    store = Store()
    store.stock(("A", "east", 1), ("A", "west", 1))
    reply = store.place(ship([("A", 2)]))
    assert reply.outcome == Outcome.OK
    assert [(work.node_index, work.lines[0].units) for work in store.work(reply.order.order_id)] == [(1, 1), (2, 1)]
    assert store.ats("A") == 0


@case(51)
async def test_the_last_unit_is_lost_with_an_error(rush: Rush) -> None:
    """solidusio/solidus#3020: who loses the last unit of the nearest place gets one from the next; when all are gone the answer is an
    outcome with a number, not an error.
    """
    sku = await rush.sku(east=1, west=5)
    answers = await rush.call("reserve", [reserve((sku, 1))] * 100)
    assert outcomes(answers) == {Wire.OK: 6, Wire.INSUFFICIENT_STOCK: 94}
    granted = [answer for answer in answers if answer.result.outcome == Wire.OK]
    assert sorted(answer.reservation.legs[0].node_key for answer in granted) == ["east"] + ["west"] * 5
    assert all(answer.shortages[0].available_units == 0 for answer in answers if answer not in granted)


@case(52)
@pytest.mark.parametrize("sold", [1, 2, 10])
def test_a_negative_location_cancels_out_another(sold: int) -> None:
    """saleor/saleor#17170: each place counts from zero up: whatever one owes, the units of the other are there."""
    store = Store()
    store.stock(("A", "east", 1), ("A", "west", 2))
    store.tell(m.RecordSale, node_key="east", channel_key="till", lines=(("A", sold),))
    assert store.cell("A", "east").atf == 1 - sold
    assert store.ats("A") == 2
    reply = store.reserve(ship([("A", 2)]))
    assert reply.outcome == Outcome.OK
    assert nodes_of(store, reply.legs) == {"west"}


@case(53)
def test_what_is_allocated_at_a_location_is_allocated_again() -> None:
    """vendurehq/vendure#4030: each order looks at what earlier ones left at the place, before it looks anywhere else."""
    store = Store()
    store.stock(("A", "east", 5), ("A", "west", 5))
    found = []
    for units in (3, 2, 4, 1):
        reply = store.place(ship([("A", units)]))
        found.append([(work.node_index, work.lines[0].units) for work in store.work(reply.order.order_id)])
    assert found == [[(1, 3)], [(1, 2)], [(2, 4)], [(2, 1)]]
    assert store.place(ship([("A", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    assert [store.cell("A", node).allocated for node in ("east", "west")] == [5, 5]


@case(54)
def test_a_channel_sells_what_only_another_may() -> None:
    """vendurehq/vendure#2356: a channel sees the nodes that it has, from the decision on in which they change, and no others."""
    store = Store()
    store.stock(("A", "dc", 4), ("A", "east", 2), ("A", "west", 3))
    assert [store.ats("A", channel) for channel in ("web", "app", "mall", "till")] == [9, 7, 6, 5]
    assert not try_out(store, ship([("A", 6)], channel="till"))
    assert store.place(ship([("A", 7)], channel="mall")).outcome == Outcome.INSUFFICIENT_STOCK
    store.tell(m.PutChannels, channels=(Channel("till", "Tills", ("west",)),))
    assert store.ats("A", "till") == 3
    reply = store.reserve(ship([("A", 3)], channel="till"))
    assert nodes_of(store, reply.legs) == {"west"}, "though the shop next door has two"
    assert store.ats("A", "mall") == 6


@case(55)
@pytest.mark.parametrize("seed", range(4))
def test_units_are_reserved_where_the_channel_is_not_linked(seed: int) -> None:
    """medusajs/medusa#10658, medusajs/medusa#10661: every unit, however it is taken, comes from an open node of the channel that does what
    is asked.
    """
    chance = Random(seed)
    linked = {"web": {"dc", "east", "west"}, **{channel.channel_key: {*channel.node_keys} for channel in CHANNELS[1:]}}
    taken = 0
    for _ in range(10):
        store = scattered(chance)
        closed = {node.node_key for node in store.machine.pool.network.nodes if node.closed}
        channel = chance.choice([*linked])
        lines = [(chance.choice("AB"), chance.randint(1, 3)) for _ in range(2)]
        claim = ship(lines, chance.choice([*PLACES.values()]), channel, allow_partial=True)
        held = store.reserve(claim)
        placed = store.ingest(claim._replace(allow_partial=False))
        work = [] if placed.order is None else store.work(placed.order.order_id)
        used = nodes_of(store, [*held.legs, *work])
        assert used <= linked[channel] - closed, (channel, closed)
        taken += len(used)
        for node in {"dc", "east", "west", "lab"} - linked[channel]:
            refused = store.reserve(pickup(lines, node, channel))
            assert refused.outcome == (Outcome.NODE_LACKS_SERVICE if channel == "web" else Outcome.NODE_NOT_IN_CHANNEL)
    assert taken > 5


@case(56)
def test_a_sale_in_one_channel_does_not_lower_the_other() -> None:
    """magento/inventory#2727: a node that two channels share is one pool for both, for each way of selling."""
    store = Store()
    store.stock(("A", "east", 9))
    shared = ("web", "mall", "till")
    assert [store.ats("A", channel) for channel in shared] == [9, 9, 9]
    store.reserve(ship([("A", 2)], channel="web"))
    store.place(ship([("A", 3)], channel="mall"))
    store.tell(m.RecordSale, node_key="east", channel_key="till", lines=(("A", 1),))
    store.ingest(ship([("A", 1)], channel="web"))
    assert [store.ats("A", channel) for channel in shared] == [2, 2, 2]
    assert not any(try_out(store, ship([("A", 3)], channel=channel)) for channel in shared)


@case(57)
@pytest.mark.parametrize("firm", [False, True])
def test_a_parcel_consumes_what_is_promised_to_a_pickup(firm: bool) -> None:
    """magento/inventory#2032: what is held or ordered to be collected stays at its store, however many parcels are sold, sent and
    rejected elsewhere.
    """
    store = Store()
    store.stock(("A", "east", 3), ("A", "dc", 2))
    promised = store.reserve(pickup([("A", 2)]))
    if firm:
        assert store.commit(promised.reservation_id).outcome == Outcome.OK
    assert store.place(ship([("A", 4)])).outcome == Outcome.INSUFFICIENT_STOCK
    first = store.place(ship([("A", 1)])).order
    second = store.place(ship([("A", 2)])).order
    assert nodes_of(store, store.work(first.order_id)) == {"east"}, "the shop next door has one to spare"
    assert nodes_of(store, store.work(second.order_id)) == {"dc"}
    for work in store.work(second.order_id):
        reply = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.MISMATCH)
        assert (reply.outcome, reply.replacements) == (Outcome.PARTIAL, ())
    cell = store.cell("A", "east")
    assert (cell.reserved, cell.allocated, cell.atf) == ((0, 3, 0) if firm else (2, 1, 0))
    store.audit()


@case(58)
@pytest.mark.parametrize("seed", range(6))
def test_pickup_is_offered_where_the_store_has_none(seed: int) -> None:
    """magento/magento2#37992, magento/inventory#2676, magento/inventory#2785, magento/inventory#3367: the stores that are offered are those
    that have everything themselves, and what is promised is taken from their own shelves.
    """
    chance = Random(seed)
    seen = 0
    for _ in range(10):
        store = scattered(chance)
        lines = [(chance.choice("AB"), chance.randint(1, 2)) for _ in range(2)]
        answer = options(store, lines, chance.choice([*PLACES.values()]), "web")
        offered = nodes_of(store, answer.pickup_options)
        able = {node for node in ("dc", "east", "west", "lab") if try_out(store, pickup(lines, node))}
        assert offered == able, lines
        for node in offered:
            held = store.reserve(pickup(lines, node))
            assert nodes_of(store, held.legs) == {node}
            placed = store.commit(held.reservation_id, order_key=node)
            (work,) = store.work(placed.order.order_id)
            for step in (m.MarkReady, m.HandOver):
                assert store.tell(step, fulfillment_order_id=work.fulfillment_order_id).outcome == Outcome.OK
        seen += len(offered)
        store.audit()
    assert seen > 3


@case(59)
def test_what_is_to_be_collected_is_allocated_elsewhere() -> None:
    """saleor/saleor#10218, saleor/saleor#10225: an order to be collected belongs to its store; when that has not got it, it is short and
    says so, though others have plenty.
    """
    store = Store()
    store.stock(("A", "east", 3), ("A", "dc", 50), ("A", "west", 50))
    assert store.place(pickup([("A", 4)])).outcome == Outcome.INSUFFICIENT_STOCK
    order = store.place(pickup([("A", 3)])).order
    (work,) = store.work(order.order_id)
    assert nodes_of(store, [work]) == {"east"}
    assert [store.cell("A", node).allocated for node in ("east", "dc", "west")] == [3, 0, 0]
    reply = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.NOT_IN_STOCK)
    assert (reply.outcome, reply.replacements) == (Outcome.PARTIAL, ())
    after = store.order(order.order_id)
    assert (after.state, after.short_units) == (OrderState.BACKORDERED, 3)
    assert [store.cell("A", node).allocated for node in ("east", "dc", "west")] == [0, 0, 0]
