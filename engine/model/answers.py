"""What callers are told who asked something: never journaled. SKUs, nodes, channels and services are dense indexes, as in ``replies``."""

from typing import Any, NamedTuple

from engine.model.orders import FulfillmentOrder, Order
from engine.model.outcomes import FulfillmentKind, Outcome, Quantity, ReservationState, StockReason
from engine.model.prices import PricePlan
from engine.model.replies import Cell, Cost, Leg, Shortage


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


class IndexesAnswer(NamedTuple):
    """An index a key, −1 for an unknown one; ``directory``: see ``pool.Names``."""

    outcome: Outcome
    subject: str = ""
    directory: str = ""
    sku_indexes: tuple[int, ...] = ()
    node_indexes: tuple[int, ...] = ()


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
