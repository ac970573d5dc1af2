"""A trial as one HTML page that needs nothing beside itself. Needs the extra ``demo``."""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from engine.demo.charts import PALETTE, STYLE, WIDTH, svg_of
from engine.demo.page import style_sheet
from engine.trials.bound import lost_unit_micros
from engine.trials.comparison import MEASURES, Interval, Result, by_channel, column
from engine.trials.run import Trial
from engine.trials.wording import told, told_interval

TEMPLATE = "trial.html.j2"
_MICROS = 1_000_000
_FRONTIERS = (
    ("days_to_arrival", 1.0, "days until the last parcel arrives", "{:g}"),
    ("split_rate", 100.0, "parcel orders that left from several nodes", "{:g}%"),
)
"""What the cost is drawn against: a measure, in what it is told, and its words."""
_OF_CHANNELS = ("cost_per_order", "fill_rate", "days_to_arrival", "split_rate")


def write_page(trial: Trial, path: Path) -> None:
    """Writes the page to ``path``. Raises OSError."""
    path.write_text(render_page(trial), encoding="utf-8")


def render_page(trial: Trial) -> str:
    """The page as text; the same trial gives the same text."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("engine.trials").joinpath(TEMPLATE).read_text(encoding="utf-8"))
    names = list(trial.tallies)
    with mpl.rc_context(STYLE):
        charts = {"frontier": svg_of(_frontier(trial)), "days": svg_of(_days(trial))}
    return template.render(
        css=style_sheet(),
        stream=trial.stream,
        seed=trial.seed,
        version=version("stockpool"),
        names=names,
        colours=dict(zip(names, PALETTE * (1 + len(names) // len(PALETTE)), strict=False)),
        measures=MEASURES,
        results=by_measure(trial.results),
        groups={
            group: [each for each in MEASURES if each.group == group]
            for group in dict.fromkeys(each.group for each in MEASURES)
        },
        channels={
            name: by_measure(results) for name, results in by_channel(trial.rows, trial.stream.day_count).items()
        },
        channel_measures=[each for each in MEASURES if each.name in _OF_CHANNELS],
        bound_micros=int(column(trial.tallies[names[0]], "bound_micros").sum()),
        lost_unit_micros=lost_unit_micros(trial.stream),
        charts={name: Markup(svg) for name, svg in charts.items()},  # noqa: S704 - drawn here, from numbers
        told=told,
        told_interval=told_interval,
    )


def by_measure(results: list[Result]) -> dict[str, dict[str, Result]]:
    """Results by measure and policy."""
    found: dict[str, dict[str, Result]] = {}
    for each in results:
        found.setdefault(each.measure, {})[each.policy] = each
    return found


def _frontier(trial: Trial) -> Figure:
    """Cost against each of ``_FRONTIERS``, a point a policy. Bars are the intervals of the differences to the first, which are what can be told apart."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    results = by_measure(trial.results)
    for axes, (measure, scale, words, form) in zip(
        figure.subplots(1, len(_FRONTIERS), sharey=True), _FRONTIERS, strict=True
    ):
        for at, name in enumerate(trial.tallies):
            colour = PALETTE[at % len(PALETTE)]
            found = results[measure][name], results["cost_per_order"][name]
            _point(axes, found, scale, (name, colour), above=at % 2 == 0)
        axes.set_xlabel(words)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _, form=form: form.format(value)))
        axes.margins(0.2)
    figure.axes[0].set_ylabel(f"{trial.stream.currency_code} a parcel order")
    return figure


def _point(axes: Axes, found: tuple[Result, Result], scale: float, look: tuple[str, str], *, above: bool) -> None:
    """``look``: name and colour, the name above the point or below it, for points may lie close together."""
    name, colour = look
    across, up = found[0].value, found[1].value
    if across is None or up is None:
        return
    x, y = scale * across.value, up.value / _MICROS
    wide, high = _bars(found[0].difference, scale), _bars(found[1].difference, 1 / _MICROS)
    axes.errorbar(x, y, xerr=wide, yerr=high, fmt="o", color=colour, markersize=7, label=name)
    axes.annotate(name, (x, y), xytext=(8, 6 if above else -14), textcoords="offset points", color=colour)


def _bars(interval: Interval | None, scale: float) -> list[list[float]] | None:
    if interval is None or interval.low is None or interval.high is None:
        return None
    return [[scale * (interval.value - interval.low)], [scale * (interval.high - interval.value)]]


def _days(trial: Trial) -> Figure:
    """Cost of a parcel order by day."""
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axes = figure.subplots()
    for at, (name, sums) in enumerate(trial.tallies.items()):
        cost, sent = column(sums, "carrier_micros", "handling_micros"), column(sums, "sent_orders")
        days = np.flatnonzero(sent)
        axes.plot(
            days,
            cost[days] / sent[days] / _MICROS,
            color=PALETTE[at % len(PALETTE)],
            linewidth=1.4,
            marker="o" if len(days) < 40 else "",
            markersize=3,
            label=name,
        )
    axes.set_xlabel("day")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(f"{trial.stream.currency_code} a parcel order")
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=max(len(trial.tallies), 1), borderaxespad=0.2)
    return figure
