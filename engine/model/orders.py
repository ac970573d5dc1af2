"""Orders, fulfillment orders and returns as journaled. SKUs, nodes, channels, services and regions are dense indexes here."""

from typing import NamedTuple

from engine.model.outcomes import (
    CommandKind,
    Disposition,
    FulfillmentKind,
    FulfillmentState,
    OrderState,
    RejectReason,
    ReturnState,
)

OPEN_ORDER_STATES = frozenset(
    {OrderState.ROUTED, OrderState.BACKORDERED, OrderState.IN_FULFILLMENT, OrderState.ON_HOLD}
)
OPEN_WORK_STATES = frozenset({FulfillmentState.OPEN, FulfillmentState.ACCEPTED, FulfillmentState.READY_FOR_PICKUP})
ON_THE_WAY_STATES = frozenset({FulfillmentState.SHIPPED, FulfillmentState.ARRIVED})
"""Of parcels to a store: their buyers do not have them yet."""
OPEN_RETURN_STATES = frozenset({ReturnState.AUTHORISED, ReturnState.PARTLY_RECEIVED})
"""Who leaves these states never comes back to them."""


class OrderLine(NamedTuple):
    """units = allocated + fulfilled + cancelled + short."""

    sku_index: int
    units: int
    unit_price_micros: int
    allocated_units: int = 0
    fulfilled_units: int = 0
    cancelled_units: int = 0
    short_units: int = 0
    returned_units: int = 0

    @property
    def open_units(self) -> int:
        """Units that have neither left nor been cancelled."""
        return self.allocated_units + self.short_units


class Routing(NamedTuple):
    """How one plan of an order came about, kept with the order for as long as the order is. Costs in micros.

    Everything else of its explanation is computed again, from the state before the decision and with the code that decided.
    """

    seq: int
    """The decision that made the units firm."""
    kind: CommandKind
    """PLACE_ORDER, INGEST_ORDER, REJECT for what another node was asked to do instead, RELEASE_ORDER for units that waited, or REROUTE_ORDER
    for work that moved before a node began it."""
    total_micros: int = 0
    """What was minimised; 0 for pickup."""
    split_micros: int = 0
    """Split penalties in it."""
    package_count: int = 0
    exact: bool = False
    """Proven cheapest over all nodes."""
    rejected_id: int = 0
    """The fulfillment order whose units were routed again; 0: none."""
    reservation_id: int = 0
    """The reservation that had the plan made; 0: the decision itself did."""
    reserved_ns: int = 0
    """When it did."""
    proposed: bool = False
    """Which cells serve it was proposed from outside, by a wave; the decision found that they can, and what it costs."""
    late_micros: int = 0
    """Lateness in ``total_micros``."""


class Order(NamedTuple):
    """Demand made firm. ``region_index`` and ``service_index`` are −1 for pickup. ``pickup_node_index`` is the store at which the buyer collects,
    what it has or what is shipped to it; −1: it is shipped to the buyer.
    """

    order_id: int
    order_key: str
    channel_index: int
    kind: FulfillmentKind
    state: OrderState
    customer_key: str
    postal_code: str
    region_index: int
    pickup_node_index: int
    service_index: int
    lines: tuple[OrderLine, ...]
    fulfillment_order_ids: tuple[int, ...]
    placed_ns: int
    ingested: bool = False
    routings: tuple[Routing, ...] = ()
    """Of every plan that was made for it, in order; none for orders of versions that kept none."""
    on_hold: bool = False
    """A routing rule asked for a person to look at it: it gets no units until it is released."""
    promised_day: int = 0
    """Day (since 1970-01-01) by which the buyer was promised arrival; 0: none."""

    @property
    def is_open(self) -> bool:
        """Whether a unit can still leave or be cancelled."""
        return self.state in OPEN_ORDER_STATES

    @property
    def ships_to_store(self) -> bool:
        """Whether it is shipped to a store, where the buyer collects it."""
        return self.kind == FulfillmentKind.SHIP and self.pickup_node_index >= 0

    @property
    def short_units(self) -> int:
        """Units that no node has; none when the order is closed."""
        return sum([line.short_units for line in self.lines])


class FulfillmentLine(NamedTuple):
    """Units of an order's line that come from one cell of the node."""

    line_index: int
    sku_index: int
    slot: int
    units: int


class FulfillmentOrder(NamedTuple):
    """The work of one node for one order. Costs in micros; ``zone`` 0 for pickup."""

    fulfillment_order_id: int
    order_id: int
    node_index: int
    kind: FulfillmentKind
    state: FulfillmentState
    lines: tuple[FulfillmentLine, ...]
    carrier_micros: int
    handling_micros: int
    zone: int
    weight_grams: int
    created_ns: int
    updated_ns: int
    reject_reason: RejectReason = RejectReason.NONE
    tracking: str = ""
    ship_day: int = 0
    """Local day (since 1970-01-01) on which it leaves the node, or is ready for collection; 0: not known. It takes that day's capacity."""
    arrival_day: int = 0
    """Day on which it arrives; 0: not known."""
    ready_hour: int = 0
    """1 + the hour of ``ship_day`` in which it is ready for collection; 0: hours are not counted there. It takes that hour's capacity."""
    release_ns: int = 0
    """Until then its policy's grace period lets it float: the node is not asked yet; 0: it was asked at once."""
    store_node_index: int = -1
    """The store that its parcel goes to, to be collected there; −1: it goes to the buyer."""

    @property
    def floats(self) -> bool:
        """Whether another node may still do it: it is shipped, and nobody has begun."""
        return self.kind == FulfillmentKind.SHIP and self.state == FulfillmentState.OPEN

    @property
    def is_open(self) -> bool:
        """Whether its units are still allocated."""
        return self.state in OPEN_WORK_STATES


class ReturnLine(NamedTuple):
    """``order_line_index`` is −1 for a return without an order. ``slot`` is the cell where the units are expected."""

    order_line_index: int
    sku_index: int
    slot: int
    authorised_units: int
    received_units: int = 0
    restocked_units: int = 0

    @property
    def expected_units(self) -> int:
        """Units still on the road."""
        return self.authorised_units - self.received_units


class Return(NamedTuple):
    """Goods that come back. ``order_id`` 0: no order."""

    return_id: int
    order_id: int
    node_index: int
    state: ReturnState
    lines: tuple[ReturnLine, ...]
    cost_micros: int
    created_ns: int

    @property
    def is_open(self) -> bool:
        """Whether units are still on the road."""
        return self.state in OPEN_RETURN_STATES


class ReceivedItem(NamedTuple):
    """Units of a return's line that arrived, and what becomes of them."""

    line_index: int
    units: int
    disposition: Disposition
