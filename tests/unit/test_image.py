"""A machine taken to pieces and put together again is the same machine, under other limits too, and goes on alike."""

from __future__ import annotations

import gc
import weakref
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.core.image import image_of
from engine.core.machine import Machine
from engine.core.rebuilding import NoRoom, machine_of
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import SECOND_NS, Limits
from engine.model.network import Channel, Node, Region, Sku, ZoneChart
from engine.model.outcomes import Outcome
from tests.builders import MINUTE_NS, Store, day, limits, ship
from tests.property.busy import Busy
from tests.property.twins import Twins
from tests.unit.same import same


def again(store: Store, given: Limits | None = None) -> Machine:
    return machine_of(image_of(store.machine), given or store.machine.pool.limits)


def arrays(machine: Machine) -> tuple[Any, ...]:
    return machine.pool.network.arrays


def same_network(one: Machine, other: Machine) -> None:
    for at, (mine, theirs) in enumerate(zip(arrays(one), arrays(other), strict=True)):
        assert np.array_equal(mine, theirs), at
    assert one.pool.network.claim_rules == other.pool.network.claim_rules
    assert np.array_equal(one.pool.network.sku_grams, other.pool.network.sku_grams)
    for region in range(len(one.pool.names.regions)):
        assert np.array_equal(one.pool.network.metres_from(region), other.pool.network.metres_from(region))
    for name in ("skus", "nodes", "channels", "services", "sources", "regions"):
        mine, theirs = getattr(one.pool.names, name), getattr(other.pool.names, name)
        assert (mine.keys, mine.index_of) == (theirs.keys, theirs.index_of), name
    assert one.pool.names.currency_code == other.pool.names.currency_code


@pytest.mark.parametrize("seed", range(6))
def test_a_busy_day_is_put_together_again(seed: int) -> None:
    store = day(seed)
    machine = again(store)
    same(store, machine)
    same_network(store.machine, machine)


def test_an_empty_machine() -> None:
    store = Store(network=False)
    same(store, again(store))


def test_it_shares_nothing_with_the_machine_it_was_taken_from() -> None:
    store = day(1)
    machine = again(store)
    before = machine.digest()
    store.stock(("A", "dc", 77))
    store.tell(m.PutSkus, skus=(Sku("new"),))
    store.tell(m.PutNodes, nodes=(Node("new"),))
    store.place(ship([("A", 1)]))
    assert machine.digest() == before
    assert machine.pool.names.skus.find("new") == -1


@pytest.mark.parametrize("seed", range(3))
def test_it_goes_on_as_the_other(seed: int) -> None:
    """Whatever comes next, both decide it alike, though one of them was taken apart before every tenth step."""
    given = limits(reservation_legs_max=400, request_ids_remembered=60)
    plain, taken = Twins(given), Twins(given)
    each = [Busy(plain, 70 + seed), Busy(taken, 70 + seed)]
    for step in range(300):
        for busy in each:
            busy.step()
        if step % 10 == 0:
            taken.store.machine = machine_of(image_of(taken.store.machine), given)
            assert taken.store.machine.digest() == plain.store.machine.digest(), step
    taken.compare()
    assert [decision.encoded for decision in taken.store.decisions] == [
        decision.encoded for decision in plain.store.decisions
    ]


def test_rings_that_have_gone_round() -> None:
    store = Store(limits(movements_remembered=7))
    for units in range(30):
        store.stock(("A", "dc", units + 1), ("B", "east", units + 1))
    assert store.machine.pool.counter(c.MOVEMENT_NEXT) > 14
    same(store, again(store))
    fewer = again(store, limits(movements_remembered=3))
    slot = store.machine.pool.stock.find(0, 0)
    assert fewer.pool.movements(slot, 0, 99) == store.machine.pool.movements(slot, 0, 99)[:1]
    more = again(store, limits(movements_remembered=50))
    assert more.pool.movements(slot, 0, 99)[:3] == store.machine.pool.movements(slot, 0, 99)[:3]


def test_a_chart_that_dropped_regions() -> None:
    store = day(0)
    store.tell(m.PutZoneChart, zone_chart=ZoneChart((Region("500", 41.0, -99.0),), (900_000,)))
    machine = again(store)
    same(store, machine)
    same_network(store.machine, machine)


