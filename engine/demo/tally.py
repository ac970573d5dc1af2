"""What became of the demand: figures by channel and by hour of the scenario, from what callers were told.

How each figure is defined stands in ``MEANINGS``, which the reports print as their legend.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields

from engine.demo.scenario import NS_PER_SECOND

NS_PER_HOUR = 3_600 * NS_PER_SECOND

MEANINGS = {
    "orders": "Orders that buyers wanted, refused ones included. Baskets that a shopper abandons are no orders.",
    "units": "Units in these orders.",
    "value": "Units times the price that the buyer was asked, of all these orders.",
    "fill rate": (
        "Units that were fulfilled, or are allocated to be, divided by units asked for; a unit that its buyer cancelled counts as filled "
        "when it had been allocated. The total leaves out till sales, which are always filled: the buyer holds the goods."
    ),
    "split rate": "Orders that left in two or more packages, divided by all orders of which a package left.",
    "cost an order": (
        "Carrier and handling of every package that left, divided by the orders of which a package left. Split penalties are weights of "
        "the routing policy and are not in it."
    ),
    "zone": "Carrier zone of a package: 1 is local, 8 is across the country.",
    "short units": "Units of marketplace orders, or of work that a node rejected, that no node has. They are cancelled after a while.",
    "shortage": (
        "Σ max(0, −available to fulfill) over all cells: units that were promised or kept back and that a fact (a till sale, a count, a "
        "rejection) has taken since."
    ),
    "oversold units": (
        "Units that a request promised beyond what was free in that cell at that instant. Zero is proven twice: the server replays its "
        "journal into a second state and compares; the recount reads the stream of events, keeps books of its own with no code of the "
        "engine, and checks every promise against them."
    ),
    "latency": "Seen by the caller, from the call to its answer, retries included, with that many orders in flight.",
}
"""What each figure of the report means."""


@dataclass(slots=True)
class Figures:
    """Counts of one channel in one hour. Money in micros.

    ``orders`` are all that buyers wanted; ``refused_orders`` of them got nothing. ``asked_units`` is their demand, ``granted_units`` what
    was allocated (or sold over the counter) at first, ``lost_units`` what no node could provide in the end. ``sent_orders`` had at least
    one package leave, ``split_orders`` of them more than one; ``cost_micros`` is what their packages cost.
    """

    orders: int = 0
    refused_orders: int = 0
    cancelled_orders: int = 0
    abandoned_baskets: int = 0
    asked_units: int = 0
    granted_units: int = 0
    lost_units: int = 0
    value_micros: int = 0
    sent_orders: int = 0
    split_orders: int = 0
    packages: int = 0
    cost_micros: int = 0
    rejected_work: int = 0
    collected_orders: int = 0
    returned_units: int = 0
    zones: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Figures") -> None:
        """Adds every count of ``other`` to this one."""
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.zones.update(other.zones)

    @property
    def filled_units(self) -> int:
        """Units that were allocated and not lost again."""
        return self.granted_units - self.lost_units

    @property
    def fill_rate(self) -> float | None:
        """Filled by asked units, 0 to 1; None without demand."""
        return self.filled_units / self.asked_units if self.asked_units else None

    @property
    def split_rate(self) -> float | None:
        """Orders in several packages by orders sent, 0 to 1; None when none was sent."""
        return self.split_orders / self.sent_orders if self.sent_orders else None

    @property
    def cost_per_order_micros(self) -> int | None:
        """Mean cost of sending an order; None when none was sent."""
        return round(self.cost_micros / self.sent_orders) if self.sent_orders else None

    @property
    def mean_zone(self) -> float | None:
        """Mean zone of the packages; None without packages."""
        count = self.zones.total()
        return sum(zone * packages for zone, packages in self.zones.items()) / count if count else None


_COUNTS = tuple(one.name for one in fields(Figures) if one.name != "zones")


class Tally:
    """Figures by channel and hour; ``till_channels`` are those whose sales happen over the counter.

    ``refused_orders`` counts all of them, for a look while the run goes on.
    """

    def __init__(self) -> None:
        self.till_channels: set[str] = set()
        self.refused_orders = 0
        self._figures: dict[tuple[str, int], Figures] = {}

    def at(self, channel_key: str, at_ns: int) -> Figures:
        """The figures of a channel in the hour of an instant of the scenario."""
        key = (channel_key, at_ns // NS_PER_HOUR)
        figures = self._figures.get(key)
        if figures is None:
            figures = self._figures[key] = Figures()
        return figures

    def refuse(self, figures: Figures) -> None:
        """One order got nothing."""
        figures.refused_orders += 1
        self.refused_orders += 1

    @property
    def channels(self) -> list[str]:
        """Channels that had demand, in alphabetical order."""
        return sorted({channel_key for channel_key, _ in self._figures})

    def of_channel(self, channel_key: str) -> Figures:
        """All hours of a channel together."""
        return _sum(figures for (key, _), figures in self._figures.items() if key == channel_key)

    def total(self) -> Figures:
        """Everything together."""
        return _sum(self._figures.values())

    def promised(self) -> Figures:
        """All channels but the tills: those where stock has to be promised before it is handed out."""
        return _sum(figures for (key, _), figures in self._figures.items() if key not in self.till_channels)

    def by_bucket(self, bucket_hours: int) -> dict[str, dict[int, Figures]]:
        """Figures by channel and bucket of so many hours (24: days); buckets without demand are left out."""
        buckets: dict[str, dict[int, Figures]] = {}
        for (channel_key, hour), figures in sorted(self._figures.items()):
            row = buckets.setdefault(channel_key, {})
            row.setdefault(hour // bucket_hours, Figures()).add(figures)
        return buckets


def _sum(parts: Iterable[Figures]) -> Figures:
    total = Figures()
    for part in parts:
        total.add(part)
    return total
