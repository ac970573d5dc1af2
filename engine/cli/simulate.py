"""``stockpool simulate-faults``: a world in which everything fails, decided by one seed, and an auditor who believes nobody."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.output import FAILED, CommandFailed, console, print_json, reported

if TYPE_CHECKING:
    from engine.proof.simulation.campaign import Summary
    from engine.proof.simulation.run import Plan, Played


def simulate_faults(
    seed: Annotated[int, typer.Option(help="Decides everything that happens.")] = 1,
    commands: Annotated[int, typer.Option(min=1, help="Commands of each seed, over several worlds.")] = 10_000,
    seeds: Annotated[int, typer.Option(min=1, help="So many seeds, from the first on.")] = 1,
    world: Annotated[int, typer.Option(min=0, help="This world of each seed alone; 0: all of them.")] = 0,
    crashes_per_thousand: Annotated[
        float, typer.Option(min=0, max=1_000, help="Crashes for a thousand commands, about.")
    ] = 10.0,
    jobs: Annotated[int, typer.Option(min=0, help="Processes that share the worlds; 0: one a core.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON on standard output.")] = False,
) -> None:
    """Let everything fail that can fail, and check every promise after each group.

    Commands of every kind, hot SKUs, mass expiry, repeated and reordered requests, a clock that jumps, a disk that refuses, tears, delays
    and loses writes, crashes at any point, two processes on one journal. The engine's own step, codec and recovery run; an oracle that
    shares no code with them judges. The same seed gives the same journal, byte for byte. Exits with 1 when a promise breaks, and tells the
    shortest history that breaks it.
    """
    with reported(as_json=as_json):
        from engine.proof.simulation.run import plans

        chosen = [
            plan
            for each in range(seed, seed + seeds)
            for plan in plans(each, commands, crashes_per_thousand)
            if world in (0, plan.number)
        ]
        if not chosen:
            raise CommandFailed(f"there is no world {world}", f"{commands:,} commands make fewer worlds", code=2)
        summary, elapsed_s = _campaign(chosen, jobs)
        report = {"seed": seed, "seeds": seeds} | _report(summary, elapsed_s)
        if summary.broken is not None:
            report["broken"] = _broken(summary.broken, commands)
        if as_json:
            print_json(report)
        else:
            _print(report)
        if summary.broken is not None:
            raise typer.Exit(FAILED)


def _campaign(chosen: "list[Plan]", jobs: int) -> "tuple[Summary, float]":
    import os
    from time import perf_counter

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from engine.proof.simulation.campaign import campaign
    from engine.proof.simulation.upkeep import quiet

    total = sum(plan.commands for plan in chosen)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    begun = perf_counter()
    # A defect in deciding is logged by the engine and found by the auditor: once is enough.
    with quiet(), Progress(*columns, console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("commands", total=total)
        summary = campaign(chosen, jobs or os.cpu_count() or 1, lambda count: progress.advance(task, count))
    return summary, perf_counter() - begun


def _report(summary: "Summary", elapsed_s: float) -> dict[str, Any]:
    figures = summary.figures._asdict()
    rate = round(summary.figures.commands / elapsed_s) if elapsed_s else 0
    return {
        "worlds": summary.worlds,
        **figures,
        "journal_hash": summary.journal_hash,
        "elapsed_s": round(elapsed_s, 1),
        "commands_per_second": rate,
        "broken": None,
    }


def _broken(played: "Played", commands: int) -> dict[str, Any]:
    """The promise that broke, and the shortest history that breaks it."""
    from engine.proof.simulation.run import shortest

    assert played.broken is not None
    plan = played.plan
    screen = console(stderr=True)
    with screen.status("a promise is broken; looking for the shortest history that breaks it"):
        shrunk = shortest(plan)
    check, what = played.broken
    if shrunk.broken is not None:
        check, what = shrunk.broken.check, shrunk.broken.what
    crashes = "" if plan.crashes_per_thousand == 10 else f" --crashes-per-thousand {plan.crashes_per_thousand:g}"
    return {
        "seed": plan.seed,
        "world": plan.number,
        "check": check,
        "what": what,
        "commands": shrunk.history.command_count,
        "told_again": shrunk.broken is not None,
        "attempts": shrunk.run_count,
        "history": shrunk.history.told(),
        "rerun": f"stockpool simulate-faults --seed {plan.seed} --commands {commands} --world {plan.number}{crashes}",
    }


_LINES = (
    ("worlds", "worlds"),
    ("commands", "commands"),
    ("acknowledged", "  answered"),
    ("decisions", "  decided"),
    ("groups", "groups"),
    ("crashes", "crashes"),
    ("torn_writes", "  writes torn"),
    ("snapshots", "snapshots"),
    ("damaged_snapshots", "  damaged"),
    ("cuts", "cuts of the journal"),
    ("recoveries", "recoveries"),
    ("recoveries_from_snapshots", "  from a snapshot"),
    ("journal_bytes", "bytes of journal"),
    ("commands_per_second", "commands a second"),
)


def _print(report: dict[str, Any]) -> None:
    from rich.table import Table

    table = Table(show_header=False, box=None)
    table.add_row("seed", f"{report['seed']}" + (f" and {report['seeds'] - 1:,} more" if report["seeds"] > 1 else ""))
    for key, name in _LINES:
        table.add_row(name, f"{report[key]:,}")
    table.add_row("hash of the journals", report["journal_hash"])
    console().print(table)
    broken = report["broken"]
    if broken is None:
        typer.secho("no promise broken", fg=typer.colors.GREEN, bold=True)
        return
    typer.secho(f"broken: {broken['check']}", fg=typer.colors.RED, bold=True)
    typer.echo(broken["what"])
    if not broken["told_again"]:
        typer.echo("told again it does not break: something in it is decided by more than the seed")
    typer.echo(f"\nthe shortest history that breaks it, {broken['commands']:,} commands:\n\n{broken['history']}")
    typer.secho(f"\n{broken['rerun']}", bold=True)
