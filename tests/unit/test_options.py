"""Dates of what a shopper is offered: ship days, arrivals, ready times; and that an order gets them."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model import commands as m
from engine.model import queries as q
from engine.model.calendars import Calendar, Cutoff, Hours
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import Outcome
from engine.pool.calendars import DAY_NS, MINUTE_NS
from tests.builders import EPOCH_NS, EXPRESS, GROUND, NODES, Store, limits, pickup, priced, ship

TODAY = EPOCH_NS // DAY_NS
"""2023-11-14, a Tuesday, 22:13 UTC: 17:13 in New York."""
MIDNIGHT_NS = TODAY * DAY_NS
ALWAYS = tuple(Hours(day, 0, 1_440) for day in range(1, 8))
DAYTIME = Calendar("America/New_York", tuple(Hours(day, 540, 1_080) for day in range(1, 6)), handling_minutes=30)


@pytest.fixture
def store() -> Store:
    store = Store(limits(open_reservations_max=40))
    store.stock(("A", "east", 50), ("B", "dc", 50))
    store.tell(m.PutRateCard, rate_card=GROUND._replace(transit_days=(1, 2, 5)))
    store.tell(m.PutRateCard, rate_card=EXPRESS._replace(transit_days=(1, 1)))
    return store


def put_calendars(store: Store, **calendars: Calendar | None) -> None:
    nodes = tuple(node._replace(calendar=calendars[node.node_key]) for node in NODES if node.node_key in calendars)
    assert store.tell(m.PutNodes, nodes=nodes).outcome == Outcome.OK


def options(store: Store, *lines: tuple[str, int], to: str = "10001") -> Any:
    return store.ask(q.GetFulfillmentOptions(0, "web", lines, to, 9))


def dates(store: Store, *lines: tuple[str, int]) -> dict[str, tuple[int, int]]:
    """Days from today by service; -1: not known."""
    keys = store.machine.pool.names.service_keys
    found = options(store, *lines).ship_options
    return {keys[each.service_index]: (_ahead(each.ship_day), _ahead(each.arrival_day)) for each in found}


def _ahead(day: int) -> int:
    return day - TODAY if day else -1


def ready(store: Store, *lines: tuple[str, int]) -> tuple[int, int]:
    """Minutes after today's midnight (UTC), and days from today; (-1, -1): not known."""
    (option,) = options(store, *lines).pickup_options
    assert option.available
    if not option.ready_ns:
        assert not option.ready_day
        return -1, -1
    return (option.ready_ns - MIDNIGHT_NS) // MINUTE_NS, option.ready_day - TODAY


def test_without_calendars_no_date_is_promised(store: Store) -> None:
    assert dates(store, ("A", 1)) == {"ground": (-1, -1), "express": (-1, -1)}
    assert ready(store, ("A", 1)) == (-1, -1)


def test_ship_and_arrival_days_are_those_of_each_service(store: Store) -> None:
    put_calendars(store, east=Calendar("UTC", ALWAYS, cutoff_minute=1_300, cutoffs=(Cutoff("express", 1_400),)))
    assert dates(store, ("A", 1)) == {"ground": (1, 2), "express": (0, 1)}


def test_an_arrival_needs_the_transit_days_of_the_zone(store: Store) -> None:
    put_calendars(store, east=Calendar("UTC", ALWAYS))
    store.tell(m.PutRateCard, rate_card=GROUND)
    assert dates(store, ("A", 1))["ground"] == (0, -1)


def test_the_last_package_decides_and_all_must_be_known(store: Store) -> None:
    put_calendars(store, east=Calendar("UTC", ALWAYS), dc=Calendar("UTC", ALWAYS, handling_minutes=1_500))
    assert dates(store, ("A", 1), ("B", 1))["ground"] == (1, 3)
    put_calendars(store, dc=None)
    assert dates(store, ("A", 1), ("B", 1))["ground"] == (-1, -1)


def test_goods_are_ready_after_handling_within_opening_hours(store: Store) -> None:
    put_calendars(store, east=DAYTIME)
    assert ready(store, ("A", 1)) == (22 * 60 + 13 + 30, 0)
    store.now_ns += 20 * MINUTE_NS  # 17:33: not done before six
    assert ready(store, ("A", 1))[1] == 1
    assert ready(store, ("A", 1))[0] == 1_440 + 14 * 60 + 3


