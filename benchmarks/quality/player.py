"""Plays a stream under a policy, event by event: what it costs.

The production machine routes each order among the nodes that have the unit, by its policy and the prices that were set; walk-ins take theirs
from the same stock. Prices are refreshed a number of times, by the production functions, from the stock of then and a forecast of what is
left of the stream: that forecast is given, and not made from what was sold, so that its errors can be set.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.quality.chain import Chain
from benchmarks.quality.streams import Stream
from engine.planning.futures import Forecast, sampled
from engine.planning.prices import Cells, prices
from engine.planning.walk_ins import DEMAND_ONE


class Policy(NamedTuple):
    """How a node is chosen. Without ``nearest`` and prices: the cheapest. With ``nearest`` the rates of the network are the zones alone."""

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
        self._chain = Chain(stream, cheapest=not policy.nearest, priced=policy.newsvendor)
        self._order_rates = stream.order_rates * _errors(chance, policy.noise, len(stream.order_rates))
        self._walk_in_rates = stream.walk_in_rates * _errors(chance, policy.noise, len(stream.walk_in_rates))

    def played(self) -> Played:
        stream, policy, chain = self._stream, self._policy, self._chain
        sent = unserved = lost = 0
        looks = max(policy.refreshes, 12 if policy.newsvendor else 1)
        for look in range(looks):
            self._refresh(look / looks)
            begin, end = np.searchsorted(stream.times, [look / looks, (look + 1) / looks])
            events = (stream.cells[begin:end], stream.skus[begin:end], stream.regions[begin:end])
            for cell, sku, region in zip(*(column.tolist() for column in events), strict=True):
                if cell >= 0:
                    lost += 0 if chain.sell(cell) else int(stream.costs.margin[sku])
                elif (node := chain.send(sku, region)) < 0:
                    unserved += int(stream.costs.unserved[sku])
                else:
                    zone = stream.costs.zones[region, node]
                    sent += int(stream.costs.rates[sku, zone] + stream.costs.handling[node])
        return Played(sent, unserved, lost)

    def _refresh(self, time: float) -> None:
        """See the forecast of the rest of the stream from ``time`` on, and the prices that follow."""
        policy, stream, rest = self._policy, self._stream, 1.0 - time
        if not policy.newsvendor:
            return
        walk_ins = np.rint(self._walk_in_rates * rest * DEMAND_ONE).astype(np.int64)
        found = np.zeros_like(walk_ins)
        if policy.refreshes:
            demands = sampled(Forecast(self._order_rates * rest, stream.region_shares), policy.scenarios, self._seed)
            found = prices(Cells(stream.first, stream.nodes, self._chain.units, walk_ins), stream.costs, demands)
        self._chain.price(found, walk_ins)


def _errors(chance: np.random.Generator, noise: float, count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.exp(noise * chance.standard_normal(count) - noise * noise / 2)
