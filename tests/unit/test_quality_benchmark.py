"""The benchmark of quality, a slice of it: its bound is a bound, its player pays for what it does, and prices earn what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality.bound import dual_bound, hindsight, known
from benchmarks.quality.comparison import compared, draw, figures, table
from benchmarks.quality.player import POLICIES, Policy, play
from benchmarks.quality.streams import FAMILIES, Stream, drawn

BY_NAME = {family.name: family for family in FAMILIES}


@pytest.fixture(scope="module")
def small() -> Stream:
    return drawn(BY_NAME["balanced"].scaled(0.02), 1)


def test_a_stream_is_the_same_every_time(small: Stream) -> None:
    again = drawn(BY_NAME["balanced"].scaled(0.02), 1)
    for one, other in ((small.units, again.units), (small.times, again.times), (small.cells, again.cells)):
        assert np.array_equal(one, other)
    assert np.array_equal(small.regions, again.regions)
    assert np.array_equal(small.costs.zones, again.costs.zones)
    assert np.array_equal(small.costs.margin, again.costs.margin)


def test_scarce_balanced_and_abundant_are_what_they_say() -> None:
    for name, ratio in (("scarce", 0.8), ("balanced", 1.1), ("abundant", 1.6)):
        stream = drawn(BY_NAME[name].scaled(0.1), 1)
        wanted = stream.order_rates.sum() + stream.walk_in_rates.sum()
        assert stream.units.sum() / wanted == pytest.approx(ratio, rel=0.06)


def test_the_bound_is_reached_by_its_plan_and_no_prices_promise_more(small: Stream) -> None:
    bound = hindsight(small)
    assert bound.flow_micros == bound.dual_micros
    problem = known(small)
    chance = np.random.default_rng(1)
    for scale in (0, 1, 3, 10, 100):
        prices = (chance.random(len(small.nodes)) * scale * 1e6).astype(np.int64)
        assert dual_bound(problem, prices) <= bound.dual_micros


def test_with_plenty_everywhere_all_policies_reach_the_bound(small: Stream) -> None:
    plenty = small._replace(units=np.full_like(small.units, 1_000))
    bound = hindsight(plenty)
    for policy in (Policy("myopic"), Policy("priced", newsvendor=True, refreshes=2, scenarios=2)):
        played = play(plenty, policy)
        assert (played.unserved, played.lost) == (0, 0)
        assert played.total == bound.dual_micros


def test_with_nothing_anywhere_all_is_lost(small: Stream) -> None:
    nothing = small._replace(units=np.zeros_like(small.units))
    played = play(nothing, POLICIES[-1])
    ordered = small.cells < 0
    assert played.sent == 0
    assert played.unserved == small.costs.unserved[small.skus[ordered]].sum()
    assert played.lost == small.costs.margin[small.skus[~ordered]].sum()
    assert hindsight(nothing).dual_micros == played.total


def test_prices_close_a_good_part_of_the_gap() -> None:
    """The slice of `make bench-quality` that every run of the suite sees: half of what the full run reaches."""
    results = [compared(BY_NAME[name].scaled(0.05), 1) for name in ("balanced", "fast_balanced")]
    found = figures(results)
    assert found["gap_closed_balanced"] > 0.25
    assert found["gap_closed_fast_balanced"] > 0.35
    assert all(result.closed("priced_noisy") > 0 for result in results)
    assert all(0 < result.above("priced") < result.above("myopic") < result.above("nearest") for result in results)


def test_the_table_and_the_picture_name_every_policy(tmp_path: Path) -> None:

    results = [compared(BY_NAME["scarce"].scaled(0.01), 2)]
    lines = "\n".join(table(results))
    draw(results, tmp_path / "first.svg")
    draw(results, tmp_path / "second.svg")
    picture = (tmp_path / "first.svg").read_text(encoding="utf-8")
    assert picture == (tmp_path / "second.svg").read_text(encoding="utf-8")
    for policy in POLICIES:
        assert policy.name in lines
        assert policy.name in picture
