"""The report on a terminal."""

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from engine.demo import figures
from engine.demo.report import ChannelReport, Report

_WIDE = 96
"""Columns of a terminal that has room for the value."""
_LEGEND = {
    "value": "what buyers were asked for, in the store's currency",
    "refused": "orders that got nothing",
    "fill": "units fulfilled or allocated by units asked; the total leaves out tills",
    "split": "orders that left in several parcels",
    "cost": "carrier and handling of an order that was sent",
    "zone": "mean carrier zone of the parcels",
    "back": "units returned",
}
"""The page explains each figure in full."""


def print_report(report: Report, console: Console) -> None:
    """Prints the whole report."""
    console.print(
        Group(
            _channels(report, wide=console.width >= _WIDE),
            _legend(),
            Text(),
            _calls(report),
            Text(),
            _facts(report),
            _verdict(report),
        )
    )


def _channels(report: Report, *, wide: bool) -> Table:
    table = _table(f"{report.scenario}: what buyers wanted, and what became of it", "channel")
    names = (
        "orders",
        "units",
        *(("value",) if wide else ()),
        "refused",
        "fill",
        "parcels",
        "split",
        "cost",
        "zone",
        "back",
    )
    table.collapse_padding = not wide
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    for one in report.channels:
        table.add_row(*_channel(one, one.fill_rate, wide=wide))
    table.add_section()
    table.add_row(*_channel(report.total, report.promised.fill_rate, wide=wide), style="bold")
    return table


def _channel(one: ChannelReport, fill_rate: float | None, *, wide: bool) -> list[str]:
    return [
        one.channel,
        figures.count(one.orders),
        figures.count(one.units),
        *([figures.money(one.value_micros, 0)] if wide else ()),
        figures.count(one.refused_orders),
        figures.share(fill_rate).replace(" %", "%"),
        figures.count(one.packages),
        figures.share(one.split_rate).replace(" %", "%"),
        figures.money(one.cost_per_order_micros),
        figures.number(one.mean_zone, 2),
        figures.count(one.returned_units),
    ]


def _calls(report: Report) -> Table:
    table = _table(f"Latency seen by the callers, {report.in_flight} in flight, ms", "call")
    for name in ("calls", "p50", "p99", "longest"):
        table.add_column(name, justify="right")
    for one in report.calls:
        table.add_row(
            one.call,
            figures.count(one.count),
            figures.milliseconds(one.p50_ms),
            figures.milliseconds(one.p99_ms),
            figures.milliseconds(one.max_ms),
        )
    return table


def _facts(report: Report) -> Table:
    table = Table.grid(padding=(0, 2))
    play = report.seconds.get("play", 0.0)
    rows = [
        (
            "played",
            (
                f"{report.total.orders:,} orders by {report.calls_total:,} calls in {figures.seconds(play)}: "
                f"{report.orders_per_s:,.0f} orders, {report.calls_per_s:,.0f} calls a second"
            ),
        ),
        (
            "journal",
            f"{report.journal_seq:,} decisions, {figures.size(report.footprint.journal_bytes)}",
        ),
        (
            "shortages",
            (
                f"{report.shortage_units:,} units in {report.shortage_cell_count:,} cells; "
                f"{report.short_order_units:,} units of open orders that no node has"
            ),
        ),
        (
            "in all",
            f"{figures.seconds(report.elapsed_s)}: "
            + ", ".join(f"{k} {figures.seconds(v)}" for k, v in report.seconds.items()),
        ),
    ]
    if report.footprint.cpu_s is not None:
        used = f"{figures.seconds(report.footprint.cpu_s)} of processor time, {figures.size(report.footprint.memory_bytes)} of memory"
        rows.append(("server", used))
    rows += [("unforeseen", f"{name}: {example}") for name, example in report.surprises.items()]
    for name, text in rows:
        table.add_row(Text(name, "dim"), Text(text))
    return table


def _verdict(report: Report) -> RenderableType:
    audit, recount = report.audit, report.recount
    how = ", journal replayed and compared" if audit.replayed else ""
    lines = [
        f"oversold: {recount.units_oversold:,} units",
        f"audit: {'clean' if audit.ok else 'BROKEN'} ({audit.cell_count:,} cells{how})",
        (
            f"recount: {'clean' if recount.is_ok else f'{recount.finding_count:,} FINDINGS'} "
            f"({recount.event_count:,} events, {recount.promise_count:,} promises checked, {recount.compared_cell_count:,} cells compared)"
        ),
    ]
    lines += [f"  audit: {finding}" for finding in audit.findings[:5]]
    lines += [f"  recount: {finding}" for finding in recount.findings[:5]]
    lines += [f"failed: {name}, {count:,} times" for name, count in report.errors.items()]
    if report.example_of_error:
        lines.append(f"  for example: {report.example_of_error}")
    if report.interrupted:
        lines.append("ended early: figures are of what was reached")
    return Panel(Text("\n".join(lines)), border_style="green" if report.is_ok else "red", expand=False)


def _legend() -> RenderableType:
    return Text(" · ".join(f"{name}: {meaning}" for name, meaning in _LEGEND.items()), "dim")


def _table(title: str, first: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="dim",
        box=None,
        padding=(0, 1),
        pad_edge=False,
    )
    table.add_column(first, no_wrap=True)
    return table
