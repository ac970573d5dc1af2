"""The network as records for people and arrays for kernels."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels import columns as c
from engine.kernels import zones as lanes
from engine.model.limits import Limits
from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.prices import PricePlan
from engine.pool.names import Names
from engine.pool.policies import Rulebook, node_bits

EARTH_RADIUS_METRES = 6_371_008.8
"""Mean radius (IUGG)."""
METRES_A_KILOMETRE = 1_000


def distance_metres(
    latitude: float, longitude: float, latitudes: NDArray[np.float64], longitudes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Great-circle distance from one point (degrees) to many, by the haversine formula."""
    phi, phis = np.radians(latitude), np.radians(latitudes)
    half_north = np.sin((phis - phi) / 2)
    half_east = np.sin((np.radians(longitudes) - np.radians(longitude)) / 2)
    chord = half_north**2 + np.cos(phi) * np.cos(phis) * half_east**2
    return np.asarray(2 * EARTH_RADIUS_METRES * np.arcsin(np.sqrt(np.minimum(chord, 1.0))))


class NetworkImage(NamedTuple):
    """Everything that the network is made of; what kernels see is derived from it."""

    nodes: list[Node]
    skus: list[Sku]
    channels: list[Channel]
    rate_cards: list[RateCard]
    policies: list[RoutingPolicy]
    """Those in force, then drafts."""
    zone_chart: ZoneChart
    region_keys: list[str]
    """Of every region that ever was; the chart may name fewer."""
    source_keys: list[str]
    currency_code: str
    price_plan: PricePlan | None = None
    group_keys: tuple[str, ...] = ()
    """Of every group that a node was ever in."""


