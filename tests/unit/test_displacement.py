"""Displacement: pinned requests and till sales drive floating work to other nodes, the cheapest first, and nothing else."""

from __future__ import annotations

import pytest

from engine.model import commands as m
from engine.model.calendars import Calendar, Hours
from engine.model.outcomes import CommandKind, Outcome
from engine.model.queries import Audit
from engine.pool.calendars import DAY_NS
from tests.builders import GROUND, NODES, Store, pickup, ship
from tests.unit.test_explanations import explained, nodes, replayed
from tests.unit.test_rerouting import nodes_of


@pytest.fixture
def store() -> Store:
    return Store()


def floating(store: Store, units: int = 1, to: str = "10001", **fields: str) -> int:
    """An order that the east sends, as it is nearest."""
    placed = store.place(ship([("A", units)], to, **fields))
    assert placed.outcome == Outcome.OK
    assert nodes_of(store, placed.order.order_id) == [("east", "OPEN")]
    return int(placed.order.order_id)


def sell(store: Store, units: int = 1) -> tuple[tuple[str, int], ...]:
    reply = store.tell(m.RecordSale, node_key="east", channel_key="till", lines=(("A", units),))
    assert reply.outcome == Outcome.OK
    assert store.ask(Audit(0, digest=False)).report.findings == ()
    return tuple((store.machine.pool.names.sku_keys[cell.sku_index], cell.atf) for cell in reply.shortages)


def test_a_till_sale_sends_a_parcel_elsewhere(store: Store) -> None:
    store.stock(("A", "east", 1))
    order_id = floating(store)
    store.stock(("A", "west", 1))
    assert sell(store) == ()
    assert nodes_of(store, order_id) == [("east", "MOVED"), ("west", "OPEN")]
    assert (store.cell("A", "east").on_hand, store.cell("A", "east").atf) == (0, 0)


def test_a_till_sale_breaks_what_nobody_else_can_do(store: Store) -> None:
    store.stock(("A", "east", 2))
    first, second = floating(store), floating(store)
    store.stock(("A", "west", 1))
    assert sell(store, 2) == (("A", -1),)
    assert sorted(nodes_of(store, each)[-1][0] for each in (first, second)) == ["east", "west"]


def test_who_has_begun_stays(store: Store) -> None:
    store.stock(("A", "east", 1))
    order_id = floating(store)
    store.stock(("A", "west", 1))
    work_id = store.order(order_id).fulfillment_order_ids[0]
    store.tell(m.Accept, fulfillment_order_id=work_id)
    assert sell(store) == (("A", -1),)
    assert nodes_of(store, order_id) == [("east", "ACCEPTED")]


def test_the_cheapest_gives_way(store: Store) -> None:
    """From the centre express costs 4 more, ground 1."""
    store.stock(("A", "east", 2))
    dear, cheap = floating(store, service_key="express"), floating(store)
    store.stock(("A", "dc", 2))
    assert sell(store) == ()
    assert nodes_of(store, dear) == [("east", "OPEN")]
    assert nodes_of(store, cheap) == [("east", "MOVED"), ("dc", "OPEN")]


def test_no_more_give_way_than_are_needed(store: Store) -> None:
    store.stock(("A", "east", 4))
    large, small = floating(store, 3), floating(store)
    store.stock(("A", "west", 9))
    assert sell(store) == ()
    moved = [each for each in (large, small) if len(nodes_of(store, each)) > 1]
    assert moved == [small]


@pytest.mark.parametrize("holds", [True, False])
def test_who_collects_is_served_before_a_parcel(store: Store, *, holds: bool) -> None:
    store.stock(("A", "east", 1))
    order_id = floating(store)
    store.stock(("A", "west", 1))
    claim = pickup([("A", 1)])
    reply = store.reserve(claim) if holds else store.place(claim)
    assert reply.outcome == Outcome.OK
    assert nodes_of(store, order_id) == [("east", "MOVED"), ("west", "OPEN")]
    assert store.cell("A", "east").atf == 0
    assert store.ask(Audit(0, digest=False)).report.findings == ()
    assert [each.routing.kind for each in explained(store, order_id)] == [
        CommandKind.PLACE_ORDER,
        CommandKind.REROUTE_ORDER,
    ]
    for each in explained(store, order_id):
        assert replayed(each).reproduced
    if not holds:
        (own,) = explained(store, reply.order.order_id)
        assert (replayed(own).reproduced, nodes(store, replayed(own))) == (True, {"east"})


def test_a_sale_that_displaces_is_explained(store: Store) -> None:
    store.stock(("A", "east", 2))
    first, second = floating(store), floating(store)
    store.stock(("A", "west", 1), ("A", "dc", 1))
    assert sell(store, 2) == ()
    told = [replayed(explained(store, each)[-1]) for each in (first, second)]
    assert [each.reproduced for each in told] == [True, True]
    assert sorted(node for each in told for node in nodes(store, each)) == ["dc", "west"]


def test_who_collects_gets_nothing_when_nobody_can_give_way(store: Store) -> None:
    store.stock(("A", "east", 1))
    order_id = floating(store)
    reply = store.reserve(pickup([("A", 1)]))
    assert reply.outcome == Outcome.INSUFFICIENT_STOCK
    store.stock(("A", "west", 1))
    assert store.reserve(pickup([("A", 2)])).outcome == Outcome.INSUFFICIENT_STOCK, "one of two is not enough"
    assert nodes_of(store, order_id) == [("east", "OPEN")]
    partial = store.reserve(pickup([("A", 2)], allow_partial=True))
    assert partial.outcome == Outcome.INSUFFICIENT_STOCK
    assert nodes_of(store, order_id) == [("east", "OPEN")]


def test_who_collects_does_not_make_a_parcel_late(store: Store) -> None:
    store.tell(m.PutRateCard, rate_card=GROUND._replace(transit_days=(1, 2, 3)))
    daily = Calendar("UTC", tuple(Hours(day, 0, 1_440) for day in range(1, 8)))
    store.tell(m.PutNodes, nodes=tuple(node._replace(calendar=daily) for node in NODES[:3]))
    store.stock(("A", "east", 1))
    order_id = floating(store)
    store.stock(("A", "west", 1))
    assert store.reserve(pickup([("A", 1)])).outcome == Outcome.INSUFFICIENT_STOCK
    assert sell(store) == (), "what is sold is gone"
    work = store.machine.pool.orders
    last = [*work.work_of_order(store.order(order_id))][-1]
    assert last.arrival_day == store.now_ns // DAY_NS + 3


def test_a_threshold_is_not_lifted_for_it(store: Store) -> None:
    store.stock(("A", "east", 3))
    order_id = floating(store)
    store.stock(("A", "west", 1))
    assert store.reserve(pickup([("A", 3)], channel="app")).outcome == Outcome.INSUFFICIENT_STOCK
    assert nodes_of(store, order_id) == [("east", "OPEN")]


def test_reserves_that_come_together_are_decided_one_by_one_where_somebody_could_give_way(store: Store) -> None:
    store.stock(("A", "east", 1))
    floating(store)
    store.stock(("A", "west", 1))
    commands = [store.make(m.Reserve, claim=pickup([("A", 1)])) for _ in range(2)]
    assert store.machine.decide_reserves(commands, store.now_ns) is None
    assert [store.submit(command).outcome for command in commands] == [Outcome.OK, Outcome.INSUFFICIENT_STOCK]
