"""Reservations end by the clock: at the exact instant, once, in any number, whatever was extended before."""

from __future__ import annotations

from random import Random

import pytest

from engine.kernels import columns as c
from engine.kernels.effects import TIDY_MAX
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import SECOND_NS
from engine.model.outcomes import CommandKind, Outcome, ReservationState
from engine.recovery import recover
from tests.builders import MINUTE_NS, Store, limits, ship


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 10))
    return store


def state(store: Store, reservation_id: int) -> ReservationState:
    return ReservationState(store.ask(q.GetReservation(0, reservation_id)).state)


def extend(store: Store, reservation_id: int, ttl_ns: int) -> Outcome:
    outcome = store.tell(m.ExtendReservation, reservation_id=reservation_id, ttl_ns=ttl_ns).outcome
    store.audit()
    return Outcome(outcome)


def test_a_hold_ends_at_its_instant_and_not_before(store: Store) -> None:
    held = store.reserve(ship([("A", 10)], ttl_ns=SECOND_NS))
    assert held.expires_ns == store.now_ns + SECOND_NS
    store.wait(SECOND_NS - 1)
    assert store.ats("A") == 0
    assert state(store, 1) == ReservationState.HELD
    store.wait(1)
    assert store.ats("A") == 10
    assert state(store, 1) == ReservationState.EXPIRED
    assert store.decisions[-1].kind == CommandKind.EXPIRE
    store.audit()


def test_the_units_of_a_hold_can_be_taken_at_the_instant_it_ends(store: Store) -> None:
    store.reserve(ship([("A", 10)], ttl_ns=SECOND_NS))
    store.wait(SECOND_NS)
    assert store.reserve(ship([("A", 10)])).outcome == Outcome.OK


def test_what_has_expired_cannot_be_extended_released_or_ordered(store: Store) -> None:
    store.reserve(ship([("A", 1)], ttl_ns=SECOND_NS))
    store.wait(SECOND_NS)
    assert extend(store, 1, SECOND_NS) == Outcome.RESERVATION_EXPIRED
    assert store.tell(m.ReleaseReservation, reservation_id=1).outcome == Outcome.RESERVATION_EXPIRED
    assert store.commit(1).outcome == Outcome.RESERVATION_EXPIRED


def test_an_extension_moves_the_end_later(store: Store) -> None:
    store.reserve(ship([("A", 1)], ttl_ns=10 * SECOND_NS))
    store.wait(9 * SECOND_NS)
    assert extend(store, 1, 10 * SECOND_NS) == Outcome.OK
    store.wait(SECOND_NS)
    assert state(store, 1) == ReservationState.HELD
    store.wait(9 * SECOND_NS)
    assert state(store, 1) == ReservationState.EXPIRED


def test_an_extension_may_move_the_end_earlier(store: Store) -> None:
    store.reserve(ship([("A", 1)], ttl_ns=10 * SECOND_NS))
    assert extend(store, 1, SECOND_NS) == Outcome.OK
    store.wait(SECOND_NS)
    assert state(store, 1) == ReservationState.EXPIRED
    store.wait(9 * SECOND_NS)
    store.sweep()
    store.audit()


def test_an_end_moved_away_and_back_still_ends_once(store: Store) -> None:
    store.reserve(ship([("A", 1)], ttl_ns=10 * SECOND_NS))
    for ttl in (SECOND_NS, 10 * SECOND_NS, 20 * SECOND_NS, 10 * SECOND_NS):
        assert extend(store, 1, ttl) == Outcome.OK
    store.wait(10 * SECOND_NS)
    store.sweep()
    assert [decision.kind for decision in store.decisions].count(CommandKind.EXPIRE) == 1
    assert store.ats("A") == 10


def test_the_cap_counts_from_creation_and_is_reached_exactly(store: Store) -> None:
    store.reserve(ship([("A", 1)], ttl_ns=60 * MINUTE_NS))
    store.wait(59 * MINUTE_NS)
    assert extend(store, 1, 60 * MINUTE_NS) == Outcome.OK
    store.wait(2 * MINUTE_NS)
    reply = store.tell(m.ExtendReservation, reservation_id=1, ttl_ns=59 * MINUTE_NS + 1)
    assert reply.outcome == Outcome.EXTENSION_LIMIT
    assert reply.expires_ns == store.now_ns + 58 * MINUTE_NS, "the end as it stands"
    assert extend(store, 1, 59 * MINUTE_NS) == Outcome.OK


