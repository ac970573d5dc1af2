"""The network: what a put changes at once, what it may not change, and zones by prefix, distance and exact pair."""

from __future__ import annotations

from math import asin, cos, radians, sin, sqrt
from random import Random
from typing import Any

import pytest

from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.outcomes import Outcome
from tests.builders import CHANNELS, CHART, GROUND, NODES, PICKUP, POLICY, REGIONS, Store, limits, pickup, ship


@pytest.fixture
def store() -> Store:
    store = Store()
    store.stock(("A", "dc", 4), ("A", "east", 3))
    return store


def put(store: Store, *entries: Any) -> Any:
    puts: dict[type[Any], tuple[type[m.Command], str]] = {
        Node: (m.PutNodes, "nodes"),
        Sku: (m.PutSkus, "skus"),
        Channel: (m.PutChannels, "channels"),
    }
    kind, field = puts[type(entries[0])]
    fields: dict[str, Any] = {field: entries}
    return store.tell(kind, **fields)


def zone(store: Store, region: str, node: str) -> int:
    pool = store.machine.pool
    return int(pool.network.zones[pool.names.regions.find(region), pool.names.nodes.find(node)])


# Nodes and channels


def test_a_node_is_replaced_whole(store: Store) -> None:
    put(store, Node("east", latitude=1.0, ships=False))
    assert store.ask(q.GetEntry(0, "node", "east")).entries == (Node("east", latitude=1.0, ships=False),)
    assert (store.ats("A"), store.ats("A", kind=PICKUP)) == (4, 0)
    assert store.cell("A", "east").on_hand == 3


def test_a_node_that_comes_later_belongs_to_channels_of_all_nodes(store: Store) -> None:
    put(store, Node("hub", latitude=40.0, longitude=-75.0))
    store.stock(("A", "hub", 2))
    assert (store.ats("A", "web"), store.ats("A", "app"), store.ats("A", "mall")) == (9, 5, 7)


def test_a_channel_sells_exactly_the_nodes_it_names(store: Store) -> None:
    put(store, Channel("web", node_keys=("east",)))
    assert store.ats("A", "web") == 3
    put(store, Node("hub"))
    store.stock(("A", "hub", 2))
    assert store.ats("A", "web") == 3
    put(store, Channel("web"))
    assert store.ats("A", "web") == 0
    put(store, Channel("web", all_nodes=True, threshold_units=4))
    assert store.ats("A", "web") == 5


def test_replacing_one_channel_leaves_the_others_alone(store: Store) -> None:
    put(store, Channel("app", node_keys=("west",)))
    assert (store.ats("A", "web"), store.ats("A", "app"), store.ats("A", "mall"), store.ats("A", "till")) == (
        7,
        0,
        7,
        3,
    )


def test_a_channel_may_name_a_node_twice(store: Store) -> None:
    put(store, Channel("web", node_keys=("east", "east")))
    assert store.ats("A", "web") == 3


def test_channels_name_what_exists(store: Store) -> None:
    refused = put(store, Channel("new", node_keys=("dc", "?"), policy_key="??"))
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_NODE, "?")
    refused = put(store, Channel("new", node_keys=("dc",), policy_key="??"), Channel("other", node_keys=("?",)))
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_NODE, "?"), "whichever channel it is in"
    refused = put(store, Channel("new", policy_key="??"))
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_POLICY, "??")
    assert store.ask(q.GetEntry(0, "channel", "new")).outcome == Outcome.UNKNOWN_CHANNEL


@pytest.mark.parametrize(
    ("entries", "limit"),
    [
        ([Node(f"n{at}") for at in range(5)], "nodes_max"),
        ([Sku(f"s{at}") for at in range(13)], "skus_max"),
        ([Channel(f"c{at}") for at in range(3)], "channels_max"),
    ],
)
def test_a_put_that_does_not_fit_puts_nothing(store: Store, entries: list[Any], limit: str) -> None:
    before = store.machine.digest()
    refused = put(store, *entries)
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, limit)
    store.machine.requests._entries.popitem()
    assert store.machine.digest() == before
    assert put(store, *entries[:-1]).outcome == Outcome.OK
    assert put(store, *entries[:-1]).outcome == Outcome.OK, "what is known needs no room"


def test_services_run_out(store: Store) -> None:
    assert store.tell(m.PutRateCard, rate_card=GROUND._replace(service_key="air")).outcome == Outcome.OK
    refused = store.tell(m.PutRateCard, rate_card=GROUND._replace(service_key="boat"))
    assert (refused.outcome, refused.subject) == (Outcome.CAPACITY_EXHAUSTED, "services_max")
    assert store.tell(m.PutRateCard, rate_card=GROUND).outcome == Outcome.OK


