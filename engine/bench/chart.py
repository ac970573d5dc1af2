"""The latencies of every point as one picture: which share of the calls took longer than what."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from engine.bench.run import Measured
from engine.demo.charts import PALETTE, STYLE, WIDTH, svg_of

_STEPS = 20
"""Points of a curve for each factor of ten."""


def draw(measured: Sequence[Measured], path: Path) -> None:
    """Write an SVG file: a curve a point, percentiles stretched towards the slowest calls."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
        axes = figure.subplots()
        for number, one in enumerate(measured):
            count = one.tally.latencies.count
            if not count:
                continue
            nines = [step / _STEPS for step in range(int(math.log10(max(count, 10)) * _STEPS) + 1)]
            times = [one.tally.latencies.quantile_us(1 - 10**-nine) / 1_000 for nine in nines]
            label = f"{one.point.call}, {one.point.loop}: {one.granted_per_s:,.0f} reservations/s"
            axes.plot(nines, times, color=PALETTE[number % len(PALETTE)], linewidth=1.4, label=label)
        axes.set_yscale("log")
        axes.set_ylabel("milliseconds")
        axes.set_xlabel("percentile")
        axes.xaxis.set_major_locator(mpl.ticker.MultipleLocator(1))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda nine, _: f"{100 * (1 - 10**-nine):.10g} %"))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda ms, _: f"{ms:g}"))
        axes.legend(loc="upper left")
        path.write_text(svg_of(figure), encoding="utf-8")
