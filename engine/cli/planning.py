"""``stockpool transfers`` and ``stockpool wave``: what would be worth more elsewhere, and better done there."""

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


def wave(
    channel: Annotated[str, typer.Option("--channel", help="Only orders of this channel.")] = "",
    with_released: Annotated[
        bool, typer.Option("--with-released", help="Also work that nodes were asked to do, and have not begun.")
    ] = False,
    saving_min: Annotated[float, typer.Option(min=0, help="What a group of orders must save at least.")] = 0,
    think: Annotated[float, typer.Option(min=0.001, help="Seconds to think.")] = 5,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Plan all work that no node has begun jointly, and move what is better done elsewhere: stockpool wave --think 10."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.planning_pb2 import RunWaveRequest

        request = RunWaveRequest(channel_key=channel, with_released=with_released)
        request.saving_min.micros = round(saving_min * 1_000_000)
        request.think_time.FromNanoseconds(round(think * 1_000_000_000))
        show(client.run_wave(request, timeout_s=WAIT_S + think), as_json=as_json)
