"""One process of a load: ``python -m engine.bench.worker``. It is told its share and when to begin, and tells how far it is and what it counted.

One JSON line each: the share comes in, ``{"ready": true}`` goes out, the begin comes in (monotonic seconds, one clock for all processes of a
machine), ``{"progress": calls answered}`` goes out every half second, and the tally at the end.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections import Counter
from itertools import count, cycle
from typing import Any

import grpc

from engine.bench.asks import PATHS, bodies, outcomes
from engine.bench.plan import Share
from engine.bench.tally import LATE_S, Tally
from engine.client import AsyncClient
from stockpool.v1 import types_pb2

_PROGRESS_S = 0.5
_REFUSED_PAUSE_S = 0.02
"""A closed loop waits so long after a failure: else it would do nothing but be refused."""
_HELD = (types_pb2.OUTCOME_OK, types_pb2.OUTCOME_PARTIAL)
_DECIDED_NOT = ("RESOURCE_EXHAUSTED", "INVALID_ARGUMENT", "UNAUTHENTICATED", "PERMISSION_DENIED", "UNIMPLEMENTED")
"""With these nothing was decided; with every other failure nobody knows."""


class Worker:
    """Makes the calls of a share."""

    def __init__(self, share: Share, client: AsyncClient) -> None:
        self.tally = Tally()
        self._share = share
        self._metadata = client.metadata
        self._call: Any = client.channel.unary_unary(PATHS[share.point.call])  # bytes in, bytes out
        self._bodies = bodies(share.goods, share.point, share.seed)
        self._turns = cycle(range(len(self._bodies)))
        self._whole: Counter[int] = Counter()
        """Times that all of a body was granted, by its position: counted by SKU in the end, for that takes as long as a batch in columns."""
        self._numbers = count()
        self._name = (
            uuid.uuid4().hex
        )  # an id that was used before would get the first answer again, which costs next to nothing
        self._from_s = self._until_s = 0.0

    async def run(self, begin_s: float) -> None:
        """Make all calls, and return when the last is answered or given up. ``begin_s`` on the clock ``time.monotonic``."""
        point = self._share.point
        self._from_s = begin_s + point.warm_up_s
        self._until_s = self._from_s + point.seconds
        await asyncio.sleep(begin_s - time.monotonic())
        await (self._open(begin_s) if point.is_open else self._closed())
        self.settle()

    def settle(self) -> None:
        """Count by SKU what was granted whole."""
        for position, times in self._whole.items():
            for sku, units in Counter(sku for skus in self._bodies[position].skus for sku in skus).items():
                self.tally.granted_units[sku] += units * times
        self._whole.clear()

    async def _open(self, begin_s: float) -> None:
        """A call at each instant that was laid down before, answered or not: what waits because the server is slow waits in the figures, too."""
        under_way: set[asyncio.Task[bool]] = set()
        for after_s in self._share.due_s():
            due_s = begin_s + after_s
            wait_s = due_s - time.monotonic()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            elif -wait_s > LATE_S and self._from_s <= due_s:
                self.tally.late += 1
            task = asyncio.ensure_future(self._one(due_s))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)

    async def _closed(self) -> None:
        await asyncio.gather(*(self._one_after_another() for _ in range(self._share.in_flight)))

    async def _one_after_another(self) -> None:
        while (now_s := time.monotonic()) < self._until_s:
            if not await self._one(now_s):
                await asyncio.sleep(_REFUSED_PAUSE_S)

    async def _one(self, due_s: float) -> bool:
        """One call; its time counts from when it was due."""
        turn = next(self._turns)
        request = self._bodies[turn].with_id(f"bench-{self._name}-{next(self._numbers)}")
        failure, response = "", b""
        try:
            response = await self._call(request, timeout=self._share.point.timeout_s, metadata=self._metadata)
        except grpc.RpcError as error:
            code: Any = error
            failure = code.code().name
        now_s = time.monotonic()
        told = [] if failure else outcomes(self._share.point.call, response)
        is_whole = bool(told) and told.count(types_pb2.OUTCOME_OK) == len(told)
        self._count(turn, told, failure, is_whole=is_whole)
        if self._from_s <= due_s < self._until_s:
            self.tally.latencies.record(int((now_s - due_s) * 1e6))
            if failure:
                self.tally.failures[failure] += 1
        if self._from_s <= now_s < self._until_s and not failure:
            self.tally.answered += 1
            self.tally.outcomes.update({types_pb2.OUTCOME_OK: len(told)} if is_whole else told)
            self.tally.granted += len(told) if is_whole else sum(outcome in _HELD for outcome in told)
        return not failure

    def _count(self, turn: int, told: list[int], failure: str, *, is_whole: bool) -> None:
        if is_whole:
            self._whole[turn] += 1
            return
        skus_of = self._bodies[turn].skus
        if failure and failure not in _DECIDED_NOT:
            self.tally.unknown_units.update(sku for skus in skus_of for sku in skus)
        for skus, outcome in zip(skus_of, told, strict=False):  # of a call that failed nothing was told
            if outcome in _HELD:
                self.tally.granted_units.update(skus)


async def main() -> None:
    """Do one share."""
    loop = asyncio.get_running_loop()
    share = Share.of_json(json.loads(await loop.run_in_executor(None, sys.stdin.readline)))
    roots = None if share.roots is None else share.roots.encode()
    async with AsyncClient(share.target, token=share.token, root_certificates=roots) as client:
        worker = Worker(share, client)
        await asyncio.wait_for(client.channel.channel_ready(), share.point.timeout_s)
        _tell({"ready": True})
        begin_s = float(await loop.run_in_executor(None, sys.stdin.readline))
        # Nothing more comes in, but the end: no load without somebody who waits for it.
        loop.add_reader(sys.stdin.fileno(), os._exit, 1)
        running = asyncio.ensure_future(worker.run(begin_s))
        while not (await asyncio.wait([running], timeout=_PROGRESS_S))[0]:
            _tell({"progress": worker.tally.answered})
        await running
    _tell({"tally": worker.tally.as_json()})


def _tell(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - the answer of this process


if __name__ == "__main__":
    import uvloop

    uvloop.run(main())
