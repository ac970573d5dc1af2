"""What a store knows: dictionaries by key, in order of arrival. An index is a place in that order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from math import asin, cos, radians, sin, sqrt
from typing import Any, NamedTuple

from engine.model.limits import Limits
from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import FulfillmentKind, Quantity, ReservationState, StockReason
from engine.model.prices import PricePlan
from engine.model.replies import Cell

Pair = tuple[str, str]
"""(SKU key, node key)."""
Choice = dict[Pair, int]
"""Units of each SKU from each node, as the engine chose them for one claim."""

UNAVAILABLE = (Quantity.DAMAGED, Quantity.QUALITY_CONTROL, Quantity.DISPLAY, Quantity.IN_RETURN)
PHYSICAL = (Quantity.ON_HAND, *UNAVAILABLE)
EARTH_RADIUS_METRES = 6_371_008.8


class HeldLeg(NamedTuple):
    """Units of a reservation's line at a cell."""

    line: int
    sku: str
    node: str
    units: int
    day: int = 0
    """Local day on which they leave, or are ready; 0: none is promised."""
    hour: int = -1
    """Hour of the day in which they are ready; −1: hours are not counted."""


@dataclass
class Hold:
    """A reservation. ``destination``: region key for shipping, node key for pickup."""

    reservation_id: int
    state: ReservationState
    channel: str
    kind: FulfillmentKind
    destination: str
    service: str
    created_ns: int
    expires_ns: int
    legs: list[HeldLeg]
    due_day: int = 0
    store: str = ""


class Movement(NamedTuple):
    """A physical change of a cell."""

    pair: Pair
    seq: int
    time_ns: int
    quantity: Quantity
    delta: int
    balance: int
    reason: StockReason


