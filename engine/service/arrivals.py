"""A gRPC server that has many calls handed to it at a time.

gRPC's own asks its core for one call, and for the next one when the event loop has come round to that call, several turns later. A busy
loop has long turns, so calls pile up in the core, where nobody sees, counts or refuses them; and the loop gets so little at a time that
the writer's groups stay small. Asking for many beforehand costs nothing when they do not come.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any

from grpc._cython import cygrpc  # there is no public way to say how many calls are asked for
from grpc.aio._server import Server

ASKED_MAX = 512
"""Calls asked for at a time: enough that a crowd is seen, and what is too much of it refused, while it is still coming."""
CLOSING_S, LOOK_S = 0.1, 0.005
"""How long the last ones asked for are waited for at the end while they still come, and how often that is looked at."""


class _Core(cygrpc.AioServer):  # type: ignore[misc]
    """The server beneath grpc.aio's; its loop takes one call after another out of ``_request_call``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, options: Sequence[tuple[str, Any]], asked_max: int) -> None:
        super().__init__(loop, None, (), (), tuple(options), None)
        self._turns = loop
        self._asked_max = asked_max
        self._asked = 0  # and not come yet
        self._came: deque[asyncio.Task[Any]] = deque()
        self._waits: asyncio.Future[None] | None = None

    async def _request_call(self) -> Any:
        """The next call; those that have come already follow without a turn of the loop between them."""
        while True:
            while self._asked < self._asked_max:
                self._asked += 1
                self._turns.create_task(super()._request_call()).add_done_callback(self._note)
            if self._came:
                return self._came.popleft().result()
            self._waits = self._turns.create_future()
            await self._waits

    def _note(self, task: "asyncio.Task[Any]") -> None:
        """A call has come; or, once the server shuts down, none ever will."""
        if not task.cancelled():
            task.exception()  # seen: of those that never come only the first is told of
        self._asked -= 1
        self._came.append(task)
        if self._waits is not None and not self._waits.done():
            self._waits.set_result(None)

    async def shutdown(self, grace: float | None) -> None:
        """Take what comes at this moment, and only then end: what was handed over and not looked at yet would go unanswered."""
        self._asked_max = 1
        until_s, before = self._turns.time() + CLOSING_S, 0
        while self.is_running() and (self._came or self._asked not in (1, before)) and self._turns.time() < until_s:
            before = self._asked
            await asyncio.sleep(LOOK_S)
        await super().shutdown(grace)


class ArrivalsServer(Server):
    """``grpc.aio.server(options=...)``, but for the above."""

    def __init__(self, options: Sequence[tuple[str, Any]], asked_max: int = ASKED_MAX) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = _Core(self._loop, options, asked_max)
