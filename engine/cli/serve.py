"""``stockpool serve``: the server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.output import MISUSED, CommandFailed, reported

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.ready import Ready
    from engine.settings import Settings


def serve(
    journal: Annotated[
        str | None,
        typer.Option(
            help="Where decisions are kept: sqlite:///FILE, postgresql+psycopg://USER@HOST/DATABASE or memory://."
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(help="Address to listen on; 0.0.0.0 for all. [default: localhost]")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one. [default: 50051]")] = None,
    front: Annotated[
        str | None,
        typer.Option(
            help="What speaks HTTP/2: grpcio, or envoy (the extra stockpool[envoy]), which also takes gRPC-Web and JSON. [default: grpcio]"
        ),
    ] = None,
    auth_file: Annotated[
        Path | None, typer.Option(help="Credentials of callers; without it every call is open.")
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM chain; with --tls-key it turns on TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    snapshots: Annotated[
        Path | None,
        typer.Option(help="Folder of snapshots: start from the newest, and have a process beside make them."),
    ] = None,
    keep_decisions: Annotated[
        int | None, typer.Option(help="Cut the journal behind the older snapshot, but keep so many decisions.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when calls are answered.")] = False,
    stop_on_eof: Annotated[bool, typer.Option("--stop-on-eof", hidden=True)] = False,
) -> None:
    """Serve one stock pool over gRPC, until SIGTERM or Ctrl-C.

    The journal is made when there is none; else it is replayed and the server goes on where it ended. With --snapshots a process beside the
    server follows the journal at low priority, audits it all the time and makes snapshots, from which the next start goes on.

    Every setting can also be given as an environment variable: STOCKPOOL_JOURNAL, STOCKPOOL_HOST, STOCKPOOL_PORT, STOCKPOOL_FRONT, STOCKPOOL_AUTH_FILE,
    STOCKPOOL_TLS_CERTIFICATE, STOCKPOOL_TLS_KEY, STOCKPOOL_SNAPSHOTS, STOCKPOOL_SNAPSHOT_EVERY_DECISIONS, STOCKPOOL_SNAPSHOT_EVERY_S,
    STOCKPOOL_KEEP_DECISIONS, STOCKPOOL_PRICE_REFRESH_S, STOCKPOOL_PRICE_HISTORY_DAYS, STOCKPOOL_PRICE_HORIZON_DAYS, STOCKPOOL_PRICE_TIMEOUT_S,
    STOCKPOOL_WAVE_EVERY_S, STOCKPOOL_WAVE_THINK_S, STOCKPOOL_LINGER_US_MAX, STOCKPOOL_PRETOUCH, STOCKPOOL_LOG_LEVEL (debug, info, warning, error), and for each limit of engine/model/limits.py its name: STOCKPOOL_LIMITS__CELLS_MAX. A variable STOCKPOOL_… that is none of these is refused.
    """
    with reported(as_json=as_json):
        settings = load_settings(
            journal=journal,
            host=host,
            port=port,
            front=front,
            auth_file=auth_file,
            tls_certificate=tls_certificate,
            tls_key=tls_key,
            snapshots=snapshots,
            keep_decisions=keep_decisions,
        )
        begin_log(settings)
        _serve(settings, as_json=as_json, stop_on_eof=stop_on_eof)


def load_settings(**given: Any) -> "Settings":
    """The settings, of which some may be given. What makes no sense ends the command."""
    from engine.settings import Settings, SettingsError

    try:
        return Settings.load(**given)
    except SettingsError as error:
        raise CommandFailed("the settings make no sense", str(error), "stockpool serve --help", code=MISUSED) from None


def begin_log(settings: "Settings", who: str = "") -> None:
    """Log to standard error; ``who`` says it where two processes do."""
    import logging

    from engine.settings import LOG_FORMAT, LOG_TIMES

    told = LOG_FORMAT.replace("%(message)s", f"{who}: %(message)s") if who else LOG_FORMAT
    logging.basicConfig(level=settings.log_level.upper(), format=told, datefmt=LOG_TIMES)


def _serve(settings: "Settings", *, as_json: bool, stop_on_eof: bool) -> None:
    from engine.kernels.cache import is_complete

    # Envoy's process loads the kernels; here they are only compiled, when they never were.
    if settings.front == "grpcio" or not is_complete():
        _warm()

    def on_ready(ready: "Ready") -> None:
        _announce(ready, as_json=as_json)

    try:
        _run(settings, on_ready=on_ready, stop_on_eof=stop_on_eof)
    except Exception as error:
        failure = _failure(settings, error)
        if failure is None:
            raise
        raise failure from None


def _failure(settings: "Settings", error: Exception) -> CommandFailed | None:
    """What a server that could not start or go on tells; None when that was not foreseen."""
    # Only now: what they are imported with is the engine, which is in another process where Envoy is the front.
    from engine.front import supervisor
    from engine.journal import JournalDamaged, JournalError
    from engine.ready import JournalLost
    from engine.snapshots import SnapshotError

    why = str(error)
    match error:
        case JournalLost():
            return CommandFailed("the server ended: its journal could not be written", why, "stockpool serve")
        case JournalDamaged():
            hint = f"stockpool audit --journal {settings.journal}"
            return CommandFailed("the journal cannot be replayed", why, hint)
        case JournalError():
            return CommandFailed("the journal cannot be used", why, "stockpool serve --journal sqlite:///other.db")
        case SnapshotError():
            return CommandFailed("the snapshots cannot be used", why, "stockpool serve --snapshots FOLDER")
        case supervisor.FrontMissing():
            return CommandFailed("this front is not installed", why, "stockpool serve --front grpcio", code=MISUSED)
        case supervisor.FrontEnded():
            return CommandFailed("the server ended", why, "stockpool serve --front grpcio")
        case RuntimeError() if "bind" in why:
            hint = "stockpool serve --port 0 (takes a free port), or end what listens there"
            return CommandFailed(f"cannot listen on {settings.host}:{settings.port}", why, hint)
        case _:
            return None


def _run(settings: "Settings", *, on_ready: "Callable[[Ready], None]", stop_on_eof: bool) -> None:
    if settings.front == "grpcio":
        # It has kernels below it: before they were warmed, it would have compiled them without help.
        from engine import app

        app.run(settings, on_ready=on_ready, stop_on_eof=stop_on_eof)
        return
    from engine.front import supervisor

    supervisor.run(settings, on_ready=on_ready, stop_on_eof=stop_on_eof)


def _warm() -> None:
    from engine.cli.warm import warm_kernels

    _say_if_cold()
    warm_kernels()


def _say_if_cold() -> None:
    import logging

    from engine.cli.warm import COLD
    from engine.kernels.cache import is_complete

    if not is_complete():
        logging.getLogger("stockpool").info(COLD)


def _announce(ready: "Ready", *, as_json: bool) -> None:
    from dataclasses import asdict
    from importlib.metadata import version

    if as_json:
        import json

        typer.echo(json.dumps(asdict(ready)))
        return
    typer.echo(
        f"stockpool {version('stockpool')}\n"
        f"  gRPC     {ready.target}  (reflection and health are on)\n"
        f"  journal  {ready.journal_url}  (seq {ready.journal_seq:,}, replayed in {ready.replay_s:.1f} s)\n"
        f"  pool     {ready.node_count:,} nodes, {ready.sku_count:,} SKUs\n"
        f"  try      stockpool status --server {ready.target}\n"
        "Ctrl-C drains and stops."
    )
