import asyncio

import pytest

from engine.demo.agenda import Agenda
from engine.demo.scenario import Call, Receipt


def receipt(at_ns: int) -> Receipt:
    return Receipt("north", f"at {at_ns}", at_ns, ())


class Diary:
    """What happened, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.under_way = self.most_under_way = 0

    async def play(self, call: Call) -> None:
        await self.note(f"call {call.at_ns}")

    async def note(self, line: str) -> None:
        self.lines.append(line)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1


@pytest.mark.parametrize("in_flight", [1, 2, 64])
async def test_calls_and_later_steps_happen_in_order_of_time(in_flight: int) -> None:
    diary = Diary()
    agenda = Agenda(diary.play)
    for at_ns in (25, 5, 15, 15):
        agenda.put(at_ns, lambda at_ns=at_ns: diary.note(f"step {at_ns}"))  # type: ignore[misc]
    await agenda.run([receipt(10), receipt(20), receipt(30)], in_flight=in_flight)
    expected = ["step 5", "call 10", "step 15", "step 15", "call 20", "step 25", "call 30"]
    assert diary.lines == expected
    assert diary.most_under_way <= in_flight
    assert agenda.now_ns == 30


async def test_a_call_comes_before_a_step_of_the_same_instant() -> None:
    diary = Diary()
    agenda = Agenda(diary.play)
    agenda.put(10, lambda: diary.note("step 10"))
    await agenda.run([receipt(10)], in_flight=1)
    assert diary.lines == ["call 10", "step 10"]


async def test_steps_beyond_the_end_wait_for_the_next_run() -> None:
    diary = Diary()
    agenda = Agenda(diary.play)
    agenda.put(100, lambda: diary.note("step 100"))
    await agenda.run([receipt(10)], until_ns=100, in_flight=4)
    assert diary.lines == ["call 10"]
    assert len(agenda) == 1
    await agenda.run(in_flight=4)
    assert diary.lines == ["call 10", "step 100"]


async def test_a_step_may_put_further_steps_while_others_wait() -> None:
    diary = Diary()
    agenda = Agenda(diary.play)

    async def chain(left: int) -> None:
        await diary.note(f"left {left}")
        if left:
            agenda.put(agenda.now_ns + 1, lambda: chain(left - 1))

    agenda.put(1, lambda: chain(3))
    await agenda.run(in_flight=8)
    assert diary.lines == ["left 3", "left 2", "left 1", "left 0"]
    assert agenda.now_ns == 4


async def test_a_stopped_agenda_begins_nothing() -> None:
    diary = Diary()
    agenda = Agenda(diary.play)

    async def stop() -> None:
        await diary.note("stop")
        agenda.stopped = True

    agenda.put(5, stop)
    agenda.put(6, lambda: diary.note("never"))
    await agenda.run([receipt(10)], in_flight=1)
    assert diary.lines == ["stop"]


async def test_what_a_step_raises_ends_the_run() -> None:
    async def break_down(_: Call) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    agenda = Agenda(break_down)
    with pytest.raises(ExceptionGroup) as raised:
        await agenda.run([receipt(1), receipt(2)], in_flight=2)
    assert raised.group_contains(ZeroDivisionError)
