"""StreamReserve while it is open: requests are taken as they come, answers go in the same order."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

from engine.model.commands import BatchReserve, Reserve
from engine.service.convert import reservations as convert
from engine.service.convert import wire
from engine.service.convert.entry import Entry
from engine.service.convert.reservation_columns import BATCH_RESERVE_COLUMNS
from engine.service.door import Context, Door, Engine, deadline, request_age_ns
from engine.service.errors import InvalidRequest, Problem
from engine.service.reading import Unreadable
from engine.writer import Answer, NotServing, Overloaded
from stockpool.v1 import reservations_pb2 as pb

AHEAD_MAX = 256
"""Requests of a stream that are under way at a time; the next is read when the first of them has its answer."""

Asked = tuple[str, Entry[Any, Any], "asyncio.Future[Answer]", Engine]
"""Which field of the response the answer fills, how, and where it comes from."""


class ReserveStream:
    """One stream. A task reads and submits, its caller writes the answers; whichever fails first ends both."""

    def __init__(self, door: Door, context: Context) -> None:
        self._door = door
        self._context = context
        self._deadline_s = deadline(context)
        self._age_ns = request_age_ns(context)
        self._ahead: deque[Asked] = deque()
        self._moved = asyncio.Event()
        self._room = asyncio.Event()
        self._position = 0
        self._reading: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._closing = door.opened().closing

    async def answers(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        """The answers to what comes in, until it ends. Raises what ends it, after the answers to all before."""
        self._reading = asyncio.create_task(self._read(requests))
        self._watching = asyncio.create_task(self._watch())
        while True:
            while self._ahead:
                field, entry, future, engine = self._ahead[0]
                # The shield leaves it to ``drop`` to give up what is under way, in its order.
                seq, reply = await asyncio.shield(future)
                self._ahead.popleft()
                self._room.set()
                yield _response(field, entry, seq, reply, engine)
            if self._reading.done():
                self._reading.result()
                return
            if self._closing.is_set():
                raise NotServing
            self._moved.clear()
            await self._moved.wait()

    async def drop(self) -> None:
        """Nobody waits for answers any more: what is not decided yet need not be, from the end, so that nothing is decided behind
        something that was dropped.
        """
        for _, _, future, _ in reversed(self._ahead):
            future.cancel()
        for task in (self._reading, self._watching):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError, Exception):
                    await task

    async def _watch(self) -> None:
        """A stream in which nothing is asked ends with the server."""
        await self._closing.wait()
        self._moved.set()

    async def _read(self, requests: AsyncIterator[Any]) -> None:
        try:
            async for request in requests:
                self._ahead.append(await self._submit(request))
                self._position += 1
                self._moved.set()
                while len(self._ahead) >= AHEAD_MAX:
                    self._room.clear()
                    await self._room.wait()
        except InvalidRequest as error:
            place = f"messages[{self._position}]."
            raise InvalidRequest([each._replace(field=place + each.field) for each in error.problems]) from None
        finally:
            self._moved.set()

    async def _submit(self, request: Any) -> Asked:
        if isinstance(request, Unreadable):
            request.refuse()
        field = request.WhichOneof("request")
        if field is None:
            raise InvalidRequest([Problem("request", "is missing; give reserve or batch_reserve")])
        asked = getattr(request, field)
        entry: Entry[Any, Any] = convert.RESERVE
        if field == "batch_reserve":
            entry = BATCH_RESERVE_COLUMNS if asked.HasField("columns") else convert.BATCH_RESERVE
        engine = await self._door.enter(self._context, asked)
        try:
            work = entry.work(asked, engine.rules)
        except InvalidRequest as error:
            raise InvalidRequest([each._replace(field=f"{field}.{each.field}") for each in error.problems]) from None
        assert isinstance(work, Reserve | BatchReserve)
        if self._age_ns:
            work = replace(work, age_ns=self._age_ns)
        while True:
            try:
                return field, entry, engine.writer.submit(work, self._deadline_s), engine
            except Overloaded as full:
                await asyncio.sleep(full.retry_after_ns / 1e9)


def _response(field: str, entry: Entry[Any, Any], seq: int, reply: Any, engine: Engine) -> Any:
    """In the class of the answer: that of columns has a descriptor pool of its own, see ``wire``."""
    answer = entry.answer(seq, reply, engine.names)
    whole = wire.StreamReserveResponse if entry is BATCH_RESERVE_COLUMNS else pb.StreamReserveResponse
    return whole(**{field: answer})
