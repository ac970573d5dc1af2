"""``stockpool transfers``: what would be worth more elsewhere."""

from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show

WAIT_S = 600.0
"""How long a plan is waited for: the process that makes it has a time-out of its own."""


def transfers(
    gain_min: Annotated[
        float, typer.Option(min=0, help="Only what gains so much at least, in the store's currency.")
    ] = 0,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 20,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Units that are worth more at another node than carrying them there costs: stockpool transfers --gain-min 5."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.planning_pb2 import SuggestTransfersRequest

        request = SuggestTransfersRequest(page_size=limit)
        request.gain_min.micros = round(gain_min * 1_000_000)
        response = client.suggest_transfers(request, timeout_s=WAIT_S)
        show(response, as_json=as_json)
        if not as_json and not response.transfers:
            in_force = response.HasField("price_plan") and not response.price_plan.expired
            typer.echo("nothing is worth moving" if in_force else "no price plan is in force: refresh prices first")
