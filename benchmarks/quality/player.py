"""Plays a stream under a policy, event by event: what it costs.

A policy chooses the node of each order among those that have the unit: the least of what serving costs and what the unit is worth there. It
never refuses an order that some node can serve. Prices are refreshed a number of times, by the production functions, from the stock of then
and a forecast of what is left of the stream.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.quality.streams import Integers, Stream
from engine.planning.futures import Forecast, sampled
from engine.planning.prices import Cells, prices
from engine.planning.walk_ins import DEMAND_ONE, kept_values


class Policy(NamedTuple):
    """How a node is chosen. Without ``nearest`` and prices: the cheapest."""

    name: str
    nearest: bool = False
    newsvendor: bool = False
    """What a unit may still earn of walk-ins counts, followed live."""
    refreshes: int = 0
    """How often the scenario prices are found anew in the course of a stream; 0: never."""
    scenarios: int = 8
    noise: float = 0.0
    """Standard deviation of the logarithm by which the forecast of each SKU, and of each cell's walk-ins, is wrong."""


POLICIES = (
    Policy("nearest", nearest=True),
    Policy("myopic"),
    Policy("newsvendor", newsvendor=True),
    Policy("priced", newsvendor=True, refreshes=12),
    Policy("priced_noisy", newsvendor=True, refreshes=12, noise=0.3),
)


class Played(NamedTuple):
    """What a stream cost, micros."""

    sent: int
    """Carrier and handling."""
    unserved: int
    lost: int
    """Walk-ins who did not find their unit."""

    @property
    def total(self) -> int:
        """All of it."""
        return self.sent + self.unserved + self.lost


def play(stream: Stream, policy: Policy, seed: int = 1) -> Played:
    """The cost of a policy; ``seed`` draws the errors of its forecast and the futures of its prices, nothing else."""
    return _Player(stream, policy, seed).played()


class _Player:
    def __init__(self, stream: Stream, policy: Policy, seed: int) -> None:
        chance = np.random.default_rng([seed, 1])
        self._stream, self._policy, self._seed = stream, policy, seed
        self._units = stream.units.copy()
        self._price = np.zeros_like(stream.units)
        self._walk_ins = np.zeros_like(stream.units)
        self._order_rates = stream.order_rates * _errors(chance, policy.noise, len(stream.order_rates))
        self._walk_in_rates = stream.walk_in_rates * _errors(chance, policy.noise, len(stream.walk_in_rates))
        self._margin = np.repeat(stream.costs.margin, np.diff(stream.first))

    def played(self) -> Played:
        stream, policy, units = self._stream, self._policy, self._units
        sent = unserved = lost = 0
        looks = max(policy.refreshes, 12 if policy.newsvendor else 1)
        for look in range(looks):
            self._refresh(look / looks)
            begin, end = np.searchsorted(stream.times, [look / looks, (look + 1) / looks])
            events = (stream.cells[begin:end], stream.skus[begin:end], stream.regions[begin:end])
            for cell, sku, region in zip(*(column.tolist() for column in events), strict=True):
                if cell >= 0:
                    if units[cell] > 0:
                        units[cell] -= 1
                    else:
                        lost += int(stream.costs.margin[sku])
                    continue
                chosen, cost = self._chosen(sku, region)
                if chosen < 0:
                    unserved += int(stream.costs.unserved[sku])
                else:
                    units[chosen] -= 1
                    sent += cost
        return Played(sent, unserved, lost)

    def _refresh(self, time: float) -> None:
        """See the forecast of the rest of the stream from ``time`` on, and the prices that follow."""
        policy, stream, rest = self._policy, self._stream, 1.0 - time
        if policy.newsvendor:
            self._walk_ins = np.rint(self._walk_in_rates * rest * DEMAND_ONE).astype(np.int64)
        if policy.refreshes:
            demands = sampled(Forecast(self._order_rates * rest, stream.region_shares), policy.scenarios, self._seed)
            self._price = prices(Cells(stream.first, stream.nodes, self._units, self._walk_ins), stream.costs, demands)

    def _chosen(self, sku: int, region: int) -> tuple[int, int]:
        """(cell, cost) for one unit to the region; -1 when nobody has it. Of equals the first."""
        stream, policy = self._stream, self._policy
        first, last = int(stream.first[sku]), int(stream.first[sku + 1])
        have = first + np.flatnonzero(self._units[first:last] > 0)
        if not len(have):
            return -1, 0
        nodes = stream.nodes[have]
        zones = stream.costs.zones[region, nodes]
        costs = stream.costs.rates[sku, zones] + stream.costs.handling[nodes]
        if policy.nearest:
            scores: Integers = zones.astype(np.int64)
        elif policy.newsvendor:
            scores = costs + np.maximum(
                self._price[have], kept_values(self._margin[have], self._walk_ins[have], self._units[have])
            )
        else:
            scores = costs
        best = int(scores.argmin())
        return int(have[best]), int(costs[best])


def _errors(chance: np.random.Generator, noise: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.exp(noise * chance.standard_normal(count) - noise * noise / 2)
