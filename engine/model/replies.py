"""What callers are told. Replies of commands are journaled, so a repeated request gets its first answer byte for byte.

Every reply starts with ``outcome`` and ``subject`` (the key, id or limit that the outcome speaks of). SKUs, nodes, channels and
services are dense indexes; ``pool.Names`` gives their keys.
"""

from typing import Any, NamedTuple, Protocol

from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import CommandKind, FulfillmentKind, Outcome


class Reply(Protocol):
    """What all replies share."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def subject(self) -> str: ...


class Cell(NamedTuple):
    """All quantities of one SKU at one node, in units."""

    sku_index: int
    node_index: int
    atf: int
    on_hand: int
    damaged: int
    quality_control: int
    display: int
    in_return: int
    reserved: int
    allocated: int
    safety_stock: int
    incoming: int


class Leg(NamedTuple):
    """Units of a request's line that come from one node."""

    line_index: int
    sku_index: int
    node_index: int
    units: int


class Shortage(NamedTuple):
    """A line that did not get everything."""

    line_index: int
    sku_index: int
    requested_units: int
    available_units: int


class Cost(NamedTuple):
    """What a plan costs, in micros."""

    total: int
    carrier: int
    handling: int
    split_penalty: int
    package_count: int
    exact: bool
    lateness: int = 0
    """What the days behind the promised one count for."""


class Plain(NamedTuple):
    """Nothing but the outcome: puts, receipts, releases, and every refusal that has nothing more to say."""

    outcome: Outcome
    subject: str = ""


class PolicyReply(NamedTuple):
    """PutRoutingPolicy, ActivateRoutingPolicy: the version that was put, or is now in force."""

    outcome: Outcome
    subject: str = ""
    version: int = 0


class StockReply(NamedTuple):
    """AdjustStock, SetStock: the cell after the decision, or as it is when refused; ``None`` for unknown keys."""

    outcome: Outcome
    subject: str = ""
    cell: Cell | None = None


class SaleReply(NamedTuple):
    """RecordSale: cells whose ATF is below zero afterwards."""

    outcome: Outcome
    subject: str = ""
    shortages: tuple[Cell, ...] = ()


class RowRefusal(NamedTuple):
    """A row of an import message, from 0, that did not go in."""

    row_index: int
    outcome: Outcome
    subject: str


class ImportReply(NamedTuple):
    """ImportStock, one message of the stream."""

    outcome: Outcome
    subject: str = ""
    row_count: int = 0
    applied_count: int = 0
    refusals: tuple[RowRefusal, ...] = ()


class ReserveReply(NamedTuple):
    """Reserve. ``legs`` and ``cost`` only when units are held (``cost`` for shipping alone)."""

    outcome: Outcome
    subject: str = ""
    reservation_id: int = 0
    channel_index: int = -1
    kind: FulfillmentKind = FulfillmentKind.SHIP
    created_ns: int = 0
    expires_ns: int = 0
    legs: tuple[Leg, ...] = ()
    cost: Cost | None = None
    shortages: tuple[Shortage, ...] = ()
    due_day: int = 0
    """Day by which the buyer was promised arrival; 0: none."""


class BatchReserveReply(NamedTuple):
    """BatchReserve. ``columns``: little-endian int64, item by item: outcome, reservation id, expires_ns, line index, available
    units. ``subjects``: (item, key) for items refused for an unknown key. ``packed``: instead of ``columns``, where it is stored.
    """

    outcome: Outcome
    subject: str = ""
    columns: bytes = b""
    subjects: tuple[tuple[int, str], ...] = ()
    packed: bytes = b""


class BatchReply(NamedTuple):
    """BatchRelease, BatchAdjustStock, BatchCommit. ``columns`` and ``packed`` as in ``BatchReserveReply``; item by item the outcome, and of an
    adjustment the quantity afterwards, of a commit the order's id. The other three columns are 0.
    """

    outcome: Outcome
    subject: str = ""
    columns: bytes = b""
    packed: bytes = b""