def test_a_channel_bit_reaches_the_last_channel() -> None:
    store = Store(limits(channels_max=62), network=False)
    put(store, Node("n0"), Node("n1"))
    for at in range(62):
        assert put(store, Channel(f"c{at}", node_keys=(f"n{at % 2}",))).outcome == Outcome.OK
    network = store.machine.pool.network
    assert [[network.serves(node, at) for node in (0, 1)] for at in range(62)] == [
        [at % 2 == 0, at % 2 == 1] for at in range(62)
    ]
    put(store, Channel("c61", all_nodes=True))
    assert (network.serves(0, 61), network.serves(1, 61), network.serves(0, 59)) == (True, True, False)
    put(store, Channel("c61"))
    assert not network.serves(1, 61)
    assert (network.node_rows[c.NODE_CHANNELS, :2] >= 0).all()


# Policies and prices


def test_a_policy_takes_effect_with_the_next_decision(store: Store) -> None:
    claim = ship([("A", 6)])
    assert store.reserve(claim).cost.split_penalty == 1_000_000
    store.tell(m.ReleaseReservation, reservation_id=1)
    store.tell(m.PutRoutingPolicy, policy=POLICY._replace(split_penalty_micros=7, default_service_key="express"))
    held = store.reserve(claim)
    # Four units in two parcels from the warehouse, two units in one from the shop next door.
    assert (held.cost.split_penalty, held.cost.carrier) == (7, 2 * 12_000_000 + 8_000_000)


def test_a_policy_names_a_service_that_exists(store: Store) -> None:
    refused = store.tell(m.PutRoutingPolicy, policy=RoutingPolicy("p", default_service_key="boat"))
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_SERVICE, "boat")
    assert store.tell(m.PutRoutingPolicy, policy=RoutingPolicy("p")).outcome == Outcome.OK


def test_a_smaller_rate_card_leaves_nothing_of_the_larger(store: Store) -> None:
    store.tell(m.PutRateCard, rate_card=RateCard("ground", "USD", (2_000,), 1, (1_000_000,)))
    held = store.reserve(ship([("A", 1)]))
    assert held.cost.carrier == 1_000_000
    assert store.reserve(ship([("A", 1)], to="90001")).outcome == Outcome.INSUFFICIENT_STOCK, "zone 2 is gone"


@pytest.mark.parametrize("service_key", ["ground", "air"])
def test_the_first_rate_card_gives_the_store_its_currency(service_key: str) -> None:
    store = Store(network=False)
    assert store.tell(m.PutRateCard, rate_card=GROUND).outcome == Outcome.OK
    before, seq = store.machine.digest(), store.machine.seq
    other = GROUND._replace(service_key=service_key, currency_code="EUR")
    with pytest.raises(m.Malformed, match="is EUR; this store keeps all amounts in USD") as caught:
        store.tell(m.PutRateCard, "other", rate_card=other)
    assert caught.value.field == "rate_card.currency_code"
    assert (store.machine.digest(), store.machine.seq) == (before, seq)
    assert store.tell(m.PutRateCard, "other", rate_card=other._replace(currency_code="USD")).outcome == Outcome.OK


# The zone chart


def haversine(a: tuple[float, float], b: tuple[float, float]) -> float:
    north, east = radians(b[0] - a[0]) / 2, radians(b[1] - a[1]) / 2
    chord = sin(north) ** 2 + cos(radians(a[0])) * cos(radians(b[0])) * sin(east) ** 2
    return 2 * 6_371_008.8 * asin(sqrt(chord))


def test_zones_follow_distance_then_exact_pairs(store: Store) -> None:
    assert zone(store, "100", "east") == 1
    assert zone(store, "100", "dc") == 2
    assert zone(store, "100", "west") == 3
    assert zone(store, "900", "dc") == 2
    assert zone(store, "900", "east") == 3, "by pair"
    store.tell(m.PutZoneChart, zone_chart=CHART._replace(pair_zones=(0,)))
    assert zone(store, "900", "east") == 0
    store.stock(("A", "dc", 0))
    assert store.reserve(ship([("A", 1)], to="90001")).outcome == Outcome.INSUFFICIENT_STOCK, "no lane"
    store.tell(m.PutZoneChart, zone_chart=ZoneChart(REGIONS, CHART.band_metres))
    assert zone(store, "900", "east") == 3, "by distance again"


