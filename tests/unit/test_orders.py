"""Orders: from a reservation, directly, as a fact; which refusal comes first; and how units are cancelled."""

from __future__ import annotations

from typing import Any

import pytest

from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.network import RateCard, Sku
from engine.model.outcomes import FulfillmentState, OrderState, Outcome, RejectReason, ReservationState
from engine.model.replies import Shortage
from tests.builders import Store, limits, pickup, priced, ship


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5))
    return store


def parts(store: Store, order_id: int) -> list[tuple[int, int, int, int]]:
    """(allocated, fulfilled, cancelled, short) of each line."""
    lines = store.order(order_id).lines
    return [(line.allocated_units, line.fulfilled_units, line.cancelled_units, line.short_units) for line in lines]


def cancel(store: Store, order_id: int, *lines: tuple[int, int]) -> Any:
    reply = store.tell(m.CancelOrder, order_id=order_id, lines=lines)
    store.audit()
    return reply


# Direct orders


def test_a_direct_order_allocates_at_once(store: Store) -> None:
    reply = store.place(ship([("A", 1), ("B", 2)]), "k1")
    assert reply.outcome == Outcome.OK
    order = store.order(1)
    assert reply.order == order
    assert (order.state, order.region_index, order.pickup_node_index, order.service_index) == (
        OrderState.ROUTED,
        0,
        -1,
        0,
    )
    assert order.lines[1].unit_price_micros == 10_000_000
    (work,) = store.work(1)
    assert (work.state, work.node_index, work.zone, work.weight_grams) == (FulfillmentState.OPEN, 1, 1, 3_500)
    assert work.carrier_micros + work.handling_micros == reply.cost.total
    assert (store.cell("A", "east").allocated, store.cell("A", "east").on_hand) == (1, 3)
    store.audit()


def test_a_direct_order_takes_everything_or_nothing(store: Store) -> None:
    refused = store.place(ship([("A", 8), ("B", 1)]))
    assert (refused.outcome, refused.shortages) == (Outcome.INSUFFICIENT_STOCK, (Shortage(0, 0, 8, 7),))
    assert not store.machine.pool.orders.orders
    assert store.cell("B", "east").allocated == 0


def test_a_pickup_order_has_one_node_and_no_cost(store: Store) -> None:
    reply = store.place(pickup([("A", 1), ("B", 1)]))
    assert (reply.outcome, reply.cost) == (Outcome.OK, None)
    order = store.order(1)
    assert (order.region_index, order.pickup_node_index, order.service_index) == (-1, 1, -1)
    (work,) = store.work(1)
    assert (work.node_index, work.zone, work.carrier_micros, work.weight_grams) == (1, 0, 0, 0)


def test_an_order_key_is_unique_in_its_channel(store: Store) -> None:
    store.place(ship([("A", 1)]), "k1")
    again = store.place(ship([("A", 1)]), "k1")
    assert (again.outcome, again.subject, again.existing_order_id) == (Outcome.DUPLICATE_ORDER, "k1", 1)
    assert store.place(ship([("A", 1)], channel="app"), "k1").outcome == Outcome.OK
    assert store.place(ship([("A", 99)]), "k1").outcome == Outcome.DUPLICATE_ORDER, "before stock is looked at"
    assert store.place(ship([("Z", 1)]), "k1").outcome == Outcome.UNKNOWN_SKU, "after names are looked at"
    assert store.place(pickup([("A", 1)], at="dc"), "k1").outcome == Outcome.DUPLICATE_ORDER
    assert store.place(pickup([("A", 1)], at="dc"), "k2").outcome == Outcome.NODE_LACKS_SERVICE


# Facts


