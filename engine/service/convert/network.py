"""NetworkService: nodes, SKUs, channels, rate cards, the zone chart. Routing policies are in ``policies``."""

from collections.abc import Callable, Sequence
from typing import Any

from engine.model.answers import EntriesAnswer
from engine.model.commands import PutChannels, PutNodes, PutRateCard, PutSkus, PutZoneChart
from engine.model.limits import Limits
from engine.model.network import DEFAULT_POLICY, Channel, Node, RateCard, Region, Sku, ZoneChart
from engine.model.outcomes import CommandKind, NodeKind
from engine.model.policies import NODE_GROUPS_MAX
from engine.model.queries import GetEntry, ListEntries, Query
from engine.pool.names import Names
from engine.service.convert.calendars import TRANSIT_DAYS_MAX, calendar, fill_calendar
from engine.service.convert.entry import Entry
from engine.service.convert.policies import fill_policy, get_routing_policy
from engine.service.convert.wording import fill_money
from engine.service.fields import COST_MICROS_MAX, Check, Rules, allowed, fingerprint, shown
from engine.service.paging import FIRST_INDEX, read_token, write_token
from stockpool.v1 import network_pb2 as pb

WEIGHT_GRAMS_MAX = 1_000_000
STEP_GRAMS_MAX = 1_000_000_000
BAND_METRES_MAX = 100_000_000
REGION_KEY_CHARACTERS_MAX = 16

_NODE_KINDS = allowed(NodeKind)


# Nodes


def put_nodes(request: pb.PutNodesRequest, rules: Rules) -> PutNodes:
    """Nodes to add or replace."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    check.count("nodes", len(request.nodes), "batch_items_max", check.limits.batch_items_max)
    nodes = tuple([_node(check, f"nodes[{position}].", node) for position, node in enumerate(request.nodes)])
    check.distinct("nodes", "node_key", [node.node_key for node in nodes])
    check.done()
    return PutNodes(request_id, fingerprint(request, CommandKind.PUT_NODES), nodes)


def _node(check: Check, path: str, node: pb.Node) -> Node:
    check.position(path, node.latitude, node.longitude)
    return Node(
        check.key(f"{path}node_key", node.node_key),
        check.name(f"{path}name", node.name),
        check.word(f"{path}kind", node.kind, _NODE_KINDS),
        node.latitude,
        node.longitude,
        check.postal_code(f"{path}postal_code", node.postal_code) if node.postal_code else "",
        node.closed,
        node.ships,
        node.offers_pickup,
        node.accepts_returns,
        check.cost(f"{path}package_cost", node.package_cost),
        check.cost(f"{path}unit_cost", node.unit_cost),
        check.units(f"{path}default_safety_stock_units", node.default_safety_stock_units, 0),
        calendar(check, f"{path}calendar.", node.calendar) if node.HasField("calendar") else None,
        _groups(check, f"{path}groups", node.groups),
        check.cost(f"{path}performance_penalty", node.performance_penalty),
        check.cost(f"{path}capacity_price", node.capacity_price),
    )


def _groups(check: Check, path: str, names: Sequence[str]) -> tuple[str, ...]:
    check.count(path, len(names), "node_groups_max", NODE_GROUPS_MAX, least=0)
    groups = check.keys(path, names)
    for position, name in enumerate(groups):
        if name in groups[:position]:
            check.wrong(f"{path}[{position}]", f"{shown(name)} is already in {path}[{groups.index(name)}]")
    return groups


def _fill_node(message: pb.Node, node: Node, names: Names) -> None:
    message.node_key = node.node_key
    message.name = node.name
    message.kind = int(node.kind)  # type: ignore[assignment]
    message.latitude = node.latitude
    message.longitude = node.longitude
    message.postal_code = node.postal_code
    message.closed = node.closed
    message.ships = node.ships
    message.offers_pickup = node.offers_pickup
    message.accepts_returns = node.accepts_returns
    fill_money(message.package_cost, node.package_cost_micros, names)
    fill_money(message.unit_cost, node.unit_cost_micros, names)
    message.default_safety_stock_units = node.default_safety_stock_units
    if node.calendar is not None:
        fill_calendar(message.calendar, node.calendar)
    message.groups.extend(node.groups)
    if node.performance_penalty_micros:
        fill_money(message.performance_penalty, node.performance_penalty_micros, names)
    if node.capacity_price_micros:
        fill_money(message.capacity_price, node.capacity_price_micros, names)


# SKUs


def put_skus(request: pb.PutSkusRequest, rules: Rules) -> PutSkus:
    """SKUs to add or replace."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    check.count("skus", len(request.skus), "batch_items_max", check.limits.batch_items_max)
    skus = tuple([_sku(check, f"skus[{position}].", sku) for position, sku in enumerate(request.skus)])
    check.distinct("skus", "sku_key", [sku.sku_key for sku in skus])
    check.done()
    return PutSkus(request_id, fingerprint(request, CommandKind.PUT_SKUS), skus)


