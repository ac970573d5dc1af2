"""Moving floating work: to a cheaper node, as proposed, together; and everything that is refused."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model import commands as m
from engine.model.calendars import Calendar, Hours
from engine.model.network import RoutingPolicy
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import CommandKind, FulfillmentState, OrderState, Outcome
from engine.pool.calendars import DAY_NS
from tests.builders import GROUND, MINUTE_NS, NODES, POLICY, Store, pickup, ship


@pytest.fixture
def store() -> Store:
    return Store()


def work_of(store: Store, order_id: int) -> list[FulfillmentOrder]:
    orders = store.machine.pool.orders
    return list(orders.work_of_order(orders.orders[order_id]))


def nodes_of(store: Store, order_id: int) -> list[tuple[str, str]]:
    keys = store.machine.pool.names.node_keys
    return [(keys[work.node_index], work.state.name) for work in work_of(store, order_id)]


def reroute(store: Store, *moves: m.Move, saving: int = 0) -> Any:
    return store.tell(m.RerouteOrder, moves=moves, saving_micros_min=saving)


def far(store: Store, lines: tuple[tuple[str, int], ...] = (("A", 1),), to: str = "10001") -> int:
    """An order to the east that only the west can send."""
    store.stock(*[(sku, "west", units) for sku, units in lines])
    placed = store.place(ship(lines, to))
    assert placed.outcome == Outcome.OK
    return int(placed.order.order_id)


def test_stock_that_arrives_nearer_takes_the_order(store: Store) -> None:
    order_id = far(store)
    store.stock(("A", "east", 1))
    before = work_of(store, order_id)[0]
    reply = reroute(store, m.Move(order_id))
    assert (reply.outcome, reply.moved) == (Outcome.OK, True)
    assert nodes_of(store, order_id) == [("west", "MOVED"), ("east", "OPEN")]
    after = work_of(store, order_id)[1]
    # West handles for 0.2 + 0.05, east for 0.1; the rest is what the carrier takes.
    told = before.carrier_micros + before.handling_micros - after.carrier_micros - after.handling_micros
    assert reply.saving_micros == told > 0
    assert store.cell("A", "west").allocated == 0
    assert store.cell("A", "east").allocated == 1
    routing = reply.orders[0].routings[-1]
    assert (routing.kind, routing.proposed) == (CommandKind.REROUTE_ORDER, False)
    assert reply.orders[0].state == OrderState.ROUTED


def test_nothing_moves_for_less_than_it_must_save(store: Store) -> None:
    order_id = far(store)
    store.stock(("A", "east", 1))
    saving = reroute(store, m.Move(order_id), saving=1 << 40)
    assert (saving.outcome, saving.moved, saving.saving_micros) == (Outcome.OK, False, 0)
    assert nodes_of(store, order_id) == [("west", "OPEN")]
    assert reroute(store, m.Move(order_id)).moved
    assert not reroute(store, m.Move(order_id)).moved, "it is where it is cheapest"


def test_a_node_that_keeps_its_part_keeps_its_fulfillment_order(store: Store) -> None:
    store.stock(("A", "dc", 1), ("B", "west", 1))
    order_id = store.place(ship((("A", 1), ("B", 1)))).order.order_id
    assert nodes_of(store, order_id) == [("dc", "OPEN"), ("west", "OPEN")]
    store.stock(("B", "east", 1))
    assert reroute(store, m.Move(order_id)).moved
    assert nodes_of(store, order_id) == [("dc", "OPEN"), ("west", "MOVED"), ("east", "OPEN")]


def test_work_that_was_begun_stays(store: Store) -> None:
    order_id = far(store)
    store.stock(("A", "east", 1))
    work_id = work_of(store, order_id)[0].fulfillment_order_id
    assert store.tell(m.Accept, fulfillment_order_id=work_id).outcome == Outcome.OK
    reply = reroute(store, m.Move(order_id))
    assert (reply.outcome, reply.subject) == (Outcome.INVALID_TRANSITION, "IN_FULFILLMENT")
    assert reroute(store, m.Move(order_id, (work_id,))).outcome == Outcome.STALE_PLAN


def test_what_is_collected_does_not_float(store: Store) -> None:
    store.stock(("A", "east", 1), ("A", "west", 1))
    order_id = store.place(pickup((("A", 1),))).order.order_id
    assert reroute(store, m.Move(order_id)).outcome == Outcome.INVALID_TRANSITION


def test_an_unknown_order(store: Store) -> None:
    assert reroute(store, m.Move(7)).outcome == Outcome.UNKNOWN_ORDER


def test_a_closed_node_is_left_at_any_price(store: Store) -> None:
    store.stock(("A", "east", 1))
    order_id = store.place(ship((("A", 1),))).order.order_id
    store.stock(("A", "west", 1))
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(closed=True),))
    reply = reroute(store, m.Move(order_id), saving=1 << 40)
    assert (reply.moved, reply.saving_micros) == (True, 0)
    assert nodes_of(store, order_id) == [("east", "MOVED"), ("west", "OPEN")]


def test_a_closed_node_that_alone_has_it_keeps_it(store: Store) -> None:
    store.stock(("A", "east", 1))
    order_id = store.place(ship((("A", 1),))).order.order_id
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(closed=True),))
    assert not reroute(store, m.Move(order_id)).moved
    assert store.cell("A", "east").allocated == 1


def swapped(store: Store) -> tuple[int, int]:
    """Two orders, each of which sits on the unit that the other one is nearer to."""
    first = far(store)
    store.stock(("A", "west", 1), ("A", "east", 1))
    west = store.machine.pool.network.nodes[2]
    store.tell(m.PutNodes, nodes=(west._replace(closed=True),))
    second = int(store.place(ship((("A", 1),), "90001")).order.order_id)
    store.tell(m.PutNodes, nodes=(west,))
    assert nodes_of(store, first) == [("west", "OPEN")]
    assert nodes_of(store, second) == [("east", "OPEN")]
    return first, second


def test_two_orders_change_places_in_one_decision(store: Store) -> None:
    first, second = swapped(store)
    assert not reroute(store, m.Move(first)).moved, "alone it finds nothing"
    reply = reroute(store, m.Move(first, legs=(("A", "east", 1),)), m.Move(second, legs=(("A", "west", 1),)), saving=1)
    assert reply.moved
    assert [order.order_id for order in reply.orders] == [first, second]
    assert [nodes_of(store, each)[-1] for each in (first, second)] == [("east", "OPEN"), ("west", "OPEN")]
    assert all(order.routings[-1].proposed for order in reply.orders)


def test_one_of_two_that_is_stale_refuses_both(store: Store) -> None:
    first, second = swapped(store)
    work_id = work_of(store, second)[0].fulfillment_order_id
    store.tell(m.Accept, fulfillment_order_id=work_id)
    store.stock(("A", "east", 2))
    moves = m.Move(first, legs=(("A", "east", 1),)), m.Move(second, (work_id,), (("A", "west", 1),))
    reply = reroute(store, *moves)
    assert (reply.outcome, reply.subject) == (Outcome.STALE_PLAN, str(second))
    assert nodes_of(store, first) == [("west", "OPEN")]


@pytest.mark.parametrize(
    "legs",
    [
        (("A", "east", 1),),  # no unit there
        (("A", "west", 2),),  # more than floats
        (("B", "west", 1),),  # something else
        (("A", "nowhere", 1),),
        (("Z", "west", 1),),
    ],
)
def test_a_proposal_that_cannot_be_done_is_stale(store: Store, legs: tuple[tuple[str, str, int], ...]) -> None:
    order_id = far(store)
    store.stock(("A", "east", 0))
    reply = reroute(store, m.Move(order_id, legs=legs))
    assert (reply.outcome, reply.subject) == (Outcome.STALE_PLAN, str(order_id))


def test_units_are_taken_as_proposed_where_a_line_is_split(store: Store) -> None:
    store.stock(("A", "dc", 2), ("A", "west", 2))
    order_id = store.place(ship((("A", 3),))).order.order_id
    store.stock(("A", "east", 2), ("A", "dc", 3))
    legs = ("A", "dc", 1), ("A", "east", 2)
    assert reroute(store, m.Move(order_id, legs=legs), saving=-1 << 40).outcome == Outcome.OK
    assert store.cell("A", "dc").allocated + store.cell("A", "west").allocated + store.cell("A", "east").allocated == 3


def test_a_move_keeps_the_day_of_arrival(store: Store) -> None:
    """East is near, but is closed until the day after the parcel from the west arrives."""
    store.tell(m.PutRateCard, rate_card=GROUND._replace(transit_days=(1, 2, 3)))
    daily = tuple(Hours(day, 0, 1_440) for day in range(1, 8))
    today = store.now_ns // DAY_NS
    late = Calendar("UTC", daily, holidays=tuple(range(today, today + 5)))
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(calendar=late), NODES[2]._replace(calendar=Calendar("UTC", daily))))
    order_id = far(store)
    assert work_of(store, order_id)[0].arrival_day == today + 3
    store.stock(("A", "east", 1))
    assert not reroute(store, m.Move(order_id)).moved
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(calendar=Calendar("UTC", daily)),))
    assert reroute(store, m.Move(order_id)).moved
    assert work_of(store, order_id)[1].arrival_day == today + 1


def test_a_full_day_has_room_for_the_order_that_is_in_it(store: Store) -> None:
    daily = tuple(Hours(day, 0, 1_440) for day in range(1, 8))
    busy = Calendar("UTC", daily, orders_per_day_max=1)
    store.tell(m.PutRateCard, rate_card=GROUND._replace(transit_days=(1, 2, 3)))
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(calendar=busy), NODES[2]._replace(calendar=busy)))
    first, second = swapped(store)
    moves = m.Move(first, legs=(("A", "east", 1),)), m.Move(second, legs=(("A", "west", 1),))
    days = {each: work_of(store, each)[0].ship_day for each in (first, second)}
    assert reroute(store, *moves).moved
    assert {each: work_of(store, each)[-1].ship_day for each in (first, second)} == days


def test_grace_is_told_to_the_node_and_survives_a_move(store: Store) -> None:
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(grace_ns=10 * MINUTE_NS))
    order_id = far(store)
    release_ns = store.now_ns + 10 * MINUTE_NS
    assert work_of(store, order_id)[0].release_ns == release_ns
    store.wait(MINUTE_NS)
    store.stock(("A", "east", 1))
    assert reroute(store, m.Move(order_id)).moved
    assert work_of(store, order_id)[1].release_ns == release_ns
    assert isinstance(POLICY, RoutingPolicy)
    assert work_of(store, order_id)[0].state == FulfillmentState.MOVED
