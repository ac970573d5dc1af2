"""A stream of ImportStock whose caller goes away: what is not decided yet must be dropped from its end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from engine.model.limits import Limits
from engine.service.door import Engine
from engine.service.fields import Rules
from engine.service.imports import MESSAGES_AHEAD, ImportStream
from stockpool.v1 import inventory_pb2 as pb


class Keys:
    """Names without a pool."""

    currency_code = "USD"
    sku_keys = ("red",)
    node_keys = ("east",)
    channel_keys = ("web",)

    def known(self, directory: str) -> tuple[int, int] | None:
        return (len(self.sku_keys), len(self.node_keys)) if directory == "mine" else None


class SilentWriter:
    """Takes work and never decides it; remembers in which order nobody waited for it any more."""

    def __init__(self) -> None:
        self.submitted = 0
        self.dropped: list[int] = []

    def submit(self, _work: Any, _deadline_s: float) -> asyncio.Future[Any]:
        number = self.submitted
        self.submitted += 1
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # Called back in the order of the cancellations.
        future.add_done_callback(lambda _: self.dropped.append(number))
        return future


@pytest.mark.parametrize("ended", [False, True])
async def test_a_cut_stream_is_dropped_from_its_end(ended: bool) -> None:
    """The writer may look at any moment: were an earlier message dropped before a later one, it would decide the later one alone."""
    writer = SilentWriter()
    message = pb.ImportStockRequest(request_id="feed", sku_keys=["red"], node_keys=["east"], on_hand_units=[1])
    engine = Engine(*cast("Any", (writer, Keys(), None, Rules(Limits(), Keys()), asyncio.Event())))
    stream = ImportStream(engine, message, 0.0, 0)

    async def call() -> None:
        try:
            for _ in range(MESSAGES_AHEAD + (not ended)):
                await stream.take(message)
            await stream.end()
        finally:
            stream.drop()

    task = asyncio.create_task(call())
    while writer.submitted < MESSAGES_AHEAD:  # noqa: ASYNC110 - nobody here can be told
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await asyncio.sleep(0)
    assert writer.dropped == list(reversed(range(MESSAGES_AHEAD)))
