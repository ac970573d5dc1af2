"""The figures of a run: noted one by one, kept as JSON lines in ``history.jsonl``, shown beside those of earlier runs.

A line is ``{"commit", "machine", "time", "name", "value", "unit"}``. ``commit`` ends in "+" when the source had been changed since;
``machine`` tells processor, number of processors, memory and Python, for figures of different machines are not compared.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
HISTORY = Path(__file__).with_name("history.jsonl")
BUSY = 0.25
"""Load for each processor beyond which a machine is not idle."""
COMPARED_MAX = 5
"""Earlier runs whose median a figure is compared with."""

GOALS = {
    "unary_over_echo": ("≥", 0.95),
    "unary_1_over_echo": ("≥", 0.5),
    "batch_1000_sqlite_per_s": ("≥", 600_000),
    "batch_1000_pg_per_s": ("≥", 350_000),
    "batch_over_pg_procedure": ("≥", 90),
    "batch_over_pg_batch_procedure": ("≥", 20),
    "batch_over_redis_always": ("≥", 10),
    "unary_over_asyncpg_service": ("≥", 2),
    "envoy_unary_over_echo": ("≥", 5),
    "envoy_unary_over_pg_procedure": ("≥", 2),
    "batch_over_journal": ("≥", 0.5),
    "hot_over_uniform": ("≥", 0.9),
    "cells_20m_over_1m": ("≥", 0.8),
    "replay_over_batch": ("≥", 8),
    "route_3_lines_1573_nodes_us": ("≤", 50),
    "route_3_lines_505_nodes_us": ("≤", 6),
    "route_8_lines_505_nodes_us": ("≤", 30),
    "route_3_lines_5005_nodes_us": ("≤", 60),
    "route_8_lines_5005_nodes_us": ("≤", 300),
    "route_8_lines_5005_nodes_p99_us": ("≤", 1_000),
    "route_8_lines_5005_nodes_all_p99_us": ("≤", 1_000),
    "multi_item_over_dlp_small": ("≤", 1.025),
    "multi_item_over_dlp_large": ("≤", 1.010),
    "routed_reserve_added_p50_ms": ("≤", 0.2),
    "replay_per_s": ("≥", 200_000),
    "cells_20m_bytes": ("≤", 3 * 10**9),
    "cold_start_s": ("≤", 30),
    "warm_start_s": ("≤", 3),
    "expiry_pause_ms": ("≤", 50),
    "gap_closed_balanced": ("≥", 0.52),
    "gap_closed_scarce": ("≥", 0.33),
    "gap_closed_abundant": ("≥", 0.36),
    "gap_kept_with_noise": ("≥", 0.8),
    "price_refresh_s": ("≤", 10),
    "refresh_service_s": ("≤", 10),
    "refresh_writer_pause_ms": ("≤", 20),
    "overload_over_peak": ("≥", 0.8),
    "overload_p99_over_peak": ("≤", 2),
    "availability_100_skus_1573_nodes_ms": ("≤", 1),
    "watch_writer_slowed": ("≤", 1.1),
    "watch_same_writer_slowed": ("≤", 1.1),
    "wave_1000_gap": ("≤", 0.2),
    "wave_1000_s": ("≤", 1),
    "wave_5000_gap": ("≤", 0.1),
    "wave_5000_s": ("≤", 5),
    "wave_10000_gap": ("≤", 0.15),
    "wave_10000_s": ("≤", 30),
}
"""What was aimed at on two processors."""

Note = Callable[[str, float, str], None]
"""Notes a figure of this run: its name, value and unit. The name's ending is the unit where it has one."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the history."""

    commit: str
    machine: str
    time: str
    name: str
    value: float
    unit: str


class Run:
    """The figures of this run; they share commit, machine and time."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self._commit = _commit()
        self._machine = _machine()
        self._time = datetime.now(UTC).isoformat(timespec="seconds")
        self.load = os.getloadavg()[0] / (os.cpu_count() or 1)
        """What others did when the run began: processes that wanted a processor, a processor, over the last minute."""

    def note(self, name: str, value: float, unit: str) -> None:
        """Remember a figure, rounded to four digits."""
        rounded = float(f"{value:.4g}")
        whole = int(rounded) if rounded.is_integer() else rounded
        self.figures.append(Figure(self._commit, self._machine, self._time, name, whole, unit))

    def append_to(self, path: Path = HISTORY) -> None:
        """Add the figures to the history."""
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(figure), ensure_ascii=False) + "\n" for figure in self.figures)

    def table(self, earlier: Iterable[Figure]) -> Iterator[str]:
        """The figures as lines of text, beside the median of the latest runs on this machine, and the goal where there is one."""
        before: dict[str, list[float]] = {}
        for figure in earlier:
            if figure.machine == self._machine:
                before.setdefault(figure.name, []).append(figure.value)
        yield f"{'figure':40} {'value':>14} {'before':>14} {'goal':>16}  unit"
        for figure in self.figures:
            known = before.get(figure.name, [])[-COMPARED_MAX:]
            past = shown(median(known)) if known else ""
            sign, goal = GOALS.get(figure.name, ("", 0))
            aim = f"{sign} {shown(goal)}" if sign else ""
            yield f"{figure.name:40} {shown(figure.value):>14} {past:>14} {aim:>16}  {figure.unit}"


def earlier_figures(path: Path = HISTORY) -> list[Figure]:
    """The whole history, oldest first; empty when there is none yet."""
    if not path.exists():
        return []
    return [Figure(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines() if line]


def shown(value: float) -> str:
    """A figure for people: 61,200 or 0.853."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:,.4g}"


def _commit() -> str:
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()


def _machine() -> str:
    model = platform.machine()
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        told = ""
    for line in told.splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 10**9
    return f"{model}, {os.cpu_count()} CPUs, {gigabytes:.0f} GB, Python {platform.python_version()}"
