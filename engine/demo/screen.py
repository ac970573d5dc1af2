"""What a person sees while the demo runs: a live picture on a terminal, plain lines anywhere else."""

from dataclasses import dataclass
from time import perf_counter
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

_LINE_EVERY_S = 5.0
_BLOCKS = "▁▂▃▄▅▆▇█"
_SPARKS = 48


@dataclass(frozen=True, slots=True)
class Picture:
    """The run at one moment. ``latency_ms``: call, p50 and p99 of the busiest calls."""

    day: int
    days: int
    orders: int
    orders_per_s: float
    calls_per_s: float
    available_units: int
    reserved_units: int
    allocated_units: int
    shortage_units: int
    short_order_units: int
    open_reservations: int
    open_orders: int
    refused_orders: int
    latency_ms: tuple[tuple[str, float, float], ...]


class Screen(Protocol):
    """Shows how far a run is. Phases follow one another."""

    def begin(self, phase: str, total: int | None = None) -> None:
        """A phase begins; ``total`` is how far it has to go, None when that is not known."""

    def advance(self, done: int) -> None:
        """The phase is this far."""

    def end(self, detail: str) -> None:
        """The phase is over; ``detail`` says what came of it in a few words."""

    def show(self, picture: Picture) -> None:
        """The numbers of the moment."""

    def say(self, line: str) -> None:
        """Something that should stay on the screen."""

    def close(self) -> None:
        """The last thing."""


def open_screen(console: Console, title: str) -> Screen:
    """The screen that suits a console."""
    return (
        LiveScreen(console, title)
        if console.is_terminal and not console.is_dumb_terminal
        else LineScreen(console, title)
    )


