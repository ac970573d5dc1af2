"""The words of a scenario: a network, opening stock, and the calls that happen on it, in order of time.

Two makers speak them: ``sample`` invents days by seed, ``pack`` reads a folder of real orders. The player needs nothing else.

Everything is reproducible: the same seed (and pack) gives the same scenario, call for call. Chance never happens while playing: what
a node will reject, who abandons a basket and what comes back is written into the calls.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND
MICROS = 1_000_000
LINES_PER_ORDER_MAX = 10
"""Lines that one order may have (a till sale may have more); larger baskets come as several calls, see ``Order.part``."""


class NodeKind(StrEnum):
    """What kind of place a node is."""

    STORE = "store"
    WAREHOUSE = "warehouse"


class Kind(StrEnum):
    """Who calls, and so which calls an order becomes."""

    POS = "pos"
    """A till sale: a fact, with a node."""
    PICKUP = "pickup"
    """Bought on the web, collected at the node."""
    SHIP = "ship"
    """Bought on the web, sent to the postal code."""
    MARKETPLACE = "marketplace"
    """Sold elsewhere, sent to the postal code: a fact."""


class RejectReason(StrEnum):
    """Why the first node rejects its work; the contract's words in lower case."""

    NOT_IN_STOCK = "not_in_stock"
    MISMATCH = "mismatch"
    DAMAGED = "damaged"
    WORN_DISPLAY = "worn_display"
    TOO_BUSY = "too_busy"
    CLOSED = "closed"


class Disposition(StrEnum):
    """What becomes of returned units; the contract's words in lower case."""

    RESTOCK = "restock"
    REFURBISH = "refurbish"
    QUARANTINE = "quarantine"
    RETURN_TO_VENDOR = "return_to_vendor"
    SCRAP = "scrap"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Node:
    """A place that holds stock. Degrees; costs in micros."""

    node_key: str
    name: str
    kind: NodeKind
    latitude: float
    longitude: float
    postal_code: str
    ships: bool
    offers_pickup: bool
    accepts_returns: bool
    package_cost_micros: int
    unit_cost_micros: int


@dataclass(frozen=True, slots=True)
class Sku:
    """What is sold and counted."""

    sku_key: str
    title: str
    weight_grams: int
    unit_value_micros: int


@dataclass(frozen=True, slots=True)
class Channel:
    """Where demand comes from; sells the stock of all nodes. ``threshold_units`` of each SKU it never sees."""

    channel_key: str
    name: str
    threshold_units: int
    policy_key: str


@dataclass(frozen=True, slots=True)
class RoutingPolicy:
    """The weights of the cost of routing."""

    policy_key: str
    split_penalty_micros: int
    allow_unit_split: bool
    default_service_key: str


@dataclass(frozen=True, slots=True)
class RateCard:
    """Prices of one carrier service: ``price_micros`` int64[zones, steps], zone 1 first; ``step_grams`` int64[steps] ascending."""

    service_key: str
    step_grams: NDArray[np.int64]
    price_micros: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ZoneChart:
    """Which zone a package travels, from node to region of destination.

    Regions are three-digit ZIP prefixes with centroids (degrees, float64[regions]). ``band_metres`` int64[zones - 1] are the upper bounds
    of zones 1, 2, … by distance. Exact pairs come first where there are any: indexes into the regions (int32[pairs]) and zones
    (int32[pairs]).
    """

    region_keys: tuple[str, ...]
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    band_metres: NDArray[np.int64]
    pair_origins: NDArray[np.int32]
    pair_destinations: NDArray[np.int32]
    pair_zones: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class StockColumns:
    """Opening stock of many cells, as columns of equal length; units int64[n]."""

    sku_keys: list[str]
    node_keys: list[str]
    on_hand_units: NDArray[np.int64]
    safety_stock_units: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.sku_keys)


@dataclass(frozen=True, slots=True)
class OrderLine:
    """A line of an order; a SKU occurs once in an order."""

    sku_key: str
    units: int
    unit_price_micros: int


