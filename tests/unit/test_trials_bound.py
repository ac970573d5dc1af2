"""The hindsight bound: exact where it can be computed by hand or by trying everything, and below whatever any policy reaches."""

from functools import cache
from random import Random

import numpy as np
import pytest

from engine.kernels.zones import Integers
from engine.model.network import RoutingPolicy
from engine.model.outcomes import Disposition
from engine.planning.hindsight import Arrivals, Demands, Lanes, Problem, dual_bound, least_costs
from engine.trials.bound import _package_weights, hindsight, lost_unit_micros
from engine.trials.comparison import compare, tally
from engine.trials.player import Player
from engine.trials.stream import Count, Event, Kind, Line, Stream
from tests.unit.test_trials import HOUR_NS, STEEP, UNIT, chance_stream, ordered, stream

LOST = 8 * UNIT


def bound_of(given: Stream) -> list[int]:
    assert lost_unit_micros(given) == LOST
    return hindsight(given, Player(given, RoutingPolicy()).pool, lambda *_: None).tolist()


def test_whoever_needs_the_near_unit_gets_it() -> None:
    """Two want the one unit near, and only a walk-in there cannot have the far one: 8.25 for the parcel, nothing for the walk-in."""
    opening = (Count("a", "near", 1, 1), Count("a", "far", 1, 0))
    events = (ordered(1, "one", ("a", 1)), ordered(30, "", ("a", 1), kind=Kind.SALE, node="near"))
    assert bound_of(stream(events, opening, days=2)) == pytest.approx([8_250_000, 0], abs=1)


