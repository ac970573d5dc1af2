"""Suggested transfers against the plainest reading of them: every lane and every number of units, again after each one taken."""

from __future__ import annotations

from random import Random

import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.network import Sku
from engine.model.outcomes import Outcome
from engine.planning.transfers import Transfer, Wish, find_transfers, read_places, read_shelves
from tests.builders import EXPRESS, GROUND, NODES, Store
from tests.routing_terms import tail

SEED = 815
MARGIN = 30_000_000
NODE_KEYS = [node.node_key for node in NODES]


@pytest.fixture
def store() -> Store:
    """Ants with a margin of 30."""
    store = Store()
    store.tell(m.PutSkus, skus=(Sku("A", "Ant", 500, unit_margin_micros=MARGIN),))
    return store


def set_prices(store: Store, *rows: tuple[str, int, float]) -> None:
    """(node, price, walk-ins) of ants."""
    nodes, prices, demands = zip(*rows, strict=True)
    walk_ins = tuple(int(demand * 1_024) for demand in demands)
    told = store.tell(
        m.SetPrices,
        plan_key="p",
        sku_keys=("A",) * len(rows),
        node_keys=nodes,
        price_micros=prices,
        demand_1024ths=walk_ins,
        complete=True,
    )
    assert told.outcome == Outcome.OK


def suggested(store: Store, least: int = 1, limit: int = 100) -> list[Transfer]:
    pool = store.machine.pool
    parts = [Wish(least, limit), read_places(pool), read_shelves(pool, 0)]
    (found,) = find_transfers(parts)
    return found


def told(store: Store, **wish: int) -> list[tuple[str, str, int, int, int]]:
    """From, to, units, cost and gain."""
    return [
        (NODE_KEYS[each.source_index], NODE_KEYS[each.destination_index], *each[3:])
        for each in suggested(store, **wish)
    ]


def test_units_go_to_where_walk_ins_want_them(store: Store) -> None:
    store.stock(("A", "dc", 50), ("A", "east", 0))
    set_prices(store, ("dc", 0, 0.0), ("east", 0, 2.0))
    # From the warehouse to the east: zone 2, 9 for more than a kilogram, and half a unit of money for the package; walk-ins take the
    # first with 86 %, the second with 59 %, the third with 32 %, the fourth with 14 % and the fifth with 5 %.
    ((source, destination, units, cost, gain),) = told(store)
    worth = sum(MARGIN * tail(2_048, at) >> 16 for at in range(1, 1 + units))
    assert (source, destination, cost, gain) == ("dc", "east", 9_500_000, worth - cost)
    assert units == 10, "as many as the step of the rate card has room for"


def test_nothing_moves_without_a_reason(store: Store) -> None:
    store.stock(("A", "dc", 5), ("A", "east", 5), ("A", "lab", 0))
    assert told(store) == []
    set_prices(store, ("dc", 9_000_000, 0.0), ("east", 9_000_000, 0.0), ("lab", 40_000_000, 0.0))
    assert told(store) == [], "the lab is in no region"


def test_a_price_counts_for_one_unit(store: Store) -> None:
    store.stock(("A", "dc", 50), ("A", "east", 3))
    set_prices(store, ("dc", 1_000_000, 0.0), ("east", 20_000_000, 0.0))
    ((_, _, units, cost, gain),) = told(store)
    assert (units, gain) == (1, 20_000_000 - 1_000_000 - cost)
    assert told(store, least=gain + 1) == []


def test_what_is_on_its_way_is_there_already(store: Store) -> None:
    store.stock(("A", "dc", 50), ("A", "east", 0))
    set_prices(store, ("east", 0, 0.5))
    assert len(told(store)) == 1
    lines = ((-1, "A", 4),)
    store.tell(m.AuthorizeReturn, channel_key="web", order_id=0, lines=lines, drop_off_node_key="east")
    assert told(store) == []


def plain(store: Store) -> list[tuple[int, ...]]:
    """Greedy over everything, one cell at a time."""
    pool, grams = store.machine.pool, 500
    regions = {key: pool.network.region_of(node.postal_code) for key, node in zip(NODE_KEYS, NODES, strict=True)}
    cells = {}
    for at, key in enumerate(NODE_KEYS):
        slot = pool.stock.find(0, at)
        if slot >= 0:
            row = {name: int(pool.state[0][getattr(c, name), slot]) for name in ("ATF", "PRICE", "DEMAND", "INCOMING")}
            cells[key] = row | {"arrived": 0}

    def wanted(cell: dict[str, int], left: int) -> int:
        return MARGIN * tail(cell["DEMAND"], left) >> 16 if cell["DEMAND"] else 0

    def gain(source: str, destination: str, units: int) -> tuple[int, int] | None:
        one, two = cells[source], cells[destination]
        at = NODE_KEYS.index(source)
        zone = int(pool.network.zones[regions[destination], at])
        prices = [pool.network.carrier_micros(card, zone, grams * units) for card in range(len((GROUND, EXPRESS)))]
        if one["ATF"] < units or not NODES[at].ships or max(prices) < 0:
            return None
        cost = min(price for price in prices if price >= 0) + NODES[at].package_cost_micros
        cost += units * NODES[at].unit_cost_micros
        there = two["ATF"] + two["INCOMING"] + two["arrived"]
        sells = [wanted(two, there + 1 + step) for step in range(units)]
        if not two["arrived"]:
            sells[0] = max(sells[0], two["PRICE"])
        leaves = [max(one["PRICE"], wanted(one, one["ATF"] - step)) for step in range(units)]
        return sum(sells) - sum(leaves) - cost, cost

    taken: list[tuple[int, ...]] = []
    while True:
        ways = [
            (found[0], -units, -NODE_KEYS.index(one), -NODE_KEYS.index(two), found[1])
            for units in range(1, 9)
            for one in cells
            for two in cells
            if one != two and regions[two] >= 0 and (found := gain(one, two, units))
        ]
        if not ways or max(ways)[0] < 1:
            return sorted(taken, key=lambda each: (-each[5], *each[:3]))
        best, units, one, two, cost = max(ways)
        taken.append((0, -one, -two, -units, cost, best))
        cells[NODE_KEYS[-one]]["ATF"] += units
        cells[NODE_KEYS[-two]]["arrived"] -= units


def test_they_are_those_of_the_plain_reading(store: Store) -> None:
    chance, several = Random(SEED), 0
    for _ in range(40):
        keys = [key for key in NODE_KEYS if chance.random() < 0.9]
        store.stock(*[("A", key, chance.randrange(9)) for key in keys])
        rows = [
            (key, chance.choice([0, 0, 10**6, 2 * 10**7]), chance.choice([0.0, chance.uniform(0, 4)])) for key in keys
        ]
        if not rows:
            continue
        set_prices(store, *rows)
        found = suggested(store)
        assert [tuple(each) for each in found] == plain(store), f"seed {SEED}: {rows}"
        several += len(found) > 1
    assert several > 3
