"""How many may wait for the writer: as many as it answers in time, told by its pace and not by a number alone."""

from __future__ import annotations

from engine.writer import ANSWERS_WEIGHED, PLACES_MIN, RETRY_MAX_S, RETRY_MIN_S, RETRY_SHARE, Overloaded, Room


def paced(room: Room, per_s: int, waiting: int, answers: int, now_s: float = 100.0) -> float:
    """Lets a server that answers ``per_s`` a second answer so many while ``waiting`` wait; returns the time at the end."""
    for _ in range(0, answers, 100):
        room.hand_over(100, waiting, now_s)
        now_s += waiting / per_s
        room.answer(100, now_s)
    return now_s


def test_before_the_first_answer_only_the_number_counts() -> None:
    assert Room(20_000, 0.25).places == 20_000
    full = Room(8, 0.25).full(1.0)
    assert (full.limit, full.value) == ("inbox_max", 8)


def test_the_room_is_what_is_answered_in_time() -> None:
    room = Room(20_000, 0.25)
    now_s = paced(room, 4_000, 800, 5_000)
    assert 998 <= room.places <= 1_002
    full = room.full(now_s)
    assert (full.limit, full.value) == ("inbox_wait_max_ns", 250_000_000)
    paced(room, 8_000, 800, 20 * ANSWERS_WEIGHED, now_s)
    assert 1_950 <= room.places <= 2_000, "it follows the pace"


def test_the_number_counts_too() -> None:
    room = Room(300, 0.25)
    paced(room, 2_000, 200, 5_000)
    assert room.places == 300


def test_a_lone_caller_says_nothing_about_a_crowd() -> None:
    """Who waits alone waits for the disk: 400 a second one after another, and thousands together."""
    room = Room(20_000, 0.25)
    for at in range(3_000):
        room.hand_over(1, 1, at / 400)
        room.answer(1, (at + 1) / 400)
    assert room.places >= 5_000


def test_one_hiccup_turns_hardly_anybody_away() -> None:
    room = Room(20_000, 0.25)
    now_s = paced(room, 3_000, 64, 3_000)
    room.hand_over(20, 20, now_s)
    room.answer(20, now_s + 0.3)
    assert room.places > 300


def test_there_is_always_some_room() -> None:
    room = Room(20_000, 0.25)
    paced(room, 10, 100, 1_000)
    assert room.places == PLACES_MIN


def test_answers_that_come_in_other_portions_than_the_requests() -> None:
    """Several hand-overs make a group; what is left open belongs to the next."""
    room = Room(20_000, 0.25)
    for portion in (3, 5, 7):
        room.hand_over(portion, 1_000, 0.0)
    room.answer(4, 0.1)
    room.answer(11, 0.1)
    assert not room._handed
    assert room._unfinished == 0
    assert 2_498 <= room.places <= 2_502


def test_who_is_refused_gets_a_time_of_its_own() -> None:
    room = Room(20_000, 0.25)
    now_s = paced(room, 1_000, 600, 5_000)
    times = [room.full(now_s).retry_after_ns / 1e9 for _ in range(5_000)]
    step_s = RETRY_SHARE / 1_000
    assert abs(times[0] - RETRY_MIN_S - step_s) < 1e-6
    assert abs(times[100] - times[99] - step_s) < 1e-6
    assert RETRY_MIN_S - 1e-6 <= min(times) < max(times) <= RETRY_MAX_S + 1e-6
    per_tenth = [sum(at <= time < at + 0.1 for time in times) for at in (0.5, 1.5, 2.5, 3.5, 4.5)]
    assert max(per_tenth) - min(per_tenth) <= 10, "beyond the longest time they begin anew, evenly"
    assert room.full(now_s + 60).retry_after_ns / 1e9 < RETRY_MIN_S + 2 * step_s, "once it is over nobody waits longer"
    assert isinstance(room.full(now_s), Overloaded)
