"""Stock outside orders, and the network."""

from __future__ import annotations

from engine.model import commands as m
from engine.model.outcomes import Outcome, Quantity, StockReason
from engine.model.replies import ImportReply, Plain, PolicyReply, RowRefusal, SaleReply, StockReply
from engine.proof.oracle.state import Pair, State

OK = Outcome.OK
GROUPS_MAX = 56


# The network


def put_nodes(state: State, command: m.PutNodes) -> Plain:
    for node in command.nodes:
        for cutoff in node.calendar.cutoffs if node.calendar else ():
            if cutoff.service_key not in state.rate_cards:
                return Plain(Outcome.UNKNOWN_SERVICE, cutoff.service_key)
    keys = state.nodes.keys() | {node.node_key for node in command.nodes}
    if len(keys) > state.limits.nodes_max:
        return Plain(Outcome.CAPACITY_EXHAUSTED, "nodes_max")
    groups = dict.fromkeys([*state.groups, *(name for node in command.nodes for name in node.groups)])
    if len(groups) > GROUPS_MAX:
        return Plain(Outcome.CAPACITY_EXHAUSTED, "node_groups_max")
    state.groups = list(groups)
    state.nodes.update((node.node_key, node) for node in command.nodes)
    return Plain(OK)


def put_skus(state: State, command: m.PutSkus) -> Plain:
    keys = state.skus.keys() | {sku.sku_key for sku in command.skus}
    if len(keys) > state.limits.skus_max:
        return Plain(Outcome.CAPACITY_EXHAUSTED, "skus_max")
    state.skus.update((sku.sku_key, sku) for sku in command.skus)
    return Plain(OK)


def put_channels(state: State, command: m.PutChannels) -> Plain:
    for channel in command.channels:
        for node in channel.node_keys:
            if node not in state.nodes:
                return Plain(Outcome.UNKNOWN_NODE, node)
    for channel in command.channels:
        if channel.policy_key not in state.policies:
            return Plain(Outcome.UNKNOWN_POLICY, channel.policy_key)
    keys = state.channels.keys() | {channel.channel_key for channel in command.channels}
    if len(keys) > state.limits.channels_max:
        return Plain(Outcome.CAPACITY_EXHAUSTED, "channels_max")
    state.channels.update((channel.channel_key, channel) for channel in command.channels)
    return Plain(OK)


def put_rate_card(state: State, command: m.PutRateCard) -> Plain:
    card = command.rate_card
    for other in state.rate_cards.values():
        if other.currency_code != card.currency_code:
            raise m.Malformed("rate_card.currency_code", f"the store keeps {other.currency_code}")
    if len(state.rate_cards.keys() | {card.service_key}) > state.limits.services_max:
        return Plain(Outcome.CAPACITY_EXHAUSTED, "services_max")
    state.rate_cards[card.service_key] = card
    return Plain(OK)


def put_zone_chart(state: State, command: m.PutZoneChart) -> Plain:
    chart = command.zone_chart
    keys = [region.region_key for region in chart.regions]
    for region in (*state.regions, *(chart.pair_origins), *chart.pair_destinations):
        if region not in keys:
            return Plain(Outcome.UNKNOWN_DESTINATION, region)
    state.regions += [key for key in keys if key not in state.regions]
    state.chart = chart
    return Plain(OK)


def put_policy(state: State, command: m.PutRoutingPolicy) -> PolicyReply:
    policy = command.policy
    for rule in policy.rules:
        named = (
            (rule.applies.service_keys, list(state.rate_cards)),
            (rule.candidates.groups_any + rule.candidates.groups_none, state.groups),
        )
        unknown = [name for names, known in named for name in names if name not in known]
        for prefix in rule.applies.region_prefixes:
            unknown += [] if any(region.startswith(prefix) for region in state.regions) else [prefix]
        if unknown:
            raise m.Malformed("policy.rules", f"{unknown} are not known")
    service = policy.default_service_key
    if service and service not in state.rate_cards:
        return PolicyReply(Outcome.UNKNOWN_SERVICE, service)
    key = policy.policy_key
    version = 1 + max([known[key].version for known in (state.policies, state.drafts) if key in known], default=0)
    policy = policy._replace(version=version)
    if policy.draft:
        state.drafts[key] = policy
    else:
        state.policies[key] = policy
    return PolicyReply(OK, "", version)


def activate_policy(state: State, command: m.ActivateRoutingPolicy) -> PolicyReply:
    draft = state.drafts.get(command.policy_key)
    if draft is None:
        return PolicyReply(Outcome.UNKNOWN_POLICY, command.policy_key)
    if command.version and command.version != draft.version:
        return PolicyReply(Outcome.UNKNOWN_POLICY, f"{command.policy_key} version {command.version}")
    state.policies[command.policy_key] = draft._replace(draft=False, shadow=False)
    del state.drafts[command.policy_key]
    return PolicyReply(OK, "", draft.version)


# Stock


def _unknown(state: State, skus: list[str], node: str) -> tuple[Outcome, str] | None:
    for sku in skus:
        if sku not in state.skus:
            return Outcome.UNKNOWN_SKU, sku
    return None if node in state.nodes else (Outcome.UNKNOWN_NODE, node)


