"""``stockpool reserve`` and ``stockpool reservation``: hold units for a while."""

from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show
from engine.cli.words import (
    Channel,
    Lines,
    Pickup,
    Promised,
    RequestId,
    Service,
    ShipTo,
    ShipToStore,
    line_items,
    one_of,
)

app = typer.Typer(
    help="Look at a reservation, extend it, give it back.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Id = Annotated[int, typer.Argument(metavar="RESERVATION_ID", help="The number that `stockpool reserve` printed.")]
Seconds = Annotated[
    int | None, typer.Option("--ttl", metavar="SECONDS", help="How long to hold. [default: the server's]")
]


def reserve(
    lines: Lines,
    channel: Channel,
    ship_to: ShipTo = None,
    pickup: Pickup = None,
    ship_to_store: ShipToStore = None,
    service: Service = "",
    promised: Promised = "",
    ttl: Seconds = None,
    partial: Annotated[bool, typer.Option("--partial", help="Hold what there is when it is not everything.")] = False,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Hold units for a shopper: stockpool reserve SKU-0001=2 --channel ship --ship-to 10001."""
    one_of(ship_to, pickup, ship_to_store)
    with connected(server, token, authority, as_json=as_json) as client:
        from google.protobuf.duration_pb2 import Duration

        from stockpool.v1.reservations_pb2 import ReservationRequest, ReserveRequest
        from stockpool.v1.types_pb2 import Destination

        claim = ReservationRequest(
            channel_key=channel,
            lines=line_items(lines),
            ship_to=Destination(postal_code=ship_to) if ship_to is not None else None,
            pickup_node_key=pickup,
            ship_to_node_key=ship_to_store,
            service_key=service,
            ttl=Duration(seconds=ttl) if ttl is not None else None,
            allow_partial=partial,
            promised_date=promised,
        )
        show(client.reserve(ReserveRequest(request_id=request_id, reservation=claim)), as_json=as_json)


@app.command()
def get(
    reservation_id: Id,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print a reservation."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.reservations_pb2 import GetReservationRequest

        show(client.get_reservation(GetReservationRequest(reservation_id=reservation_id)), as_json=as_json)


@app.command()
def extend(
    reservation_id: Id,
    ttl: Annotated[int, typer.Option("--ttl", metavar="SECONDS", help="New time to live, from now.")],
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Move the end of a reservation."""
    with connected(server, token, authority, as_json=as_json) as client:
        from google.protobuf.duration_pb2 import Duration

        from stockpool.v1.reservations_pb2 import ExtendReservationRequest

        request = ExtendReservationRequest(
            request_id=request_id, reservation_id=reservation_id, ttl=Duration(seconds=ttl)
        )
        show(client.extend_reservation(request), as_json=as_json)


@app.command()
def release(
    reservation_id: Id,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Give the units of a reservation back."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.reservations_pb2 import ReleaseReservationRequest

        request = ReleaseReservationRequest(request_id=request_id, reservation_id=reservation_id)
        show(client.release_reservation(request), as_json=as_json)
