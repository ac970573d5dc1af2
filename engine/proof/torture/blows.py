"""The blows: when, where and how the server, its database or the cable between them is struck."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from random import Random

from engine.proof.torture.keeper import Keeper
from engine.proof.torture.ledger import Ledger
from engine.proof.torture.places import Place, PostgresPlace
from engine.proof.torture.proxy import Cut
from engine.proof.torture.servers import ServerProcess
from engine.proof.torture.shopper import Shopper

_UNDER_LOAD_S = (0.0, 0.5)
"""How long the server is left alone once the clients have found it again."""
_FOUND_S = 5.0
"""They have all found it by then."""
_BURST = 12
"""Requests at once of each of a few callers."""
_RECOVERY_S = 0.4
"""A server looks at its journal for about so long before it answers."""
_GOES_ON_S = 30.0
"""A server that lost its journal has ended by then."""


class Blows:
    """All the blows that there are, at random moments."""

    def __init__(self, place: Place, ledger: Ledger, shoppers: list[Shopper], random: Random) -> None:
        self._ledger = ledger
        self._shoppers = shoppers
        self._random = random
        self._strikes: dict[str, tuple[int, Callable[[Keeper], Awaitable[None]]]] = {
            "kill under load": (8, self._kill_under_load),
            "kill after a burst": (5, self._kill_after_burst),
            "kill as soon as it serves": (3, self._kill_at_once),
            "kill while it recovers": (4, self._kill_recovering),
            "kill while it drains": (2, self._kill_draining),
        }
        if isinstance(place, PostgresPlace):
            self._place = place
            self._strikes["kill the database"] = (2, self._kill_database)
            for where in Cut:
                self._strikes[where.value] = (3, partial(self._cut, where))

    def choose(self, count: int) -> list[str]:
        """Names of blows, drawn by how often each is to fall."""
        return self._random.choices(list(self._strikes), [often for often, _ in self._strikes.values()], k=count)

    async def strike(self, keeper: Keeper, name: str) -> None:
        """One blow at the server that is kept; returns once it has fallen.

        Raises:
            KeyError: there is no such blow, or not at this place.
        """
        await self._strikes[name][1](keeper)

    async def _pause(self, least_s: float, most_s: float) -> None:
        await asyncio.sleep(self._random.uniform(least_s, most_s))

    async def _under_load(self, keeper: Keeper) -> ServerProcess:
        """The server at a random moment, while clients keep it busy: they pause between attempts, and must find it first."""
        server = await keeper.wait_serving()
        answered = len(self._ledger.entries) + 2 * len(self._shoppers)
        with suppress(TimeoutError):
            async with asyncio.timeout(_FOUND_S):
                while len(self._ledger.entries) < answered:  # noqa: ASYNC110 - nobody here can be told
                    await asyncio.sleep(0.005)
        await self._pause(*_UNDER_LOAD_S)
        return server

    async def _kill_under_load(self, keeper: Keeper) -> None:
        await _kill(await self._under_load(keeper))

    async def _kill_after_burst(self, keeper: Keeper) -> None:
        """Many requests arrive together; the server dies while it decides or commits them."""
        server = await self._under_load(keeper)
        callers = self._random.sample(self._shoppers, min(4, len(self._shoppers)))
        burst = asyncio.gather(*(caller.burst(_BURST) for caller in callers))
        await self._pause(0, 0.03)
        await _kill(server)
        await burst

    async def _kill_at_once(self, keeper: Keeper) -> None:
        server = await keeper.wait_serving()
        await self._pause(0, 0.02)
        await _kill(server)

    async def _kill_recovering(self, keeper: Keeper) -> None:
        """Twice: the second time while it replays what the first one left."""
        await self._kill_under_load(keeper)
        server = await keeper.wait_open()
        await self._pause(0, _RECOVERY_S)
        await _kill(server)

    async def _kill_draining(self, keeper: Keeper) -> None:
        server = await self._under_load(keeper)
        server.send(signal.SIGTERM)
        await self._pause(0, 0.05)
        await _kill(server)

    async def _kill_database(self, keeper: Keeper) -> None:
        """Every process of it at once. The server must end, and cannot start before the database has recovered."""
        server = await self._under_load(keeper)
        await asyncio.to_thread(self._place.postgres.kill)
        await self._must_end(server, "its database was killed")
        await self._pause(0, 1)
        await asyncio.to_thread(self._place.postgres.start)

    async def _cut(self, where: Cut, keeper: Keeper) -> None:
        """The writer does not know whether it was written: it must end, and find out when it starts again."""
        server = await self._under_load(keeper)
        async with asyncio.timeout(_GOES_ON_S):
            await self._place.proxy.cut(where)
        await self._must_end(server, f"its connection broke ({where.value})")

    async def _must_end(self, server: ServerProcess, why: str) -> None:
        try:
            await asyncio.wait_for(server.ended(), _GOES_ON_S)
        except TimeoutError:
            self._ledger.find("other", f"the server goes on, although {why}")
            await _kill(server)


async def _kill(server: ServerProcess) -> None:
    server.send(signal.SIGKILL)
    with suppress(TimeoutError):
        await asyncio.wait_for(server.ended(), _GOES_ON_S)
