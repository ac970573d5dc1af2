"""ReservationService: claims on units."""

from functools import lru_cache
from itertools import chain
from operator import attrgetter

import numpy as np

from engine.model.answers import ReservationAnswer
from engine.model.commands import BatchReserve, Claim, ClaimColumns, ExtendReservation, ReleaseReservation, Reserve
from engine.model.limits import SECOND_NS, Limits
from engine.model.outcomes import CommandKind, FulfillmentKind, ReservationState
from engine.model.queries import GetReservation
from engine.model.replies import BatchReserveReply, ExtendReply, ReserveReply
from engine.pool.names import Names
from engine.service.convert.calendars import due_day, promised_date
from engine.service.convert.entry import Entry
from engine.service.convert.reservation_columns import REPLY_COLUMNS
from engine.service.convert.wording import add_legs, add_shortages, fill_cost, fill_time
from engine.service.fields import (
    POSTAL_CODE_CHARACTERS_MAX,
    POSTAL_CODE_CHARACTERS_MIN,
    TTL_NS_MIN,
    Check,
    Rules,
    fingerprint,
    is_request_id,
    nanoseconds,
)
from stockpool.v1 import reservations_pb2 as pb

_SHIP, _PICKUP = int(FulfillmentKind.SHIP), int(FulfillmentKind.PICKUP)
_SHIPPED, _COLLECTED = FulfillmentKind.SHIP, FulfillmentKind.PICKUP


def reserve(request: pb.ReserveRequest, rules: Rules) -> Reserve:
    """One claim."""
    request_id, asked = request.request_id, request.reservation
    claim = _well_formed_claim(asked, rules.limits)
    if claim is None or not is_request_id(request_id):
        check = rules.check()
        check.request_id(request_id)
        claim = _claim(check, "reservation.", asked)
        check.done()
    return Reserve(request_id, fingerprint(request, CommandKind.RESERVE), claim)


def _well_formed_claim(message: pb.ReservationRequest, limits: Limits) -> Claim | None:
    """The road of nearly every claim: half the time of ``_claim``, which says what is wrong when this gives None."""
    channel_key, service_key, store = message.channel_key, message.service_key, message.pickup_node_key
    # Goods for a store have no postal code of their own, and are not for this road.
    postal_code = "" if store else message.ship_to.postal_code
    lines = tuple([(line.sku_key, line.units) for line in message.lines[: limits.lines_per_order_max + 1]])
    longest, units_max = limits.key_length_max, limits.units_max
    for sku_key, units in lines:
        if not (0 < units <= units_max and 0 < len(sku_key) <= longest and sku_key.isprintable()):
            return None
    ttl_ns = nanoseconds(message.ttl) if message.HasField("ttl") else limits.reservation_ttl_default_ns
    if not (
        0 < len(lines) <= limits.lines_per_order_max
        and 0 < len(channel_key) <= longest
        and len(service_key) <= longest
        and (store or POSTAL_CODE_CHARACTERS_MIN <= len(postal_code) <= POSTAL_CODE_CHARACTERS_MAX)
        and len(store) <= longest
        and f"{channel_key}{service_key}{store}{postal_code}".isprintable()
        and TTL_NS_MIN <= ttl_ns <= limits.reservation_ttl_max_ns
        and not message.promised_date
    ):
        return None
    kind = _COLLECTED if store else _SHIPPED
    return Claim(channel_key, lines, kind, postal_code, store, service_key, message.allow_partial, ttl_ns)


