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
        self.of: dict[int, tuple[View, Integers]] = {}
        self.fill = NOTHING
        self.came = 0

    def come_or_go(self) -> None:
        chance = self.chance
        if self.of and chance.random() < 0.4:
            self.watching.offers.drop(self.of.pop(chance.choice([*self.of]))[1])
            return
        pool, view = self.machine.pool, chance.choice(VIEWS)
        skus = np.array(
            chance.sample(range(len(pool.names.skus)), chance.randint(0, len(pool.names.skus))), dtype=np.int64
        )
        node = pool.names.nodes.find(view[2]) if view[2] else -1
        self.came += 1
        compiled = view_of(pool.names.channels.find(view[0]), view[1], node)
        self.of[self.came] = view, self.watching.offers.add(self.came, compiled, skus)
        self.fill = np.concatenate((self.fill, skus))

    def look(self) -> module.Round:
        done = self.watching.look(self.machine.pool, self.fill)
        self.fill = self.fill[done.filled :]
        return done

    def require(self, seed: int) -> None:
        """Everybody sees what is so; to be called when all has been looked at."""
        table = self.watching.offers.table
        assert len(self.watching.offers) == sum(at.size for _, at in self.of.values())
        for owner, (view, at) in self.of.items():
            for position in at.tolist():
                sku = int(table[k.OFFER_SKU, position])
                seen = int(table[k.OFFER_UNITS, position])
                assert seen == offered(self.machine, sku, view), f"seed {seed}: {sku} for {view}"
                assert table[k.OFFER_OWNER, position] == owner


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
            monkeypatch.setattr(module, "BUDGET", crowd.chance.choice([1, 3, 10, module.BUDGET]))
            done = crowd.look()
            assert (done.seq, done.sku_count) == (machine.seq, len(machine.pool.names.skus))
            if step % 10 == 0:
                while done.waiting.size or crowd.fill.size:
                    done = crowd.look()
                crowd.require(seed)
        if step % 50 == 0:
            assert asked(store) == after, f"seed {seed}, step {step}"


def test_only_what_has_changed_is_told(store: Store) -> None:
    """The positions of offers whose units are others, with the number of the look; nothing of a change that changed nothing."""
    watching = Watching(Offers(SMALL.skus_max))
    pool, offers = store.machine.pool, watching.offers
    pairs = np.arange(4)
    web, app = (offers.add(owner, view_of(owner, SHIP), pairs) for owner in (0, 1))
    first = watching.look(pool, pairs)
    assert (first.number, first.filled, first.waiting.size, sorted(first.changed)) == (1, 4, 0, [*range(8)])
    assert watching.look(pool, NOTHING).changed.size == 0
    store.stock(("A", "dc", 2))
    assert watching.look(pool, NOTHING).changed.tolist() == [web[0]], "two are below the threshold of the app"
    store.stock(("A", "dc", 3))
    done = watching.look(pool, NOTHING)
    assert (sorted(done.changed), set(offers.table[k.OFFER_LOOK, done.changed])) == ([web[0], app[0]], {done.number})
    store.stock(("A", "dc", 9))
    store.stock(("A", "dc", 3))
    assert watching.look(pool, NOTHING).changed.size == 0, "as it was"
    offers.drop(web)
    store.stock(("A", "dc", 8))
    assert watching.look(pool, NOTHING).changed.tolist() == [app[0]]


def test_what_changes_everything(store: Store) -> None:
    watching, pool = Watching(Offers(SMALL.skus_max)), store.machine.pool
    at = watching.offers.add(7, view_of(0, SHIP), np.arange(2))
    store.stock(("A", "dc", 5), ("B", "east", 4))
    watching.look(pool, np.arange(2))
    seq = store.machine.seq
    store.tell(m.PutChannels, channels=(Channel("web", all_nodes=True, threshold_units=2),))
    assert watching.look(pool, NOTHING).changed.size == 2
    assert watching.offers.table[k.OFFER_UNITS, at].tolist() == [3, 2]
    assert pool.changes.changed_after(seq, np.arange(4)).all()
    assert not pool.changes.changed_after(seq + 1, np.arange(4)).any()


def test_a_look_that_fails_loses_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    watching, pool = Watching(Offers(SMALL.skus_max)), store.machine.pool
    at = watching.offers.add(7, view_of(0, SHIP), np.arange(2))
    watching.look(pool, np.arange(2))
    store.stock(("A", "dc", 5))
    with monkeypatch.context() as broken:
        broken.setattr(module, "refresh_offers", None)
        with pytest.raises(TypeError):
            watching.look(pool, NOTHING)
    assert watching.look(pool, NOTHING).changed.tolist() == [at[0]]


def test_reserves_that_go_together_are_marked(store: Store) -> None:
    store.stock(("A", "dc", 5), ("B", "dc", 5), ("C", "dc", 5))
    changes = store.machine.pool.changes
    changes.begin(store.machine.seq)
    commands = [store.make(m.Reserve, claim=ship([(key, 1)])) for key in "AC"]
    judged = store.machine.decide_reserves(commands, store.now_ns)
    assert judged is not None
    store.machine.apply_reserves(*judged)
    assert sorted(changes.take()) == [0, 2]
    assert changes.take().size == 0


def test_a_replay_forgets_what_changed(store: Store) -> None:
    changes = store.machine.pool.changes
    assert changes.began_seq < 0, "nothing is noted before anybody watches"
    changes.begin(store.machine.seq)
    store.tell(m.PutSkus, skus=(Sku("E", "Eel"),))
    assert changes.changed_after(store.machine.seq - 1, np.arange(5)).tolist() == [False] * 4 + [True]
    changes.end()
    watching = Watching(Offers(SMALL.skus_max))
    watching.offers.add(1, view_of(0, SHIP), np.arange(2))
    assert watching.look(store.machine.pool, NOTHING).changed.size == 2, "everything is looked at again"
    assert changes.began_seq == store.machine.seq
