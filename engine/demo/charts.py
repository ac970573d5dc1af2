"""The charts of the report, each as one SVG picture that stands inside the page."""

import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from engine.demo.report import Bucket, ChannelReport, Report

PALETTE = ("#2563eb", "#0d9488", "#d97706", "#9333ea", "#dc2626", "#4d7c0f", "#0891b2", "#be185d")
_INK = "#334155"
_FAINT = "#e2e8f0"
_MICROS = 1_000_000
_WEEK = 7
_DAILY_MAX = 60
"""Up to so many days rates are drawn by day; beyond, by week."""
WIDTH = 9.6
STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "stockpool",
    "axes.edgecolor": _FAINT,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _FAINT,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": _INK,
    "legend.frameon": False,
    "legend.handlelength": 1.0,
}


def draw_charts(report: Report) -> dict[str, str]:
    """SVG by name: orders, fill, cost, zones, latency, pace, stock. A chart that would show nothing is left out."""
    drawings: dict[str, tuple[Callable[[Report], Figure], bool]] = {
        "orders": (_orders, bool(report.buckets)),
        "fill": (_fill, any(one.units for one in _shipping(report))),
        "cost": (_cost, report.total.sent_orders > 0),
        "zones": (_zones, report.total.packages > 0),
        "latency": (_latency, bool(report.calls)),
        "pace": (_pace, len(report.samples) > 2),
        "stock": (_stock, len(report.samples) > 2),
    }
    with mpl.rc_context(STYLE):
        return {name: svg_of(draw(report)) for name, (draw, wanted) in drawings.items() if wanted}


def is_weekly(report: Report) -> bool:
    """Whether rates are drawn by week: the run is long."""
    return report.bucket_hours == 24 and report.days > _DAILY_MAX


def colour_of(report: Report, channel: str) -> str:
    """The colour that a channel has in every chart and table."""
    names = [one.channel for one in report.channels]
    return PALETTE[names.index(channel) % len(PALETTE)]


def _orders(report: Report) -> Figure:
    figure, axes = _canvas(2.9)
    span = _span(report)
    below = [0] * len(span)
    for channel in report.channels:
        row = {one.index: one.orders for one in _of(report, channel.channel)}
        values = [row.get(index, 0) for index in span]
        axes.bar(span, values, 0.86, bottom=below, color=colour_of(report, channel.channel), label=channel.channel)
        below = [low + value for low, value in zip(below, values, strict=True)]
    axes.set_ylabel("orders an hour" if report.bucket_hours == 1 else "orders a day")
    axes.yaxis.set_major_formatter(_thousands())
    _time_axis(axes, report)
    _legend(axes, len(report.channels))
    return figure


def _fill(report: Report) -> Figure:
    figure, axes = _canvas(2.5)
    for channel in _shipping(report):
        points = [(one.index, one.filled_units / one.units) for one in _smooth(report, channel.channel) if one.units]
        _line(axes, points, colour_of(report, channel.channel), channel.channel)
    axes.set_ylabel("units filled")
    axes.yaxis.set_major_formatter(_percent())
    axes.set_ylim(top=1.002)
    _time_axis(axes, report)
    _legend(axes, len(report.channels))
    return figure


def _cost(report: Report) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.5), layout="constrained")
    money, split = figure.subplots(1, 2)
    for channel in _shipping(report):
        colour = colour_of(report, channel.channel)
        sent = [one for one in _smooth(report, channel.channel) if one.sent_orders]
        if not sent:
            continue
        _line(
            money, [(one.index, one.cost_micros / one.sent_orders / _MICROS) for one in sent], colour, channel.channel
        )
        _line(split, [(one.index, one.split_orders / one.sent_orders) for one in sent], colour, channel.channel)
    money.set_ylabel(f"{report.currency_code} an order")
    money.set_ylim(bottom=0)
    split.set_ylabel("orders in several packages")
    split.yaxis.set_major_formatter(_percent())
    split.set_ylim(bottom=0)
    for axes in (money, split):
        _time_axis(axes, report, ticks=6)
    _legend(money, 4)
    return figure


def _zones(report: Report) -> Figure:
    figure, axes = _canvas(2.5)
    channels = [one for one in report.channels if one.packages]
    zones = sorted({zone for one in channels for zone in one.zones})
    width = 0.8 / max(len(channels), 1)
    for position, channel in enumerate(channels):
        places = [index + (position - (len(channels) - 1) / 2) * width for index in range(len(zones))]
        shares = [channel.zones.get(zone, 0) / channel.packages for zone in zones]
        axes.bar(places, shares, width * 0.92, color=colour_of(report, channel.channel), label=channel.channel)
    axes.set_xticks(range(len(zones)), [f"zone {zone}" for zone in zones])
    axes.set_ylabel("share of packages")
    axes.yaxis.set_major_formatter(_percent())
    _legend(axes, len(channels))
    return figure