def test_a_pair_belongs_to_the_region_of_the_nodes_postal_code(store: Store) -> None:
    put(store, NODES[1]._replace(postal_code="50099"), NODES[0]._replace(postal_code="10001"))
    assert zone(store, "900", "dc") == 3
    assert zone(store, "900", "east") == 3, "farther than 2,500 km anyway"
    store.tell(m.PutZoneChart, zone_chart=CHART._replace(pair_zones=(1,)))
    assert (zone(store, "900", "dc"), zone(store, "900", "east")) == (1, 3)


def test_the_longest_prefix_decides(store: Store) -> None:
    more = (*REGIONS, Region("10", 50.0, -75.0), Region("10001", 40.0, -75.0))
    assert store.tell(m.PutZoneChart, zone_chart=CHART._replace(regions=more)).outcome == Outcome.OK
    network, regions = store.machine.pool.network, store.machine.pool.names.regions
    for postal_code, region in (
        ("10001", "10001"), ("10001-4", "10001"), ("10044", "100"), ("10199", "10"), ("10", "10"), ("90", ""), ("", ""),
    ):  # fmt: skip
        assert network.region_of(postal_code) == (regions.find(region) if region else -1), postal_code


def test_regions_stay(store: Store) -> None:
    refused = store.tell(m.PutZoneChart, zone_chart=CHART._replace(regions=REGIONS[:2]))
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_DESTINATION, "500")
    refused = store.tell(m.PutZoneChart, zone_chart=CHART._replace(pair_origins=("777",)))
    assert (refused.outcome, refused.subject) == (Outcome.UNKNOWN_DESTINATION, "777")
    reversed_ = CHART._replace(regions=(Region("888", 0.0, 0.0), *reversed(REGIONS)))
    assert store.tell(m.PutZoneChart, zone_chart=reversed_).outcome == Outcome.OK
    assert store.machine.pool.names.region_keys == ["100", "900", "500", "888"], "known ones keep their places"
    assert zone(store, "100", "west") == 3


def test_a_chart_may_come_after_the_nodes_and_before_them() -> None:
    after, before = Store(network=False), Store(network=False)
    put(after, *NODES)
    for store in (after, before):
        store.tell(m.PutZoneChart, zone_chart=CHART)
    put(before, *NODES)
    assert (after.machine.pool.network.zones == before.machine.pool.network.zones).all()


def test_zones_are_those_of_the_formula() -> None:
    chance = Random(11)
    store = Store(limits(nodes_max=64, regions_max=64), network=False)
    nodes = [Node(f"n{at}", latitude=chance.uniform(-80, 80), longitude=chance.uniform(-180, 180)) for at in range(40)]
    regions = tuple(Region(f"r{at}", chance.uniform(-80, 80), chance.uniform(-180, 180)) for at in range(40))
    bands = (1_000_000, 5_000_000, 12_000_000)
    put(store, *nodes)
    store.tell(m.PutZoneChart, zone_chart=ZoneChart(regions, bands))
    for node in nodes:
        for region in regions:
            metres = haversine((region.latitude, region.longitude), (node.latitude, node.longitude))
            expected = 1 + sum(metres > band for band in bands)
            assert zone(store, region.region_key, node.node_key) == expected, "seed 11"


# What the network changes for promises that were made before


def test_a_reservation_outlives_its_channels_nodes(store: Store) -> None:
    held = store.reserve(ship([("A", 3)]))
    put(store, Channel("web", node_keys=("west",)))
    reply = store.commit(held.reservation_id)
    assert reply.outcome == Outcome.OK
    assert store.work(1)[0].node_index == 1
    store.audit()


def test_a_reservation_is_priced_anew_when_no_rate_is_left(store: Store) -> None:
    held = store.reserve(ship([("A", 3)]))
    store.tell(
        m.PutZoneChart, zone_chart=CHART._replace(pair_origins=("100",), pair_destinations=("100",), pair_zones=(0,))
    )
    reply = store.commit(held.reservation_id)
    assert (reply.outcome, reply.cost.carrier) == (Outcome.OK, 0)
    assert store.work(1)[0].zone == 0


def test_a_pickup_node_that_lacks_something_is_told_in_order(store: Store) -> None:
    put(store, NODES[0]._replace(closed=True))
    assert store.reserve(pickup([("A", 1)], at="dc", channel="till")).outcome == Outcome.NODE_NOT_IN_CHANNEL
    assert store.reserve(pickup([("A", 1)], at="dc")).outcome == Outcome.NODE_CLOSED
    put(store, NODES[0])
    assert store.reserve(pickup([("A", 1)], at="dc")).outcome == Outcome.NODE_LACKS_SERVICE
    assert store.reserve(pickup([("A", 1)], at="?")).outcome == Outcome.UNKNOWN_NODE
    assert CHANNELS[3].node_keys == ("east", "west")