def _sku(check: Check, path: str, sku: pb.Sku) -> Sku:
    return Sku(
        check.key(f"{path}sku_key", sku.sku_key),
        check.name(f"{path}title", sku.title),
        check.whole(f"{path}weight_grams", sku.weight_grams, 0, "weight_grams_max", WEIGHT_GRAMS_MAX),
        check.money(f"{path}unit_value", sku.unit_value),
        check.cost(f"{path}unit_margin", sku.unit_margin),
    )


def _fill_sku(message: pb.Sku, sku: Sku, names: Names) -> None:
    message.sku_key = sku.sku_key
    message.title = sku.title
    message.weight_grams = sku.weight_grams
    fill_money(message.unit_value, sku.unit_value_micros, names)
    if sku.unit_margin_micros:
        fill_money(message.unit_margin, sku.unit_margin_micros, names)


# Channels


def put_channels(request: pb.PutChannelsRequest, rules: Rules) -> PutChannels:
    """Channels to add or replace."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    check.count("channels", len(request.channels), "channels_max", check.limits.channels_max)
    channels = tuple([_channel(check, f"channels[{at}].", channel) for at, channel in enumerate(request.channels)])
    check.distinct("channels", "channel_key", [channel.channel_key for channel in channels])
    check.done()
    return PutChannels(request_id, fingerprint(request, CommandKind.PUT_CHANNELS), channels)


def _channel(check: Check, path: str, channel: pb.Channel) -> Channel:
    limits = check.limits
    check.count(f"{path}node_keys", len(channel.node_keys), "nodes_max", limits.nodes_max, least=0)
    return Channel(
        check.key(f"{path}channel_key", channel.channel_key),
        check.name(f"{path}name", channel.name),
        check.keys(f"{path}node_keys", channel.node_keys),
        channel.all_nodes,
        check.units(f"{path}threshold_units", channel.threshold_units, 0),
        check.optional_key(f"{path}policy_key", channel.policy_key) or DEFAULT_POLICY,
    )


def _fill_channel(message: pb.Channel, channel: Channel, names: Names) -> None:
    del names
    message.channel_key = channel.channel_key
    message.name = channel.name
    message.node_keys.extend(channel.node_keys)
    message.all_nodes = channel.all_nodes
    message.threshold_units = channel.threshold_units
    message.policy_key = channel.policy_key


# Rate cards


def put_rate_card(request: pb.PutRateCardRequest, rules: Rules) -> PutRateCard:
    """The price of a carrier service."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    card, limits = request.rate_card, check.limits
    check.key("rate_card.service_key", card.service_key)
    check.currency("rate_card.currency_code", card.currency_code)
    check.count("rate_card.step_grams", len(card.step_grams), "weight_steps_max", limits.weight_steps_max)
    steps = check.ascending("rate_card.step_grams", card.step_grams)
    if steps and steps[-1] > STEP_GRAMS_MAX:
        check.over("rate_card.step_grams", f"ends at {steps[-1]}", "step_grams_max", STEP_GRAMS_MAX)
    check.whole("rate_card.zone_count", card.zone_count, 1, "zones_max", limits.zones_max)
    prices = tuple(card.price_micros)
    if len(prices) != len(steps) * card.zone_count:
        wanted = f"zone_count × steps = {card.zone_count} × {len(steps)} = {card.zone_count * len(steps)}"
        check.wrong("rate_card.price_micros", f"must have {wanted} entries, has {len(prices)}")
    elif prices and not (min(prices) >= -1 and max(prices) <= COST_MICROS_MAX):
        for position, price in enumerate(prices):
            check.whole(f"rate_card.price_micros[{position}]", price, -1, "cost_micros_max", COST_MICROS_MAX)
    days = tuple(card.transit_days)
    if days and len(days) != card.zone_count:
        check.wrong(
            "rate_card.transit_days", f"must have zone_count = {card.zone_count} entries or none, has {len(days)}"
        )
    for position, transit in enumerate(days[: limits.zones_max]):
        check.whole(f"rate_card.transit_days[{position}]", transit, 0, "transit_days_max", TRANSIT_DAYS_MAX)
    check.done()
    rate_card = RateCard(card.service_key, card.currency_code, steps, card.zone_count, prices, days)
    return PutRateCard(request_id, fingerprint(request, CommandKind.PUT_RATE_CARD), rate_card)


