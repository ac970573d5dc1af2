"""``stockpool bench``: how much a server takes, and how long its callers wait."""

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli.connection import Authority, Token
from engine.cli.output import FAILED, MISUSED, CommandFailed, console, reported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.bench.plan import Goods, Point
    from engine.bench.session import Result, Session


class Call(StrEnum):
    """Which call is made."""

    reserve = "reserve"
    batch = "batch"
    columns = "columns"


# No STOCKPOOL_SERVER here: nobody shall put a load on a server because of a variable.
Target = Annotated[
    str | None,
    typer.Option("--server", help="A running server. [default: one of its own, on a SQLite file that is removed]"),
]
Calls = Annotated[Call, typer.Option("--call", help="One reservation a call, or many: as rows, or in columns.")]
Items = Annotated[int, typer.Option(min=1, max=1_000, help="Reservations of one call of a batch.")]
Lines = Annotated[int, typer.Option(min=1, max=10, help="Lines of a reservation, one unit each.")]
InFlight = Annotated[
    list[int] | None,
    typer.Option(
        min=1, max=65_536, help="Closed loop: calls at a time. Again to measure again. [default: 64; 2 batches]"
    ),
]
Rate = Annotated[
    list[float] | None,
    typer.Option(
        min=0.1, max=1_000_000, help="Open loop: calls a second, whatever the answers do. Again to measure again."
    ),
]
Hot = Annotated[
    float, typer.Option(min=0, max=1, help="Share of the reservations that want the first SKU; else uniform.")
]
Seconds = Annotated[float, typer.Option(min=0.5, max=86_400, help="What is measured, after the warm-up.")]
WarmUp = Annotated[float, typer.Option(min=0, max=3_600, help="Seconds before.")]
Timeout = Annotated[float, typer.Option(min=0.01, max=600, help="Seconds after which a call is given up.")]
Processes = Annotated[int, typer.Option(min=1, max=256, help="Processes that make the load.")]
Seed = Annotated[int, typer.Option(min=1, max=10**9, help="What is asked for.")]
Skus = Annotated[int, typer.Option(min=1, max=1_000_000, help="SKUs of a world of its own.")]
Nodes = Annotated[int, typer.Option(min=1, max=8_192, help="Nodes of it; every SKU lies at each.")]
Units = Annotated[
    int, typer.Option(min=0, max=1_000_000_000, help="Units of a SKU at a node of it. Few, and it sells out.")
]
Channel = Annotated[str | None, typer.Option(help="In a store that is there: the channel to reserve for.")]
NamedSkus = Annotated[
    list[str] | None, typer.Option("--sku", help="There: a SKU that may be reserved. Again for more.")
]
NamedNodes = Annotated[
    list[str] | None, typer.Option("--node", help="There: a node where they are collected. Again for more.")
]
ShipTo = Annotated[str, typer.Option(help="There: or the postal code to which they are shipped.")]
Ttl = Annotated[float, typer.Option(min=1, max=86_400, help="There: seconds that each reservation holds its units.")]
Plot = Annotated[Path | None, typer.Option(help="Where to draw the latencies, an SVG file.")]
Lined = Annotated[
    bool, typer.Option("--json", help="Print a line of JSON for each measurement, and one for the recount.")
]


