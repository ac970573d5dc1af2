"""Every limit of the server, with its unit and its meaning: what GetLimits states."""

from dataclasses import fields
from typing import NamedTuple

from engine.model.calendars import MINUTES_PER_DAY
from engine.model.limits import Limits
from engine.model.policies import LATE_DAYS_MAX, NODE_GROUPS_MAX, RULES_MAX, WEIGHT_MAX
from engine.service import fields as border
from engine.service.convert import calendars, policies, waves
from engine.service.convert.fulfillment import TRACKING_CHARACTERS_MAX
from engine.service.convert.imports import REFUSALS_TOLD_MAX
from engine.service.convert.indexes import INDEXES_MAX
from engine.service.convert.network import BAND_METRES_MAX, POLICIES_MAX, STEP_GRAMS_MAX, WEIGHT_GRAMS_MAX
from engine.service.convert.orders import PICKUP_STORES_MAX, SHIP_TO_STORES_MAX, WORK_NAMED_MAX
from engine.service.convert.planning import DEMAND_1024THS_MAX
from engine.service.convert.returns import RECEIVED_ITEMS_MAX
from engine.service.convert.watching import INTERVAL_NS_DEFAULT, INTERVAL_NS_MAX, INTERVAL_NS_MIN
from engine.service.port import MESSAGE_BYTES_MAX

BATCH_BYTES_MAX = 4 << 20
"""Longest request of a call that takes many items."""
REQUEST_BYTES_MAX = 256 << 10
"""Longest request of any other call."""
EXPLAIN_REPLAY_MAX = 1_000_000
"""Decisions that the server replays to explain an order: as many as lie between two snapshots."""
EVENT_STREAMS_MAX = 64
"""Streams of events that are open at a time."""
WATCHES_MAX = 2_000
"""Streams of availability that are open at a time."""
WATCHED_OFFERS_MAX = 1 << 21
"""SKUs that they watch together, about 100 bytes each; those who watch the same share them."""
WATCH_ENTRIES_MAX = 1_000
"""SKUs of one message of theirs."""


class Limit(NamedTuple):
    """One limit. ``unit``: "units", "ns", "bytes", "count" or what the name says."""

    name: str
    value: int
    unit: str
    meaning: str


_LONG = {"ImportStock", "PutChannels", "PutZoneChart"}
_MANY = {
    "BatchAdjustStock",
    "BatchCommit",
    "BatchGetAvailability",
    "BatchRelease",
    "BatchReserve",
    "GetIndexes",
    "PutNodes",
    "PutSkus",
    "ReceiveStock",
    "RecordSale",
    "SetPrices",
    "StreamReserve",
}
_REFUSED = "; more is INVALID_ARGUMENT"
_LATER = "; more is RESOURCE_EXHAUSTED with a delay after which to repeat"
_FULL = "; then OUTCOME_CAPACITY_EXHAUSTED"

_MEANINGS = {
    "nodes_max": f"Nodes in the store{_FULL}.",
    "skus_max": f"SKUs in the store{_FULL}.",
    "cells_max": f"Cells (one SKU at one node) in the store{_FULL}.",
    "channels_max": f"Channels in the store{_FULL}.",
    "regions_max": f"Regions of the zone chart{_REFUSED}.",
    "zone_pairs_max": f"Exact pairs of the zone chart{_REFUSED}.",
    "services_max": f"Carrier services with a rate card{_FULL}.",
    "zones_max": f"Zones of a rate card and of the zone chart{_REFUSED}.",
    "weight_steps_max": f"Weight steps of a rate card{_REFUSED}.",
    "sources_max": f"Different feeds in the store{_FULL}.",
    "open_reservations_max": f"Reservations held at a time{_FULL}.",
    "reservation_legs_max": f"Legs of all held reservations together{_FULL}.",
    "lines_per_order_max": f"Lines of a reservation, an order or a return{_REFUSED}.",
    "batch_items_max": f"Items of a batch, entries of a Put{_REFUSED}.",
    "stock_lines_max": f"Lines of a receipt or of a till sale{_REFUSED}.",
    "import_rows_per_message_max": f"Rows of one message of ImportStock, and of one SetPrices{_REFUSED}.",
    "import_rows_per_stream_max": f"Rows of one stream of ImportStock{_REFUSED}; the messages before it stay applied.",
    "import_all_or_nothing_rows_max": f"Rows of a stream of ImportStock with all_or_nothing{_REFUSED}.",
    "page_size_max": f"Entries of one page{_REFUSED}.",
    "units_max": f"Units in one field{_REFUSED}.",
    "key_length_max": f"Characters of a key{_REFUSED}.",
    "reference_length_max": f"Characters of a reference{_REFUSED}.",
    "reservation_ttl_default_ns": "Time to live of a reservation that names none.",
    "reservation_ttl_max_ns": f"Longest time to live that one request may ask for{_REFUSED}.",
    "reservation_hold_max_ns": "Longest time from creation to end of a reservation; then OUTCOME_EXTENSION_LIMIT.",
    "request_ids_remembered": "Newest request ids whose repetition gets the first answer. An older one is REQUEST_TOO_OLD when its "
    "sender tells its age, else it is taken for new.",
    "request_window_ns": "Longest time after which a request that is not remembered may still be repeated; then REQUEST_TOO_OLD.",
    "price_age_max_ns": "Longest time for which the prices of a plan count; then routing goes without until another plan is complete.",
    "closed_orders_remembered": "Newest closed orders that can still be read; older ones are OUTCOME_UNKNOWN_ORDER.",
    "movements_remembered": "Newest stock movements of the whole store that ListMovements finds.",
    "inbox_max": f"Requests that wait for an answer{_LATER}.",
    "inbox_wait_max_ns": f"Longest wait for an answer that a new request may expect, by the pace of late{_LATER}.",
    "client_requests_max": "Requests that one client has under way, but for streams; a client is a credential, or a connection where there "
    f"are none{_LATER}.",
    "client_streams_max": f"StreamEvents, StreamReserve, WatchAvailability and ImportStock that one client has open{_LATER}.",
    "group_max": "Decisions that become durable in one step.",
}

