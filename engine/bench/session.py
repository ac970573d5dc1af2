"""One run of the bench: a server, its world, every point after the other, and the recount."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.bench.plan import COLUMNS, BenchError, Goods, Point
from engine.bench.run import Measured, Server, measure
from engine.bench.world import Recount, check_goods, goods_of_world, learned, put_world, recount
from engine.client import AsyncClient, StockpoolError
from engine.demo.server import ServerFailedError, ServerProcess

LIMITS = {
    "STOCKPOOL_LIMITS__CELLS_MAX": str(1 << 25),
    "STOCKPOOL_LIMITS__OPEN_RESERVATIONS_MAX": str(1 << 24),
    "STOCKPOOL_LIMITS__RESERVATION_LEGS_MAX": str(1 << 26),
    "STOCKPOOL_LIMITS__CLIENT_REQUESTS_MAX": str(1 << 16),
}
"""Of a server of the bench's own: batches hold millions of reservations before any of them ends, and a process of the load is one client."""
CELLS_MAX = 20_000_000
_SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class World:
    """Sizes of a world of the bench's own."""

    skus: int
    nodes: int
    units: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave. ``recount`` is there where the world was the bench's own."""

    where: str
    measured: tuple[Measured, ...]
    recount: Recount | None

    @property
    def is_ok(self) -> bool:
        """Whether nothing was sold twice, as far as it was looked at."""
        return self.recount is None or self.recount.is_ok


@dataclass(frozen=True, slots=True)
class Session:
    """What to put a load on. ``target`` none: a server is started; ``named`` none: a world is made."""

    target: str | None
    token: str | None
    roots: str | None
    named: Goods | None
    world: World
    processes: int
    seed: int

    async def run(self, points: Sequence[Point], say: Callable[[str], None]) -> Result:
        """Measure every point. ``say`` is told what is being done.

        Raises:
            BenchError: it cannot be measured.
        """
        self._check(points)
        async with AsyncExitStack() as stack:
            target, where = await self._server(stack, say)
            try:
                return await self._measure(Server(target, self.token, self.roots), where, points, say)
            except StockpoolError as error:
                raise BenchError(
                    f"{error.call} failed at {target} ({error.reason or error.code.name})", error.message
                ) from None

    def _check(self, points: Sequence[Point]) -> None:
        lines = max(point.lines for point in points)
        if self.named is None and self.world.skus < lines:
            raise BenchError(
                f"{lines} lines need as many SKUs", f"there are {self.world.skus}", "more --skus, or fewer --lines"
            )
        if self.named is None and self.world.skus * self.world.nodes > CELLS_MAX:
            raise BenchError(
                f"a world of {self.world.skus * self.world.nodes:,} cells is too large",
                f"at most {CELLS_MAX:,}: SKUs times nodes",
                "fewer --skus or --nodes",
            )

    async def _server(self, stack: AsyncExitStack, say: Callable[[str], None]) -> tuple[str, str]:
        """Where it listens, and the same in words."""
        if self.target is not None:
            return self.target, self.target
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="stockpool-bench-")))
        say("starting a server on a SQLite file that is removed afterwards")
        server = ServerProcess(f"sqlite:///{folder / 'journal.db'}", folder / "log", LIMITS)
        try:
            await stack.enter_async_context(server)
        except ServerFailedError as error:
            raise BenchError("the server did not start", str(error)) from None
        return server.target, "a server of its own, SQLite journal in the temporary folder"

    async def _measure(self, server: Server, where: str, points: Sequence[Point], say: Callable[[str], None]) -> Result:
        roots = None if self.roots is None else self.roots.encode()
        granted: Counter[int] = Counter()
        unknown: Counter[int] = Counter()
        done: list[Measured] = []
        async with AsyncClient(server.target, token=self.token, root_certificates=roots, timeout_s=_SETTLE_S) as client:
            goods = self.named or goods_of_world(self.world.skus, self.world.nodes)
            if self.named is None:
                say(f"making a world: {self.world.skus:,} SKUs at each of {self.world.nodes:,} nodes")
                await put_world(client, goods, self.world.units)
            else:
                await check_goods(client, goods, max(point.lines for point in points))
            if any(point.call == COLUMNS for point in points):
                goods = await learned(client, goods)
            for number, point in enumerate(points):
                told = f"{point.call}, {point.loop}"
                say(told)
                seed = self.seed * 100 + number
                one = await measure(server, goods, point, self.processes, seed, _teller(say, told))
                done.append(one)
                granted.update(one.tally.granted_units)
                unknown.update(one.tally.unknown_units)
            if self.named is not None:
                return Result(where, tuple(done), None)
            say("recounting")
            return Result(where, tuple(done), await recount(client, goods, self.world.units, granted, unknown))


def _teller(say: Callable[[str], None], what: str) -> Callable[[int], None]:
    return lambda calls: say(f"{what}: {calls:,} calls")


def result_lines(result: Result) -> list[dict[str, Any]]:
    """The result as lines of JSON: one a point, and one for the recount."""
    lines = [{"server": result.where} | one.as_json() for one in result.measured]
    found = result.recount
    if found is not None:
        told = {"skus": found.skus, "granted_units": found.granted_units, "unknown_units": found.unknown_units}
        lines.append({"recount": told | {"ok": found.is_ok, "problems": list(found.problems[:100])}})
    return lines
