"""``stockpool status`` and ``stockpool audit``: how a server is, and whether its state is sound."""

from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import as_data, show
from engine.cli.output import FAILED, CommandFailed, console, print_json, reported
from engine.cli.serve import load_settings

if TYPE_CHECKING:
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
    replay: Annotated[
        bool, typer.Option("--replay", help="Also replay the journal into a second state and compare.")
    ] = False,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Recompute every derived quantity and compare; over the wire, or offline from a journal. Exits with 1 when something is broken."""
    if journal is not None:
        with reported(as_json=as_json):
            _audit_offline(journal, as_json=as_json)
        return
    with connected(server, token, authority, as_json=as_json, timeout_s=_AUDIT_TIMEOUT_S) as client:
        from stockpool.v1.admin_pb2 import AuditInvariantsRequest

        answer = client.audit_invariants(AuditInvariantsRequest(replay=replay))
        data = as_data(answer)
        if as_json:
            print_json(data)
        else:
            _print_audit(
                ok=answer.ok,
                counts=(
                    answer.journal_seq,
                    answer.cell_count,
                    answer.reservation_count,
                    answer.fulfillment_order_count,
                ),
                findings=[(one.invariant, one.subject, one.expected, one.actual) for one in answer.findings],
                digest=answer.digest,
            )
        if not answer.ok:
            raise typer.Exit(FAILED)


def _audit_offline(url: str, *, as_json: bool) -> None:
    """Replays the journal twice: the two states must be equal, and the invariants must hold."""
    first_seq, report = _replayed_audit(url)
    second_seq, again = _replayed_audit(url)
    if second_seq == first_seq and again.digest != report.digest:
        raise CommandFailed(
            "two replays of the journal differ", f"{report.digest} and {again.digest} at seq {first_seq}"
        )
    ok = not report.findings
    if as_json:
        print_json({"ok": ok, "journal_seq": first_seq, **report._asdict()})
    else:
        counts = (first_seq, report.cell_count, report.reservation_count, report.fulfillment_order_count)
        _print_audit(
            ok=ok,
            counts=counts,
            findings=[(one.invariant, one.subject, one.expected, one.actual) for one in report.findings],
            digest=report.digest,
        )
    if not ok:
        raise typer.Exit(FAILED)


def _replayed_audit(url: str) -> "tuple[int, AuditReport]":
    from rich.progress import Progress

    from engine.journal import JournalError, open_journal
    from engine.model.queries import Audit
    from engine.recovery import recover

    limits = load_settings().limits
    try:
        journal = open_journal(url)
    except (JournalError, ValueError) as error:
        raise CommandFailed(
            "the journal cannot be opened", str(error), "stockpool audit --journal sqlite:///FILE"
        ) from None
    try:
        with Progress(console=console(stderr=True), transient=True) as progress:
            task = progress.add_task("replaying", total=journal.last_seq())
            machine = recover(journal, limits, progress=lambda seq: progress.update(task, completed=seq))
        report: AuditReport = machine.answer(Audit(0), machine.now_ns).report  # type: ignore[attr-defined]
    except JournalError as error:
        raise CommandFailed("the journal cannot be replayed", str(error)) from None
    else:
        return machine.seq, report
    finally:
        journal.close()


def _print_audit(
    *, ok: bool, counts: tuple[int, int, int, int], findings: list[tuple[str, str, int, int]], digest: str
) -> None:
    seq, cells, reservations, work = counts
    typer.secho(
        "clean" if ok else f"{len(findings)} findings", fg=typer.colors.GREEN if ok else typer.colors.RED, bold=True
    )
    typer.echo(f"seq {seq:,}: {cells:,} cells, {reservations:,} open reservations, {work:,} open fulfillment orders")
    for invariant, subject, expected, actual in findings:
        typer.echo(f"  {invariant}: {subject} is {actual}, not {expected}")
    if digest:
        typer.echo(f"digest {digest}")
