"""Trials: a stream whose figures are known by hand, the same bytes again, and chance that no policy changes."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from engine.cli.main import app
from engine.demo.sample import sample_scenario
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.outcomes import Disposition, NodeKind
from engine.trials.comparison import MEASURES, Interval, Result, by_channel, compare, student, tally
from engine.trials.page import render_page
from engine.trials.player import Player, Sent
from engine.trials.policies import PolicyUnreadable, contender
from engine.trials.run import BOUND, prepare, run_trial
from engine.trials.stream import (
    VERSION,
    Count,
    Event,
    Kind,
    Line,
    Stream,
    StreamUnreadable,
    read_stream,
    stream_of,
    write_stream,
)
from tests.house.sources import ROOT
from tests.unit.test_folder import ORDERS

HOUR_NS = 3_600 * 1_000_000_000
UNIT = 1_000_000
NO_BOUND = np.zeros(3, np.int64)
NODES = (
    Node("near", "Shop", NodeKind.STORE, 40.0, -75.0, "10001", offers_pickup=True, accepts_returns=True,
         package_cost_micros=500_000, unit_cost_micros=100_000),
    Node("far", "Warehouse", NodeKind.WAREHOUSE, 35.0, -118.0, "90001", package_cost_micros=250_000),
)  # fmt: skip
CARD = RateCard("ground", "USD", (1_000, 5_000), 2, (5 * UNIT, 6 * UNIT, 8 * UNIT, 11 * UNIT))
STEEP = CARD._replace(price_micros=(5 * UNIT, 6 * UNIT, 8 * UNIT, 20 * UNIT))
"""Heavy parcels from afar are so dear that two may be cheaper."""
CHART = ZoneChart((Region("100", 40.0, -75.0), Region("900", 35.0, -118.0)), (500_000,))


def ordered(
    hour: int, key: str, *lines: tuple[str, int], kind: Kind = Kind.SHIP, node: str = "", **fates: Any
) -> Event:
    """An order from beside the near node, each unit for 20.00."""
    to = "10001" if kind == Kind.SHIP else ""
    service = "ground" if kind == Kind.SHIP else ""
    told = tuple(Line(sku_key, units, 20 * UNIT) for sku_key, units in lines)
    return Event(kind, hour * HOUR_NS, "web", key, node, to, service, told, **fates)


def stream(events: Sequence[Event], opening: Sequence[Count], days: int = 1) -> Stream:
    skus = (Sku("a", "Ant", 500), Sku("b", "Bee", 500))
    channels = (Channel("web", "Web", all_nodes=True),)
    head = (VERSION, "by hand", "USD", "2026-03-02", days)
    return Stream(*head, NODES, skus, channels, (CARD,), CHART, tuple(opening), tuple(events))


def played(policy: RoutingPolicy, given: Stream) -> list[Sent]:
    player = Player(given, policy)
    player.play(lambda _: None)
    return player.rows


def test_a_tiny_stream_costs_what_is_computed_by_hand() -> None:
    opening = (Count("a", "near", 2, 0), Count("b", "far", 5, 0))
    back = Event(Kind.RETURN, 26 * HOUR_NS, "web", "one", "near", "", "", (Line("a", 1, 0, 0, Disposition.RESTOCK),))
    events = (
        ordered(1, "one", ("a", 1)),  # near: 5.00 + 0.50 + 0.10
        ordered(2, "two", ("a", 1), ("b", 1)),  # near 5.60, far 8.00 + 0.25
        ordered(3, "three", ("a", 1)),  # nobody has one left: 20.00 are not sold
        ordered(4, "", ("b", 1), kind=Kind.SALE, node="near"),  # nor here
        ordered(5, "four", ("b", 2), cancels=True),
        back,
        ordered(27, "five", ("a", 1), kind=Kind.PICKUP, node="near"),  # the unit that came back
        Event(Kind.RECEIPT, 28 * HOUR_NS, "", "truck", "near", "", "", (Line("a", 4), Line("b", 1))),
        ordered(29, "six", ("a", 2), ("b", 1)),  # near, 1.5 kg: 6.00 + 0.50 + 0.30
    )
    rows = played(RoutingPolicy(), stream(events, opening, days=2))
    by_key = {(row.kind, row.order_key): row for row in rows}
    costs = {key: row.carrier_micros + row.handling_micros for (kind, key), row in by_key.items() if kind == "ship"}
    assert costs == {"one": 5_600_000, "two": 13_850_000, "three": 0, "four": 0, "six": 6_800_000}
    assert [by_key["ship", key].shipments for key in ("one", "two", "three", "six")] == [1, 2, 0, 1]
    assert by_key["ship", "three"].unfilled_micros == by_key["sale", ""].unfilled_micros == 20 * UNIT
    assert by_key["ship", "four"].cancelled
    assert by_key["pickup", "five"].filled_units == 1

    results = {each.measure: each.value for each in compare({"p": tally(rows, NO_BOUND[:2], 3 * UNIT)})}
    assert value(results["cost_per_order"]) == pytest.approx((5_600_000 + 13_850_000 + 6_800_000) / 3)
    assert value(results["split_rate"]) == pytest.approx(1 / 3)
    assert value(results["fill_rate"]) == pytest.approx(7 / 8)
    assert value(results["refused_rate"]) == pytest.approx(1 / 5)
    assert value(results["walk_in_fill_rate"]) == 0
    assert value(results["unfilled_per_day"]) == 20 * UNIT
    # Two units were not filled, and each costs 3.00 beside its price.
    assert value(results["loss_per_day"]) == (5_600_000 + 13_850_000 + 6_800_000 + 2 * 23 * UNIT) / 2
    assert results["gap_to_hindsight"] is None
    assert results["carrier_per_order"] == Interval((5 + 13 + 6) * UNIT / 3, None, None)
    (own,) = by_channel({"p": rows}, 2).values()  # there is one channel, and it has the same figures
    assert {each.measure: each.value for each in own if "loss" not in each.measure}.items() <= results.items()


def value(interval: Interval | None) -> float:
    assert interval is not None
    return interval.value


def test_an_order_has_arrived_with_its_last_parcel() -> None:
    opening = (Count("a", "near", 9, 0), Count("b", "far", 9, 0))
    events = (
        ordered(1, "one", ("a", 1)),
        ordered(2, "two", ("a", 1), ("b", 1)),
        ordered(3, "three", ("a", 99)),
        ordered(4, "four", ("a", 1), kind=Kind.PICKUP, node="near"),
    )
    card = CARD._replace(transit_days=(1, 4))
    rows = played(RoutingPolicy(), stream(events, opening)._replace(rate_cards=(card,)))
    assert [row.arrival_days for row in rows] == [1, 4, 0, 0]
    results = {each.measure: each.value for each in compare({"p": tally(rows, NO_BOUND[:1], 0)})}
    assert value(results["days_to_arrival"]) == 2.5
    rows = played(RoutingPolicy(), stream(events, opening))
    assert [row.arrival_days for row in rows] == [0, 0, 0, 0], "nobody knows"


def test_a_policy_that_weighs_prices_keeps_for_walk_ins_what_they_will_want() -> None:
    """Three walk-ins a day at the near shop; from the third day on it has as many units as they take, and the web may come from afar."""
    walk_ins = [
        ordered(24 * day + 9 + at, "", ("a", 1), kind=Kind.SALE, node="near") for day in range(9) for at in range(3)
    ]
    web = [ordered(24 * day + 8, f"w{day}", ("a", 1)) for day in range(2, 9)]
    opening = (Count("a", "near", 27, 0), Count("a", "far", 99, 0))
    skus = (Sku("a", "Ant", 500, 20 * UNIT, 20 * UNIT), Sku("b", "Bee", 500))
    events = sorted([*walk_ins, *web], key=lambda event: event.at_ns)
    given = stream(events, opening, days=9)._replace(skus=skus)
    filled = {}
    for name, horizon_days in (("cheapest", 7), ("priced", 7), ("short-sighted", 1)):
        player = Player(given, contender(name.replace("short-sighted", "priced")).policy, horizon_days)
        player.play(lambda _: None)
        rows = player.rows
        assert all(row.filled_units == 1 for row in rows if row.kind == "ship")
        filled[name] = sum(row.filled_units for row in rows if row.kind == "sale")
    assert filled == {"cheapest": 21, "priced": 27, "short-sighted": 23}


def test_a_penalty_for_splits_buys_whole_orders() -> None:
    opening = (Count("a", "near", 9, 0), Count("a", "far", 9, 0), Count("b", "far", 9, 0))
    given = stream((ordered(1, "one", ("a", 9), ("b", 1)),), opening)._replace(rate_cards=(STEEP,))
    (cheap,) = played(RoutingPolicy(), given)  # 4.5 kg from near, 7.40, and 0.5 kg from far, 8.25
    (whole,) = played(RoutingPolicy(split_penalty_micros=5 * UNIT), given)  # all from far: 20.25
    assert (cheap.shipments, cheap.carrier_micros + cheap.handling_micros) == (2, 15_650_000)
    assert (whole.shipments, whole.carrier_micros + whole.handling_micros) == (1, 20_250_000)


def chance_stream(seed: int, order_count: int, days: int = 2) -> Stream:
    """Two SKUs at two nodes, and whatever can happen to them."""
    chance = Random(seed)
    events = []
    for number in range(order_count):
        hour = number * 24 * days // order_count
        lines = [(sku_key, chance.randint(1, 3)) for sku_key in chance.choice(("a", "b", "ab"))]
        kind = chance.choice((Kind.SHIP, Kind.SHIP, Kind.SHIP, Kind.PICKUP, Kind.SALE))
        fate: Any = chance.choice(({"rejects": 1}, {"cancels": True}, {"abandons": True}, *[{}] * 12))
        node = "" if kind == Kind.SHIP else "near"
        events.append(ordered(hour, f"o{number}", *lines, kind=kind, node=node, **fate if kind == Kind.SHIP else {}))
        if chance.random() < 0.2:
            back = (Line(lines[0][0], 1, 0, 0, Disposition.RESTOCK),)
            events.append(Event(Kind.RETURN, hour * HOUR_NS, "web", f"o{number}", "near", "", "", back))
    counts = [Count(sku_key, node, order_count // 5, 1) for sku_key in "ab" for node in ("near", "far")]
    return stream(events, counts, days)._replace(rate_cards=(STEEP,))


def test_a_node_that_rejects_is_left_for_the_next() -> None:
    opening = (Count("a", "near", 1, 0), Count("a", "far", 1, 0))
    (row,) = played(RoutingPolicy(), stream((ordered(1, "one", ("a", 1), rejects=1),), opening))
    assert row.rejected
    assert (row.filled_units, row.carrier_micros) == (1, 8 * UNIT)


@pytest.mark.parametrize("seed", range(3))
def test_chance_is_the_same_for_every_policy(seed: int) -> None:
    """What buyers do, and which nodes reject, is in the stream: policies change what comes of it alone."""
    given = chance_stream(seed, 200)
    policies = (RoutingPolicy(), RoutingPolicy("whole", 9 * UNIT, allow_unit_split=False))
    one, other = (played(policy, given) for policy in policies)
    asked = [[row[:5] for row in rows if row.kind != "return"] for rows in (one, other)]
    assert asked[0] == asked[1]
    assert len(asked[0]) > 180
    assert one != other
    assert played(policies[0], given) == one


def test_the_same_folder_gives_the_same_bytes(tmp_path: Path) -> None:
    given = chance_stream(4, 100)
    folders, names = [tmp_path / "one", tmp_path / "other"], ("cheapest", "whole-lines")
    seen: list[tuple[str, int, int]] = []
    for folder, workers in zip(folders, (1, 2), strict=True):
        prepare(folder, given, [contender(name) for name in names], 4, price_horizon_days=2)
        trial = run_trial(folder, lambda *told: seen.append(told), workers)
        (folder / "report.html").write_text(render_page(trial))
    told = [(name, day, 2) for name in names for day in (1, 2)]
    assert sorted(seen) == sorted(2 * [*told, (BOUND, 1, 2), (BOUND, 2, 2)])
    files = [{path.relative_to(folder): path.read_bytes() for path in folder.rglob("*.*")} for folder in folders]
    assert files[0] == files[1]
    assert {path.name for path in files[0]} >= {"orders.parquet", "days.parquet", "results.parquet", "channels.parquet"}


def test_the_demos_chain_can_be_played() -> None:
    scenario = sample_scenario(4, day_count=1, orders_a_day=20)
    given = stream_of(scenario, 3)
    assert given.day_count == 1
    assert len(given.events) == len(scenario.day(0))
    rows = played(contender("cheapest").policy, given)
    assert sum(row.filled_units for row in rows) > 20


def test_a_stream_is_read_as_it_was_written_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "stream"
    given = stream((ordered(1, "one", ("a", 1)),), (Count("a", "near", 1, 0),))
    write_stream(given, path)
    assert read_stream(path) == given
    write_stream(given._replace(version=VERSION + 1), path)
    with pytest.raises(StreamUnreadable, match=f"version {VERSION + 1}"):
        read_stream(path)
    path.write_bytes(b"no stream")
    with pytest.raises(StreamUnreadable):
        read_stream(path)


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.706), (10, 2.228), (11, 2.201), (29, 2.045), (1_000, 1.962)])
def test_quantiles_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=0.003)


def test_intervals_of_means_are_those_of_students_t() -> None:
    """Of a plain mean the jackknife is the classical interval: 10, 20, 30 gives 20 ± 4.303 · 10 / √3."""
    rows = [
        Sent(day, "return", "web", "", 1, 0, 0, 10 * (day + 1), 0, 0, rejected=False, cancelled=False)
        for day in range(3)
    ]
    dearer = [row._replace(carrier_micros=row.carrier_micros + 7) for row in rows]
    one, other = tally(rows, NO_BOUND, 0), tally(dearer, NO_BOUND, 0)
    results = {(each.policy, each.measure): each for each in compare({"one": one, "other": other})}
    reach = 4.303 * 10 / np.sqrt(3)
    assert results["one", "cost_per_day"].value == pytest.approx((20, 20 - reach, 20 + reach))
    assert results["other", "cost_per_day"].difference == pytest.approx((7, 7, 7))
    assert results["one", "cost_per_order"] == Result("one", "cost_per_order", None, None)


def test_a_policy_is_a_file_or_a_name(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text('{"policy_key": "mine", "split_penalty": {"micros": "7"}}')
    (tmp_path / "two.toml").write_text('policy_key = "mine"\nsplit_penalty = { micros = 7 }\n')
    one, two = contender(str(tmp_path / "one.json")), contender(str(tmp_path / "two.toml"))
    assert one.policy == two.policy
    assert (one.name, two.name, two.policy.split_penalty_micros) == ("one", "two", 7)
    assert contender("few-packages").policy.split_penalty_micros == 5 * UNIT


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        ("a.json", '{"policy_key": "x", "split": 1}', "split"),
        ("a.json", '{"policy_key": "x", "split_penalty": {"micros": -1}}', "split_penalty"),
        ("a.toml", "policy_key = ", "a.toml"),
        ("a.toml", "policy_key = 2026-01-01", "a.toml"),
        ("a.yaml", "", ".toml"),
        ("missing.json", None, "missing.json"),
    ],
)
def test_what_is_no_policy_is_refused_with_the_field(tmp_path: Path, file: str, text: str | None, why: str) -> None:
    if text is not None:
        (tmp_path / file).write_text(text)
    with pytest.raises(PolicyUnreadable, match=why):
        contender(str(tmp_path / file))


def test_the_command_compares_and_reruns(tmp_path: Path) -> None:
    """From the command line to the page, on a folder of files."""
    folder, out = tmp_path / "data", tmp_path / "trial"
    shutil.copytree(ROOT / "adapters" / "example", folder)
    (folder / "orders.csv").write_text(ORDERS)
    call = ["simulate", "--data", str(folder), "--policy", "cheapest", "--policy", "whole-lines", "--days", "2"]
    first = CliRunner().invoke(app, [*call, "--out", str(out), "--workers", "1", "--json"])
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert len(told) == 2 * len(MEASURES)
    page = (out / "report.html").read_bytes()
    again = CliRunner().invoke(app, ["simulate", "--rerun", str(out), "--workers", "1", "--json"])
    assert json.loads(again.stdout) == told
    assert (out / "report.html").read_bytes() == page
    assert b"whole-lines" in page


def test_misuse_of_the_command_is_told(tmp_path: Path) -> None:
    for call, why in (
        (["--policy", "cheap"], "few-packages"),
        (["--policy", "cheapest", "--policy", "cheapest"], "one name"),
        (["--rerun", str(tmp_path)], "no folder of a trial"),
        (["--rerun", str(tmp_path), "--policy", "cheapest"], "neither --policy nor --data"),
    ):
        result = CliRunner().invoke(app, ["simulate", "--out", str(tmp_path / "t"), *call])
        assert result.exit_code == 2, result.output
        assert why in result.stderr
