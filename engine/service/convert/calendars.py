"""When nodes work: a calendar in a message, checked, and told again."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.model.calendars import MINUTES_PER_DAY, Calendar, Cutoff, Hours
from engine.service.fields import Check, shown
from stockpool.v1 import network_pb2 as pb

HOURS_MAX = 28
HOLIDAYS_MAX = 400
WEEKDAYS_MAX = 7
HANDLING_MINUTES_MAX = 2 * MINUTES_PER_DAY
TRANSIT_DAYS_MAX = 60
CAPACITY_MAX = 1_000_000_000
"""Orders or units a day; a node without a maximum says 0."""
EPOCH = date(1970, 1, 1)
PROMISE_YEARS = (2000, 2100)
"""Nobody promises arrival in another year: such a date is a slip."""


def calendar(check: Check, path: str, message: pb.Calendar) -> Calendar:
    """A calendar, checked."""
    limits = check.limits
    check.key(f"{path}time_zone", message.time_zone)
    if message.time_zone and not known_time_zone(message.time_zone):
        check.wrong(f"{path}time_zone", f"is no IANA time zone: {shown(message.time_zone)}; for example Europe/Zurich")
    check.count(f"{path}hours", len(message.hours), "opening_hours_max", HOURS_MAX)
    hours = _hours(check, f"{path}hours", message.hours)
    check.count(f"{path}holidays", len(message.holidays), "holidays_max", HOLIDAYS_MAX, least=0)
    holidays = tuple([local_day(check, f"{path}holidays[{at}]", text) for at, text in enumerate(message.holidays)])
    _ascending(check, f"{path}holidays", holidays, message.holidays)
    check.count(f"{path}cutoffs", len(message.cutoffs), "services_max", limits.services_max, least=0)
    cutoffs = tuple([_cutoff(check, f"{path}cutoffs[{at}].", each) for at, each in enumerate(message.cutoffs)])
    check.distinct(f"{path}cutoffs", "service_key", [each.service_key for each in cutoffs])
    check.count(f"{path}carrier_weekdays", len(message.carrier_weekdays), "weekdays_max", WEEKDAYS_MAX, least=0)
    carrier_weekdays = tuple([int(day) for day in message.carrier_weekdays])
    for at, weekday in enumerate(carrier_weekdays):
        _weekday(check, f"{path}carrier_weekdays[{at}]", weekday)
    _ascending(check, f"{path}carrier_weekdays", carrier_weekdays, carrier_weekdays)
    return Calendar(
        message.time_zone,
        hours,
        holidays,
        check.whole(f"{path}cutoff_minute", message.cutoff_minute, 0, "minute_max", MINUTES_PER_DAY) or MINUTES_PER_DAY,
        cutoffs,
        check.whole(
            f"{path}handling_minutes", message.handling_minutes, 0, "handling_minutes_max", HANDLING_MINUTES_MAX
        ),
        carrier_weekdays,
        check.whole(f"{path}orders_per_day_max", message.orders_per_day_max, 0, "capacity_max", CAPACITY_MAX),
        check.whole(f"{path}units_per_day_max", message.units_per_day_max, 0, "capacity_max", CAPACITY_MAX),
        check.whole(f"{path}pickups_per_hour_max", message.pickups_per_hour_max, 0, "capacity_max", CAPACITY_MAX),
    )


def known_time_zone(name: str) -> bool:
    """Whether the time zone database has it."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def local_day(check: Check, path: str, text: str, years: tuple[int, int] = (1970, 2200)) -> int:
    """A date as days since 1970-01-01."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or day.isoformat() != text or not years[0] <= day.year <= years[1]:
        check.wrong(path, f"must be a date from {years[0]} to {years[1]}, as 2026-12-25, got {shown(text)}")
        return 0
    return (day - EPOCH).days


def date_text(day: int) -> str:
    """A day since 1970-01-01 as a date."""
    return (EPOCH + timedelta(days=day)).isoformat()


def due_day(check: Check, path: str, text: str, *, collected: bool = False) -> int:
    """The day by which a buyer was promised arrival; 0: none, which is what goods to be collected have."""
    if not text:
        return 0
    if collected:
        check.wrong(
            path, "must be empty for goods to be collected: the store decides when they are ready, see ready_date"
        )
        return 0
    return local_day(check, path, text, PROMISE_YEARS)


def promised_date(day: int) -> str:
    """The date of a day that is promised; empty when it is 0, for not known."""
    return date_text(day) if day else ""


def _hours(check: Check, path: str, messages: Sequence[pb.OpeningHours]) -> tuple[Hours, ...]:
    hours = []
    for at, message in enumerate(messages):
        _weekday(check, f"{path}[{at}].weekday", message.weekday)
        opens = check.whole(f"{path}[{at}].opens_minute", message.opens_minute, 0, "minute_max", MINUTES_PER_DAY - 1)
        closes = check.whole(f"{path}[{at}].closes_minute", message.closes_minute, 1, "minute_max", MINUTES_PER_DAY)
        if closes <= opens:
            check.wrong(f"{path}[{at}].closes_minute", f"must be above opens_minute {opens}, got {closes}")
        hours.append((Hours(int(message.weekday), opens, closes), at))
    hours.sort()
    for (before, first), (after, second) in pairwise(hours):
        if before.weekday == after.weekday and after.opens_minute < before.closes_minute:
            later = max(first, second)
            check.wrong(f"{path}[{later}]", f"overlaps with {path}[{min(first, second)}] on weekday {after.weekday}")
    return tuple([each for each, _ in hours])


def _cutoff(check: Check, path: str, message: pb.ServiceCutoff) -> Cutoff:
    return Cutoff(
        check.key(f"{path}service_key", message.service_key),
        check.whole(f"{path}minute", message.minute, 1, "minute_max", MINUTES_PER_DAY),
    )


def _weekday(check: Check, path: str, weekday: int) -> None:
    if not 1 <= weekday <= 7:
        check.wrong(path, f"must be a weekday, 1 (Monday) to 7 (Sunday), got {weekday}")


def _ascending(check: Check, path: str, values: Sequence[int], told: Sequence[object]) -> None:
    for at in range(1, len(values)):
        if values[at] <= values[at - 1]:
            check.wrong(f"{path}[{at}]", f"must come after {shown(told[at - 1])}, got {shown(told[at])}")


def fill_calendar(message: pb.Calendar, told: Calendar) -> None:
    """A calendar as it was given; no cutoff is told as 0."""
    message.time_zone = told.time_zone
    for weekday, opens_minute, closes_minute in told.hours:
        message.hours.add(weekday=weekday, opens_minute=opens_minute, closes_minute=closes_minute)
    message.holidays.extend(date_text(day) for day in told.holidays)
    message.cutoff_minute = told.cutoff_minute % MINUTES_PER_DAY
    for service_key, minute in told.cutoffs:
        message.cutoffs.add(service_key=service_key, minute=minute)
    message.handling_minutes = told.handling_minutes
    message.carrier_weekdays.extend(told.carrier_weekdays)  # type: ignore[arg-type]
    message.orders_per_day_max = told.orders_per_day_max
    message.units_per_day_max = told.units_per_day_max
    message.pickups_per_hour_max = told.pickups_per_hour_max
