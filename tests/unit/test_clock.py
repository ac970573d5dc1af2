import pytest

from engine.clock import ManualClock, SystemClock


def test_system_clock_stands_still_when_the_machine_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([100, 90, 99, 101])
    monkeypatch.setattr("engine.clock.time.time_ns", lambda: next(times))
    system = SystemClock()
    assert [system.now_ns() for _ in range(4)] == [100, 100, 100, 101]


def test_system_clock_never_answers_less_than_the_journal_ended_with() -> None:
    far = 1 << 62
    assert SystemClock(not_before_ns=far).now_ns() == far


def test_manual_clock_moves_when_told() -> None:
    manual = ManualClock(5)
    assert manual.now_ns() == 5
    assert manual.advance(7) == manual.now_ns() == 12
    with pytest.raises(ValueError, match="backwards"):
        manual.advance(-1)