def test_any_number_of_extensions_to_the_same_instant_fits_into_the_heap(store: Store) -> None:
    store.reserve(ship([("A", 1)], ttl_ns=30 * SECOND_NS))
    store.reserve(ship([("A", 1)], ttl_ns=20 * SECOND_NS))
    room = store.machine.pool.state[5].shape[1]
    for _ in range(3 * room):
        assert store.tell(m.ExtendReservation, reservation_id=1, ttl_ns=30 * SECOND_NS).outcome == Outcome.OK
        assert store.machine.pool.counter(c.EXPIRY_COUNT) <= room
    store.audit()
    store.wait(20 * SECOND_NS)
    assert (state(store, 1), state(store, 2)) == (ReservationState.HELD, ReservationState.EXPIRED)
    store.wait(10 * SECOND_NS)
    assert state(store, 1) == ReservationState.EXPIRED


def test_a_full_heap_drops_what_is_stale_and_nothing_else(store: Store) -> None:
    for _ in range(6):
        store.reserve(ship([("A", 1)], ttl_ns=40 * MINUTE_NS))
    room = store.machine.pool.state[5].shape[1]
    chance = Random(7)
    ends = dict.fromkeys(range(1, 7), store.now_ns + 40 * MINUTE_NS)
    for _ in range(5 * room):
        reservation_id = chance.randint(1, 6)
        ttl = chance.randint(30, 40) * MINUTE_NS
        ends[reservation_id] = store.now_ns + ttl
        assert store.tell(m.ExtendReservation, reservation_id=reservation_id, ttl_ns=ttl).outcome == Outcome.OK
    store.audit()
    for instant in sorted(set(ends.values())):
        store.wait(instant - 1 - store.now_ns)
        assert {each for each in ends if state(store, each) == ReservationState.HELD} == {
            each for each, end in ends.items() if end >= instant
        }
        store.wait(1)
    assert store.ats("A") == 10
    store.audit()


def test_a_thousand_holds_on_one_cell_end_at_one_instant() -> None:
    store = Store(limits(open_reservations_max=1_000, reservation_legs_max=1_000))
    store.stock(("A", "dc", 1_000))
    for at in range(1_000):
        assert store.reserve(ship([("A", 1)], ttl_ns=SECOND_NS + at % 3)).outcome == Outcome.OK
    assert store.ats("A") == 0
    store.wait(SECOND_NS)
    assert store.ats("A") == 334
    store.wait(2)
    assert store.ats("A") == 1_000
    store.audit()


def test_when_very_many_end_at_one_instant_nothing_leaks_and_the_rest_goes_on() -> None:
    """So many that the heap is made anew instead of losing them one by one; also when all is replayed."""
    many, room = TIDY_MAX + 616, 1 << 15
    store = Store(limits(open_reservations_max=room, reservation_legs_max=room, batch_items_max=many))
    store.stock(("A", "dc", many + 3))
    for ttl_ns in (SECOND_NS + 1, MINUTE_NS, SECOND_NS):
        store.reserve(ship([("A", 1)], ttl_ns=ttl_ns))
    claims = m.ClaimColumns.of([ship([("A", 1)], ttl_ns=SECOND_NS)] * many)
    assert store.tell(m.BatchReserve, claims=claims).outcome == Outcome.OK
    extend(store, 4, 2 * SECOND_NS)
    assert store.ats("A") == 0
    store.wait(SECOND_NS)
    assert store.ats("A") == many
    assert store.decisions[-1].effects.shape[0] == 1 + many
    assert [state(store, each) for each in (1, 2, 3, 4, 5)] == [
        ReservationState.HELD, ReservationState.HELD, ReservationState.EXPIRED, ReservationState.HELD, ReservationState.EXPIRED,
    ]  # fmt: skip
    counter = store.machine.pool.counter
    assert [counter(row) for row in (c.RESERVATIONS_OPEN, c.HELD_OPEN, c.EXPIRY_COUNT)] == [3, 3, 3]
    store.audit()
    for by_ns, free in ((1, many + 1), (SECOND_NS, many + 2), (MINUTE_NS, many + 3)):
        store.wait(by_ns)
        assert store.ats("A") == free
    assert recover(store.journal(), store.machine.pool.limits).digest() == store.machine.digest()
    store.audit()


def test_more_than_one_decision_ends_what_one_cannot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store.machine.pool.reservations, "_due", store.machine.pool.reservations._due[:2])
    for _ in range(5):
        store.reserve(ship([("A", 1)], ttl_ns=SECOND_NS))
    store.wait(SECOND_NS)
    store.sweep()
    assert [decision.kind for decision in store.decisions].count(CommandKind.EXPIRE) == 3
    assert store.ats("A") == 10
    store.audit()
