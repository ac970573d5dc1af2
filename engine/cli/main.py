"""The command ``stockpool`` and its commands."""

from typing import Annotated

import typer

from engine.cli import demo, fulfillment, imports, network, operation, order, reservation, serve, stock, warm

app = typer.Typer(
    name="stockpool",
    help="One real-time stock pool over stores, warehouses and marketplaces; it decides where each order comes from and never sells a unit twice.",
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
    """One real-time stock pool over stores, warehouses and marketplaces, served over gRPC."""


app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("import")(imports.import_files)
app.command("status")(operation.status)
app.command("audit")(operation.audit)
app.command("warm")(warm.warm)
app.command("availability")(stock.availability)
app.command("reserve")(reservation.reserve)
app.add_typer(reservation.app, name="reservation")
app.add_typer(order.app, name="order")
app.add_typer(fulfillment.app, name="fulfillment")
app.add_typer(stock.app, name="stock")
app.add_typer(network.app, name="network")
