"""Where goods go back to when prices count: carrier + handling − what the units will be worth there."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from engine.core.return_nodes import UNITS_LOOKED_AT, worth
from engine.kernels import columns as c
from engine.kernels import prices as kernels
from engine.model import commands as m
from engine.model.network import Sku
from engine.model.outcomes import Outcome
from engine.model.policies import Weights
from tests.builders import NODES, POLICY, Store, limits
from tests.routing_terms import tail

MARGIN = 8_000_000
SEED = 4_711


@pytest.fixture
def store() -> Store:
    """Ten ants at east, none at west, where walk-ins want three of them; the lab has never seen one."""
    store = Store()
    store.tell(m.PutSkus, skus=(Sku("A", "Ant", 500, unit_margin_micros=MARGIN),))
    store.stock(("A", "east", 10), ("A", "west", 0))
    return store


def weigh(store: Store, **weights: int) -> None:
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(weights=Weights(**weights)))


def set_prices(store: Store, *rows: tuple[str, int, float], complete: bool = True) -> None:
    """(node, price, walk-ins) of ants."""
    nodes, prices, demands = zip(*rows, strict=True)
    told = store.tell(
        m.SetPrices,
        plan_key="p",
        sku_keys=("A",) * len(rows),
        node_keys=nodes,
        price_micros=prices,
        demand_1024ths=tuple(int(demand * kernels.DEMAND_ONE) for demand in demands),
        complete=complete,
    )
    assert told.outcome == Outcome.OK


def goes_to(store: Store, units: int = 1, postal_code: str = "10001") -> tuple[str, int]:
    """The node of a return from there, and what the way costs."""
    lines = ((-1, "A", units),)
    reply = store.tell(m.AuthorizeReturn, channel_key="web", order_id=0, lines=lines, postal_code=postal_code)
    assert reply.outcome == Outcome.OK
    store.audit()
    return NODES[reply.goods.node_index].node_key, reply.goods.cost_micros


def test_goods_go_where_they_will_be_wanted_next(store: Store) -> None:
    assert goes_to(store) == ("east", 4_100_000)
    weigh(store, price=100)
    set_prices(store, ("east", 0, 0.5), ("west", 0, 3.0))
    # East has ten for half a customer. West has none for three: the next one sells there at a margin of 8, and the way costs 1 to 5 more.
    assert goes_to(store) == ("west", 7_050_000)


def test_what_is_on_its_way_is_there_already(store: Store) -> None:
    weigh(store, price=100)
    set_prices(store, ("west", 0, 1.0))
    nodes = [goes_to(store)[0] for _ in range(4)]
    assert nodes == ["west", "east", "east", "east"], "one is enough for one customer"


def test_a_price_that_planning_set_counts(store: Store) -> None:
    weigh(store, price=100)
    set_prices(store, ("east", 1_000_000, 0.0), ("west", 4_000_000, 0.0))
    assert goes_to(store)[0] == "west", "3 more, for a way that costs 2.95 more"
    set_prices(store, ("east", 1_000_000, 0.0), ("west", 3_900_000, 0.0))
    assert goes_to(store)[0] == "east"


@pytest.mark.parametrize("reason", ["no weight", "no plan", "plan too old"])
def test_without_prices_the_cheapest_way_is_taken(reason: str) -> None:
    store = Store(limits(price_age_max_ns=10**9)) if reason == "plan too old" else Store()
    store.tell(m.PutSkus, skus=(Sku("A", "Ant", 500, unit_margin_micros=MARGIN),))
    store.stock(("A", "west", 0))
    weigh(store, price=0 if reason == "no weight" else 100)
    set_prices(store, ("west", 9_000_000, 3.0), complete=reason != "no plan")
    if reason == "plan too old":
        assert goes_to(store)[0] == "west"
        store.wait(2 * 10**9)
        store.sweep()
    assert goes_to(store)[0] == "east"


def test_weights_count_for_ways_as_well(store: Store) -> None:
    weigh(store, carrier=0, handling=100)
    assert goes_to(store)[0] == "lab", "it handles for nothing"


def slow_worth(store: Store, node: str, units: int) -> int:
    """Unit by unit."""
    pool = store.machine.pool
    slot = pool.stock.find(0, pool.names.nodes.find(node))
    if slot < 0:
        return 0
    cell = {row: int(pool.state[0][row, slot]) for row in (c.PRICE, c.DEMAND, c.ATF, c.INCOMING)}
    each = [
        max(
            cell[c.PRICE],
            MARGIN * tail(cell[c.DEMAND], cell[c.ATF] + cell[c.INCOMING] + unit) >> 16 if cell[c.DEMAND] else 0,
        )
        for unit in range(1, 1 + min(units, UNITS_LOOKED_AT))
    ]
    return sum(each) + (units - len(each)) * each[-1]


def test_worth_is_the_sum_over_the_units(store: Store) -> None:
    chance = Random(SEED)
    nodes = np.arange(len(NODES))
    for _ in range(60):
        set_prices(
            store, *[(node, chance.choice([0, 10**6, 10**9]), chance.uniform(0, 20)) for node in ("east", "west")]
        )
        store.stock(("A", "east", chance.randrange(25)), ("A", "west", chance.randrange(3)))
        units = chance.choice([1, 2, 5, UNITS_LOOKED_AT, UNITS_LOOKED_AT + 700])
        slow = [slow_worth(store, node.node_key, units) for node in NODES]
        assert worth(store.machine.pool, 0, units, nodes).tolist() == slow, f"seed {SEED}"


@pytest.mark.compiled
def test_many_tails_are_those_of_one() -> None:
    chance = np.random.default_rng(SEED)
    demand = np.concatenate([chance.integers(1, 2**17, 3_000), chance.integers(1, 2**40, 1_000), [1, 2**16, 2**16 - 1]])
    for units in (-3, 0, 1, 2, 40, 63, 64, 65, 10**4, 10**9):
        many = kernels.tail_of(demand, np.full(demand.shape, units)).tolist()
        one = [int(kernels.wanted_at_least.py_func(int(mean), units)) for mean in demand]
        assert many == one, f"{units} units, seed {SEED}"
