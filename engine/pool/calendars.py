"""Calendars as integers: opening hours of local days as UTC nanoseconds, and the last moment to ask for each day.

Nothing here knows the present: a schedule says for every day of a span until when an order must be asked for to leave on it, whatever the
time is. Time zones come from `zoneinfo`. Another edition of that database may promise another day tomorrow; it changes nothing of what was
decided, for the journal keeps decisions.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from engine.model.calendars import MINUTES_PER_DAY, Calendar
from engine.model.limits import SECOND_NS

MINUTE_NS = 60 * SECOND_NS
DAY_NS = MINUTES_PER_DAY * MINUTE_NS
NO_MOMENT = 0
"""The last moment to ask for a day that nothing can leave on any more: before the span began."""
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - a local time: its zone is what the functions below add
_OFFSET_MAX_S = 86_400


class Window(NamedTuple):
    """Open from one UTC nanosecond to another, on one local day."""

    opens_ns: int
    closes_ns: int
    day: int


class Schedule(NamedTuple):
    """What a calendar promises over a span of days."""

    windows: tuple[Window, ...]
    """Opening hours without holidays, ascending."""
    leave_days: tuple[int, ...]
    """Days on which packages leave, ascending."""
    latest_ns: tuple[tuple[int, ...], ...]
    """By service and leave day: the last moment to ask for a package that leaves on it."""
    ready_days: tuple[int, ...]
    """Days on which goods become ready for collection, ascending."""
    ready_latest_ns: tuple[int, ...]
    """By ready day: the last moment to ask for goods that are ready on it."""
    ready_hours: tuple[tuple[int, int], ...] = ()
    """Days and hours of the day in which goods become ready, ascending; none where the calendar does not count them by the hour."""
    ready_hours_latest_ns: tuple[int, ...] = ()
    """By ready hour: the last moment to ask for goods that are ready in it."""


@lru_cache(maxsize=1_024)
def zone_of(name: str) -> ZoneInfo | None:
    """The time zone; ``None`` when this machine does not know it, which only a journal from another one can bring about."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


@lru_cache(maxsize=1 << 16)
def instant_ns(zone: ZoneInfo, day: int, minute: int) -> int:
    """The first moment at which clocks of the zone show ``minute`` of ``day`` or later.

    That is the time itself where there is one; the first of two when clocks are put back; and the change when they are put
    forward over it.
    """
    local = _EPOCH + timedelta(days=day, minutes=minute)
    aware = local.replace(tzinfo=zone)
    moment_s = _seconds(local) - _offset_s(aware)
    if _shown(zone, moment_s) == local:
        return moment_s * SECOND_NS
    # Clocks never show it: halve the span around it until the change is found, to the second.
    early, late = moment_s - _OFFSET_MAX_S, moment_s + _OFFSET_MAX_S
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (early, middle) if _shown(zone, middle) >= local else (middle, late)
    return late * SECOND_NS


def _seconds(local: datetime) -> int:
    since = local - _EPOCH
    return since.days * 86_400 + since.seconds


def _offset_s(aware: datetime) -> int:
    offset = aware.utcoffset() or timedelta(0)
    return offset.days * 86_400 + offset.seconds


def _shown(zone: ZoneInfo, moment_s: int) -> datetime:
    """What clocks of the zone show at a moment."""
    moment = _EPOCH.replace(tzinfo=UTC) + timedelta(seconds=moment_s)
    return moment.astimezone(zone).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=4_096)
