"""Life of reservations: their columns, their legs, their end, and what happens at the limits of the store."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.network import Node
from engine.model.outcomes import FulfillmentKind, Outcome, ReservationState
from engine.model.replies import Leg, Shortage
from tests.builders import MINUTE_NS, NODES, Store, limits, pickup, ship


def release(store: Store, reservation_id: int) -> Outcome:
    return Outcome(store.tell(m.ReleaseReservation, reservation_id=reservation_id).outcome)


def find(store: Store, reservation_id: int) -> Any:
    return store.ask(q.GetReservation(0, reservation_id))


def results(reply: Any) -> list[tuple[int, ...]]:
    return [tuple(row) for row in np.frombuffer(reply.columns, dtype="<i8").reshape(-1, 5).tolist()]


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5))
    return store


def test_a_reservation_tells_what_it_holds(store: Store) -> None:
    held = store.reserve(ship([("A", 2), ("B", 1)], ttl_ns=MINUTE_NS))
    assert held.outcome == Outcome.OK
    assert held.legs == (Leg(0, 0, 1, 2), Leg(1, 1, 1, 1))
    assert held.cost.total == 6_000_000 + 3 * 100_000, "2,500 g in one package from the shop next door"
    found = find(store, held.reservation_id)
    assert found.legs == held.legs
    assert (found.created_ns, found.expires_ns) == (store.now_ns, store.now_ns + MINUTE_NS)
    assert store.cell("A", "east").reserved == 2
    assert store.cell("A", "east").on_hand == 3, "a promise moves nothing"


def test_the_time_to_live_is_the_default_when_none_is_given(store: Store) -> None:
    held = store.reserve(ship([("A", 1)]))
    assert held.expires_ns == store.now_ns + 15 * MINUTE_NS


def test_a_released_reservation_is_closed_once(store: Store) -> None:
    held = store.reserve(ship([("A", 7)]))
    assert release(store, held.reservation_id) == Outcome.OK
    assert store.ats("A") == 7
    assert release(store, held.reservation_id) == Outcome.RESERVATION_RELEASED
    assert store.commit(held.reservation_id).outcome == Outcome.RESERVATION_RELEASED
    assert store.ats("A") == 7
    found = find(store, held.reservation_id)
    assert (found.state, found.legs) == (ReservationState.RELEASED, ())
    store.audit()


def test_a_release_never_fails_for_lack_of_stock(store: Store) -> None:
    held = store.reserve(ship([("B", 5)]))
    store.stock(("B", "east", 0))
    assert store.cell("B", "east").atf == -5
    assert release(store, held.reservation_id) == Outcome.OK
    assert store.cell("B", "east").atf == 0
    store.audit()


@pytest.mark.parametrize("reservation_id", [1, 5, 12, 13, 2**62])
def test_what_never_was_is_unknown(store: Store, reservation_id: int) -> None:
    assert release(store, reservation_id) == Outcome.UNKNOWN_RESERVATION
    assert find(store, reservation_id).outcome == Outcome.UNKNOWN_RESERVATION
    extended = store.tell(m.ExtendReservation, reservation_id=reservation_id, ttl_ns=SECOND_NS)
    assert extended.outcome == Outcome.UNKNOWN_RESERVATION


def test_a_full_store_refuses_and_takes_again_after_a_release(store: Store) -> None:
    for _ in range(6):
        assert store.reserve(ship([("A", 1)])).outcome == Outcome.OK
    before = store.cell("A", "dc"), store.cell("A", "east")
    refused = store.reserve(ship([("A", 1)]))
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "open_reservations_max")
    assert (store.cell("A", "dc"), store.cell("A", "east")) == before
    release(store, 3)
    assert store.reserve(ship([("A", 1)])).reservation_id == 7
    store.audit()


def test_legs_run_out_before_reservations_do() -> None:
    store = Store(limits(reservation_legs_max=5))
    store.stock(("A", "dc", 9), ("B", "dc", 9))
    assert store.reserve(ship([("A", 1), ("B", 1)])).outcome == Outcome.OK
    assert store.reserve(ship([("A", 1), ("B", 1)])).outcome == Outcome.OK
    refused = store.reserve(ship([("A", 1), ("B", 1)]))
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "reservation_legs_max")
    assert store.reserve(ship([("A", 1)])).outcome == Outcome.OK
    assert store.reserve(ship([("A", 1)])).outcome == Outcome.CAPACITY_EXHAUSTED
    assert release(store, 1) == Outcome.OK
    assert store.reserve(ship([("A", 2), ("B", 2)])).outcome == Outcome.OK
    assert store.machine.pool.counter(c.HELD_USED) == 5
    store.audit()


def test_a_batch_that_does_not_fit_holds_nothing(store: Store) -> None:
    claims = tuple(ship([("A", 1)]) for _ in range(7))
    reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims))
    assert (reply.outcome, reply.subject) == (Outcome.CAPACITY_EXHAUSTED, "open_reservations_max")
    assert store.ats("A") == 7
    store.audit()


def test_legs_that_were_given_back_are_used_again(store: Store) -> None:
    for _ in range(40):
        one = store.reserve(ship([("A", 7), ("B", 1)]))
        two = store.reserve(ship([("B", 2)]))
        assert [leg.units for leg in find(store, two.reservation_id).legs] == [2]
        assert sum(leg.units for leg in find(store, one.reservation_id).legs) == 8
        store.audit()
        release(store, one.reservation_id)
        release(store, two.reservation_id)
    assert store.machine.pool.counter(c.HELD_USED) <= 4
    assert store.machine.pool.counter(c.HELD_OPEN) == 0


def test_ids_pass_over_columns_that_are_still_held(store: Store) -> None:
    columns = store.machine.pool.state[3].shape[1]
    kept = [store.reserve(ship([("A", 1)], ttl_ns=60 * MINUTE_NS)).reservation_id for _ in range(3)]
    seen = list(kept)
    for _ in range(4 * columns):
        held = store.reserve(ship([("B", 1)]))
        seen.append(held.reservation_id)
        assert find(store, held.reservation_id).legs == held.legs
        release(store, held.reservation_id)
        assert find(store, held.reservation_id).state == ReservationState.RELEASED
    assert len(set(seen)) == len(seen), "an id is never used twice"
    assert seen == sorted(seen)
    assert not {each % columns for each in kept} & {each % columns for each in seen[3:]}
    for reservation_id in kept:
        assert find(store, reservation_id).state == ReservationState.HELD
    store.audit()


def test_a_batch_passes_over_held_columns_too(store: Store) -> None:
    columns = store.machine.pool.state[3].shape[1]
    store.reserve(ship([("A", 1)], ttl_ns=60 * MINUTE_NS))
    store.reserve(ship([("A", 1)], ttl_ns=60 * MINUTE_NS))
    for _ in range(2 * columns):
        reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(ship([("B", 1)]) for _ in range(4)))
        ids = [row[1] for row in results(reply)]
        assert len(set(ids)) == 4
        assert not {each % columns for each in ids} & {1, 2}
        store.audit()
        for each in ids:
            assert release(store, each) == Outcome.OK


def test_what_was_closed_long_ago_is_forgotten(store: Store) -> None:
    columns = store.machine.pool.state[3].shape[1]
    release(store, store.reserve(ship([("A", 1)])).reservation_id)
    for _ in range(columns):
        assert find(store, 1).state == ReservationState.RELEASED
        release(store, store.reserve(ship([("A", 1)])).reservation_id)
    assert find(store, 1).outcome == Outcome.UNKNOWN_RESERVATION
    assert release(store, 1) == Outcome.UNKNOWN_RESERVATION


# Duplicate lines, partial grants, thresholds


def test_lines_of_one_sku_are_added_up(store: Store) -> None:
    assert store.reserve(ship([("B", 3), ("B", 3)])).outcome == Outcome.INSUFFICIENT_STOCK
    held = store.reserve(ship([("B", 3), ("B", 2)]))
    assert held.legs == (Leg(0, 1, 1, 3), Leg(1, 1, 1, 2))
    assert store.ats("B") == 0
    store.audit()


def test_what_a_short_line_could_have_had_is_told_line_by_line(store: Store) -> None:
    refused = store.reserve(ship([("B", 3), ("A", 1), ("B", 4), ("B", 1)]))
    assert refused.outcome == Outcome.INSUFFICIENT_STOCK
    assert refused.shortages == (Shortage(2, 1, 4, 2), Shortage(3, 1, 1, 0))
    assert store.cell("B", "east").reserved == 0


def test_a_partial_grant_holds_what_there_is(store: Store) -> None:
    held = store.reserve(ship([("B", 3), ("C", 1), ("B", 4)], allow_partial=True))
    assert held.outcome == Outcome.PARTIAL
    assert held.legs == (Leg(0, 1, 1, 3), Leg(2, 1, 1, 2))
    assert held.shortages == (Shortage(1, 2, 1, 0), Shortage(2, 1, 4, 2))
    assert find(store, held.reservation_id).legs == held.legs
    store.audit()


def test_nothing_at_all_is_no_partial_grant(store: Store) -> None:
    refused = store.reserve(ship([("C", 1)], allow_partial=True))
    assert (refused.outcome, refused.reservation_id) == (Outcome.INSUFFICIENT_STOCK, 0)


def test_a_line_is_split_over_nodes_only_where_the_policy_allows(store: Store) -> None:
    assert store.reserve(ship([("A", 5)], channel="mall")).outcome == Outcome.INSUFFICIENT_STOCK
    part = store.reserve(ship([("A", 5)], channel="mall", allow_partial=True))
    assert [leg.units for leg in part.legs] == [4]
    split = store.reserve(ship([("A", 3)]))
    assert split.outcome == Outcome.OK
    store.audit()


def test_a_negative_node_hides_nothing_of_another(store: Store) -> None:
    store.tell(m.RecordSale, node_key="west", channel_key="till", lines=(("A", 5),))
    assert store.cell("A", "west").atf == -5
    assert store.ats("A") == 7
    assert store.reserve(ship([("A", 7)])).outcome == Outcome.OK


def test_a_threshold_is_kept_from_its_channel_alone(store: Store) -> None:
    assert store.ats("A", "app") == 5
    assert store.reserve(ship([("A", 6)], channel="app")).shortages == (Shortage(0, 0, 6, 5),)
    assert store.reserve(ship([("A", 5)], channel="app")).outcome == Outcome.OK
    assert store.ats("A", "app") == 0
    assert store.ats("A", "web") == 2
    assert store.reserve(ship([("A", 2)], channel="web")).outcome == Outcome.OK


def test_a_threshold_is_counted_once_for_lines_of_one_sku(store: Store) -> None:
    refused = store.reserve(ship([("A", 3), ("A", 3)], channel="app"))
    assert refused.shortages == (Shortage(1, 0, 3, 2),)
    held = store.reserve(ship([("A", 3), ("A", 3)], channel="app", allow_partial=True))
    assert sum(leg.units for leg in held.legs if leg.line_index == 0) == 3
    assert sum(leg.units for leg in held.legs) == 5


def test_a_threshold_counts_earlier_grants_of_the_same_batch(store: Store) -> None:
    claims = (
        ship([("A", 3)], channel="app"),
        ship([("A", 3)], channel="app"),
        ship([("A", 2)], channel="app"),
        ship([("A", 2)], channel="web"),
    )
    reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims))
    outcomes = [(row[0], row[3], row[4]) for row in results(reply)]
    assert outcomes == [
        (Outcome.OK, -1, 0),
        (Outcome.INSUFFICIENT_STOCK, 0, 2),
        (Outcome.OK, -1, 0),
        (Outcome.OK, -1, 0),
    ]
    assert store.ats("A") == 0
    store.audit()


def test_pickup_honours_the_threshold_over_all_pickup_stores(store: Store) -> None:
    # east 3, west 0: what the channel may collect is 3 − 2
    assert store.ats("A", "app", FulfillmentKind.PICKUP, "east") == 1
    assert store.reserve(pickup([("A", 2)], channel="app")).shortages == (Shortage(0, 0, 2, 1),)
    store.stock(("A", "west", 2))
    assert store.ats("A", "app", FulfillmentKind.PICKUP, "east") == 3
    assert store.reserve(pickup([("A", 3)], channel="app")).outcome == Outcome.OK


def test_pickup_takes_from_its_store_alone(store: Store) -> None:
    refused = store.reserve(pickup([("A", 4)]))
    assert refused.shortages == (Shortage(0, 0, 4, 3),)
    held = store.reserve(pickup([("A", 3), ("B", 1)]))
    assert {leg.node_index for leg in held.legs} == {1}
    assert held.cost is None
    assert store.reserve(pickup([("A", 1)], at="west")).shortages == (Shortage(0, 0, 1, 0),)


def test_safety_stock_is_kept_back(store: Store) -> None:
    store.tell(m.SetStock, sku_key="B", node_key="east", safety_stock_units=4)
    assert store.reserve(ship([("B", 2)])).shortages == (Shortage(0, 1, 2, 1),)


# Batches


def test_a_batch_is_decided_item_by_item(store: Store) -> None:
    claims = (
        ship([("A", 6)]),
        ship([("Z", 1)]),
        ship([("A", 2)]),
        ship([("A", 2)], allow_partial=True),
        pickup([("B", 5)]),
        ship([("B", 1)], to="77777"),
    )
    reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims))
    ends = store.now_ns + 15 * MINUTE_NS
    assert results(reply) == [
        (Outcome.OK, 1, ends, -1, 0),
        (Outcome.UNKNOWN_SKU, 0, 0, -1, 0),
        (Outcome.INSUFFICIENT_STOCK, 0, 0, 0, 1),
        (Outcome.PARTIAL, 2, ends, 0, 1),
        (Outcome.OK, 3, ends, -1, 0),
        (Outcome.UNKNOWN_DESTINATION, 0, 0, -1, 0),
    ]
    assert reply.subjects == ((1, "Z"), (5, "77777"))
    assert reply.outcome == Outcome.OK
    store.audit()


def test_all_or_nothing_holds_nothing_when_one_item_is_refused(store: Store) -> None:
    claims = (ship([("A", 6)]), ship([("A", 2)], allow_partial=True), ship([("C", 1)]), ship([("B", 1)]))
    reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims), all_or_nothing=True)
    assert reply.outcome == Outcome.BATCH_REFUSED
    refused = Outcome.BATCH_REFUSED
    assert [row[:3] for row in results(reply)] == [
        (refused, 0, 0), (refused, 0, 0), (Outcome.INSUFFICIENT_STOCK, 0, 0), (refused, 0, 0),
    ]  # fmt: skip
    assert store.ats("A") == 7
    possible = m.ClaimColumns.of(claims[:1] + claims[3:])
    assert store.tell(m.BatchReserve, claims=possible, all_or_nothing=True).outcome == Outcome.OK
    store.audit()


def test_a_batch_says_the_same_as_its_items_one_by_one(store: Store) -> None:
    claims = (
        ship([("A", 3), ("B", 2)]), ship([("A", 9)], allow_partial=True), pickup([("B", 2), ("B", 1)]),
        ship([("A", 1)]), ship([("B", 9)], channel="app", allow_partial=True),
    )  # fmt: skip
    twin = Store()
    twin.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5))
    batch = results(store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims)))
    single = [twin.reserve(claim) for claim in claims]
    assert [(row[0], row[1], row[2]) for row in batch] == [
        (reply.outcome, reply.reservation_id, reply.expires_ns) for reply in single
    ]
    for _, reservation_id, *_ in batch:
        if reservation_id:
            assert find(store, reservation_id).legs == find(twin, reservation_id).legs


def test_a_closed_node_keeps_what_it_promised(store: Store) -> None:
    held = store.reserve(pickup([("B", 2)]))
    closed: Node = NODES[1]._replace(closed=True)
    store.tell(m.PutNodes, nodes=(closed,))
    assert store.ats("B") == 0
    assert store.reserve(pickup([("B", 1)])).outcome == Outcome.NODE_CLOSED
    assert find(store, held.reservation_id).state == ReservationState.HELD
    assert store.commit(held.reservation_id).outcome == Outcome.OK
    store.audit()
