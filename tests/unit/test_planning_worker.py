"""Thoughts in a process of their own: whatever happens there, the server is told in words."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from engine.planning.worker import Work, WorkFailed

PATIENCE_S = 60.0


def double(parts: list[Any]) -> Iterator[Any]:
    for part in parts:
        yield 2 * part


def lose(parts: list[Any]) -> Iterator[Any]:
    yield from parts
    raise LookupError("no such price")


def crash(parts: list[Any]) -> Iterator[Any]:
    os.kill(os.getpid(), signal.SIGSEGV)
    yield from parts


def hang(parts: list[Any]) -> Iterator[Any]:
    yield from parts
    time.sleep(PATIENCE_S)


def gorge(parts: list[Any]) -> Iterator[Any]:
    yield np.ones(parts[0], np.int64).sum()


def pid(parts: list[Any]) -> Iterator[int]:
    del parts
    yield os.getpid()
    time.sleep(PATIENCE_S)


def test_parts_go_there_and_results_come_back_in_order() -> None:
    parts: list[Any] = [np.arange(1 << 17), 7, "ab"]
    with Work(double, timeout_s=PATIENCE_S) as work:
        for part in parts:
            work.send(part)
        found = list(work.results())
    assert np.array_equal(found[0], 2 * parts[0])
    assert found[1:] == [14, "abab"]


@pytest.mark.parametrize(
    ("thought", "part", "why"),
    [
        (lose, 1, "LookupError: no such price"),
        (crash, 1, "its process ended (exit code -11)"),
        (gorge, 1 << 33, "it needs more memory than 8,589,934,592 bytes"),
    ],
)
def test_what_goes_wrong_there_is_told(thought: Any, part: int, why: str) -> None:
    with Work(thought, timeout_s=PATIENCE_S) as work:
        work.send(part)
        with pytest.raises(WorkFailed) as failed:
            list(work.results())
    assert str(failed.value) == why


def test_what_takes_too_long_is_ended() -> None:
    with Work(hang, timeout_s=0.5) as work, pytest.raises(WorkFailed, match=r"longer than 0\.5 s"):
        list(work.results())


def test_who_no_longer_wants_the_results_ends_the_process() -> None:
    with Work(pid, timeout_s=PATIENCE_S) as work:
        number = next(work.results())
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_process_that_has_gone_is_noticed_while_parts_are_sent() -> None:
    with Work(double, timeout_s=PATIENCE_S) as work:
        work._process.kill()
        work._process.join()
        with pytest.raises(WorkFailed, match=r"its process ended \(exit code -9\)"):
            work.send(np.zeros(1 << 20))
