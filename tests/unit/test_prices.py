"""Prices as state: written whole, found again, as old as they are, the same after a replay."""

from __future__ import annotations

from typing import Any

from engine.core.differences import differences
from engine.core.image import copy_of
from engine.core.machine import Machine
from engine.core.rebuilding import machine_of
from engine.journal.codec import decode, decode_run, encode
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Sku
from engine.model.outcomes import CommandKind, Outcome
from engine.model.policies import RoutingPolicy, Weights
from engine.model.prices import PricePlan
from tests.builders import EPOCH_NS, SMALL, Store, ship

MINUTE_NS = 60_000_000_000


def told(store: Store, *rows: tuple[str, str, int, int], plan: str = "p1", complete: bool = True) -> Any:
    skus, nodes, prices, demands = zip(*rows, strict=True) if rows else ((),) * 4
    return store.tell(
        m.SetPrices,
        plan_key=plan,
        sku_keys=tuple(skus),
        node_keys=tuple(nodes),
        price_micros=tuple(prices),
        demand_1024ths=tuple(demands),
        complete=complete,
    )


def prices(store: Store, sku: str, node: str = "") -> dict[str, tuple[int, int]]:
    answer = store.ask(q.GetPrices(0, sku, node))
    assert answer.outcome == Outcome.OK
    keys = store.machine.pool.names.node_keys
    return {keys[cell.node_index]: (cell.price_micros, cell.demand_1024ths) for cell in answer.cells}


def stocked() -> Store:
    store = Store()
    store.stock(("A", "dc", 5), ("A", "east", 2), ("B", "west", 1))
    return store


def test_a_plan_is_in_force_with_its_last_part() -> None:
    store = stocked()
    reply = told(store, ("A", "dc", 700_000, 512), complete=False)
    assert reply == (Outcome.OK, "", 1, 1, 1)
    assert store.ask(q.GetPrices(0, "A")).price_plan is None
    store.wait(MINUTE_NS)
    told(store, ("A", "east", 900_000, 2_048))
    store.wait(MINUTE_NS)
    answer = store.ask(q.GetPrices(0, "A"))
    assert answer.price_plan == PricePlan("p1", EPOCH_NS + MINUTE_NS)
    assert answer.age_ns == MINUTE_NS
    assert prices(store, "A") == {"dc": (700_000, 512), "east": (900_000, 2_048)}
    assert prices(store, "A", "east") == {"east": (900_000, 2_048)}
    assert prices(store, "B") == {"west": (0, 0)}


def test_cells_that_do_not_exist_are_passed_over_and_the_last_row_of_a_cell_counts() -> None:
    store = stocked()
    reply = told(store, ("A", "dc", 1, 0), ("A", "west", 2, 0), ("A", "dc", 3, 9), ("B", "west", 0, 0))
    assert (reply.row_count, reply.cell_count, reply.changed_count) == (4, 3, 1)
    assert prices(store, "A") == {"dc": (3, 9), "east": (0, 0)}


def test_what_stays_the_same_is_not_journaled() -> None:
    store = stocked()
    told(store, ("A", "dc", 5, 5))
    assert told(store, ("A", "dc", 5, 5), plan="p2").changed_count == 0
    assert store.decisions[-1].effects is None
    assert store.ask(q.GetPrices(0, "A")).price_plan.plan_key == "p2"


def test_an_unknown_key_refuses_everything() -> None:
    store = stocked()
    assert told(store, ("A", "dc", 5, 5), ("?", "dc", 1, 1)) == (Outcome.UNKNOWN_SKU, "?", 2, 0, 0)
    assert told(store, ("A", "?", 5, 5)) == (Outcome.UNKNOWN_NODE, "?", 1, 0, 0)
    assert prices(store, "A") == {"dc": (0, 0), "east": (0, 0)}
    assert store.ask(q.GetPrices(0, "?")).outcome == Outcome.UNKNOWN_SKU
    assert store.ask(q.GetPrices(0, "A", "?")).outcome == Outcome.UNKNOWN_NODE


