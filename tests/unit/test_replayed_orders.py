"""Orders after a replay: what ended is kept as the journal has it until somebody asks, and nobody can tell."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec
import pytest

from engine import recovery
from engine.core.machine import Machine
from engine.journal.codec import decode_run, encode
from engine.model import commands as m
from engine.model import queries as q
from engine.model.decisions import Stored
from engine.model.growth import short_form
from engine.model.orders import Order, ReceivedItem
from engine.model.outcomes import Disposition, FulfillmentState, OrderState, Outcome, RejectReason, ReturnState
from engine.pool.orders import OrderBook
from engine.pool.records import Records
from engine.recovery import recover
from tests.builders import SHIP, SMALL, Store, limits, ship

WIDE = limits(closed_orders_remembered=50)


def shipped(store: Store, order_key: str = "") -> int:
    """Id of an order that was placed, accepted and shipped."""
    order_id: int = store.place(ship([("A", 1)]), order_key).order.order_id
    for step in (m.Accept, m.Ship):
        store.tell(step, fulfillment_order_id=store.work(order_id)[0].fulfillment_order_id)
    assert store.order(order_id).state == OrderState.COMPLETED
    return order_id


def returned(store: Store, order_id: int, *, received: bool = True) -> int:
    """Id of a return of one unit of an order."""
    authorised = store.tell(
        m.AuthorizeReturn, channel_key="web", order_id=order_id, lines=((0, "", 1),), postal_code="10001"
    )
    return_id: int = authorised.goods.return_id
    if received:
        items = (ReceivedItem(0, 1, Disposition.RESTOCK),)
        assert store.tell(m.ReceiveReturn, return_id=return_id, node_key="", items=items).outcome == Outcome.OK
    return return_id


def stocked(given: Any = SMALL) -> Store:
    store = Store(given)
    store.stock(("A", "dc", 500))
    return store


def folded(store: Store, given: Any = None) -> Machine:
    """The store's decisions folded as one run."""
    machine = Machine(given or store.machine.pool.limits)
    machine.apply_run(decode_run([encode(store.decisions)]))
    return machine


def book(machine: Machine) -> dict[str, Any]:
    """Everything that a book of orders knows."""
    orders = machine.pool.orders
    state = dict(vars(orders))
    state["_open_work"] = {node: list(work) for node, work in orders._open_work.items() if work}
    for name in ("orders", "fulfillment_orders", "returns"):
        state[name] = list(getattr(orders, name).items())
    return state


def kept_encoded(records: Records[Any]) -> list[int]:
    return [each for each in records if isinstance(records.peek(each), bytes)]


# What is read, and when


def test_what_is_open_is_read_and_what_has_ended_is_not() -> None:
    store = stocked(WIDE)
    for _ in range(3):
        shipped(store)
    store.place(ship([("A", 1)]))
    returned(store, 2)
    returned(store, 3, received=False)
    orders = folded(store).pool.orders
    assert (list(orders.orders), kept_encoded(orders.orders)) == ([1, 2, 3, 4], [1, 2, 3])
    assert (list(orders.fulfillment_orders), kept_encoded(orders.fulfillment_orders)) == ([1, 2, 3, 4], [1, 2, 3])
    assert (list(orders.returns), kept_encoded(orders.returns)) == ([1, 2], [1])


def test_the_digest_reads_nothing_and_reading_does_not_change_it() -> None:
    store = stocked(WIDE)
    for _ in range(3):
        shipped(store)
    returned(store, 2)
    machine = folded(store)
    assert machine.digest() == store.machine.digest()
    assert kept_encoded(machine.pool.orders.orders) == [1, 2, 3]
    assert book(machine) == book(store.machine)
    for records in (machine.pool.orders.orders, machine.pool.orders.fulfillment_orders, machine.pool.orders.returns):
        assert kept_encoded(records) == []
    assert machine.digest() == store.machine.digest()


def test_whoever_asks_gets_what_was_there() -> None:
    store, twin = stocked(), stocked()
    for each in (store, twin):
        shipped(each, "k")
    twin.machine = folded(store)
    for query in (
        q.GetOrder(0, 1),
        q.GetOrder(0, 0, "web", "k"),
        q.ListFulfillmentOrders(0, "", 1, (), 0, 10),
        q.ListFulfillmentOrders(0, "dc", 0, (FulfillmentState.SHIPPED,), 0, 10),
        q.GetStatus(0),
    ):
        assert twin.ask(query) == store.ask(query)
    twin.audit()


