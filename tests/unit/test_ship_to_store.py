"""Goods that other nodes send to a store, where the buyer collects them: routed as a shipment to the store's own region."""

from __future__ import annotations

from typing import Any

import pytest

from engine.follower.explanations import explain_order
from engine.model import commands as m
from engine.model import queries as q
from engine.model.explanations import Dropped
from engine.model.outcomes import DropReason, FulfillmentKind, Outcome, RejectReason
from engine.pool.reservations import Reservation
from tests.builders import NODES, Store, limits, ship

EAST, WEST = 1, 2


@pytest.fixture
def store() -> Store:
    store = Store(limits(open_reservations_max=16, reservation_legs_max=64))
    store.stock(("A", "dc", 10), ("A", "east", 10), ("B", "west", 5))
    return store


def to_store(store_key: str = "east", lines: Any = (("A", 2),), **fields: Any) -> m.Claim:
    return ship(lines, "", store_key=store_key, **fields)


def senders(store: Store, order_id: int) -> set[str]:
    names = store.machine.pool.names.node_keys
    return {names[each.node_index] for each in store.work(order_id) if each.is_open}


def held_by(store: Store, reservation_id: int) -> Reservation:
    found = store.machine.pool.reservations.get(reservation_id)
    assert found is not None
    return found


def test_the_store_itself_sends_nothing(store: Store) -> None:
    """East has the goods and lies nearest: whoever wants those collects them without a carrier."""
    reply = store.place(to_store())
    assert (reply.outcome, senders(store, reply.order.order_id)) == (Outcome.OK, {"dc"})
    order = store.order(reply.order.order_id)
    assert (order.kind, order.pickup_node_index, order.postal_code) == (FulfillmentKind.SHIP, EAST, "10001")
    assert order.region_index == store.machine.pool.network.region_of("10001")


def test_it_costs_what_a_shipment_to_the_region_costs(store: Store) -> None:
    store.stock(("A", "east", 0))
    assert store.reserve(to_store()).cost == store.reserve(ship([("A", 2)], "10001")).cost


@pytest.mark.parametrize(
    ("store_key", "channel", "expected"),
    [
        ("?", "web", Outcome.UNKNOWN_NODE),
        ("lab", "web", Outcome.UNKNOWN_DESTINATION),
        ("dc", "web", Outcome.NODE_LACKS_SERVICE),
        ("west", "mall", Outcome.NODE_NOT_IN_CHANNEL),
    ],
)
def test_who_cannot_hand_over_or_lies_nowhere_is_refused(
    store: Store, store_key: str, channel: str, expected: Outcome
) -> None:
    claim = to_store(store_key, channel=channel)
    for reply in (store.reserve(claim), store.place(claim)):
        assert (reply.outcome, reply.subject) == (expected, store_key)


def test_a_closed_store_is_refused(store: Store) -> None:
    store.tell(m.PutNodes, nodes=(NODES[EAST]._replace(closed=True),))
    assert store.reserve(to_store()).outcome == Outcome.NODE_CLOSED


def test_a_reservation_keeps_the_store_for_its_order(store: Store) -> None:
    held = store.reserve(to_store())
    assert held_by(store, held.reservation_id).store_index == EAST
    lines = (("A", 2),)
    assert store.commit(held.reservation_id, lines, postal_code="10001").outcome == Outcome.UNKNOWN_DESTINATION
    order = store.commit(held.reservation_id).order
    assert (order.pickup_node_index, order.postal_code, order.ships_to_store) == (EAST, "10001", True)
    (told,) = explain_order(store.journal(), store.machine.pool.limits, store.order(order.order_id))
    assert told.replayed is not None
    assert told.replayed.reproduced
    assert Dropped(DropReason.COLLECTED_THERE, 1) in told.replayed.dropped


def test_items_of_a_batch_go_where_each_says(store: Store) -> None:
    claims = [to_store(), ship([("A", 1)]), to_store("west", (("A", 1),)), to_store("lab"), to_store("?")]
    reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims))
    assert reply.subjects == ((3, "lab"), (4, "?"))
    found = [held_by(store, at) for at in (1, 2, 3)]
    assert [each.store_index for each in found] == [EAST, -1, WEST]
    names = store.machine.pool.names
    assert [{names.node_keys[names.cell(leg.slot)[1]] for leg in each.legs} for each in found] == [
        {"dc"}, {"east"}, {"dc"},
    ]  # fmt: skip


def test_rejected_work_never_goes_to_the_store_itself(store: Store) -> None:
    store.stock(("A", "west", 5))
    order = store.place(to_store()).order
    (work,) = store.work(order.order_id)
    store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.TOO_BUSY)
    assert senders(store, order.order_id) == {"west"}
    work = store.work(order.order_id)[-1]
    reply = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.TOO_BUSY)
    assert reply.outcome == Outcome.PARTIAL
    assert store.tell(m.ReleaseOrder, order_id=order.order_id).outcome == Outcome.PARTIAL, (
        "east has some, and is the goal"
    )


def test_options_look_at_the_nearest_stores(store: Store) -> None:
    def offered(most: int, **counts: int) -> list[str]:
        store.stock(*[("A", node, count) for node, count in counts.items()])
        answer = store.ask(q.GetFulfillmentOptions(0, "web", (("A", 2),), "10001", 0, 0, most))
        return [store.machine.pool.names.node_keys[option.node_index] for option in answer.store_options]

    assert offered(0) == []
    assert offered(1) == ["east"]
    assert offered(9) == ["east", "west"]
    assert offered(9, dc=0) == ["west"], "east alone has it: it can be sent to west, and collected at east"
    assert offered(9, east=0) == []