def test_what_was_sold_elsewhere_is_booked_whatever_there_is(store: Store) -> None:
    reply = store.ingest(ship([("A", 9), ("C", 2), ("B", 1)]))
    assert reply.outcome == Outcome.PARTIAL
    assert reply.shortages == (Shortage(0, 0, 9, 7), Shortage(1, 2, 2, 0))
    assert parts(store, 1) == [(7, 0, 0, 2), (0, 0, 0, 2), (1, 0, 0, 0)]
    assert store.order(1).state == OrderState.BACKORDERED
    assert store.ask(q.GetStatus(0)).report.short_order_units == 4
    store.audit()


def test_a_fact_of_which_nothing_is_there_is_short_altogether(store: Store) -> None:
    reply = store.ingest(ship([("C", 2)]))
    assert (reply.outcome, reply.cost) == (Outcome.PARTIAL, None)
    assert parts(store, 1) == [(0, 0, 0, 2)]
    assert store.order(1).fulfillment_order_ids == ()
    store.audit()


def test_a_fact_sees_beyond_the_threshold(store: Store) -> None:
    assert store.ingest(ship([("A", 7)], channel="app")).outcome == Outcome.OK


def test_a_fact_is_booked_once(store: Store) -> None:
    store.ingest(ship([("A", 1)]), "m1")
    again = store.ingest(ship([("A", 1)]), "m1")
    assert (again.outcome, again.existing_order_id) == (Outcome.DUPLICATE_ORDER, 1)


def test_a_fact_that_cannot_be_understood_is_refused(store: Store) -> None:
    assert store.ingest(ship([("A", 1)], to="77777")).outcome == Outcome.UNKNOWN_DESTINATION
    assert store.ingest(ship([("A", 1)], service_key="boat")).outcome == Outcome.UNKNOWN_SERVICE


def test_a_fact_with_lines_of_one_sku_shares_what_there_is_in_order(store: Store) -> None:
    store.ingest(ship([("B", 3), ("B", 4), ("B", 1)]))
    assert parts(store, 1) == [(3, 0, 0, 0), (2, 0, 0, 2), (0, 0, 0, 1)]
    store.audit()


def test_a_fact_that_the_router_cannot_price_is_short_and_says_so(store: Store) -> None:
    """Whatever keeps the router from a plan, here a price beyond all bounds: the reply and the order agree."""
    store.tell(m.PutSkus, skus=(Sku("X", weight_grams=1_000_000),))
    store.tell(m.PutRateCard, rate_card=RateCard("ground", "USD", (1,), 3, (10**12, 10**12, 10**12)))
    store.stock(("X", "dc", 10**9))
    for at in range(10):
        reply = store.ingest(ship([("X", 10**at)]))
        (line,) = reply.order.lines
        assert (reply.outcome == Outcome.PARTIAL) == (line.short_units > 0)
        assert reply.shortages == ((Shortage(0, 4, line.units, line.allocated_units),) if line.short_units else ())
        store.audit()


# From a reservation


def test_a_whole_reservation_becomes_an_order(store: Store) -> None:
    held = store.reserve(ship([("A", 2), ("B", 1)]))
    reply = store.commit(held.reservation_id)
    assert reply.outcome == Outcome.OK
    assert [(line.sku_index, line.units) for line in reply.order.lines] == [(0, 2), (1, 1)]
    assert reply.order.postal_code == "100", "the region, when nobody completed the address"
    assert reply.cost.total == held.cost.total
    assert store.ask(q.GetReservation(0, 1)).state == ReservationState.COMMITTED
    assert (store.cell("A", "east").reserved, store.cell("A", "east").allocated) == (0, 2)
    assert store.commit(held.reservation_id).outcome == Outcome.RESERVATION_COMMITTED
    store.audit()


def test_units_that_an_order_does_not_take_are_given_back(store: Store) -> None:
    held = store.reserve(ship([("A", 5), ("B", 2)]))
    assert {leg.node_index for leg in held.legs} == {0, 1}
    reply = store.commit(held.reservation_id, [("B", 1), ("A", 2)], postal_code="10044")
    assert [(line.sku_index, line.units, line.unit_price_micros) for line in reply.order.lines] == [
        (1, 1, 10_000_000),
        (0, 2, 10_000_000),
    ]
    assert reply.order.postal_code == "10044"
    assert store.ats("A") == 5
    assert store.ats("B") == 4
    store.audit()


