"""The window in which a repeated request is safe: what may have been decided and forgotten is refused, never decided twice."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from engine.core.image import image_of
from engine.core.machine import Repeated
from engine.core.rebuilding import machine_of
from engine.model import commands as m
from engine.model.limits import SECOND_NS
from engine.model.outcomes import Outcome
from engine.recovery import recover
from tests.builders import EPOCH_NS, MINUTE_NS, Store, limits, ship

REMEMBERED = 20
GIVEN = limits(request_ids_remembered=REMEMBERED, request_window_ns=10 * MINUTE_NS)


@pytest.fixture
def store() -> Store:
    store = Store(GIVEN)
    store.stock(("A", "dc", 50))
    return store


def crowd(store: Store, count: int) -> None:
    """So many other requests, a second apart."""
    for _ in range(count):
        store.wait(SECOND_NS)
        store.tell(m.ReleaseReservation, reservation_id=1)


def reserve(store: Store, request_id: str, age_ns: int = 0) -> Any:
    """Reserve one unit of A."""
    return store.tell(m.Reserve, request_id, claim=ship([("A", 1)]), age_ns=age_ns)


def test_a_request_that_was_never_sent_may_have_any_id(store: Store) -> None:
    crowd(store, 3 * REMEMBERED)
    assert reserve(store, "new").outcome == Outcome.OK


def test_a_repeated_request_gets_its_first_answer_whatever_its_age(store: Store) -> None:
    first = reserve(store, "mine")
    store.wait(30 * MINUTE_NS)
    made = m.Reserve("mine", store.decisions[-1].fingerprint, ship([("A", 1)]), age_ns=30 * MINUTE_NS)
    again = store.machine.decide(made, store.now_ns)
    assert isinstance(again, Repeated)
    assert again.reply == first


def test_what_may_have_been_forgotten_is_refused(store: Store) -> None:
    reserve(store, "mine")
    sent_ns = store.now_ns
    crowd(store, REMEMBERED)
    decided = store.machine.seq
    with pytest.raises(m.TooOld):
        reserve(store, "mine", age_ns=store.now_ns - sent_ns)
    assert store.machine.seq == decided
    assert reserve(store, "mine").outcome == Outcome.OK, "who does not tell the age is taken for new"


def test_a_clock_that_is_put_right_by_a_second_lets_nothing_be_decided_twice(store: Store) -> None:
    reserve(store, "mine")
    for _ in range(REMEMBERED):
        store.tell(m.ReleaseReservation, reservation_id=1)
    store.wait(SECOND_NS - 1_000_000)  # the clock was set; a millisecond has passed
    with pytest.raises(m.TooOld):
        reserve(store, "mine", age_ns=1_000_000)


def test_what_was_sent_after_the_last_that_is_forgotten_is_decided(store: Store) -> None:
    crowd(store, REMEMBERED)
    sent_ns = store.now_ns + 1
    crowd(store, REMEMBERED // 2)
    assert reserve(store, "lost on the way", age_ns=store.now_ns - sent_ns).outcome == Outcome.OK


def test_before_anything_is_forgotten_only_the_time_counts() -> None:
    store = Store(limits(request_window_ns=10 * MINUTE_NS))
    store.stock(("A", "dc", 50))
    assert reserve(store, "older than the journal", age_ns=10 * MINUTE_NS).outcome == Outcome.OK
    with pytest.raises(m.TooOld):
        reserve(store, "too old", age_ns=10 * MINUTE_NS + 1)


@pytest.mark.parametrize("seed", range(6))
def test_never_twice_and_rarely_in_vain(seed: int) -> None:
    """Whatever the age: an id that was decided is never decided again; one that was not is refused only near the edge of the window."""
    chance = Random(seed)
    remembered = chance.choice((3, 40, 1_100))
    store = Store(limits(request_ids_remembered=remembered, open_reservations_max=10_000, reservation_legs_max=10_000))
    store.stock(("A", "dc", 1_000_000))
    decided: dict[str, int] = {}
    for at in range(2 * remembered + 60):
        store.wait(chance.randrange(3) * SECOND_NS)
        decided[f"q{at}"] = store.now_ns
        reserve(store, f"q{at}")
    oldest = list(decided.values())[-remembered]
    for request_id, sent_ns in chance.sample(sorted(decided.items()), 40):
        age_ns = store.now_ns - sent_ns
        if age_ns == 0:
            continue
        known = store.machine.knows(request_id)
        made = store.make(m.Reserve, request_id, claim=ship([("A", 1)]), age_ns=age_ns)
        if known:
            assert isinstance(store.machine.decide(made, store.now_ns), Repeated), f"seed {seed}"
        else:
            with pytest.raises(m.TooOld):
                store.machine.decide(made, store.now_ns)
    bound_ns = store.machine.requests.forgotten_ns(store.now_ns)
    assert EPOCH_NS < bound_ns <= oldest + (remembered // 100 + 2) * 3 * SECOND_NS, f"seed {seed}"


@pytest.mark.parametrize("group", [1, 7, 10_000])
def test_the_window_is_the_same_after_replay_and_from_an_image(group: int) -> None:
    store = Store(limits(request_ids_remembered=1_300, request_window_ns=10**18))
    store.stock(("A", "dc", 50))
    crowd(store, 3_000)
    bound_ns = store.machine.requests.forgotten_ns(store.now_ns)
    given = store.machine.pool.limits
    replayed = recover(store.journal(group), given)
    assert replayed.requests.image() == store.machine.requests.image()
    assert replayed.requests.forgotten_ns(store.now_ns) == bound_ns
    assert machine_of(image_of(store.machine), given).requests.forgotten_ns(store.now_ns) == bound_ns
