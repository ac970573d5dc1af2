"""Days that are promised now, and the capacity that is taken, given back, full, and kept."""

from __future__ import annotations

from datetime import date
from random import Random
from typing import Any

import numpy as np
import pytest

from engine.core.image import image_of
from engine.core.rebuilding import machine_of
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.calendars import Calendar, Cutoff, Hours
from engine.model.network import Node
from engine.model.outcomes import Outcome, RejectReason
from engine.pool.calendars import DAY_NS, MINUTE_NS, schedule
from engine.pool.promise import HORIZON_DAYS, RENEWED_AT_ONCE, Promises
from tests.builders import CHANNELS, EPOCH_NS, NODES, SKUS, SMALL, Store, limits, pickup, priced, ship
from tests.calendars_by_hand import some_calendar

TODAY = EPOCH_NS // DAY_NS
"""2023-11-14, a Tuesday, 22:13 UTC."""
ALWAYS = tuple(Hours(day, 0, 1_440) for day in range(1, 8))
ORDERS, UNITS = c.CAPACITY_ORDERS, c.CAPACITY_UNITS


def with_calendars(store: Store, **calendars: Calendar) -> None:
    nodes = tuple(node._replace(calendar=calendars.get(node.node_key)) for node in NODES)
    assert store.tell(m.PutNodes, nodes=nodes).outcome == Outcome.OK


def always(**changes: Any) -> Calendar:
    return Calendar("UTC", ALWAYS, **changes)


def taken(store: Store, node: str, day: int) -> tuple[int, int, int, int]:
    """Orders and units of a node's day: open, and done."""
    index = store.machine.pool.names.nodes.find(node)
    column = store.machine.pool.state[9][:, index * c.CAPACITY_WIDTH + day % c.CAPACITY_DAYS]
    assert column[c.CAPACITY_DAY] in (0, day)
    return (
        int(column[ORDERS]), int(column[UNITS]), int(column[c.CAPACITY_ORDERS_DONE]), int(column[c.CAPACITY_UNITS_DONE]),
    )  # fmt: skip


def promised(store: Store, node: str, service: str = "ground") -> int:
    """Days from today on which a package leaves, as the next decision will see it; −1: none is known."""
    pool = store.machine.pool
    pool.promises.refresh(store.now_ns)
    day = pool.promises.ship_day(pool.names.services.find(service), pool.names.nodes.find(node))
    return day - TODAY if day else -1


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 100), ("B", "dc", 100))
    return store


def work_days(store: Store, order_id: int = 1) -> list[tuple[int, int]]:
    """(Ship day, arrival day) of an order's work, counted from today; 0: not known."""
    work = store.machine.pool.orders
    return [
        (each.ship_day - TODAY if each.ship_day else 0, each.arrival_day - TODAY if each.arrival_day else 0)
        for each in work.work_of_order(work.orders[order_id])
    ]


def test_a_node_without_a_calendar_promises_no_day_and_takes_no_capacity(store: Store) -> None:
    assert promised(store, "dc") == -1
    store.reserve(ship([("A", 3)]))
    assert not store.machine.pool.state[9].any()


def test_a_cutoff_moves_the_day(store: Store) -> None:
    cutoff = 22 * 60 + 14
    with_calendars(store, dc=always(cutoff_minute=cutoff, cutoffs=(Cutoff("express", 1_440),)))
    assert (promised(store, "dc"), promised(store, "dc", "express")) == (0, 0)
    store.now_ns = TODAY * DAY_NS + cutoff * MINUTE_NS
    assert promised(store, "dc") == 0, "the cutoff itself is in time"
    store.now_ns += 1
    assert (promised(store, "dc"), promised(store, "dc", "express")) == (1, 0)


def test_time_may_go_back_and_far_ahead(store: Store) -> None:
    with_calendars(store, dc=always())
    days = []
    for offset in (0, 100, 3, 400, 0):
        store.now_ns = EPOCH_NS + offset * DAY_NS
        days.append(promised(store, "dc"))
    assert days == [0, 100, 3, 400, 0]


def test_nothing_is_promised_beyond_the_horizon(store: Store) -> None:
    holidays = tuple(range(TODAY, TODAY + HORIZON_DAYS - 1))
    with_calendars(store, dc=always(holidays=holidays), east=always(holidays=(*holidays, holidays[-1] + 1)))
    assert (promised(store, "dc"), promised(store, "east")) == (HORIZON_DAYS - 1, -1)