def test_a_closed_order_goes_on_after_a_replay() -> None:
    """A return marks its units; the place among those that will be forgotten stays."""
    store = stocked(limits(closed_orders_remembered=2))
    for _ in range(2):
        shipped(store)
    twin = stocked(limits(closed_orders_remembered=2))
    twin.machine, twin.now_ns, twin._requests = folded(store), store.now_ns, store._requests
    for each in (store, twin):
        returned(each, 1)
        shipped(each)
    assert list(twin.machine.pool.orders.orders) == [2, 3]
    assert book(twin.machine) == book(store.machine)
    assert twin.machine.digest() == store.machine.digest()


# Several documents about one thing in a run


def test_the_last_document_of_a_run_counts() -> None:
    store = stocked()
    order_id = shipped(store)
    run = decode_run([encode(store.decisions)])
    assert list(run.orders.ids) == [1, 1, 1]
    assert list(run.orders.states) == [OrderState.ROUTED, OrderState.IN_FULFILLMENT, OrderState.COMPLETED]
    assert list(run.fulfillment_orders.states) == [
        FulfillmentState.OPEN,
        FulfillmentState.ACCEPTED,
        FulfillmentState.SHIPPED,
    ]
    assert run.returns == Stored((), (), ())
    assert folded(store).pool.orders.orders[order_id] == store.order(order_id)


def test_an_order_that_closes_in_the_run_was_open_before() -> None:
    store = stocked()
    store.place(ship([("A", 1)]))
    store.ingest(ship([("B", 2)]))
    machine = folded(store)
    assert (machine.pool.orders.open_order_count, machine.pool.orders.short_units) == (2, 2)
    begun = len(store.decisions)
    store.tell(m.CancelOrder, order_id=1, lines=())
    store.tell(m.CancelOrder, order_id=2, lines=())
    machine.apply_run(decode_run([encode(store.decisions[begun:])]))
    assert (machine.pool.orders.open_order_count, machine.pool.orders.short_units) == (0, 0)
    assert machine.pool.orders.open_fulfillment_order_count == 0
    assert book(machine) == book(store.machine)


def test_orders_are_forgotten_as_they_closed_not_as_they_were_placed() -> None:
    store = stocked(limits(closed_orders_remembered=2))
    for _ in range(4):
        store.place(ship([("A", 1)]))
    for order_id in (3, 1, 4, 2):
        store.tell(m.CancelOrder, order_id=order_id, lines=())
    machine = folded(store)
    assert list(machine.pool.orders.orders) == [2, 4]
    assert book(machine) == book(store.machine)


def test_an_order_is_placed_closed_and_forgotten_and_its_key_used_again_in_one_run() -> None:
    store = stocked(limits(closed_orders_remembered=1))
    for order_key in ("k", "l", "k"):
        shipped(store, order_key)
    store.place(ship([("A", 1)]), "l")
    machine = folded(store)
    assert list(machine.pool.orders.orders) == [3, 4]
    assert [machine.pool.orders.order_of_key(0, key) for key in ("k", "l")] == [3, 4]
    assert book(machine) == book(store.machine)


def test_a_return_and_its_order_in_one_run() -> None:
    store = stocked(limits(closed_orders_remembered=2))
    for order_id in (1, 2, 3):
        shipped(store)
        returned(store, order_id)
    machine = folded(store)
    assert list(machine.pool.orders.returns) == [2, 3]
    assert machine.pool.orders.returns[3].state == ReturnState.RECEIVED
    assert machine.pool.orders.orders[3].lines[0].returned_units == 1
    assert book(machine) == book(store.machine)


def test_a_return_of_an_order_that_was_forgotten_since_does_not_bring_it_back() -> None:
    """Fewer are remembered on replay than when the return was authorised."""
    store = stocked(WIDE)
    for _ in range(4):
        shipped(store)
    for order_id in (1, 4):
        returned(store, order_id)
    few = limits(closed_orders_remembered=2)
    at_once, begun = folded(store, few), Machine(few)
    for decision in store.decisions:
        begun.apply(decision)
    assert list(at_once.pool.orders.orders) == [3, 4]
    assert book(at_once) == book(begun)


# Any life, any grouping


