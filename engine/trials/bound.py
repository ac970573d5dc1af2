"""The hindsight bound: no policy, whatever it knew, could have served the stream at a lower loss.

The loss is carrier and handling of parcel orders, and for each unit that was not filled its price plus a fixed penalty. The bound is the
least loss of a wider problem, in which everything that a policy could do is possible, and more:

* all demand is known from the first day on, and so is everything that arrives; orders choose among nodes by days, not by seconds;
* nobody keeps safety stock, no channel has a threshold, no node rejects, no basket holds what nobody buys;
* what is returned to be sold again lies wherever it is wanted next, among the nodes that take returns;
* a unit pays its share of a package, by weight, of the best package that it could travel in with others of its order. What leaves in
  one package pays for it no more than the package costs, hence nothing is counted that was not paid.

The last point lets SKUs be solved apart (``planning.hindsight``). It costs the bound some strength where orders are split: shares of two packages
add up to less than the two.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.outcomes import Disposition
from engine.planning.hindsight import Arrivals, Demands, Lanes, least_costs
from engine.pool.pool import Pool
from engine.trials.stream import Event, Kind, Stream

_PARCELS = (Kind.SHIP, Kind.MARKETPLACE)
_WEIGHTS_MAX = 256
"""Weights of packages of one order that are looked at one by one; an order with more is bounded by the steps of the rate card."""
_NEVER = np.iinfo(np.int64).max // 4


class _Want(NamedTuple):
    """Units of one SKU that somebody wants, and what a unit costs from each node: int64[nodes], ``_NEVER`` where it is not to be had."""

    day: int
    units: int
    penalty_micros: int
    costs: Integers


def lost_unit_micros(stream: Stream) -> int:
    """What a unit that is not filled costs beside its price: a light parcel into the farthest zone by the service that takes least for it, so
    that it seldom pays to leave a unit unserved.
    """
    return min(max(0, *card.price_micros[:: len(card.step_grams)]) for card in stream.rate_cards)


def hindsight(stream: Stream, pool: Pool, progress: Callable[[int, int], None]) -> Integers:
    """Least loss by day: int64[days]; the sum is the bound. ``pool`` holds the stream's network; ``progress`` is told SKUs done, and of how many."""
    bound = np.zeros(stream.day_count, np.int64)
    wants = _wants(stream, pool)
    arrivals, loose = _arrivals(stream, pool)
    takers = np.flatnonzero(pool.network.node_rows[c.NODE_FLAGS, : len(stream.nodes)] & c.FLAG_RETURNS)
    for done, (sku_key, wanted) in enumerate(sorted(wants.items())):
        demands = Demands(*(np.array(each, np.int64) for each in zip(*(want[:3] for want in wanted), strict=True)))
        there = np.array(arrivals[sku_key] + [(len(stream.nodes), *row) for row in loose[sku_key]], np.int64).reshape(
            -1, 3
        )
        costs = np.array([want.costs for want in wanted])
        anywhere = costs[:, takers].min(axis=1, initial=_NEVER)
        costs = np.column_stack([costs, anywhere])
        rows, cells = np.nonzero(costs < _NEVER)
        least = least_costs(Arrivals(*there.T), demands, Lanes(rows, cells, costs[rows, cells]))
        np.add.at(bound, demands.days, least)
        progress(done + 1, len(wants))
    return bound


def _arrivals(
    stream: Stream, pool: Pool
) -> tuple[dict[str, list[tuple[int, int, int]]], dict[str, list[tuple[int, int]]]]:
    """By SKU: (node, day, units) of what comes to a node, and (day, units) of what comes back to whichever is best."""
    nodes = pool.names.nodes
    there: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    loose: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for count in stream.opening:
        there[count.sku_key].append((nodes.find(count.node_key), 0, count.on_hand_units))
    for event in stream.events:
        for line in event.lines:
            if event.kind == Kind.RECEIPT:
                there[line.sku_key].append((nodes.find(event.node_key), event.day, line.units))
            elif event.kind == Kind.RETURN and line.disposition == Disposition.RESTOCK:
                loose[line.sku_key].append((event.day, line.units))
    return there, loose


