"""What callers are told. Replies of commands are journaled, so a repeated request gets its first answer byte for byte.

Every reply starts with ``outcome`` and ``subject`` (the key, id or limit that the outcome speaks of). SKUs, nodes, channels and
services are dense indexes; ``pool.Names`` gives their keys.
"""

from typing import Any, NamedTuple, Protocol

from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import CommandKind, FulfillmentKind, Outcome, Quantity, ReservationState, StockReason
from engine.model.prices import PricePlan


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
    units. ``subjects``: (item, key) for items refused for an unknown key.
    """

    outcome: Outcome
    subject: str = ""
    columns: bytes = b""
    subjects: tuple[tuple[int, str], ...] = ()


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


# Answers of queries: never journaled.


class SkuAvailability(NamedTuple):
    """``sku_index`` −1 and ``outcome`` UNKNOWN_SKU for an unknown key; ``cells`` only where asked for."""

    sku_key: str
    outcome: Outcome
    sku_index: int
    ats_units: int
    cells: tuple[Cell, ...]


class AvailabilityAnswer(NamedTuple):
    outcome: Outcome
    subject: str = ""
    availabilities: tuple[SkuAvailability, ...] = ()


class ShipOption(NamedTuple):
    service_index: int
    available: bool
    cost: Cost
    legs: tuple[Leg, ...]
    ship_day: int = 0
    """Local day on which the last package leaves; 0: not known of every package."""
    arrival_day: int = 0
    """Day on which the last package arrives; 0: not known of every package."""


class PickupOption(NamedTuple):
    node_index: int
    distance_metres: int
    available: bool = True
    ready_ns: int = 0
    """When everything can be collected; 0: not known."""
    ready_day: int = 0
    """The local day of it, whose capacity the order takes; 0: not known."""


class StoreOption(NamedTuple):
    """Shipped to a store, where the buyer collects it."""

    node_index: int
    distance_metres: int
    shipped: ShipOption


class OptionsAnswer(NamedTuple):
    outcome: Outcome
    subject: str = ""
    ship_options: tuple[ShipOption, ...] = ()
    pickup_options: tuple[PickupOption, ...] = ()
    shortages: tuple[Shortage, ...] = ()
    store_options: tuple[StoreOption, ...] = ()


class ReservationAnswer(NamedTuple):
    outcome: Outcome
    subject: str = ""
    reservation_id: int = 0
    state: ReservationState = ReservationState.HELD
    channel_index: int = -1
    kind: FulfillmentKind = FulfillmentKind.SHIP
    created_ns: int = 0
    expires_ns: int = 0
    legs: tuple[Leg, ...] = ()
    due_day: int = 0


class OrderAnswer(NamedTuple):
    outcome: Outcome
    subject: str = ""
    order: Order | None = None


class FulfillmentOrdersAnswer(NamedTuple):
    """``order_keys`` goes along ``fulfillment_orders``; ``more``: another page follows."""

    outcome: Outcome
    subject: str = ""
    fulfillment_orders: tuple[FulfillmentOrder, ...] = ()
    order_keys: tuple[str, ...] = ()
    more: bool = False


class OwnersAnswer(NamedTuple):
    """The channels of a reservation and of an order, the node of a fulfillment order; −1 where there is none or it is forgotten."""

    outcome: Outcome
    subject: str = ""
    reservation_channel_index: int = -1
    order_channel_index: int = -1
    node_index: int = -1


class MovementRow(NamedTuple):
    """``position`` in the ring, for paging; request id and reference are in the journal at ``seq``."""

    position: int
    seq: int
    time_ns: int
    quantity: Quantity
    delta_units: int
    balance_units: int
    reason: StockReason


class MovementsAnswer(NamedTuple):
    outcome: Outcome
    subject: str = ""
    movements: tuple[MovementRow, ...] = ()
    more: bool = False


class CellPrice(NamedTuple):
    """``demand_1024ths``: expected walk-in units until the next receipt, in 1/1024."""

    sku_index: int
    node_index: int
    price_micros: int
    demand_1024ths: int


class PricesAnswer(NamedTuple):
    """``price_plan`` is ``None``, and ``age_ns`` 0, as long as no plan is complete."""

    outcome: Outcome
    subject: str = ""
    cells: tuple[CellPrice, ...] = ()
    price_plan: PricePlan | None = None
    age_ns: int = 0


class EntriesAnswer(NamedTuple):
    """``entries``: records of ``model.network``; ``next_after``: index to go on after, −1 on the last page."""

    outcome: Outcome
    subject: str = ""
    entries: tuple[Any, ...] = ()
    next_after: int = -1


class StatusAnswer(NamedTuple):
    """``report``: ``queries.Status``, ``queries.AuditReport``, or what a ``queries.Look`` took. ``price_plan``: of GetStatus alone."""

    outcome: Outcome
    subject: str = ""
    report: Any = None
    price_plan: PricePlan | None = None
    price_age_ns: int = 0


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
}
"""The one reply type of each command, whatever its outcome."""
