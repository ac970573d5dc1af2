"""What prices save of real orders."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.history import Note
from benchmarks.quality.real import DAYS, played, write

PACK = Path(os.environ.get("STOCKPOOL_DATA", "../shared/data")) / "demo_gifts"


@pytest.mark.timeout(0)
def test_real(note: Note, scale: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is timed: a busy machine gives the same figures, later."""
    if not PACK.is_dir():
        pytest.skip(
            f"there is no pack of real orders in {PACK}; STOCKPOOL_DATA names another folder that holds demo_gifts"
        )
    days = max(int(DAYS * scale), 3)
    write(PACK, days, tmp_path / "stream")
    real = played(tmp_path / "stream", os.cpu_count() or 1)
    assert real.bound <= min(real.myopic, real.priced)
    with capsys.disabled():
        print(
            f"\n{days} days: myopic {real.myopic / 1e6:,.0f}, priced {real.priced / 1e6:,.0f}, hindsight {real.bound / 1e6:,.0f}"
        )
    note("gap_closed_real", real.closed, "ratio")
    note("gap_myopic_real", real.myopic / real.bound - 1, "ratio")
    note("gap_priced_real", real.priced / real.bound - 1, "ratio")
