"""Start-up is replay: any grouping of the same decisions gives the same state, and what cannot be folded is said."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from engine import recovery
from engine.core.machine import Repeated
from engine.journal import JournalDamaged, JournalError, Record
from engine.journal.codec import encode
from engine.journal.memory import MemoryJournal
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import SECOND_NS
from engine.model.network import Node
from engine.model.outcomes import Outcome
from engine.recovery import LimitsTooLow, recover
from tests.builders import MINUTE_NS, SMALL, Store, day, limits, ship
from tests.unit.same import same


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("group", [1, 7, 10_000])
def test_replay_gives_the_live_state(seed: int, group: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store = day(seed)
    for size in (1, 5_000, 1 << 20):
        monkeypatch.setattr(recovery, "BYTES_PER_RUN", size)
        same(store, recover(store.journal(group), SMALL))


@pytest.mark.parametrize("seed", range(2))
def test_a_replayed_machine_goes_on_as_the_live_one(seed: int) -> None:
    store = day(seed)
    twin = day(seed)
    twin.machine = recover(store.journal(5), SMALL)
    for each in (store, twin):
        each.reserve(ship([("A", 1), ("B", 1)]))
        each.place(ship([("A", 1)]), "late")
        each.wait(40 * MINUTE_NS)
        each.sweep()
        each.audit()
    assert encode(store.decisions[-3:]) == encode(twin.decisions[-3:])
    assert store.machine.digest() == twin.machine.digest()


def test_a_request_of_before_the_crash_gets_its_first_answer() -> None:
    store = Store()
    store.stock(("A", "dc", 1))
    command = store.make(m.Reserve, claim=ship([("A", 1)]))
    first = store.submit(command)
    machine = recover(store.journal(3), SMALL)
    again = machine.decide(command, store.now_ns + SECOND_NS)
    assert isinstance(again, Repeated)
    assert again.reply == first
    assert again.seq == store.decisions[-1].seq


def test_replay_stops_at_any_decision() -> None:
    store = day(1)
    journal = store.journal(16)
    twin = Store(network=False)
    for decision in store.decisions:
        twin.machine.apply(decision)
        assert recover(journal, SMALL, to_seq=decision.seq).digest() == twin.machine.digest()


def test_replay_stops_inside_a_run_of_reserves() -> None:
    """Only the first of a run says when it was; the others share its time."""
    store = Store()
    store.stock(("A", "dc", 9))
    store.wait(7)
    claims = [ship([("A", 99)]), ship([("A", 2)]), ship([("A", 3)]), ship([("Z", 1)]), ship([("A", 4)])]
    judged = store.machine.decide_reserves([store.make(m.Reserve, claim=claim) for claim in claims], store.now_ns)
    assert judged is not None
    decisions, effects = judged
    store.machine.apply_reserves(decisions, effects)
    store.decisions += decisions
    for group in (2, 5, 100):
        journal = store.journal(group)
        twin = Store(network=False)
        for decision in store.decisions:
            twin.machine.apply(decision)
            assert recover(journal, SMALL, to_seq=decision.seq).digest() == twin.machine.digest()
        replayed = recover(journal, SMALL)
        assert replayed.digest() == store.machine.digest()
        assert {replayed.pool.reservations.get(each).created_ns for each in (1, 2, 3)} == {store.now_ns}  # type: ignore[union-attr]


def test_progress_is_told() -> None:
    store = day(2)
    told: list[int] = []
    recover(store.journal(), SMALL, progress=told.append)
    assert told[-1] == store.machine.seq


def test_an_empty_journal_is_an_empty_store() -> None:
    assert recover(MemoryJournal(), SMALL).seq == 0


def test_a_gap_between_records_is_said() -> None:
    class Gap(MemoryJournal):
        def read(self, from_seq: int = 1, *, limit: int | None = None) -> Any:
            records = list(super().read(from_seq, limit=limit))
            return iter([records[0], *records[2:]])

    store, journal = day(0), Gap()
    for decision in store.decisions[:4]:
        journal.append(encode([decision]), expected_seq=decision.seq - 1)
    with pytest.raises(JournalDamaged) as caught:
        recover(journal, SMALL)
    assert caught.value.seq == 2


# The log of requests


def test_a_request_id_that_was_forgotten_and_used_anew_is_remembered_as_new() -> None:
    """In one run of replay the id stands before and after those that pushed it out."""
    given = limits(request_ids_remembered=12)
    store = Store(given)
    store.stock(("A", "dc", 50))
    store.tell(m.Reserve, "mine", claim=ship([("A", 1)], ttl_ns=MINUTE_NS))
    for _ in range(12):
        store.tell(m.ReleaseReservation, reservation_id=1)
    assert store.tell(m.Reserve, "mine", claim=ship([("A", 2)])).reservation_id == 2
    for _ in range(6):
        store.tell(m.ReleaseReservation, reservation_id=1)
    for group in (1, 4, 10_000):
        same(store, recover(store.journal(group), given))


@pytest.mark.parametrize("seed", range(5))
def test_the_log_of_requests_is_the_same_however_it_is_replayed(seed: int) -> None:
    chance = Random(seed)
    given = limits(request_ids_remembered=5)
    store = Store(given)
    store.stock(("A", "dc", 50))
    for _ in range(80):
        request_id = f"q{chance.randrange(9)}"
        store.tell(m.Reserve, request_id, claim=ship([("A", 1)], ttl_ns=chance.randint(1, 3) * SECOND_NS))
        store.wait(chance.randrange(2) * SECOND_NS)
    for group in (1, 3, 10_000):
        same(store, recover(store.journal(group), given))


# Limits that were lowered


def test_a_reservation_that_finds_its_column_held_is_not_folded() -> None:
    store = Store()
    store.stock(("A", "dc", 50))
    for _ in range(5):
        assert store.reserve(ship([("A", 1)])).outcome == Outcome.OK
    with pytest.raises(LimitsTooLow, match="open_reservations_max"):
        recover(store.journal(), limits(open_reservations_max=2))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cells_max", 8),
        ("skus_max", 2),
        ("nodes_max", 3),
        ("sources_max", 1),
        ("reservation_legs_max", 2),
        ("services_max", 1),
        ("zones_max", 2),
        ("weight_steps_max", 1),
        ("regions_max", 2),
    ],
)
def test_a_limit_below_what_the_journal_needs_is_named(name: str, value: int) -> None:
    store = Store()
    store.stock(*((sku, node, 9) for sku in "ABCD" for node in ("dc", "east")))
    for source in ("wms", "erp"):
        store.tell(m.SetStock, sku_key="A", node_key="dc", on_hand_units=9, source_key=source, source_seq=1)
    store.reserve(ship([("A", 1), ("B", 1), ("C", 1)]))
    with pytest.raises(LimitsTooLow) as caught:
        recover(store.journal(), replace(SMALL, **{name: value}))
    assert isinstance(caught.value, JournalError)
    assert "limit" in str(caught.value)


def test_higher_limits_change_nothing_that_can_be_seen() -> None:
    store = day(3)
    wide = replace(SMALL, cells_max=1_024, skus_max=64, nodes_max=16, open_reservations_max=50, reservation_legs_max=99)
    machine = recover(store.journal(), wide)
    for decision in store.decisions:
        if decision.request_id:
            assert machine.requests.find(decision.request_id) == store.machine.requests.find(decision.request_id)
    assert machine.pool.orders.orders == store.machine.pool.orders.orders
    assert machine.pool.state[0][: c.KEY, : store.machine.pool.counter(c.SLOTS_USED)].tolist() == (
        store.machine.pool.state[0][: c.KEY, : store.machine.pool.counter(c.SLOTS_USED)].tolist()
    )
    assert machine.pool.counter(c.RESERVATIONS_OPEN) == store.machine.pool.counter(c.RESERVATIONS_OPEN)


@pytest.mark.parametrize("remembered", [1, 2, 4, 5, 50])
def test_more_or_fewer_closed_orders_may_be_remembered_than_before(remembered: int) -> None:
    """Keys were used again after they were forgotten, and returns were authorised for orders that are forgotten now."""
    given = limits(closed_orders_remembered=4)
    store = Store(given)
    store.stock(("A", "dc", 99))
    for at in range(30):
        order_id = store.place(ship([("A", 1)]), f"k{at % 6}").order.order_id
        (work,) = store.work(order_id)
        for step in (m.Accept, m.Ship):
            store.tell(step, fulfillment_order_id=work.fulfillment_order_id)
        fields: dict[str, Any] = {"channel_key": "web", "postal_code": "10001", "lines": ((0, "", 1),)}
        store.tell(m.AuthorizeReturn, order_id=max(order_id - 3, 1), **fields)
    other = replace(given, closed_orders_remembered=remembered)
    replayed = Store(other)
    replayed.machine = recover(store.journal(), other)
    assert list(replayed.machine.pool.orders.orders) == list(range(31 - min(remembered, 30), 31))
    replayed.now_ns = store.now_ns
    replayed._requests = 10_000
    replayed.audit()
    for at in range(60):
        replayed.place(ship([("A", 1)]), f"k{at % 7}")
        replayed.tell(m.CancelOrder, order_id=replayed.machine.pool.orders.next_order_id - 1, lines=())
        replayed.audit()
    latest = {order.order_key: order.order_id for order in replayed.machine.pool.orders.orders.values()}
    for key, order_id in latest.items():
        assert replayed.machine.pool.orders.order_of_key(0, key) == order_id


def test_a_record_that_is_not_one_is_damaged() -> None:
    journal = MemoryJournal()
    journal.append(Record(1, 1, b"\xc1 not msgpack"), expected_seq=0)
    with pytest.raises(JournalDamaged) as caught:
        recover(journal, SMALL)
    assert caught.value.seq == 1


def test_nodes_come_back_as_they_were() -> None:
    store = Store()
    store.tell(m.PutNodes, nodes=(Node("hub", latitude=1.5, longitude=-2.25, default_safety_stock_units=3),))
    machine = recover(store.journal(), SMALL)
    assert machine.pool.network.nodes == store.machine.pool.network.nodes
    assert np.array_equal(machine.pool.network.zones, store.machine.pool.network.zones)
    assert np.array_equal(machine.pool.network.node_rows, store.machine.pool.network.node_rows)
