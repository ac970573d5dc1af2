"""How good the decisions are, not how fast: the share of the gap between exact myopic routing and hindsight that prices close."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.history import Note
from benchmarks.quality.comparison import all_compared, draw, figures, table
from benchmarks.quality.streams import FAMILIES

SEEDS = (1, 2, 3)
PICTURE = Path(__file__).with_name("quality.svg")


@pytest.mark.timeout(0)
def test_quality(capsys: pytest.CaptureFixture[str], note: Note, scale: float, tmp_path: Path) -> None:
    """Nothing is timed: a busy machine gives the same figures, later."""
    families = tuple(family.scaled(scale) for family in FAMILIES)
    results = all_compared(families, SEEDS, os.cpu_count() or 1)
    with capsys.disabled():
        print("", *table(results), sep="\n")
    for name, value in figures(results).items():
        note(name, value, "ratio")
    draw(results, tmp_path / "quality.svg" if scale < 1 else PICTURE)
