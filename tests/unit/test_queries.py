"""Queries: what is known, what is not, page by page; and that reads and decisions say the same."""

from __future__ import annotations

from typing import Any

import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Channel, Node, Sku
from engine.model.outcomes import FulfillmentState, Outcome, Quantity, RejectReason, StockReason
from engine.model.replies import Shortage
from tests.builders import CHANNELS, CHART, NODES, PICKUP, POLICY, SHIP, SKUS, WHOLE, Store, limits, pickup, ship


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5), ("B", "west", 2))
    return store


def options(store: Store, *lines: tuple[str, int], to: str = "10001", channel: str = "web", stores: int = 9) -> Any:
    return store.ask(q.GetFulfillmentOptions(0, channel, lines, to, stores))


# Availability


def test_availability_of_many_skus_at_once(store: Store) -> None:
    answer = store.ask(q.GetAvailability(0, "web", ("A", "Z", "B", "C"), SHIP))
    assert [(each.sku_key, each.outcome, each.ats_units) for each in answer.availabilities] == [
        ("A", Outcome.OK, 7),
        ("Z", Outcome.UNKNOWN_SKU, 0),
        ("B", Outcome.OK, 7),
        ("C", Outcome.OK, 0),
    ]


def test_availability_by_kind_and_node(store: Store) -> None:
    assert store.ats("A", kind=PICKUP) == 3
    assert store.ats("A", kind=PICKUP, node="dc") == 0, "no pickup there"
    assert store.ats("A", node="dc") == 4
    assert store.ats("A", channel="till", node="dc") == 0, "not a node of this channel"
    assert store.ats("A", node="west") == 0
    assert store.ats("A", channel="app", node="dc") == 4
    assert store.ats("A", channel="app", node="east") == 3
    store.tell(m.RecordSale, node_key="east", channel_key="till", lines=(("A", 2),))
    assert store.ats("A", channel="app", node="dc") == 3, "the threshold is kept over all nodes"


def test_availability_with_cells(store: Store) -> None:
    answer = store.ask(q.GetAvailability(0, "till", ("A", "B"), SHIP, "", with_cells=True))
    cells = [[(cell.sku_index, cell.node_index) for cell in each.cells] for each in answer.availabilities]
    assert cells == [[(0, 1)], [(1, 1), (1, 2)]]
    answer = store.ask(q.GetAvailability(0, "till", ("A", "C"), SHIP, "dc", with_cells=True))
    assert [[cell.node_index for cell in each.cells] for each in answer.availabilities] == [[0], []]


def test_availability_that_nobody_can_answer(store: Store) -> None:
    assert store.ask(q.GetAvailability(0, "?", ("A",), SHIP, "??")).subject == "?"
    answer = store.ask(q.GetAvailability(0, "web", ("A",), SHIP, "??"))
    assert (answer.outcome, answer.subject, answer.availabilities) == (Outcome.UNKNOWN_NODE, "??", ())


def test_a_closed_node_has_nothing_to_offer(store: Store) -> None:
    store.tell(m.PutNodes, nodes=(NODES[1]._replace(closed=True),))
    assert (store.ats("A"), store.ats("A", node="east")) == (4, 0)


# Options


def test_options_are_priced_cheapest_first(store: Store) -> None:
    answer = options(store, ("A", 2))
    assert [(option.service_index, option.cost.total) for option in answer.ship_options] == [
        (0, 4_200_000),
        (1, 8_200_000),
    ]
    assert [(option.node_index, option.distance_metres) for option in answer.pickup_options] == [(1, 0)]
    assert answer.shortages == ()
    held = store.reserve(ship([("A", 2)], service_key="express"))
    assert (held.legs, held.cost) == (answer.ship_options[1].legs, answer.ship_options[1].cost)


def test_a_service_that_does_not_reach_the_buyer_is_no_option(store: Store) -> None:
    store.stock(("D", "east", 1))
    answer = options(store, ("D", 1), to="90001")
    assert [option.service_index for option in answer.ship_options] == [0]


def test_what_no_service_can_bring_is_told(store: Store) -> None:
    answer = options(store, ("A", 8), ("B", 1))
    assert (answer.outcome, answer.ship_options, answer.pickup_options) == (Outcome.OK, (), ())
    assert answer.shortages == (Shortage(0, 0, 8, 7),)


