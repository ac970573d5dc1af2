"""``stockpool torture``: a real server under many clients, killed again and again, and the proof that nothing was lost."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import FAILED, CommandFailed, console, print_json, reported

if TYPE_CHECKING:
    from engine.proof.torture.report import Report
    from engine.proof.torture.run import Options

_TAKEOVER_EVERY = 20
"""Blows for which there is one takeover, unless asked for otherwise."""


class _Journal(StrEnum):
    sqlite = "sqlite"
    postgresql = "postgresql"


def torture(
    kills: Annotated[int, typer.Option(min=0, help="Blows: at the server, its database, the cable between them.")] = 20,
    takeovers: Annotated[
        int | None,
        typer.Option(
            min=0, help="Times that a second server takes over from a paused first one. [default: one in 20 blows]"
        ),
    ] = None,
    journal: Annotated[_Journal, typer.Option(help="Where the journal is.")] = _Journal.sqlite,
    seed: Annotated[int, typer.Option(help="What the clients ask for, and where the blows fall.")] = 1,
    clients: Annotated[int, typer.Option(min=1, max=512, help="Clients at one time.")] = 16,
    cold: Annotated[
        bool,
        typer.Option(
            "--cold", help="Start every server from scratch; else one in eight, the others from a warm process."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON on standard output.")] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the journal (SQLite) and the logs, and say where they are.")
    ] = False,
) -> None:
    """Kill a real server under load again and again, and prove that nothing it had told anybody was lost.

    Each time it starts again from its journal, mostly from a snapshot that its follower made meanwhile and what came after, and clients
    repeat with the same request ids what was not answered. In the end every answer that any client was given is held against the journal,
    asked for again, every unit is recounted, and the snapshots are compared with the whole journal, which is not cut here. Exits with 1
    when something is wrong.
    """
    with reported(as_json=as_json):
        from engine.proof.torture.run import Options

        options = Options(
            kills=kills,
            takeovers=kills // _TAKEOVER_EVERY if takeovers is None else takeovers,
            journal=journal.value,
            seed=seed,
            clients=clients,
            all_cold=cold,
        )
        report = _run(options, keep=keep, as_json=as_json)
        if as_json:
            print_json(report.as_json())
        else:
            _print(report)
        if not report.is_ok:
            raise typer.Exit(FAILED)


def _run(options: "Options", *, keep: bool, as_json: bool) -> "Report":
    import shutil
    import signal
    import tempfile

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is told to end takes the folder along
    folder = Path(tempfile.mkdtemp(prefix="stockpool-torture-"))
    try:
        return _torture(options, folder)
    finally:
        if keep:
            typer.echo(f"kept: {folder}", err=as_json)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _torture(options: "Options", folder: Path) -> "Report":
    import asyncio
    import os

    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # it would speak up whenever PostgreSQL is started
    from rich.progress import Progress

    from engine.proof.torture.postgres import PostgresFailedError, PostgresMissingError
    from engine.proof.torture.run import torture as run_torture

    with Progress(console=console(stderr=True), transient=True) as progress:
        task = progress.add_task("starting", total=options.kills + options.takeovers)

        def tell(count: int, name: str) -> None:
            progress.update(task, completed=count, description=name)

        try:
            return asyncio.run(run_torture(options, folder, tell))
        except PostgresMissingError as error:
            raise CommandFailed(
                "there is no PostgreSQL to torture", str(error), "stockpool torture --journal sqlite"
            ) from None
        except PostgresFailedError as error:
            raise CommandFailed("PostgreSQL did not start", str(error)) from None
        except TimeoutError:
            why = "it was struck and did not answer again"
            raise CommandFailed(
                "the server did not come back", why, "stockpool torture --keep (keeps its logs)"
            ) from None


def _print(report: "Report") -> None:
    from rich.table import Table

    screen = console()
    table = Table(show_header=False, box=None)
    for name, value in (
        ("blows", f"{report.kills:,}"),
        ("takeovers", f"{report.takeovers:,}"),
        ("answers to commands", f"{report.acknowledged:,}"),
        ("  lost", f"{report.lost:,}"),
        ("  asked for again", f"{report.asked_again:,}"),
        ("units oversold", f"{report.oversold:,}"),
        ("decided twice", f"{report.duplicates:,}"),
        ("clients without an answer", f"{report.unanswered:,}"),
        ("snapshots", f"{report.snapshots:,} made, {report.starts_from_snapshots:,} starts went on from one"),
        ("back after", f"{report.recovery_ms_p50:,} ms (median), {report.recovery_ms_max:,} ms (longest)"),
        ("took", f"{report.elapsed_s:,.0f} s, {report.clients} clients, {report.journal}, seed {report.seed}"),
    ):
        table.add_row(name, value)
    screen.print(table)
    for name, count in sorted(report.blows.items()):
        screen.print(f"  {count:4,} × {name}", style="dim", highlight=False)
    for finding in report.findings:
        typer.secho(finding, fg=typer.colors.RED, err=True)
    verdict = (
        "nothing lost, nothing oversold, nothing twice"
        if report.is_ok
        else f"{report.finding_count:,} things are wrong"
    )
    typer.secho(verdict, fg=typer.colors.GREEN if report.is_ok else typer.colors.RED, bold=True)
