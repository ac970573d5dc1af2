"""What callers ask. Validated at the border: a command that exists is well-formed; whether it fits is the core's to say.

Keys are text here, exactly as the caller wrote them; the core turns them into indexes. ``fingerprint`` is a 64-bit hash of the
body, so that a reused request id with another body is seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from engine.model.claims import Claim, ClaimArrays, ClaimColumns, Lines, Numbers
from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import ReceivedItem
from engine.model.outcomes import Quantity, RejectReason, StockReason

__all__ = [
    "Claim",
    "ClaimArrays",
    "ClaimColumns",
    "Lines",
    "Numbers",
]  # of another module, and part of what commands say

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


@dataclass(frozen=True, slots=True, eq=False)
class BatchAdjustStock(Command):
    """Columns of equal length; those of nodes and differences may have one entry for all rows. Of keys and indexes one column is empty each;
    indexes are known to exist.
    """

    sku_keys: Sequence[str]
    sku_indexes: Numbers
    node_keys: Sequence[str]
    node_indexes: Numbers
    delta_units: Numbers
    quantity: Quantity
    reason: StockReason
    reference: str = ""
    all_or_nothing: bool = False


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


@dataclass(frozen=True, slots=True, eq=False)
class ImportStock(Command):
    """Columns of equal length; that of nodes may have one entry for all rows, ``safety_stock_units`` may be empty (−1: leave). Of keys and
    indexes one column is empty each; indexes are known to exist.
    """

    sku_keys: Sequence[str]
    node_keys: Sequence[str]
    on_hand_units: Numbers
    safety_stock_units: Numbers = ()
    source_key: str = ""
    source_seq: int = 0
    all_or_nothing: bool = False
    reference: str = ""
    sku_indexes: Numbers = ()
    node_indexes: Numbers = ()

    @property
    def row_count(self) -> int:
        """Rows."""
        return len(self.on_hand_units)


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


@dataclass(frozen=True, slots=True)
class Reserve(Command):
    claim: Claim


@dataclass(frozen=True, slots=True)
class BatchReserve(Command):
    claims: ClaimColumns | ClaimArrays
    all_or_nothing: bool = False


@dataclass(frozen=True, slots=True)
class ExtendReservation(Command):
    reservation_id: int
    ttl_ns: int


@dataclass(frozen=True, slots=True)
class ReleaseReservation(Command):
    reservation_id: int


@dataclass(frozen=True, slots=True, eq=False)
class BatchRelease(Command):
    """Reservations of a channel end."""

    channel_key: str
    reservation_ids: Numbers


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


@dataclass(frozen=True, slots=True, eq=False)
class BatchCommit(Command):
    """Columns of equal length: reservations that become orders with these keys. ``customer_keys`` may be empty."""

    channel_key: str
    reservation_ids: Numbers
    order_keys: Sequence[str]
    customer_keys: Sequence[str] = ()


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
