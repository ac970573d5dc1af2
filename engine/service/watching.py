"""WatchAvailability: one hub for all watchers of a server.

Some times a second it takes one look at the state through the writer (``core.watching``): what is offered of the SKUs that have changed, and
that somebody watches. From what the look brings, each watcher that is ready and due is told what is new to it. Nothing is queued for a
watcher: what it has not been told follows from the look that it was told last, so a slow one costs no more than a quick one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import numpy as np

from engine.core.queries import view_of
from engine.core.watching import Round, Watching
from engine.kernels import offers as k
from engine.kernels.zones import Integers
from engine.model.outcomes import Outcome
from engine.pool.offers import Offers
from engine.service import looking
from engine.service.convert import watching as convert
from engine.service.convert.watching import Subject, Watch
from engine.service.crowd import Crowded
from engine.service.door import Engine
from engine.service.errors import NOT_SERVING_RETRY_NS
from engine.service.limits import WATCH_ENTRIES_MAX, WATCHED_OFFERS_MAX, WATCHES_MAX
from engine.service.watchers import Delivery, Subscription, Watcher
from engine.writer import NotServing
from stockpool.v1 import inventory_pb2 as pb

TICK_S = 0.05
"""How often the state is looked at while it changes."""
HURRY_S = 0.01
"""The same while more is to be looked at than one look may take: nine tenths of the writer's time are its callers'."""
FILLED_MAX = 1 << 14
"""New SKUs that are given to one look."""
MESSAGES_MAX = 64
"""Watchers that are told something in a tick. A message costs as much as a unary call: who watches takes a share of the loop, not all of it."""
ENTRIES_MAX = 20_000
"""Entries that are told in a tick; the last watcher's are told whole."""
NO_SKUS: Integers = np.zeros(0, dtype=np.int64)


