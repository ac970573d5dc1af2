"""What a wave proposes: who moves with whom; and that what comes out can be decided as it is proposed."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from engine.core.claims import Planner
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.outcomes import Outcome
from engine.model.policies import Applies, Candidates, Rule
from engine.model.queries import Audit, GetStatus
from engine.model.replies import RerouteReply
from engine.planning.floating import Sought, read_floats, read_found, read_served
from engine.planning.moves import GROUP_MAX, Group, Mover, Places, Planned, Shelves, Wish, find_moves, grouped
from engine.planning.problem import cut_stock, network_of
from tests.builders import MINUTE_NS, NODES, POLICY, Store, limits, pickup, ship


def who(groups: list[list[Mover]]) -> list[list[int]]:
    return [[mover.order for mover in group] for group in groups]


def test_who_needs_nobody_moves_alone() -> None:
    movers = [Mover(0, 5, {0: 1, 1: -1}), Mover(1, 9, {2: 1, 3: -1})]
    assert who(grouped(movers, np.array([1, 0, 1, 0]), 1)) == [[1], [0]]


def test_who_gives_way_moves_with_the_one_who_gains() -> None:
    movers = [Mover(0, 9, {0: 1, 1: -1}), Mover(1, -4, {2: 1, 0: -1}), Mover(2, 1, {3: 1, 2: -1})]
    assert who(grouped(movers, np.array([0, 0, 0, 1]), 1)) == [[0, 1, 2]]


def test_a_ring_moves_together() -> None:
    movers = [Mover(0, 2, {0: 1, 1: -1}), Mover(1, 2, {1: 1, 0: -1})]
    assert who(grouped(movers, np.array([0, 0]), 1)) == [[0, 1]]


def test_what_does_not_pay_stays() -> None:
    movers = [Mover(0, 3, {0: 1, 1: -1}), Mover(1, -4, {2: 1, 0: -1}), Mover(2, -1, {2: 1, 3: -1})]
    assert grouped(movers, np.array([0, 0, 2, 0]), 1) == []


def test_a_chain_that_is_too_long_stays() -> None:
    chain = [Mover(at, 1, {at: 1, at + 1: -1}) for at in range(GROUP_MAX + 1)]
    free = np.zeros(GROUP_MAX + 2, np.int64)
    assert grouped(chain[::-1], free, 1) == [], "the first has no place to go"
    free[0] = 1
    assert who(grouped(chain, free, 1))[0] == [0]


@pytest.mark.parametrize("seed", range(20))
def test_groups_are_feasible_one_after_the_other(seed: int) -> None:
    chance = Random(seed)
    free = np.array([chance.choice([0, 0, 1, 3]) for _ in range(8)])
    movers = []
    for order in range(30):
        to, away = chance.sample(range(8), 2)
        units = chance.randint(1, 2)
        movers.append(Mover(order, chance.randint(-5, 10), {to: units, away: -units}))
    left = free.copy()
    groups = grouped(movers, free.copy(), 3)
    assert groups, f"seed {seed}"
    for group in groups:
        assert sum(mover.saving for mover in group) >= 3
        for mover in group:
            for slot, units in mover.changes.items():
                left[slot] -= units
        assert left.min() >= 0, f"seed {seed}"
    assert len({mover.order for group in groups for mover in group}) == sum(map(len, groups))


# From a store to its moves


def planned(store: Store, sought: Sought) -> tuple[list[Group], Planned]:
    """What a wave says to the store as it is."""
    pool = store.machine.pool
    planner = Planner(pool)
    store.ask(GetStatus(0))  # days are told for now
    ids: set[int] = set()
    node = 0
    while node >= 0:
        found = read_found(pool, store.now_ns, node, sought)
        ids.update(found.order_ids)
        node = found.next_node
    some = sorted(ids)
    floats = [read_floats(pool, planner, each) for each in (some[len(some) // 2 :], some[: len(some) // 2])]
    assert not pool.state[0][c.PENDING].any()
    skus = np.unique(np.concatenate([each.orders.lines[:, c.LINE_SKU] for each in floats]))
    shelves = [Shelves(cut_stock(pool.stock.arrays, skus[at : at + 1])) for at in range(len(skus))]
    groups: list[Group] = []
    for part in find_moves([Wish(10.0), *floats, Places(network_of(pool), skus), *shelves]):
        if isinstance(part, Planned):
            return groups, part
        groups += part
    raise AssertionError("it has no end")


def move(store: Store, group: Group) -> RerouteReply:
    names = store.machine.pool.names
    told = tuple(
        m.Move(each.order_id, each.work_ids, tuple((names.sku_keys[a], names.node_keys[b], u) for a, b, u in each.legs))
        for each in group
    )
    reply: RerouteReply = store.tell(m.RerouteOrder, moves=told)
    return reply


@pytest.mark.parametrize("seed", range(6))
def test_what_is_proposed_is_decided(seed: int) -> None:
    """Orders that came one after the other to scarce stock change places, and save what was said."""
    chance = Random(seed)
    store = Store(limits(closed_orders_remembered=50))
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(grace_ns=MINUTE_NS))
    for sku in "ABC":
        store.stock(*[(sku, node.node_key, chance.randint(1, 5)) for node in NODES[:3]])
    for _ in range(12):
        lines = [(sku, chance.randint(1, 2)) for sku in chance.sample("ABC", chance.choice([1, 1, 2]))]
        store.place(ship(lines, chance.choice(["10001", "90001", "50001"])))
    for sku in "ABC":
        cell = store.cell(sku, "dc")
        store.tell(m.SetStock, sku_key=sku, node_key="dc", on_hand_units=cell.on_hand + 1)
    groups, wave = planned(store, Sought())
    before = sum(cost(store, order_id) for order_id in range(1, wave.order_count + 1))
    saving = 0
    for group in groups:
        reply = move(store, group)
        assert (reply.outcome, reply.moved) == (Outcome.OK, True), f"seed {seed}"
        saving += reply.saving_micros
    after = sum(cost(store, order_id) for order_id in range(1, wave.order_count + 1))
    assert before - after == saving == wave.standing_micros - wave.score_micros, f"seed {seed}"
    assert wave.bound_micros <= wave.score_micros
    assert store.ask(Audit(0, digest=False)).report.findings == ()


def cost(store: Store, order_id: int) -> int:
    """What the open work of an order costs, split penalties with it."""
    orders = store.machine.pool.orders
    work = [each for each in orders.work_of_order(orders.orders[order_id]) if each.is_open]
    return sum(each.carrier_micros + each.handling_micros for each in work) + POLICY.split_penalty_micros * (
        len(work) - 1
    )


def test_which_orders_are_sought() -> None:
    store = Store()
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(grace_ns=MINUTE_NS))
    store.stock(("A", "dc", 9), ("A", "east", 9), ("A", "west", 9))
    early = store.place(ship([("A", 1)], "50001")).order.order_id
    store.wait(MINUTE_NS)
    late = store.place(ship([("A", 1)])).order.order_id
    mall = store.place(ship([("A", 1)], channel="app")).order.order_id
    store.place(pickup([("A", 1)]))
    begun = store.place(ship([("A", 1)])).order
    store.tell(m.Accept, fulfillment_order_id=begun.fulfillment_order_ids[0])
    pool = store.machine.pool

    def sought(**fields: Any) -> list[int]:
        return sorted(read_found(pool, store.now_ns, 0, Sought(**fields)).order_ids)

    assert sought() == [late, mall]
    assert sought(with_released=True) == [early, late, mall]
    assert sought(channel_index=pool.names.channels.find("app")) == [mall]
    store.tell(m.PutNodes, nodes=(NODES[0]._replace(closed=True),))
    assert sought() == [early, late, mall], "its node is closed"


def test_an_order_that_nobody_can_serve_is_left_out() -> None:
    store = Store()
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(grace_ns=MINUTE_NS))
    store.stock(("A", "dc", 1))
    order_id = store.place(ship([("A", 1)])).order.order_id
    store.tell(m.PutNodes, nodes=(NODES[0]._replace(closed=True),))
    floats = read_floats(store.machine.pool, Planner(store.machine.pool), [order_id, 99])
    assert (floats.order_ids, floats.left_out) == ([], 1)


def test_orders_that_keep_other_units_are_planned_one_after_the_other() -> None:
    """Two rules keep different units in every cell; whoever is planned second sees what the first has left."""
    store = Store()
    rules = (Rule("small", Applies(units_max=1), Candidates(keep_units=1)), Rule("rest"))
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(grace_ns=MINUTE_NS, rules=rules))
    store.stock(("A", "west", 9))
    for units in (1, 2, 1, 2):
        store.place(ship([("A", units)]))
    store.stock(("A", "east", 4))
    groups, wave = planned(store, Sought())
    assert wave.order_count == 4
    assert all(move(store, group).moved for group in groups)
    assert store.cell("A", "east").atf == store.cell("A", "east").on_hand - store.cell("A", "east").allocated >= 0
    assert store.cell("A", "east").allocated >= 2


def test_short_units_that_have_come() -> None:
    store = Store()
    short = [store.ingest(ship([("A", 2)])).order.order_id, store.ingest(ship([("B", 1)])).order.order_id]
    pool = store.machine.pool
    assert list(pool.orders.short) == short
    planner = Planner(pool)
    assert read_served(pool, planner, short) == []
    store.stock(("A", "east", 1))
    assert read_served(pool, planner, [*short, 99]) == short[:1]
    assert store.tell(m.ReleaseOrder, order_id=short[0]).outcome == Outcome.PARTIAL
    store.stock(("A", "east", 2))
    store.tell(m.ReleaseOrder, order_id=short[0])
    assert list(pool.orders.short) == short[1:]