class LineScreen:
    """Plain lines: one when a phase ends, and one every few seconds while orders are played."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._phase = ""
        self._begun = perf_counter()
        self._total: int | None = None
        self._said = 0.0
        self.say(title)

    def begin(self, phase: str, total: int | None = None) -> None:
        """Remembers when."""
        self._phase, self._total, self._begun = phase, total, perf_counter()
        self._said = self._begun

    def advance(self, done: int) -> None:
        """Says so now and then."""
        now = perf_counter()
        if now - self._said >= _LINE_EVERY_S:
            self._said = now
            self.say(f"{self._phase}: {_of(done, self._total)}")

    def end(self, detail: str) -> None:
        """One line."""
        self.say(f"{self._phase}: {detail} ({perf_counter() - self._begun:.1f} s)")

    def show(self, picture: Picture) -> None:
        """One line every few seconds."""
        now = perf_counter()
        if now - self._said < _LINE_EVERY_S:
            return
        self._said = now
        left = _left(picture.orders, self._total, now - self._begun)
        self.say(
            f"{self._phase}: day {picture.day}/{picture.days}, {_of(picture.orders, self._total)} orders, "
            f"{picture.orders_per_s:,.0f}/s{left}, available to sell {picture.available_units:,}, "
            f"open reservations {picture.open_reservations:,}, open orders {picture.open_orders:,}, "
            f"shortage {picture.shortage_units:,}"
        )

    def say(self, line: str) -> None:
        """Prints it."""
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def close(self) -> None:
        """Nothing to put away."""


class LiveScreen:
    """A picture that is drawn again in place, twice a second."""

    def __init__(self, console: Console, title: str) -> None:
        self._console = console
        self._title = title
        self._done: list[tuple[str, str, float]] = []
        self._phase = ""
        self._begun = perf_counter()
        self._picture: Picture | None = None
        self._rates: list[float] = []
        self._progress = self._bar(total=None)
        self._task: TaskID | None = None
        self._live = Live(console=console, refresh_per_second=2, get_renderable=self._render, transient=True)
        self._live.start()

    def begin(self, phase: str, total: int | None = None) -> None:
        """Shows a bar for it."""
        self._phase, self._begun = phase, perf_counter()
        self._progress = self._bar(total)
        self._task = self._progress.add_task(phase, total=total)

    def advance(self, done: int) -> None:
        """Moves the bar."""
        if self._task is not None:
            self._progress.update(self._task, completed=done)

    def end(self, detail: str) -> None:
        """Ticks the phase off."""
        self._done.append((self._phase, detail, perf_counter() - self._begun))
        self._task = None

    def show(self, picture: Picture) -> None:
        """Shows the numbers, and the rate as one more step of the little curve."""
        self._picture = picture
        self._rates = [*self._rates, picture.orders_per_s][-_SPARKS:]
        self.advance(picture.orders)

    def say(self, line: str) -> None:
        """Prints it above the picture."""
        self._live.console.print(line, markup=False, highlight=False)

    def close(self) -> None:
        """Leaves the phases as plain lines behind."""
        self._live.stop()
        for phase, detail, seconds in self._done:
            self._console.print(f"[green]✓[/green] {phase}: {detail} [dim]({seconds:.1f} s)[/dim]", highlight=False)

    def _bar(self, total: int | None) -> Progress:
        begin = (SpinnerColumn(), TextColumn("{task.description}"))
        how_far = (BarColumn(bar_width=None), MofNCompleteColumn(), TextColumn("left"), TimeRemainingColumn())
        columns = (*begin, *(how_far if total else ()), TimeElapsedColumn())
        return Progress(*columns, console=self._console, auto_refresh=False, expand=bool(total))

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [_phases(self._done)]
        if self._picture is not None:
            parts.append(_numbers(self._picture, self._rates))
        if self._task is not None:
            parts.append(self._progress)
        return Panel(Group(*parts), title=self._title, title_align="left", border_style="cyan")


def _phases(done: list[tuple[str, str, float]]) -> Table:
    table = Table.grid(padding=(0, 2))
    for phase, detail, seconds in done:
        table.add_row(Text("✓", "green"), phase, Text(detail), Text(f"{seconds:.1f} s", "dim"))
    return table


def _numbers(picture: Picture, rates: list[float]) -> RenderableType:
    left, right = Table.grid(padding=(0, 2)), Table.grid(padding=(0, 2))
    for name, value, style in (
        ("orders a second", f"{picture.orders_per_s:,.0f}", "bold"),
        ("calls a second", f"{picture.calls_per_s:,.0f}", ""),
        ("available to sell", f"{picture.available_units:,}", ""),
        ("reserved · allocated", f"{picture.reserved_units:,} · {picture.allocated_units:,}", ""),
        ("open reservations · orders", f"{picture.open_reservations:,} · {picture.open_orders:,}", ""),
        ("refused orders", f"{picture.refused_orders:,}", ""),
        ("shortage units", f"{picture.shortage_units:,}", "yellow" if picture.shortage_units else ""),
        ("short order units", f"{picture.short_order_units:,}", "yellow" if picture.short_order_units else ""),
    ):
        left.add_row(Text(name, "dim"), Text(value, style))
    right.add_row(Text("day", "dim"), f"{picture.day} of {picture.days}", "")
    right.add_row(Text("latency, ms", "dim"), Text("p50", "dim"), Text("p99", "dim"))
    for call, p50, p99 in picture.latency_ms:
        right.add_row(call, f"{p50:.1f}", f"{p99:.1f}")
    both = Table.grid(padding=(0, 6))
    both.add_row(left, right)
    return Group(Text(_sparks(rates), "cyan"), both)


def _sparks(values: list[float]) -> str:
    highest = max(values, default=0.0)
    if highest <= 0:
        return ""
    return "".join(_BLOCKS[min(int(value / highest * len(_BLOCKS)), len(_BLOCKS) - 1)] for value in values)


def _of(done: int, total: int | None) -> str:
    return f"{done:,}" if total is None else f"{done:,} of {total:,}"


def _left(done: int, total: int | None, elapsed_s: float) -> str:
    if not total or not done:
        return ""
    seconds = round(elapsed_s * max(total - done, 0) / done)
    return f", {seconds // 60}:{seconds % 60:02d} left"