def test_a_reservation_holds_the_day_and_gives_it_back(store: Store) -> None:
    with_calendars(store, dc=always(orders_per_day_max=1))
    held = store.reserve(ship([("A", 3), ("B", 2)]))
    assert taken(store, "dc", TODAY) == (1, 5, 0, 0)
    assert promised(store, "dc") == 1
    store.audit()
    store.tell(m.ReleaseReservation, reservation_id=held.reservation_id)
    assert taken(store, "dc", TODAY) == (0, 0, 0, 0)
    assert promised(store, "dc") == 0


def test_a_reservation_that_expires_gives_its_day_back(store: Store) -> None:
    with_calendars(store, dc=always(orders_per_day_max=1))
    store.reserve(ship([("A", 3)], ttl_ns=MINUTE_NS))
    assert promised(store, "dc") == 1
    store.now_ns += MINUTE_NS
    store.sweep()
    assert promised(store, "dc") == 0
    store.audit()


def test_an_order_keeps_the_day_that_its_reservation_held(store: Store) -> None:
    with_calendars(store, dc=always(orders_per_day_max=1, cutoff_minute=22 * 60 + 15))
    held = store.reserve(ship([("A", 3)]))
    store.now_ns += 5 * MINUTE_NS
    assert promised(store, "dc") == 1
    store.tell(
        m.PlaceOrder, channel_key="web", order_key="o", customer_key="", lines=priced([("A", 2)]),
        reservation_id=held.reservation_id,
    )  # fmt: skip
    assert work_days(store) == [(0, 0)]
    assert taken(store, "dc", TODAY) == (1, 2, 0, 0), "the unit that was not taken is given back"
    store.audit()


def test_a_day_that_is_full_of_units_takes_the_last_order_whole(store: Store) -> None:
    with_calendars(store, dc=always(units_per_day_max=5))
    days = []
    for units in (3, 4, 9, 1):
        days.append(promised(store, "dc"))
        store.reserve(ship([("A", units)]))
    assert days == [0, 0, 1, 2]
    store.audit()


def test_what_has_left_leaves_no_room_and_what_is_cancelled_does(store: Store) -> None:
    with_calendars(store, dc=always(orders_per_day_max=2))
    for key in ("one", "two"):
        store.tell(
            m.PlaceOrder, channel_key="web", order_key=key, customer_key="", lines=priced([("A", 2)]),
            claim=ship([("A", 2)]),
        )  # fmt: skip
    assert promised(store, "dc") == 1
    store.tell(m.Accept, fulfillment_order_id=1)
    store.tell(m.Ship, fulfillment_order_id=1)
    assert (taken(store, "dc", TODAY), promised(store, "dc")) == ((1, 2, 1, 2), 1)
    store.tell(m.CancelOrder, order_id=2, lines=((0, 1),))
    assert (taken(store, "dc", TODAY), promised(store, "dc")) == ((1, 1, 1, 2), 1)
    store.tell(m.CancelOrder, order_id=2)
    assert (taken(store, "dc", TODAY), promised(store, "dc")) == ((0, 0, 1, 2), 0)
    store.audit()


@pytest.mark.parametrize(("reason", "free"), [(RejectReason.DAMAGED, True), (RejectReason.TOO_BUSY, False)])
def test_a_reject_moves_the_work_and_only_who_is_not_too_busy_has_room(
    store: Store, reason: RejectReason, free: bool
) -> None:
    store.stock(("A", "east", 50))
    with_calendars(store, dc=always(orders_per_day_max=1), east=always())
    store.tell(
        m.PlaceOrder, channel_key="web", order_key="o", customer_key="", lines=priced([("A", 2)]),
        claim=ship([("A", 2)], to="90001"),
    )  # fmt: skip
    assert taken(store, "dc", TODAY)[:2] == (1, 2)
    store.tell(m.Reject, fulfillment_order_id=1, reason=reason)
    assert taken(store, "east", TODAY) == (1, 2, 0, 0)
    assert promised(store, "dc") == (0 if free else 1)
    store.audit()


