"""What callers ask. Validated at the border: a command that exists is well-formed; whether it fits is the core's to say.

Keys are text here, exactly as the caller wrote them; the core turns them into indexes. ``fingerprint`` is a 64-bit hash of the
body, so that a reused request id with another body is seen.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import ReceivedItem
from engine.model.outcomes import FulfillmentKind, Quantity, RejectReason, StockReason

Lines = tuple[tuple[str, int], ...]
"""(SKU key, units) a line."""
PricedLines = tuple[tuple[str, int, int], ...]
"""(SKU key, units, unit price in micros) a line."""


@dataclass(frozen=True, slots=True)
class Command:
    """A request that may change state. ``age_ns``: how long ago it was first sent, by its sender; 0: just now."""

    request_id: str
    fingerprint: int
    age_ns: int = field(default=0, kw_only=True, compare=False)


class TooOld(Exception):
    """Raised by deciding: the request was first sent so long ago that it may have been decided and forgotten. It was not decided now."""

    def __init__(self, age_ns: int) -> None:
        super().__init__(f"first sent {age_ns} ns ago")
        self.age_ns = age_ns


class Malformed(Exception):
    """Raised by deciding: the border took the command for well-formed, but what it was held against has changed meanwhile.

    Nothing is decided, hence nothing sticks to the request id: the answer is the one that the border gives from now on. ``field`` is a
    path in the command, and in the request.
    """

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


@dataclass(frozen=True, slots=True)
class PutNodes(Command):
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class PutSkus(Command):
    skus: tuple[Sku, ...]


@dataclass(frozen=True, slots=True)
class PutChannels(Command):
    channels: tuple[Channel, ...]


@dataclass(frozen=True, slots=True)
class PutRateCard(Command):
    rate_card: RateCard


@dataclass(frozen=True, slots=True)
class PutZoneChart(Command):
    zone_chart: ZoneChart


@dataclass(frozen=True, slots=True)
class PutRoutingPolicy(Command):
    """``policy.draft``: not in force yet. Its ``version`` is for the core to give."""

    policy: RoutingPolicy


@dataclass(frozen=True, slots=True)
class ActivateRoutingPolicy(Command):
    """``version`` 0: whichever the draft has."""

    policy_key: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class AdjustStock(Command):
    sku_key: str
    node_key: str
    quantity: Quantity
    delta_units: int
    reason: StockReason
    reference: str = ""


@dataclass(frozen=True, slots=True)
class SetStock(Command):
    """``None`` leaves a quantity unchanged; ``source_key`` empty: no feed speaks."""

    sku_key: str
    node_key: str
    on_hand_units: int | None = None
    safety_stock_units: int | None = None
    expected_on_hand_units: int | None = None
    source_key: str = ""
    source_seq: int = 0
    reason: StockReason = StockReason.COUNT
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ReceiveStock(Command):
    node_key: str
    lines: Lines
    reference: str = ""


@dataclass(frozen=True, slots=True)
class RecordSale(Command):
    node_key: str
    channel_key: str
    lines: Lines
    reference: str = ""


@dataclass(frozen=True, slots=True)
class ImportStock(Command):
    """Columns of equal length; ``node_keys`` may have one entry for all rows, ``safety_stock_units`` may be empty (−1: leave)."""

    sku_keys: tuple[str, ...]
    node_keys: tuple[str, ...]
    on_hand_units: tuple[int, ...]
    safety_stock_units: tuple[int, ...] = ()
    source_key: str = ""
    source_seq: int = 0
    all_or_nothing: bool = False
    reference: str = ""


@dataclass(frozen=True, slots=True)
class SetPrices(Command):
    """What planning says of cells: columns of equal length. ``complete``: this is the last part of the plan, which now is in force."""

    plan_key: str
    sku_keys: tuple[str, ...]
    node_keys: tuple[str, ...]
    price_micros: tuple[int, ...]
    demand_1024ths: tuple[int, ...]
    """Units that walk-ins are expected to want until the next receipt, in 1/1024."""
    complete: bool = False


class Claim(NamedTuple):
    """What to hold or to order: ``postal_code`` for shipping, or ``store_key`` for shipping to a store at which the buyer collects;
    ``pickup_node_key`` for pickup of what the store has. ``service_key`` "": the policy's.

    A tuple, for every call makes one: a frozen dataclass takes three times as long to make.
    """

    channel_key: str
    lines: Lines
    kind: FulfillmentKind
    postal_code: str = ""
    pickup_node_key: str = ""
    service_key: str = ""
    allow_partial: bool = False
    ttl_ns: int = 0
    due_day: int = 0
    """Day (since 1970-01-01) by which the buyer was promised arrival; 0: none, and for pickup."""
    store_key: str = ""


@dataclass(frozen=True, slots=True)
class Reserve(Command):
    claim: Claim


@dataclass(frozen=True, slots=True)
class ClaimColumns:
    """Many claims, a column for each property: a batch of a thousand is judged without an object for each.

    ``places``: the postal code of a shipped claim, the node key of a collected one. ``line_counts`` says how many of ``sku_keys``
    and ``units``, which have an entry a line, belong to each claim.
    """

    channel_keys: list[str]
    kinds: list[int]
    places: list[str]
    service_keys: list[str]
    allow_partial: list[bool]
    ttl_ns: list[int]
    line_counts: list[int]
    sku_keys: list[str]
    units: list[int]
    due_days: list[int]
    store_keys: list[str]

    @classmethod
    def of(cls, claims: Iterable[Claim]) -> "ClaimColumns":
        """The columns of claims."""
        rows = list(claims)
        return cls(
            [claim.channel_key for claim in rows],
            [int(claim.kind) for claim in rows],
            [claim.pickup_node_key if claim.kind == FulfillmentKind.PICKUP else claim.postal_code for claim in rows],
            [claim.service_key for claim in rows],
            [claim.allow_partial for claim in rows],
            [claim.ttl_ns for claim in rows],
            [len(claim.lines) for claim in rows],
            [sku_key for claim in rows for sku_key, _ in claim.lines],
            [units for claim in rows for _, units in claim.lines],
            [claim.due_day for claim in rows],
            [claim.store_key for claim in rows],
        )

    def __len__(self) -> int:
        return len(self.kinds)

    def __iter__(self) -> Iterator[Claim]:
        first = 0
        for item, count in enumerate(self.line_counts):
            yield self.claim(item, first)
            first += count

    def claim(self, item: int, first_line: int) -> Claim:
        """One of them, whose lines begin at ``first_line``."""
        kind, place = FulfillmentKind(self.kinds[item]), self.places[item]
        span = slice(first_line, first_line + self.line_counts[item])
        return Claim(
            self.channel_keys[item],
            tuple(zip(self.sku_keys[span], self.units[span], strict=True)),
            kind,
            place if kind == FulfillmentKind.SHIP else "",
            place if kind == FulfillmentKind.PICKUP else "",
            self.service_keys[item],
            self.allow_partial[item],
            self.ttl_ns[item],
            self.due_days[item],
            self.store_keys[item],
        )


@dataclass(frozen=True, slots=True)
class BatchReserve(Command):
    claims: ClaimColumns
    all_or_nothing: bool = False


@dataclass(frozen=True, slots=True)
class ExtendReservation(Command):
    reservation_id: int
    ttl_ns: int


@dataclass(frozen=True, slots=True)
class ReleaseReservation(Command):
    reservation_id: int


@dataclass(frozen=True, slots=True)
class PlaceOrder(Command):
    """``reservation_id`` 0: directly, by ``claim``; else ``claim`` is ``None``, ``lines`` may be empty (everything held), and
    ``postal_code`` may complete the address within the reservation's region.
    """

    channel_key: str
    order_key: str
    customer_key: str
    lines: PricedLines
    reservation_id: int = 0
    claim: Claim | None = None
    postal_code: str = ""


@dataclass(frozen=True, slots=True)
class IngestOrder(Command):
    """A fact: sold elsewhere."""

    order_key: str
    customer_key: str
    lines: PricedLines
    claim: Claim


@dataclass(frozen=True, slots=True)
class ReleaseOrder(Command):
    """Route its short units again, and end its hold."""

    order_id: int


class Move(NamedTuple):
    """An order whose floating work is to go elsewhere: work that is shipped and that no node has begun."""

    order_id: int
    work_ids: tuple[int, ...] = ()
    """The floating work that the proposal was made for; empty: whatever floats."""
    legs: tuple[tuple[str, str, int], ...] = ()
    """(SKU key, node key, units) of all that floats, as it is proposed; empty: the router chooses."""


@dataclass(frozen=True, slots=True)
class RerouteOrder(Command):
    """Move the floating work of these orders, all of it or none. ``saving_micros_min``: what that must save, all orders together."""

    moves: tuple[Move, ...]
    saving_micros_min: int = 0


@dataclass(frozen=True, slots=True)
class CancelOrder(Command):
    """``lines``: (line index, units); empty: everything that is open."""

    order_id: int
    lines: tuple[tuple[int, int], ...] = ()
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Accept(Command):
    fulfillment_order_id: int


@dataclass(frozen=True, slots=True)
class Reject(Command):
    fulfillment_order_id: int
    reason: RejectReason


@dataclass(frozen=True, slots=True)
class Ship(Command):
    fulfillment_order_id: int
    tracking: str = ""


@dataclass(frozen=True, slots=True)
class MarkReady(Command):
    fulfillment_order_id: int


@dataclass(frozen=True, slots=True)
class HandOver(Command):
    fulfillment_order_id: int


@dataclass(frozen=True, slots=True)
class AuthorizeReturn(Command):
    """``lines``: (order line index, SKU key, units); the SKU key speaks when ``order_id`` is 0. Either ``postal_code`` (the node is
    chosen) or ``drop_off_node_key``.
    """

    channel_key: str
    order_id: int
    lines: tuple[tuple[int, str, int], ...]
    postal_code: str = ""
    drop_off_node_key: str = ""
    service_key: str = ""


@dataclass(frozen=True, slots=True)
class ReceiveReturn(Command):
    """``node_key`` empty: the expected node."""

    return_id: int
    node_key: str
    items: tuple[ReceivedItem, ...] = field(default=())