def test_lines_of_one_sku_share_what_is_held(store: Store) -> None:
    held = store.reserve(ship([("A", 5)]))
    reply = store.commit(held.reservation_id, [("A", 2), ("A", 3)])
    assert [line.allocated_units for line in reply.order.lines] == [2, 3]
    store.audit()


@pytest.mark.parametrize("lines", [[("A", 3)], [("A", 1), ("A", 2)], [("B", 1)], [("A", 1), ("C", 1)]])
def test_an_order_cannot_take_more_than_is_held(store: Store, lines: list[tuple[str, int]]) -> None:
    held = store.reserve(ship([("A", 2)]))
    refused = store.commit(held.reservation_id, lines)
    assert (refused.outcome, refused.subject) == (Outcome.UNITS_EXCEEDED, lines[-1][0])
    assert store.ask(q.GetReservation(0, held.reservation_id)).state == ReservationState.HELD
    store.audit()


def test_a_partial_reservation_becomes_an_order_of_what_it_holds(store: Store) -> None:
    held = store.reserve(ship([("C", 1), ("A", 9), ("B", 1)], allow_partial=True))
    reply = store.commit(held.reservation_id)
    assert [(line.sku_index, line.units) for line in reply.order.lines] == [(0, 7), (1, 1)]
    store.audit()


def test_a_pickup_reservation_becomes_a_pickup_order(store: Store) -> None:
    held = store.reserve(pickup([("A", 2)]))
    order = store.commit(held.reservation_id).order
    assert (order.pickup_node_index, order.region_index, order.postal_code) == (1, -1, "")
    store.audit()


def test_a_pickup_reservation_has_no_region_that_an_address_could_lie_in(store: Store) -> None:
    held = store.reserve(pickup([("A", 2)]))
    for postal_code in ("10001", "90001", "50001"):
        refused = store.commit(held.reservation_id, postal_code=postal_code)
        assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_DESTINATION, postal_code)


def test_another_channels_reservation_is_not_known(store: Store) -> None:
    held = store.reserve(ship([("A", 1)]))
    refused = store.commit(held.reservation_id, channel_key="app")
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_RESERVATION, "1")
    store.place(ship([("A", 1)], channel="app"), "k1")
    assert store.commit(held.reservation_id, channel_key="app", order_key="k1").outcome == Outcome.UNKNOWN_RESERVATION


def test_refusals_of_a_reserved_order_come_in_the_order_of_their_numbers(store: Store) -> None:
    held = store.reserve(ship([("A", 1)], ttl_ns=SECOND_NS)).reservation_id
    store.place(ship([("B", 1)]), "k1")
    store.wait(SECOND_NS)
    wrong = [("Z", 9)], 99, "77777", "k1"
    lines, unknown, nowhere, taken = wrong
    assert store.commit(unknown, lines, channel_key="?", postal_code=nowhere).outcome == Outcome.UNKNOWN_CHANNEL
    assert store.commit(unknown, lines, postal_code=nowhere, order_key=taken).outcome == Outcome.UNKNOWN_SKU
    assert store.commit(unknown, postal_code=nowhere, order_key=taken).outcome == Outcome.UNKNOWN_DESTINATION
    assert store.commit(unknown, order_key=taken).outcome == Outcome.UNKNOWN_RESERVATION
    assert store.commit(held, postal_code="90001", order_key=taken).outcome == Outcome.UNKNOWN_DESTINATION
    assert store.commit(held, [("B", 9)], order_key=taken).outcome == Outcome.DUPLICATE_ORDER
    assert store.commit(held, [("B", 9)]).outcome == Outcome.RESERVATION_EXPIRED


