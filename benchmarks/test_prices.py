"""How long finding the prices of a whole network takes, where it takes it: in a process of its own, so that only its length counts."""

from __future__ import annotations

from time import perf_counter, process_time

import numpy as np

from benchmarks.history import Note
from benchmarks.quality.streams import Family, drawn
from engine.planning.futures import Forecast, sampled
from engine.planning.prices import Cells, prices

SCENARIOS = 8


def test_refresh(note: Note, scale: float) -> None:
    """505 nodes, 10,000 SKUs, 20,000 orders and 60,000 walk-ins expected, eight futures."""
    stream = drawn(Family("balanced", 1.1, skus=10_000, orders=20_000, walk_ins=60_000).scaled(scale), 1)
    walk_ins = np.rint(stream.walk_in_rates * 1024).astype(np.int64)
    cells = Cells(stream.first, stream.nodes, stream.units, walk_ins)
    began, worked = perf_counter(), process_time()
    demands = sampled(Forecast(stream.order_rates, stream.region_shares), SCENARIOS, 1)
    found = prices(cells, stream.costs, demands)
    note("price_refresh_s", perf_counter() - began, "s")
    note("price_refresh_cpu_s", process_time() - worked, "s")
    assert found.max() > 0