def test_pickup_stores_have_every_line_and_come_nearest_first(store: Store) -> None:
    assert [option.node_index for option in options(store, ("B", 2), to="90001").pickup_options] == [2, 1]
    assert [option.node_index for option in options(store, ("B", 1), ("B", 2)).pickup_options] == [1]
    assert [option.node_index for option in options(store, ("B", 2), ("A", 1)).pickup_options] == [1]
    assert options(store, ("B", 2), stores=1).pickup_options == options(store, ("B", 2)).pickup_options[:1]
    assert options(store, ("B", 2), stores=0).pickup_options == ()


@pytest.mark.parametrize("channel", ["web", "app", "mall", "till"])
@pytest.mark.parametrize("units", range(1, 9))
def test_what_is_offered_is_granted(channel: str, units: int) -> None:
    fresh = Store()
    fresh.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5), ("B", "west", 2))
    answer = options(fresh, ("A", units), ("B", 1), channel=channel)
    names = fresh.machine.pool.names
    for option in answer.ship_options:
        store = Store()
        store.stock(("A", "dc", 4), ("A", "east", 3), ("B", "east", 5), ("B", "west", 2))
        claim = ship([("A", units), ("B", 1)], channel=channel, service_key=names.service_keys[option.service_index])
        reply = store.place(claim)
        assert (reply.outcome, reply.cost) == (Outcome.OK, option.cost)
    stores = {names.node_keys[option.node_index] for option in answer.pickup_options}
    for node in ("east", "west"):
        claim = pickup([("A", units), ("B", 1)], at=node, channel=channel)
        outcome = fresh.reserve(claim).outcome
        assert (outcome == Outcome.OK) == (node in stores), f"{channel} {units} at {node}"
        if outcome == Outcome.OK:
            held = fresh.machine.pool.counter(c.RESERVATION_NEXT) - 1
            fresh.tell(m.ReleaseReservation, reservation_id=held)


def test_refusals_of_options_come_in_the_order_of_their_numbers(store: Store) -> None:
    assert options(store, ("Z", 1), to="77777", channel="?").outcome == Outcome.UNKNOWN_CHANNEL
    assert options(store, ("Z", 1), to="77777").outcome == Outcome.UNKNOWN_SKU
    assert options(store, ("A", 1), to="77777").outcome == Outcome.UNKNOWN_DESTINATION


def test_a_store_without_services_says_so_after_everything_else() -> None:
    store = Store(network=False)
    store.tell(m.PutSkus, skus=SKUS)
    assert options(store, ("Z", 1), channel="?").outcome == Outcome.UNKNOWN_CHANNEL
    store.tell(m.PutChannels, channels=(Channel("web", all_nodes=True),))
    assert options(store, ("Z", 1)).outcome == Outcome.UNKNOWN_SKU
    assert options(store, ("A", 1)).outcome == Outcome.UNKNOWN_DESTINATION
    store.tell(m.PutZoneChart, zone_chart=CHART)
    assert options(store, ("A", 1)).outcome == Outcome.UNKNOWN_SERVICE
    twin = Store()
    twin.tell(m.PutRoutingPolicy, policy=POLICY._replace(default_service_key=""))
    assert twin.reserve(ship([("A", 1)])).outcome == Outcome.UNKNOWN_SERVICE


# Orders and work


def test_an_order_is_found_by_id_and_by_key(store: Store) -> None:
    store.place(ship([("A", 1)]), "k1")
    by_id, by_key = store.ask(q.GetOrder(0, 1)), store.ask(q.GetOrder(0, 0, "web", "k1"))
    assert by_id == by_key
    assert by_id.order == store.order(1)
    unknown = store.ask(q.GetOrder(0, 0, "app", "k1"))
    assert (unknown.outcome, unknown.subject) == (Outcome.UNKNOWN_ORDER, "k1")
    assert store.ask(q.GetOrder(0, 0, "?", "k1")).outcome == Outcome.UNKNOWN_CHANNEL
    assert store.ask(q.GetOrder(0, 9)).subject == "9"


def test_owners_of_what_is_named_by_id(store: Store) -> None:
    store.reserve(ship([("A", 1)], channel="app"))
    store.place(ship([("B", 1)]))
    store.commit(1, channel_key="app")
    pool = store.machine.pool
    web, app = (pool.names.channels.find(key) for key in ("web", "app"))
    for order_id, channel in ((1, web), (2, app)):
        (found,) = store.work(order_id)
        answer = store.ask(q.FindOwners(0, 1, order_id, found.fulfillment_order_id))
        assert answer == (Outcome.OK, "", app, channel, found.node_index)
    nobody = (Outcome.OK, "", -1, -1, -1)
    for number in (0, 3, -1, 2**63 - 1, -(2**63)):
        assert store.ask(q.FindOwners(0, number, number, number)) == nobody, number


