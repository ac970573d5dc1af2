"""Policies beside each other on the same streams: a table for people, a picture, and the figures of a run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from benchmarks.quality.bound import hindsight
from benchmarks.quality.player import POLICIES, Policy, play
from benchmarks.quality.streams import Family, drawn

POLICY_NAMES = tuple(policy.name for policy in POLICIES)


class Result(NamedTuple):
    """One stream under every policy, micros."""

    family: str
    seed: int
    bound: int
    totals: dict[str, int]

    def above(self, policy: str) -> float:
        """Cost above the hindsight bound, as a share of it."""
        return self.totals[policy] / self.bound - 1

    def closed(self, policy: str, base: str = "myopic") -> float:
        """Share of the gap from ``base`` to the bound that the policy closes."""
        return (self.totals[base] - self.totals[policy]) / (self.totals[base] - self.bound)


def compared(family: Family, seed: int, policies: tuple[Policy, ...] = POLICIES) -> Result:
    """Play one stream. Asserts that the bound is proved and that nothing beats it."""
    stream = drawn(family, seed)
    bound = hindsight(stream)
    assert bound.dual_micros <= bound.flow_micros
    totals = {policy.name: play(stream, policy, seed).total for policy in policies}
    assert min(totals.values()) >= bound.dual_micros
    return Result(family.name, seed, bound.dual_micros, totals)


def all_compared(families: tuple[Family, ...], seeds: tuple[int, ...], processes: int) -> list[Result]:
    """Every family and seed, in this order whatever finishes first."""
    work = [(family, seed) for family in families for seed in seeds]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(compared, *zip(*work, strict=True)))


def figures(results: list[Result]) -> dict[str, float]:
    """Means over the seeds: ``gap_closed_<family>``, and ``gap_kept_with_noise`` over all but the fast family."""
    closed, noisy = _by_family(results, "priced"), _by_family(results, "priced_noisy")
    slow = [family for family in closed if not family.startswith("fast")]
    found = {f"gap_closed_{family}": share for family, share in closed.items()}
    kept = fmean(noisy[family] for family in slow) / fmean(closed[family] for family in slow)
    return {**found, "gap_kept_with_noise": kept}


def _by_family(results: list[Result], policy: str) -> dict[str, float]:
    families = dict.fromkeys(result.family for result in results)
    return {
        family: fmean(result.closed(policy) for result in results if result.family == family) for family in families
    }


def table(results: list[Result]) -> Iterator[str]:
    """Cost above the bound, and the share of the gap closed from myopic / from nearest, in per cent; then the spread over seeds."""
    families = list(dict.fromkeys(result.family for result in results))
    yield f"{'policy':14}" + "".join(f"{family:>26}" for family in families)
    for policy in POLICY_NAMES:
        cells = []
        for family in families:
            own = [result for result in results if result.family == family]
            above = 100 * fmean(result.above(policy) for result in own)
            closed, whole = (
                100 * fmean(result.closed(policy, base) for result in own) for base in ("myopic", "nearest")
            )
            cells.append(f"{above:+8.2f} ({closed:4.0f} / {whole:4.0f})")
        yield f"{policy:14}" + "".join(f"{cell:>26}" for cell in cells)
    for family in families:
        shares = [f"{100 * result.closed('priced'):.1f}" for result in results if result.family == family]
        yield f"gap closed by seed, {family}: {', '.join(shares)}"


def draw(results: list[Result], path: Path) -> None:
    """The table as a picture (SVG): bars of the cost above the bound, a dot a seed."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "stockpool",
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    families = list(dict.fromkeys(result.family for result in results))
    width = 0.8 / len(POLICY_NAMES)
    with mpl.rc_context(style):
        figure = Figure(figsize=(9.6, 4.2), layout="constrained")
        axes = figure.subplots()
        for number, policy in enumerate(POLICY_NAMES):
            for at, family in enumerate(families):
                shares = [100 * result.above(policy) for result in results if result.family == family]
                place = at + (number - (len(POLICY_NAMES) - 1) / 2) * width
                axes.bar(place, fmean(shares), width * 0.9, color=f"C{number}", label=policy if at == 0 else None)
                axes.scatter([place] * len(shares), shares, s=9, color="black", zorder=3)
        axes.set_xticks(range(len(families)), families)
        axes.set_ylabel("cost above the hindsight bound, %")
        axes.legend(frameon=False, ncols=len(POLICY_NAMES))
        figure.savefig(path, format="svg", metadata={"Date": None})
