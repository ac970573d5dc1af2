"""What the network is made of, as journaled: nodes, SKUs, channels, rate cards, the zone chart.

Records that reach the journal are NamedTuples: immutable, and encoded as arrays. Fields are only ever added at the end, with a
default, so that an old journal stays readable.
"""

from typing import NamedTuple

from engine.model.calendars import Calendar
from engine.model.outcomes import NodeKind
from engine.model.policies import DEFAULT_POLICY, RoutingPolicy

__all__ = [
    "DEFAULT_POLICY",
    "Channel",
    "Node",
    "RateCard",
    "Region",
    "RoutingPolicy",
    "Sku",
    "ZoneChart",
    "other_currency",
]


class Node(NamedTuple):
    """A place that holds stock. Costs in micros, position in degrees."""

    node_key: str
    name: str = ""
    kind: NodeKind = NodeKind.UNSPECIFIED
    latitude: float = 0.0
    longitude: float = 0.0
    postal_code: str = ""
    closed: bool = False
    ships: bool = True
    offers_pickup: bool = False
    accepts_returns: bool = False
    package_cost_micros: int = 0
    unit_cost_micros: int = 0
    default_safety_stock_units: int = 0
    calendar: Calendar | None = None
    """``None``: when it works is not known, hence nothing from here is promised for a day."""
    groups: tuple[str, ...] = ()
    """Names by which rules of routing policies speak of it."""
    performance_penalty_micros: int = 0
    """A unit, for routing alone: what is feared of the node, for example that it rejects the work."""
    capacity_price_micros: int = 0
    """A package, for routing alone: what its work is worth elsewhere."""


class Sku(NamedTuple):
    """What is sold and counted.

    ``unit_value_micros`` is for reports, and for routing rules that look at what an order is worth. ``unit_margin_micros`` is lost with
    each unit that a walk-in wants and does not find: 0 leaves it out of prices.
    """

    sku_key: str
    title: str = ""
    weight_grams: int = 0
    unit_value_micros: int = 0
    unit_margin_micros: int = 0


class Channel(NamedTuple):
    """Where demand comes from. ``node_keys`` empty and ``all_nodes`` false: it sells nothing."""

    channel_key: str
    name: str = ""
    node_keys: tuple[str, ...] = ()
    all_nodes: bool = False
    threshold_units: int = 0
    policy_key: str = DEFAULT_POLICY


def other_currency(code: str, kept: str) -> str:
    """What is wrong with an amount or a rate card in ``code``, where the store has ``kept``; empty when nothing is."""
    return "" if kept in ("", code) else f"is {code}; this store keeps all amounts in {kept}"


class RateCard(NamedTuple):
    """Price of a package of one carrier service: ``price_micros[zone - 1][step]``, −1 where it is not offered."""

    service_key: str
    currency_code: str
    step_grams: tuple[int, ...]
    zone_count: int
    price_micros: tuple[int, ...]
    """Zone by zone, ``zone_count * len(step_grams)`` entries."""
    transit_days: tuple[int, ...] = ()
    """Zone by zone: days from the day on which a package leaves to the day on which it arrives. Empty: not known, hence no
    arrival by this service is promised."""


class Region(NamedTuple):
    """An area of destinations; its key is the prefix of its postal codes."""

    region_key: str
    latitude: float
    longitude: float


class ZoneChart(NamedTuple):
    """Zone of a node seen from a region: an exact pair of regions where there is one, else the distance band."""

    regions: tuple[Region, ...] = ()
    band_metres: tuple[int, ...] = ()
    pair_origins: tuple[str, ...] = ()
    pair_destinations: tuple[str, ...] = ()
    pair_zones: tuple[int, ...] = ()
