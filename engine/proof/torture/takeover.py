"""Two writers on one journal: the first is paused, a second takes over, the first wakes up. It must find out, say so and end.

Paused is what a server is while its machine is moved, swaps or collects: it holds every connection and knows nothing of what goes on.
When it goes on, it believes that the journal still ends where it left it.
"""

import asyncio
import signal
from collections.abc import Callable
from random import Random

from engine.client import AsyncClient, StockpoolError
from engine.proof.torture import shop
from engine.proof.torture.asking import Asker
from engine.proof.torture.keeper import Keeper
from engine.proof.torture.ledger import SUCCESSES
from engine.proof.torture.servers import ServerProcess
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import types_pb2 as types

_TAKEN_OVER_S = 4.0
"""Longest pause of the first server. A SQLite file is locked by whoever was paused within a commit: then nobody can take over."""
_PAUSES_MAX = 8
_ENDS_S = 15.0
_PROBES = 5


class Takeover:
    """Lets servers take over from one another."""

    def __init__(self, make_keeper: Callable[[int], Keeper], asker: Asker, random: Random) -> None:
        """``make_keeper`` makes one that is not started, on the port of seat 0 or 1; ``asker`` follows the server to either."""
        self.fenced = 0
        self._make_keeper = make_keeper
        self._asker = asker
        self._ledger = asker.ledger
        self._random = random
        self._count = 0
        self._probes = 0
        self._unanswered: list[inventory.RecordSaleRequest] = []

    async def run(self, old: Keeper) -> Keeper:
        """Pauses the server of ``old`` in the middle of its work, lets another take over and wakes it up. Returns who goes on."""
        paused = await old.wait_serving()
        await asyncio.sleep(self._random.uniform(0.2, 0.6))
        self._count += 1
        new = self._make_keeper(self._count % 2)
        usual = frozenset(new.allowed)
        new.allowed |= {"fenced", "journal lost", "journal not to be had"}
        old.allowed |= {"fenced"}
        old.retire()
        new.start()
        if await self._pause_until_written(paused, new):
            probing = asyncio.ensure_future(self._probe(old))
            paused.send(signal.SIGCONT)
            await probing
            await self._require_end(paused)
        else:
            paused.send(signal.SIGKILL)
        await old.gone()
        # Only an answer to a write tells that the new one has seen all of the old one's: it may have started before that ended.
        self._unanswered.append(self._sale())
        while self._unanswered:
            await self._asker.ask("RecordSale", self._unanswered.pop())
        new.allowed = set(usual)
        return new

    async def _pause_until_written(self, paused: ServerProcess, new: Keeper) -> bool:
        """Pauses the first server until the new one has made a write durable; whether it came to that."""
        for _ in range(_PAUSES_MAX):
            paused.send(signal.SIGSTOP)
            if await self._writes(new):
                return True
            paused.send(signal.SIGCONT)
            await asyncio.sleep(self._random.uniform(0.01, 0.3))
        return False

    async def _writes(self, new: Keeper) -> bool:
        """Whether the new server has made a write durable, before patience ends."""
        async with AsyncClient(new.target, timeout_s=_TAKEN_OVER_S, retries=200) as client:
            try:
                await self._sell_one(client)
            except StockpoolError:
                return False
            return True

    async def _probe(self, old: Keeper) -> None:
        """Writes to the server that wakes up: it must not succeed, whatever it answers."""
        async with AsyncClient(old.target, timeout_s=_ENDS_S, retries=0) as client:
            for _ in range(_PROBES):
                try:
                    response = await self._sell_one(client)
                except StockpoolError:
                    continue
                if response.result.outcome in SUCCESSES:
                    self._ledger.find(
                        "duplicate", f"two writers: the one that was taken over from answers {response.result}"
                    )

    async def _sell_one(self, client: AsyncClient) -> inventory.RecordSaleResponse:
        request = self._sale()
        self._unanswered.append(request)
        response = await client.record_sale(request)
        self._unanswered.remove(request)
        self._ledger.note("RecordSale", request, response)
        return response

    def _sale(self) -> inventory.RecordSaleRequest:
        self._probes += 1
        return inventory.RecordSaleRequest(
            request_id=f"takeover-{self._probes}",
            node_key=shop.STORES[0],
            channel_key=shop.TILL,
            lines=[types.LineItem(sku_key=shop.COLD[0], units=1)],
        )

    async def _require_end(self, paused: ServerProcess) -> None:
        """The one that was taken over from ends by itself, and says why."""
        try:
            ending = await asyncio.wait_for(paused.ended(), _ENDS_S)
        except TimeoutError:
            self._ledger.find("other", "a server goes on, although another one took over its journal")
            paused.send(signal.SIGKILL)
        else:
            self.fenced += "another writer has extended the journal" in ending.said