def test_work_that_was_taken_from_many_small_lines_can_be_rejected(store: Store) -> None:
    """Ten reserved lines and ten ordered lines of one SKU overlap in nineteen places; the router takes ten lines."""
    store.stock(("B", "west", 40), ("B", "east", 40), ("B", "dc", 40))
    held = store.reserve(ship([("B", 1)] + [("B", 2)] * 9))
    reply = store.commit(held.reservation_id, [("B", 2)] * 9 + [("B", 1)])
    assert reply.outcome == Outcome.OK
    (work,) = store.work(1)
    assert [(line.line_index, line.units) for line in work.lines] == [*((at, 2) for at in range(9)), (9, 1)]
    rejected = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.TOO_BUSY)
    assert rejected.outcome == Outcome.OK
    assert sum(line.allocated_units for line in store.order(1).lines) == 19
    store.audit()


def test_a_fresh_price_is_asked_for_a_reservation_of_long_ago(store: Store) -> None:
    held = store.reserve(ship([("A", 5)]))
    assert held.cost.split_penalty == 1_000_000
    reply = store.commit(held.reservation_id)
    assert (reply.cost.total, reply.cost.package_count) == (held.cost.total, 2)
    assert reply.cost.exact is False
    total = sum(work.carrier_micros + work.handling_micros for work in store.work(1))
    assert total + 1_000_000 == reply.cost.total


# Cancelling


def test_everything_is_cancelled_when_no_line_is_named(store: Store) -> None:
    store.ingest(ship([("A", 9), ("B", 1)]))
    reply = cancel(store, 1)
    assert (reply.outcome, reply.order.state) == (Outcome.OK, OrderState.CANCELLED)
    assert parts(store, 1) == [(0, 0, 9, 0), (0, 0, 1, 0)]
    assert {work.state for work in store.work(1)} == {FulfillmentState.CANCELLED}
    assert (store.ats("A"), store.ats("B")) == (7, 5)
    refused = cancel(store, 1)
    assert (refused.outcome, refused.subject, refused.order) == (
        Outcome.INVALID_TRANSITION,
        "CANCELLED",
        store.order(1),
    )


def test_short_units_go_first_then_open_work_then_accepted_work(store: Store) -> None:
    store.ingest(ship([("A", 9)]))
    first, second = store.work(1)
    assert [sum(line.units for line in work.lines) for work in (first, second)] == [4, 3]
    store.tell(m.Accept, fulfillment_order_id=first.fulfillment_order_id)
    cancel(store, 1, (0, 1))
    assert parts(store, 1) == [(7, 0, 1, 1)]
    cancel(store, 1, (0, 3))
    assert parts(store, 1) == [(5, 0, 4, 0)]
    assert [sum(line.units for line in work.lines) for work in store.work(1)] == [4, 1]
    cancel(store, 1, (0, 3))
    assert [(work.state, sum(line.units for line in work.lines)) for work in store.work(1)] == [
        (FulfillmentState.ACCEPTED, 2),
        (FulfillmentState.CANCELLED, 1),
    ]
    assert store.ats("A") == 5
    cancel(store, 1, (0, 2))
    assert store.order(1).state == OrderState.CANCELLED


def test_units_that_left_cannot_be_cancelled(store: Store) -> None:
    store.place(ship([("A", 2), ("B", 1)]))
    (work,) = store.work(1)
    store.tell(m.Accept, fulfillment_order_id=work.fulfillment_order_id)
    store.tell(m.Ship, fulfillment_order_id=work.fulfillment_order_id)
    refused = cancel(store, 1)
    assert (refused.outcome, refused.subject) == (Outcome.INVALID_TRANSITION, "COMPLETED")


