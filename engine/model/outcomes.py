"""Outcomes, states and reasons: closed lists whose numbers are those of the contract (``protos/stockpool/v1``).

The numbers are in the journal: a value may be added, never renumbered. A house test compares them with the protos.
"""

from enum import IntEnum


class Outcome(IntEnum):
    """What became of a well-formed request, numbered in order of precedence. Below, all but OK and PARTIAL are refusals."""

    OK = 1
    REQUEST_ID_REUSED = 2
    UNKNOWN_CHANNEL = 10
    UNKNOWN_SKU = 11
    UNKNOWN_NODE = 12
    UNKNOWN_DESTINATION = 13
    UNKNOWN_SERVICE = 14
    UNKNOWN_POLICY = 15
    UNKNOWN_RESERVATION = 16
    UNKNOWN_ORDER = 17
    UNKNOWN_LINE = 18
    UNKNOWN_FULFILLMENT_ORDER = 19
    UNKNOWN_RETURN = 20
    DUPLICATE_ORDER = 30
    RESERVATION_EXPIRED = 31
    RESERVATION_COMMITTED = 32
    RESERVATION_RELEASED = 33
    EXTENSION_LIMIT = 34
    NODE_NOT_IN_CHANNEL = 40
    NODE_CLOSED = 41
    NODE_LACKS_SERVICE = 42
    STALE_SOURCE = 50
    STALE_QUANTITY = 51
    INSUFFICIENT_STOCK = 52
    PARTIAL = 53
    NO_PLAN = 54
    STALE_PLAN = 55
    INVALID_TRANSITION = 60
    UNITS_EXCEEDED = 61
    NO_RETURN_NODE = 62
    CAPACITY_EXHAUSTED = 70
    BATCH_REFUSED = 71


class FulfillmentKind(IntEnum):
    """How an order reaches its buyer."""

    SHIP = 1
    PICKUP = 2


class NodeKind(IntEnum):
    """What kind of place a node is; information only."""

    UNSPECIFIED = 0
    STORE = 1
    WAREHOUSE = 2
    SUPPLIER = 3
    MARKETPLACE = 4


class AfterAction(IntEnum):
    """What a routing rule does when its candidates do not serve an order in full."""

    NEXT = 1
    PARTIAL = 2
    REFUSE = 3
    HOLD = 4
    BACKORDER = 5


class RuleVerdict(IntEnum):
    """What a routing rule said to an order; 0: it was not asked."""

    NOT_ASKED = 0
    SERVED = 1
    SERVED_IN_PART = 2
    OTHER_SERVICE = 3
    OTHER_VALUE = 4
    OTHER_UNITS = 5
    OTHER_LINES = 6
    OTHER_REGION = 7
    TOO_FEW_UNITS = 8
    NO_PLAN = 9


class Quantity(IntEnum):
    """One quantity of a cell: 1 + its row in ``kernels.columns``."""

    ON_HAND = 1
    DAMAGED = 2
    QUALITY_CONTROL = 3
    DISPLAY = 4
    IN_RETURN = 5
    RESERVED = 6
    ALLOCATED = 7
    SAFETY_STOCK = 8
    INCOMING = 9


class StockReason(IntEnum):
    """Why stock changed."""

    UNSPECIFIED = 0
    CORRECTION = 1
    COUNT = 2
    RECEIPT = 3
    SALE = 4
    SHIPMENT = 5
    HANDOVER = 6
    RETURN = 7
    DAMAGE = 8
    SHRINKAGE = 9
    DISPLAY = 10
    IMPORT = 11
    REJECTION = 12
    ALLOCATION = 13
    POLICY = 14


class ReservationState(IntEnum):
    """Life of a reservation; 0 in the columns means the row was never used."""

    HELD = 1
    COMMITTED = 2
    RELEASED = 3
    EXPIRED = 4


class OrderState(IntEnum):
    """Life of an order."""

    ROUTED = 1
    BACKORDERED = 2
    IN_FULFILLMENT = 3
    COMPLETED = 4
    CANCELLED = 5
    ON_HOLD = 6


class FulfillmentState(IntEnum):
    """Life of a fulfillment order."""

    OPEN = 1
    ACCEPTED = 2
    READY_FOR_PICKUP = 3
    SHIPPED = 4
    HANDED_OVER = 5
    REJECTED = 6
    CANCELLED = 7
    MOVED = 8
    ARRIVED = 9


class RejectReason(IntEnum):
    """Why a node rejects work; 0 where it does not."""

    NONE = 0
    NOT_IN_STOCK = 1
    MISMATCH = 2
    DAMAGED = 3
    WORN_DISPLAY = 4
    TOO_BUSY = 5
    CLOSED = 6


class ReturnState(IntEnum):
    """Life of a return."""

    AUTHORISED = 1
    PARTLY_RECEIVED = 2
    RECEIVED = 3


class Disposition(IntEnum):
    """What becomes of a returned unit."""

    RESTOCK = 1
    REFURBISH = 2
    QUARANTINE = 3
    RETURN_TO_VENDOR = 4
    SCRAP = 5
    MISSING = 6


class CommandKind(IntEnum):
    """Which command a decision answers. EXPIRE is the engine's own."""

    EXPIRE = 1
    PUT_NODES = 2
    PUT_SKUS = 3
    PUT_CHANNELS = 4
    PUT_RATE_CARD = 5
    PUT_ZONE_CHART = 6
    PUT_ROUTING_POLICY = 7
    ADJUST_STOCK = 8
    SET_STOCK = 9
    RECEIVE_STOCK = 10
    RECORD_SALE = 11
    IMPORT_STOCK = 12
    RESERVE = 13
    BATCH_RESERVE = 14
    EXTEND_RESERVATION = 15
    RELEASE_RESERVATION = 16
    PLACE_ORDER = 17
    INGEST_ORDER = 18
    CANCEL_ORDER = 19
    ACCEPT = 20
    REJECT = 21
    SHIP = 22
    MARK_READY = 23
    HAND_OVER = 24
    AUTHORIZE_RETURN = 25
    RECEIVE_RETURN = 26
    SET_PRICES = 27
    ACTIVATE_ROUTING_POLICY = 29
    RELEASE_ORDER = 30
    REROUTE_ORDER = 31
    BATCH_RELEASE = 32
    BATCH_ADJUST_STOCK = 33
    BATCH_COMMIT = 34


class DropReason(IntEnum):
    """Why a node was no candidate. Of several reasons the first is told, in the order of ``core.explanations``."""

    CLOSED = 1
    NOT_IN_CHANNEL = 2
    DOES_NOT_SHIP = 3
    REJECTED_BEFORE = 4
    NO_LANE = 5
    NO_STOCK = 6
    NOT_ENOUGH_STOCK = 7
    RULE = 8
    NO_SHIP_DAY = 9
    LATE = 10
    ARRIVAL_UNKNOWN = 11
    COLLECTED_THERE = 12
