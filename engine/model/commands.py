"""What callers ask. Validated at the border: a command that exists is well-formed; whether it fits is the core's to say.

Keys are text here, exactly as the caller wrote them; the core turns them into indexes. ``fingerprint`` is a 64-bit hash of the
body, so that a reused request id with another body is seen.
"""

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
    """A request that may change state."""

    request_id: str
    fingerprint: int


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
    policy: RoutingPolicy


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


class Claim(NamedTuple):
    """What to hold or to order: ``postal_code`` for shipping, ``pickup_node_key`` for pickup. ``service_key`` "": the policy's.

    A tuple, for a batch makes a thousand of them: a frozen dataclass takes three times as long to make.
    """

    channel_key: str
    lines: Lines
    kind: FulfillmentKind
    postal_code: str = ""
    pickup_node_key: str = ""
    service_key: str = ""
    allow_partial: bool = False
    ttl_ns: int = 0


@dataclass(frozen=True, slots=True)
class Reserve(Command):
    claim: Claim


@dataclass(frozen=True, slots=True)
class BatchReserve(Command):
    claims: tuple[Claim, ...]
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
