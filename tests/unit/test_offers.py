"""What is offered to views, and the marks of what has changed, against slow and obvious twins, over random days."""

from __future__ import annotations

from itertools import product
from random import Random

import numpy as np
import pytest

from engine.core import watching as module
from engine.core.machine import Machine
from engine.core.queries import view_of
from engine.core.watching import Watching
from engine.kernels import offers as k
from engine.kernels.zones import Integers
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Channel, Sku
from engine.model.outcomes import FulfillmentKind
from engine.pool.offers import Offers
from engine.pool.offers import View as Compiled
from tests.builders import PICKUP, SHIP, SMALL, Store, ship
from tests.property.busy import Busy
from tests.property.twins import Twins

KEYS = ("A", "B", "C", "D")
NODE_KEYS = ("", "dc", "east", "west", "lab")
View = tuple[str, FulfillmentKind, str]
VIEWS: list[View] = list(product(("web", "app", "mall", "till"), (SHIP, PICKUP), NODE_KEYS))
NOTHING: Integers = np.zeros(0, dtype=np.int64)


@pytest.fixture
def store() -> Store:
    return Store()


def offered(machine: Machine, sku: int, view: View) -> int:
    """What a view is offered, cell by cell."""
    pool = machine.pool
    channel_key, kind, node_key = view
    channel = pool.network.channels[pool.names.channels.find(channel_key)]
    free = {}
    for place, slot in pool.stock.cells_of(sku):
        node, cell = pool.network.nodes[place], pool.stock.cell(slot)
        atf = cell.on_hand - cell.damaged - cell.quality_control - cell.display - cell.in_return
        atf -= cell.reserved + cell.allocated + cell.safety_stock
        serves = node.ships if kind == SHIP else node.offers_pickup
        if serves and not node.closed and (channel.all_nodes or node.node_key in channel.node_keys):
            free[node.node_key] = max(atf, 0)
    pooled = max(sum(free.values()) - channel.threshold_units, 0)
    return min(pooled, free.get(node_key, 0)) if node_key else pooled


def everything(machine: Machine) -> dict[tuple[int, View], int]:
    return {(sku, view): offered(machine, sku, view) for sku in range(len(machine.pool.names.skus)) for view in VIEWS}


def asked(store: Store) -> dict[tuple[int, View], int]:
    """The same by the query."""
    keys = store.machine.pool.names.sku_keys
    found: dict[tuple[int, View], int] = {}
    for view in VIEWS:
        channel_key, kind, node_key = view
        answer = store.ask(q.GetAvailability(0, channel_key, tuple(keys), kind, node_key))
        found |= {(each.sku_index, view): each.ats_units for each in answer.availabilities}
    return found


class Crowd:
    """Watchers of random things, who come and go between the looks of one hub."""

    def __init__(self, machine: Machine, seed: int) -> None:
        self.machine = machine
        self.chance = Random(seed)
        self.watching = Watching(Offers(machine.pool.limits.skus_max))
        self.watchers: list[tuple[View, Compiled, list[int], Integers]] = []
        self.fill = NOTHING

    def come_or_go(self) -> None:
        chance, offers = self.chance, self.watching.offers
        if self.watchers and chance.random() < 0.4:
            _, compiled, _, at = self.watchers.pop(chance.randrange(len(self.watchers)))
            offers.drop(compiled, at)
            return
        pool, view = self.machine.pool, chance.choice(VIEWS)
        count = len(pool.names.skus)
        skus = chance.sample(range(count), chance.randint(0, count))
        node = pool.names.nodes.find(view[2]) if view[2] else -1
        compiled = view_of(pool.names.channels.find(view[0]), view[1], node)
        at, fresh = offers.add(compiled, np.array(skus, dtype=np.int64))
        self.watchers.append((view, compiled, skus, at))
        self.fill = np.concatenate((self.fill, fresh))

    def look(self) -> module.Round:
        done = self.watching.look(self.machine.pool, self.fill)
        self.fill = self.fill[done.filled :]
        return done

    def require(self, seed: int) -> None:
        """Everybody sees what is so; to be called when all has been looked at."""
        offers = self.watching.offers
        assert len(offers) == len({(compiled, sku) for _, compiled, skus, _ in self.watchers for sku in skus})
        for view, compiled, skus, at in self.watchers:
            assert offers.table[at, k.OFFER_SKU].tolist() == skus
            assert (offers.table[at, : k.VIEW_FIELDS] == compiled).all()
            seen = offers.table[at, k.OFFER_UNITS].tolist()
            assert seen == [offered(self.machine, sku, view) for sku in skus], f"seed {seed}: {skus} for {view}"


