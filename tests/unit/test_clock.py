import pytest

from engine.clock import ManualClock, SystemClock


class Machine:
    """A machine whose clocks say what the test lets them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wall_ns: int) -> None:
        self.wall_ns, self.passed_ns = wall_ns, 5_000
        monkeypatch.setattr("engine.clock.time.time_ns", lambda: self.wall_ns)
        monkeypatch.setattr("engine.clock.time.monotonic_ns", lambda: self.passed_ns)

    def wait(self, ns: int) -> None:
        self.wall_ns += ns
        self.passed_ns += ns


def test_system_clock_is_the_machines(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 1_000)
    system = SystemClock()
    for ns in (0, 1, 100, 12_345):
        machine.wait(ns)
        assert system.now_ns() == machine.wall_ns
    machine.wall_ns += 1_000_000
    assert system.now_ns() == machine.wall_ns, "a jump ahead is believed"


def test_system_clock_goes_on_slowly_when_the_machine_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(monkeypatch, 100_000)
    system = SystemClock()
    assert system.now_ns() == 100_000
    machine.wall_ns = 99_000
    assert system.now_ns() == 100_000
    machine.wait(1_000)
    assert system.now_ns() == 100_900
    for _ in range(100):
        machine.wait(10)
        system.now_ns()
    assert system.now_ns() == 101_800, "asking often does not slow it down"
    machine.wait(8_000)
    assert system.now_ns() == 109_000, "not yet caught up, but met"
    machine.wait(500)
    assert system.now_ns() == machine.wall_ns == 109_500


def test_system_clock_never_answers_less_than_the_journal_ended_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decisions of a year that has not come yet do not stop the time."""
    machine = Machine(monkeypatch, 1_000)
    far = 1 << 62
    system = SystemClock(not_before_ns=far)
    assert system.now_ns() == far
    machine.wait(1_000)
    assert system.now_ns() == far + 900


def test_manual_clock_moves_when_told() -> None:
    manual = ManualClock(5)
    assert manual.now_ns() == 5
    assert manual.advance(7) == manual.now_ns() == 12
    with pytest.raises(ValueError, match="backwards"):
        manual.advance(-1)