def test_a_full_day_moves_both_to_the_next_one(store: Store) -> None:
    put_calendars(store, east=DAYTIME._replace(orders_per_day_max=1))
    assert dates(store, ("A", 1))["ground"] == (0, 1)
    store.reserve(ship([("A", 1)]))
    assert dates(store, ("A", 1))["ground"] == (1, 2)
    assert ready(store, ("A", 1)) == (1_440 + 14 * 60, 1)


def test_an_hour_takes_so_many_collections_and_then_the_next_is_promised(store: Store) -> None:
    put_calendars(store, east=DAYTIME._replace(pickups_per_hour_max=2, orders_per_day_max=5))
    told = []
    for _ in range(6):
        told.append(ready(store, ("A", 1)))
        store.reserve(pickup([("A", 1)], "east"))
    opening = 1_440 + 14 * 60
    assert told == [(22 * 60 + 43, 0)] * 2 + [(opening, 1)] * 2 + [(opening + 60, 1)] * 2
    assert dates(store, ("A", 1))["ground"] == (0, 1), "what is shipped is not counted by the hour"
    store.reserve(ship([("A", 1)], ttl_ns=40 * MINUTE_NS))
    assert ready(store, ("A", 1)) == (opening + 120, 1)
    store.tell(m.ReleaseReservation, reservation_id=4)
    assert ready(store, ("A", 1)) == (opening, 1)
    store.reserve(pickup([("A", 1)], "east"))
    store.reserve(pickup([("A", 1)], "east"))
    assert ready(store, ("A", 1)) == (2 * 1_440 + 14 * 60, 2), "the day is full, though its hours are not"
    store.audit()


def test_work_keeps_its_hour_until_it_is_given_back(store: Store) -> None:
    put_calendars(store, east=DAYTIME._replace(pickups_per_hour_max=1))
    first = ready(store, ("A", 1))
    claim = pickup([("A", 1)], "east")
    order = store.tell(
        m.PlaceOrder, channel_key="web", order_key="k", customer_key="", claim=claim, lines=priced(claim.lines)
    ).order
    (work,) = store.machine.pool.orders.work_of_order(order)
    assert work.ready_hour == 18, "five o'clock in the afternoon is the eighteenth hour"
    assert ready(store, ("A", 1)) == (1_440 + 14 * 60, 1)
    store.tell(m.CancelOrder, order_id=order.order_id)
    assert ready(store, ("A", 1)) == first
    store.audit()


def test_hours_are_promised_for_eight_days(store: Store) -> None:
    put_calendars(store, east=DAYTIME._replace(holidays=tuple(range(TODAY - 1, TODAY + 8)), pickups_per_hour_max=1))
    assert ready(store, ("A", 1)) == (-1, -1)
    store.now_ns += DAY_NS
    assert ready(store, ("A", 1))[1] == 8


def test_a_day_on_which_nothing_is_promised_is_not_known(store: Store) -> None:
    put_calendars(store, east=DAYTIME._replace(holidays=tuple(range(TODAY - 1, TODAY + 60))))
    assert ready(store, ("A", 1)) == (-1, -1)


def test_an_order_gets_the_days_that_it_was_offered(store: Store) -> None:
    put_calendars(store, east=DAYTIME._replace(orders_per_day_max=2), dc=Calendar("UTC", ALWAYS, units_per_day_max=3))
    for number in range(12):
        answer = options(store, ("A", 1), ("B", 1))
        offered = answer.ship_options[number % len(answer.ship_options)]
        service = store.machine.pool.names.service_keys[offered.service_index]
        claim = ship([("A", 1), ("B", 1)], service_key=service)
        if number % 3 == 0:
            (offered,) = options(store, ("A", 1)).pickup_options
            claim = pickup([("A", 1)], "east")
        reply = store.tell(
            m.PlaceOrder,
            channel_key="web",
            order_key=f"k{number}",
            customer_key="",
            claim=claim,
            lines=priced(claim.lines),
        )
        assert reply.outcome == Outcome.OK
        orders = store.machine.pool.orders
        work: list[FulfillmentOrder] = list(orders.work_of_order(reply.order))
        if number % 3:
            assert max(each.ship_day for each in work) == offered.ship_day
            assert max(each.arrival_day for each in work) == offered.arrival_day
        else:
            assert [each.ship_day for each in work] == [offered.ready_day]
        store.now_ns += 90 * MINUTE_NS
    store.audit()
