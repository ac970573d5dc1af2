"""A whole run: open the network, play the days, audit, recount, report."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from time import perf_counter

from engine.client import AsyncClient
from engine.demo.comparison import recount
from engine.demo.opening import import_opening, put_network
from engine.demo.player import Player
from engine.demo.report import AuditResult, Footprint, Report, Sample, make_report
from engine.demo.scenario import Scenario
from engine.demo.screen import Picture, Screen
from engine.demo.server import ServerProcess
from stockpool.v1 import admin_pb2 as admin

_AUDIT_TIMEOUT_S = 900.0
_PUT_TIMEOUT_S = 60.0
_CALLS_SHOWN = 7


class JournalNotEmptyError(Exception):
    """The journal already holds decisions: what a run promises can only be recounted from the beginning."""


@dataclass(frozen=True, slots=True)
class RunOptions:
    """How much of a scenario is played: at most so many days and orders; ``orders_max`` None: all."""

    days: int
    orders_max: int | None = None
    in_flight: int = 64


class _Seconds:
    """The time of each part, in the order in which the parts were begun."""

    def __init__(self) -> None:
        self.of: dict[str, float] = {}

    @contextmanager
    def measure(self, part: str) -> Iterator[None]:
        begun = perf_counter()
        try:
            yield
        finally:
            self.of[part] = self.of.get(part, 0.0) + perf_counter() - begun


async def run_demo(
    make_scenario: Callable[[], Scenario], options: RunOptions, server: ServerProcess, screen: Screen
) -> Report:
    """Starts the server, plays, proves and reports. The first Ctrl-C ends the play early, the second one everything.

    ``make_scenario`` is called on another thread while the server starts.

    Raises:
        ServerFailedError, ServerGoneError, OpeningRefusedError, JournalNotEmptyError, StockpoolError: it could not be done.
        What ``make_scenario`` raises.
    """
    seconds = _Seconds()
    async with contextlib.AsyncExitStack() as stack:
        screen.begin("start the server")
        with seconds.measure("start"):
            making = asyncio.create_task(asyncio.to_thread(make_scenario))
            try:
                await stack.enter_async_context(server)
            finally:
                scenario = await making
        options = replace(options, days=min(options.days, len(scenario.order_counts)))
        client = await stack.enter_async_context(AsyncClient(server.target))
        screen.end(f"listening on {server.target}; scenario: {scenario.name}")
        await _require_empty(client)
        await _open(client, scenario, screen, seconds)
        player = Player(client, scenario, in_flight=options.in_flight)
        with _stopped_by_interrupt(player.stop), seconds.measure("play"):
            samples = await _play(client, player, options, screen)
        audit, status = await _audit(client, screen, seconds)
        screen.begin("recount", status.journal_seq)
        with seconds.measure("recount"):
            answered = {} if player.caller.errors else player.caller.outcomes  # who got no answer may have a decision
            channel_key = scenario.channels[0].channel_key
            result = await recount(client, channel_key, scenario.seed, answered, screen.advance)
        screen.end(
            f"{result.event_count:,} events, {result.units_oversold:,} units oversold, {result.finding_count:,} findings"
        )
        status = await client.get_status(admin.GetStatusRequest())
        report = make_report(
            player,
            days=options.days,
            seconds=seconds.of,
            samples=samples,
            status=status,
            audit=audit,
            recount=result,
            footprint=Footprint(),
        )
        await client.close()
        return replace(report, footprint=await server.stop())


async def _require_empty(client: AsyncClient) -> None:
    status = await client.get_status(admin.GetStatusRequest())
    if status.journal_seq:
        raise JournalNotEmptyError(f"the journal already holds {status.journal_seq:,} decisions")


async def _open(client: AsyncClient, scenario: Scenario, screen: Screen, seconds: _Seconds) -> None:
    screen.begin("network")
    client.timeout_s, usual_s = _PUT_TIMEOUT_S, client.timeout_s
    with seconds.measure("open"):
        await put_network(client, scenario)
    client.timeout_s = usual_s
    screen.end(f"{len(scenario.nodes):,} nodes, {len(scenario.skus):,} SKUs, {len(scenario.rate_cards)} rate cards")
    screen.begin("opening stock", scenario.cell_count)
    sent = 0

    def progress(rows: int) -> None:
        nonlocal sent
        sent += rows
        screen.advance(sent)

    with seconds.measure("open"):
        await import_opening(client, scenario, progress)
    status = await client.get_status(admin.GetStatusRequest())
    screen.end(f"{status.on_hand_units:,} units in {status.cell_count:,} cells")


async def _play(client: AsyncClient, player: Player, options: RunOptions, screen: Screen) -> list[Sample]:
    total = player.scenario.order_count(options.days)
    if options.orders_max is not None:
        total = min(total, options.orders_max)
    screen.begin("play", total)
    samples: list[Sample] = []
    async with _sampling(client, player, options.days, screen, samples):
        await player.play(options.days, options.orders_max)
    screen.end(f"{player.order_count:,} orders, {player.caller.call_count:,} calls")
    return samples


async def _audit(client: AsyncClient, screen: Screen, seconds: _Seconds) -> tuple[AuditResult, admin.GetStatusResponse]:
    screen.begin("audit")
    with seconds.measure("audit"):
        answer = await client.audit_invariants(admin.AuditInvariantsRequest(replay=True), timeout_s=_AUDIT_TIMEOUT_S)
    result = AuditResult(
        ok=answer.ok,
        replayed=True,
        journal_seq=answer.journal_seq,
        cell_count=answer.cell_count,
        findings=tuple(
            f"{one.invariant}: {one.subject} is {one.actual}, not {one.expected}" for one in answer.findings
        ),
        digest=answer.digest,
        elapsed_s=answer.elapsed.ToMilliseconds() / 1_000,
    )
    screen.end("clean" if result.ok else f"{len(result.findings)} findings")
    return result, await client.get_status(admin.GetStatusRequest())


@asynccontextmanager
async def _sampling(
    client: AsyncClient, player: Player, days: int, screen: Screen, samples: list[Sample]
) -> AsyncIterator[None]:
    """Looks at the server every second meanwhile, and once more at the end."""
    begun = perf_counter()

    async def look() -> None:
        status = await client.get_status(admin.GetStatusRequest())
        sample = _sample(status, player, perf_counter() - begun)
        before = samples[-1] if samples else None
        samples.append(sample)
        screen.show(_picture(sample, before, player, days))

    async def keep_looking() -> None:
        while True:
            await look()
            await asyncio.sleep(1.0)

    looking = asyncio.create_task(keep_looking())
    try:
        yield
    finally:
        looking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await looking
    await look()


def _sample(status: admin.GetStatusResponse, player: Player, at_s: float) -> Sample:
    return Sample(
        at_s=round(at_s, 3),
        orders=player.order_count,
        calls=player.caller.call_count,
        available_units=status.available_units,
        reserved_units=status.reserved_units,
        allocated_units=status.allocated_units,
        shortage_units=status.shortage_units,
        short_order_units=status.short_order_units,
        open_reservations=status.open_reservation_count,
        open_orders=status.open_order_count,
    )


def _picture(now: Sample, before: Sample | None, player: Player, days: int) -> Picture:
    elapsed_s = max(now.at_s - before.at_s, 1e-9) if before else max(now.at_s, 1e-9)
    busiest = [(call, one) for call, one in player.caller.latencies][:_CALLS_SHOWN]
    return Picture(
        day=player.day + 1,
        days=days,
        orders=now.orders,
        orders_per_s=(now.orders - (before.orders if before else 0)) / elapsed_s,
        calls_per_s=(now.calls - (before.calls if before else 0)) / elapsed_s,
        available_units=now.available_units,
        reserved_units=now.reserved_units,
        allocated_units=now.allocated_units,
        shortage_units=now.shortage_units,
        short_order_units=now.short_order_units,
        open_reservations=now.open_reservations,
        open_orders=now.open_orders,
        refused_orders=player.tally.refused_orders,
        latency_ms=tuple((call, one.quantile_us(0.5) / 1_000, one.quantile_us(0.99) / 1_000) for call, one in busiest),
    )


@contextmanager
def _stopped_by_interrupt(stop: Callable[[], None]) -> Iterator[None]:
    """The first Ctrl-C calls ``stop``; afterwards the interpreter's own way is back."""
    loop = asyncio.get_running_loop()

    def once() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop()

    loop.add_signal_handler(signal.SIGINT, once)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
