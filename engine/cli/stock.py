"""``stockpool availability`` and ``stockpool stock``: what may be sold, and facts about what is there."""

from typing import Annotated

import typer

from engine.cli.connection import SERVER, Authority, Json, Server, Token, connected
from engine.cli.messages import show
from engine.cli.words import Channel, Lines, RequestId, line_items

app = typer.Typer(
    help="Count, receive and sell stock; look at its movements.",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
)

Sku = Annotated[str, typer.Argument(metavar="SKU", help="The SKU.")]
Node = Annotated[str, typer.Option("--node", help="The place that holds it.")]


def availability(
    skus: Annotated[list[str], typer.Argument(metavar="SKU", help="1 to 1,000 SKUs.")],
    channel: Channel,
    node: Annotated[str, typer.Option("--node", help="Only this node.")] = "",
    pickup: Annotated[
        bool, typer.Option("--pickup", help="Count the nodes that offer pickup, not those that ship.")
    ] = False,
    cells: Annotated[bool, typer.Option("--cells", help="Also print every cell behind it.")] = False,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """What a channel may sell: stockpool availability SKU-0001 --channel ship --cells."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1 import types_pb2 as types
        from stockpool.v1.inventory_pb2 import BatchGetAvailabilityRequest

        request = BatchGetAvailabilityRequest(
            channel_key=channel,
            sku_keys=skus,
            kind=types.FULFILLMENT_KIND_PICKUP if pickup else types.FULFILLMENT_KIND_SHIP,
            node_key=node,
            with_cells=cells,
        )
        show(client.batch_get_availability(request), as_json=as_json)


@app.command("set")
def set_stock(
    sku: Sku,
    node: Node,
    on_hand: Annotated[int | None, typer.Option(help="Units on hand.")] = None,
    safety_stock: Annotated[int | None, typer.Option(help="Units kept back from every channel.")] = None,
    expected_on_hand: Annotated[int | None, typer.Option(help="Only when this many are on hand now.")] = None,
    reference: Annotated[str, typer.Option(help="Your document.")] = "",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Set a cell to an absolute count."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1 import types_pb2 as types
        from stockpool.v1.inventory_pb2 import SetStockRequest

        request = SetStockRequest(
            request_id=request_id,
            sku_key=sku,
            node_key=node,
            on_hand_units=on_hand,
            safety_stock_units=safety_stock,
            expected_on_hand_units=expected_on_hand,
            reason=types.STOCK_REASON_COUNT,
            reference=reference,
        )
        show(client.set_stock(request), as_json=as_json)


@app.command()
def receive(
    lines: Lines,
    node: Node,
    reference: Annotated[str, typer.Option(help="The delivery.")] = "",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Book goods that arrived: a fact."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.inventory_pb2 import ReceiveStockRequest

        request = ReceiveStockRequest(
            request_id=request_id, node_key=node, lines=line_items(lines), reference=reference
        )
        show(client.receive_stock(request), as_json=as_json)


@app.command()
def sale(
    lines: Lines,
    node: Node,
    channel: Channel,
    reference: Annotated[str, typer.Option(help="The receipt.")] = "",
    request_id: RequestId = "",
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Book a sale at the till: a fact, even when it takes promised units."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.inventory_pb2 import RecordSaleRequest

        request = RecordSaleRequest(
            request_id=request_id, node_key=node, channel_key=channel, lines=line_items(lines), reference=reference
        )
        show(client.record_sale(request), as_json=as_json)


@app.command()
def movements(
    sku: Sku,
    node: Node,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 20,
    server: Server = SERVER,
    token: Token = None,
    authority: Authority = None,
    as_json: Json = False,
) -> None:
    """Print the physical movements of a cell, newest first."""
    with connected(server, token, authority, as_json=as_json) as client:
        from stockpool.v1.inventory_pb2 import ListMovementsRequest

        show(client.list_movements(ListMovementsRequest(sku_key=sku, node_key=node, page_size=limit)), as_json=as_json)