def live(store: Store, chance: Random) -> None:
    """Something happens to an order: keys come again, some work is rejected, some goods come back."""
    pool = store.machine.pool.orders
    some_order, some_work = chance.randint(1, pool.next_order_id), chance.randint(1, pool.next_fulfillment_order_id)
    what = chance.randrange(8)
    if what == 0:
        store.place(ship([("A", chance.randint(1, 3)), ("B", 1)]), f"k{chance.randrange(9)}")
    elif what == 1:
        store.ingest(ship([(chance.choice("AB"), chance.randint(1, 9))]), f"k{chance.randrange(9)}")
    elif what == 2:
        store.tell(m.CancelOrder, order_id=some_order, lines=())
    elif what == 3:
        store.tell(m.Reject, fulfillment_order_id=some_work, reason=RejectReason.TOO_BUSY)
    elif what == 4:
        lines = ((0, "", 1),)
        store.tell(m.AuthorizeReturn, channel_key="web", order_id=some_order, lines=lines, postal_code="10001")
    elif what == 5:
        items = (ReceivedItem(0, 1, Disposition.RESTOCK),)
        store.tell(m.ReceiveReturn, return_id=chance.randint(1, pool.next_return_id), node_key="", items=items)
    else:
        for work in list(pool.open_work())[:2]:
            step = m.Accept if work.state == FulfillmentState.OPEN else m.Ship
            store.tell(step, fulfillment_order_id=work.fulfillment_order_id)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("remembered", [1, 3, 40])
def test_any_grouping_gives_the_same_book(seed: int, remembered: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when more or fewer closed orders are remembered than when it was decided."""
    chance = Random(seed)
    store = Store(limits(closed_orders_remembered=3, request_ids_remembered=10_000))
    store.stock(("A", "dc", 300), ("A", "east", 30), ("B", "dc", 90), ("B", "west", 20))
    for _ in range(400):
        live(store, chance)
    given = limits(closed_orders_remembered=remembered, request_ids_remembered=10_000)
    one_by_one = Machine(given)
    for decision in store.decisions:
        one_by_one.apply(decision)
    assert one_by_one.pool.orders.next_order_id > 20, f"seed {seed}"
    if remembered == 3:
        assert book(one_by_one) == book(store.machine)
    for size in (1, 3_000, 20_000, 1 << 20):
        monkeypatch.setattr(recovery, "BYTES_PER_RUN", size)
        replayed = recover(store.journal(chance.randint(1, 9)), given)
        assert replayed.digest() == one_by_one.digest(), f"seed {seed}, runs of {size} bytes"
        assert book(replayed) == book(one_by_one), f"seed {seed}, runs of {size} bytes"


# Records


def order(order_id: int, customer_key: str = "") -> Order:
    return Order(
        order_id, f"k{order_id}", 0, SHIP, OrderState.CANCELLED, customer_key, "10001", 0, -1, 0, (), (), order_id
    )


def test_a_record_is_decoded_once_when_it_is_read() -> None:
    records = Records(Order)
    for order_id in (7, 3, 5):
        records.keep(order_id, msgspec.msgpack.encode(order(order_id)))
    assert 3 in records
    assert 4 not in records
    assert (list(records), len(records), records.get(4)) == ([7, 3, 5], 3, None)
    assert kept_encoded(records) == [7, 3, 5]
    first = records[3]
    assert first == order(3)
    assert isinstance(first, Order)
    assert isinstance(first.state, OrderState)
    assert records[3] is first
    assert kept_encoded(records) == [7, 5]
    assert records.pop(7) == order(7)
    assert list(records) == [3, 5]


def test_records_are_encoded_alike_however_they_are_kept() -> None:
    records, plain = Records(Order), {each: order(each, "anna") for each in (2, 1)}
    for order_id, record in plain.items():
        records.keep(order_id, msgspec.msgpack.encode(short_form(record)))
    expected = msgspec.msgpack.encode({order_id: short_form(record) for order_id, record in plain.items()})
    for _ in range(3):
        assert msgspec.msgpack.encode(records.encodable()) == expected
        assert records[1] == plain[1]
        records[2] = plain[2]


def test_a_new_book_is_empty() -> None:
    orders = OrderBook(SMALL)
    for put in (orders.put_stored_orders, orders.put_stored_work, orders.put_stored_returns):
        put(Stored((), (), ()))
    assert (orders.next_order_id, orders.next_fulfillment_order_id, orders.next_return_id) == (1, 1, 1)


def test_finding_an_owner_reads_nothing_else() -> None:
    """A store that asks for its work again and again may be one of many, and everything that ended is remembered."""
    store = stocked(WIDE)
    for _ in range(3):
        shipped(store)
    machine = folded(store)
    answer: Any = machine.answer(q.FindOwners(0, 0, 0, 2), store.now_ns)
    assert answer.node_index == machine.pool.names.nodes.find("dc")
    records = machine.pool.orders.fulfillment_orders
    assert [isinstance(records.peek(work_id), bytes) for work_id in (1, 2, 3)] == [True, False, True]
