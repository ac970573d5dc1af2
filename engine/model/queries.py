"""What callers want to know. Queries go through the writer too, so that an answer never shows what is not yet durable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.model.commands import Lines
from engine.model.outcomes import FulfillmentKind, FulfillmentState


@dataclass(frozen=True, slots=True)
class Query:
    """A request that changes nothing. ``min_journal_seq`` 0: the present will do."""

    min_journal_seq: int


@dataclass(frozen=True, slots=True)
class GetAvailability(Query):
    """``node_key`` empty: all nodes of the channel."""

    channel_key: str
    sku_keys: tuple[str, ...]
    kind: FulfillmentKind
    node_key: str = ""
    with_cells: bool = False


@dataclass(frozen=True, slots=True)
class GetIndexes(Query):
    """The dense indexes of keys."""

    sku_keys: tuple[str, ...]
    node_keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GetFulfillmentOptions(Query):
    channel_key: str
    lines: Lines
    postal_code: str
    pickup_store_max: int = 0
    due_day: int = 0
    """Day (since 1970-01-01) by which shipped goods should arrive; 0: any."""
    ship_to_store_max: int = 0
    """Nearest stores that are looked at for collecting what is shipped there."""


@dataclass(frozen=True, slots=True)
class GetReservation(Query):
    reservation_id: int


@dataclass(frozen=True, slots=True)
class GetOrder(Query):
    """``order_id`` 0: by channel and key."""

    order_id: int
    channel_key: str = ""
    order_key: str = ""


@dataclass(frozen=True, slots=True)
class ListFulfillmentOrders(Query):
    """``node_key`` empty or ``order_id`` 0: not filtered by it; ``after_id``: only ids above it (paging)."""

    node_key: str
    order_id: int
    states: tuple[FulfillmentState, ...]
    after_id: int
    limit: int
    with_unreleased: bool = True
    """Also work that floats in its grace period."""
    ship_to_node_key: str = ""
    """Instead of a node: work whose parcels go to this store, for orders that have not ended."""


@dataclass(frozen=True, slots=True)
class FindOwners(Query):
    """Whose a reservation, an order and a fulfillment order are, by their ids; 0: not asked."""

    reservation_id: int
    order_id: int
    fulfillment_order_id: int


@dataclass(frozen=True, slots=True)
class ListMovements(Query):
    """``before``: only ring positions below it, 0 for the newest (paging)."""

    sku_key: str
    node_key: str
    before: int
    limit: int


@dataclass(frozen=True, slots=True)
class GetEntry(Query):
    """One entry of the network. ``kind``: "node", "sku", "channel", "rate_card", "zone_chart", "policy"."""

    kind: str
    key: str


@dataclass(frozen=True, slots=True)
class ListEntries(Query):
    """Entries of one kind in order of index, from ``after`` (an index) on."""

    kind: str
    after: int
    limit: int


@dataclass(frozen=True, slots=True)
class GetPrices(Query):
    """``node_key`` empty: every node that has a cell of the SKU."""

    sku_key: str
    node_key: str = ""


@dataclass(frozen=True, slots=True)
class GetStatus(Query):
    pass


@dataclass(frozen=True, slots=True)
class Audit(Query):
    """Recompute every derived quantity and compare; with ``digest`` also hash the state.

    Without ``closed`` orders that ended, and that nobody has looked at since a replay, are passed over: each takes a few microseconds.
    """

    digest: bool = True
    closed: bool = True


@dataclass(frozen=True, slots=True)
class TakeImage(Query):
    """A copy of the whole state, to find out where it differs from another one: it takes as much memory again."""


@dataclass(frozen=True, slots=True)
class Look(Query):
    """What planning and those who watch need of the state, as a copy: ``take`` is given the pool and the time, changes nothing of it and
    keeps no view.

    The writer waits meanwhile: take a little, and ask again for the rest.
    """

    take: Callable[[Any, int], Any]


class Status(NamedTuple):
    """Counts and totals; the names are those of ``GetStatusResponse``."""

    node_count: int
    sku_count: int
    channel_count: int
    cell_count: int
    on_hand_units: int
    reserved_units: int
    allocated_units: int
    available_units: int
    shortage_units: int
    shortage_cell_count: int
    short_order_units: int
    open_reservation_count: int
    open_order_count: int
    open_fulfillment_order_count: int


class Finding(NamedTuple):
    """One broken invariant."""

    invariant: str
    subject: str
    expected: int
    actual: int


class AuditReport(NamedTuple):
    """Result of an audit; ``digest`` is hexadecimal, empty where not asked for."""

    cell_count: int
    reservation_count: int
    fulfillment_order_count: int
    findings: tuple[Finding, ...]
    digest: str