def test_an_order_is_completed_when_the_rest_is_cancelled(store: Store) -> None:
    store.ingest(ship([("A", 9)]))
    first, second = store.work(1)
    for step in (m.Accept, m.Ship):
        assert store.tell(step, fulfillment_order_id=first.fulfillment_order_id).outcome == Outcome.OK
    assert store.order(1).state == OrderState.IN_FULFILLMENT
    refused = cancel(store, 1, (0, 6))
    assert (refused.outcome, refused.subject) == (Outcome.UNITS_EXCEEDED, "0")
    assert cancel(store, 1).order.state == OrderState.COMPLETED
    assert parts(store, 1) == [(0, 4, 5, 0)]
    assert store.work(1)[1].state == FulfillmentState.CANCELLED
    assert second.fulfillment_order_id == store.work(1)[1].fulfillment_order_id


def test_a_cancellation_is_all_or_nothing(store: Store) -> None:
    store.place(ship([("A", 2), ("B", 1)]))
    assert cancel(store, 1, (0, 1), (1, 2)).outcome == Outcome.UNITS_EXCEEDED
    assert cancel(store, 1, (0, 1), (0, 2)).outcome == Outcome.UNITS_EXCEEDED, "a line named twice counts twice"
    assert cancel(store, 1, (0, 1), (2, 1)).outcome == Outcome.UNKNOWN_LINE
    assert cancel(store, 9, (0, 1)).outcome == Outcome.UNKNOWN_ORDER
    assert parts(store, 1) == [(2, 0, 0, 0), (1, 0, 0, 0)]


def test_an_unknown_line_is_told_before_a_closed_order(store: Store) -> None:
    store.place(ship([("A", 2)]))
    cancel(store, 1)
    assert cancel(store, 1, (5, 1)).outcome == Outcome.UNKNOWN_LINE


def test_a_cancelled_pickup_gives_its_units_back(store: Store) -> None:
    store.place(pickup([("A", 3)]))
    (work,) = store.work(1)
    store.tell(m.MarkReady, fulfillment_order_id=work.fulfillment_order_id)
    assert cancel(store, 1, (0, 1)).outcome == Outcome.OK
    assert store.work(1)[0].state == FulfillmentState.READY_FOR_PICKUP
    assert cancel(store, 1).order.state == OrderState.CANCELLED
    assert store.cell("A", "east").allocated == 0


# Forgetting


def test_closed_orders_are_forgotten_oldest_first(store: Store) -> None:
    for at in range(6):
        store.place(ship([("A", 1)]), f"k{at}")
        cancel(store, at + 1)
    orders = store.machine.pool.orders
    assert list(orders.orders) == [3, 4, 5, 6]
    assert list(orders.fulfillment_orders) == [3, 4, 5, 6]
    assert cancel(store, 1).outcome == Outcome.UNKNOWN_ORDER
    assert store.ask(q.GetOrder(0, 1)).outcome == Outcome.UNKNOWN_ORDER
    assert store.ask(q.GetOrder(0, 0, "web", "k0")).outcome == Outcome.UNKNOWN_ORDER
    assert store.tell(m.Accept, fulfillment_order_id=1).outcome == Outcome.UNKNOWN_FULFILLMENT_ORDER
    assert store.place(ship([("A", 1)]), "k0").outcome == Outcome.OK, "its key is free again"
    assert store.order(7).order_key == "k0"


def test_an_open_order_is_never_forgotten() -> None:
    store = Store(limits(closed_orders_remembered=1))
    store.stock(("A", "dc", 9))
    store.place(ship([("A", 1)]))
    for at in range(3):
        store.place(ship([("A", 1)]))
        cancel(store, at + 2)
    assert list(store.machine.pool.orders.orders) == [1, 4]
    store.audit()


def test_the_reply_of_an_order_is_kept_beyond_the_order_itself() -> None:
    store = Store(limits(closed_orders_remembered=1))
    store.stock(("A", "dc", 9))
    command = store.make(
        m.PlaceOrder,
        channel_key="web",
        order_key="k",
        customer_key="",
        lines=priced([("A", 1)]),
        claim=ship([("A", 1)]),
    )
    first = store.submit(command)
    cancel(store, 1)
    store.place(ship([("A", 1)]))
    cancel(store, 2)
    assert store.submit(command) == first
