import random

import pytest

from engine.demo.latency import Histogram, Latencies


def test_small_durations_are_exact() -> None:
    histogram = Histogram()
    for duration_us in range(64):
        histogram.record(duration_us)
    assert [histogram.quantile_us((rank + 1) / 64) for rank in range(64)] == list(range(64))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_quantiles_are_never_low_and_hardly_high(seed: int) -> None:
    chance = random.Random(seed)
    durations = sorted(int(10 ** chance.uniform(0, 8)) for _ in range(5_000))
    histogram = Histogram()
    for duration_us in durations:
        histogram.record(duration_us)
    for share in (0.01, 0.5, 0.9, 0.99, 0.999):
        truth = durations[-(-int(share * 100_000) * len(durations) // 100_000) - 1]
        assert truth <= histogram.quantile_us(share) <= truth * (1 + 1 / 32) + 1, f"seed {seed}, share {share}"
    assert histogram.quantile_us(1.0) == histogram.max_us == durations[-1]
    assert histogram.mean_us == pytest.approx(sum(durations) / len(durations))


def test_an_empty_histogram_says_zero() -> None:
    assert (Histogram().quantile_us(0.5), Histogram().mean_us, Histogram().count) == (0, 0.0, 0)


def test_what_makes_no_sense_is_counted_at_the_edges() -> None:
    histogram = Histogram()
    histogram.record(-5)
    histogram.record(1 << 60)
    assert histogram.quantile_us(0.5) == 0
    assert histogram.count == 2


def test_calls_come_most_frequent_first() -> None:
    latencies = Latencies()
    for call, times in (("Ship", 2), ("Reserve", 3), ("Accept", 2)):
        for _ in range(times):
            latencies.of(call).record(1)
    assert [(call, one.count) for call, one in latencies] == [("Reserve", 3), ("Accept", 2), ("Ship", 2)]
    assert latencies.count == 7
