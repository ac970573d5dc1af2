"""``python -m benchmarks.chart`` draws ``throughput.svg``: reservations a second of Stockpool and of its peers, from the history."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from statistics import median

from benchmarks.history import COMPARED_MAX, Figure, earlier_figures

CHART = Path(__file__).with_name("throughput.svg")
SHOWN = {
    "naive_orm_per_s": "PostgreSQL, an ORM",
    "asyncpg_service_per_s": "PostgreSQL behind gRPC and asyncpg",
    "pg_procedure_per_s": "PostgreSQL, stored procedure",
    "pg_batch_procedure_per_s": "PostgreSQL, procedure of 1,000",
    "redis_single_per_s": "Redis, Lua script",
    "redis_pipelined_per_s": "Redis, pipelined",
    "redis_scripted_per_s": "Redis, script of 1,000",
    "unary_pickup_per_s": "Stockpool, one a call",
    "envoy_unary_per_s": "Stockpool behind Envoy, one a call",
    "batch_1000_rows_sqlite_per_s": "Stockpool on SQLite, 1,000 rows a call",
    "batch_1000_pg_per_s": "Stockpool on PostgreSQL, columns of 1,000",
    "batch_1000_sqlite_per_s": "Stockpool on SQLite, columns of 1,000",
}
"""Figures by name, and what they are called in the picture; those of Stockpool come last."""
_OURS, _THEIRS, _INK = "#0d9488", "#94a3b8", "#334155"


def bars(figures: Iterable[Figure]) -> list[tuple[str, float]]:
    """What is shown: the median of the latest runs on the machine of the latest run, by name, the slowest first."""
    known = [figure for figure in figures if figure.name in SHOWN]
    if not known:
        return []
    values: dict[str, list[float]] = {}
    for figure in known:
        if figure.machine == known[-1].machine:
            values.setdefault(figure.name, []).append(figure.value)
    found = [(name, median(each[-COMPARED_MAX:])) for name, each in values.items()]
    return sorted(found, key=lambda bar: bar[1])


def draw(figures: Iterable[Figure], path: Path = CHART) -> None:
    """Draw the bars, on a scale of tens."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Picture

    from engine.demo.charts import STYLE, WIDTH, svg_of

    shown = bars(figures)
    if not shown:
        return
    with mpl.rc_context(STYLE | {"axes.grid.axis": "x"}):
        picture = Picture(figsize=(WIDTH, 0.42 * len(shown) + 0.7), layout="constrained")
        axes = picture.subplots()
        colours = [_OURS if SHOWN[name].startswith("Stockpool") else _THEIRS for name, _ in shown]
        axes.barh([SHOWN[name] for name, _ in shown], [value for _, value in shown], color=colours, height=0.62)
        axes.set_xscale("log")
        axes.set_xlim(left=100, right=3 * shown[-1][1])
        axes.set_xlabel("durable reservations of two lines a second, on two processors with the load generator")
        for row, (_, value) in enumerate(shown):
            axes.annotate(f"{value:,.0f}", (value, row), (4, 0), textcoords="offset points", va="center", color=_INK)
        path.write_text(svg_of(picture), encoding="utf-8")


if __name__ == "__main__":
    draw(earlier_figures())
