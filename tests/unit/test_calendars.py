"""Days that calendars promise: DST changes, skipped and repeated hours, holidays, and a twin that goes minute by minute."""

from __future__ import annotations

from datetime import UTC, date, datetime
from random import Random
from zoneinfo import ZoneInfo

import pytest

from engine.model.calendars import Calendar, Hours
from engine.pool.calendars import DAY_NS, MINUTE_NS, Window, instant_ns, ready_ns, schedule, weekday, zone_of
from tests.calendars_by_hand import Clock, begun, done, leave_day, number, open_spans, some_calendar

WORKDAYS = tuple(Hours(day, 480, 1_080) for day in range(1, 6))
CHANGES = [
    ("Europe/Zurich", date(2026, 3, 27)),
    ("Europe/Zurich", date(2026, 10, 23)),
    ("America/New_York", date(2026, 3, 6)),
    ("America/New_York", date(2026, 10, 30)),
    ("Australia/Lord_Howe", date(2026, 4, 3)),
    ("Australia/Lord_Howe", date(2026, 10, 2)),
    ("America/Santiago", date(2026, 9, 4)),
    ("Asia/Kathmandu", date(2026, 5, 1)),
    ("Pacific/Apia", date(2011, 12, 28)),
    ("UTC", date(2026, 1, 1)),
]
"""Days before a change of the clock: by an hour, by half an hour, over midnight, by a whole day, and none."""


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1_000_000_000


def instant(zone: str, day: date, minute: int) -> int:
    return instant_ns(ZoneInfo(zone), number(day), minute)


def test_a_local_time_is_an_instant() -> None:
    assert instant("Europe/Zurich", date(2026, 1, 5), 9 * 60) == utc(2026, 1, 5, 8)
    assert instant("Europe/Zurich", date(2026, 7, 6), 9 * 60) == utc(2026, 7, 6, 7)
    assert instant("Europe/Zurich", date(2026, 7, 6), 1_440) == instant("Europe/Zurich", date(2026, 7, 7), 0)


def test_a_time_that_clocks_skip_is_the_change_and_one_that_comes_twice_the_first() -> None:
    assert instant("America/New_York", date(2026, 3, 8), 150) == utc(2026, 3, 8, 7)
    assert instant("America/New_York", date(2026, 3, 8), 180) == utc(2026, 3, 8, 7)
    assert instant("America/New_York", date(2026, 11, 1), 90) == utc(2026, 11, 1, 5, 30)
    assert instant("Pacific/Apia", date(2011, 12, 30), 600) == instant("Pacific/Apia", date(2011, 12, 31), 0)


def test_weekdays_are_those_of_the_calendar() -> None:
    for day in range(0, 40_000, 37):
        assert weekday(day) == date.fromordinal(date(1970, 1, 1).toordinal() + day).isoweekday()


def test_an_unknown_zone_promises_nothing() -> None:
    assert zone_of("Mars/Olympus") is None
    assert schedule(Calendar("Mars/Olympus", WORKDAYS), ("ground",), 20_000, 30) is None


def test_cutoff_handling_and_weekend() -> None:
    monday = number(date(2026, 6, 1))
    made = schedule(Calendar("UTC", WORKDAYS, cutoff_minute=840, handling_minutes=120), ("ground",), monday, 8)
    assert made is not None
    assert made.leave_days == (*range(monday, monday + 5), monday + 7)
    assert made.latest_ns[0][0] == utc(2026, 6, 1, 14)
    assert made.latest_ns[0][5] == utc(2026, 6, 8, 14)
    assert made.ready_latest_ns[0] == utc(2026, 6, 1, 16), "goods to be collected need no carrier, hence no cutoff"


def test_handling_goes_on_where_the_day_before_closed() -> None:
    windows = (Window(0, 60, 0), Window(100, 200, 1))
    assert ready_ns(windows, 30, 40) == 110
    assert ready_ns(windows, 60, 0) == 60
    assert ready_ns(windows, 61, 0) == 100
    assert ready_ns(windows, 61, 101) == 0


def hour_of(spans: list[tuple[int, int, int]], clock: Clock, moment: int, day: int) -> tuple[int, int]:
    """Day and hour that are begun at a moment; as a node closes is in its last hour."""
    closing = moment in {closes for _, closes, _ in spans} and moment not in {opens for opens, _, _ in spans}
    begun = [hour for hour in range(24) if clock.first_at(day, 60 * hour) < moment + (not closing)]
    return day, max(begun)


@pytest.mark.parametrize(("zone", "first"), CHANGES)
def test_days_are_those_of_a_walk_through_every_minute(zone: str, first: date) -> None:
    chance = Random(f"{zone} {first}")
    days = 9
    clock = Clock(zone, first, days)
    for _ in range(3):
        calendar = some_calendar(chance, zone, first, days)._replace(pickups_per_hour_max=1)
        made = schedule(calendar, ("slow", "fast"), number(first), days)
        assert made is not None
        spans = open_spans(calendar, clock, range(number(first), number(first) + days))
        assert [(w.opens_ns // MINUTE_NS, w.closes_ns // MINUTE_NS, w.day) for w in made.windows] == spans
        for _ in range(60):
            asked = (number(first) + 1) * 1_440 + chance.randrange(5 * 1_440)
            for row, service in enumerate(("slow", "fast")):
                promised = next(
                    (day for day, latest in zip(made.leave_days, made.latest_ns[row], strict=True)
                     if latest >= asked * MINUTE_NS), None,
                )  # fmt: skip
                told = leave_day(calendar, spans, clock, asked, service)
                assert promised == told, f"{calendar} {service} asked at {asked}"
            begin = begun(spans, clock, asked, 1_440)
            ready = None if begin is None else done(spans, begin, calendar.handling_minutes)
            handling_ns = calendar.handling_minutes * MINUTE_NS
            assert ready_ns(made.windows, asked * MINUTE_NS, handling_ns) == (ready[0] * MINUTE_NS if ready else 0)
            ready_day = next(
                (day for day, latest in zip(made.ready_days, made.ready_latest_ns, strict=True)
                 if latest >= asked * MINUTE_NS), None,
            )  # fmt: skip
            assert ready_day == (ready[1] if ready else None)
            ready_hour = next(
                (hour for hour, latest in zip(made.ready_hours, made.ready_hours_latest_ns, strict=True)
                 if latest >= asked * MINUTE_NS), None,
            )  # fmt: skip
            assert ready_hour == (hour_of(spans, clock, *ready) if ready else None), f"{calendar} asked at {asked}"


def test_a_schedule_does_not_depend_on_where_its_span_begins() -> None:
    chance = Random(7)
    for _ in range(40):
        calendar = some_calendar(chance, "Europe/Zurich", date(2026, 10, 20), 12)
        early = schedule(calendar, ("slow",), number(date(2026, 10, 20)), 20)
        late = schedule(calendar, ("slow",), number(date(2026, 10, 23)), 17)
        assert early is not None
        assert late is not None
        known = dict(zip(early.leave_days, early.latest_ns[0], strict=True))
        now_ns = number(date(2026, 10, 24)) * DAY_NS
        for day, latest in zip(late.leave_days, late.latest_ns[0], strict=True):
            assert latest == known[day] or max(latest, known[day]) < now_ns
