"""The only thread that changes state: a bounded inbox, group commit, replies released per group.

Everything that arrived while the last group was being made durable forms the next one. Nothing leaves before it is durable:
neither replies nor reads that saw a change. A failed append ends the writer; replay then tells exactly what callers were told.
"""

import asyncio
import logging
import queue
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from engine import group
from engine.clock import Clock
from engine.core.machine import Machine
from engine.group import NEVER, Answer, DeadlinePassed, GroupCommit, SeqNotReached
from engine.journal import Journal, JournalError, JournalFenced
from engine.model.commands import Command
from engine.model.queries import Query

__all__ = [
    "NEVER", "Answer", "DeadlinePassed", "JournalLost", "NotServing", "Overloaded", "SeqNotReached", "Writer",
]  # fmt: skip

log = logging.getLogger(__name__)

IDLE_S = 0.5
"""How long an idle writer waits before it looks for reservations that have expired meanwhile."""
PLACES_MIN = 512
"""So many may wait however slow the answers are: what one client may have under way, one large import, or one hiccup of the disk or of a
busy machine, turns nobody away. And so many it takes to learn what a server can do: with fewer, an answer takes as long as its commit."""
ANSWERS_WEIGHED = 1_024
"""The pace is that of about so many answers."""
LINGER_SHARE = 2
"""Company is waited for at most so many times as long as the last group took."""
RETRY_MIN_S, RETRY_MAX_S = 0.05, 10.0
RETRY_SHARE = 16
"""Who was refused comes back at this part of the pace: most of it is for those who were not, and a refusal costs as much as an answer."""


class Overloaded(Exception):
    """More waits than ``limit`` (of this value) allows; come back after ``retry_after_ns``."""

    def __init__(self, retry_after_ns: int, limit: str = "inbox_max", value: int = 0) -> None:
        super().__init__(f"the inbox is full: {limit}")
        self.retry_after_ns = retry_after_ns
        self.limit = limit
        self.value = value


class NotServing(Exception):
    """The writer is draining or has stopped."""


