"""``stockpool status`` and ``stockpool audit``: how a server is, and whether its state is sound."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import as_data, show
from engine.cli.output import FAILED, CommandFailed, console, print_json, reported
from engine.cli.serve import load_settings

if TYPE_CHECKING:
    from engine.follower.walk import Walk
    from engine.model.queries import AuditReport

_AUDIT_TIMEOUT_S = 900.0


def status(server: Server = SERVER, token: Token = None, authority: Authority = None, as_json: Json = False) -> None:
    """Print counts and totals of a server."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.admin_pb2 import GetStatusRequest

        show(client.get_status(GetStatusRequest()), as_json=as_json)


def audit(
    journal: Annotated[
        str | None,
        typer.Option(help="Audit this journal offline, without a server: sqlite:///FILE or postgresql+psycopg://…."),
    ] = None,
    snapshots: Annotated[
        Path | None,
        typer.Option(
            envvar="STOCKPOOL_SNAPSHOTS", help="Folder of the journal's snapshots: each is compared with the replay."
        ),
    ] = None,
    replay: Annotated[
        bool,
        typer.Option(
            "--replay", help="Of a server: also replay the journal, and compare with that and with its snapshots."
        ),
    ] = False,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Recompute every derived quantity and compare; over the wire, or offline from a journal and its snapshots.

    A replay names the first decision after which something was wrong, and where the live state or a snapshot differs from it, which
    quantity of which cell. Exits with 1 when something is wrong.
    """
    if journal is not None:
        with reported(as_json=as_json):
            seen = _walked(journal, snapshots)
        _show_audit(seen, as_json=as_json)
        return
    with connected(server, token, authority, as_json=as_json, timeout_s=_AUDIT_TIMEOUT_S) as client:
        from stockpool.v1.admin_pb2 import AuditInvariantsRequest

        answer = client.audit_invariants(AuditInvariantsRequest(replay=replay))
        _show_audit(as_data(answer), as_json=as_json)


def _show_audit(seen: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(seen)
    else:
        _print_audit(seen)
    if not seen["ok"]:
        raise typer.Exit(FAILED)


def _walked(url: str, folder: Path | None) -> dict[str, Any]:
    """What an audit along the whole journal sees."""
    from rich.progress import Progress

    from engine.cli.warm import warm_kernels
    from engine.follower.walk import walk
    from engine.journal import JournalError, open_journal
    from engine.snapshots import SnapshotError, SnapshotFolder

    limits = load_settings().limits
    warm_kernels()
    try:
        journal = open_journal(url, owner=False)
    except (JournalError, ValueError) as error:
        raise CommandFailed(
            "the journal cannot be opened", str(error), "stockpool audit --journal sqlite:///FILE"
        ) from None
    try:
        with Progress(console=console(stderr=True), transient=True) as progress:
            task = progress.add_task("replaying", total=journal.last_seq())
            seen = walk(
                journal,
                limits,
                None if folder is None else SnapshotFolder(folder),
                progress=lambda seq: progress.update(task, completed=seq),
            )
    except JournalError as error:
        raise CommandFailed("the journal cannot be replayed", str(error)) from None
    except SnapshotError as error:
        raise CommandFailed("the snapshots cannot be used", str(error)) from None
    finally:
        journal.close()
    return _told(seen)


def _told(seen: "Walk") -> dict[str, Any]:
    """The same as a server tells, by the same names."""
    from engine.model.queries import Audit

    machine = seen.machine
    report: AuditReport = machine.answer(Audit(0), machine.now_ns).report  # type: ignore[attr-defined]
    return {
        "ok": not seen.wrong,
        "journal_seq": machine.seq,
        "first_seq": seen.first_seq,
        **report._asdict(),
        "findings": [
            one._asdict() | {"subject": f"{one.subject} ({wrong.place})"}
            for wrong in seen.wrong
            for one in wrong.findings
        ]
        + [
            {"invariant": wrong.what, "subject": wrong.place, "expected": 1, "actual": 0}
            for wrong in seen.wrong
            if not wrong.findings
        ],
        "first_wrong_seq": min([wrong.seq for wrong in seen.wrong], default=0),
        "snapshot_seqs": list(seen.snapshot_seqs),
    }


def _print_audit(seen: dict[str, Any]) -> None:
    ok, findings = seen["ok"], seen["findings"]
    typer.secho(
        "clean" if ok else f"{len(findings)} findings", fg=typer.colors.GREEN if ok else typer.colors.RED, bold=True
    )
    typer.echo(
        f"seq {seen['journal_seq']:,}: {seen['cell_count']:,} cells, {seen['reservation_count']:,} open reservations, "
        f"{seen['fulfillment_order_count']:,} open fulfillment orders"
    )
    for one in findings:
        typer.echo(f"  {one['invariant']}: {one['subject']} is {one['actual']}, not {one['expected']}")
    if seen["snapshot_seqs"]:
        typer.echo(f"snapshots that agree: seq {', '.join(f'{seq:,}' for seq in seen['snapshot_seqs'])}")
    if seen["first_wrong_seq"]:
        typer.echo(f"first wrong after seq {seen['first_wrong_seq']:,}")
    if seen["digest"]:
        typer.echo(f"digest {seen['digest']}")