def _claim(check: Check, path: str, message: pb.ReservationRequest) -> Claim:
    limits = check.limits
    channel_key = check.key(f"{path}channel_key", message.channel_key)
    lines = check.lines(f"{path}lines", message.lines, "lines_per_order_max", limits.lines_per_order_max)
    service_key = check.optional_key(f"{path}service_key", message.service_key)
    ttl_ns = limits.reservation_ttl_default_ns
    if message.HasField("ttl"):
        ttl_ns = check.ttl_ns(f"{path}ttl", message.ttl)
    kind, postal_code, pickup_node_key, store_key = _SHIPPED, "", "", ""
    way = message.WhichOneof("fulfillment")
    if way == "ship_to":
        postal_code = check.postal_code(f"{path}ship_to.postal_code", message.ship_to.postal_code)
    elif way == "pickup_node_key":
        kind = _COLLECTED
        pickup_node_key = check.key(f"{path}pickup_node_key", message.pickup_node_key)
    elif way == "ship_to_node_key":
        store_key = check.key(f"{path}ship_to_node_key", message.ship_to_node_key)
    else:
        check.wrong(f"{path}fulfillment", "is missing; give ship_to, pickup_node_key or ship_to_node_key")
    day = due_day(check, f"{path}promised_date", message.promised_date, collected=kind == _COLLECTED)
    return Claim(
        channel_key,
        lines,
        kind,
        postal_code,
        pickup_node_key,
        service_key,
        message.allow_partial,
        ttl_ns,
        day,
        store_key,
    )


def _fill_reserve(response: pb.ReserveResponse, reply: ReserveReply, names: Names) -> None:
    if reply.reservation_id:
        reservation = response.reservation
        channel_key = names.channel_keys[reply.channel_index]
        reservation.CopyFrom(_held(channel_key, int(reply.kind), reply.created_ns, reply.expires_ns))
        reservation.reservation_id = reply.reservation_id
        add_legs(reservation.legs, reply.legs, names)
        if reply.due_day:
            reservation.promised_date = promised_date(reply.due_day)
    if reply.cost is not None:
        fill_cost(response.cost, reply.cost, names)
    if reply.shortages:
        add_shortages(response.shortages, reply.shortages, names)


@lru_cache(maxsize=64)
def _held(channel_key: str, kind: int, created_ns: int, expires_ns: int) -> pb.Reservation:
    """What the reservations of a channel that were decided together have in common: all but their ids and legs."""
    reservation = pb.Reservation(state=pb.RESERVATION_STATE_HELD, channel_key=channel_key)
    reservation.kind = kind  # type: ignore[assignment]
    fill_time(reservation.create_time, created_ns)
    fill_time(reservation.expire_time, expires_ns)
    return reservation


