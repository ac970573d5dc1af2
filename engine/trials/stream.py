"""A stream: a network, its opening stock and everything that happens on it, as one file that needs no generator to be read again."""

import zlib
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

from msgspec import DecodeError, msgpack

from engine.demo import scenario as words
from engine.model.network import Channel, Node, RateCard, Region, Sku, ZoneChart
from engine.model.outcomes import Disposition, NodeKind, RejectReason

VERSION = 1


class Kind(IntEnum):
    """What happens."""

    SALE = 1
    """Somebody walks in and buys what is on the shelf."""
    PICKUP = 2
    SHIP = 3
    MARKETPLACE = 4
    """Sold elsewhere: a fact."""
    RETURN = 5
    RECEIPT = 6


_ROAD_DAYS = {"express": (1, 2), "priority": (1, 3)}
_GROUND_DAYS = (2, 5)
"""Days from the node to the buyer in the nearest zone and in the farthest, by a word in the key of the service."""
_KINDS = {
    words.Kind.POS: Kind.SALE,
    words.Kind.PICKUP: Kind.PICKUP,
    words.Kind.SHIP: Kind.SHIP,
    words.Kind.MARKETPLACE: Kind.MARKETPLACE,
}


class Line(NamedTuple):
    """``price_micros`` of one unit; ``order_line`` and ``disposition`` (of ``Disposition``) for goods that come back."""

    sku_key: str
    units: int
    price_micros: int = 0
    order_line: int = -1
    disposition: int = 0


class Event(NamedTuple):
    """Something that happens, ``at_ns`` after midnight of the first day. ``rejects``: a ``RejectReason`` of the first node, 0: it does not.

    ``key`` is the order's; of goods that come back the order's as well, empty when there is none.
    """

    kind: Kind
    at_ns: int
    channel_key: str
    key: str
    node_key: str
    postal_code: str
    service_key: str
    lines: tuple[Line, ...]
    rejects: int = 0
    abandons: bool = False
    cancels: bool = False

    @property
    def day(self) -> int:
        """The day it falls on, from 0."""
        return self.at_ns // words.NS_PER_DAY


class Count(NamedTuple):
    """Units that a cell opens with."""

    sku_key: str
    node_key: str
    on_hand_units: int
    safety_stock_units: int


class Stream(NamedTuple):
    """What all policies of a trial meet alike. Channels have no policy yet."""

    version: int
    name: str
    currency_code: str
    first_day: str
    day_count: int
    nodes: tuple[Node, ...]
    skus: tuple[Sku, ...]
    channels: tuple[Channel, ...]
    rate_cards: tuple[RateCard, ...]
    zone_chart: ZoneChart
    opening: tuple[Count, ...]
    events: tuple[Event, ...]


def stream_of(scenario: words.Scenario, day_count: int) -> Stream:
    """The first ``day_count`` days of a scenario of the demo."""
    days = min(day_count, len(scenario.order_counts))
    chart = scenario.zone_chart
    keys = chart.region_keys
    return Stream(
        VERSION,
        scenario.name,
        scenario.currency_code,
        scenario.first_day.isoformat(),
        days,
        tuple(_node(node) for node in scenario.nodes),
        # A walk-in who leaves without his unit costs its price: so the loss counts it, and so prices are to value it.
        tuple(
            Sku(sku.sku_key, sku.title, sku.weight_grams, sku.unit_value_micros, sku.unit_value_micros)
            for sku in scenario.skus
        ),
        tuple(
            Channel(each.channel_key, each.name, all_nodes=True, threshold_units=each.threshold_units)
            for each in scenario.channels
        ),
        tuple(
            RateCard(
                card.service_key,
                scenario.currency_code,
                tuple(card.step_grams.tolist()),
                len(card.price_micros),
                tuple(card.price_micros.ravel().tolist()),
                _days_on_the_road(card.service_key, len(card.price_micros)),
            )
            for card in scenario.rate_cards
        ),
        ZoneChart(
            tuple(map(Region, keys, chart.latitudes.tolist(), chart.longitudes.tolist())),
            tuple(chart.band_metres.tolist()),
            tuple(keys[at] for at in chart.pair_origins.tolist()),
            tuple(keys[at] for at in chart.pair_destinations.tolist()),
            tuple(chart.pair_zones.tolist()),
        ),
        tuple(
            Count(*row)
            for part in scenario.opening()
            for row in zip(
                part.sku_keys,
                part.node_keys,
                part.on_hand_units.tolist(),
                part.safety_stock_units.tolist(),
                strict=True,
            )
        ),
        tuple(map(_event, scenario.calls(days))),
    )


def _days_on_the_road(service_key: str, zone_count: int) -> tuple[int, ...]:
    """Days by zone. Lists of prices do not tell them; these are what parcel services of such names say of themselves, and the same for all."""
    first, last = next((days for word, days in _ROAD_DAYS.items() if word in service_key), _GROUND_DAYS)
    return tuple(first + (last - first) * zone // max(zone_count - 1, 1) for zone in range(zone_count))


def _node(node: words.Node) -> Node:
    kind = NodeKind.STORE if node.kind is words.NodeKind.STORE else NodeKind.WAREHOUSE
    return Node(
        node.node_key,
        node.name,
        kind,
        node.latitude,
        node.longitude,
        node.postal_code,
        ships=node.ships,
        offers_pickup=node.offers_pickup,
        accepts_returns=node.accepts_returns,
        package_cost_micros=node.package_cost_micros,
        unit_cost_micros=node.unit_cost_micros,
    )


def _event(call: words.Call) -> Event:
    if isinstance(call, words.Receipt):
        lines = tuple(Line(sku_key, units) for sku_key, units in call.lines)
        return Event(Kind.RECEIPT, call.at_ns, "", call.reference, call.node_key, "", "", lines)
    if isinstance(call, words.Return):
        back = tuple(
            Line(line.sku_key, line.units, 0, line.line_index, Disposition[line.disposition.name])
            for line in call.lines
        )
        return Event(
            Kind.RETURN, call.at_ns, call.channel_key, call.order_key, call.node_key, call.postal_code, "", back
        )
    return Event(
        _KINDS[call.kind],
        call.at_ns,
        call.channel_key,
        call.order_key,
        call.node_key,
        call.postal_code,
        call.service_key,
        tuple(Line(line.sku_key, line.units, line.unit_price_micros) for line in call.lines),
        0 if call.rejects is None else RejectReason[call.rejects.name],
        call.abandons,
        call.cancels,
    )


class StreamUnreadable(Exception):
    """The file is no stream that this version reads; the message says why."""


def write_stream(stream: Stream, path: Path) -> None:
    """Writes the stream; the same one gives the same bytes."""
    path.write_bytes(zlib.compress(msgpack.encode(stream), 6))


def read_stream(path: Path) -> Stream:
    """Reads it back.

    Raises:
        StreamUnreadable: it is damaged, or of another version.
    """
    try:
        stream = msgpack.decode(zlib.decompress(path.read_bytes()), type=Stream)
    except (OSError, zlib.error, DecodeError) as error:
        raise StreamUnreadable(f"{path}: {error}") from None
    if stream.version != VERSION:
        raise StreamUnreadable(f"{path} has version {stream.version}; this one reads {VERSION}")
    return stream


def by_day(stream: Stream) -> Iterator[tuple[int, list[Event]]]:
    """The events of each day, days without any included."""
    at = 0
    for day in range(stream.day_count):
        first = at
        while at < len(stream.events) and stream.events[at].day == day:
            at += 1
        yield day, list(stream.events[first:at])
