"""The public multi-item benchmark: what orders cost over the DLP, by the production kernel and by the published policies."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from benchmarks.history import Note
from benchmarks.quality.multi_item import PERIODS, drawn
from benchmarks.quality.multi_item_bound import Program, floor
from benchmarks.quality.multi_item_player import closest, played, priced, rounded

DATA = Path(os.environ.get("STOCKPOOL_DATA", "../shared/data")) / "multi_item_benchmark"
REFRESHES = {False: 50, True: 20}
"""How often prices are found anew; the first program of the large network takes minutes, those after it seconds."""
Costs = dict[str, float]


def compared(seed: int, large: bool) -> Costs:
    """Cost over the DLP of every policy on one instance."""
    instance = drawn(DATA, seed, large=large)
    program, demand = Program(instance), instance.chances * PERIODS
    solved = program.solve(np.maximum(instance.stock, 0), demand)
    assert floor(instance, instance.stock, demand, solved.prices) >= solved.value * (1 - 1e-6), "the DLP is no bound"
    policies = {
        "closest": closest(instance),
        "independent": rounded(instance, solved.packages, seed, together=False),
        "together": rounded(instance, solved.packages, seed, together=True),
        "unpriced": priced(instance, program, 0),
        "fixed": priced(instance, program, 1),
        "priced": priced(instance, program, REFRESHES[large]),
    }
    return {name: played(instance, choose) / solved.value for name, choose in policies.items()}


@pytest.mark.timeout(0)
@pytest.mark.parametrize(("size", "instances"), [("small", 30), pytest.param("large", 4, marks=pytest.mark.long)])
def test_multi_item(size: str, instances: int, note: Note, scale: float, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is timed: a busy machine gives the same figures, later."""
    if not DATA.is_dir():
        pytest.skip(f"cities and centers are not in {DATA}; STOCKPOOL_DATA names another folder")
    seeds = range(1, 1 + max(int(instances * scale), 1))
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        costs = list(pool.map(compared, seeds, [size == "large"] * len(seeds)))
    means = {name: float(np.mean([each[name] for each in costs])) for name in costs[0]}
    with capsys.disabled():
        print("", *(f"{size:6} {name:12} {mean:.4f}" for name, mean in means.items()), sep="\n")
    for name in ("closest", "together", "unpriced", "fixed"):
        note(f"multi_item_{name}_over_dlp_{size}", means[name], "ratio")
    note(f"multi_item_over_dlp_{size}", means["priced"], "ratio")
