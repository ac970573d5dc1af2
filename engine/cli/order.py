"""``stockpool order``: options, place, get, explain, cancel."""

from pathlib import Path
from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show
from engine.cli.output import reported
from engine.cli.words import (
    Channel,
    Lines,
    Pickup,
    PricedLines,
    Promised,
    RequestId,
    Service,
    ShipTo,
    ShipToStore,
    line_items,
    line_units,
    one_of,
    order_items,
)

_EXPLAIN_TIMEOUT_S = 60.0
"""The server may replay a million decisions first."""

app = typer.Typer(
    help="Options for a basket; place, look at, explain and cancel orders.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)


@app.command()
def options(
    lines: Lines,
    channel: Channel,
    ship_to: Annotated[str, typer.Option("--ship-to", metavar="POSTAL_CODE", help="Where the buyer is.")],
    stores: Annotated[int, typer.Option(help="How many pickup stores to show.")] = 3,
    to_stores: Annotated[
        int, typer.Option(help="How many of the nearest stores to look at for sending it there, to be collected.")
    ] = 3,
    promised: Promised = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """How a basket could reach its buyer, and what that would cost. Holds nothing."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.orders_pb2 import GetFulfillmentOptionsRequest
        from stockpool.v1.types_pb2 import Destination

        request = GetFulfillmentOptionsRequest(
            channel_key=channel,
            lines=line_items(lines),
            ship_to=Destination(postal_code=ship_to),
            pickup_store_max=stores,
            ship_to_store_max=to_stores,
            promised_date=promised,
        )
        show(client.get_fulfillment_options(request), as_json=as_json)


@app.command()
def place(
    channel: Channel,
    key: Annotated[str, typer.Option("--key", help="Your key of the order, unique in the channel.")],
    lines: PricedLines = None,
    reservation: Annotated[int, typer.Option("--reservation", help="The reservation that becomes the order.")] = 0,
    ship_to: ShipTo = None,
    pickup: Pickup = None,
    ship_to_store: ShipToStore = None,
    service: Service = "",
    promised: Promised = "",
    customer: Annotated[str, typer.Option(help="The buyer.")] = "",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Make an order, from a reservation or directly: stockpool order place SKU-0001=2@19.99 --channel ship --key A-1 --ship-to 10001."""
    if not reservation:
        one_of(ship_to, pickup, ship_to_store)
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.orders_pb2 import PlaceOrderRequest
        from stockpool.v1.types_pb2 import Destination

        request = PlaceOrderRequest(
            request_id=request_id,
            channel_key=channel,
            order_key=key,
            customer_key=customer,
            reservation_id=reservation,
            lines=order_items(lines),
            ship_to=Destination(postal_code=ship_to) if ship_to is not None else None,
            pickup_node_key=pickup,
            ship_to_node_key=ship_to_store,
            service_key=service,
            promised_date=promised,
        )
        show(client.place_order(request), as_json=as_json)


@app.command()
def get(
    order_id: Annotated[int, typer.Argument(metavar="[ORDER_ID]", help="The engine's number of the order.")] = 0,
    channel: Annotated[str, typer.Option("--channel", help="With --key, instead of the number.")] = "",
    key: Annotated[str, typer.Option("--key", help="The caller's key of the order.")] = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print an order, by its number or by channel and key."""
    if not order_id and not (channel and key):
        raise typer.BadParameter("name ORDER_ID, or --channel and --key")
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.orders_pb2 import GetOrderRequest

        show(client.get_order(GetOrderRequest(order_id=order_id, channel_key=channel, order_key=key)), as_json=as_json)


@app.command()
def explain(
    order_id: Annotated[int, typer.Argument(metavar="[ORDER_ID]", help="The engine's number of the order.")] = 0,
    channel: Annotated[str, typer.Option("--channel", help="With --key, instead of the number.")] = "",
    key: Annotated[str, typer.Option("--key", help="The caller's key of the order.")] = "",
    journal: Annotated[
        str, typer.Option("--journal", metavar="URL", help="Ask a journal, without a server, however old the order is.")
    ] = "",
    snapshots: Annotated[
        Path | None,
        typer.Option("--snapshots", help="With --journal: where its snapshots are, to start near the order."),
    ] = None,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Say why an order is routed as it is: what was looked at, what was chosen, and by how much the next best plans lost."""
    if not order_id and not (channel and key):
        raise typer.BadParameter("name ORDER_ID, or --channel and --key")
    from engine.cli.explanation import explained_offline, show_explanation

    if journal:
        with reported(as_json=as_json):
            show_explanation(explained_offline(journal, snapshots, order_id, channel, key), as_json=as_json)
        return
    with connected(server, token, authority, as_json=as_json, timeout_s=_EXPLAIN_TIMEOUT_S) as client:
        from stockpool.v1.orders_pb2 import ExplainOrderRequest

        request = ExplainOrderRequest(order_id=order_id, channel_key=channel, order_key=key)
        show_explanation(client.explain_order(request), as_json=as_json)


@app.command()
def reroute(
    order_id: Annotated[int, typer.Argument(metavar="ORDER_ID", help="The engine's number of the order.")],
    saving_min: Annotated[float, typer.Option("--saving-min", help="What it must save at least.", min=0)] = 0,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Move what no node has begun to a better node, if that saves enough."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.orders_pb2 import RerouteOrderRequest

        request = RerouteOrderRequest(request_id=request_id, order_id=order_id)
        request.saving_min.micros = round(saving_min * 1_000_000)
        show(client.reroute_order(request), as_json=as_json)


@app.command()
def cancel(
    order_id: Annotated[int, typer.Argument(metavar="ORDER_ID", help="The engine's number of the order.")],
    lines: Annotated[
        list[str] | None,
        typer.Option("--line", metavar="LINE=UNITS", help="Only these units. [default: all that has not left]"),
    ] = None,
    reference: Annotated[str, typer.Option(help="Why.")] = "",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Cancel what has not left yet, and give its units back."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.orders_pb2 import CancelOrderRequest

        request = CancelOrderRequest(
            request_id=request_id, order_id=order_id, lines=line_units(lines), reference=reference
        )
        show(client.cancel_order(request), as_json=as_json)