@dataclass
class State:
    """Everything."""

    limits: Limits
    seq: int = 0
    now_ns: int = 0
    prices: dict[Pair, tuple[int, int]] = field(default_factory=dict)
    price_plan: PricePlan | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    skus: dict[str, Sku] = field(default_factory=dict)
    channels: dict[str, Channel] = field(default_factory=dict)
    rate_cards: dict[str, RateCard] = field(default_factory=dict)
    groups: list[str] = field(default_factory=list)
    policies: dict[str, RoutingPolicy] = field(default_factory=lambda: {"default": RoutingPolicy()})
    drafts: dict[str, RoutingPolicy] = field(default_factory=dict)
    chart: ZoneChart = field(default_factory=ZoneChart)
    regions: list[str] = field(default_factory=list)
    cells: dict[Pair, dict[Quantity, int]] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)
    feeds: dict[tuple[str, Pair], int] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)
    taken: dict[tuple[str, int, int], tuple[int, int]] = field(default_factory=dict)
    """By node, day and hour (−1: the whole day): orders and units that are promised for it, or done in it."""
    holds: dict[int, Hold] = field(default_factory=dict)
    hold_places: dict[int, int] = field(default_factory=dict)
    next_hold_id: int = 1
    orders: dict[int, Order] = field(default_factory=dict)
    work: dict[int, FulfillmentOrder] = field(default_factory=dict)
    returns: dict[int, Return] = field(default_factory=dict)
    next_order_id: int = 1
    next_work_id: int = 1
    next_return_id: int = 1
    closed_orders: list[int] = field(default_factory=list)
    closed_returns: list[int] = field(default_factory=list)
    requests: dict[str, tuple[int, type[Any], Any]] = field(default_factory=dict)
    decided_ns: dict[str, int] = field(default_factory=dict)
    forgotten_ns: int = 0
    fence: dict[Pair, int] | None = None
    """While it is asked what some cells alone could do: units that each lets through; nothing comes from any other."""

    # Indexes

    def sku_index(self, sku: str) -> int:
        return list(self.skus).index(sku)

    def node_index(self, node: str) -> int:
        return list(self.nodes).index(node)

    def channel_index(self, channel: str) -> int:
        return list(self.channels).index(channel)

    def service_index(self, service: str) -> int:
        return list(self.rate_cards).index(service)

    def place(self, pair: Pair) -> int:
        """Stands for the slot of a cell in records that have one."""
        return self.sku_index(pair[0]) << 32 | self.node_index(pair[1])

    # Cells

    def units(self, pair: Pair, quantity: Quantity) -> int:
        return self.cells.get(pair, {}).get(quantity, 0)

    def atf(self, pair: Pair) -> int:
        cell = self.cells.get(pair)
        if cell is None:
            return 0
        unavailable = (
            cell[Quantity.DAMAGED] + cell[Quantity.QUALITY_CONTROL] + cell[Quantity.DISPLAY] + cell[Quantity.IN_RETURN]
        )
        promised = cell[Quantity.RESERVED] + cell[Quantity.ALLOCATED]
        return cell[Quantity.ON_HAND] - unavailable - promised - cell[Quantity.SAFETY_STOCK]

    def free(self, pair: Pair) -> int:
        return max(0, self.atf(pair))

    def cell(self, pair: Pair) -> Cell:
        return Cell(
            self.sku_index(pair[0]),
            self.node_index(pair[1]),
            self.atf(pair),
            *(
                self.units(pair, quantity)
                for quantity in (
                    *PHYSICAL, Quantity.RESERVED, Quantity.ALLOCATED, Quantity.SAFETY_STOCK, Quantity.INCOMING,
                )
            ),
        )  # fmt: skip

    def open(self, pairs: Iterable[Pair]) -> None:
        """Make sure that these cells exist; a new one starts with the safety stock of its node."""
        for pair in pairs:
            if pair not in self.cells:
                self.cells[pair] = dict.fromkeys(Quantity, 0)
                self.cells[pair][Quantity.SAFETY_STOCK] = self.nodes[pair[1]].default_safety_stock_units

    def move(self, pair: Pair, quantity: Quantity, delta: int, reason: StockReason) -> None:
        self.cells[pair][quantity] += delta
        if quantity in PHYSICAL:
            balance = self.cells[pair][quantity]
            self.movements.append(Movement(pair, self.seq, self.now_ns, quantity, delta, balance, reason))
            del self.movements[: -self.limits.movements_remembered]

    # Places

    def serves(self, node: str, channel: str) -> bool:
        found = self.channels[channel]
        return found.all_nodes or node in found.node_keys

    def does(self, node: str, kind: FulfillmentKind) -> bool:
        found = self.nodes[node]
        return not found.closed and (found.ships if kind == FulfillmentKind.SHIP else found.offers_pickup)

    def region_of(self, postal_code: str) -> str:
        """The longest region key that the postal code starts with; empty: none."""
        return max((region for region in self.regions if postal_code.startswith(region)), key=len, default="")

    def zone(self, region: str, node: str) -> int:
        """Zone of a node seen from a region; 0: no lane."""
        found = self.nodes[node]
        origin = self.region_of(found.postal_code)
        pairs = list(zip(self.chart.pair_origins, self.chart.pair_destinations, self.chart.pair_zones, strict=True))
        for pair_origin, destination, zone in reversed(pairs):
            if (pair_origin, destination) == (origin, region):
                return zone
        metres = self.metres(region, found)
        return 1 + sum(metres > band for band in self.chart.band_metres)

    def metres(self, region: str, node: Node) -> float:
        """From the centre of a region to a node."""
        centre = next(each for each in self.chart.regions if each.region_key == region)
        return _metres(centre.latitude, centre.longitude, node.latitude, node.longitude)

    def carrier(self, service: str, zone: int, grams: int) -> int | None:
        """Price of a package; ``None`` where the service does not go."""
        card = self.rate_cards[service]
        if not 1 <= zone <= card.zone_count:
            return None
        steps = len(card.step_grams)
        prices = card.price_micros[(zone - 1) * steps : zone * steps]
        offered = [(bound, price) for bound, price in zip(card.step_grams, prices, strict=True) if price >= 0]
        if not offered:
            return None
        heaviest, full_price = offered[-1]
        full, rest = (0, grams) if grams <= heaviest else divmod(grams, heaviest)
        if full and not rest:
            return full * full_price
        return full * full_price + next(price for bound, price in offered if rest <= bound)


@cache
def _metres(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    north, east = radians(other_latitude - latitude) / 2, radians(other_longitude - longitude) / 2
    chord = sin(north) ** 2 + cos(radians(latitude)) * cos(radians(other_latitude)) * sin(east) ** 2
    return 2 * EARTH_RADIUS_METRES * asin(sqrt(min(chord, 1.0)))
