"""Which day a node promises, by walking forward from the moment of the question; and how much of each day is taken."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from engine.model.calendars import Calendar
from engine.model.outcomes import FulfillmentKind
from engine.proof.oracle.state import State

MINUTE_NS = 60_000_000_000
DAY_NS = 1_440 * MINUTE_NS
HORIZON_DAYS = 28
HOURS_HORIZON_DAYS = 8
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def promised(state: State, node: str, kind: FulfillmentKind, service: str) -> tuple[int, int]:
    """The local day on which goods that are asked for now leave the node, or are ready for collection, and the hour of it where hours are
    counted, else −1; day 0: none is promised.
    """
    calendar = state.nodes[node].calendar
    if calendar is None:
        return 0, -1
    shipped = kind == FulfillmentKind.SHIP
    today = state.now_ns // DAY_NS
    ready_ns, first = _ready(calendar, state.now_ns, calendar.cutoff_of(service) if shipped else None)
    if not shipped and calendar.pickups_per_hour_max:
        return _hour(state, node, ready_ns, range(first, today + HOURS_HORIZON_DAYS))
    weekdays = calendar.carrier_weekdays if shipped and calendar.carrier_weekdays else range(1, 8)
    for day in range(first, today + HORIZON_DAYS):
        if _windows(calendar, day) and _weekday(day) in weekdays and not _full(state, node, calendar, day):
            return day, -1
    return 0, -1


def _hour(state: State, node: str, ready_ns: int, days: range) -> tuple[int, int]:
    """The first hour with room that is not over when the goods are ready."""
    calendar = state.nodes[node].calendar
    assert calendar is not None
    for day in days:
        for hour in range(24):
            begins_ns, ends_ns = (_instant(calendar.time_zone, day, 60 * minutes) for minutes in (hour, hour + 1))
            is_open = any(
                max(opens_ns, begins_ns) < min(closes_ns, ends_ns)
                and ready_ns <= (closes_ns if closes_ns <= ends_ns else ends_ns - 1)
                for opens_ns, closes_ns in _windows(calendar, day)
            )
            orders, _ = state.taken.get((node, day, hour), (0, 0))
            if is_open and orders < calendar.pickups_per_hour_max and not _full(state, node, calendar, day):
                return day, hour
    return 0, -1


def take(state: State, node: str, when: tuple[int, int], orders: int, units: int) -> None:
    """So much more of a node's day and hour is promised; less than nothing gives it back. Day 0 is none."""
    day, hour = when
    for at in {-1, hour} if day else ():
        had = state.taken.get((node, day, at), (0, 0))
        state.taken[node, day, at] = had[0] + orders, had[1] + units


def _full(state: State, node: str, calendar: Calendar, day: int) -> bool:
    orders, units = state.taken.get((node, day, -1), (0, 0))
    return 0 < calendar.orders_per_day_max <= orders or 0 < calendar.units_per_day_max <= units


def _ready(calendar: Calendar, asked_ns: int, cutoff_minute: int | None) -> tuple[int, int]:
    """The moment and the day on which the work is done that begins as soon as the node is open and its cutoff has not passed."""
    left_ns = calendar.handling_minutes * MINUTE_NS
    begun = False
    today = asked_ns // DAY_NS
    for opens_ns, closes_ns, day in _hours_from(calendar, today - 2, today + HORIZON_DAYS + 2):
        if closes_ns < asked_ns:
            continue
        if not begun and cutoff_minute is not None and asked_ns > _instant(calendar.time_zone, day, cutoff_minute):
            continue
        begun = True
        begin_ns = max(opens_ns, asked_ns)
        if closes_ns - begin_ns >= left_ns:
            return begin_ns + left_ns, day
        left_ns -= closes_ns - begin_ns
    return 0, today + HORIZON_DAYS


def _hours_from(calendar: Calendar, first: int, end: int) -> Iterator[tuple[int, int, int]]:
    for day in range(first, end):
        for opens_ns, closes_ns in _windows(calendar, day):
            yield opens_ns, closes_ns, day


def _weekday(day: int) -> int:
    return (EPOCH + timedelta(days=day)).isoweekday()


@cache
def _windows(calendar: Calendar, day: int) -> list[tuple[int, int]]:
    if day in calendar.holidays:
        return []
    windows = [
        (_instant(calendar.time_zone, day, hours.opens_minute), _instant(calendar.time_zone, day, hours.closes_minute))
        for hours in calendar.hours
        if hours.weekday == _weekday(day)
    ]
    return [window for window in windows if window[0] < window[1]]


@cache
def _instant(time_zone: str, day: int, minute: int) -> int:
    """The first UTC nanosecond at which clocks show this time or later: a time that they skip is the change itself."""
    zone = ZoneInfo(time_zone)
    wanted = (EPOCH + timedelta(days=day, minutes=minute)).replace(tzinfo=None)
    moment = wanted.replace(tzinfo=zone).astimezone(UTC)
    if _shown(moment, zone) != wanted:
        while _shown(moment - timedelta(minutes=1), zone) >= wanted:
            moment -= timedelta(minutes=1)
    return (moment - EPOCH) // timedelta(minutes=1) * MINUTE_NS


def _shown(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)
