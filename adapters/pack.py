"""A pack of real orders: a folder with ``orders``, ``order_lines``, ``catalog``, ``nodes``, ``returns`` and ``uci_lines_raw`` (``.parquet``), beside
a folder ``carrier`` that several packs share. The demo plays it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from statistics import median_low
from typing import Any

from adapters import fields
from adapters.columns import Columns, read_columns
from adapters.fields import Field, Raw
from adapters.port import MICROS_MAX, RowError
from adapters.tables import FileFormatError

_RATES = "usps_retail_rates_2025-10-05.csv"
_ZONES = "usps_zones_zip3_sample_2018.parquet"
DAYS_MAX = 1_000
"""Days between an order and the middle one of all; farther is a slip of the pen."""

Table = dict[str, list[Any]]
"""Columns of equal length, by the names that the pack gives them."""


class PlaceKind(StrEnum):
    """What kind of place a node is."""

    STORE = "store"
    KIOSK = "kiosk"
    LOCKER = "locker"
    WAREHOUSE = "warehouse"


class Channel(StrEnum):
    """Where an order comes from."""

    POS = "pos"
    PICKUP = "pickup"
    SHIP = "ship"
    MARKETPLACE = "marketplace"


def _mean_price(raw: Raw) -> int:
    """Means of prices have digits without end."""
    return fields.micros(round(raw, 6) if isinstance(raw, float) else raw)


def _ounces(raw: Raw) -> float:
    return float(fields.decimal(raw))


_ORDER_NUMBER = Field("order_no", fields.whole(0, 2**31))
_CUSTOMER = Field("CustomerID", fields.whole(0, 2**31), 0)
_ZONE = fields.whole(1, 9)
_NODES = (
    Field("node_id", fields.key),
    Field("kind", fields.one_of(PlaceKind)),
    Field("name", fields.text, ""),
    Field("zip", fields.postal_code),
    Field("city", fields.text, ""),
    Field("state", fields.text, ""),
    Field("lat", fields.latitude),
    Field("lon", fields.longitude),
)
# A SKU without a price has None.
_CATALOG = (Field("StockCode", fields.key), Field("description", fields.text, ""), Field("price", _mean_price, None))
_ORDERS = (
    _ORDER_NUMBER,
    Field("invoice", fields.key, ""),
    Field("ts", fields.time),
    Field("channel", fields.one_of(Channel)),
    Field("node_id", fields.key, ""),
    Field("dest_zip", fields.postal_code, ""),
)
_LINES = (
    _ORDER_NUMBER,
    Field("StockCode", fields.key),
    Field("quantity", fields.units_of_line),
    Field("unit_price_cents", fields.whole(0, MICROS_MAX // 10_000)),
)
_RETURNS = (
    Field("InvoiceNo", fields.key),
    Field("InvoiceDate", fields.time),
    Field("StockCode", fields.key),
    Field("quantity", fields.units_of_line),
    _CUSTOMER,
)
_INVOICES = (Field("InvoiceNo", fields.key), _CUSTOMER)
_ZONE_PAIRS = (Field("origin_zip3", fields.key), Field("dest_zip3", fields.key), Field("zone", _ZONE))
_PRICES = (
    Field("service", fields.key),
    Field("zone", _ZONE),
    Field("max_weight_oz", _ounces),
    Field("price_usd", fields.micros),
)


@dataclass(frozen=True, slots=True)
class Pack:
    """The good rows of a pack: every order has lines and a target, and each SKU, node and order that is spoken of is there. (Returns speak
    of SKUs that are none, fees and postage for example.) ``errors`` are the bad rows of all files.
    """

    name: str
    nodes: Table
    catalog: Table
    orders: Table
    order_lines: Table
    returns: Table
    invoices: Table
    zone_pairs: Table
    prices: Table
    errors: tuple[RowError, ...]


def read_pack(folder: Path, areas: Collection[str]) -> Pack:
    """Reads a whole pack; ``areas`` are the three-digit ZIP areas that parcels may go to.

    A bad row is left out and reported. An order with a bad line is left out as a whole.

    Raises:
        FileFormatError: a file or column is missing, cannot be read, or has no good row.
    """
    if not folder.is_dir():
        raise FileFormatError(f"{folder} is no folder")
    nodes = read_columns(folder / "nodes.parquet", _NODES)
    nodes.judge_unique("node_id")
    catalog = read_columns(folder / "catalog.parquet", _CATALOG)
    catalog.judge_unique("StockCode")
    orders = read_columns(folder / "orders.parquet", _ORDERS)
    _judge_orders(orders, set(nodes.values["node_id"]), areas)
    lines = read_columns(folder / "order_lines.parquet", _LINES)
    _judge_lines(lines, orders, set(catalog.values["StockCode"]))
    tables = {
        "nodes": nodes,
        "catalog": catalog,
        "orders": orders,
        "order_lines": lines,
        "returns": read_columns(folder / "returns.parquet", _RETURNS),
        "invoices": read_columns(folder / "uci_lines_raw.parquet", _INVOICES),
        "zone_pairs": read_columns(folder.parent / "carrier" / _ZONES, _ZONE_PAIRS),
        "prices": read_columns(folder.parent / "carrier" / _RATES, _PRICES),
    }
    for table in tables.values():
        if not len(table):
            raise FileFormatError(f"{table.file} has no good row{f'; {table.errors[0]}' if table.errors else ''}")
    errors = (sorted(table.errors, key=lambda error: error.row) for table in tables.values())
    return Pack(
        name=folder.resolve().name,
        **{name: table.values for name, table in tables.items()},
        errors=tuple(error for part in errors for error in part),
    )


def _judge_orders(orders: Columns, nodes: Collection[str], areas: Collection[str]) -> None:
    orders.judge_unique("order_no")
    wrong: dict[int, tuple[str, str]] = {}
    targets = zip(orders.values["channel"], orders.values["node_id"], orders.values["dest_zip"], strict=True)
    for position, (channel, node_key, postal_code) in enumerate(targets):
        if channel in {Channel.POS, Channel.PICKUP}:
            if not node_key or postal_code:
                wrong[position] = ("", f"needs a node_id and no dest_zip, because channel is {channel}")
        elif node_key or not postal_code:
            wrong[position] = ("", f"needs a dest_zip and no node_id, because channel is {channel}")
    orders.reject(wrong)
    orders.judge("node_id", lambda key: None if not key or key in nodes else f"no node has this key: {key!r}")
    orders.judge(
        "dest_zip", lambda code: None if not code or code[:3] in areas else f"is in no area that is known: {code!r}"
    )
    if len(orders):
        middle, most = median_low(orders.values["ts"]), timedelta(DAYS_MAX)
        orders.judge(
            "ts",
            lambda time: None if abs(time - middle) <= most else f"is {abs(time - middle).days:,} days from the others",
        )


def _judge_lines(lines: Columns, orders: Columns, skus: Collection[str]) -> None:
    """Judges the lines, and then the orders by their lines. Lines of orders that are bad go without a word."""
    lines.judge("StockCode", lambda key: None if key in skus else f"no SKU of the catalog has this key: {key!r}")
    known = {*orders.values["order_no"], *(values.get("order_no") for _, values in orders.bad)}
    lines.judge("order_no", lambda number: None if number in known else f"no order has this number: {number}")
    file = Path(lines.file).name
    bad_rows = {values.get("order_no"): row for row, values in reversed(lines.bad)}
    with_lines = set(lines.values["order_no"])
    orders.judge(
        "order_no",
        lambda number: (
            f"row {bad_rows[number]} of {file} is bad"
            if number in bad_rows
            else None
            if number in with_lines
            else f"has no line in {file}"
        ),
    )
    good = set(orders.values["order_no"])
    lines.drop({place for place, number in enumerate(lines.values["order_no"]) if number not in good})
