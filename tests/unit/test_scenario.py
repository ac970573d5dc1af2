import hashlib

import numpy as np
import pytest

from engine.demo.fates import DISPOSITIONS, MARKETPLACE, PICKUP, POS, SHIP, chance, draw_dispositions, draw_fates
from engine.demo.places import band_metres, cities, distances, regions
from engine.demo.rates import rate_cards
from engine.demo.sample import sample_scenario
from engine.demo.scenario import Disposition, Kind, NodeKind, Order, Receipt, Return, Scenario
from tests.greedy import Greedy, check_rules


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return sample_scenario(seed=1)


def digest(scenario: Scenario) -> str:
    """Of everything in a scenario's first day."""
    whole = hashlib.sha256(repr((scenario.nodes, scenario.skus, scenario.day(0))).encode())
    for columns in scenario.opening():
        whole.update(repr((columns.sku_keys, columns.node_keys)).encode() + columns.on_hand_units.tobytes())
    return whole.hexdigest()


def test_the_same_seed_gives_the_same_scenario_and_another_seed_another(scenario: Scenario) -> None:
    assert digest(scenario) == digest(sample_scenario(seed=1))
    assert digest(scenario) != digest(sample_scenario(seed=2))
    # Days do not depend on how many of them there are, nor on the order in which they are asked for.
    longer = sample_scenario(seed=1, day_count=3)
    assert longer.day(2) == longer.day(2)
    assert longer.day(0) == scenario.day(0)


def test_the_chain_is_as_large_as_it_says(scenario: Scenario) -> None:
    kinds = [node.kind for node in scenario.nodes]
    assert len(kinds) == 200
    assert kinds.count(NodeKind.WAREHOUSE) == 6
    assert len({node.node_key for node in scenario.nodes}) == 200
    assert len(scenario.skus) == 2_000
    assert len({sku.sku_key for sku in scenario.skus}) == 2_000
    assert 6_000 <= scenario.order_count() <= 8_000
    assert all(20 <= sku.weight_grams <= 25_000 and sku.unit_value_micros > 0 for sku in scenario.skus)


@pytest.mark.parametrize("seed", [1, 7, 20260302])
def test_calls_keep_the_rules(seed: int) -> None:
    scenario = sample_scenario(seed=seed, day_count=2)
    check_rules(scenario, scenario.calls())
    orders = [call for call in scenario.calls() if isinstance(call, Order)]
    assert sum(not order.abandons and order.part == 0 for order in orders) == scenario.order_count()
    assert scenario.order_count(1) == scenario.order_counts[0]
    assert list(scenario.calls(1)) == list(scenario.day(0))


def test_opening_stock_comes_in_messages_of_any_size(scenario: Scenario) -> None:
    sizes = [len(columns) for columns in scenario.opening(7_000)]
    assert max(sizes) == 7_000
    assert sum(sizes) == scenario.cell_count
    in_warehouses = scenario.cell_count - sum(
        node.startswith("S") for columns in scenario.opening() for node in columns.node_keys
    )
    assert in_warehouses == 6 * 2_000


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_day_is_worth_playing(seed: int) -> None:
    scenario = sample_scenario(seed=seed)
    greedy = Greedy(scenario)
    assert greedy.cell_count == scenario.cell_count
    played = greedy.play(scenario.calls())
    assert 0.96 < played.fill_rate(*Kind) < 0.998
    # Some tills sell what the books do not have, and some parcels cannot be sent or need several nodes.
    assert all(played.filled[kind] < played.orders[kind] for kind in Kind)
    parcels = played.orders[Kind.SHIP] + played.orders[Kind.MARKETPLACE]
    assert 0.02 < (played.split[Kind.SHIP] + played.split[Kind.MARKETPLACE]) / parcels < 0.25


def test_every_kind_of_call_occurs(scenario: Scenario) -> None:
    calls = scenario.day(0)
    assert {type(call) for call in calls} == {Order, Return, Receipt}
    orders = [call for call in calls if isinstance(call, Order)]
    assert {order.kind for order in orders} == set(Kind)
    assert any(order.rejects for order in orders)
    assert any(order.abandons for order in orders)
    assert any(order.cancels for order in orders)
    assert any(order.returns for order in orders)
    assert len({order.service_key for order in orders if order.service_key}) == 3


def test_a_day_beyond_the_last_is_no_day(scenario: Scenario) -> None:
    with pytest.raises(IndexError, match="days 0 to 0, not 1"):
        scenario.day(1)
    with pytest.raises(ValueError, match="at least 1"):
        sample_scenario(day_count=0)


def test_fates_have_their_shares_and_exclude_each_other() -> None:
    kinds = np.repeat(np.array([POS, PICKUP, SHIP, MARKETPLACE], np.int8), 20_000)
    fates = draw_fates(chance(5), kinds)
    rejected = fates.rejects >= 0
    parcel = kinds >= SHIP
    assert not rejected[~parcel].any()
    assert rejected[parcel].mean() == pytest.approx(0.02, abs=0.004)
    assert not (rejected & fates.cancels).any()
    assert not (fates.abandons | fates.cancels)[kinds == POS].any()
    assert not fates.abandons[kinds == MARKETPLACE].any()
    assert fates.abandons[(kinds == SHIP) | (kinds == PICKUP)].mean() == pytest.approx(0.03, abs=0.005)
    assert fates.cancels[kinds != POS].mean() == pytest.approx(0.01, abs=0.003)
    dispositions = draw_dispositions(chance(5, 1), 10_000)
    assert {DISPOSITIONS[number] for number in np.unique(dispositions)} == set(Disposition)


def test_a_draw_of_one_stream_changes_no_other() -> None:
    first, second = chance(1, 2), chance(1, 3)
    first.random(100)
    assert second.random() == chance(1, 3).random()


def test_made_up_prices_rise_with_zone_weight_and_speed() -> None:
    cards = rate_cards()
    assert [card.service_key for card in cards] == ["ground", "priority", "express"]
    for card in cards:
        assert card.price_micros.shape == (8, len(card.step_grams)) == (8, 73)
        assert card.price_micros.dtype == card.step_grams.dtype == np.int64
        assert (np.diff(card.step_grams) > 0).all()
        assert (np.diff(card.price_micros, axis=0) > 0).all()
        assert (np.diff(card.price_micros, axis=1) >= 0).all()
        assert not (card.price_micros % 10_000).any(), "whole cents"
    assert cards[0].step_grams[-1] == 31_751
    ground, priority, express = (card.price_micros for card in cards)
    assert (ground < priority).all()
    assert (priority < express).all()


def test_places_are_where_they_are() -> None:
    by_name = {f"{city.name}, {city.state}": city for city in cities()}
    assert len(by_name) == 200
    places = regions()
    assert len(places.keys) == 896
    assert list(places.keys) == sorted(set(places.keys))
    assert all(code.startswith(key) for key, code in zip(places.keys, places.postal_codes, strict=True))
    assert all(city.postal_code[:3] in places.keys for city in cities())
    new_york, los_angeles = by_name["New York City, NY"], by_name["Los Angeles, CA"]
    metres = distances(
        np.array([new_york.latitude]),
        np.array([new_york.longitude]),
        np.array([los_angeles.latitude]),
        np.array([los_angeles.longitude]),
    )
    assert metres[0, 0] == pytest.approx(3_936_000, rel=0.01)
    assert band_metres().tolist()[:2] == [80_467, 241_402]