def _latency(report: Report) -> Figure:
    calls = sorted(report.calls, key=lambda one: -one.p50_ms)
    figure, axes = _canvas(0.7 + 0.24 * len(calls))
    rows = range(len(calls))
    axes.hlines(rows, [one.p50_ms for one in calls], [one.p99_ms for one in calls], color="#cbd5e1", linewidth=3)
    axes.scatter([one.p50_ms for one in calls], rows, color=PALETTE[0], s=26, zorder=3, label="p50")
    axes.scatter([one.p99_ms for one in calls], rows, color=PALETTE[2], s=26, zorder=3, label="p99")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g} ms"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_yticks(rows, [one.call for one in calls])
    axes.spines["left"].set_visible(False)
    _legend(axes, 2)
    return figure


def _pace(report: Report) -> Figure:
    figure, axes = _canvas(2.2)
    steps = list(pairwise(report.samples))
    middle = [(before.at_s + after.at_s) / 2 for before, after in steps]
    for name, colour in (("calls", PALETTE[1]), ("orders", PALETTE[0])):
        rates = [
            (getattr(after, name) - getattr(before, name)) / max(after.at_s - before.at_s, 1e-9)
            for before, after in steps
        ]
        axes.plot(middle, rates, color=colour, linewidth=1.4, label=f"{name} a second")
    axes.set_xlabel("seconds since the first order")
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(_thousands())
    _legend(axes, 2)
    return figure


def _stock(report: Report) -> Figure:
    figure = Figure(figsize=(WIDTH, 2.3), layout="constrained")
    free, promised = figure.subplots(1, 2)
    at = [one.at_s for one in report.samples]
    free.plot(
        at, [one.available_units for one in report.samples], color=PALETTE[1], linewidth=1.4, label="available to sell"
    )
    for name, label, colour in (
        ("allocated_units", "allocated", PALETTE[0]),
        ("reserved_units", "reserved", PALETTE[3]),
        ("shortage_units", "shortage", PALETTE[4]),
        ("short_order_units", "short in orders", PALETTE[2]),
    ):
        promised.plot(at, [getattr(one, name) for one in report.samples], color=colour, linewidth=1.4, label=label)
    for axes in (free, promised):
        axes.set_xlabel("seconds since the first order")
        axes.set_ylabel("units")
        axes.yaxis.set_major_formatter(_thousands())
        _legend(axes, 4)
    promised.set_ylim(bottom=0)
    return figure


# --- what the charts have in common ---


def _canvas(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.subplots()


def svg_of(figure: Figure) -> str:
    """A figure as a picture that stands inside a page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _line(axes: Axes, points: Sequence[tuple[int, float]], colour: str, label: str) -> None:
    marker = "o" if len(points) < 40 else ""
    axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.4, marker=marker, markersize=3, label=label)


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=max(columns, 1), borderaxespad=0.2, columnspacing=1.4)


def _time_axis(axes: Axes, report: Report, ticks: int = 12) -> None:
    first = date.fromisoformat(report.first_day)

    def label(value: float, _: object) -> str:
        if report.bucket_hours == 1:
            return f"{int(value) % 24:02d}:00"
        day = first + timedelta(days=int(value))
        return f"{day.day} {day:%b}"

    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(label))
    axes.margins(x=0.01)


def _percent() -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{100 * value:g}%")


def _thousands() -> FuncFormatter:
    return FuncFormatter(lambda value, _: f"{value:,.0f}")


def _span(report: Report) -> range:
    indexes = [one.index for one in report.buckets]
    return range(min(indexes), max(indexes) + 1)


def _of(report: Report, channel: str) -> list[Bucket]:
    return [one for one in report.buckets if one.channel == channel]


def _smooth(report: Report, channel: str) -> list[Bucket]:
    """The buckets of a channel; in a long run those of a week together, at its first day, so that a rate is not all noise."""
    buckets = _of(report, channel)
    if not is_weekly(report):
        return buckets
    weeks: dict[int, list[Bucket]] = {}
    for one in buckets:
        weeks.setdefault(one.index // _WEEK, []).append(one)
    counts = ("orders", "units", "filled_units", "sent_orders", "split_orders", "cost_micros")
    return [
        Bucket(channel, week * _WEEK, **{name: sum(getattr(one, name) for one in days) for name in counts})
        for week, days in weeks.items()
    ]


def _shipping(report: Report) -> list[ChannelReport]:
    """The channels whose units have to be promised first: all but tills."""
    return [one for one in report.channels if one.channel not in report.till_channels]
