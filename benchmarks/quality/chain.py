"""The world of a stream in the production machine: its network, its stock, and the policy by which orders are routed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np

from benchmarks.quality.streams import Integers, Stream
from engine.core.machine import Machine, Repeated
from engine.demo.places import band_metres, regions
from engine.demo.rates import rate_cards
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import Limits
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.outcomes import FulfillmentKind, Outcome
from engine.model.policies import Weights

NOW_NS: Final = 1_700_000_000 * 1_000_000_000
"""All happens at one instant: nothing ends, and no price grows old."""
CHANNEL, SERVICE = "web", "ground"


class Chain:
    """A machine that stocks what a stream opens with. ``cheapest``: by carrier, handling and, with ``priced``, by what units are worth; else by zone alone."""

    def __init__(self, stream: Stream, *, cheapest: bool, priced: bool) -> None:
        self._machine = Machine(replace(Limits(), request_ids_remembered=1, movements_remembered=1_024))
        self._requests = 0
        owners = np.repeat(np.arange(len(stream.grams)), np.diff(stream.first))
        self._sku_keys = [f"S{sku}" for sku in range(len(stream.grams))]
        node_keys = [f"N{node}" for node in range(stream.places.shape[1])]
        self._rows = [self._sku_keys[sku] for sku in owners], [node_keys[node] for node in stream.nodes]
        self._postal_codes = regions().postal_codes
        self._open(stream, cheapest=cheapest, priced=priced)
        names, stock = self._machine.pool.names, self._machine.pool.stock
        assert (list(names.sku_keys), list(names.node_keys)) == (self._sku_keys, node_keys)
        assert np.array_equal(
            self._machine.pool.network.arrays[1][: len(self._postal_codes), : len(node_keys)], stream.costs.zones
        )
        self._slots = stock.slots_of(owners, stream.nodes)
        assert self._slots.min() >= 0

    def _open(self, stream: Stream, *, cheapest: bool, priced: bool) -> None:
        card, areas = rate_cards()[0], regions()
        prices = card.price_micros
        if not cheapest:
            prices = np.broadcast_to(np.arange(1, 1 + len(prices))[:, None], prices.shape)
        told = tuple(prices.ravel().tolist())
        self.tell(m.PutRateCard, rate_card=RateCard(SERVICE, "USD", tuple(card.step_grams.tolist()), len(prices), told))
        chart = tuple(map(Region, areas.keys, areas.latitudes.tolist(), areas.longitudes.tolist()))
        self.tell(m.PutZoneChart, zone_chart=ZoneChart(chart, tuple(band_metres().tolist())))
        places, handling = stream.places.T.tolist(), stream.costs.handling.tolist()
        nodes = [
            Node(f"N{at}", latitude=place[0], longitude=place[1], unit_cost_micros=handling[at])
            for at, place in enumerate(places)
        ]
        self.tell(m.PutNodes, nodes=tuple(nodes))
        weights = Weights(handling=100 * cheapest, price=100 * priced)
        self.tell(m.PutRoutingPolicy, policy=RoutingPolicy(default_service_key=SERVICE, weights=weights))
        margins = stream.costs.margin.tolist()
        skus = zip(self._sku_keys, stream.grams.tolist(), margins, strict=True)
        self.tell(m.PutSkus, skus=tuple([Sku(key, "", grams, margin, margin) for key, grams, margin in skus]))
        self.tell(m.PutChannels, channels=(Channel(CHANNEL, all_nodes=True),))
        sku_keys, node_keys = map(tuple, self._rows)
        self.tell(m.ImportStock, sku_keys=sku_keys, node_keys=node_keys, on_hand_units=tuple(stream.units.tolist()))

    def tell(self, kind: type[m.Command], **fields: Any) -> Any:
        """The reply to a command, whatever it is."""
        self._requests += 1
        decision = self._machine.decide(kind(f"r{self._requests}", 0, **fields), NOW_NS)
        assert not isinstance(decision, Repeated)
        self._machine.apply(decision)
        assert kind is m.Reserve or decision.outcome == Outcome.OK, decision.reply
        return decision.reply

    @property
    def units(self) -> Integers:
        """int64[cells]: what may still be promised."""
        found: Integers = self._machine.pool.state[0][c.ATF, self._slots]
        return found

    def sell(self, cell: int) -> bool:
        """A walk-in takes a unit of a cell, when there is one."""
        there = bool(self._machine.pool.state[0][c.ATF, self._slots[cell]] > 0)
        if there:
            sku_keys, node_keys = self._rows
            self.tell(m.RecordSale, node_key=node_keys[cell], channel_key=CHANNEL, lines=((sku_keys[cell], 1),))
        return there

    def send(self, sku: int, region: int) -> int:
        """The node that sends a unit to a region; -1 when nobody has it."""
        lines = ((self._sku_keys[sku], 1),)
        claim = m.Claim(CHANNEL, lines, FulfillmentKind.SHIP, self._postal_codes[region])
        reply = self.tell(m.Reserve, claim=claim)
        return int(reply.legs[0].node_index) if reply.legs else -1

    def price(self, prices: Integers, demands: Integers) -> None:
        """What units are worth, and what walk-ins will want, from now on: int64[cells] both, micros and 1/1024 of a unit."""
        sku_keys, node_keys = map(tuple, self._rows)
        self.tell(
            m.SetPrices, plan_key=f"p{self._requests}", sku_keys=sku_keys, node_keys=node_keys,
            price_micros=tuple(prices.tolist()), demand_1024ths=tuple(demands.tolist()), complete=True,
        )  # fmt: skip
