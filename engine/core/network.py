"""Deciding what the network is. Keys get the next free index; nothing is ever renamed or removed."""

from collections.abc import Iterable, Sequence

from engine.core.draft import Draft
from engine.model.commands import Malformed, PutChannels, PutNodes, PutRateCard, PutSkus, PutZoneChart
from engine.model.decisions import ChannelPut, NodePut, RateCardPut, SkuPut, ZoneChartPut
from engine.model.network import other_currency
from engine.model.outcomes import Outcome
from engine.model.policies import NODE_GROUPS_MAX
from engine.model.replies import Plain
from engine.pool.names import Registry
from engine.pool.pool import Pool

_OK = Plain(Outcome.OK)


def _indexes(registry: Registry, keys: Iterable[str], maximum: int) -> Sequence[int] | None:
    """Index of each key, new ones in order; ``None`` when they do not fit."""
    following = len(registry)
    indexes = []
    for key in keys:
        index = registry.find(key)
        if index < 0:
            index = following
            following += 1
        indexes.append(index)
    return indexes if following <= maximum else None


def _full(limit: str) -> Draft:
    return Draft(Plain(Outcome.CAPACITY_EXHAUSTED, limit))


def decide_put_nodes(pool: Pool, command: PutNodes) -> Draft:
    """Add or replace nodes; the services that a calendar names must exist."""
    for node in command.nodes:
        for cutoff in node.calendar.cutoffs if node.calendar else ():
            if pool.names.services.find(cutoff.service_key) < 0:
                return Draft(Plain(Outcome.UNKNOWN_SERVICE, cutoff.service_key))
    indexes = _indexes(pool.names.nodes, (node.node_key for node in command.nodes), pool.limits.nodes_max)
    if indexes is None:
        return _full("nodes_max")
    if _indexes(pool.names.groups, _groups(command), NODE_GROUPS_MAX) is None:
        return _full("node_groups_max")
    return Draft(_OK, (), tuple(map(NodePut, indexes, command.nodes)))


def _groups(command: PutNodes) -> Iterable[str]:
    """Groups of the nodes, each once."""
    return dict.fromkeys(name for node in command.nodes for name in node.groups)


def decide_put_skus(pool: Pool, command: PutSkus) -> Draft:
    """Add or replace SKUs."""
    indexes = _indexes(pool.names.skus, (sku.sku_key for sku in command.skus), pool.limits.skus_max)
    if indexes is None:
        return _full("skus_max")
    return Draft(_OK, (), tuple(map(SkuPut, indexes, command.skus)))


def decide_put_channels(pool: Pool, command: PutChannels) -> Draft:
    """Add or replace channels; the nodes and the policy they name must exist."""
    for channel in command.channels:
        for node_key in channel.node_keys:
            if pool.names.nodes.find(node_key) < 0:
                return Draft(Plain(Outcome.UNKNOWN_NODE, node_key))
    for channel in command.channels:
        if channel.policy_key not in pool.network.policies:
            return Draft(Plain(Outcome.UNKNOWN_POLICY, channel.policy_key))
    keys = (channel.channel_key for channel in command.channels)
    indexes = _indexes(pool.names.channels, keys, pool.limits.channels_max)
    if indexes is None:
        return _full("channels_max")
    return Draft(_OK, (), tuple(map(ChannelPut, indexes, command.channels)))


def decide_put_rate_card(pool: Pool, command: PutRateCard) -> Draft:
    """Replace a service's prices. The first card gives the store its currency.

    Raises:
        Malformed: the card has another one. The border saw none yet when both were under way.
    """
    wrong = other_currency(command.rate_card.currency_code, pool.names.currency_code)
    if wrong:
        raise Malformed("rate_card.currency_code", wrong)
    indexes = _indexes(pool.names.services, (command.rate_card.service_key,), pool.limits.services_max)
    if indexes is None:
        return _full("services_max")
    return Draft(_OK, (), (RateCardPut(indexes[0], command.rate_card),))


def decide_put_zone_chart(pool: Pool, command: PutZoneChart) -> Draft:
    """Replace the zone chart; regions that orders may refer to must stay."""
    keys = {region.region_key for region in command.zone_chart.regions}
    for region_key in pool.names.region_keys:
        if region_key not in keys:
            return Draft(Plain(Outcome.UNKNOWN_DESTINATION, region_key))
    for region_key in (*command.zone_chart.pair_origins, *command.zone_chart.pair_destinations):
        if region_key not in keys:
            return Draft(Plain(Outcome.UNKNOWN_DESTINATION, region_key))
    return Draft(_OK, (), (ZoneChartPut(command.zone_chart),))