def test_channels_that_changed_their_nodes() -> None:
    store = Store()
    store.tell(m.PutChannels, channels=(Channel("web", node_keys=("west",)), Channel("till", all_nodes=True)))
    store.tell(m.PutNodes, nodes=(Node("late", latitude=10.0), Node("dc", closed=True)))
    same_network(store.machine, again(store))


# Other limits


def test_more_room_changes_nothing_that_can_be_seen() -> None:
    store = day(3)
    wide = limits(
        cells_max=1_024, skus_max=64, nodes_max=16, open_reservations_max=50, reservation_legs_max=99,
        request_ids_remembered=900, closed_orders_remembered=40, movements_remembered=640,
    )  # fmt: skip
    machine = again(store, wide)
    twin = Store(network=False)
    twin.machine, twin.now_ns, twin._requests = machine, store.now_ns, 10_000
    twin.audit()
    assert machine.requests.rows() == store.machine.requests.rows()
    assert dict(machine.pool.orders.orders) == dict(store.machine.pool.orders.orders)
    for reservation_id in range(store.machine.pool.counter(c.RESERVATION_NEXT)):
        mine = store.machine.pool.reservations.get(reservation_id)
        assert mine is None or mine == machine.pool.reservations.get(reservation_id)
    assert twin.reserve(ship([("A", 1)])).outcome in (Outcome.OK, Outcome.INSUFFICIENT_STOCK)


@pytest.mark.parametrize("remembered", [1, 2, 3])
def test_fewer_requests_and_closed_orders(remembered: int) -> None:
    store = day(2)
    machine = again(store, limits(request_ids_remembered=remembered, closed_orders_remembered=remembered))
    assert machine.requests.rows() == store.machine.requests.rows()[-remembered:]
    assert len(machine.pool.orders._closed_orders) <= remembered
    assert machine.pool.orders.open_order_count == store.machine.pool.orders.open_order_count


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cells_max", 8), ("skus_max", 2), ("nodes_max", 3), ("channels_max", 2), ("sources_max", 1), ("reservation_legs_max", 2),
        ("services_max", 1), ("zones_max", 2), ("weight_steps_max", 1), ("regions_max", 2), ("open_reservations_max", 1),
    ],
)  # fmt: skip
def test_less_room_than_what_is_open_needs_is_refused(name: str, value: int) -> None:
    store = Store()
    store.stock(*((sku, node, 9) for sku in "ABCD" for node in ("dc", "east")))
    for source in ("wms", "erp"):
        store.tell(m.SetStock, sku_key="A", node_key="dc", on_hand_units=9, source_key=source, source_seq=1)
    for _ in range(3):
        assert store.reserve(ship([("A", 1), ("B", 1)])).outcome == Outcome.OK
    with pytest.raises(NoRoom):
        again(store, limits(**{name: value}))


def test_an_open_reservation_whose_column_a_later_one_has_is_not_lost_silently() -> None:
    """With two columns, the ids 1 and 3 meet; 3 is over, 1 is not."""
    store = Store()
    store.stock(("A", "dc", 9))
    for _ in range(3):
        store.reserve(ship([("A", 1)], ttl_ns=30 * MINUTE_NS))
    for over in (2, 3):
        store.tell(m.ReleaseReservation, reservation_id=over)
    with pytest.raises(NoRoom, match="open_reservations_max"):
        again(store, limits(open_reservations_max=1))


def test_what_expires_next_expires_first() -> None:
    store = Store()
    store.stock(("A", "dc", 50))
    chance = Random(5)
    for _ in range(6):
        store.reserve(ship([("A", 1)], ttl_ns=chance.randint(1, 50) * SECOND_NS))
    store.tell(m.ExtendReservation, reservation_id=2, ttl_ns=2 * SECOND_NS)
    twin = Store(network=False)
    twin.machine, twin.now_ns = again(store), store.now_ns
    ends: list[Any] = []
    for each in (store, twin):
        before = len(each.decisions)
        for _ in range(60):
            each.wait(SECOND_NS)
            each.sweep()
        ends.append([(decision.now_ns, decision.effects.tolist()) for decision in each.decisions[before:]])
    assert ends[0] == ends[1]
    assert len(ends[0]) >= 4


def test_a_machine_that_nobody_needs_is_freed_at_once() -> None:
    """Not when the garbage collector gets to it: a follower reads each snapshot back into a second machine, gigabytes perhaps."""
    machine = again(day(0))
    gone = weakref.ref(machine.pool)
    gc.disable()
    try:
        del machine
        assert gone() is None
    finally:
        gc.enable()