class ExtendReply(NamedTuple):
    """ExtendReservation."""

    outcome: Outcome
    subject: str = ""
    expires_ns: int = 0


class OrderReply(NamedTuple):
    """PlaceOrder, IngestOrder, ReleaseOrder, CancelOrder. ``existing_order_id`` with DUPLICATE_ORDER."""

    outcome: Outcome
    subject: str = ""
    order: Order | None = None
    cost: Cost | None = None
    shortages: tuple[Shortage, ...] = ()
    existing_order_id: int = 0


class RerouteReply(NamedTuple):
    """RerouteOrder. ``orders``: as they now are. ``saving_micros``: of those that stood where they could be served from; 0 when nothing moved."""

    outcome: Outcome
    subject: str = ""
    orders: tuple[Order, ...] = ()
    moved: bool = False
    saving_micros: int = 0


class FulfillmentReply(NamedTuple):
    """Accept, Reject, Ship, MarkReady, HandOver. ``replacements`` and ``shortages`` with Reject. ``order_key`` of the order."""

    outcome: Outcome
    subject: str = ""
    fulfillment_order: FulfillmentOrder | None = None
    order_key: str = ""
    replacements: tuple[FulfillmentOrder, ...] = ()
    shortages: tuple[Shortage, ...] = ()


class ReturnReply(NamedTuple):
    """AuthorizeReturn, ReceiveReturn."""

    outcome: Outcome
    subject: str = ""
    goods: Return | None = None


class PricesReply(NamedTuple):
    """SetPrices: rows that came, cells of them that there are, and cells that changed."""

    outcome: Outcome
    subject: str = ""
    row_count: int = 0
    cell_count: int = 0
    changed_count: int = 0


REPLY_OF: dict[CommandKind, type[Any]] = {
    CommandKind.EXPIRE: Plain,
    CommandKind.PUT_NODES: Plain,
    CommandKind.PUT_SKUS: Plain,
    CommandKind.PUT_CHANNELS: Plain,
    CommandKind.PUT_RATE_CARD: Plain,
    CommandKind.PUT_ZONE_CHART: Plain,
    CommandKind.PUT_ROUTING_POLICY: PolicyReply,
    CommandKind.ADJUST_STOCK: StockReply,
    CommandKind.SET_STOCK: StockReply,
    CommandKind.RECEIVE_STOCK: Plain,
    CommandKind.RECORD_SALE: SaleReply,
    CommandKind.IMPORT_STOCK: ImportReply,
    CommandKind.RESERVE: ReserveReply,
    CommandKind.BATCH_RESERVE: BatchReserveReply,
    CommandKind.EXTEND_RESERVATION: ExtendReply,
    CommandKind.RELEASE_RESERVATION: Plain,
    CommandKind.PLACE_ORDER: OrderReply,
    CommandKind.INGEST_ORDER: OrderReply,
    CommandKind.CANCEL_ORDER: OrderReply,
    CommandKind.ACCEPT: FulfillmentReply,
    CommandKind.REJECT: FulfillmentReply,
    CommandKind.SHIP: FulfillmentReply,
    CommandKind.MARK_READY: FulfillmentReply,
    CommandKind.HAND_OVER: FulfillmentReply,
    CommandKind.AUTHORIZE_RETURN: ReturnReply,
    CommandKind.RECEIVE_RETURN: ReturnReply,
    CommandKind.SET_PRICES: PricesReply,
    CommandKind.ACTIVATE_ROUTING_POLICY: PolicyReply,
    CommandKind.RELEASE_ORDER: OrderReply,
    CommandKind.REROUTE_ORDER: RerouteReply,
    CommandKind.BATCH_RELEASE: BatchReply,
    CommandKind.BATCH_ADJUST_STOCK: BatchReply,
    CommandKind.BATCH_COMMIT: BatchReply,
}
"""The one reply type of each command, whatever its outcome."""