def test_replay_and_snapshot_give_the_same_prices() -> None:
    store = stocked()
    store.tell(m.PutSkus, skus=(Sku("A", unit_margin_micros=3_000_000), Sku("N", unit_margin_micros=7)))
    told(store, *[("A", node, 10**12 - at, at << 40) for at, node in enumerate(("dc", "east"))])
    machine = store.machine
    assert machine.pool.state[1][c.SKU_MARGIN, :5].tolist() == [3_000_000, 0, 0, 0, 7]
    replayed = Machine(SMALL)
    replayed.apply_run(decode_run([encode([decision]) for decision in store.decisions]))
    rebuilt = machine_of(copy_of(machine), SMALL)
    assert machine.digest() == replayed.digest() == rebuilt.digest()
    assert rebuilt.pool.network.price_plan == PricePlan("p1", EPOCH_NS)
    assert decode(encode(store.decisions[-1:]))[0].documents == store.decisions[-1].documents


def test_a_price_that_differs_is_named() -> None:
    store = stocked()
    before = copy_of(store.machine)
    told(store, ("A", "east", 5, 6), complete=False)
    found = differences(before, copy_of(store.machine))
    assert [(finding.subject, finding.expected, finding.actual) for finding in found[:2]] == [
        ("price of A at east", 0, 5),
        ("demand of A at east", 0, 6),
    ]


def test_a_state_without_prices_has_the_digest_that_it_always_had() -> None:
    store = stocked()
    before = store.machine.digest()
    told(store, complete=True)
    assert store.machine.digest() != before


def test_prices_end_by_a_decision_of_their_own() -> None:
    store = stocked()
    told(store, ("A", "dc", 5, 5))
    assert store.machine.pool.network.prices_count
    count = len(store.decisions)
    store.wait(SMALL.price_age_max_ns - 1)
    store.sweep()
    assert len(store.decisions) == count
    store.wait(1)
    store.sweep()
    (ended,) = store.decisions[count:]
    assert (ended.kind, ended.request_id) == (CommandKind.EXPIRE, "")
    assert store.ask(q.GetPrices(0, "A")).price_plan == PricePlan("p1", EPOCH_NS, expired=True)
    assert prices(store, "A")["dc"] == (5, 5), "what planning said stays to be seen"
    assert not store.machine.pool.network.prices_count
    store.wait(MINUTE_NS)
    store.sweep()
    assert len(store.decisions) == count + 1, "they end once"
    replayed = Machine(SMALL)
    replayed.apply_run(decode_run([encode([decision]) for decision in store.decisions]))
    assert replayed.digest() == store.machine.digest() == machine_of(copy_of(store.machine), SMALL).digest()
    told(store, plan="p2")
    assert store.machine.pool.network.prices_count


def test_a_plan_that_is_not_complete_does_not_count() -> None:
    store = stocked()
    told(store, ("A", "dc", 5, 5), complete=False)
    assert not store.machine.pool.network.prices_count


def test_routing_goes_by_prices_while_a_plan_is_in_force() -> None:
    """The node that would be chosen is passed over while its unit is dear to the network, and no longer when the plan is too old."""
    store = Store()
    store.tell(m.PutRoutingPolicy, policy=RoutingPolicy("default", 0, True, "ground", Weights(price=100)))
    store.stock(("A", "dc", 5), ("A", "east", 5))

    def sender() -> str:
        placed = store.place(ship([("A", 1)]))
        return store.machine.pool.names.node_keys[store.work(placed.order.order_id)[0].node_index]

    cheapest = sender()
    told(store, ("A", cheapest, 50_000_000, 0), complete=False)
    assert sender() == cheapest, "half a plan is none"
    told(store, ("A", cheapest, 50_000_000, 0))
    assert sender() == {"dc": "east", "east": "dc"}[cheapest]
    store.wait(store.machine.pool.limits.price_age_max_ns + 1)
    assert sender() == cheapest
