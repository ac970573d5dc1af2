"""The data pack of real orders. It is no part of the project: without it these tests are skipped."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from adapters.pack import Pack, read_pack
from engine.demo.pack import UNIT_GRAMS, pack_scenario
from engine.demo.pack_columns import arrange_places, arrange_rate_cards
from engine.demo.places import band_metres, distances, regions
from engine.demo.rates import GRAMS_PER_OUNCE
from engine.demo.scenario import Call, Kind, NodeKind, Order, Receipt, Return, Scenario
from tests.greedy import Greedy, check_rules

parquet = pytest.importorskip("pyarrow.parquet", reason="packs need the extra stockpool[demo]")


def _folder() -> Path:
    root = Path(os.environ.get("STOCKPOOL_DATA", Path(__file__).parents[3] / "shared" / "data"))
    return root / "demo_gifts" if (root / "demo_gifts").is_dir() else root


FOLDER = _folder()
needs_pack = pytest.mark.skipif(
    not (FOLDER / "orders.parquet").is_file(),
    reason=f"no data pack at {FOLDER}: set STOCKPOOL_DATA to the folder that holds demo_gifts",
)


@pytest.fixture(scope="module")
def pack() -> Pack:
    return read_pack(FOLDER, frozenset(regions().keys))


@pytest.fixture(scope="module")
def scenario(pack: Pack) -> Scenario:
    return pack_scenario(pack)


@needs_pack
def test_no_row_is_bad(pack: Pack) -> None:
    assert pack.errors == ()
    assert len(pack.order_lines["order_no"]) == 528_919


@needs_pack
def test_the_network_is_the_packs(scenario: Scenario) -> None:
    kinds = Counter(node.kind for node in scenario.nodes)
    assert (len(scenario.nodes), kinds[NodeKind.WAREHOUSE]) == (1_573, 8)
    assert len(scenario.skus) == 4_053
    assert all(len(node.postal_code) == 5 for node in scenario.nodes)
    chart = scenario.zone_chart
    assert len(chart.region_keys) == 896
    assert 100_000 < len(chart.pair_zones) < 229_318
    assert chart.pair_zones.min() >= 1
    assert chart.pair_zones.max() <= 9
    grams = np.array([sku.weight_grams for sku in scenario.skus])
    assert 0.5 * UNIT_GRAMS < grams.mean() < 2 * UNIT_GRAMS


@needs_pack
def test_rates_are_the_published_ones(scenario: Scenario) -> None:
    ground, priority, express = scenario.rate_cards
    names = [card.service_key for card in scenario.rate_cards]
    assert names == ["ground_advantage", "priority_mail", "priority_mail_express"]
    for card in (ground, priority, express):
        assert card.price_micros.shape == (9, 73)
        assert (np.diff(card.step_grams) > 0).all()
        assert (card.price_micros > 0).all()
    # Four ounces to zones 1 and 2.
    assert ground.price_micros[:2, 0].tolist() == [7_200_000, 7_250_000]
    assert ground.step_grams[[0, 3, 4, -1]].tolist() == [113, 453, 907, 31_751]


@needs_pack
def test_the_year_is_complete_and_keeps_the_rules(scenario: Scenario) -> None:
    orders: Counter[Kind] = Counter()
    counted: Counter[str] = Counter()

    def watched() -> Iterator[Call]:
        for call in scenario.calls():
            if isinstance(call, Receipt):
                counted["receipts"] += 1
            elif isinstance(call, Return):
                counted["returns"] += 1
                counted["tied returns"] += bool(call.order_key)
            elif call.abandons:
                counted["abandoned"] += 1
            else:
                orders[call.kind] += call.part == 0
                counted["units"] += sum(line.units for line in call.lines)
                counted["further parts"] += call.part > 0
                counted["rejected"] += call.rejects is not None
            yield call

    check_rules(scenario, watched())
    assert scenario.order_count() == orders.total() == 249_065
    assert orders == {Kind.POS: 112_219, Kind.PICKUP: 37_124, Kind.SHIP: 62_211, Kind.MARKETPLACE: 37_511}
    assert counted["units"] == 5_645_124
    assert max(scenario.order_counts) == 2_427
    assert len(scenario.order_counts) == 374
    assert 150 < counted["further parts"] < 300
    assert 8_000 < counted["returns"] < 10_000
    assert counted["tied returns"] > 3_500
    assert 1_700 < counted["rejected"] < 2_400
    assert 2_500 < counted["abandoned"] < 3_500
    assert counted["receipts"] < 80_000


@needs_pack
def test_the_same_seed_gives_the_same_days(pack: Pack, scenario: Scenario) -> None:
    again, other = pack_scenario(pack), pack_scenario(pack, seed=2)
    for day in (0, 9, 373):
        assert list(again.day(day)) == list(scenario.day(day))
    assert list(other.day(9)) != list(scenario.day(9))
    # What is real stays real under every seed.
    real = [order.lines for order in scenario.day(9) if isinstance(order, Order) and not order.abandons]
    assert [order.lines for order in other.day(9) if isinstance(order, Order) and not order.abandons] == real


@needs_pack
def test_stock_is_deep_enough_and_not_too_deep(scenario: Scenario) -> None:
    greedy = Greedy(scenario)
    assert greedy.cell_count == scenario.cell_count
    assert 200_000 < greedy.cell_count < 1_000_000
    played = greedy.play(scenario.calls(60))
    assert 0.95 < played.fill_rate(*Kind) < 0.995
    assert 0.93 < played.fill_rate(Kind.POS) < 0.99
    assert 0.97 < played.fill_rate(Kind.SHIP, Kind.MARKETPLACE) < 0.9999
    assert played.split[Kind.SHIP] > 0


@needs_pack
def test_stores_bring_parcels_nearer_than_warehouses(pack: Pack) -> None:
    """The figures of the pack's own README: nearest node, mean zone by distance, and mean ground price at six ounces a unit."""
    centroids = parquet.read_table(FOLDER.parent / "geo" / "us_zip_centroids.parquet").to_pydict()
    orders = parquet.read_table(FOLDER / "orders.parquet", columns=["dest_zip", "units"]).to_pydict()
    shipped = [(code, units) for code, units in zip(orders["dest_zip"], orders["units"], strict=True) if code]
    codes = sorted({code for code, _ in shipped})
    position = {code: index for index, code in enumerate(codes)}
    where = {
        code: (lat, lon) for code, lat, lon in zip(centroids["zip"], centroids["lat"], centroids["lon"], strict=True)
    }
    latitudes, longitudes = (np.array([where[code][axis] for code in codes]) for axis in (0, 1))
    places = arrange_places(pack.nodes)
    ground = arrange_rate_cards(pack.prices)[0]
    destination = np.array([position[code] for code, _ in shipped])
    grams = np.floor(np.array([units for _, units in shipped]) * 6 * GRAMS_PER_OUNCE)
    step = np.searchsorted(ground.step_grams, np.minimum(grams, ground.step_grams[-1]))
    for chosen, zone_expected, price_expected in (
        (places.of_kind("warehouse"), 2.58, 14.81),
        (places.of_kind("store"), 1.03, 13.51),
    ):
        away = distances(latitudes, longitudes, places.latitudes[chosen], places.longitudes[chosen]).min(1)
        zones = 1 + np.searchsorted(band_metres(), away)[destination]
        price = ground.price_micros[zones - 1, step].mean() / 1_000_000
        assert zones.mean() == pytest.approx(zone_expected, abs=0.01)
        assert price == pytest.approx(price_expected, abs=0.02)