def schedule(calendar: Calendar, service_keys: tuple[str, ...], first_day: int, days: int) -> Schedule | None:
    """What the calendar promises on the ``days`` local days from ``first_day`` on; ``None`` in an unknown time zone.

    Many stores share one calendar, hence the cache.
    """
    zone = zone_of(calendar.time_zone)
    if zone is None:
        return None
    windows = _windows(calendar, zone, first_day, days)
    ready_days = tuple(dict.fromkeys(window.day for window in windows))
    carriers = frozenset(calendar.carrier_weekdays or range(1, 8))
    handling_ns = calendar.handling_minutes * MINUTE_NS
    closes_ns = {window.day: window.closes_ns for window in windows}
    begin_ns = {day: _latest_begin(windows, closes_ns[day], handling_ns) for day in ready_days}
    leave_days = tuple(day for day in ready_days if weekday(day) in carriers)
    cutoffs = [calendar.cutoff_of(service_key) for service_key in service_keys]
    latest = {
        minute: tuple(_latest_asked(begin_ns[day], zone, minute) for day in leave_days)
        for minute in dict.fromkeys(cutoffs)
    }
    return Schedule(
        windows,
        leave_days,
        tuple(latest[minute] for minute in cutoffs),
        ready_days,
        tuple(begin.opens_ns if begin else NO_MOMENT for begin in begin_ns.values()),
        *(_ready_hours(windows, zone, handling_ns) if calendar.pickups_per_hour_max else ()),
    )


def weekday(day: int) -> int:
    """1 Monday to 7 Sunday. 1970-01-01 was a Thursday."""
    return (day + 3) % 7 + 1


def _windows(calendar: Calendar, zone: ZoneInfo, first_day: int, days: int) -> tuple[Window, ...]:
    holidays = frozenset(calendar.holidays)
    windows = [
        Window(instant_ns(zone, day, opens_minute), instant_ns(zone, day, closes_minute), day)
        for day in range(first_day, first_day + days)
        if day not in holidays
        for of_weekday, opens_minute, closes_minute in calendar.hours
        if of_weekday == weekday(day)
    ]
    # Of hours that a change of the clock skips nothing is left.
    return tuple([window for window in windows if window.opens_ns < window.closes_ns])


def _ready_hours(
    windows: Sequence[Window], zone: ZoneInfo, handling_ns: int
) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """Every hour of a day in which a node is open, and when to ask at the latest to be ready in it. As it closes is in its last hour."""
    latest: dict[tuple[int, int], int] = {}
    for opens_ns, closes_ns, day in windows:
        for hour in range(24):
            begins_ns, ends_ns = instant_ns(zone, day, 60 * hour), instant_ns(zone, day, 60 * hour + 60)
            if max(begins_ns, opens_ns) < min(ends_ns, closes_ns):
                begin = _latest_begin(windows, closes_ns if closes_ns <= ends_ns else ends_ns - 1, handling_ns)
                latest[day, hour] = begin.opens_ns if begin else NO_MOMENT
    return tuple(latest), tuple(latest.values())


def _latest_begin(windows: Sequence[Window], until_ns: int, handling_ns: int) -> Window | None:
    """When work must begin at the latest to be done at ``until_ns``, when the node is open: a moment (as ``opens_ns``) and its day.

    ``None``: before the first window.
    """
    left_ns = handling_ns
    for opens_ns, closes_ns, of_day in reversed(windows):
        if opens_ns >= until_ns:
            continue
        end_ns = min(closes_ns, until_ns)
        if end_ns - opens_ns >= left_ns:
            return Window(end_ns - left_ns, closes_ns, of_day)
        left_ns -= end_ns - opens_ns
    return None


def _latest_asked(begin: Window | None, zone: ZoneInfo, cutoff_minute: int) -> int:
    """The last moment to ask for work that must begin by then: the cutoff of that day may come before."""
    return min(begin.opens_ns, instant_ns(zone, begin.day, cutoff_minute)) if begin else NO_MOMENT


def ready_ns(windows: Sequence[Window], asked_ns: int, handling_ns: int) -> int:
    """When goods that are asked for at ``asked_ns`` can be collected; 0: not within the windows."""
    left_ns = handling_ns
    for opens_ns, closes_ns, _ in windows:
        begin_ns = max(opens_ns, asked_ns)
        if begin_ns > closes_ns:
            continue
        if closes_ns - begin_ns >= left_ns:
            return begin_ns + left_ns
        left_ns -= closes_ns - begin_ns
    return 0
