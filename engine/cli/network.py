"""``stockpool network``: who and what the pool knows."""

from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show
from engine.cli.words import RequestId

app = typer.Typer(
    help="List nodes, SKUs, channels and rate cards; add a channel; put sample rates.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

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


@app.command("put-channel")
def put_channel(
    channel_key: Annotated[str, typer.Argument(metavar="CHANNEL", help="Its key, fixed for ever.")],
    name: Annotated[str, typer.Option(help="Its name for people.")] = "",
    node: Annotated[
        list[str] | None,
        typer.Option("--node", help="A node whose stock it may sell; again for more. [default: all nodes]"),
    ] = None,
    threshold: Annotated[int, typer.Option(help="Units of every SKU that it never sees.")] = 0,
    policy: Annotated[str, typer.Option(help="Its routing policy.")] = "default",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Add or replace a channel."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.network_pb2 import Channel, PutChannelsRequest

        channel = Channel(
            channel_key=channel_key,
            name=name,
            node_keys=node or [],
            all_nodes=not node,
            threshold_units=threshold,
            policy_key=policy,
        )
        show(client.put_channels(PutChannelsRequest(request_id=request_id, channels=[channel])), as_json=as_json)


@app.command("put-sample-rates")
def put_sample_rates(
    server: Server = SERVER, token: Token = None, authority: Authority = None, as_json: Json = False
) -> None:
    """Put the demo's zone chart of the US and its invented parcel rates, to try routing before you have your own."""
    with connected(server, token, authority, as_json=as_json) as client:
        from engine.demo.opening import policy_request, rate_card_request, zone_chart_request
        from engine.demo.sample import sample_scenario

        scenario = sample_scenario()
        for card in scenario.rate_cards:
            client.put_rate_card(rate_card_request(card, scenario.currency_code))
        client.put_zone_chart(zone_chart_request(scenario.zone_chart))
        show(client.put_routing_policy(policy_request(scenario.policies[0])), as_json=as_json)