@pytest.mark.parametrize("seed", range(3))
def test_a_random_day(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Every SKU of which any view is offered something else is marked; GetAvailability says what the twin does; and so do the offers of all
    who watch, once all is looked at, however little one look may do.
    """
    twins = Twins(SMALL)
    store, busy = twins.store, Busy(twins, seed)
    machine, crowd = store.machine, Crowd(store.machine, seed)
    marked = machine.pool.changes
    crowd.look()
    before = everything(machine)
    for step in range(120):
        seq = machine.seq
        busy.step()
        after = everything(machine)
        changed = {sku for (sku, view), units in after.items() if before.get((sku, view), 0) != units}
        assert marked.changed_after(seq, np.array([*changed], dtype=np.int64)).all(), f"seed {seed}, step {step}"
        before = after
        if crowd.chance.random() < 0.3:
            crowd.come_or_go()
        if crowd.chance.random() < 0.3:
            monkeypatch.setattr(module, "BUDGET", crowd.chance.choice([1, 60, 120, module.BUDGET]))
            done = crowd.look()
            assert (done.seq, done.sku_count) == (machine.seq, len(machine.pool.names.skus))
            if step % 10 == 0:
                while done.waiting or crowd.fill.size:
                    done = crowd.look()
                crowd.require(seed)
        if step % 50 == 0:
            assert asked(store) == after, f"seed {seed}, step {step}"


def told(offers: Offers, at: Integers, done: module.Round) -> list[int]:
    """Which of some offers a look found to be others."""
    return np.flatnonzero(offers.table[at, k.OFFER_LOOK] == done.number).tolist()


def test_only_what_has_changed_is_told(store: Store) -> None:
    """Offers have the number of the look that found others; a change that changed nothing leaves none."""
    watching = Watching(Offers(SMALL.skus_max))
    pool, offers, pairs = store.machine.pool, watching.offers, np.arange(4)
    views = [view_of(channel, SHIP) for channel in (0, 1)]
    (web, fresh), (app, _) = (offers.add(view, pairs) for view in views)
    first = watching.look(pool, fresh)
    assert (first.number, first.filled, first.waiting, first.changed) == (1, 4, 0, 8)
    assert watching.look(pool, NOTHING).changed == 0
    store.stock(("A", "dc", 2))
    done = watching.look(pool, NOTHING)
    assert (told(offers, web, done), told(offers, app, done)) == ([0], []), "two are below the threshold of the app"
    store.stock(("A", "dc", 3))
    done = watching.look(pool, NOTHING)
    assert (told(offers, web, done), told(offers, app, done), done.changed) == ([0], [0], 2)
    store.stock(("A", "dc", 9))
    store.stock(("A", "dc", 3))
    assert watching.look(pool, NOTHING).changed == 0, "as it was"
    offers.drop(views[0], web)
    store.stock(("A", "dc", 8))
    assert watching.look(pool, NOTHING).changed == 1


def test_those_who_watch_the_same_share_it() -> None:
    offers, view = Offers(8), view_of(0, SHIP)
    one, fresh = offers.add(view, np.array([3, 1]))
    assert fresh.tolist() == [3, 1]
    other, fresh = offers.add(view, np.array([1, 2]))
    assert (fresh.tolist(), one[1], len(offers)) == ([2], other[0], 3)
    offers.drop(view, one)
    assert (len(offers), offers.first.astype(bool).tolist()) == (2, [False, True, True, *[False] * 5])
    offers.drop(view, other)
    assert not len(offers)
    assert not offers.first.any()
    nothing, _ = offers.add(view, NOTHING)
    offers.drop(view, nothing)
    again, fresh = offers.add(view, np.arange(8))
    assert (fresh.size, len(set(again)), len(offers)) == (8, 8, 8)


def test_what_changes_everything(store: Store) -> None:
    watching, pool = Watching(Offers(SMALL.skus_max)), store.machine.pool
    at, fresh = watching.offers.add(view_of(0, SHIP), np.arange(2))
    store.stock(("A", "dc", 5), ("B", "east", 4))
    watching.look(pool, fresh)
    seq = store.machine.seq
    store.tell(m.PutChannels, channels=(Channel("web", all_nodes=True, threshold_units=2),))
    assert watching.look(pool, NOTHING).changed == 2
    assert watching.offers.table[at, k.OFFER_UNITS].tolist() == [3, 2]
    assert pool.changes.changed_after(seq, np.arange(4)).all()
    assert not pool.changes.changed_after(seq + 1, np.arange(4)).any()


def test_a_look_that_fails_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    watching, pool = Watching(Offers(SMALL.skus_max)), store.machine.pool
    at, fresh = watching.offers.add(view_of(0, SHIP), np.arange(2))
    watching.look(pool, fresh)
    store.stock(("A", "dc", 5))
    with monkeypatch.context() as broken:
        broken.setattr(module, "refresh_offers", None)
        with pytest.raises(TypeError):
            watching.look(pool, NOTHING)
    assert told(watching.offers, at, watching.look(pool, NOTHING)) == [0]


def test_reserves_that_go_together_are_marked(store: Store) -> None:
    store.stock(("A", "dc", 5), ("B", "dc", 5), ("C", "dc", 5))
    changes = store.machine.pool.changes
    changes.begin(store.machine.seq)
    commands = [store.make(m.Reserve, claim=ship([(key, 1)])) for key in "AC"]
    judged = store.machine.decide_reserves(commands, store.now_ns)
    assert judged is not None
    store.machine.apply_reserves(*judged)
    assert sorted(changes.waiting) == [0, 2]
    changes.looked_at(1)
    assert changes.waiting.size == 1
    changes.add(np.arange(4))
    assert sorted(changes.waiting) == [0, 1, 2, 3]
    assert changes.waits(np.arange(4)).all()
    changes.looked_at(4)
    assert not changes.waits(np.arange(4)).any()


def test_a_replay_forgets_what_changed(store: Store) -> None:
    changes = store.machine.pool.changes
    assert changes.began_seq < 0, "nothing is noted before anybody watches"
    changes.begin(store.machine.seq)
    store.tell(m.PutSkus, skus=(Sku("E", "Eel"),))
    assert changes.changed_after(store.machine.seq - 1, np.arange(5)).tolist() == [False] * 4 + [True]
    changes.end()
    watching = Watching(Offers(SMALL.skus_max))
    watching.offers.add(view_of(0, SHIP), np.arange(2))
    assert watching.look(store.machine.pool, NOTHING).changed == 2, "everything is looked at again"
    assert changes.began_seq == store.machine.seq
