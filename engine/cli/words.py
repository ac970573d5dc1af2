"""Words of the command line that stand for lines, and the options that several commands share."""

from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from stockpool.v1.orders_pb2 import LineUnits, OrderItem
    from stockpool.v1.types_pb2 import LineItem

Lines = Annotated[list[str], typer.Argument(metavar="SKU[=UNITS]", help="What: a SKU and its units, 1 when left out.")]
PricedLines = Annotated[
    list[str] | None,
    typer.Argument(metavar="SKU[=UNITS][@PRICE]", help="What: a SKU, its units (1) and the price of one (0)."),
]
Channel = Annotated[str, typer.Option("--channel", help="Where the demand comes from.")]
ShipTo = Annotated[str | None, typer.Option("--ship-to", metavar="POSTAL_CODE", help="Send it there.")]
Pickup = Annotated[str | None, typer.Option("--pickup", metavar="NODE", help="Collect it at this store.")]
ShipToStore = Annotated[
    str | None, typer.Option("--ship-to-store", metavar="NODE", help="Send it to this store, to be collected there.")
]
Service = Annotated[str, typer.Option("--service", help="Carrier service. [default: the routing policy's]")]
Promised = Annotated[
    str,
    typer.Option(
        "--promised",
        metavar="DATE",
        help="The day by which the buyer was promised arrival, as 2026-12-24. [default: none]",
    ),
]
RequestId = Annotated[
    str,
    typer.Option("--request-id", help="Repeat a request under its id: the first answer again. [default: a fresh one]"),
]


def line_items(texts: list[str]) -> "list[LineItem]":
    """Lines without prices.

    Raises:
        typer.BadParameter: one is malformed.
    """
    from stockpool.v1.types_pb2 import LineItem

    return [LineItem(sku_key=sku_key, units=units) for sku_key, units in map(_sku_and_units, texts)]


def order_items(texts: list[str] | None) -> "list[OrderItem]":
    """Lines with prices.

    Raises:
        typer.BadParameter: one is malformed.
    """
    from stockpool.v1.orders_pb2 import OrderItem
    from stockpool.v1.types_pb2 import Money

    items = []
    for text in texts or []:
        left, _, price = text.partition("@")
        sku_key, units = _sku_and_units(left)
        items.append(OrderItem(sku_key=sku_key, units=units, unit_price=Money(micros=_micros(price))))
    return items


def line_units(texts: list[str] | None) -> "list[LineUnits]":
    """Units of an order's lines, as LINE=UNITS.

    Raises:
        typer.BadParameter: one is malformed.
    """
    from stockpool.v1.orders_pb2 import LineUnits

    pairs = []
    for text in texts or []:
        line, _, units = text.partition("=")
        pairs.append(LineUnits(line_index=_whole(line), units=_whole(units)))
    return pairs


def one_of(ship_to: str | None, pickup: str | None, ship_to_store: str | None) -> None:
    """Exactly one of the ways to the buyer is named.

    Raises:
        typer.BadParameter: none is, or several are.
    """
    if [ship_to, pickup, ship_to_store].count(None) != 2:
        raise typer.BadParameter("name one of --ship-to POSTAL_CODE, --pickup NODE and --ship-to-store NODE")


def _sku_and_units(text: str) -> tuple[str, int]:
    sku_key, equals, units = text.rpartition("=")
    return (sku_key, _whole(units)) if equals else (text, 1)


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no whole number of units") from None


def _micros(text: str) -> int:
    try:
        return int(Decimal(text or "0").scaleb(6))
    except InvalidOperation:
        raise typer.BadParameter(f"{text!r} is no price") from None
