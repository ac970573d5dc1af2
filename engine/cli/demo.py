"""``stockpool demo``: a server, a day of a merchant, and the proof that nothing was sold twice."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.output import FAILED, MISUSED, CommandFailed, console, print_json, reported

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from adapters.port import RowError
    from engine.demo.report import Report
    from engine.demo.run import RunOptions
    from engine.demo.scenario import Scenario

    MakeScenario = Callable[[Callable[[str], None]], Scenario]

_ERRORS_SHOWN = 20
_PACK_ONLY = "uci_lines_raw.parquet"
"""A file that packs have and no other folder."""


def demo(
    seed: Annotated[int, typer.Option(help="Makes the scenario; the same seed gives the same one.")] = 1,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with files as `import` takes them, or with a pack; instead of the invented chain."),
    ] = None,
    days: Annotated[int, typer.Option(min=1, help="Days to play.")] = 1,
    orders: Annotated[int | None, typer.Option(min=1, help="Play no more orders than this.")] = None,
    in_flight: Annotated[int, typer.Option(min=1, max=1_024, help="Callers that wait for an answer at one time.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on standard output.")] = False,
    report: Annotated[Path, typer.Option(help="Where the HTML page goes.")] = Path("demo-report.html"),
    journal: Annotated[
        str | None, typer.Option(help="An empty journal to use. [default: a SQLite file that is removed]")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the SQLite file, and say where it is.")] = False,
) -> None:
    """Play a merchant's day against a fresh server, live, and prove that nothing was oversold.

    Tills, web shops, a marketplace, stores and returns call a real server over gRPC. Then the server audits itself, an independent recount
    of its events checks every promise, and a report is printed and written as a page.
    """
    with reported(as_json=as_json):
        from engine.demo.run import RunOptions

        _require_report_folder(report)
        screen_console = console(stderr=as_json)
        result = _run(
            partial(load_scenario, seed, data, days),
            RunOptions(days, orders, in_flight),
            journal,
            keep=keep,
            as_json=as_json,
        )
        if as_json:
            print_json(result.as_json() | {"report": _write_page(result, report)})
        else:
            from engine.demo.tables import print_report

            print_report(result, screen_console)
            page = _write_page(result, report)
            typer.echo(f"report: {page}" if page else "no page: it needs the extra, pip install 'stockpool[demo]'")
        if not result.is_ok:
            raise typer.Exit(FAILED)


def load_scenario(seed: int, data: Path | None, days: int, say: "Callable[[str], None]") -> "Scenario":
    """The invented chain, or what a folder holds; ``say`` is told of rows that are left out. Raises CommandFailed."""
    if data is None:
        from engine.demo.sample import sample_scenario

        return sample_scenario(seed, day_count=days)
    from adapters.tables import FileFormatError
    from engine.cli.folder import FolderError
    from engine.demo.pack_columns import PackError

    bad: list[RowError] = []
    try:
        scenario = _from_pack(data, seed, bad) if (data / _PACK_ONLY).is_file() else _from_files(data, seed, bad)
    except (FileFormatError, PackError, FolderError) as error:
        why = "\n".join([str(error), *map(str, bad[:_ERRORS_SHOWN])])
        raise CommandFailed(f"{data} cannot be played", why, "stockpool demo") from None
    for problem in bad[:_ERRORS_SHOWN]:
        say(str(problem))
    if bad:
        say(f"{len(bad):,} problems in {data}: what they speak of is left out")
    return scenario


def _from_pack(folder: Path, seed: int, bad: "list[RowError]") -> "Scenario":
    from adapters.pack import read_pack
    from engine.demo.pack import pack_scenario
    from engine.demo.places import regions

    pack = read_pack(folder, frozenset(regions().keys))
    bad.extend(pack.errors)
    return pack_scenario(pack, seed)


def _from_files(folder: Path, seed: int, bad: "list[RowError]") -> "Scenario":
    from adapters.files import FileSource
    from engine.cli.folder import folder_scenario

    return folder_scenario(FileSource.from_folder(folder), folder.resolve().name, seed, bad.append)


def _run(
    make_scenario: "MakeScenario",
    options: "RunOptions",
    journal: str | None,
    *,
    keep: bool,
    as_json: bool,
) -> "Report":
    import shutil
    import signal
    import tempfile

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is told to end takes the folder along
    folder = Path(tempfile.mkdtemp(prefix="stockpool-demo-"))
    url = journal or f"sqlite:///{folder / 'journal.db'}"
    try:
        return _play(make_scenario, options, url, folder / "server.log", as_json=as_json)
    finally:
        if keep:
            typer.echo(f"kept: {folder}; go on with: stockpool serve --journal {url}", err=as_json)
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _play(make_scenario: "MakeScenario", options: "RunOptions", url: str, log: Path, *, as_json: bool) -> "Report":
    import asyncio

    from engine.cli.warm import COLD
    from engine.client import StockpoolError
    from engine.demo.opening import OpeningRefusedError
    from engine.demo.run import JournalNotEmptyError, run_demo
    from engine.demo.screen import open_screen
    from engine.demo.server import ServerFailedError, ServerProcess
    from engine.demo.stage import ServerGoneError
    from engine.kernels.cache import is_complete

    screen = open_screen(console(stderr=as_json), "Stockpool demo")
    try:
        if not is_complete():
            screen.say(COLD)
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(run_demo(partial(make_scenario, screen.say), options, ServerProcess(url, log), screen))
    except JournalNotEmptyError as error:
        hint = "stockpool demo (takes a fresh SQLite file)"
        raise CommandFailed(str(error), "promises can only be recounted from the beginning", hint) from None
    except ServerFailedError as error:
        raise CommandFailed("the server did not start", str(error), f"stockpool serve --journal {url}") from None
    except OpeningRefusedError as error:
        raise CommandFailed("the scenario does not fit", str(error)) from None
    except (ServerGoneError, StockpoolError) as error:
        hint = "stockpool demo --keep (keeps the server's log)"
        raise CommandFailed("the server stopped answering", f"{error}\n{_tail(log)}", hint) from None
    finally:
        screen.close()


def _loop_factory() -> "Callable[[], AbstractEventLoop] | None":
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-10:]) if log.is_file() else ""


def _require_report_folder(path: Path) -> None:
    if not path.resolve().parent.is_dir():
        raise CommandFailed(f"no folder {path.resolve().parent}", "the report is to be written there", code=MISUSED)


def _write_page(report: "Report", path: Path) -> str | None:
    """Where the page is; None without the libraries that draw it."""
    try:
        from engine.demo.page import write_page
    except ImportError:
        return None
    write_page(report, path)
    return str(path.resolve())
