"""A run of the torture, from the first start to the verdict."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import perf_counter

from engine.client import AsyncClient
from engine.proof.torture import following, shop
from engine.proof.torture.asking import Asker
from engine.proof.torture.blows import Blows
from engine.proof.torture.keeper import Keeper
from engine.proof.torture.ledger import Ledger
from engine.proof.torture.places import Place, PostgresPlace, SqlitePlace
from engine.proof.torture.report import Report
from engine.proof.torture.servers import Starter
from engine.proof.torture.shopper import Shopper
from engine.proof.torture.takeover import Takeover
from engine.proof.torture.verdict import ask_again, judge, read_offline

PATIENCE_S = 60.0
"""How long after the last blow every client must have its answer."""
_RECENT = 60
"""Answers that are asked for again after each blow: the newest, which a crash would take first."""
_TAKEOVER = "takeover"
_PORTS = range(21_000, 32_000)
"""Below those that the system gives to callers: a caller who tries a free port again and again may be given that very port."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is to be: so many blows and takeovers at random, or those of ``plan``, named, in their order.

    ``all_cold``: every start is a new interpreter, which takes seconds each.
    """

    kills: int = 0
    takeovers: int = 0
    plan: Sequence[str] = ()
    journal: str = "sqlite"
    seed: int = 1
    clients: int = 16
    all_cold: bool = False


async def torture(options: Options, folder: Path, progress: Callable[[int, str], None]) -> Report:
    """Tortures a server whose journal, snapshots and logs are in ``folder``. ``progress`` is told the blows so far and the name of the last.

    Raises:
        PostgresMissingError: there is no PostgreSQL to start.
        TimeoutError: the server does not start any more.
    """
    begun = perf_counter()
    place: Place = PostgresPlace() if options.journal == "postgresql" else SqlitePlace(folder)
    async with place:
        run = _Run(options, folder, place)
        try:
            await run.play(progress)
        finally:
            await run.end()
        await asyncio.to_thread(read_offline, place.direct_url, run.ledger)
        await asyncio.to_thread(following.judge_snapshots, place.direct_url, folder, run.ledger)
    return run.report(perf_counter() - begun)


class _Run:
    def __init__(self, options: Options, folder: Path, place: Place) -> None:
        self.ledger = Ledger()
        self._options = options
        self._folder = folder
        self._place = place
        self._random = Random(options.seed)  # noqa: S311 - no secret
        self._starter = Starter(place.url, folder, all_cold=options.all_cold)
        self._ports = _free_ports(2)
        self._endings: Counter[str] = Counter()
        self._recoveries_ms: list[float] = []
        self._blows: Counter[str] = Counter()
        self._keepers: list[Keeper] = []
        self._takeovers = 0
        self._unanswered = self._asked_again = 0

    async def play(self, progress: Callable[[int, str], None]) -> None:
        """Open, torture, judge, close."""
        keeper = self._keeper(0)
        keeper.start()
        async with AsyncExitStack() as stack:
            targets = [f"127.0.0.1:{port}" for port in self._ports]
            client = await stack.enter_async_context(AsyncClient(targets, timeout_s=30, retries=20))
            asker = Asker(client, self.ledger)
            await keeper.wait_serving()
            for number, (call, request) in enumerate(shop.opening()):
                request.request_id = f"opening-{number}"  # type: ignore[attr-defined]
                await asker.ask(call, request)
            shoppers = [Shopper(number, self._options.seed, asker) for number in range(self._options.clients)]
            stop = asyncio.Event()
            shopping = [asyncio.ensure_future(shopper.shop(stop)) for shopper in shoppers]
            keeper = await self._torment(keeper, asker, shoppers, progress)
            stop.set()
            await self._settle(shopping)
            await keeper.wait_serving()
            async with AsyncClient(keeper.target, timeout_s=60, retries=20) as auditor:
                self._asked_again += await judge(auditor, self.ledger, self._random)
        await keeper.close()

    async def _torment(
        self, keeper: Keeper, asker: Asker, shoppers: list[Shopper], progress: Callable[[int, str], None]
    ) -> Keeper:
        """Blow after blow, until there were enough or something is wrong."""
        options, blows = self._options, Blows(self._place, self.ledger, shoppers, self._random)
        takeover = Takeover(self._keeper, asker, self._random)
        plan = list(options.plan) or blows.choose(options.kills) + [_TAKEOVER] * options.takeovers
        if not options.plan:
            self._random.shuffle(plan)
        for number, name in enumerate(plan, 1):
            if name == _TAKEOVER:
                keeper = await takeover.run(keeper)
                self._takeovers = takeover.fenced
            else:
                await blows.strike(keeper, name)
                self._blows[name] += 1
            await keeper.wait_serving()
            recent = self.ledger.entries[-_RECENT:]
            await ask_again(asker, recent)
            self._asked_again += len(recent)
            progress(number, name)
            if self.ledger.wrongs.total():
                self.ledger.find("other", f"seen first after blow {number}, {name}; seed {options.seed}")
                break
        return keeper

    async def _settle(self, shopping: Sequence[asyncio.Future[None]]) -> None:
        """Wait until every client has its answer."""
        _, waiting = await asyncio.wait(shopping, timeout=PATIENCE_S)
        self._unanswered = len(self.ledger.waiting)
        for task in waiting:
            task.cancel()
        for outcome in await asyncio.gather(*shopping, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome

    def _keeper(self, seat: int) -> Keeper:
        keeper = Keeper(self._starter, self._ports[seat], self.ledger, self._endings, self._recoveries_ms)
        keeper.allowed |= self._place.endings
        self._keepers.append(keeper)
        return keeper

    async def end(self) -> None:
        """No server is left, whatever happened."""
        for keeper in self._keepers:
            keeper.kill()
            await keeper.gone()

    def report(self, elapsed_s: float) -> Report:
        """The figures."""
        ledger = self.ledger
        return Report(
            kills=self._blows.total(),
            acknowledged=len(ledger.entries),
            lost=ledger.wrongs["lost"],
            oversold=ledger.wrongs["oversold"],
            duplicates=ledger.wrongs["duplicate"],
            unanswered=self._unanswered,
            elapsed_s=elapsed_s,
            journal=self._options.journal,
            seed=self._options.seed,
            clients=self._options.clients,
            decisions=ledger.newest_seq,
            asked_again=self._asked_again,
            takeovers=self._takeovers,
            snapshots=following.count_made(self._folder),
            starts_from_snapshots=following.count_starts(self._folder),
            blows=self._blows,
            endings=self._endings,
            passing_errors=ledger.passing,
            recoveries_ms=self._recoveries_ms,
            finding_count=ledger.wrongs.total(),
            findings=ledger.findings,
        )


def _free_ports(count: int) -> list[int]:
    found: list[int] = []
    for port in Random().sample(_PORTS, len(_PORTS)):  # noqa: S311 - whichever is free
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            break
    return found
