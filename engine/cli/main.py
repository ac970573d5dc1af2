"""The command ``stockpool`` and its commands, each imported when it is asked for: ``--help`` answers at once."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

COMMANDS = {
    "demo": (
        "engine.cli.demo:demo",
        "Play a merchant's day against a fresh server, and prove that nothing was oversold.",
    ),
    "serve": ("engine.cli.serve:serve", "Serve one stock pool over gRPC, until SIGTERM or Ctrl-C."),
    "import": ("engine.cli.imports:import_files", "Bring in nodes, SKUs, counts, orders and returns from files."),
    "status": ("engine.cli.operation:status", "Print counts and totals of a server."),
    "audit": ("engine.cli.operation:audit", "Recompute every derived quantity and compare; on the wire or offline."),
    "simulate": (
        "engine.cli.trials:simulate",
        "Play one stream of orders under several policies, and compare cost and service.",
    ),
    "simulate-faults": (
        "engine.cli.simulate:simulate_faults",
        "Let everything fail in a simulated world, by one seed, and check every promise.",
    ),
    "torture": (
        "engine.cli.torture:torture",
        "Kill a real server under load again and again, and prove that nothing was lost.",
    ),
    "bench": ("engine.cli.bench:bench", "Put a load on a server: what it takes, and how long its callers wait."),
    "snapshot": (
        "engine.cli.snapshots:snapshot",
        "Make a snapshot of a journal, or follow it and make them now and then.",
    ),
    "compact": ("engine.cli.snapshots:compact", "Cut the journal off behind the older of two good snapshots."),
    "warm": ("engine.cli.warm:warm", "Compile every kernel now, so that no server start has to."),
    "availability": ("engine.cli.stock:availability", "What a channel may sell."),
    "watch": ("engine.cli.watch:watch", "What a channel may sell, now and whenever it changes."),
    "reserve": ("engine.cli.reservation:reserve", "Hold units for a shopper."),
    "reservation": ("engine.cli.reservation:app", "Look at a reservation, extend it, give it back."),
    "order": ("engine.cli.order:app", "Options for a basket; place, look at, explain and cancel orders."),
    "fulfillment": ("engine.cli.fulfillment:app", "A node's work: list, accept, reject, ship, make ready, hand over."),
    "stock": ("engine.cli.stock:app", "Count, receive and sell stock; look at its movements."),
    "policy": (
        "engine.cli.policies:app",
        "Routing policies: list, put, let a draft decide in the shadow, activate.",
    ),
    "wave": (
        "engine.cli.planning:wave",
        "Plan all work that no node has begun jointly, and move what is better done elsewhere.",
    ),
    "transfers": (
        "engine.cli.planning:transfers",
        "Units that are worth more at another node than the way there costs.",
    ),
    "network": (
        "engine.cli.network:app",
        "List nodes, SKUs, channels and rate cards; add a channel; put sample rates.",
    ),
}
"""Name of each command: where it is, and its line in the help."""


class _Commands(Mapping[str, Any]):
    """Commands by name, imported when they are looked up."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            module, _, attribute = COMMANDS[name][0].partition(":")
            found = getattr(import_module(module), attribute)
            if not isinstance(found, typer.Typer):
                single = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
                single.command(name)(found)
                found = single
            self._known[name] = get_command(found)
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class _Group(TyperGroup):
    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands: Any = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """The lines of the help, without looking at the commands."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(
    name="stockpool",
    cls=_Group,
    epilog="Start with `stockpool demo`. For a server of your own: `stockpool serve`, then `stockpool import FOLDER`.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(version("stockpool"))
        raise typer.Exit


@app.callback()
def stockpool(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """One real-time stock pool over stores, warehouses and marketplaces, served over gRPC.

    It decides where each order comes from, and never sells a unit twice.
    """
