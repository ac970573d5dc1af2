"""The picture of the benchmarks is drawn from the history and from nothing else."""

from __future__ import annotations

from pathlib import Path

from benchmarks.chart import SHOWN, bars, draw
from benchmarks.history import Figure


def figures(machine: str, **values: float) -> list[Figure]:
    return [Figure("c", machine, "t", name, value, "1/s") for name, value in values.items()]


def test_the_latest_machine_is_shown_by_the_median_of_its_latest_runs(tmp_path: Path) -> None:
    known = figures("other", naive_orm_per_s=9_000)
    for value in (1, 100, 200, 300, 400, 500):
        known += figures("this", naive_orm_per_s=value, pg_procedure_per_s=5_000, unknown=7)
    assert bars(known) == [("naive_orm_per_s", 300), ("pg_procedure_per_s", 5_000)]
    draw(known, tmp_path / "chart.svg")
    drawn = (tmp_path / "chart.svg").read_text(encoding="utf-8")
    assert all(text in drawn for text in (SHOWN["naive_orm_per_s"], "300", "5,000"))
    assert "9,000" not in drawn


def test_without_figures_nothing_is_drawn(tmp_path: Path) -> None:
    draw(figures("this", unknown=1), tmp_path / "chart.svg")
    assert not (tmp_path / "chart.svg").exists()
