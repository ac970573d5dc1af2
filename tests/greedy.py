"""A scenario checked against its own rules, and played on paper by the simplest thinkable router.

The router sends from the nearest node that has everything, else line by line from whoever has most. It knows no reservations; what it
fills and splits says whether a scenario is worth playing.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from engine.demo.places import distances
from engine.demo.scenario import Call, Kind, Order, Receipt, Return, Scenario

SHIPPED = (Kind.SHIP, Kind.MARKETPLACE)


def check_rules(scenario: Scenario, calls: Iterable[Call]) -> None:
    """Asserts what ``scenario`` promises of calls; ``calls`` start at the first day."""
    nodes = {node.node_key: node for node in scenario.nodes}
    skus = {sku.sku_key for sku in scenario.skus}
    services = {card.service_key for card in scenario.rate_cards}
    regions = set(scenario.zone_chart.region_keys)
    sold: dict[str, Order] = {}
    back: Counter[tuple[str, int]] = Counter()
    keys: set[str] = set()
    last = 0
    for call in calls:
        assert call.at_ns >= last
        last = call.at_ns
        if isinstance(call, Receipt):
            assert call.node_key in nodes
            assert 1 <= len(call.lines) <= 1_000
            assert all(sku in skus and units > 0 for sku, units in call.lines)
        elif isinstance(call, Return):
            assert bool(call.node_key) != bool(call.postal_code)
            assert not call.node_key or nodes[call.node_key].accepts_returns
            for line in call.lines:
                assert line.sku_key in skus
                assert line.units > 0
                assert (line.line_index < 0) == (not call.order_key)
                if call.order_key:
                    order = sold[call.order_key]
                    assert order.returns
                    assert not order.cancels
                    assert order.lines[line.line_index].sku_key == line.sku_key
                    back[call.order_key, line.line_index] += line.units
                    assert back[call.order_key, line.line_index] <= order.lines[line.line_index].units
        else:
            assert call.order_key not in keys
            keys.add(call.order_key)
            assert 1 <= len(call.lines) <= (1_000 if call.kind is Kind.POS else 10)
            assert len({line.sku_key for line in call.lines}) == len(call.lines)
            assert all(line.sku_key in skus and line.units > 0 and line.unit_price_micros >= 0 for line in call.lines)
            assert bool(call.node_key) == (call.kind not in SHIPPED)
            assert bool(call.postal_code) == (call.kind in SHIPPED)
            if call.kind is Kind.PICKUP:
                assert nodes[call.node_key].offers_pickup
            if call.kind in SHIPPED:
                assert call.service_key in services
                assert call.postal_code[:3] in regions
            assert not (call.rejects and call.kind not in SHIPPED)
            assert not (call.abandons and call.kind not in {Kind.SHIP, Kind.PICKUP})
            if call.returns:
                sold[call.order_key] = call


@dataclass(slots=True)
class Played:
    """Counts of orders by kind: all of them, those filled in full, and (of parcels) those from several nodes."""

    orders: Counter[Kind] = field(default_factory=Counter)
    filled: Counter[Kind] = field(default_factory=Counter)
    split: Counter[Kind] = field(default_factory=Counter)

    def fill_rate(self, *kinds: Kind) -> float:
        """Share of the orders of these kinds that got everything."""
        return sum(self.filled[kind] for kind in kinds) / sum(self.orders[kind] for kind in kinds)


class Greedy:
    """Stock on paper."""

    def __init__(self, scenario: Scenario) -> None:
        self._stock: dict[str, dict[str, int]] = {sku.sku_key: {} for sku in scenario.skus}
        for columns in scenario.opening():
            for sku, node, units in zip(
                columns.sku_keys, columns.node_keys, columns.on_hand_units.tolist(), strict=True
            ):
                assert node not in self._stock[sku], "a cell occurs twice in the opening stock"
                assert units >= 0
                self._stock[sku][node] = units
        self.cell_count = sum(map(len, self._stock.values()))
        self._ships = {node.node_key for node in scenario.nodes if node.ships}
        chart = scenario.zone_chart
        away = distances(
            chart.latitudes,
            chart.longitudes,
            np.array([node.latitude for node in scenario.nodes]),
            np.array([node.longitude for node in scenario.nodes]),
        )
        keys = [node.node_key for node in scenario.nodes]
        self._away = {
            region: dict(zip(keys, row.tolist(), strict=True))
            for region, row in zip(chart.region_keys, away, strict=True)
        }
        self.played = Played()

    def play(self, calls: Iterable[Call]) -> Played:
        """Plays the calls; abandoned baskets and cancellations are left out."""
        for call in calls:
            if isinstance(call, Receipt):
                for sku, units in call.lines:
                    self._stock[sku][call.node_key] = self._stock[sku].get(call.node_key, 0) + units
            elif isinstance(call, Order) and not call.abandons:
                self.played.orders[call.kind] += 1
                self.played.filled[call.kind] += self._parcel(call) if call.kind in SHIPPED else self._counter(call)
        return self.played

    def _counter(self, order: Order) -> bool:
        has_all = all(self._stock[line.sku_key].get(order.node_key, 0) >= line.units for line in order.lines)
        if has_all or order.kind is Kind.POS:
            for line in order.lines:
                self._take(line.sku_key, order.node_key, line.units)
        return has_all

    def _parcel(self, order: Order) -> bool:
        away = self._away[order.postal_code[:3]]
        free = [
            {node: units for node, units in self._stock[line.sku_key].items() if units > 0 and node in self._ships}
            for line in order.lines
        ]
        needs = [line.units for line in order.lines]
        if any(sum(units.values()) < need for units, need in zip(free, needs, strict=True)):
            return False
        whole = [
            node for node in free[0] if all(units.get(node, 0) >= need for units, need in zip(free, needs, strict=True))
        ]
        used: set[str] = set()
        if whole:
            used = {min(whole, key=away.__getitem__)}
        for line, units in zip(order.lines, free, strict=True):
            need = line.units
            for node in sorted(units, key=lambda node: (node not in used, -units[node], away[node])):
                part = min(need, units[node])
                self._take(line.sku_key, node, part)
                used.add(node)
                need -= part
                if not need:
                    break
        self.played.split[order.kind] += len(used) > 1
        return True

    def _take(self, sku: str, node: str, units: int) -> None:
        self._stock[sku][node] = self._stock[sku].get(node, 0) - units