def batch_reserve(request: pb.BatchReserveRequest, rules: Rules) -> BatchReserve:
    """Many claims."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    check.count("reservations", len(request.reservations), "batch_items_max", check.limits.batch_items_max)
    items = request.reservations[:]
    claims = _columns(items, check.limits)
    if any(map(attrgetter("promised_date"), items)) or not _well_formed(claims, check.limits):
        claims = ClaimColumns.of([_claim(check, f"reservations[{at}].", item) for at, item in enumerate(items)])
    check.done()
    mark = fingerprint(request, CommandKind.BATCH_RESERVE)
    return BatchReserve(request_id, mark, claims, request.all_or_nothing)


def _columns(items: list[pb.ReservationRequest], limits: Limits) -> ClaimColumns:
    """What the items say, a column at a time, whether it is right or not: the road of a thousand items has no call for each."""
    stores = [item.pickup_node_key for item in items]
    # A slice is a list; iterating over the field takes twice as long. One line too many is enough to know.
    most = limits.lines_per_order_max + 1
    lines = [item.lines[:most] for item in items]
    default_ns = limits.reservation_ttl_default_ns
    return ClaimColumns(
        [item.channel_key for item in items],
        [_PICKUP if store else _SHIP for store in stores],
        [store or item.ship_to.postal_code for store, item in zip(stores, items, strict=True)],
        [item.service_key for item in items],
        [item.allow_partial for item in items],
        [nanoseconds(item.ttl) if item.HasField("ttl") else default_ns for item in items],
        [len(of_item) for of_item in lines],
        [line.sku_key for of_item in lines for line in of_item],
        [line.units for of_item in lines for line in of_item],
        [0] * len(items),
        [""] * len(items),
    )


def _well_formed(claims: ClaimColumns, limits: Limits) -> bool:
    """Whether every item would pass ``_claim``; when not, that says what is wrong with which."""
    keys = claims.channel_keys + claims.sku_keys
    ways = set(zip(claims.kinds, claims.places, strict=True))
    stores = [place for kind, place in ways if kind == _PICKUP]
    codes = [place for kind, place in ways if kind == _SHIP]
    lengths = {*map(len, keys), *map(len, stores)}
    code_lengths = {*map(len, codes)} or {POSTAL_CODE_CHARACTERS_MIN}
    optional = set(claims.service_keys)
    return bool(
        claims.line_counts
        and min(claims.line_counts) >= 1
        and max(claims.line_counts) <= limits.lines_per_order_max
        and min(claims.units) >= 1
        and max(claims.units) <= limits.units_max
        and min(lengths) >= 1
        and max(lengths | {*map(len, optional)}) <= limits.key_length_max
        and min(code_lengths) >= POSTAL_CODE_CHARACTERS_MIN
        and max(code_lengths) <= POSTAL_CODE_CHARACTERS_MAX
        and "".join(chain(keys, stores, codes, optional)).isprintable()
        and min(claims.ttl_ns) >= TTL_NS_MIN
        and max(claims.ttl_ns) <= limits.reservation_ttl_max_ns
    )


def _fill_batch(response: pb.BatchReserveResponse, reply: BatchReserveReply, names: Names) -> None:
    del names
    add = response.results.add
    rows = np.frombuffer(reply.columns, dtype="<i8").reshape(-1, REPLY_COLUMNS).tolist()
    for outcome, reservation_id, expires_ns, line_index, available_units in rows:
        if reservation_id:
            result = add(outcome=outcome, reservation_id=reservation_id)
            time = result.expire_time
            time.seconds, time.nanos = divmod(expires_ns, SECOND_NS)
        else:
            result = add(outcome=outcome)
        if line_index > 0:
            result.line_index = line_index
        if available_units:
            result.available_units = available_units
    for item, key in reply.subjects:
        response.results[item].subject = key


def get_reservation(request: pb.GetReservationRequest, rules: Rules) -> GetReservation:
    """One reservation."""
    check = rules.check()
    query = GetReservation(
        check.min_journal_seq(request.min_journal_seq), check.id("reservation_id", request.reservation_id)
    )
    check.done()
    return query


def _fill_reservation(response: pb.GetReservationResponse, reply: ReservationAnswer, names: Names) -> None:
    if not reply.reservation_id:
        return
    reservation = response.reservation
    reservation.reservation_id = reply.reservation_id
    reservation.state = int(reply.state)  # type: ignore[assignment]
    reservation.channel_key = names.channel_keys[reply.channel_index]
    reservation.kind = int(reply.kind)  # type: ignore[assignment]
    fill_time(reservation.create_time, reply.created_ns)
    fill_time(reservation.expire_time, reply.expires_ns)
    reservation.promised_date = promised_date(reply.due_day)
    if reply.state == ReservationState.HELD:
        add_legs(reservation.legs, reply.legs, names)


def extend_reservation(request: pb.ExtendReservationRequest, rules: Rules) -> ExtendReservation:
    """A new end."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    reservation_id = check.id("reservation_id", request.reservation_id)
    ttl_ns = 0
    if request.HasField("ttl"):
        ttl_ns = check.ttl_ns("ttl", request.ttl)
    else:
        check.wrong("ttl", "is missing; say how long from now")
    check.done()
    mark = fingerprint(request, CommandKind.EXTEND_RESERVATION)
    return ExtendReservation(request_id, mark, reservation_id, ttl_ns)


def _fill_extend(response: pb.ExtendReservationResponse, reply: ExtendReply, names: Names) -> None:
    del names
    if reply.expires_ns:
        fill_time(response.expire_time, reply.expires_ns)


def release_reservation(request: pb.ReleaseReservationRequest, rules: Rules) -> ReleaseReservation:
    """The end."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    reservation_id = check.id("reservation_id", request.reservation_id)
    check.done()
    return ReleaseReservation(request_id, fingerprint(request, CommandKind.RELEASE_RESERVATION), reservation_id)


RESERVE = Entry(reserve, pb.ReserveResponse, _fill_reserve)
BATCH_RESERVE = Entry(batch_reserve, pb.BatchReserveResponse, _fill_batch)
GET_RESERVATION = Entry(get_reservation, pb.GetReservationResponse, _fill_reservation)
EXTEND_RESERVATION = Entry(extend_reservation, pb.ExtendReservationResponse, _fill_extend)
RELEASE_RESERVATION = Entry(release_reservation, pb.ReleaseReservationResponse)