class Network:
    """Nodes, SKUs, channels, rate cards, zone chart and policies. ``put_*`` are apply: they trust what was decided."""

    def __init__(self, limits: Limits, names: Names) -> None:
        self._names = names
        self.nodes: list[Node] = []
        self.skus: list[Sku] = []
        self.channels: list[Channel] = []
        self.rate_cards: list[RateCard] = []
        self.rulebook = Rulebook(limits, names)
        self.zone_chart = ZoneChart()
        self.price_plan: PricePlan | None = None
        """The last plan whose prices are complete; ``None``: there has been none."""
        self.claim_rules: list[tuple[int, int, int]] = []
        """By channel: threshold in units, first row and number of the rules of its policy."""
        self.sku_grams = np.zeros(limits.skus_max, dtype=np.int64)
        self.sku_values = np.zeros(limits.skus_max, dtype=np.int64)
        self.node_rows = np.zeros((c.NODE_ROWS, limits.nodes_max), dtype=np.int64)
        self.zones = np.zeros((limits.regions_max, limits.nodes_max), dtype=np.uint8)
        self.rates = np.full((limits.services_max, limits.zones_max + 1, limits.weight_steps_max), -1, dtype=np.int64)
        self.breaks = np.full((limits.services_max, limits.weight_steps_max), lanes.PADDING, dtype=np.int64)
        self.distances = np.zeros((limits.regions_max, limits.nodes_max), dtype=np.uint16)
        rows = limits.services_max + 1
        self.days = np.zeros((rows, limits.nodes_max), dtype=np.int64)
        """What `Promises` keeps current: row 0 the day on which goods become ready for collection, row service + 1 that on which they leave;
        NEVER_SHIPS: not within the horizon; 0: the node has no calendar."""
        self.ship_days = self.days[1:]
        self.transit = np.full((limits.services_max, limits.zones_max + 1), lanes.NEVER_SHIPS, dtype=np.int64)
        """By service and zone: days on the road; NEVER_SHIPS where the rate card does not tell."""
        self._positions = np.zeros((2, limits.nodes_max))
        self._region_positions = np.zeros((2, 0))
        self._pairs: dict[int, tuple[NDArray[np.int64], NDArray[np.uint8]]] = {}
        self._prefix_lengths: tuple[int, ...] = ()
        self.retimed: set[int] = set()
        """Nodes that were put since `Promises` last looked."""

    @property
    def arrays(self) -> lanes.Network:
        """What the router sees: ``(nodes, zones, rates, breaks, distances, ship_days, transit)``."""
        return self.node_rows, self.zones, self.rates, self.breaks, self.distances, self.ship_days, self.transit

    @property
    def policies(self) -> dict[str, RoutingPolicy]:
        """The policies in force, by key."""
        return self.rulebook.active

    # Questions

    @property
    def prices_count(self) -> bool:
        """Whether routing may go by prices: a plan is complete and not too old."""
        return self.price_plan is not None and not self.price_plan.expired

    def region_of(self, postal_code: str) -> int:
        """Region whose key is the longest prefix of the postal code, −1 when there is none."""
        find = self._names.regions.index_of.get
        for length in self._prefix_lengths:
            index = find(postal_code[:length], -1)
            if index >= 0:
                return index
        return -1

    def policy_of(self, channel_index: int) -> RoutingPolicy:
        """Routing policy of a channel."""
        return self.policies[self.channels[channel_index].policy_key]

    def serves(self, node_index: int, channel_index: int) -> bool:
        """Whether the channel may sell the node's stock."""
        return bool(self.node_rows.item(c.NODE_CHANNELS, node_index) >> channel_index & 1)

    def flags(self, node_index: int) -> int:
        """FLAG_... bits of the node."""
        return self.node_rows.item(c.NODE_FLAGS, node_index)

    def candidates(self, channel_index: int, needs: int) -> NDArray[np.int64]:
        """Indexes of the channel's nodes that carry every flag of ``needs``."""
        count = len(self.nodes)
        flags = self.node_rows[c.NODE_FLAGS, :count]
        channels = self.node_rows[c.NODE_CHANNELS, :count]
        return np.flatnonzero((flags & needs == needs) & (channels >> channel_index & 1 == 1))

    def metres_from(self, region_index: int) -> NDArray[np.float64]:
        """Distance of every node from the centroid of a region."""
        latitude, longitude = self._region_positions[:, region_index]
        count = len(self.nodes)
        return distance_metres(latitude, longitude, self._positions[0, :count], self._positions[1, :count])

    def carrier_micros(self, service_index: int, zone: int, grams: int) -> int:
        """Price of one package; −1 when the service is not offered there."""
        if zone <= 0 or zone >= self.rates.shape[1]:
            return -1
        return int(lanes.carrier_cost(self.rates, self.breaks, service_index, zone, grams))

    def arrival_day(self, service_index: int, zone: int, ship_day: int) -> int:
        """The day on which a package arrives that leaves on ``ship_day``; 0: not known."""
        if not ship_day or not 0 < zone < self.transit.shape[1]:
            return 0
        day = ship_day + int(self.transit[service_index, zone])
        return day if day < lanes.NEVER_SHIPS else 0

    # All at once

    def image(self) -> NetworkImage:
        """Everything, for ``put_image``."""
        names = self._names
        return NetworkImage(
            self.nodes,
            self.skus,
            self.channels,
            self.rate_cards,
            [*self.policies.values(), *self.rulebook.drafts.values()],
            self.zone_chart,
            names.regions.keys,
            names.sources.keys,
            names.currency_code,
            self.price_plan,
            tuple(names.groups.keys),
        )

    def put_image(self, image: NetworkImage) -> None:
        """Become what the image tells; the network is empty before."""
        names = self._names
        for index, key in enumerate(image.region_keys):
            names.regions.put(index, key)
        for index, key in enumerate(image.source_keys):
            names.sources.put(index, key)
        for index, key in enumerate(image.group_keys):
            names.groups.put(index, key)
        for index, card in enumerate(image.rate_cards):
            self.put_rate_card(index, card)
        for index, node in enumerate(image.nodes):
            self.put_node(index, node)
        for index, sku in enumerate(image.skus):
            self.put_sku(index, sku)
        for policy in image.policies:
            self.rulebook.put(policy)
        # Channels name nodes, and the chart sets the zones of all nodes at once.
        for index, channel in enumerate(image.channels):
            self.put_channel(index, channel)
        self.put_zone_chart(image.zone_chart)
        names.currency_code = image.currency_code
        if image.price_plan is not None:
            self.put_price_plan(image.price_plan)

    # Apply

    def put_node(self, index: int, node: Node) -> None:
        """The node at ``index`` is now this."""
        self._names.nodes.put(index, node.node_key)
        if index == len(self.nodes):
            self.nodes.append(node)
        else:
            self.nodes[index] = node
        flags = 0 if node.closed else c.FLAG_OPEN
        flags |= c.FLAG_SHIPS if node.ships else 0
        flags |= c.FLAG_PICKUP if node.offers_pickup else 0
        flags |= c.FLAG_RETURNS if node.accepts_returns else 0
        rows = self.node_rows
        rows[c.NODE_FLAGS, index] = flags
        rows[c.NODE_PACKAGE_COST, index] = node.package_cost_micros
        rows[c.NODE_UNIT_COST, index] = node.unit_cost_micros
        groups = self._names.groups
        for name in node.groups:
            groups.put(groups.index_of.get(name, len(groups)), name)
        rows[c.NODE_GROUPS, index] = node_bits(groups, node.groups, node.kind)
        rows[c.NODE_PERFORMANCE, index] = node.performance_penalty_micros
        rows[c.NODE_CAPACITY_PRICE, index] = node.capacity_price_micros
        for channel_index, channel in enumerate(self.channels):
            if channel.all_nodes:
                rows[c.NODE_CHANNELS, index] |= 1 << channel_index
        self._positions[:, index] = node.latitude, node.longitude
        self.retimed.add(index)
        self._place((index,))

    def put_sku(self, index: int, sku: Sku) -> None:
        """The SKU at ``index`` is now this."""
        self._names.skus.put(index, sku.sku_key)
        if index == len(self.skus):
            self.skus.append(sku)
        else:
            self.skus[index] = sku
        self.sku_grams[index] = sku.weight_grams
        self.sku_values[index] = sku.unit_value_micros

    def put_channel(self, index: int, channel: Channel) -> None:
        """The channel at ``index`` is now this; its nodes are exactly those it names."""
        self._names.channels.put(index, channel.channel_key)
        if index == len(self.channels):
            self.channels.append(channel)
        else:
            self.channels[index] = channel
        bits = self.node_rows[c.NODE_CHANNELS]
        bits &= ~np.int64(1 << index)
        if channel.all_nodes:
            bits[: len(self.nodes)] |= 1 << index
        else:
            find = self._names.nodes.find
            bits[[find(key) for key in channel.node_keys]] |= 1 << index
        self._note_rules()

    def put_rate_card(self, index: int, card: RateCard) -> None:
        """The rate card of the service at ``index`` is now this."""
        self._names.services.put(index, card.service_key)
        self._names.currency_code = card.currency_code
        if index == len(self.rate_cards):
            self.rate_cards.append(card)
        else:
            self.rate_cards[index] = card
        steps = len(card.step_grams)
        self.rates[index] = -1
        self.breaks[index] = lanes.PADDING
        self.breaks[index, :steps] = card.step_grams
        prices = np.array(card.price_micros, dtype=np.int64).reshape(card.zone_count, steps)
        self.rates[index, 1 : card.zone_count + 1, :steps] = prices
        self.transit[index] = lanes.NEVER_SHIPS
        self.transit[index, 1 : len(card.transit_days) + 1] = card.transit_days

    def put_policy(self, policy: RoutingPolicy) -> None:
        """The policy with this key, or its draft, is now this."""
        self.rulebook.put(policy)
        self._note_rules()

    def put_price_plan(self, plan: PricePlan) -> None:
        """Prices are now those of this plan."""
        self.price_plan = plan
        self.rulebook.count_prices(self.prices_count)

    def _note_rules(self) -> None:
        """Bring ``claim_rules`` up to date: every claim asks for them."""
        self.claim_rules = [
            (channel.threshold_units, *self.rulebook.span(channel.policy_key)) for channel in self.channels
        ]

    def put_zone_chart(self, chart: ZoneChart) -> None:
        """The chart is now this. Known regions keep their indexes, new ones follow in order."""
        regions = self._names.regions
        for region in chart.regions:
            regions.put(regions.index_of.get(region.region_key, len(regions)), region.region_key)
        self.zone_chart = chart
        self._region_positions = np.zeros((2, len(regions)))
        for region in chart.regions:
            self._region_positions[:, regions.find(region.region_key)] = region.latitude, region.longitude
        self._prefix_lengths = tuple(sorted({len(key) for key in regions.keys}, reverse=True))
        self._pairs = self._pairs_by_origin(chart)
        self._place(range(len(self.nodes)))
        self.rulebook.compile()

    def _pairs_by_origin(self, chart: ZoneChart) -> dict[int, tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        find = self._names.regions.index_of
        columns: dict[int, tuple[list[int], list[int]]] = {}
        for origin, destination, zone in zip(
            chart.pair_origins, chart.pair_destinations, chart.pair_zones, strict=True
        ):
            destinations, pair_zones = columns.setdefault(find[origin], ([], []))
            destinations.append(find[destination])
            pair_zones.append(zone)
        return {
            origin: (np.array(destinations, dtype=np.int64), np.array(pair_zones, dtype=np.uint8))
            for origin, (destinations, pair_zones) in columns.items()
        }

    def _place(self, node_indexes: Iterable[int]) -> None:
        """Zones of these nodes from every region: by distance, then the exact pairs over it."""
        regions = self._region_positions.shape[1]
        bands = np.array(self.zone_chart.band_metres, dtype=np.float64)
        for index in node_indexes:
            latitude, longitude = self._positions[:, index]
            metres = distance_metres(latitude, longitude, self._region_positions[0], self._region_positions[1])
            column = self.zones[:regions, index]
            column[:] = np.searchsorted(bands, metres, side="left") + 1
            self.distances[:regions, index] = np.rint(metres / METRES_A_KILOMETRE)
            pairs = self._pairs.get(self.region_of(self.nodes[index].postal_code))
            if pairs is not None:
                column[pairs[0]] = pairs[1]
