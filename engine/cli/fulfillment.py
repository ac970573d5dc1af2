"""``stockpool fulfillment``: a node's queue of work, and each step of it."""

from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show
from engine.cli.words import RequestId

app = typer.Typer(
    help="A node's work: list, accept, reject, ship, make ready, hand over.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Id = Annotated[
    int, typer.Argument(metavar="FULFILLMENT_ORDER_ID", help="The work, as `stockpool fulfillment list` prints it.")
]


@app.command("list")
def list_work(
    node: Annotated[str, typer.Option("--node", help="Work of this node.")] = "",
    order: Annotated[int, typer.Option("--order", help="Work of this order.")] = 0,
    store: Annotated[
        str, typer.Option("--store", help="What is shipped to this store, until it was handed over.")
    ] = "",
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    with_unreleased: Annotated[
        bool, typer.Option("--with-unreleased", help="Of a node, also what may still move, in its grace period.")
    ] = False,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print the work of a node or of an order, or what is on its way to a store, oldest first."""
    if not node and not order and not store:
        raise typer.BadParameter("name --node, --order or --store")
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.fulfillment_pb2 import ListFulfillmentOrdersRequest

        request = ListFulfillmentOrdersRequest(
            node_key=node, order_id=order, page_size=limit, with_unreleased=with_unreleased, ship_to_node_key=store
        )
        show(client.list_fulfillment_orders(request), as_json=as_json)


@app.command()
def accept(
    work: Id,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """The node takes the work."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.fulfillment_pb2 import AcceptRequest

        show(client.accept(AcceptRequest(request_id=request_id, fulfillment_order_id=work)), as_json=as_json)


@app.command()
def reject(
    work: Id,
    reason: Annotated[
        str,
        typer.Option(
            help="not_in_stock, mismatch, damaged, worn_display, too_busy or closed: decides what happens to the stock."
        ),
    ],
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """The node cannot do the work; its units are routed elsewhere at once."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.fulfillment_pb2 import RejectReason, RejectRequest

        name = f"REJECT_REASON_{reason.upper()}"
        if name not in RejectReason.keys():  # noqa: SIM118 - the names of an enum, which is no mapping
            raise typer.BadParameter(f"{reason!r} is no reason; see --help")
        request = RejectRequest(request_id=request_id, fulfillment_order_id=work, reason=name)
        show(client.reject(request), as_json=as_json)


@app.command()
def ship(
    work: Id,
    tracking: Annotated[str, typer.Option(help="The carrier's tracking number.")] = "",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """The package has left."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.fulfillment_pb2 import ShipRequest

        request = ShipRequest(request_id=request_id, fulfillment_order_id=work, tracking=tracking)
        show(client.ship(request), as_json=as_json)


@app.command()
def ready(
    work: Id,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Picked and waiting at the counter."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.fulfillment_pb2 import MarkReadyRequest

        show(client.mark_ready(MarkReadyRequest(request_id=request_id, fulfillment_order_id=work)), as_json=as_json)


@app.command("hand-over")
def hand_over(
    work: Id,
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """The buyer has it."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.fulfillment_pb2 import HandOverRequest

        show(client.hand_over(HandOverRequest(request_id=request_id, fulfillment_order_id=work)), as_json=as_json)