@dataclass(frozen=True, slots=True)
class Order:
    """A buyer calls.

    ``at_ns`` counts from midnight of the scenario's first day. ``node_key`` is set for POS and PICKUP, ``postal_code`` and ``service_key``
    for SHIP and MARKETPLACE; what is not set is empty.

    What will happen to it:

    * ``rejects``: the first node that gets the work rejects it for this reason.
    * ``abandons``: the shopper reserves and never buys. Such a call is no order: it comes on top of them and is not in
      ``Scenario.order_counts``.
    * ``cancels``: the order is cancelled before any node accepts it.
    * ``returns``: at least one ``Return`` with this key follows.
    * ``part``: 0; 1, 2, … are further calls of a basket with more than ``LINES_PER_ORDER_MAX`` lines, with keys of their own. They are
      not in ``Scenario.order_counts`` either.
    """

    kind: Kind
    channel_key: str
    order_key: str
    at_ns: int
    node_key: str
    postal_code: str
    service_key: str
    customer_key: str
    lines: tuple[OrderLine, ...]
    rejects: RejectReason | None = None
    abandons: bool = False
    cancels: bool = False
    returns: bool = False
    part: int = 0


@dataclass(frozen=True, slots=True)
class ReturnLine:
    """Units that come back. ``line_index`` is the line of the order, -1 when there is no order."""

    line_index: int
    sku_key: str
    units: int
    disposition: Disposition


@dataclass(frozen=True, slots=True)
class Return:
    """Goods come back, after the order they belong to; ``order_key`` is empty for a receipt only.

    Brought to ``node_key``, or sent by parcel from ``postal_code``; the other one is empty. Where the order was refused or cancelled there
    is nothing to give back, and the call is to be left out.
    """

    channel_key: str
    return_key: str
    order_key: str
    at_ns: int
    node_key: str
    postal_code: str
    lines: tuple[ReturnLine, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """Goods arrive at a node: at most 1,000 lines of (SKU key, units)."""

    node_key: str
    reference: str
    at_ns: int
    lines: tuple[tuple[str, int], ...]


Call: TypeAlias = Order | Return | Receipt


@dataclass(frozen=True, slots=True)
class Scenario:
    """A network, its opening stock, and days of calls.

    ``order_counts`` says how many orders each day has (``part`` 0, not abandoned), for totals and progress; a day may have none.
    ``cell_count`` is the number of rows of the opening stock. Days are made when they are asked for.
    """

    name: str
    seed: int
    currency_code: str
    first_day: date
    nodes: tuple[Node, ...]
    skus: tuple[Sku, ...]
    channels: tuple[Channel, ...]
    policies: tuple[RoutingPolicy, ...]
    rate_cards: tuple[RateCard, ...]
    zone_chart: ZoneChart
    order_counts: tuple[int, ...]
    cell_count: int
    make_opening: Callable[[int], Iterator[StockColumns]]
    make_day: Callable[[int], Sequence[Call]]

    def opening(self, row_max: int = 20_000) -> Iterator[StockColumns]:
        """Opening stock, each cell once, in columns of at most ``row_max`` rows (what one message of an import takes)."""
        return self.make_opening(row_max)

    def day(self, index: int) -> Sequence[Call]:
        """The calls of a day (0 is the first) in order of time."""
        if not 0 <= index < len(self.order_counts):
            raise IndexError(f"the scenario has days 0 to {len(self.order_counts) - 1}, not {index}")
        return self.make_day(index)

    def calls(self, day_count: int | None = None) -> Iterator[Call]:
        """The calls of the first ``day_count`` days (all, when None) in order of time; a day at a time is in memory."""
        count = len(self.order_counts) if day_count is None else min(day_count, len(self.order_counts))
        for index in range(count):
            yield from self.make_day(index)

    def order_count(self, day_count: int | None = None) -> int:
        """Orders in the first ``day_count`` days (all, when None)."""
        return sum(self.order_counts[:day_count])