def work(store: Store, node: str = "", order_id: int = 0, after: int = 0, limit: int = 10, states: Any = ()) -> Any:
    return store.ask(q.ListFulfillmentOrders(0, node, order_id, states, after, limit))


def ids(answer: Any) -> list[int]:
    return [each.fulfillment_order_id for each in answer.fulfillment_orders]


def test_work_is_listed_by_node_and_by_order(store: Store) -> None:
    store.place(ship([("A", 5)]), "split")
    store.place(pickup([("B", 1)]), "one")
    store.place(pickup([("B", 1)]), "two")
    split = {each.node_index: each.fulfillment_order_id for each in store.work(1)}
    assert ids(work(store, order_id=1)) == [1, 2]
    assert ids(work(store, "east")) == [split[1], 3, 4]
    assert work(store, "east").order_keys == ("split", "one", "two")
    assert ids(work(store, "east", order_id=1)) == [split[1]]
    assert ids(work(store, "lab")) == []
    assert work(store, "?").outcome == Outcome.UNKNOWN_NODE
    assert work(store, order_id=9).outcome == Outcome.UNKNOWN_ORDER


def test_work_is_listed_page_by_page(store: Store) -> None:
    for _ in range(5):
        store.place(pickup([("B", 1)]))
    seen: list[int] = []
    after, more = 0, True
    while more:
        page = work(store, "east", after=after, limit=2)
        seen += ids(page)
        after, more = seen[-1], page.more
    assert seen == [1, 2, 3, 4, 5]
    assert ids(work(store, "east", after=5)) == []


def test_work_stays_in_order_when_it_changes(store: Store) -> None:
    store.place(pickup([("B", 2)]))
    store.place(pickup([("B", 1)]))
    store.tell(m.Accept, fulfillment_order_id=1)
    store.tell(m.CancelOrder, order_id=1, lines=((0, 1),))
    assert ids(work(store, "east")) == [1, 2]


def test_work_is_listed_by_state(store: Store) -> None:
    for _ in range(3):
        store.place(pickup([("B", 1)]))
    store.tell(m.Accept, fulfillment_order_id=1)
    store.tell(m.Reject, fulfillment_order_id=2, reason=RejectReason.TOO_BUSY)
    state = FulfillmentState
    assert ids(work(store, "east")) == [1, 3]
    assert ids(work(store, "east", states=(state.ACCEPTED,))) == [1]
    assert ids(work(store, "east", states=(state.REJECTED, state.OPEN))) == [2, 3]
    assert ids(work(store, order_id=2)) == [2], "all states of an order"
    assert ids(work(store, order_id=2, states=(state.OPEN,))) == []


def test_forgotten_work_is_not_listed() -> None:
    store = Store(limits(closed_orders_remembered=1))
    store.stock(("A", "dc", 9))
    for order_id in (1, 2, 3):
        store.place(ship([("A", 1)]))
        if order_id < 3:
            store.tell(m.CancelOrder, order_id=order_id, lines=())
    assert ids(work(store, "dc", states=(FulfillmentState.CANCELLED,))) == [2]
    assert ids(work(store, "dc")) == [3]


# Movements


def movements(store: Store, sku: str = "A", node: str = "dc", before: int = 0, limit: int = 100) -> Any:
    return store.ask(q.ListMovements(0, sku, node, before, limit))


def test_movements_are_listed_newest_first(store: Store) -> None:
    store.tell(m.ReceiveStock, node_key="dc", lines=(("A", 2),))
    store.reserve(ship([("A", 1)]))
    fields: dict[str, Any] = {"sku_key": "A", "node_key": "dc", "reason": StockReason.DAMAGE}
    store.tell(m.AdjustStock, quantity=Quantity.DAMAGED, delta_units=1, **fields)
    store.tell(m.AdjustStock, quantity=Quantity.INCOMING, delta_units=5, **fields)
    assert [(row.quantity, row.delta_units, row.balance_units, row.reason) for row in movements(store).movements] == [
        (Quantity.DAMAGED, 1, 1, StockReason.DAMAGE),
        (Quantity.ON_HAND, 2, 6, StockReason.RECEIPT),
        (Quantity.ON_HAND, 4, 4, StockReason.COUNT),
    ], "promises and expectations are no movements"


def test_movements_that_nobody_made(store: Store) -> None:
    assert movements(store, "C").movements == ()
    assert movements(store, "Z", "?").outcome == Outcome.UNKNOWN_SKU
    assert movements(store, "A", "?").outcome == Outcome.UNKNOWN_NODE


