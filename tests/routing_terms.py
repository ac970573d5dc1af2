"""What an order may ask beyond carrier and handling: the terms in plain words, what they cost, and orders that ask a lot."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import exp, isqrt
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.routing_worlds import World


UNKNOWN = 1 << 40
"""Days on the road that nobody knows."""


@dataclass(frozen=True)
class Terms:
    """What an order may ask beyond carrier and handling, in plain words; as it stands: nothing."""

    carrier_weight: int = 100
    handling_weight: int = 100
    price_weight: int = 0
    performance_weight: int = 0
    capacity_weight: int = 0
    late_weight: int = 0
    packages_max: int = 0
    groups_any: int = 0
    groups_none: int = 0
    distance_max: int = 0
    keep: int = 0
    due_day: int = 0
    late_days_max: int = 0
    late_cost: int = 0
    node_groups: dict[int, int] = field(default_factory=dict)
    performance: dict[int, int] = field(default_factory=dict)
    capacity_price: dict[int, int] = field(default_factory=dict)
    distances: dict[int, int] = field(default_factory=dict)
    ship_days: dict[int, int] = field(default_factory=dict)
    transit: dict[int, int] = field(default_factory=dict)
    """Days by zone."""
    prices: dict[tuple[int, int], int] = field(default_factory=dict)
    """Micros by (line, node)."""
    demand: dict[tuple[int, int], int] = field(default_factory=dict)
    """In 1/1024 units by (line, node)."""
    margins: dict[int, int] = field(default_factory=dict)
    unserved: dict[int, int] = field(default_factory=dict)
    """By line; one that is missing must be served."""
    together: dict[int, int] = field(default_factory=dict)
    """Group by line."""


def left_out(terms: Terms, node: int, zone: int) -> bool:
    """Whether the order's own limits keep it away from a node."""
    groups = terms.node_groups.get(node, 0)
    wrong_group = (terms.groups_any and not groups & terms.groups_any) or groups & terms.groups_none
    too_far = terms.distance_max and terms.distances.get(node, 0) > terms.distance_max
    return bool(wrong_group or too_far or days_late(terms, node, zone) > terms.late_days_max)


def days_late(terms: Terms, node: int, zone: int) -> int:
    if not terms.due_day:
        return 0
    arrival = arrival_day(terms, node, zone)
    return min(366, max(0, arrival - terms.due_day)) if arrival else 366


def arrival_day(terms: Terms, node: int, zone: int) -> int:
    """0: the node has no calendar, or nobody knows the days on the road."""
    ship_day, road = terms.ship_days.get(node, 0), terms.transit.get(zone, 0)
    return ship_day + road if ship_day and road < UNKNOWN else 0


def other(terms: Terms, node: int, zone: int, units: int) -> int:
    """Lateness, capacity and performance of one package."""
    late = lateness(terms, node, zone)
    capacity = terms.capacity_price.get(node, 0) * terms.capacity_weight // 100
    return late + capacity + terms.performance.get(node, 0) * terms.performance_weight // 100 * units


def lateness(terms: Terms, node: int, zone: int) -> int:
    return terms.late_cost * terms.late_weight // 100 * days_late(terms, node, zone)


def tail(demand: int, units: int) -> int:
    """P(Poisson demand >= units) in 1/65,536, the mean taken down to the square of a 32nd."""
    mean, below = (isqrt(demand) / 32) ** 2, 0.0
    term = exp(-mean)
    for fewer in range(max(units, 0)):
        below += term
        term *= mean / (fewer + 1)
    return int((1 - below) * 65536 + 0.5)


def unit_prices(world: World, line: int, node: int) -> list[int]:
    """Micros of each unit that the node has free, the first to leave first."""
    terms, left = world.terms, world.free.get((line, node), 0)
    price, demand = terms.prices.get((line, node), 0), terms.demand.get((line, node), 0)
    margin = terms.margins.get(line, 0) if demand else 0
    return [max(price, margin * tail(demand, left - unit) >> 16) for unit in range(max(left, 0))]


def worth(world: World, line: int, node: int, units: int) -> int:
    """Weighted micros of ``units`` of a line at a node."""
    return sum(unit_prices(world, line, node)[:units]) * world.terms.price_weight // 100


def random_terms(chance: Random, world: World) -> Terms:
    """Terms drawn from all kinds at once; money in hundreds of micros, so that no weight of the draw leaves a fraction."""
    nodes, lines = range(world.nodes), range(world.lines)
    pairs = [(line, node) for line in lines for node in nodes if chance.random() < 0.8]

    def money(most: int) -> int:
        return 100 * chance.randint(0, chance.choice([0, 2, most]))

    def drawn(share: float, value: int) -> int:
        return value if chance.random() < share else 0

    together = {line: 1 for line in lines if world.lines > 1 and chance.random() < 0.5} if chance.random() < 0.3 else {}
    optional = chance.random() < 0.4
    return Terms(
        carrier_weight=chance.choice([100, 100, 0, 50, 300]),
        handling_weight=chance.choice([100, 100, 0, 200]),
        price_weight=chance.choice([0, 100, 100, 25]),
        performance_weight=chance.choice([0, 100]),
        capacity_weight=chance.choice([0, 100, 50]),
        late_weight=chance.choice([0, 100]),
        packages_max=drawn(0.3, chance.randint(1, 3)),
        groups_any=drawn(0.2, 0b11),
        groups_none=drawn(0.2, 0b100),
        distance_max=drawn(0.2, 500),
        keep=drawn(0.2, 1),
        due_day=drawn(0.5, 102),
        late_days_max=chance.choice([0, 2, 5, 1 << 62]),
        late_cost=money(50),
        node_groups={node: chance.randint(0, 7) for node in nodes},
        performance={node: money(5) for node in nodes},
        capacity_price={node: money(20) for node in nodes},
        distances={node: chance.choice([0, 100, 500, 501, 3_000]) for node in nodes},
        ship_days={node: chance.choice([100, 100, 101, chance.choice([1 << 40, 0, 103, 103, 103])]) for node in nodes},
        transit={zone: chance.choice([0, 1, 2, 3, 4, 4, UNKNOWN]) for zone in range(len(world.rates))},
        prices={pair: money(30) for pair in pairs},
        demand={pair: chance.choice([0, 0, 300, 1_024, 5_000]) for pair in pairs},
        margins={line: money(80) for line in lines},
        unserved={line: money(100) for line in lines if chance.random() < 0.7} if optional else {},
        together=together,
    )
