"""The audit finds what is wrong: each invariant is broken by hand, and nothing else is reported."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from msgspec import msgpack

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.orders import OrderLine
from engine.model.outcomes import OrderState
from engine.model.queries import Finding
from tests.builders import Store, limits, pickup, ship


@pytest.fixture
def store() -> Store:
    """A store with a bit of everything: slot 0 is A at the warehouse, slot 1 A at the shop in the east."""
    store = Store()
    store.stock(("A", "dc", 10), ("A", "east", 5), ("B", "east", 2))
    store.reserve(ship([("A", 12)]))
    store.place(pickup([("B", 1)]))
    store.tell(m.RecordSale, node_key="east", channel_key="till", lines=(("B", 2),))
    store.audit()
    return store


def findings(store: Store) -> list[Finding]:
    return list(store.ask(q.Audit(0, digest=False)).report.findings)


def counter(field: int, by: int = 1) -> Callable[[Store], None]:
    def spoil(store: Store) -> None:
        store.machine.pool.state[8][field] += by

    return spoil


def cell(row: int, by: int, slot: int = 0) -> Callable[[Store], None]:
    def spoil(store: Store) -> None:
        store.machine.pool.state[0][row, slot] += by

    return spoil


@pytest.mark.parametrize(
    ("spoil", "invariants"),
    [
        (cell(c.RESERVED, 1), {"reserved = Σ legs of open reservations", "ATF = ", "totals = Σ cells"}),
        (cell(c.ALLOCATED, 1), {"allocated = Σ lines of open fulfillment orders", "ATF = ", "totals = Σ cells"}),
        (cell(c.DAMAGED, -1), {"only on_hand may be negative", "ATF = ", "totals = Σ cells"}),
        (cell(c.ON_HAND, 1), {"ATF = ", "totals = Σ cells"}),
        (cell(c.INCOMING, 1), {"totals = Σ cells"}),
        (cell(c.ATF, 1), {"ATF = "}),
        (cell(c.PENDING, 1), {"nothing is pending between decisions"}),
        (cell(c.KEY, 1), {"the index of a SKU finds its cells"}),
        (counter(c.TOTAL_FIRST + c.SAFETY_STOCK), {"totals = Σ cells"}),
        (counter(c.AVAILABLE), {"totals = Σ cells"}),
        (counter(c.SHORTAGE), {"totals = Σ cells"}),
        (counter(c.SHORTAGE_CELLS), {"totals = Σ cells"}),
        (counter(c.CELLS_OPEN), {"counters = open cells, reservations and legs"}),
        (counter(c.RESERVATIONS_OPEN), {"counters = open cells, reservations and legs"}),
        (counter(c.HELD_OPEN), {"counters = open cells, reservations and legs"}),
        (counter(c.EXPIRY_COUNT, -1), {"every open reservation will expire"}),
    ],
)
def test_a_broken_column_is_found(store: Store, spoil: Callable[[Store], None], invariants: set[str]) -> None:
    spoil(store)
    found = findings(store)
    told = {finding.invariant for finding in found}
    assert {next((part for part in invariants if each.startswith(part)), each) for each in told} == invariants, found
    assert all(finding.expected != finding.actual for finding in found)


def test_a_finding_names_the_cell(store: Store) -> None:
    cell(c.ATF, 3, slot=1)(store)
    (finding,) = findings(store)
    assert (finding.subject, finding.actual - finding.expected) == ("A at east", 3)


def test_an_index_out_of_order_is_found(store: Store) -> None:
    index, skus = store.machine.pool.state[2], store.machine.pool.state[1]
    start = skus[c.INDEX_START, 0]
    index[[start, start + 1]] = index[[start + 1, start]]
    assert "the index of a SKU finds its cells, in node order" in {each.invariant for each in findings(store)}


def test_an_end_that_was_noted_twice_does_not_stand_for_another(store: Store) -> None:
    store.reserve(ship([("A", 1)]))
    expiry = store.machine.pool.state[5]
    expiry[:, 1] = expiry[:, 0]
    assert [each.invariant for each in findings(store)] == ["every open reservation will expire"]


def test_orders_are_audited(store: Store) -> None:
    orders = store.machine.pool.orders
    order = orders.orders[1]
    line = order.lines[0]
    orders.orders[1] = order._replace(lines=(line._replace(allocated_units=0, short_units=1),))
    assert {each.invariant for each in findings(store)} == {
        "order line: allocated = Σ open work",
        "short units are counted",
    }
    orders.orders[1] = order._replace(lines=(line._replace(cancelled_units=1),))
    assert {each.invariant for each in findings(store)} == {"order line: units = Σ its parts"}
    orders.orders[1] = order._replace(state=OrderState.CANCELLED)
    assert {each.invariant for each in findings(store)} == {"open orders are counted"}


def test_open_work_of_an_order_that_is_gone_is_found(store: Store) -> None:
    orders = store.machine.pool.orders
    del orders.orders[1]
    assert {each.invariant for each in findings(store)} == {"open work has an open order", "open orders are counted"}


def test_orders_that_ended_before_a_replay_are_audited_when_asked_for(store: Store) -> None:
    orders = store.machine.pool.orders
    whole = orders.orders[1]
    ended = whole._replace(
        order_id=2, state=OrderState.COMPLETED, lines=(OrderLine(0, 5, 0, fulfilled_units=4),), fulfillment_order_ids=()
    )
    orders.orders.keep(2, msgpack.encode(ended))
    assert [each.subject for each in findings(store)] == ["order 2 line 0"]
    assert store.ask(q.Audit(0, digest=False, closed=False)).report.findings == ()
    assert isinstance(orders.orders.peek(2), bytes), "looked at and not kept decoded"


def test_no_more_findings_are_told_than_anybody_reads() -> None:
    store = Store(limits(cells_max=1_024))
    store.stock(*((sku, node, 1) for sku in "ABCD" for node in ("dc", "east", "west", "lab")))
    store.machine.pool.state[0][c.ATF] += 1
    slots = store.machine.pool.counter(c.SLOTS_USED)
    assert len(findings(store)) == min(slots, 100)


def test_the_digest_notices_every_part_of_the_state(store: Store) -> None:
    pool = store.machine.pool
    seen = {store.machine.digest()}
    changes: list[Callable[[], None]] = [
        lambda: cell(c.MOVED, 1)(store),
        lambda: counter(c.HELD_FREE)(store),
        lambda: pool.state[3].__setitem__((c.RES_EXPIRES, 1), 7),
        lambda: pool.state[4].__setitem__((c.HELD_LINE, 0), 7),
        lambda: pool.state[6].__setitem__((c.MOVEMENT_REASON, 0), 7),
        lambda: pool.state[2].__setitem__(0, 7),
        lambda: pool.names.sources.put(0, "wms"),
        lambda: pool.state[7].__setitem__((0, 0), 7),
        lambda: setattr(pool.orders, "next_return_id", 9),
        lambda: pool.network.nodes.__setitem__(0, pool.network.nodes[0]._replace(name="other")),
        lambda: pool.orders.orders.__setitem__(1, pool.orders.orders[1]._replace(customer_key="other")),
        lambda: pool.orders._closed_orders.append(1),
    ]
    for at, change in enumerate(changes):
        change()
        seen.add(store.machine.digest())
        assert len(seen) == at + 2, f"change {at} went unnoticed"


def test_the_digest_does_not_see_what_is_no_state(store: Store) -> None:
    before = store.machine.digest()
    expiry = store.machine.pool.state[5]
    expiry[:, 5:] = 99
    store.machine.pool.counter(c.SEQ)
    store.ask(q.GetStatus(0))
    store.machine.decide(store.make(m.Reserve, claim=ship([("A", 1)])), store.now_ns)
    assert store.machine.digest() == before
    assert np.count_nonzero(store.machine.pool.state[0][c.PENDING]) == 0
