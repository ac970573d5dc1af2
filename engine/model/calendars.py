"""When a node works, and how much of it: what ship days and arrival days are computed from.

Times of day are minutes after local midnight, days are whole days since 1970-01-01. A local time that a change of the clock skips
is the instant of that change; one that comes twice is meant the first time.
"""

from typing import NamedTuple

MINUTES_PER_DAY = 1_440


class Hours(NamedTuple):
    """Open from one minute of a weekday to another; 1,440 is the midnight at its end."""

    weekday: int
    """1 Monday to 7 Sunday, as in ISO 8601."""
    opens_minute: int
    closes_minute: int


class Cutoff(NamedTuple):
    """Until when an order for a carrier service is begun on the same day."""

    service_key: str
    minute: int


class Calendar(NamedTuple):
    """When a node works. A day without hours, or a holiday, is a day on which nothing is begun and nothing leaves."""

    time_zone: str
    """Name in the IANA database, for example Europe/Zurich."""
    hours: tuple[Hours, ...] = ()
    """By weekday and opening; those of a weekday do not overlap."""
    holidays: tuple[int, ...] = ()
    """Days, ascending."""
    cutoff_minute: int = MINUTES_PER_DAY
    """An order that is asked for later in the day is begun when the node opens on its next open day."""
    cutoffs: tuple[Cutoff, ...] = ()
    """Services with a cutoff of their own."""
    handling_minutes: int = 0
    """Opening time from the beginning to the moment at which goods can leave or be collected."""
    carrier_weekdays: tuple[int, ...] = ()
    """Weekdays on which carriers collect packages; empty: every open day."""
    orders_per_day_max: int = 0
    """Orders that may leave, or become ready, on one day; 0: any number."""
    units_per_day_max: int = 0
    """Units of them; 0: any number. The order that reaches it is still taken whole."""
    pickups_per_hour_max: int = 0
    """Orders that may become ready for collection in one hour of the clock; 0: any number."""

    def cutoff_of(self, service_key: str) -> int:
        """The minute of the day until which an order for this service is begun."""
        for cutoff in self.cutoffs:
            if cutoff.service_key == service_key:
                return cutoff.minute
        return self.cutoff_minute