def test_an_arrival_is_told_where_the_rate_card_tells_transit(store: Store) -> None:
    with_calendars(store, dc=always())
    card = store.machine.pool.network.rate_cards[0]
    store.tell(m.PutRateCard, rate_card=card._replace(transit_days=(1, 3, 5)))
    for order_id, (to, days) in enumerate({"50000": 1, "10001": 3, "90001": 3}.items(), start=1):
        store.tell(
            m.PlaceOrder, channel_key="web", order_key=to, customer_key="", lines=priced([("B", 1)]),
            claim=ship([("B", 1)], to=to),
        )  # fmt: skip
        assert work_days(store, order_id) == [(0, days)]


def test_goods_to_be_collected_take_the_day_on_which_they_are_ready(store: Store) -> None:
    with_calendars(store, east=always(handling_minutes=180, orders_per_day_max=1, cutoff_minute=60))
    store.stock(("A", "east", 50))
    store.reserve(pickup([("A", 2)]))
    assert taken(store, "east", TODAY + 1) == (1, 2, 0, 0)
    store.audit()


def test_an_earlier_day_is_forgotten_when_its_column_is_needed(store: Store) -> None:
    with_calendars(store, dc=always())
    place: dict[str, Any] = {"channel_key": "web", "customer_key": "", "lines": priced([("A", 2)])}
    store.tell(m.PlaceOrder, order_key="old", claim=ship([("A", 2)]), **place)
    store.now_ns += c.CAPACITY_DAYS * DAY_NS
    store.tell(m.PlaceOrder, order_key="new", claim=ship([("A", 2)]), **place)
    store.audit()
    store.tell(m.CancelOrder, order_id=1)
    assert taken(store, "dc", TODAY + c.CAPACITY_DAYS) == (1, 2, 0, 0)
    store.audit()


def test_the_audit_finds_capacity_that_nobody_took(store: Store) -> None:
    with_calendars(store, dc=always())
    store.reserve(ship([("A", 3)]))
    column = TODAY % c.CAPACITY_DAYS
    store.machine.pool.state[9][ORDERS, column] += 1
    findings = store.ask(q.Audit(0)).report.findings
    assert [(each.subject, each.expected, each.actual) for each in findings] == [(f"dc on day {TODAY}", 1, 2)]


def test_a_snapshot_keeps_what_was_promised(store: Store) -> None:
    with_calendars(store, dc=always(orders_per_day_max=3), east=always())
    for _ in range(4):
        store.reserve(ship([("A", 2)]))
    again = machine_of(image_of(store.machine), SMALL)
    assert again.digest() == store.machine.digest()
    assert np.array_equal(
        again.pool.state[9][: c.CAPACITY_STATE_ROWS], store.machine.pool.state[9][: c.CAPACITY_STATE_ROWS]
    )
    again.pool.state[9][UNITS] += 1
    assert again.digest() != store.machine.digest()


def test_tables_are_made_anew_a_few_at_a_time_and_promise_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    honest = Promises._bring_table

    def bring_table(promises: Promises, node: int, keys: tuple[str, ...], first_day: int) -> None:
        made.append(node)
        honest(promises, node, keys, first_day)

    monkeypatch.setattr(Promises, "_bring_table", bring_table)
    store = Store(limits(nodes_max=40))
    chance = Random(5)
    nodes = tuple(
        Node(f"n{at}", "", calendar=some_calendar(chance, "Europe/Zurich", date(2023, 11, 14), 40)._replace(cutoffs=()))
        for at in range(30)
    )
    assert store.tell(m.PutNodes, nodes=nodes).outcome == Outcome.OK
    counts = []
    promises = store.machine.pool.promises
    for _ in range(60):
        store.now_ns += chance.choice((MINUTE_NS, 2 * MINUTE_NS, 900 * MINUTE_NS))
        made.clear()
        promises.refresh(store.now_ns)
        counts.append(len(made))
        fresh = machine_of(image_of(store.machine), limits(nodes_max=40)).pool.promises
        fresh.refresh(store.now_ns)
        assert np.array_equal(promises.ship_days, fresh.ship_days)
        assert [promises.ready(node, store.now_ns) for node in range(30)] == [
            fresh.ready(node, store.now_ns) for node in range(30)
        ]
    assert max(counts[1:]) == RENEWED_AT_ONCE
    assert sum(counts[1:]) > 60
    store.now_ns += 400 * DAY_NS
    made.clear()
    promises.refresh(store.now_ns)
    assert len(made) >= 30, "all have ended"


