"""``stockpool simulate``: one stream of orders under several policies, by the code that decides in production."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import MISUSED, CommandFailed, console, print_json, reported

if TYPE_CHECKING:
    from engine.trials.run import Progress, Trial

_HINT = "stockpool simulate --policy cheapest --policy MINE.json --out FOLDER"


def simulate(
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            help="A file with a routing policy (JSON or TOML, fields as in the contract), or a built-in one; repeat it. The first is what "
            "the others are compared with. [default: all built-in ones]",
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Folder with files as `import` takes them, or with a pack. [default: the demo's invented chain]"
        ),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days to play.")] = 7,
    seed: Annotated[int, typer.Option(help="Makes the invented stream, and the intervals.")] = 1,
    out: Annotated[Path, typer.Option(help="Where everything goes: inputs, tables, the page.")] = Path("trial"),
    rerun: Annotated[
        Path | None,
        typer.Option("--rerun", metavar="FOLDER", help="Play a folder again from its own inputs, to the same bytes."),
    ] = None,
    bound: Annotated[
        bool, typer.Option(help="Compute the hindsight bound, which no policy can beat, and the gap of each to it.")
    ] = True,
    price_horizon_days: Annotated[
        int,
        typer.Option(
            min=1, max=365, help="How far ahead policies look that weigh prices: the days between two deliveries."
        ),
    ] = 7,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Policies that are played at a time. [default: one a processor]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the measures as JSON.")] = False,
) -> None:
    """Play one stream of orders under several policies, and compare what they cost and how well they serve.

    The production machine decides, without a server. Every policy meets the same buyers, rejections and returns, so differences are far more
    certain than the figures themselves.
    """
    with reported(as_json=as_json):
        if rerun is not None and (policy or data):
            why = "policies and stream of a rerun are those of its folder"
            raise CommandFailed("--rerun goes with neither --policy nor --data", why, code=MISUSED)
        if rerun is None:
            _prepare(out, policy or [], (data, days, seed), bounded=bound, price_horizon_days=price_horizon_days)
        folder = rerun or out
        trial = _run(folder, workers or os.cpu_count() or 1)
        page = _write_page(trial, folder / "report.html")
        if as_json:
            from engine.trials.comparison import RESULT_COLUMNS, result_rows

            print_json([dict(zip(RESULT_COLUMNS, row, strict=True)) for row in result_rows(trial.results)])
        else:
            _print(trial)
            typer.echo(f"report: {page}" if page else "no page: it needs the extra, pip install 'stockpool[demo]'")


def _prepare(
    out: Path, asked: list[str], source: tuple[Path | None, int, int], *, bounded: bool, price_horizon_days: int
) -> None:
    from engine.cli.demo import load_scenario
    from engine.trials.policies import BUILT_IN, EXAMPLE, PolicyUnreadable, contender
    from engine.trials.run import prepare
    from engine.trials.stream import stream_of

    try:
        contenders = [contender(each) for each in asked or BUILT_IN]
    except PolicyUnreadable as error:
        raise CommandFailed(
            "there is no such policy", str(error), f"a file holds, for one: {EXAMPLE}", MISUSED
        ) from None
    names = [each.name for each in contenders]
    if len(set(names)) < len(names):
        raise CommandFailed(
            "two policies have one name", f"names are those of the files: {', '.join(names)}", code=MISUSED
        )
    (data, days, seed), screen = source, console(stderr=True)
    with screen.status("making the stream"):
        stream = stream_of(load_scenario(seed, data, days, lambda text: screen.print(text, markup=False)), days)
    try:
        prepare(out, stream, contenders, seed, bounded=bounded, price_horizon_days=price_horizon_days)
    except OSError as error:
        raise CommandFailed(f"cannot write {out}", str(error), code=MISUSED) from None


def _run(folder: Path, workers: int) -> "Trial":
    from engine.cli.warm import warm_kernels
    from engine.trials.player import Unplayable
    from engine.trials.policies import PolicyUnreadable
    from engine.trials.run import BOUND, read_settings, run_trial
    from engine.trials.stream import StreamUnreadable

    try:
        settings = read_settings(folder)
    except (OSError, ValueError, KeyError, TypeError, PolicyUnreadable) as error:
        raise CommandFailed(f"{folder} is no folder of a trial", str(error), _HINT, MISUSED) from None
    warm_kernels()
    try:
        with _shown([*settings.policies, BOUND] if settings.bounded else [*settings.policies]) as progress:
            return run_trial(folder, progress, workers)
    except (StreamUnreadable, Unplayable) as error:
        raise CommandFailed("the stream cannot be played", str(error), _HINT) from None
    except OSError as error:
        raise CommandFailed(f"cannot write {folder}", str(error), code=MISUSED) from None


@contextmanager
def _shown(names: list[str]) -> "Iterator[Progress]":
    """A bar for each policy, in days, and one for the bound, in SKUs."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bars:
        tasks = {name: bars.add_task(name, total=None) for name in names}

        def progress(name: str, day: int, day_count: int) -> None:
            bars.update(tasks[name], completed=day, total=day_count)

        yield progress


def _write_page(trial: "Trial", path: Path) -> str | None:
    """Where the page is; None without the libraries that draw it."""
    try:
        from engine.trials.page import write_page
    except ImportError as error:
        if (error.name or "").startswith("engine"):
            raise
        return None
    write_page(trial, path)
    return str(path.resolve())


def _print(trial: "Trial") -> None:
    from rich.table import Table

    from engine.trials.comparison import MEASURES
    from engine.trials.wording import told_reach

    names = list(trial.tallies)
    table = Table(header_style="dim", box=None, padding=(0, 1))
    table.add_column("measure")
    for name in names:
        table.add_column(name, justify="right")
    found = {(each.policy, each.measure): each for each in trial.results}
    for before, measure in zip((None, *MEASURES), MEASURES, strict=False):
        if before is not None and before.group != measure.group:
            table.add_section()
        told = [told_reach(found[name, measure.name].value, measure.unit) for name in names]
        table.add_row(measure.name.replace("_", " "), *told)
        if len(names) > 1:
            apart = [told_reach(found[name, measure.name].difference, measure.unit, signed=True) for name in names[1:]]
            table.add_row("[dim]  less the first[/dim]", "", *(f"[dim]{text}[/dim]" for text in apart))
    console().print(table)