def bench(
    server: Target = None,
    call: Calls = Call.reserve,
    items: Items = 1_000,
    lines: Lines = 2,
    in_flight: InFlight = None,
    rate: Rate = None,
    hot: Hot = 0.0,
    seconds: Seconds = 10.0,
    warm_up: WarmUp = 2.0,
    timeout: Timeout = 10.0,
    processes: Processes = 2,
    seed: Seed = 1,
    skus: Skus = 10_000,
    nodes: Nodes = 20,
    units: Units = 1_000_000,
    channel: Channel = None,
    sku: NamedSkus = None,
    node: NamedNodes = None,
    ship_to: ShipTo = "",
    ttl: Ttl = 5.0,
    token: Token = None,
    authority: Authority = None,
    plot: Plot = None,
    as_json: Lined = False,
) -> None:
    """Put a load on a server and say what it took and how long its callers waited.

    Closed loop: so many calls at a time, the next when one is answered. Open loop: calls at a constant rate, timed from when they were due, so
    that a server which stalls is not spared the calls that it kept waiting. Without --server, and in a server that holds nothing yet, a world of its
    own is made, and recounted in the end: exits with 1 when a unit was sold twice. In a store that is there only what --channel, --sku and --node
    (or --ship-to) name is reserved; it comes back by itself when the reservations end.
    """
    with reported(as_json=as_json):
        os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")  # it would speak up whenever a process is started
        from engine.bench.session import Session, World

        if plot is not None:
            _require_plot(plot)
        alike = {"call": call.value, "items": 1 if call is Call.reserve else items, "lines": lines, "hot": hot}
        points = _points(alike | {"seconds": seconds, "warm_up_s": warm_up, "timeout_s": timeout}, in_flight, rate)
        named = _named(channel, sku, node, ship_to, ttl)
        if named is not None and server is None:
            raise CommandFailed("a server of its own holds no SKUs to name", "", "--server HOST:PORT", MISUSED)
        roots = None if authority is None else _text(authority)
        session = Session(server, token, roots, named, World(skus, nodes, units), processes, seed)
        result = _run(session, points, as_json=as_json)
        _print(result, as_json=as_json)
        if plot is not None:
            from engine.bench.chart import draw

            draw(result.measured, plot)
        if not result.is_ok:
            raise typer.Exit(FAILED)


def _points(alike: dict[str, Any], in_flight: list[int] | None, rate: list[float] | None) -> "list[Point]":
    from engine.bench.plan import RESERVE, Point

    if rate and in_flight:
        raise CommandFailed("--rate is an open loop and --in-flight a closed one", "", "give one of the two", MISUSED)
    if rate:
        return [Point(**alike, in_flight=0, rate=one) for one in rate]
    return [Point(**alike, in_flight=one, rate=0.0) for one in in_flight or [64 if alike["call"] == RESERVE else 2]]


def _named(
    channel: str | None, skus: list[str] | None, nodes: list[str] | None, ship_to: str, ttl: float
) -> "Goods | None":
    """What may be reserved in a store that is there; None: nothing was named."""
    from engine.bench.plan import Goods

    if not (channel or skus or nodes or ship_to):
        return None
    if not channel or not skus or bool(nodes) == bool(ship_to):
        why = "in a store that is there all of it must be said: the channel, the SKUs, and where they go"
        hint = "--channel CHANNEL --sku SKU --sku SKU, and --node NODE or --ship-to POSTAL_CODE"
        raise CommandFailed("it is not clear what may be reserved", why, hint, MISUSED)
    return Goods(channel, tuple(dict.fromkeys(skus)), tuple(dict.fromkeys(nodes or ())), ship_to, ttl)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot read {path}", str(error), code=MISUSED) from None


def _require_plot(path: Path) -> None:
    """What would be noticed after minutes of load is looked at before."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise CommandFailed("--plot needs matplotlib", "", "pip install 'stockpool[demo]', or leave --plot out")
    if not path.absolute().parent.is_dir():
        raise CommandFailed(f"cannot write {path}", "there is no such folder", code=MISUSED)


def _run(session: "Session", points: "Sequence[Point]", *, as_json: bool) -> "Result":
    import signal

    import uvloop

    from engine.bench.plan import BenchError

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # who is told to end takes the folder along
    screen = console(stderr=True)
    try:
        with screen.status("") as status:

            def say(what: str) -> None:
                status.update(what)
                if not screen.is_terminal and not as_json and what[-5:] != "calls":
                    screen.print(what)

            return uvloop.run(session.run(points, say))
    except BenchError as error:
        raise CommandFailed(error.what, error.why, error.hint) from None


def _print(result: "Result", *, as_json: bool) -> None:
    import json

    from engine.bench.session import result_lines

    if as_json:
        for line in result_lines(result):
            typer.echo(json.dumps(line))
        return
    from engine.bench.table import print_result

    print_result(result, console())