def adjust(state: State, command: m.AdjustStock) -> StockReply:
    unknown = _unknown(state, [command.sku_key], command.node_key)
    if unknown:
        return StockReply(*unknown)
    pair = command.sku_key, command.node_key
    after = state.units(pair, command.quantity) + command.delta_units
    if command.delta_units < 0 and after < 0:
        return StockReply(Outcome.INSUFFICIENT_STOCK, command.sku_key, state.cell(pair))
    state.open([pair])
    state.move(pair, command.quantity, command.delta_units, command.reason)
    return StockReply(OK, "", state.cell(pair))


def _new_source(state: State, source: str) -> bool:
    """Whether one feed more is one too many."""
    return bool(source) and source not in state.sources and len(state.sources) == state.limits.sources_max


def _hear(state: State, source: str, seq: int, pair: Pair) -> None:
    if source:
        if source not in state.sources:
            state.sources.append(source)
        state.feeds[source, pair] = seq


def set_stock(state: State, command: m.SetStock) -> StockReply:
    unknown = _unknown(state, [command.sku_key], command.node_key)
    if unknown:
        return StockReply(*unknown)
    pair = command.sku_key, command.node_key
    source, on_hand = command.source_key, Quantity.ON_HAND
    if source and command.source_seq <= state.feeds.get((source, pair), 0):
        return StockReply(Outcome.STALE_SOURCE, source, state.cell(pair))
    if command.expected_on_hand_units not in (None, state.units(pair, on_hand)):
        return StockReply(Outcome.STALE_QUANTITY, command.sku_key, state.cell(pair))
    if _new_source(state, source):
        return StockReply(Outcome.CAPACITY_EXHAUSTED, "sources_max", state.cell(pair))
    state.open([pair])
    for quantity, wanted in (
        (on_hand, command.on_hand_units),
        (Quantity.SAFETY_STOCK, command.safety_stock_units),
    ):
        if wanted is not None and wanted != state.units(pair, quantity):
            state.move(pair, quantity, wanted - state.units(pair, quantity), command.reason)
    _hear(state, source, command.source_seq, pair)
    return StockReply(OK, "", state.cell(pair))


def _book(state: State, node: str, lines: m.Lines, sign: int, reason: StockReason) -> list[Pair]:
    units: dict[Pair, int] = {}
    for sku, count in lines:
        units[sku, node] = units.get((sku, node), 0) + count
    state.open(units)
    for pair, count in units.items():
        state.move(pair, Quantity.ON_HAND, sign * count, reason)
    return list(units)


def receive(state: State, command: m.ReceiveStock) -> Plain:
    unknown = _unknown(state, [sku for sku, _ in command.lines], command.node_key)
    if unknown:
        return Plain(*unknown)
    _book(state, command.node_key, command.lines, 1, StockReason.RECEIPT)
    return Plain(OK)


def sale(state: State, command: m.RecordSale) -> SaleReply:
    if command.channel_key not in state.channels:
        return SaleReply(Outcome.UNKNOWN_CHANNEL, command.channel_key)
    unknown = _unknown(state, [sku for sku, _ in command.lines], command.node_key)
    if unknown:
        return SaleReply(*unknown)
    pairs = _book(state, command.node_key, command.lines, -1, StockReason.SALE)
    return SaleReply(OK, "", tuple(state.cell(pair) for pair in pairs if state.atf(pair) < 0))


def load(state: State, command: m.ImportStock) -> ImportReply:
    """Rows one by one; only the last count of a cell is a movement."""
    count = len(command.sku_keys)
    nodes = list(command.node_keys) * (count if len(command.node_keys) == 1 else 1)
    source = command.source_key
    refusals = []
    good: list[tuple[int, Pair]] = []
    for row, pair in enumerate(zip(command.sku_keys, nodes, strict=True)):
        unknown = _unknown(state, [pair[0]], pair[1])
        if unknown:
            refusals.append(RowRefusal(row, *unknown))
        elif source and command.source_seq <= state.feeds.get((source, pair), 0):
            refusals.append(RowRefusal(row, Outcome.STALE_SOURCE, source))
        else:
            good.append((row, pair))
    if _new_source(state, source):
        return ImportReply(Outcome.CAPACITY_EXHAUSTED, "sources_max", count)
    if refusals and command.all_or_nothing:
        return ImportReply(Outcome.BATCH_REFUSED, "", count, 0, tuple(refusals))
    if source and source not in state.sources:
        state.sources.append(source)
    state.open(pair for _, pair in good)
    last = {pair: row for row, pair in good}
    for pair, row in sorted(last.items(), key=lambda item: item[1]):
        delta = command.on_hand_units[row] - state.units(pair, Quantity.ON_HAND)
        if delta:
            state.move(pair, Quantity.ON_HAND, delta, StockReason.IMPORT)
        _hear(state, source, command.source_seq, pair)
    for row, pair in good if command.safety_stock_units else ():
        if command.safety_stock_units[row] >= 0:
            state.cells[pair][Quantity.SAFETY_STOCK] = command.safety_stock_units[row]
    return ImportReply(Outcome.PARTIAL if refusals else OK, "", count, len(good), tuple(refusals))
