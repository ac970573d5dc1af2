"""What calendars promise, the slow and obvious way: minute by minute through real time, asking the zone what clocks show."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from engine.model.calendars import Calendar, Cutoff, Hours

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MINUTE_NS = 60_000_000_000
DAY_MINUTES = 1_440


def number(day: date) -> int:
    return (day - EPOCH.date()).days


class Clock:
    """Every minute of a span of time: the local day and minute that clocks show, and how far clocks ever got."""

    def __init__(self, zone: str, first: date, days: int) -> None:
        self.start = number(first) * DAY_MINUTES - DAY_MINUTES
        self.furthest: list[int] = []
        """By minute of real time: the latest local time shown so far, in minutes since 1970."""
        info, reached = ZoneInfo(zone), 0
        for minute in range(self.start, self.start + (days + 2) * DAY_MINUTES):
            local = (EPOCH + timedelta(minutes=minute)).astimezone(info)
            shown = number(local.date()) * DAY_MINUTES + local.hour * 60 + local.minute
            reached = max(reached, shown)
            self.furthest.append(reached)

    def first_at(self, day: int, minute: int) -> int:
        """The first real minute at which clocks show this local time or later."""
        wanted = day * DAY_MINUTES + minute
        return self.start + next(at for at, shown in enumerate(self.furthest) if shown >= wanted)


def open_spans(calendar: Calendar, clock: Clock, days: range) -> list[tuple[int, int, int]]:
    """(First minute, last minute, local day) of every window with any time in it."""
    spans = []
    for day in days:
        if day in calendar.holidays:
            continue
        for hours in calendar.hours:
            if hours.weekday == (EPOCH + timedelta(days=day)).isoweekday():
                span = clock.first_at(day, hours.opens_minute), clock.first_at(day, hours.closes_minute)
                if span[0] < span[1]:
                    spans.append((*span, day))
    return spans


def begun(spans: list[tuple[int, int, int]], clock: Clock, asked: int, cutoff: int) -> int | None:
    """The minute at which work on an order begins that is asked for at a minute: open, and not after the cutoff of that day."""
    for opens, closes, day in spans:
        if asked <= closes and asked <= clock.first_at(day, cutoff):
            return max(opens, asked)
    return None


def done(spans: list[tuple[int, int, int]], begin: int, handling: int) -> tuple[int, int] | None:
    """The minute and the day on which so many open minutes have passed."""
    left = handling
    for opens, closes, day in spans:
        at = max(opens, begin)
        while at <= closes:
            if left == 0:
                return at, day
            if at < closes:
                left -= 1
            at += 1
    return None


def leave_day(
    calendar: Calendar, spans: list[tuple[int, int, int]], clock: Clock, asked: int, service: str
) -> int | None:
    """The day on which a package leaves that is asked for at a minute."""
    begin = begun(spans, clock, asked, calendar.cutoff_of(service))
    ready = None if begin is None else done(spans, begin, calendar.handling_minutes)
    if ready is None:
        return None
    days = [day for *_, day in spans if day >= ready[1]]
    carried = calendar.carrier_weekdays or range(1, 8)
    return next((day for day in days if (EPOCH + timedelta(days=day)).isoweekday() in carried), None)


def some_calendar(chance: Random, zone: str, first: date, days: int) -> Calendar:
    """A calendar with whatever can be awkward: hours by night, two windows a day, cutoffs before opening, long handling."""
    hours = []
    for weekday in range(1, 8):
        if chance.random() < 0.2:
            continue
        marks = sorted(chance.sample([0, 45, 60, 90, 119, 120, 121, 150, 180, 480, 720, 780, 1_080, 1_380, 1_440], 4))
        hours.append(Hours(weekday, marks[0], marks[1]))
        if chance.random() < 0.5:
            hours.append(Hours(weekday, marks[2], marks[3]))
    hours = hours or [Hours(1, 0, DAY_MINUTES)]
    holidays = sorted(chance.sample(range(number(first), number(first) + days), 2))
    cutoff = chance.choice((30, 100, 135, 600, 840, 1_440))
    cutoffs = (Cutoff("fast", chance.choice((60, 125, 720, 1_440))),)
    carriers = tuple(sorted(chance.sample(range(1, 8), chance.choice((0, 2, 5)))))
    handling = chance.choice((0, 0, 1, 30, 90, 300, 1_000))
    return Calendar(zone, tuple(hours), tuple(holidays), cutoff, cutoffs, handling, carriers)
