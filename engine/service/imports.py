"""A stream of ImportStock while it comes in."""

import asyncio
from collections import deque
from dataclasses import replace

from engine.model.commands import ImportStock
from engine.service.convert.imports import Gathered, Import, import_message
from engine.service.door import Engine
from engine.service.errors import InvalidRequest, Problem
from engine.writer import Answer, Overloaded
from stockpool.v1 import inventory_pb2 as pb

MESSAGES_AHEAD = 4
"""Messages that wait for their decision while the next one is read."""


class ImportStream:
    """Messages go to the writer as they come, each decided on its own in order; with ``all_or_nothing`` as one command at the end."""

    def __init__(self, engine: Engine, first: pb.ImportStockRequest, deadline_s: float, age_ns: int) -> None:
        """``deadline_s``: when the caller stops waiting, see ``Writer.submit``; ``age_ns``: since it first sent this stream."""
        self._engine = engine
        self._deadline_s = deadline_s
        self._age_ns = age_ns
        self._request_id = first.request_id
        self._gathered = Gathered(engine.rules) if first.all_or_nothing else None
        self._messages = 0
        self._rows = 0
        self._ahead: deque[tuple[int, asyncio.Future[Answer]]] = deque()
        self._result = Import()

    async def take(self, request: pb.ImportStockRequest) -> None:
        """The next message.

        Raises:
            InvalidRequest: it is malformed; paths begin with ``messages[n]``. Those before it stay applied.
        """
        part = self._part(request)
        if self._gathered is not None:
            return
        if len(self._ahead) >= MESSAGES_AHEAD:
            await self._settle()
        self._ahead.append((part.row_count, await self._submit(part)))

    async def end(self) -> pb.ImportStockResponse:
        """There are no more messages."""
        if self._gathered is not None:
            command = self._gathered.command()
            self._ahead.append((self._rows, await self._submit(command)))
        while self._ahead:
            await self._settle()
        return self._result.response()

    def drop(self) -> None:
        """Nobody waits for the answer any more: what is not decided yet need not be. From the end: the writer, which goes by turns
        of its own, must not find a message dropped and decide one behind it.
        """
        for _, future in reversed(self._ahead):
            future.cancel()

    def _part(self, request: pb.ImportStockRequest) -> ImportStock:
        try:
            part = import_message(request, self._engine.rules, self._messages)
            self._require_fit(part, request.request_id)
            if self._gathered is not None:
                self._gathered.add(part)
        except InvalidRequest as error:
            place = f"messages[{self._messages}]."
            raise InvalidRequest(
                [problem._replace(field=place + problem.field) for problem in error.problems]
            ) from None
        self._messages += 1
        return part

    def _require_fit(self, part: ImportStock, request_id: str) -> None:
        if request_id != self._request_id:
            raise InvalidRequest([Problem("request_id", "must be the same in every message of the stream")])
        self._rows += part.row_count
        limit = self._engine.rules.limits.import_rows_per_stream_max
        if self._rows > limit:
            text = f"the stream has more than {limit} rows, the limit import_rows_per_stream_max; send several streams"
            raise InvalidRequest([Problem("sku_keys", text, "import_rows_per_stream_max", limit)])

    async def _submit(self, command: ImportStock) -> asyncio.Future[Answer]:
        """A stream that is under way waits for room instead of failing half way."""
        if self._age_ns:
            command = replace(command, age_ns=self._age_ns)
        while True:
            try:
                return self._engine.writer.submit(command, self._deadline_s)
            except Overloaded as full:
                await asyncio.sleep(full.retry_after_ns / 1e9)

    async def _settle(self) -> None:
        rows, future = self._ahead[0]
        # The shield leaves it to ``drop`` to give up the messages of a call that is cancelled, in its order.
        answer = await asyncio.shield(future)
        self._ahead.popleft()
        self._result.add(rows, answer.seq, answer.reply)
