"""``stockpool network``: who and what the pool knows."""

from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show

app = typer.Typer(help="List the nodes, SKUs, channels and rate cards.", no_args_is_help=True, rich_markup_mode=None)

Limit = Annotated[int, typer.Option(help="At most so many, up to 1,000.")]
After = Annotated[str, typer.Option("--page-token", help="From the page before.")]


@app.command()
def nodes(
    limit: Limit = 20,
    page_token: After = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print nodes."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import ListNodesRequest

        show(client.list_nodes(ListNodesRequest(page_size=limit, page_token=page_token)), as_json=as_json)


@app.command()
def skus(
    limit: Limit = 20,
    page_token: After = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print SKUs."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import ListSkusRequest

        show(client.list_skus(ListSkusRequest(page_size=limit, page_token=page_token)), as_json=as_json)


@app.command()
def channels(server: Server = SERVER, token: Token = None, authority: Authority = None, as_json: Json = False) -> None:
    """Print channels."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import ListChannelsRequest

        show(client.list_channels(ListChannelsRequest()), as_json=as_json)


@app.command("rate-cards")
def rate_cards(
    server: Server = SERVER, token: Token = None, authority: Authority = None, as_json: Json = False
) -> None:
    """Print rate cards."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import ListRateCardsRequest

        show(client.list_rate_cards(ListRateCardsRequest()), as_json=as_json)