def _wants(stream: Stream, pool: Pool) -> dict[str, list[_Want]]:
    """What is wanted, by SKU. Baskets that nobody buys and orders that are cancelled cost nothing, whoever decides."""
    wants: dict[str, list[_Want]] = defaultdict(list)
    shares = _Shares(stream, pool)
    lost = lost_unit_micros(stream)
    for event in stream.events:
        if event.kind in (Kind.RECEIPT, Kind.RETURN) or event.abandons or event.cancels:
            continue
        for at, line in enumerate(event.lines):
            costs = shares.of(event, at) if event.kind in _PARCELS else shares.at_hand(event)
            wants[line.sku_key].append(_Want(event.day, line.units, line.price_micros + lost, costs))
    return wants


class _Shares:
    """What a unit of an order costs at least from each node, as its share of a package."""

    def __init__(self, stream: Stream, pool: Pool) -> None:
        """``pool`` holds the stream's network."""
        self._network, self._names = pool.network, pool.names
        self._count = len(stream.nodes)
        self._grams = {sku.sku_key: sku.weight_grams for sku in stream.skus}
        self._first_service = stream.rate_cards[0].service_key
        self._breaks = {card.service_key: card.step_grams for card in stream.rate_cards}
        rows = pool.network.node_rows[:, : self._count]
        self._package, self._unit = rows[c.NODE_PACKAGE_COST], rows[c.NODE_UNIT_COST]
        self._zone_prices = cache(self._priced)

    def at_hand(self, event: Event) -> Integers:
        """Nothing at the node where the buyer is, for the loss counts parcels only."""
        costs = np.full(self._count, _NEVER, np.int64)
        costs[self._names.nodes.find(event.node_key)] = 0
        return costs

    def of(self, event: Event, at: int) -> Integers:
        """int64[nodes]: micros of one unit of line ``at`` of a parcel order, rounded down; ``_NEVER`` from nodes that cannot send it."""
        costs = np.full(self._count, _NEVER, np.int64)
        region = self._network.region_of(event.postal_code)
        channel = self._names.channels.find(event.channel_key)
        able = self._network.candidates(channel, c.FLAG_OPEN | c.FLAG_SHIPS) if region >= 0 else np.zeros(0, np.int64)
        zones = self._network.zones[region, able]
        share = self._share(event, at, zones, self._package[able])
        able, share = able[share < np.inf], share[share < np.inf]
        # A little less than computed: floats must not lift the bound.
        costs[able] = np.floor(share * (1 - 1e-9)).astype(np.int64) + self._unit[able]
        return costs

    def _share(self, event: Event, at: int, zones: NDArray[np.uint8], package: Integers) -> NDArray[np.float64]:
        """What carrier and node take for a package, by weight, at the least: float64[nodes], infinite where it is not carried."""
        service_key = event.service_key or self._first_service
        goods = [(self._grams[line.sku_key], line.units) for line in event.lines]
        grams, total = goods[at][0], sum(weight * units for weight, units in goods)
        weights = _package_weights(goods, at)
        listed = weights is not None
        if weights is None:
            breaks = self._breaks[service_key]
            weights = sorted({each for each in breaks if each < total} | {min(total, breaks[-1])})
        prices = np.array([self._zone_prices(service_key, each) for each in weights])[:, zones]
        if not total:  # nothing weighs anything: shares by units
            return np.where(prices[0] < 0, np.inf, (package + prices[0]) / sum(units for _, units in goods))
        column = np.array(weights)[:, np.newaxis]
        if not grams:  # whatever else is in the package pays for it
            return np.where((prices < 0).all(axis=0), np.inf, 0.0)
        parts = package / (column if listed else total) + prices / column
        least: NDArray[np.float64] = np.where(prices < 0, np.inf, parts).min(axis=0) * grams
        return least

    def _priced(self, service_key: str, grams: int) -> Integers:
        """int64[zones + 1]: a package's price by zone, −1 where it is not carried."""
        service, zone_count = self._names.services.find(service_key), self._network.rates.shape[1]
        return np.array([self._network.carrier_micros(service, zone, grams) for zone in range(zone_count)])


def _package_weights(goods: list[tuple[int, int]], at: int) -> list[int] | None:
    """Every weight that a package with a unit of line ``at`` may have, of (grams, units) a line; None when there are too many."""
    weights = {goods[at][0]}
    for line, (grams, units) in enumerate(goods):
        more = range(units if line != at else units - 1, -1, -1)
        weights = {weight + grams * count for weight in weights for count in more}
        if len(weights) > _WEIGHTS_MAX:
            return None
    return sorted(weights)