@pytest.mark.parametrize("seed", range(3))
def test_a_batch_takes_days_as_if_item_by_item(seed: int) -> None:
    chance = Random(seed)
    calendars = {
        "dc": always(orders_per_day_max=2),
        "east": always(units_per_day_max=4, handling_minutes=200),
        "west": always(orders_per_day_max=3, units_per_day_max=7),
    }
    stores = Store(), Store()
    for store in stores:
        store.stock(("A", "dc", 5), ("B", "dc", 9), ("A", "east", 9), ("B", "west", 20), ("A", "west", 9))
        with_calendars(store, **calendars)
    claims = [
        chance.choice((ship, pickup))([(sku, chance.randint(1, 3)) for sku in chance.choice(("A", "B", "AB"))])
        for _ in range(6)
    ]
    batch, single = stores
    batch.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims))
    for claim in claims:
        single.reserve(claim)
    assert single.machine.pool.state[9][: c.CAPACITY_STATE_ROWS].any()
    for number in (4, 9):
        rows = slice(0, c.CAPACITY_STATE_ROWS)
        assert np.array_equal(batch.machine.pool.state[number][rows], single.machine.pool.state[number][rows])
    batch.audit()


@pytest.mark.parametrize("seed", range(4))
def test_days_are_the_first_with_room_whatever_happened_before(seed: int) -> None:
    """The tables, refreshed and settled as they are, against the schedule of each calendar asked anew."""
    chance = Random(seed)
    store = Store()
    store.stock(*[(sku, node, 1_000) for sku in "AB" for node in ("dc", "east", "west")])
    first = date(2023, 11, 14)
    calendars = {}
    for node in ("dc", "east", "west"):
        zone = chance.choice(("UTC", "Asia/Tokyo", "America/Los_Angeles", "Europe/Zurich"))
        capacity: dict[str, Any] = {
            "orders_per_day_max": chance.choice((0, 1, 2)),
            "units_per_day_max": chance.choice((0, 3)),
        }
        calendars[node] = some_calendar(chance, zone, first, 20)._replace(cutoffs=(Cutoff("express", 700),), **capacity)
    with_calendars(store, **calendars)
    promised_days = 0
    for _ in range(60):
        store.now_ns += chance.choice((MINUTE_NS, 50 * MINUTE_NS, 500 * MINUTE_NS))
        lines = [(sku, chance.randint(1, 2)) for sku in chance.choice(("A", "AB"))]
        store.reserve(
            ship(lines, to=chance.choice(("10001", "90001", "50000")), service_key=chance.choice(("", "express")))
        )
        for node, calendar in calendars.items():
            for service in ("ground", "express"):
                wanted = _first_with_room(store, node, calendar, service)
                assert promised(store, node, service) == wanted, f"{node} {service} {calendar}"
                promised_days += wanted >= 0
    assert promised_days > 100
    store.audit()


def _first_with_room(store: Store, node: str, calendar: Calendar, service: str) -> int:
    today = store.now_ns // DAY_NS
    made = schedule(calendar, (service,), today - 3, 60)
    assert made is not None
    for day, latest_ns in zip(made.leave_days, made.latest_ns[0], strict=True):
        orders, units, orders_done, units_done = taken_of(store, node, day)
        full = 0 < calendar.orders_per_day_max <= orders + orders_done
        full |= 0 < calendar.units_per_day_max <= units + units_done
        if latest_ns >= store.now_ns and not full:
            return day - TODAY if day < today + HORIZON_DAYS else -1
    return -1


def taken_of(store: Store, node: str, day: int) -> tuple[int, int, int, int]:
    index = store.machine.pool.names.nodes.find(node)
    column = store.machine.pool.state[9][:, index * c.CAPACITY_WIDTH + day % c.CAPACITY_DAYS]
    return taken(store, node, day) if column[c.CAPACITY_DAY] == day else (0, 0, 0, 0)


def test_a_calendar_needs_no_carrier() -> None:
    store = Store(network=False)
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(calendar=always()),))
    store.tell(m.PutSkus, skus=SKUS)
    store.tell(m.PutChannels, channels=CHANNELS[:1])
    store.stock(("A", "east", 1))
    assert store.reserve(pickup((("A", 1),))).outcome == Outcome.OK
