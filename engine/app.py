"""The composition root: settings -> journal, machine, writer, server. Everything that is wired is wired here."""

import asyncio
import gc
import logging
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import nullcontext
from time import perf_counter

from engine.clock import SystemClock
from engine.core.machine import Machine
from engine.follower.child import FollowerProcess
from engine.journal import Journal, JournalFenced, open_journal
from engine.pool.memory import pretouched
from engine.ready import JournalLost, Ready
from engine.recovery import recover
from engine.service.port import OpenPort
from engine.service.server import Server
from engine.settings import Settings
from engine.snapshots import SnapshotFolder
from engine.writer import Writer

log = logging.getLogger("stockpool")

GRACE_S = 5.0
"""How long calls under way may take once the writer has drained."""
_SAY_EVERY_S = 2.0
_STANDARD_INPUT = 0
SWITCH_AFTER_S = 0.000_5
"""How long a thread that runs may keep another from the interpreter. The writer hands over twice a group; at the default of 5 ms it
waits ten times longer for its turn than it needs to commit."""
_COLLECT_AFTER = (10_000, 50, 100_000)
"""Thresholds of the garbage collector. What the engine keeps (orders, replies) has no cycles and is freed by counting, and looking
through all of it stops every thread: seconds, at a million orders. So the oldest generation is left alone in practice; the young
ones, where cycles of finished calls are, are collected as ever."""


def run(settings: Settings, *, on_ready: Callable[[Ready], None], stop_on_eof: bool = False) -> None:
    """Serves until SIGTERM or SIGINT, on the fastest event loop there is.

    With ``stop_on_eof`` also until standard input is closed: for a server that must not outlive the program which started it.

    Raises:
        What ``serve`` raises.
    """

    async def until_told() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        if stop_on_eof:
            loop.add_reader(_STANDARD_INPUT, _read_to_eof, stop)
        await serve(settings, stop, on_ready=on_ready)

    sys.setswitchinterval(SWITCH_AFTER_S)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(until_told())


def _read_to_eof(stop: asyncio.Event) -> None:
    if not os.read(_STANDARD_INPUT, 4_096):
        asyncio.get_running_loop().remove_reader(_STANDARD_INPUT)
        stop.set()


async def serve(
    settings: Settings, stop: asyncio.Event, *, on_ready: Callable[[Ready], None], open_port: OpenPort | None = None
) -> None:
    """Serves until ``stop`` is set: then nothing new is taken, what was accepted is made durable and answered, and it returns.

    ``open_port`` makes the port that calls come in by; none: grpcio's. ``on_ready`` is told once, when calls are answered. While the journal is replayed the port is open and health says so.

    Raises:
        JournalError: the journal cannot be opened or read.
        SnapshotError: the snapshots are of another journal.
        JournalLost: the journal could not be written any more.
        RuntimeError: the address cannot be listened on.
    """
    server = Server(settings, open_port)
    port = await server.start()
    try:
        journal = await asyncio.to_thread(open_journal, settings.journal)
        try:
            machine, replay_s = await asyncio.to_thread(_replay, settings, journal)
            await _serve(
                settings, server, journal, machine, stop, lambda: on_ready(_ready(settings, port, machine, replay_s))
            )
        finally:
            await asyncio.to_thread(journal.close)
    finally:
        await server.stop(0)


async def _serve(
    settings: Settings, server: Server, journal: Journal, machine: Machine, stop: asyncio.Event, say: Callable[[], None]
) -> None:
    loop = asyncio.get_running_loop()
    lost: asyncio.Future[Exception] = loop.create_future()

    def on_lost(error: Exception) -> None:  # on the writer's thread
        loop.call_soon_threadsafe(lost.set_result, error)

    writer = Writer(
        machine,
        journal,
        SystemClock(not_before_ns=machine.now_ns),
        linger_ns=settings.linger_us_max * 1_000,
        on_lost=on_lost,
    )
    writer.start()
    await server.open(writer, machine.pool.names, journal)
    say()
    told = asyncio.create_task(stop.wait())
    # Only now: while the server starts, it has the processors for itself.
    follower = None if settings.snapshots is None else FollowerProcess(settings)
    if follower is not None:
        follower.start()
    await asyncio.wait((told, lost), return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    await server.close()
    if follower is not None:
        await asyncio.to_thread(follower.close)
    if lost.done():
        await server.stop(GRACE_S)
        raise JournalLost(_advice(settings, lost.result())) from lost.result()
    log.info("draining: what was accepted is answered, nothing new is taken")
    await writer.drain()
    await server.stop(GRACE_S)
    log.info("stopped at seq %d", writer.last_seq)


def _replay(settings: Settings, journal: Journal) -> tuple[Machine, float]:
    """The machine that the journal tells, and how many seconds that took."""
    begun = said = perf_counter()

    def progress(seq: int) -> None:
        nonlocal said
        if perf_counter() - said > _SAY_EVERY_S:
            said = perf_counter()
            log.info("replaying the journal: seq %d", seq)

    gc.set_threshold(*_COLLECT_AFTER)
    folder = None if settings.snapshots is None else SnapshotFolder(settings.snapshots)
    with pretouched() if settings.pretouch else nullcontext():
        machine = recover(journal, settings.limits, snapshots=folder, progress=progress)
    # What was replayed stays: the collector need not look at it again and again.
    gc.collect()
    gc.freeze()
    return machine, perf_counter() - begun


def _ready(settings: Settings, port: int, machine: Machine, replay_s: float) -> Ready:
    names = machine.pool.names
    return Ready(
        target=f"{settings.host}:{port}",
        journal_url=_shown(settings.journal),
        journal_seq=machine.seq,
        node_count=len(names.nodes),
        sku_count=len(names.skus),
        replay_s=replay_s,
    )


def _shown(url: str) -> str:
    """The url without its password."""
    return re.sub(r"://([^:/@]+):[^@]*@", r"://\1:***@", url)


def _advice(settings: Settings, error: Exception) -> str:
    if isinstance(error, JournalFenced):
        return f"{error}. Callers repeat what they asked, with the same request ids, at the writer that took over"
    return (
        f"{error}. Callers who were not answered repeat what they asked, with the same request ids. "
        f"Repair the store behind {settings.journal_kind}, then start again: the journal tells what was made durable"
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """That of uvloop where it is installed: about a quarter more calls a second."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop
