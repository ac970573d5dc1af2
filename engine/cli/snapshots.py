"""``stockpool snapshot`` and ``stockpool compact``: snapshots of a journal, and cutting the journal off behind them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.output import CommandFailed, print_json, reported
from engine.cli.serve import begin_log, load_settings

if TYPE_CHECKING:
    from engine.follower import Follower
    from engine.journal import Journal
    from engine.settings import Settings
    from engine.snapshots import SnapshotFolder

JournalUrl = Annotated[
    str | None,
    typer.Argument(
        metavar="JOURNAL", help="sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE.", show_default=False
    ),
]
Folder = Annotated[
    Path | None, typer.Option("--folder", help="Where the snapshots are. [default: STOCKPOOL_SNAPSHOTS]")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, a line each time with --follow.")]


def snapshot(
    journal: JournalUrl = None,
    folder: Folder = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on, audit all the time, and make one now and then.")
    ] = False,
    every_decisions: Annotated[int | None, typer.Option(help="After so many decisions. [default: 1000000]")] = None,
    every_s: Annotated[
        int | None, typer.Option(help="After so many seconds, if anything was decided. [default: 900]")
    ] = None,
    keep_decisions: Annotated[
        int | None, typer.Option(help="Cut the journal behind the older snapshot, but keep so many decisions.")
    ] = None,
    audit_share: Annotated[
        float, typer.Option(min=0.001, max=0.9, help="Share of a core that audits may take.")
    ] = 0.05,
    nice: Annotated[int, typer.Option(min=0, max=19, hidden=True)] = 0,
    stop_on_eof: Annotated[bool, typer.Option("--stop-on-eof", hidden=True)] = False,
    as_json: Json = False,
) -> None:
    """Make a snapshot of a journal, read it back, keep the last two; the next start goes on from there.

    It reads the journal by itself, beside a server that runs, which never waits for it. `serve --snapshots FOLDER` starts one that follows. Every
    snapshot is audited before it is made; when something is wrong, the first decision after which it was wrong is named, and the
    command ends with 3.
    """
    with reported(as_json=as_json):
        settings = load_settings(
            journal=journal,
            snapshots=folder,
            snapshot_every_decisions=every_decisions,
            snapshot_every_s=every_s,
            keep_decisions=keep_decisions,
        )
        begin_log(settings, "follower")
        if stop_on_eof:
            _end_with_input()
        with _opened(settings) as (opened, where), _failing(where), where.locked():
            _follow(settings, opened, where, audit_share=audit_share, nice=nice, follow=follow, as_json=as_json)


def compact(
    journal: JournalUrl = None,
    folder: Folder = None,
    keep_decisions: Annotated[int, typer.Option(min=0, help="Keep at least so many of the latest decisions.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Cut the journal off behind the older of two good snapshots; for good.

    Both are read and compared with their checksums first. A server that runs goes on meanwhile. What was cut can no longer be read as events;
    a start needs one of the snapshots from then on, so keep their folder as safe as the journal. Servers on several machines that share a
    journal share the folder, too, or only one of them cuts.
    """
    with reported(as_json=as_json):
        settings = load_settings(journal=journal, snapshots=folder)
        with _opened(settings) as (opened, where), _failing(where):
            from engine.follower import compact as cut_journal

            cut = cut_journal(opened, where, keep_decisions=keep_decisions)
        if as_json:
            print_json(cut._asdict())
        elif cut.first_seq == cut.first_seq_before:
            typer.echo(f"nothing to cut: the journal begins at seq {cut.first_seq:,}")
        else:
            typer.echo(
                f"cut {cut.first_seq - cut.first_seq_before:,} decisions: the journal begins at seq {cut.first_seq:,} now, and ends at "
                f"{cut.last_seq:,}"
            )


def _follow(
    settings: "Settings",
    journal: "Journal",
    folder: "SnapshotFolder",
    *,
    audit_share: float,
    nice: int,
    follow: bool,
    as_json: bool,
) -> None:
    import gc
    import os
    from threading import Event

    from engine.follower import Follower, Policy
    from engine.follower.status import write_status

    os.nice(nice)
    policy = Policy(settings.snapshot_every_decisions, settings.snapshot_every_s, settings.keep_decisions, audit_share)

    def told(status: dict[str, Any]) -> None:
        write_status(folder, status)
        if follow and as_json:
            _print_line(status)

    follower = Follower(journal, folder, settings.limits, policy, told)
    gc.freeze()
    if follow:
        follower.follow(Event())
        return
    follower.catch_up()
    follower.snapshot()
    _print_made(follower, as_json=as_json)


def _print_made(follower: "Follower", *, as_json: bool) -> None:
    status = follower.status()
    if as_json:
        print_json(status)
    elif not status["snapshot_seq"]:
        typer.echo("the journal is empty: there is nothing to make a snapshot of")
    elif "snapshot_bytes" in status:
        typer.echo(
            f"snapshot at seq {status['snapshot_seq']:,}: {status['snapshot_bytes'] / 1e6:,.1f} MB, in {status['snapshot_s']:.1f} s"
        )
    else:
        typer.echo(f"there is a snapshot at seq {status['snapshot_seq']:,} already, and it is good")


def _print_line(status: dict[str, Any]) -> None:
    import json

    typer.echo(json.dumps(status))


@contextmanager
def _opened(settings: "Settings") -> "Iterator[tuple[Journal, SnapshotFolder]]":
    """The journal, to be looked at, and the folder of its snapshots."""
    from engine.cli.warm import warm_kernels
    from engine.journal import JournalError, open_journal
    from engine.snapshots import SnapshotFolder

    if settings.snapshots is None:
        raise CommandFailed("no folder for snapshots is named", hint="--folder FOLDER, or STOCKPOOL_SNAPSHOTS", code=2)
    warm_kernels()
    try:
        journal = open_journal(settings.journal, owner=False)
    except (JournalError, ValueError) as error:
        raise CommandFailed(
            "the journal cannot be opened", str(error), "stockpool snapshot sqlite:///FILE --folder FOLDER"
        ) from None
    try:
        yield journal, SnapshotFolder(settings.snapshots)
    finally:
        journal.close()


@contextmanager
def _failing(folder: "SnapshotFolder") -> Iterator[None]:
    """What a follower raises in words. What the audit found is noted in the folder, too."""
    from engine.follower import StateWrong
    from engine.follower.child import FOUND_SOMETHING
    from engine.follower.status import write_wrong
    from engine.journal import JournalError
    from engine.snapshots import SnapshotError

    try:
        yield
    except StateWrong as error:
        write_wrong(folder, error.wrong)
        raise CommandFailed(
            "something is wrong", str(error), "stockpool audit --journal URL --snapshots FOLDER", FOUND_SOMETHING
        ) from None
    except JournalError as error:
        raise CommandFailed("the journal cannot be replayed", str(error)) from None
    except SnapshotError as error:
        raise CommandFailed("the snapshots cannot be used", str(error)) from None


def _end_with_input() -> None:
    """End when standard input closes, whatever is under way: nothing that is written here is half there."""
    import os
    from threading import Thread

    def wait() -> None:
        while os.read(0, 4_096):
            pass
        os._exit(0)

    Thread(target=wait, name="until-eof", daemon=True).start()