class Hub:
    """All who watch. It works while there are any."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.offers = Offers(engine.rules.limits.skus_max)
        self._watching = Watching(self.offers)
        self._round: Round | None = None
        self._sku_count = 0
        self._changed_look = 0
        self._watchers: set[Watcher] = set()
        self._subscriptions: dict[Subject, Subscription] = {}
        self._unknown: dict[str, set[Subscription]] = {}  # who waits for SKUs that do not exist, by key
        self._joining: list[Subscription] = []
        self._leaving: list[Subscription] = []
        self._filling: set[Subscription] = set()
        self._fill = NO_SKUS  # to be looked at for those
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @property
    def idle(self) -> bool:
        """Nobody watches, and nothing is left of those who did."""
        return self._task is None and not self._watchers

    async def stream(self, watch: Watch, deadline_s: float) -> AsyncGenerator[pb.WatchAvailabilityResponse]:
        """What one watcher is told, until it leaves or the server closes.

        Raises:
            Crowded: there are too many, or they watch too much.
            NotServing, JournalLost: the server closes.
            SeqNotReached: there is no such decision to go on from.
        """
        seq, reply = await self.engine.writer.submit(watch.query(), deadline_s)
        if reply.outcome != Outcome.OK:
            yield convert.refused(reply.outcome, reply.subject, seq)
            return
        watcher = self._join(watch, seq)
        try:
            while True:
                watcher.next = asyncio.get_running_loop().create_future()
                self._require_task()
                delivery = await watcher.next
                for number in range(delivery.part_count):
                    yield delivery.part(number)
        finally:
            self._leave(watcher)

    def _join(self, watch: Watch, seq: int) -> Watcher:
        if len(self._watchers) >= WATCHES_MAX:
            raise Crowded("watches_max", WATCHES_MAX, "The server", NOT_SERVING_RETRY_NS)
        subscription = self._subscriptions.get(watch.subject) or self._subscribe(watch.subject)
        subscription.watchers += 1
        watcher = Watcher(subscription, watch, seq)
        self._watchers.add(watcher)
        self._wake.set()
        return watcher

    def _subscribe(self, subject: Subject) -> Subscription:
        names = self.engine.names
        joining = sum(each.size_max for each in self._joining)
        node = names.nodes.find(subject.node_key) if subject.node_key else -1
        view = view_of(names.channels.find(subject.channel_key), subject.kind, node)
        subscription = Subscription(subject, view, len(subject.sku_keys) or len(names.skus))
        if len(self.offers) + joining + subscription.size_max > WATCHED_OFFERS_MAX:
            raise Crowded("watched_offers_max", WATCHED_OFFERS_MAX, "The server", NOT_SERVING_RETRY_NS)
        self._subscriptions[subject] = subscription
        self._joining.append(subscription)
        return subscription

    def _leave(self, watcher: Watcher) -> None:
        self._watchers.discard(watcher)
        subscription = watcher.subscription
        subscription.watchers -= 1
        if not subscription.watchers:
            del self._subscriptions[subscription.subject]
            self._leaving.append(subscription)
            self._require_task()
            self._wake.set()

    # The one task of all

    def _require_task(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        closing = asyncio.create_task(self.engine.closing.wait())
        closing.add_done_callback(lambda _: self._wake.set())
        try:
            while self._watchers or self._leaving:
                self._settle()
                if self.engine.closing.is_set():
                    raise NotServing  # noqa: TRY301 - told to all who watch, below
                if self._is_news():
                    await self._look()
                self._tell(asyncio.get_running_loop().time())
                await self._pause()
        except Exception as error:  # noqa: BLE001 - whatever it is, all who watch are told
            for watcher in self._watchers:
                if watcher.next is not None and not watcher.next.done():
                    watcher.next.set_exception(error)
        finally:
            closing.cancel()
            self._task = None

    def _is_news(self) -> bool:
        done = self._round
        if done is None or done.waiting or self._filling:
            return True
        return self.engine.writer.last_seq > done.seq

    async def _pause(self) -> None:
        await asyncio.sleep(HURRY_S)
        if not (self._fill.size or (self._round is not None and self._round.waiting)):
            try:
                async with asyncio.timeout(TICK_S - HURRY_S):
                    await self._wake.wait()
            except TimeoutError:
                return
        self._wake.clear()

    def _settle(self) -> None:
        """Who came and who left since. Between two looks: in one, the offers are the writer's."""
        joining, self._joining = self._joining, []
        for subscription in joining:
            self._add(subscription, self._resolve(subscription))
        leaving, self._leaving = self._leaving, []
        for subscription in leaving:
            self.offers.drop(subscription.view, subscription.at)
            self._filling.discard(subscription)
            for key in subscription.unknown:
                self._unknown[key].discard(subscription)
                if not self._unknown[key]:
                    del self._unknown[key]

    def _resolve(self, subscription: Subscription) -> Integers:
        """The SKUs of a new subscription that exist."""
        if not subscription.subject.sku_keys:
            return np.arange(self._sku_count)
        find, found = self.engine.names.skus.find, []
        for key in subscription.subject.sku_keys:
            sku = find(key)
            if sku >= 0:
                found.append(sku)
            else:
                subscription.unknown[key] = None
                self._unknown.setdefault(key, set()).add(subscription)
        return np.array(found, dtype=np.int64)

    def _add(self, subscription: Subscription, sku_indexes: Integers) -> None:
        at, fresh = self.offers.add(subscription.view, sku_indexes)
        subscription.at = np.concatenate((subscription.at, at))
        subscription.filled, subscription.known_look = False, 0
        self._filling.add(subscription)
        # Few are not kept waiting by many.
        few = fresh.size <= WATCH_ENTRIES_MAX
        self._fill = np.concatenate((fresh, self._fill) if few else (self._fill, fresh))

    async def _look(self) -> None:
        fill, watching = self._fill[:FILLED_MAX], self._watching
        self._round = done = await looking.look(self.engine, lambda pool, _: watching.look(pool, fill))
        self._fill = self._fill[done.filled :]
        if done.changed:
            self._changed_look = done.number
        units = self.offers.table[:, k.OFFER_UNITS]
        for subscription in list(self._filling):
            if not (units[subscription.at] < 0).any():
                subscription.filled = True
                self._filling.discard(subscription)
        if done.sku_count > self._sku_count:
            self._welcome(range(self._sku_count, done.sku_count))
            self._sku_count = done.sku_count
        for subscription in self._subscriptions.values():
            subscription.deliveries.clear()

    def _welcome(self, sku_indexes: range) -> None:
        """SKUs that are new: those who watch every SKU watch them, too, and so do those who named them before they were there."""
        fresh = np.array(sku_indexes, dtype=np.int64)
        joining = set(self._joining)
        for subscription in self._subscriptions.values():
            if not subscription.subject.sku_keys and subscription not in joining:
                self._add(subscription, fresh)
        keys = self.engine.names.sku_keys
        for sku in sku_indexes if self._unknown else ():
            for subscription in self._unknown.pop(keys[sku], ()):
                one = fresh[sku - fresh[0] : sku - fresh[0] + 1]
                del subscription.unknown[keys[sku]]
                self._add(subscription, one)

    def _tell(self, now_s: float) -> None:
        """Tell those who are ready and due what is new to them, who waits longest first."""
        done = self._round
        if done is None:
            return
        ready = [
            watcher
            for watcher in self._watchers
            if watcher.due_s <= now_s
            and watcher.next is not None
            and not watcher.next.done()
            and self._owed(watcher, done)
        ]
        ready.sort(key=lambda watcher: watcher.due_s)
        entries = 0
        for watcher in ready[:MESSAGES_MAX]:
            if entries > ENTRIES_MAX:
                break
            delivery = self._delivery(watcher, done)
            entries += len(delivery)
            watcher.due_s = now_s + watcher.interval_s
            assert watcher.next is not None
            watcher.next.set_result(delivery)

    def _owed(self, watcher: Watcher, done: Round) -> bool:
        """Whether there is something to tell it."""
        subscription = watcher.subscription
        if subscription.known_look < self._changed_look:
            looks = self.offers.table[subscription.at, k.OFFER_LOOK]
            subscription.known_look, subscription.changed_look = done.number, int(looks.max(initial=0))
        if not watcher.told_look:
            return done.seq >= watcher.seq and (subscription.filled or subscription.changed_look > 0)
        if subscription.changed_look > watcher.told_look:
            return True
        return watcher.resume_seq < watcher.told_seq and subscription.filled and not done.waiting

    def _delivery(self, watcher: Watcher, done: Round) -> Delivery:
        """What is new to a watcher; it knows it now."""
        if not watcher.told_look:
            watcher.begin(done.changes.began_seq)
        subscription = watcher.subscription
        resume_seq = done.seq if subscription.filled and not done.waiting else watcher.resume_seq
        since = watcher.from_seq if watcher.catching_up else -1
        key = (watcher.told_look, watcher.resume_seq, watcher.complete, since)
        delivery = subscription.deliveries.get(key)
        if delivery is None:
            delivery = Delivery(self.engine.names, done.seq, (watcher.resume_seq, resume_seq), watcher.complete)
            table, at = self.offers.table, subscription.at
            at = at[table[at, k.OFFER_LOOK] > watcher.told_look]
            at = at[table[at, k.OFFER_UNITS] >= 0]
            if done.waiting:
                at = at[~done.changes.waits(table[at, k.OFFER_SKU])]
            if since >= 0:
                at = at[done.changes.changed_after(since, table[at, k.OFFER_SKU])]
            unknown = () if watcher.told_look or since >= 0 else tuple(subscription.unknown)
            delivery.fill(table[at, k.OFFER_SKU], table[at, k.OFFER_UNITS], unknown)
            subscription.deliveries[key] = delivery
        watcher.told_seq, watcher.resume_seq = done.seq, resume_seq
        if not done.waiting:
            # Else what it is told now is told once more, with what had to wait: nobody keeps a list of that.
            watcher.told_look = done.number
        watcher.catching_up = watcher.catching_up and resume_seq < done.seq
        return delivery
