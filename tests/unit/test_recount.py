"""The recount finds what it is there to find."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from engine.demo.recount import FINDINGS_KEPT
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import types_pb2 as types
from tests.unit.decisions import (
    ACCEPTED,
    ALLOCATED,
    CANCELLED,
    COMMITTED,
    EXPIRED,
    OPEN,
    SHIPPED,
    Journal,
    closed,
    held,
    moved,
    opened,
    ordered,
    working,
)


@pytest.fixture
def journal() -> Journal:
    journal = Journal()
    journal.add("ImportStock", opened(), moved(5))
    return journal


def test_a_whole_life_leaves_nothing_to_find(journal: Journal) -> None:
    journal.add("Reserve", held(2))
    journal.add("PlaceOrder", closed(COMMITTED), moved(2, ALLOCATED), ordered(allocated_units=2), working(OPEN))
    journal.add("Accept", working(ACCEPTED))
    recount = journal.add("Ship", moved(-2, ALLOCATED), moved(-2), ordered(fulfilled_units=2), working(SHIPPED))
    assert recount.is_ok, recount.findings
    assert recount.books.free == [3]
    assert recount.promise_count == 1, "the order promises nothing that the reservation had not promised"
    assert not recount.books.holds
    assert not recount.books.work
    assert not recount.books.open_orders


def test_a_promise_beyond_what_is_free_is_oversold(journal: Journal) -> None:
    journal.add("Reserve", held(4))
    recount = journal.add("Reserve", held(3, reservation_id=2))
    assert recount.oversold_units == 2
    assert not recount.is_ok
    assert "tea at north" in recount.findings[0]


def test_a_direct_allocation_beyond_what_is_free_is_oversold(journal: Journal) -> None:
    recount = journal.add(
        "PlaceOrder", moved(6, ALLOCATED), ordered(units=6, allocated_units=6), working(OPEN, units=6)
    )
    assert recount.oversold_units == 1


def test_a_fact_that_takes_promised_units_is_a_shortage_and_not_oversold(journal: Journal) -> None:
    journal.add("Reserve", held(4))
    recount = journal.add("RecordSale", moved(-3))
    assert recount.books.free == [-2]
    assert recount.is_ok, recount.findings


def test_a_promise_made_while_short_is_oversold(journal: Journal) -> None:
    journal.add("RecordSale", moved(-7))
    recount = journal.add("Reserve", held(3))
    assert recount.oversold_units == 3, "not five: two of the missing units were never promised"


def test_units_that_are_kept_back_are_not_free(journal: Journal) -> None:
    journal.add("SetStock", moved(3, types.QUANTITY_SAFETY_STOCK))
    journal.add("AdjustStock", moved(1, types.QUANTITY_DISPLAY))
    assert journal.add("Reserve", held(1)).oversold_units == 0
    assert journal.add("Reserve", held(1, reservation_id=2)).oversold_units == 1


def test_incoming_units_are_not_free(journal: Journal) -> None:
    journal.add("AuthorizeReturn", moved(9, types.QUANTITY_INCOMING))
    assert journal.add("Reserve", held(6)).oversold_units == 1


def test_effects_of_one_decision_count_as_one_instant(journal: Journal) -> None:
    journal.add("Reserve", held(5))
    recount = journal.add("PlaceOrder", moved(5, ALLOCATED), closed(COMMITTED), working(OPEN, units=5))
    assert recount.is_ok, "allocated before it is unreserved, in the same decision: no unit is promised twice"


def test_a_gap_in_the_sequence_is_found(journal: Journal) -> None:
    journal.skip()
    assert journal.add("Reserve", held(1)).findings == ["seq 3 follows 1"]


def test_time_that_goes_backwards_is_found(journal: Journal) -> None:
    journal.add("Reserve", held(1), at_s=50)
    assert "dated" in journal.add("Reserve", held(1, reservation_id=2), at_s=49).findings[0]


def test_a_request_that_is_decided_twice_is_found(journal: Journal) -> None:
    journal.add("Reserve", held(1), request_id="same")
    assert "same" in journal.add("Reserve", held(1, reservation_id=2), request_id="same").findings[0]


def test_decisions_without_a_request_may_repeat(journal: Journal) -> None:
    journal.add("Reserve", held(1, until_s=3), held(1, reservation_id=2, until_s=4))
    journal.add("Expire", closed(EXPIRED), request_id="")
    recount = journal.add("Expire", closed(EXPIRED, reservation_id=2), request_id="")
    assert recount.is_ok, recount.findings


def test_a_quantity_below_zero_is_found(journal: Journal) -> None:
    recount = journal.add("CancelOrder", moved(-1, ALLOCATED))
    assert recount.findings == ["seq 2: QUANTITY_ALLOCATED of tea at north is -1"]


def test_on_hand_may_fall_below_zero(journal: Journal) -> None:
    assert journal.add("RecordSale", moved(-6)).is_ok


def test_a_reservation_ends_once(journal: Journal) -> None:
    journal.add("Reserve", held(1))
    journal.add("ReleaseReservation", closed(reservations.RESERVATION_STATE_RELEASED))
    assert "not open" in journal.add("PlaceOrder", closed(COMMITTED)).findings[0]


@pytest.mark.parametrize(
    ("state", "at_s", "is_ok"),
    [(COMMITTED, 9, True), (COMMITTED, 10, False), (EXPIRED, 10, True), (EXPIRED, 9, False)],
)
def test_a_hold_is_free_at_the_instant_it_ends(
    journal: Journal, state: reservations.ReservationState, at_s: int, is_ok: bool
) -> None:
    journal.add("Reserve", held(1, until_s=10))
    assert journal.add("PlaceOrder", closed(state), at_s=at_s).is_ok is is_ok


def test_an_extended_hold_ends_later(journal: Journal) -> None:
    journal.add("Reserve", held(1, until_s=10))
    change = admin.ReservationExtended(reservation_id=1, expire_time=Timestamp(seconds=20))
    journal.add("ExtendReservation", admin.Effect(reservation_extended=change))
    assert journal.add("PlaceOrder", closed(COMMITTED), at_s=15).is_ok


def test_two_orders_under_one_key_are_found(journal: Journal) -> None:
    journal.add("IngestOrder", ordered(order_id=1, short_units=2))
    recount = journal.add("IngestOrder", ordered(order_id=2, short_units=2))
    assert recount.duplicate_order_count == 1
    assert not recount.is_ok


def test_an_order_that_loses_a_unit_is_found(journal: Journal) -> None:
    assert "add up" in journal.add("IngestOrder", ordered(units=3, short_units=2)).findings[0]


def test_work_that_closes_twice_is_found(journal: Journal) -> None:
    journal.add("PlaceOrder", moved(2, ALLOCATED), ordered(allocated_units=2), working(OPEN))
    journal.add("Ship", moved(-2, ALLOCATED), moved(-2), ordered(fulfilled_units=2), working(SHIPPED))
    assert "not open" in journal.add("CancelOrder", working(CANCELLED)).findings[0]


def test_a_cell_must_be_opened_once_and_before_it_is_used(journal: Journal) -> None:
    assert "again" in journal.add("ImportStock", opened()).findings[0]
    assert "never opened" in journal.add("ReceiveStock", moved(1, node="south")).findings[1]


def test_open_units_are_told_by_cell(journal: Journal) -> None:
    journal.add("Reserve", held(2))
    recount = journal.add("PlaceOrder", moved(2, ALLOCATED), ordered(allocated_units=2), working(OPEN))
    reserved, allocated = recount.open_units_by_cell()
    assert (dict(reserved), dict(allocated)) == ({0: 2}, {0: 2})


def test_findings_are_counted_beyond_those_that_are_kept(journal: Journal) -> None:
    for _ in range(FINDINGS_KEPT + 10):
        journal.add("ReleaseReservation", closed(COMMITTED, reservation_id=99))
    recount = journal.recount
    assert recount.finding_count == FINDINGS_KEPT + 10
    assert len(recount.findings) == FINDINGS_KEPT


def test_a_change_that_it_does_not_know_is_passed_over(journal: Journal) -> None:
    assert journal.add("PutNodes", admin.Effect(network_changed=admin.NetworkChanged(kind="node", key="x"))).is_ok
    assert journal.add("Later", admin.Effect()).is_ok


def test_decisions_are_counted_by_command_and_outcome(journal: Journal) -> None:
    journal.add("Reserve", held(2))
    recount = journal.add("Reserve", held(2, reservation_id=2))
    assert recount.decided == {("ImportStock", types.OUTCOME_OK): 1, ("Reserve", types.OUTCOME_OK): 2}
