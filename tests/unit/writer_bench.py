"""A writer with everything around it, and a journal that can be held up."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from engine.clock import ManualClock
from engine.core.machine import Machine
from engine.journal import Record
from engine.journal.codec import decode
from engine.journal.memory import MemoryJournal, Tape
from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import Limits
from engine.model.outcomes import CommandKind
from engine.writer import NEVER, Answer, Writer
from tests.builders import SMALL, Store, ship


class GatedJournal(MemoryJournal):
    """A journal whose appends can be held up, and made to fail."""

    def __init__(self, tape: Tape) -> None:
        super().__init__(tape)
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.failure: Exception | None = None

    def append(self, record: Record, *, expected_seq: int) -> None:
        self.entered.set()
        self.gate.wait()
        if self.failure is not None:
            raise self.failure
        super().append(record, expected_seq=expected_seq)


class Bench:
    """A writer with everything around it."""

    def __init__(self, given: Limits = SMALL) -> None:
        self.store = Store(given)
        self.store.stock(("A", "dc", 10), ("B", "east", 10))
        self.limits = given
        tape = self.store.journal()._tape
        self.journal = GatedJournal(tape)
        self.clock = ManualClock(self.store.now_ns)
        self.lost: list[Exception] = []
        self.told = threading.Event()
        self.writer = Writer(self.machine, self.journal, self.clock, linger_ns=0, on_lost=self._on_lost)
        self.first_seq = self.machine.seq

    @property
    def machine(self) -> Machine:
        return self.store.machine

    def _on_lost(self, error: Exception) -> None:
        self.lost.append(error)
        self.told.set()

    def reserve(
        self, request_id: str = "", units: int = 1, deadline_s: float = NEVER, **fields: Any
    ) -> asyncio.Future[Answer]:
        command = self.store.make(m.Reserve, request_id, claim=ship([("A", units)], **fields))
        return self.writer.submit(command, deadline_s)

    def status(self, min_seq: int = 0) -> asyncio.Future[Answer]:
        return self.writer.submit(q.GetStatus(min_seq))

    async def block(self) -> asyncio.Future[Answer]:
        """Hold the writer up in its next append; the future of the request that waits there."""
        self.journal.gate.clear()
        self.journal.entered.clear()
        future = self.reserve("blocked")
        assert await asyncio.to_thread(self.journal.entered.wait, 30)
        return future

    def records(self) -> list[list[CommandKind]]:
        """What was appended since the start, group by group."""
        return [[each.kind for each in decode(record)] for record in self.journal.read(self.first_seq + 1)]


async def turns(count: int = 20) -> None:
    """Let everything on the event loop that can go on go on."""
    for _ in range(count):
        await asyncio.sleep(0)
