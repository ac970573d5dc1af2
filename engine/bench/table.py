"""The result of a run for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from engine.bench.run import QUANTILES, Measured
from engine.bench.session import Result
from engine.bench.tally import LATE_S
from stockpool.v1 import types_pb2


def print_result(result: Result, screen: Console) -> None:
    """A row a point, what failed, and what the recount found."""
    first = result.measured[0].point
    goods = f"{first.lines} lines each" + (f", {first.hot:.0%} of them want one hot SKU" if first.hot else ", uniform")
    screen.print(
        f"{result.where}; {goods}; {first.seconds:g} s after {first.warm_up_s:g} s of warm-up; latencies in ms"
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("call", "loop"):
        table.add_column(name, no_wrap=True)
    for name in ("calls/s", "granted/s", *(name for name, _ in QUANTILES), "max"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in result.measured:
        call = one.point.call if one.point.items == 1 else f"{one.point.call} {one.point.items:,}"
        times = [_ms(value) for value in one.latencies_ms().values()]
        table.add_row(call, one.point.loop, f"{one.calls_per_s:,.0f}", f"{one.granted_per_s:,.0f}", *times)
    screen.print(table)
    for one in result.measured:
        for line in troubles(one):
            screen.print(f"{one.point.call}, {one.point.loop}: {line}", markup=False)
    found = result.recount
    if found is None:
        screen.print("not recounted: the store is not the bench's own; `stockpool audit` looks at all of it")
        return
    maybe = f", {found.unknown_units:,} without an answer" if found.unknown_units else ""
    verdict = "zero oversold" if found.is_ok else f"{len(found.problems):,} PROBLEMS"
    screen.print(f"recounted: {found.skus:,} SKUs, {found.granted_units:,} units granted{maybe}: {verdict}")
    for problem in found.problems[:20]:
        screen.print(f"  {problem}", markup=False)


def troubles(measured: Measured) -> list[str]:
    """What was refused or failed, in words."""
    told = [
        f"{count:,} reservations {types_pb2.Outcome.Name(outcome)}"
        for outcome, count in sorted(measured.tally.outcomes.items())
        if outcome != types_pb2.OUTCOME_OK
    ]
    if measured.tally.late:
        told.append(
            f"{measured.tally.late:,} calls were sent more than {LATE_S * 1e3:g} ms after they were due: the load was busy, not only the server; "
            "more --processes where there are more processors"
        )
    return told + [f"{count:,} calls failed: {name}" for name, count in sorted(measured.tally.failures.items())]


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
