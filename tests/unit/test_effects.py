"""The one kernel that writes: the order of ends, the chain of legs, the ring of movements; and that deciding writes nothing."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest

from engine.core.machine import Machine, Repeated
from engine.kernels import columns as c
from engine.kernels import reservations as kernels
from engine.kernels.effects import apply_effects, due
from engine.model import commands as m
from engine.model.orders import ReceivedItem
from engine.model.outcomes import Disposition, Quantity, RejectReason, StockReason
from engine.pool.pool import Pool
from tests.builders import EPOCH_NS, SMALL, Store, limits, pickup, ship


def fold(pool: Pool, *rows: tuple[int, ...]) -> None:
    apply_effects(pool.state, np.array([(*row, *([0] * (6 - len(row)))) for row in rows], dtype=np.int64))


def ending(pool: Pool, now_ns: int, room: int = 1_000) -> list[int]:
    out = np.zeros(room, dtype=np.int64)
    count = due(pool.state[3], pool.state[5], pool.state[8], now_ns, out)
    return sorted({int(each) for each in out[:count]})


@pytest.mark.parametrize("seed", range(6))
def test_ends_come_in_the_order_of_time(seed: int) -> None:
    chance = Random(seed)
    pool = Pool(limits(open_reservations_max=40))
    ends: dict[int, int] = {}
    following = 1
    for _ in range(600):
        roll = chance.random()
        if roll < 0.4 and len(ends) < 40:
            while pool.state[3][c.RES_STATE, following % 80] == c.STATE_HELD:
                following += 1
            ends[following] = chance.randrange(50)
            fold(pool, (c.OP_HOLD, following, ends[following], 0, 0, 1))
            following += 1
        elif roll < 0.8 and ends:
            each = chance.choice(list(ends))
            ends[each] = chance.randrange(50)
            fold(pool, (c.OP_EXTEND, each, ends[each]))
        elif ends:
            each = chance.choice(list(ends))
            fold(pool, (c.OP_CLOSE, each, 3))
            del ends[each]
        now = chance.randrange(60)
        assert ending(pool, now) == sorted(each for each, end in ends.items() if end <= now), f"seed {seed}"
    assert pool.counter(c.RESERVATIONS_OPEN) == len(ends)


def test_what_is_due_is_cut_to_the_room_there_is() -> None:
    pool = Pool(limits(open_reservations_max=40))
    fold(pool, *((c.OP_HOLD, each, 5, 0, 0, 1) for each in range(1, 31)))
    assert len(ending(pool, 5, room=7)) == 7
    assert len(ending(pool, 5)) == 30
    assert ending(pool, 4) == []


def test_legs_are_a_chain_and_come_back_to_the_free_ones() -> None:
    pool = Pool(SMALL)
    fold(pool, (c.OP_OPEN_CELL, 0, 0, 0, 4), (c.OP_MOVE, 0, c.ON_HAND, 20, 2))
    fold(pool, (c.OP_HOLD, 1, 9, 0, 0, 1), *((c.OP_LEG, 1, 0, units, line) for line, units in enumerate((3, 4, 5))))
    found = pool.reservations.get(1)
    assert found is not None
    assert [(leg.line_index, leg.units) for leg in found.legs] == [(0, 3), (1, 4), (2, 5)]
    assert pool.stock.units(0, c.ATF) == 8
    fold(pool, (c.OP_CLOSE, 1, 3))
    assert (pool.stock.units(0, c.ATF), pool.counter(c.HELD_OPEN), pool.counter(c.HELD_USED)) == (20, 0, 3)
    fold(pool, (c.OP_HOLD, 2, 9, 0, 0, 1), *((c.OP_LEG, 2, 0, 1, line) for line in range(5)))
    assert (pool.counter(c.HELD_OPEN), pool.counter(c.HELD_USED)) == (5, 5)


def test_movements_remember_who_came_before_them() -> None:
    pool = Pool(limits(movements_remembered=4))
    fold(pool, (c.OP_AT, 7, 77), (c.OP_OPEN_CELL, 0, 0, 0, 4), (c.OP_OPEN_CELL, 0, 1, 1, 4))
    fold(pool, (c.OP_MOVE, 0, c.ON_HAND, 5, 2), (c.OP_MOVE, 1, c.ON_HAND, 9, 2), (c.OP_MOVE, 0, c.DAMAGED, 2, 8))
    assert pool.movements(0, 0, 9) == [[2, 7, 77, c.DAMAGED, 2, 2, 8], [0, 7, 77, c.ON_HAND, 5, 5, 2]]
    assert pool.movements(0, 2, 9) == [[0, 7, 77, c.ON_HAND, 5, 5, 2]]
    fold(pool, *((c.OP_MOVE, 1, c.ON_HAND, 1, 2) for _ in range(2)))
    assert [row[0] for row in pool.movements(0, 0, 9)] == [2]
    fold(pool, *((c.OP_MOVE, 1, c.ON_HAND, 1, 2) for _ in range(5)))
    assert pool.movements(0, 0, 9) == []
    assert [row[0] for row in pool.movements(1, 0, 9)] == [9, 8, 7, 6]


def test_a_feed_is_remembered_by_cell() -> None:
    pool = Pool(SMALL)
    fold(pool, (c.OP_OPEN_CELL, 0, 0, 0, 4), (c.OP_FEED, 1, 0, 2**63 - 1))
    assert (pool.stock.source_seq(1, 0), pool.stock.source_seq(0, 0), pool.stock.source_seq(1, 1)) == (2**63 - 1, 0, 0)


def commands(store: Store) -> list[m.Command]:
    """One of each command, all of which change something."""
    make, claim = store.make, ship([("A", 2), ("B", 1)])
    lines = (("A", 2, 5), ("B", 1, 7))
    return [
        make(
            m.AdjustStock,
            sku_key="C",
            node_key="dc",
            quantity=Quantity.ON_HAND,
            delta_units=2,
            reason=StockReason.COUNT,
        ),
        make(m.SetStock, sku_key="D", node_key="lab", on_hand_units=3, source_key="wms", source_seq=1),
        make(m.ReceiveStock, node_key="lab", lines=(("C", 1),)),
        make(m.RecordSale, node_key="west", channel_key="till", lines=(("A", 1), ("D", 2))),
        make(m.ImportStock, sku_keys=("A", "C"), node_keys=("west",), on_hand_units=(4, 5), safety_stock_units=(1, -1)),
        make(m.Reserve, claim=claim),
        make(
            m.BatchReserve, claims=m.ClaimColumns.of((claim, pickup([("B", 1)]), ship([("A", 99)], allow_partial=True)))
        ),
        make(m.ExtendReservation, reservation_id=1, ttl_ns=10**12),
        make(m.PlaceOrder, channel_key="web", order_key="r", customer_key="", lines=(), reservation_id=1),
        make(m.ReleaseReservation, reservation_id=2),
        make(m.PlaceOrder, channel_key="web", order_key="d", customer_key="", lines=lines, claim=claim),
        make(m.IngestOrder, order_key="i", customer_key="", lines=lines, claim=ship([("A", 99), ("B", 99)])),
        make(m.CancelOrder, order_id=2, lines=((0, 1),)),
        make(m.Accept, fulfillment_order_id=1),
        make(m.Ship, fulfillment_order_id=1),
        make(m.Reject, fulfillment_order_id=2, reason=RejectReason.NOT_IN_STOCK),
        make(m.AuthorizeReturn, channel_key="web", order_id=1, lines=((0, "", 1),), postal_code="10001"),
        make(m.ReceiveReturn, return_id=1, node_key="west", items=(ReceivedItem(0, 1, Disposition.RESTOCK),)),
    ]


def arrays_of(machine: Machine) -> list[bytes]:
    network = machine.pool.network
    return [array.tobytes() for array in (*machine.pool.state, *network.arrays)]


def test_deciding_and_answering_write_nothing() -> None:
    store = Store()
    store.stock(("A", "dc", 20), ("A", "east", 9), ("B", "east", 9))
    for command in commands(store):
        store.sweep()
        before, digest = arrays_of(store.machine), store.machine.digest()
        first = store.machine.decide(command, store.now_ns)
        second = store.machine.decide(command, store.now_ns)
        assert arrays_of(store.machine) == before, command
        assert store.machine.digest() == digest, command
        assert not isinstance(first, Repeated)
        assert not isinstance(second, Repeated)
        assert (first.reply, first.documents) == (second.reply, second.documents), "deciding twice decides the same"
        assert (first.effects is None) == (second.effects is None)
        if first.effects is not None:
            assert np.array_equal(first.effects, second.effects)
        assert first.reply.outcome in (1, 53), command
        store.submit(command)
        assert store.machine.digest() != digest, command
        store.audit()


def test_a_kernel_that_fails_half_way_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store()
    store.stock(("A", "dc", 20))
    plan = kernels.plan_claims

    def failing(stock: Any, *rest: Any) -> None:
        plan(stock, *rest)
        stock[0][c.PENDING, 0] = 2
        raise ValueError("a defect")

    monkeypatch.setattr(kernels, "plan_claims", failing)
    with pytest.raises(ValueError, match="a defect"):
        store.reserve(ship([("A", 2)]))
    monkeypatch.undo()
    store.audit()
    assert store.reserve(ship([("A", 20)])).outcome == 1


def test_an_expiry_is_decided_without_writing() -> None:
    store = Store()
    store.stock(("A", "dc", 20))
    store.reserve(ship([("A", 1)]))
    before = arrays_of(store.machine)
    assert store.machine.expire(EPOCH_NS + 10**15) is not None
    assert arrays_of(store.machine) == before


def test_every_first_answer_is_given_again() -> None:
    store = Store()
    store.stock(("A", "dc", 20), ("A", "east", 9), ("B", "east", 9))
    asked = commands(store)
    replies = [store.submit(command) for command in asked]
    digest, encoded = store.machine.digest(), {each.request_id: each.encoded for each in store.decisions}
    for command, reply in zip(asked, replies, strict=True):
        again = store.machine.decide(command, store.now_ns + 10**15)
        assert isinstance(again, Repeated)
        assert again.reply == reply
        assert store.machine.requests.find(command.request_id).encoded == encoded[command.request_id]  # type: ignore[union-attr]
    assert store.machine.digest() == digest