_BORDER = (
    Limit("message_bytes_max", MESSAGE_BYTES_MAX, "bytes", "Longest message; a longer one is RESOURCE_EXHAUSTED."),
    Limit("batch_bytes_max", BATCH_BYTES_MAX, "bytes", f"Longest request of {', '.join(sorted(_MANY))}{_REFUSED}."),
    Limit(
        "request_bytes_max",
        REQUEST_BYTES_MAX,
        "bytes",
        f"Longest request of any call but those, {', '.join(sorted(_LONG))}{_REFUSED}.",
    ),
    Limit("indexes_max", INDEXES_MAX, "count", f"SKUs, and nodes, of one GetIndexes{_REFUSED}."),
    Limit("event_streams_max", EVENT_STREAMS_MAX, "count", "StreamEvents open at a time; more is RESOURCE_EXHAUSTED."),
    Limit("watches_max", WATCHES_MAX, "count", f"WatchAvailability open at a time{_LATER}."),
    Limit(
        "watched_offers_max",
        WATCHED_OFFERS_MAX,
        "count",
        f"SKUs that all of WatchAvailability watch together; those who watch the same count once{_LATER}.",
    ),
    Limit("watch_interval_max_ns", INTERVAL_NS_MAX, "ns", f"min_interval of WatchAvailability{_REFUSED}."),
    Limit("watch_interval_min_ns", INTERVAL_NS_MIN, "ns", "Shortest min_interval; less is INVALID_ARGUMENT."),
    Limit(
        "watch_interval_default_ns",
        INTERVAL_NS_DEFAULT,
        "ns",
        "The min_interval of a WatchAvailability that names none.",
    ),
    Limit(
        "watch_entries_max", WATCH_ENTRIES_MAX, "count", "SKUs in one message of WatchAvailability; more take several."
    ),
    Limit(
        "explain_replay_max",
        EXPLAIN_REPLAY_MAX,
        "count",
        "Decisions that ExplainOrder replays, from a snapshot on or from the beginning; a plan farther away is told without what was looked at.",
    ),
    Limit(
        "request_id_characters_max", border.REQUEST_ID_CHARACTERS_MAX, "count", f"Characters of a request id{_REFUSED}."
    ),
    Limit(
        "import_request_id_characters_max",
        border.IMPORT_ID_CHARACTERS_MAX,
        "count",
        f"Characters of the request id of ImportStock, whose messages are remembered as id/n{_REFUSED}.",
    ),
    Limit("import_refusals_told_max", REFUSALS_TOLD_MAX, "count", "Refused rows that ImportStock names one by one."),
    Limit("name_characters_max", border.NAME_CHARACTERS_MAX, "count", f"Characters of a name or title{_REFUSED}."),
    Limit(
        "postal_code_characters_max",
        border.POSTAL_CODE_CHARACTERS_MAX,
        "count",
        f"Characters of a postal code or region key{_REFUSED}.",
    ),
    Limit("tracking_characters_max", TRACKING_CHARACTERS_MAX, "count", f"Characters of a tracking number{_REFUSED}."),
    Limit("money_micros_max", border.MONEY_MICROS_MAX, "micros", f"A price or a value{_REFUSED}."),
    Limit("cost_micros_max", border.COST_MICROS_MAX, "micros", f"A cost or a rate that the router adds up{_REFUSED}."),
    Limit("demand_1024ths_max", DEMAND_1024THS_MAX, "1/1024 units", f"A demand of SetPrices{_REFUSED}."),
    Limit("weight_grams_max", WEIGHT_GRAMS_MAX, "grams", f"Weight of one unit of a SKU{_REFUSED}."),
    Limit("step_grams_max", STEP_GRAMS_MAX, "grams", f"Upper bound of a weight step{_REFUSED}."),
    Limit("band_metres_max", BAND_METRES_MAX, "metres", f"Upper bound of a distance band{_REFUSED}."),
    Limit("opening_hours_max", calendars.HOURS_MAX, "count", f"Opening hours of one calendar{_REFUSED}."),
    Limit("holidays_max", calendars.HOLIDAYS_MAX, "count", f"Holidays of one calendar{_REFUSED}."),
    Limit(
        "weekdays_max",
        calendars.WEEKDAYS_MAX,
        "count",
        f"Weekdays of one calendar on which the carrier comes{_REFUSED}.",
    ),
    Limit("minute_max", MINUTES_PER_DAY, "minutes", f"A time of day, after local midnight{_REFUSED}."),
    Limit("handling_minutes_max", calendars.HANDLING_MINUTES_MAX, "minutes", f"Handling time of a node{_REFUSED}."),
    Limit("transit_days_max", calendars.TRANSIT_DAYS_MAX, "days", f"Days that a package is on the road{_REFUSED}."),
    Limit("capacity_max", calendars.CAPACITY_MAX, "count", f"Orders or units of a node's capacity{_REFUSED}."),
    Limit(
        "ship_to_stores_max",
        SHIP_TO_STORES_MAX,
        "count",
        f"Stores that one GetFulfillmentOptions looks at for sending goods there{_REFUSED}.",
    ),
    Limit("pickup_stores_max", PICKUP_STORES_MAX, "count", f"Pickup stores of one GetFulfillmentOptions{_REFUSED}."),
    Limit(
        "fulfillment_orders_named_max",
        WORK_NAMED_MAX,
        "count",
        f"Fulfillment orders that RerouteOrder names{_REFUSED}.",
    ),
    Limit("received_items_max", RECEIVED_ITEMS_MAX, "count", f"Items of one ReceiveReturn{_REFUSED}."),
    Limit("rules_max", RULES_MAX, "count", f"Rules of a routing policy{_REFUSED}."),
    Limit("weight_percent_max", WEIGHT_MAX, "percent", f"A weight of a routing policy{_REFUSED}."),
    Limit(
        "region_prefixes_max", policies.REGION_PREFIXES_MAX, "count", f"Region prefixes of a routing rule{_REFUSED}."
    ),
    Limit("distance_km_max", policies.DISTANCE_KM_MAX, "km", f"Distance that a routing rule allows{_REFUSED}."),
    Limit("grace_period_max_ns", policies.GRACE_NS_MAX, "ns", f"Grace period of a routing policy{_REFUSED}."),
    Limit("wave_think_max_ns", waves.THINK_NS_MAX, "ns", f"Time to think that RunWave may ask for{_REFUSED}."),
    Limit("packages_max", policies.PACKAGES_MAX, "count", f"Packages that a routing rule allows{_REFUSED}."),
    Limit(
        "late_days_max", LATE_DAYS_MAX, "days", f"Days behind the promised one that a routing rule tolerates{_REFUSED}."
    ),
    Limit("node_kinds_max", 4, "count", f"Kinds of nodes of a routing rule{_REFUSED}."),
    Limit("node_groups_max", NODE_GROUPS_MAX, "count", f"Different groups of nodes in the store{_FULL}."),
    Limit("policies_listed_max", POLICIES_MAX, "count", "Routing policies that ListRoutingPolicies returns."),
    Limit("source_seq_max", border.SEQ_MAX, "count", "The number of a feed."),
    Limit("fulfillment_states_max", 9, "count", f"States that ListFulfillmentOrders filters by{_REFUSED}."),
)


def longest_request(call: str) -> tuple[str, int]:
    """The limit of a call's request in bytes: its name and value."""
    if call in _LONG:
        return "message_bytes_max", MESSAGE_BYTES_MAX
    return ("batch_bytes_max", BATCH_BYTES_MAX) if call in _MANY else ("request_bytes_max", REQUEST_BYTES_MAX)


def _unit(name: str) -> str:
    if name.endswith("_ns"):
        return "ns"
    return "units" if name == "units_max" else "count"


def stated(limits: Limits) -> list[Limit]:
    """All limits in force, by name."""
    own = [
        Limit(field.name, getattr(limits, field.name), _unit(field.name), _MEANINGS[field.name])
        for field in fields(limits)
    ]
    return sorted([*own, *_BORDER])
