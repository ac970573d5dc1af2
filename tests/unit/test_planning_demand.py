"""Forecasts of what walk-ins will want, from the movements that the state remembers."""

from __future__ import annotations

import numpy as np

from engine.kernels.zones import SLOT_BITS
from engine.planning.demand import WEEK_DAYS, History, expected
from engine.planning.history import DAY_NS, Wanted
from engine.planning.walk_ins import DEMAND_ONE
from tests.builders import EPOCH_NS

TODAY = EPOCH_NS // DAY_NS
NOW_NS = TODAY * DAY_NS  # midnight: every day of the history is whole


def key(sku: int, node: int) -> int:
    return sku << SLOT_BITS | node


def sales(*rows: tuple[int, int, int]) -> Wanted:
    """Of (key, days ago, units)."""
    keys, ago, units = (
        (np.array(column, np.int64) for column in zip(*rows, strict=True)) if rows else (np.zeros(0, np.int64),) * 3
    )
    return Wanted(keys, NOW_NS - ago * DAY_NS, units)


def forecast(keys: list[int], sold: Wanted, days: int = 28, horizon_days: int = 7) -> list[float]:
    found = expected(np.array(keys, np.int64), sold, History(NOW_NS - days * DAY_NS, NOW_NS), horizon_days)
    return [round(each / DEMAND_ONE, 2) for each in found.tolist()]


def test_what_sells_every_day_goes_on_selling() -> None:
    sold = sales(*[(key(0, 1), ago, 3) for ago in range(1, 29)])
    assert forecast([key(0, 1)], sold) == [21.0]
    assert forecast([key(0, 1)], sold, horizon_days=1) == [3.0]


def test_old_sales_count_less() -> None:
    late, early = (sales(*[(key(0, 1), ago, 1) for ago in span]) for span in (range(1, 15), range(15, 29)))
    assert forecast([key(0, 1)], late)[0] > 1.5 * forecast([key(0, 1)], early)[0] > 0


def test_days_of_the_week_differ() -> None:
    busy = [ago for ago in range(1, 57) if (TODAY - ago) % WEEK_DAYS == TODAY % WEEK_DAYS]
    sold = sales(*[(key(0, 1), ago, 10) for ago in busy], *[(key(0, 1), ago, 1) for ago in range(1, 57)])
    tomorrow, *_ = forecast([key(0, 1)], sold, 56, 1)
    week, *_ = forecast([key(0, 1)], sold, 56, WEEK_DAYS)
    assert tomorrow < 3
    assert 15 < week < 19


def test_a_shelf_that_sold_nothing_is_drawn_to_the_others_of_its_sku() -> None:
    keys = [key(0, 1), key(0, 2), key(0, 3), key(1, 2), key(1, 3)]
    sold = sales(*[(key(0, 1), ago, 2) for ago in range(1, 29)], (key(1, 2), 5, 1))
    first, second, warehouse, other, elsewhere = forecast(keys, sold)
    assert 7 < first < 14
    assert 0 < second < first / 2
    assert 0 < other < 1
    assert (warehouse, elsewhere) == (0, 0)  # a node that never sold to a walk-in


def test_nothing_known_is_nothing_wanted() -> None:
    assert forecast([key(0, 1)], sales()) == [0]
    assert forecast([], sales()) == []
    assert forecast([], sales((key(0, 1), 1, 1))) == []
    assert forecast([key(1, 1)], sales((key(0, 1), 1, 5))) == [0]


def test_a_young_history_counts_as_a_day() -> None:
    sold = Wanted(np.array([key(0, 1)]), np.array([NOW_NS - 60]), np.array([4]))
    (found,) = expected(np.array([key(0, 1)]), sold, History(NOW_NS - 3_600 * 10**9, NOW_NS), 1).tolist()
    assert 0 < found <= 4 * DEMAND_ONE
