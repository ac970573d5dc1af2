"""Suggested transfers: thought out in a process of their own, from what the pool holds now."""

from __future__ import annotations

import asyncio

from engine.model.answers import StatusAnswer
from engine.model.queries import GetStatus
from engine.planning.transfers import Suggested, Transfer, Wish, find_transfers, read_places, read_shelves
from engine.planning.worker import Work, WorkFailed
from engine.service.door import Engine
from engine.service.errors import PlanningFailed
from engine.service.looking import look, pieces, submit


class TransferFinder:
    """One thought at a time; the next caller waits. Belongs to the event loop."""

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._one = asyncio.Lock()

    async def find(self, engine: Engine, wish: Wish) -> Suggested:
        """Look, think, answer; nothing is changed. Ends when its caller goes.

        Raises:
            PlanningFailed: the process crashed, took too long or needed too much memory.
        """
        async with self._one:
            status: StatusAnswer = await submit(engine, GetStatus(0))
            plan = status.price_plan
            if plan is None or plan.expired:
                return Suggested([], plan, status.price_age_ns)
            work = Work(find_transfers, timeout_s=self._timeout_s)
            try:
                return Suggested(await _think(engine, work, wish), plan, status.price_age_ns)
            except WorkFailed as error:
                raise PlanningFailed(f"The planning process found no transfers: {error}.") from None
            finally:
                await asyncio.shield(asyncio.to_thread(work.close))


async def _think(engine: Engine, work: Work, wish: Wish) -> list[Transfer]:
    await asyncio.to_thread(work.start)
    await asyncio.to_thread(work.send, wish)
    await asyncio.to_thread(work.send, await look(engine, lambda pool, _: read_places(pool)))
    async for piece in pieces(engine, read_shelves):
        await asyncio.to_thread(work.send, piece)
    found: list[Transfer] = await asyncio.to_thread(next, work.results())
    return found
