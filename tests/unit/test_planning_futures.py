"""Sampled futures: the forecast's distribution, the same numbers for the same seed, and bad forecasts refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

from engine.planning.futures import Forecast, sampled


def counts(rates: list[float], scenarios: int, seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    drawn = sampled(Forecast(np.array(rates), np.ones(3)), scenarios, seed)
    table = np.zeros((len(rates), scenarios), np.int64)
    np.add.at(table, (drawn.skus, drawn.scenarios), drawn.units)
    return table


@pytest.mark.parametrize("rate", [0.1, 2.0, 30.0, 255.0, 257.0])
def test_numbers_are_poisson(rate: float) -> None:
    table = counts([rate] * (200 if rate < 100 else 20), 16)
    assert table.mean() == pytest.approx(rate, abs=0.08 * math.sqrt(rate) + 0.01)
    assert table.var() == pytest.approx(rate, rel=0.2)


def test_each_slice_of_the_distribution_is_drawn_once() -> None:
    table = counts([1.0] * 50, 8)
    # Mean 1: one future in 8 lies in each eighth; P(0) = 0.368 makes two or three of eight futures empty, never another number.
    assert set((table == 0).sum(1)) <= {2, 3}
    regions = sampled(Forecast(np.full(50, 4.0), np.array([1.0, 1.0, 2.0, 0.0])), 8, 1).regions
    assert np.bincount(regions, minlength=4) / len(regions) == pytest.approx([0.25, 0.25, 0.5, 0], abs=0.06)


def test_half_the_rate_keeps_the_first_units_of_every_future() -> None:
    shares = np.ones(40)
    many, few = (sampled(Forecast(np.full(30, rate), shares), 4, 7) for rate in (6.0, 3.0))
    for sku in range(30):
        for scenario in range(4):
            all_of, first_of = (d.regions[(d.skus == sku) & (d.scenarios == scenario)] for d in (many, few))
            assert np.array_equal(all_of[: len(first_of)], first_of)


def test_seeds_differ_and_repeat() -> None:
    assert np.array_equal(counts([3.0] * 20, 4), counts([3.0] * 20, 4))
    assert not np.array_equal(counts([3.0] * 20, 4), counts([3.0] * 20, 4, seed=2))


def test_nothing_to_expect() -> None:
    assert not len(sampled(Forecast(np.zeros(3), np.ones(2)), 2, 1).skus)
    assert not len(sampled(Forecast(np.zeros(0), np.ones(2)), 2, 1).skus)


@pytest.mark.parametrize("rate", [-1.0, math.nan, math.inf, 1e12])
def test_an_absurd_rate_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match=r"^rates "):
        sampled(Forecast(np.array([rate]), np.ones(1)), 1, 1)


@pytest.mark.parametrize("share", [-1.0, math.nan, math.inf, 0.0])
def test_shares_that_are_none_are_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"^shares "):
        sampled(Forecast(np.ones(1), np.array([share])), 1, 1)
    with pytest.raises(ValueError, match=r"^scenario_count "):
        sampled(Forecast(np.ones(1), np.ones(1)), 0, 1)
