"""What planning and the hub of watchers ask of the writer: a little at a time, behind its callers, so that nobody's request waits for a plan."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

from engine.model.answers import StatusAnswer
from engine.model.commands import Command
from engine.model.limits import SECOND_NS
from engine.model.queries import Look, Query
from engine.planning.refresh import Piece
from engine.pool.pool import Pool
from engine.service.door import Engine
from engine.writer import Overloaded


async def submit(engine: Engine, work: Command | Query) -> Any:
    """The reply. When the server has too much to do, callers go first."""
    while True:
        try:
            return (await engine.writer.submit(work)).reply
        except Overloaded as error:
            await asyncio.sleep(error.retry_after_ns / SECOND_NS)


async def look(engine: Engine, take: Callable[[Pool, int], Any]) -> Any:
    """What ``take`` copies of the pool, given it and the time, between two groups of commands."""
    answer: StatusAnswer = await submit(engine, Look(0, take))
    return answer.report


async def pieces(engine: Engine, read: Callable[[Pool, int], Piece]) -> AsyncIterator[Piece]:
    """All cells, some SKUs at a time: what ``read`` makes of those from a SKU on."""
    next_sku = 0
    while next_sku >= 0:
        piece: Piece = await look(engine, _reader(read, next_sku))
        yield piece
        next_sku = piece.next_sku


def _reader(read: Callable[[Pool, int], Piece], first_sku: int) -> Callable[[Pool, int], Piece]:
    return lambda pool, _: read(pool, first_sku)