def test_what_is_nowhere_is_lost_at_its_price_and_the_penalty() -> None:
    events = (
        ordered(1, "one", ("a", 3)),
        ordered(2, "two", ("b", 1), cancels=True),
        ordered(3, "", ("a", 1), abandons=True),
    )
    assert bound_of(stream(events, (Count("a", "near", 1, 0),))) == pytest.approx(
        # The one unit could travel in a heavier parcel: a third of 6.00 and 0.50, and its own 0.10.
        [(6_500_000 // 3 + 100_000) + 2 * (20 * UNIT + LOST)], abs=1
    )  # fmt: skip


def test_stock_serves_the_day_it_comes_and_later_ones() -> None:
    truck = Event(Kind.RECEIPT, 25 * HOUR_NS, "", "truck", "near", "", "", (Line("a", 1),))
    early, late = ordered(1, "one", ("a", 1)), ordered(49, "two", ("a", 1))
    assert bound_of(stream((early, truck, late), (), days=3)) == pytest.approx([20 * UNIT + LOST, 0, 5_600_000], abs=1)


def test_what_comes_back_lies_where_it_is_wanted() -> None:
    opening = (Count("a", "far", 1, 0),)
    back = Event(Kind.RETURN, 25 * HOUR_NS, "web", "one", "near", "", "", (Line("a", 1, 0, 0, Disposition.RESTOCK),))
    scrap = back._replace(lines=(Line("a", 1, 0, 0, Disposition.SCRAP),))
    events = (ordered(1, "one", ("a", 1)), back, scrap, ordered(26, "two", ("a", 1)))
    assert bound_of(stream(events, opening, days=2)) == pytest.approx([8_250_000, 5_600_000], abs=1)
    # Without it the unit goes to either, and the other order is lost.
    assert sum(bound_of(stream(events[::3], opening, days=2))) == pytest.approx(8_250_000 + 20 * UNIT + LOST, abs=1)


@pytest.mark.parametrize("seed", range(4))
def test_no_policy_is_below_the_bound(seed: int) -> None:
    given = chance_stream(seed, 150, days=3)
    bound = hindsight(given, Player(given, RoutingPolicy()).pool, lambda *_: None)
    tallies = {}
    for name, policy in (
        ("cheap", RoutingPolicy()),
        ("whole", RoutingPolicy("whole", 9 * UNIT, allow_unit_split=False)),
        ("split", RoutingPolicy("split", 2 * UNIT)),
    ):
        player = Player(given, policy)
        player.play(lambda _: None)
        tallies[name] = tally(player.rows, bound, LOST)
    gaps = {each.policy: each.value for each in compare(tallies) if each.measure == "gap_to_hindsight"}
    assert bound.sum() > 0
    assert all(gap is not None and 0 <= gap.value < 2 for gap in gaps.values()), (seed, gaps)


def test_weights_of_packages_are_those_of_all_parts_of_the_order() -> None:
    assert _package_weights([(500, 2), (300, 1)], 0) == [500, 800, 1_000, 1_300]
    assert _package_weights([(500, 2), (300, 1)], 1) == [300, 800, 1_300]
    assert _package_weights([(2**power, 1) for power in range(10)], 0) is None


@pytest.mark.parametrize("heavy", [False, True])
def test_many_weights_are_bounded_by_the_steps_of_the_card(heavy: bool) -> None:
    """An order of hundreds of units, with more weights than are looked at: still no more than it costs in one package."""
    given = stream(
        (ordered(1, "one", ("a", 400 if heavy else 6), ("b", 1)),),
        (Count("a", "near", 500, 0), Count("b", "near", 500, 0)),
    )
    given = given._replace(rate_cards=(STEEP,))
    player = Player(given, RoutingPolicy())
    player.play(lambda _: None)
    (row,) = player.rows
    (least,) = hindsight(given, player.pool, lambda *_: None)
    assert 0 < least <= row.carrier_micros + row.handling_micros


@pytest.mark.parametrize("seed", range(30))
def test_flows_cost_what_trying_everything_finds(seed: int) -> None:
    chance = Random(seed)
    days = [chance.randrange(3) for _ in range(4)]
    arrivals = [(chance.randrange(2), chance.randrange(3), chance.randrange(1, 3)) for _ in range(chance.randrange(4))]
    units = [chance.randint(1, 2) for _ in days]
    penalties = [chance.randint(1, 9) for _ in days]
    lanes = {(row, cell): chance.randint(0, 9) for row in range(4) for cell in range(2) if chance.random() < 0.8}

    @cache
    def least(at: int, left: tuple[tuple[int, int, int], ...]) -> int:
        """Unit by unit: from which arrival each comes, or none."""
        rows = [row for row in range(4) for _ in range(units[row])]
        if at == len(rows):
            return 0
        row = rows[at]
        best = penalties[row] + least(at + 1, left)
        for place, (cell, day, count) in enumerate(left):
            if count and day <= days[row] and (row, cell) in lanes:
                rest = (*left[:place], (cell, day, count - 1), *left[place + 1 :])
                best = min(best, lanes[row, cell] + least(at + 1, rest))
        return best

    found = least_costs(
        Arrivals(*_columns(arrivals, 3)),
        Demands(*(np.array(each, np.int64) for each in (days, units, penalties))),
        Lanes(*_columns([(*lane, cost) for lane, cost in lanes.items()], 3)),
    )
    assert found.sum() == least(0, tuple(arrivals)), seed


@pytest.mark.parametrize("seed", range(10))
def test_no_worth_of_units_proves_more_than_a_cheapest_plan(seed: int) -> None:
    """Three cells with three days of arrivals each; worths that fall with time, drawn blindly."""
    chance = np.random.default_rng(seed)
    arrivals = Arrivals(np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3), chance.integers(0, 4, 9))
    demands = Demands(chance.integers(0, 3, 6), chance.integers(1, 4, 6), chance.integers(1, 20, 6))
    rows, cells = np.divmod(np.arange(18), 3)
    lanes = Lanes(rows, cells, chance.integers(0, 20, 18))
    least = int(least_costs(arrivals, demands, lanes).sum())
    later = np.array([0, 1, 3, 4, 6, 7])
    stores = cells * 3 + demands.days[rows]
    problem = Problem(arrivals.units, later, demands, rows, stores, lanes.costs)
    for _ in range(50):
        worth = -np.sort(-chance.integers(0, 20, (3, 3)), axis=1).ravel()
        assert dual_bound(problem, worth) <= least
    for worth in (np.full(9, -1), np.arange(9)):
        with pytest.raises(ValueError, match="waited"):
            dual_bound(problem, worth)


def _columns(rows: list[tuple[int, int, int]], width: int) -> Integers:
    return np.array(rows, np.int64).reshape(-1, width).T