def test_movements_are_listed_page_by_page(store: Store) -> None:
    for at in range(5):
        store.stock(("A", "dc", 10 + at), ("B", "east", 10 + at))
    seen: list[int] = []
    before, more = 0, True
    while more:
        page = movements(store, before=before, limit=2)
        seen += [row.balance_units for row in page.movements]
        before, more = page.movements[-1].position, page.more
    assert seen == [14, 13, 12, 11, 10, 4]


def test_the_ring_of_movements_forgets_the_oldest() -> None:
    store = Store(limits(movements_remembered=8))
    store.stock(("B", "dc", 1))
    for at in range(1, 21):
        store.stock(("A", "dc", at))
        store.stock(("C", "dc", at))
        kept = [row.balance_units for row in movements(store).movements]
        assert kept == list(range(at, max(at - 4, 0), -1))[: 4 if at > 3 else at]
        assert movements(store).more is False
    assert movements(store, "B").movements == (), "pushed out by the others"
    store.stock(("B", "dc", 5))
    assert [row.delta_units for row in movements(store, "B").movements] == [4]
    page = movements(store, limit=2)
    assert (len(page.movements), page.more) == (2, True)


# The network


def test_entries_are_read_one_by_one_and_listed(store: Store) -> None:
    for kind, key, entry in (
        ("node", "east", NODES[1]),
        ("sku", "B", SKUS[1]),
        ("channel", "app", CHANNELS[1]),
        ("policy", "whole", WHOLE._replace(version=1)),
    ):
        assert store.ask(q.GetEntry(0, kind, key)).entries == (entry,)
    assert store.ask(q.GetEntry(0, "rate_card", "express")).entries[0].service_key == "express"
    assert len(store.ask(q.GetEntry(0, "zone_chart", "")).entries[0].regions) == 3
    answer = store.ask(q.ListEntries(0, "node", -1, 3))
    assert (answer.entries, answer.next_after) == (NODES[:3], 2)
    answer = store.ask(q.ListEntries(0, "node", 2, 3))
    assert (answer.entries, answer.next_after) == (NODES[3:], -1)
    assert store.ask(q.ListEntries(0, "node", 99, 3)).entries == ()


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        ("node", Outcome.UNKNOWN_NODE),
        ("sku", Outcome.UNKNOWN_SKU),
        ("channel", Outcome.UNKNOWN_CHANNEL),
        ("rate_card", Outcome.UNKNOWN_SERVICE),
        ("policy", Outcome.UNKNOWN_POLICY),
    ],
)
def test_an_unknown_entry_is_named(store: Store, kind: str, outcome: Outcome) -> None:
    answer = store.ask(q.GetEntry(0, kind, "?"))
    assert (answer.outcome, answer.subject, answer.entries) == (outcome, "?", ())


def test_status_counts_everything(store: Store) -> None:
    store.reserve(ship([("A", 2)]))
    store.place(pickup([("B", 1)]))
    store.ingest(ship([("C", 3)]))
    store.tell(m.RecordSale, node_key="west", channel_key="till", lines=(("B", 5), ("D", 1)))
    status = store.ask(q.GetStatus(0)).report
    assert (status.node_count, status.sku_count, status.channel_count, status.cell_count) == (4, 4, 4, 5)
    assert (status.on_hand_units, status.reserved_units, status.allocated_units) == (8, 2, 1)
    assert (status.available_units, status.shortage_units, status.shortage_cell_count) == (9, 4, 2)
    assert (status.short_order_units, status.open_reservation_count) == (3, 1)
    assert (status.open_order_count, status.open_fulfillment_order_count) == (2, 1)


def test_queries_of_an_empty_store() -> None:
    store = Store(network=False)
    assert store.ask(q.GetStatus(0)).report == q.Status(*([0] * 14))
    assert store.ask(q.ListEntries(0, "sku", -1, 5)).entries == ()
    assert store.ask(q.GetReservation(0, 1)).outcome == Outcome.UNKNOWN_RESERVATION
    assert store.ask(q.GetAvailability(0, "web", ("A",), SHIP)).outcome == Outcome.UNKNOWN_CHANNEL
    assert movements(store).outcome == Outcome.UNKNOWN_SKU
    assert store.ask(q.ListEntries(0, "policy", -1, 5)).entries[0].policy_key == "default"
    store.audit()
    assert store.tell(m.PutNodes, nodes=(Node("n"),)).outcome == Outcome.OK
    assert store.tell(m.PutSkus, skus=(Sku("s"),)).outcome == Outcome.OK
    store.stock(("s", "n", 1))
    store.audit()