def _fill_rate_card(message: pb.RateCard, card: RateCard, names: Names) -> None:
    del names
    message.service_key = card.service_key
    message.currency_code = card.currency_code
    message.step_grams.extend(card.step_grams)
    message.zone_count = card.zone_count
    message.price_micros.extend(card.price_micros)
    message.transit_days.extend(card.transit_days)


# The zone chart


def put_zone_chart(request: pb.PutZoneChartRequest, rules: Rules) -> PutZoneChart:
    """The zone chart."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    chart, limits = request.zone_chart, check.limits
    check.count("zone_chart.regions", len(chart.regions), "regions_max", limits.regions_max)
    regions = tuple([_region(check, f"zone_chart.regions[{at}].", region) for at, region in enumerate(chart.regions)])
    check.distinct("zone_chart.regions", "region_key", [region.region_key for region in regions])
    check.count("zone_chart.band_metres", len(chart.band_metres), "zones_max", limits.zones_max - 1, least=0)
    bands = check.ascending("zone_chart.band_metres", chart.band_metres)
    if bands and bands[-1] > BAND_METRES_MAX:
        check.over("zone_chart.band_metres", f"ends at {bands[-1]}", "band_metres_max", BAND_METRES_MAX)
    pairs = _pairs(check, chart)
    check.done()
    zone_chart = ZoneChart(regions, bands, *pairs)
    return PutZoneChart(request_id, fingerprint(request, CommandKind.PUT_ZONE_CHART), zone_chart)


def _region(check: Check, path: str, region: pb.Region) -> Region:
    check.position(path, region.latitude, region.longitude)
    key = check.key(f"{path}region_key", region.region_key)
    if len(key) > REGION_KEY_CHARACTERS_MAX:
        check.over(
            f"{path}region_key", f"has {len(key)} characters", "postal_code_characters_max", REGION_KEY_CHARACTERS_MAX
        )
    return Region(key, region.latitude, region.longitude)


def _pairs(check: Check, chart: pb.ZoneChart) -> tuple[tuple[str, ...], tuple[str, ...], tuple[int, ...]]:
    """The columns of exact pairs; there may be a million, so they are looked at one by one only when one is wrong."""
    lengths = [len(column) for column in (chart.pair_origins, chart.pair_destinations, chart.pair_zones)]
    check.count("zone_chart.pair_zones", max(lengths), "zone_pairs_max", check.limits.zone_pairs_max, least=0)
    if min(lengths) < max(lengths):
        told = "the three columns of pairs must be of equal length; they have {}, {} and {}".format(*lengths)
        check.wrong("zone_chart.pair_zones", told)
        return (), (), ()
    columns = tuple(chart.pair_origins), tuple(chart.pair_destinations), tuple(chart.pair_zones)
    origins, destinations, zones = columns
    check.keys("zone_chart.pair_origins", origins)
    check.keys("zone_chart.pair_destinations", destinations)
    if zones and not (min(zones) >= 0 and max(zones) <= check.limits.zones_max):
        for position, zone in enumerate(zones):
            check.whole(f"zone_chart.pair_zones[{position}]", zone, 0, "zones_max", check.limits.zones_max)
    return columns


def _fill_zone_chart(message: pb.ZoneChart, chart: ZoneChart, names: Names) -> None:
    del names
    for region_key, latitude, longitude in chart.regions:
        message.regions.add(region_key=region_key, latitude=latitude, longitude=longitude)
    message.band_metres.extend(chart.band_metres)
    message.pair_origins.extend(chart.pair_origins)
    message.pair_destinations.extend(chart.pair_destinations)
    message.pair_zones.extend(chart.pair_zones)


# Reading: every kind of entry in the same way


def _get(kind: str, key_field: str) -> Callable[[Any, Rules], Query]:
    def work(request: Any, rules: Rules) -> Query:
        check = rules.check()
        key = check.key(key_field, getattr(request, key_field)) if key_field else ""
        seq = check.min_journal_seq(request.min_journal_seq)
        check.done()
        return GetEntry(seq, kind, key)

    return work


def _list(kind: str, call: str) -> Callable[[Any, Rules], Query]:
    def work(request: Any, rules: Rules) -> Query:
        check = rules.check()
        page_size = check.page_size(request.page_size)
        seq = check.min_journal_seq(request.min_journal_seq)
        check.done()
        return ListEntries(seq, kind, read_token(call, request.page_token, FIRST_INDEX), page_size)

    return work


def _list_all(kind: str, most: Callable[[Limits], int]) -> Callable[[Any, Rules], Query]:
    """For kinds with so few entries that there are no pages."""

    def work(request: Any, rules: Rules) -> Query:
        check = rules.check()
        seq = check.min_journal_seq(request.min_journal_seq)
        check.done()
        return ListEntries(seq, kind, FIRST_INDEX, most(rules.limits))

    return work


def _one(field: str, fill: Callable[[Any, Any, Names], None]) -> Callable[[Any, Any, Names], None]:
    def fill_response(response: Any, reply: EntriesAnswer, names: Names) -> None:
        for entry in reply.entries:
            fill(getattr(response, field), entry, names)

    return fill_response


def _many(field: str, fill: Callable[[Any, Any, Names], None], call: str = "") -> Callable[[Any, Any, Names], None]:
    def fill_response(response: Any, reply: EntriesAnswer, names: Names) -> None:
        messages = getattr(response, field)
        for entry in reply.entries:
            fill(messages.add(), entry, names)
        if call and reply.next_after >= 0:
            response.next_page_token = write_token(call, reply.next_after)

    return fill_response


POLICIES_MAX = 1_000
"""Routing policies told by one ListRoutingPolicies."""

PUT_NODES = Entry(put_nodes, pb.PutNodesResponse)
GET_NODE = Entry(_get("node", "node_key"), pb.GetNodeResponse, _one("node", _fill_node))
LIST_NODES = Entry(_list("node", "ListNodes"), pb.ListNodesResponse, _many("nodes", _fill_node, "ListNodes"))
PUT_SKUS = Entry(put_skus, pb.PutSkusResponse)
GET_SKU = Entry(_get("sku", "sku_key"), pb.GetSkuResponse, _one("sku", _fill_sku))
LIST_SKUS = Entry(_list("sku", "ListSkus"), pb.ListSkusResponse, _many("skus", _fill_sku, "ListSkus"))
PUT_CHANNELS = Entry(put_channels, pb.PutChannelsResponse)
GET_CHANNEL = Entry(_get("channel", "channel_key"), pb.GetChannelResponse, _one("channel", _fill_channel))
LIST_CHANNELS = Entry(
    _list_all("channel", lambda limits: limits.channels_max), pb.ListChannelsResponse, _many("channels", _fill_channel)
)
PUT_RATE_CARD = Entry(put_rate_card, pb.PutRateCardResponse)
GET_RATE_CARD = Entry(_get("rate_card", "service_key"), pb.GetRateCardResponse, _one("rate_card", _fill_rate_card))
LIST_RATE_CARDS = Entry(
    _list_all("rate_card", lambda limits: limits.services_max),
    pb.ListRateCardsResponse,
    _many("rate_cards", _fill_rate_card),
)
PUT_ZONE_CHART = Entry(put_zone_chart, pb.PutZoneChartResponse)
GET_ZONE_CHART = Entry(_get("zone_chart", ""), pb.GetZoneChartResponse, _one("zone_chart", _fill_zone_chart))
GET_ROUTING_POLICY = Entry(get_routing_policy, pb.GetRoutingPolicyResponse, _one("policy", fill_policy))
LIST_ROUTING_POLICIES = Entry(
    _list_all("policy", lambda _: POLICIES_MAX), pb.ListRoutingPoliciesResponse, _many("policies", fill_policy)
)