class JournalLost(Exception):
    """The journal could not be written: whether the request was kept is unknown. ``fenced``: another writer took over."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.fenced = isinstance(error, JournalFenced)


class Room:
    """How many may wait: as many as are answered in ``wait_max_s`` at the pace of late, and ``count_max`` at most.

    The pace is the time that those lately answered had to wait, over how many waited when they came. A clock is not looked at for it
    when a request comes, but once for all that a turn of the event loop hands over, and once for each group.
    """

    def __init__(self, count_max: int, wait_max_s: float) -> None:
        self._count_max, self._wait_max_s = count_max, wait_max_s
        self.places = count_max
        """How many may wait now."""
        self._handed: deque[tuple[int, int, float]] = deque()  # how many, how many waited then, when
        self._unfinished = 0  # answered, of those that came with the first of the above
        self._answers, self._waited_s, self._ahead = 0, 0.0, 0.0
        self._next_back_s = 0.0

    def hand_over(self, count: int, waiting: int, now_s: float) -> None:
        """So many go to the writer together; ``waiting`` counts them too."""
        self._handed.append((count, max(waiting, PLACES_MIN), now_s))

    def answer(self, count: int, now_s: float) -> None:
        """So many have their answer, in the order in which they were handed over."""
        answered = self._unfinished + count
        while self._handed and self._handed[0][0] <= answered:
            together, waiting, then_s = self._handed.popleft()
            answered -= together
            self.weigh(together, waiting, now_s - then_s)
        self._unfinished = answered

    def weigh(self, count: int, waiting: int, waited_s: float) -> None:
        """So many were answered that had waited so long, and were among so many who waited when they came."""
        self._answers += count
        self._waited_s += count * waited_s
        self._ahead += count * waiting
        if self._answers > ANSWERS_WEIGHED:
            self._answers, self._waited_s, self._ahead = self._answers // 2, self._waited_s / 2, self._ahead / 2
        if self._waited_s > 0:
            room = max(int(self._wait_max_s * self._ahead / self._waited_s), PLACES_MIN)
            self.places = min(room, self._count_max)

    def full(self, now_s: float) -> Overloaded:
        """What to tell one who finds no place: a time of its own to come back, so that they do not all come back at once."""
        pace_s = self._waited_s / self._ahead if self._ahead else 0.0
        back_s = max(self._next_back_s, now_s + RETRY_MIN_S) + pace_s * RETRY_SHARE
        if back_s > now_s + RETRY_MAX_S:
            back_s = now_s + RETRY_MIN_S
        self._next_back_s = back_s
        retry_after_ns = int((back_s - now_s) * 1e9)
        if self.places == self._count_max:
            return Overloaded(retry_after_ns, "inbox_max", self._count_max)
        return Overloaded(retry_after_ns, "inbox_wait_max_ns", int(self._wait_max_s * 1e9))


Job = group.Job["asyncio.Future[Answer]"]
Release = group.Release["asyncio.Future[Answer]"]


class Writer:
    """Turns submitted work into durable decisions. ``submit`` and ``wait_beyond`` belong to the event loop given to ``start``."""

    def __init__(
        self,
        machine: Machine,
        journal: Journal,
        clock: Clock,
        *,
        linger_ns: int = 16_000_000,
        on_lost: Callable[[Exception], None],
    ) -> None:
        """``linger_ns``: the most that a group waits for company; a lone caller never waits. ``on_lost`` is called, on the
        writer's thread, when the journal cannot be written: the process must end then.
        """
        self._groups = GroupCommit(machine, journal)
        self._clock = clock
        self._linger_s = linger_ns / 1e9
        self._on_lost = on_lost
        limits = machine.pool.limits
        self._group_max = limits.group_max
        self._room = Room(limits.inbox_max, limits.inbox_wait_max_ns / 1e9)
        self._inbox: queue.SimpleQueue[list[Job] | None] = queue.SimpleQueue()
        self._waiting = 0  # submitted and not yet answered
        self._gathered: list[Job] = []
        self._group: list[Job] = []  # taken out of the inbox and not yet answered
        self._watchers: list[asyncio.Future[None]] = []
        self._accepting = False
        self._company = 1  # how many came together lately
        self._turn_ends = False
        self._handed_s = self._took_s = 0.0  # when the last group went, and how long it was until it had its answers
        self._linger: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    @property
    def last_seq(self) -> int:
        """Sequence of the last durable decision."""
        return self._groups.durable_seq

    @property
    def inbox_count(self) -> int:
        """Requests that wait for their answer."""
        return self._waiting

    def start(self) -> None:
        """Begin; called on the event loop that will submit."""
        self._loop = asyncio.get_running_loop()
        self._accepting = True
        self._thread.start()

    def require_room(self) -> None:
        """Raise Overloaded when ``submit`` would: before anything is done for a request that will be refused."""
        if self._waiting >= self._room.places:
            raise self._room.full(monotonic())

    def submit(self, work: Command | Query, deadline_s: float = NEVER) -> "asyncio.Future[Answer]":
        """Hand in work. Raises Overloaded or NotServing at once.

        Work whose deadline (seconds of ``time.monotonic``) passes before it is decided is dropped, and its future raises DeadlinePassed;
        so is work whose future is cancelled before. Once decided it stays.
        """
        if not self._accepting:
            raise NotServing
        self.require_room()
        future: asyncio.Future[Answer] = self._loop.create_future()
        self._gathered.append((work, future, deadline_s))
        if not self._turn_ends:
            # All that this turn of the loop submits crosses to the writer in one hand-over.
            self._turn_ends = True
            self._loop.call_soon(self._end_turn)
        self._waiting += 1
        return future

    def _end_turn(self) -> None:
        """Hand over what was gathered, or wait for more. A lone caller never waits.

        A group is worth having: what it costs to cross to the writer and back, and to become durable, is shared by all in it. So as many
        as came together lately go together again; and while the writer is busy anyway, nobody goes for less. With the writer idle, those
        who came wait for the rest, but no longer than twice what the last group took: where groups are quick, waiting is not worth it.
        The waiting is done here and not by the writer: a thread that polls takes the interpreter from the loop each time.
        """
        self._turn_ends = False
        idle = self._waiting == len(self._gathered)
        if len(self._gathered) >= self._company:
            self._hand_over()
        elif idle and self._gathered and self._linger is None:
            wait_s = min(LINGER_SHARE * self._took_s, self._linger_s)
            self._linger = self._loop.call_later(wait_s, self._hand_over)

    def _hand_over(self) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        jobs, self._gathered = self._gathered, []
        if jobs:
            self._handed_s = monotonic()
            self._room.hand_over(len(jobs), self._waiting, self._handed_s)
            self._inbox.put(jobs)

    async def wait_beyond(self, seq: int) -> None:
        """Return once a decision after ``seq`` is durable."""
        while self._groups.durable_seq <= seq:
            watcher: asyncio.Future[None] = self._loop.create_future()
            self._watchers.append(watcher)
            await watcher

    async def drain(self) -> None:
        """Refuse new work, answer everything accepted, stop."""
        if not self._accepting:
            return
        self._accepting = False
        self._hand_over()
        self._inbox.put(None)
        await asyncio.to_thread(self._thread.join)

    # The writer's own thread

    def _run(self) -> None:
        try:
            while True:
                self._group, last = self._next_group()
                self._process(self._group)
                self._group = []
                if last:
                    return
        except Exception as error:  # whatever it was: the state in memory may be ahead of the journal
            self._accepting = False
            if not isinstance(error, JournalError):
                log.exception("the writer stopped")
            try:
                self._loop.call_soon_threadsafe(self._abandon, JournalLost(error))
            finally:
                self._on_lost(error)

    def _next_group(self) -> tuple[list[Job], bool]:
        """Wait for work and take all there is. True: this is the last group."""
        try:
            handed = self._inbox.get(timeout=IDLE_S)
        except queue.Empty:
            return [], False
        if handed is None:
            return [], True
        jobs = list(handed)
        return jobs, self._take_waiting(jobs)

    def _take_waiting(self, jobs: list[Job]) -> bool:
        while len(jobs) < self._group_max:
            try:
                handed = self._inbox.get_nowait()
            except queue.Empty:
                return False
            if handed is None:
                return True
            jobs.extend(handed)
        return False

    def _process(self, jobs: list[Job]) -> None:
        """Decide and apply a group, make it durable, release its answers."""
        groups = self._groups
        before = groups.durable_seq
        release = groups.commit(jobs, self._clock.now_ns(), monotonic())
        if release or groups.durable_seq != before:
            self._loop.call_soon_threadsafe(self._release, release)

    def _abandon(self, lost: JournalLost) -> None:
        """On the event loop, once the writer's thread has stopped: tell everybody who waits, wherever their work got to."""
        jobs, self._group = self._group, []
        while not self._inbox.empty():
            jobs += self._inbox.get() or []
        jobs += self._gathered
        self._gathered = []
        self._release([(future, lost) for _, future, _ in jobs])

    def _release(self, release: Release) -> None:
        """On the event loop: answer a whole group."""
        self._waiting -= len(release)
        now_s = monotonic()
        self._room.answer(len(release), now_s)
        self._took_s = now_s - self._handed_s
        # Shrinks slowly: one small group between large ones does not end the company.
        self._company = max(len(release), self._company * 7 // 8, 1)
        for future, answer in release:
            if not future.done():
                if isinstance(answer, Answer):
                    future.set_result(answer)
                else:
                    future.set_exception(answer)
        if self._gathered and not self._turn_ends:
            self._end_turn()
        watchers, self._watchers = self._watchers, []
        for watcher in watchers:
            if not watcher.done():
                watcher.set_result(None)
