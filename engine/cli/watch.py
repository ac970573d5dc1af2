"""``stockpool watch``: what a channel may sell, now and whenever it changes."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import as_data, show
from engine.cli.words import Channel

if TYPE_CHECKING:
    from stockpool.v1.inventory_pb2 import WatchAvailabilityResponse

_OK = 1


def watch(
    channel: Channel,
    skus: Annotated[
        list[str] | None, typer.Argument(metavar="SKU", help="At most 1,000 SKUs; none: every SKU.")
    ] = None,
    node: Annotated[str, typer.Option("--node", help="Only this node.")] = "",
    pickup: Annotated[
        bool, typer.Option("--pickup", help="Count the nodes that offer pickup, not those that ship.")
    ] = False,
    every: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between two messages at least.")] = 1.0,
    from_seq: Annotated[int, typer.Option(min=0, help="Go on behind this decision; 0: tell everything first.")] = 0,
    once: Annotated[bool, typer.Option("--once", help="End when everything has been told once.")] = False,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """What a channel may sell, a line a SKU, now and whenever it changes, until Ctrl-C: stockpool watch SKU-0001 --channel ship.

    With --json a message of the contract a line.
    """
    with connected(server, token, authority, as_json=as_json) as client:
        from google.protobuf.duration_pb2 import Duration

        from stockpool.v1 import types_pb2 as types
        from stockpool.v1.inventory_pb2 import WatchAvailabilityRequest

        interval = Duration()
        interval.FromMilliseconds(round(every * 1_000))
        request = WatchAvailabilityRequest(
            channel_key=channel,
            sku_keys=skus or [],
            kind=types.FULFILLMENT_KIND_PICKUP if pickup else types.FULFILLMENT_KIND_SHIP,
            node_key=node,
            from_seq=from_seq,
            min_interval=interval,
        )
        parts = client.watch_availability(request)
        try:
            for part in parts:
                _print(part, as_json=as_json)
                if once and part.resume_seq:
                    break
        except KeyboardInterrupt:
            return
        finally:
            parts.close()


def _print(part: "WatchAvailabilityResponse", *, as_json: bool) -> None:
    if part.result.outcome != _OK:
        show(part, as_json=as_json)
    elif as_json:
        typer.echo(json.dumps(as_data(part), ensure_ascii=False))
    else:
        for entry in part.availabilities:
            units = f"{entry.ats_units:,}" if entry.outcome == _OK else "no such SKU"
            typer.echo(f"seq {part.result.journal_seq:,}  {entry.sku_key}  {units}")
