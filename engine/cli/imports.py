"""``stockpool import``: files of another system, row by row, every bad one named."""

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.output import FAILED, MISUSED, CommandFailed, console, print_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from adapters.files import FileSource
    from adapters.port import RowError
    from engine.cli.intake import Intake

_KINDS = ("nodes", "skus", "counts", "orders", "returns")
_FORMATS = "stockpool import --help; the columns are described in adapters/README.md"
_ERRORS_IN_JSON = 10_000


def import_files(
    path: Annotated[
        Path, typer.Argument(help="A folder, or one file: nodes, skus, counts, orders or returns, .csv or .parquet.")
    ],
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help="Send nothing when any row of any file is bad.")
    ] = False,
    source: Annotated[str, typer.Option(help="The feed that speaks: its late and repeated counts are refused.")] = "",
    source_seq: Annotated[int, typer.Option(help="The feed's own ascending number.")] = 0,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Bring in nodes, SKUs, counts, orders and returns from CSV or Parquet files.

    A bad row is reported with its number and never stops the good ones, unless --all-or-nothing. Counts set what is on hand; orders are
    facts. Importing the same orders or returns again does nothing twice. Exits with 1 when a row did not go in.
    """
    with connected(server, token, authority, as_json=as_json, timeout_s=60.0) as client:
        from adapters.files import FileSource
        from adapters.tables import FileFormatError
        from engine.cli import intake as desk

        problems: list[RowError] = []

        def problem(error: "RowError") -> None:
            problems.append(error)
            if not as_json:
                typer.echo(str(error), err=True)

        try:
            reader = _source(FileSource, path)
            files = {kind: str(getattr(reader, f"{kind}_file")) for kind in _KINDS if getattr(reader, f"{kind}_file")}
            if all_or_nothing:
                _require_good(reader)
            with _bar(files, visible=not as_json) as advance:
                intake = desk.Intake(client, problem, advance, all_or_nothing, source, source_seq)
                intake.take(reader, files)
        except FileFormatError as error:
            raise CommandFailed("the file cannot be read", str(error), _FORMATS, code=MISUSED) from None
        _report(intake, problems, as_json=as_json)


def _source(reader: "type[FileSource]", path: Path) -> "FileSource":
    if path.is_dir():
        return reader.from_folder(path)
    if not path.is_file():
        raise CommandFailed(f"no such file or folder: {path}", code=MISUSED)
    names = {"network": "nodes", "catalog": "skus", "stock": "counts"}
    kind = names.get(path.stem, path.stem)
    if kind not in _KINDS:
        why = f"the name of a file says what it holds: {', '.join(_KINDS)} (.csv or .parquet)"
        raise CommandFailed(f"cannot tell what {path.name} holds", why, _FORMATS, code=MISUSED)
    given: dict[str, Any] = {f"{kind}_file": path}
    return reader(**given)


def _require_good(reader: "FileSource") -> None:
    """Reads everything once before anything is sent."""
    shown = 20
    bad: list[RowError] = []
    count = 0
    for kind in _KINDS:
        for batch in getattr(reader, kind)():
            count += len(batch.errors)
            bad.extend(batch.errors[: shown - len(bad)])
    if count:
        lines = "\n".join(str(error) for error in bad)
        more = f"\nand {count - len(bad)} more" if count > len(bad) else ""
        raise CommandFailed(
            f"{count} bad rows, nothing was sent", f"\n{lines}{more}", "repair them, or leave --all-or-nothing out"
        )


@contextmanager
def _bar(files: dict[str, str], *, visible: bool) -> "Iterator[Callable[[int], None]]":
    """A progress bar over the rows of all files; nothing when nobody looks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from adapters.tables import row_count

    columns = (
        TextColumn("importing"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows, left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True, disable=not visible) as progress:
        task = progress.add_task("", total=sum(row_count(Path(file)) for file in files.values()))
        yield lambda rows: progress.advance(task, rows)


def _report(intake: "Intake", problems: "list[RowError]", *, as_json: bool) -> None:
    if as_json:
        rows = [{"file": one.file, "row": one.row, "field": one.field, "message": one.message} for one in problems]
        print_json(
            {
                "applied": intake.applied,
                "known_orders": intake.known,
                "bad_rows": len(rows),
                "errors": rows[:_ERRORS_IN_JSON],
            }
        )
    else:
        for kind, count in intake.applied.items():
            known = f", {intake.known:,} were there already" if kind == "orders" and intake.known else ""
            typer.echo(f"{kind}: {count:,} in{known}")
        if problems:
            typer.secho(f"{len(problems):,} rows did not go in", fg=typer.colors.YELLOW)
    if problems:
        raise typer.Exit(FAILED)
