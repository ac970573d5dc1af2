"""Orders from files: one file whose rows are lines, or one of orders and one of their lines."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from adapters import fields
from adapters.fields import Field, FieldError
from adapters.port import Batch, OrderKind, OrderLineRow, OrderRow, RowError
from adapters.tables import FileFormatError, columns_of, read_table

ORDER_FIELDS = (
    Field("channel_key", fields.key),
    Field("order_key", fields.key),
    Field("time", fields.time),
    Field("kind", fields.one_of(OrderKind), OrderKind.SHIP),
    Field("node_key", fields.key, ""),
    Field("postal_code", fields.postal_code, ""),
    Field("service_key", fields.key, ""),
    Field("customer_key", fields.key, ""),
    Field("currency_code", fields.currency, ""),
)
LINE_FIELDS = (
    Field("sku_key", fields.key),
    Field("units", fields.units_of_line),
    Field("unit_price", fields.micros, 0),
)
_LINE_KEY = Field("order_key", fields.key)


@dataclass(slots=True)
class _Lines:
    """The lines of one order, and the rows that are wrong in it."""

    good: list[OrderLineRow] = field(default_factory=list)
    first_row: int = 0
    bad_row: int = 0


@dataclass(slots=True)
class _Open:
    """An order whose rows are still coming."""

    row: int
    values: dict[str, Any]
    lines: list[OrderLineRow]
    bad: bool = False


def read_orders(path: Path, lines_path: Path | None) -> Iterator[Batch[OrderRow]]:
    """Orders of ``path``. If it has a column sku_key, each row is a line, and rows of one order follow one another; else the lines are in
    ``lines_path``, in any order (they are kept in memory).

    Raises:
        FileFormatError: a file cannot be read, or there are no lines.
    """
    if "sku_key" in columns_of(path):
        yield from _read_flat(path)
    elif lines_path is None:
        raise FileFormatError(f"{path} has no column sku_key and there is no file order_lines: orders without lines")
    else:
        yield from _read_pair(path, lines_path)


def _check_target(values: dict[str, Any]) -> None:
    wanted, other = ("postal_code", "node_key") if values["kind"] is OrderKind.SHIP else ("node_key", "postal_code")
    if not values[wanted]:
        raise FieldError(f"needs a {wanted}, because kind is {values['kind'].value}")
    if values[other]:
        raise FieldError(f"must have no {other}, because kind is {values['kind'].value}")


def _check_order(path: Path, number: int, values: dict[str, Any], seen: dict[tuple[str, str], int]) -> list[RowError]:
    """What is wrong with an order whose fields are good each by itself."""
    identity = (values["channel_key"], values["order_key"])
    first = seen.setdefault(identity, number)
    if first != number:
        return [RowError(str(path), number, "order_key", f"occurs in row {first} already: {identity[1]!r}")]
    try:
        _check_target(values)
    except FieldError as error:
        return [RowError(str(path), number, "", str(error))]
    return []


def _by_row(errors: list[RowError]) -> tuple[RowError, ...]:
    return tuple(sorted(errors, key=lambda error: error.row))


def _read_flat(path: Path) -> Iterator[Batch[OrderRow]]:
    seen: dict[tuple[str, str], int] = {}
    current: _Open | None = None
    for chunk in read_table(path, (*ORDER_FIELDS, *LINE_FIELDS)):
        orders: list[OrderRow] = []
        errors = list(chunk.errors)
        for position, number in enumerate(chunk.rows):
            line, wrong = chunk.read(position, LINE_FIELDS)
            values, wrong_order = chunk.read(position, ORDER_FIELDS)
            wrong = wrong if position in chunk.broken else wrong_order + wrong
            key = (values.get("channel_key"), values.get("order_key"))
            if current is not None and key == (current.values.get("channel_key"), current.values.get("order_key")):
                if not wrong and values != current.values and not current.bad:
                    wrong = [RowError(str(path), number, "", f"differs from row {current.row} of the same order")]
            else:
                orders.extend(_closed(current))
                if not wrong:
                    wrong = _check_order(path, number, values, seen)
                current = _Open(number, values, [])
            if wrong:
                errors.extend(wrong)
                current.bad = True
            else:
                current.lines.append(OrderLineRow(*line.values()))
        if chunk.errors and current is not None:
            # What could not be read may have been a line of it.
            current.bad = True
            errors.append(RowError(str(path), current.row, "", "the file cannot be read to the end of this order"))
        yield Batch(tuple(orders), _by_row(errors))
    if current is not None and not current.bad:
        yield Batch(tuple(_closed(current)))


def _closed(order: _Open | None) -> Iterator[OrderRow]:
    if order is not None and not order.bad:
        yield OrderRow(**order.values, lines=tuple(order.lines))


def _read_pair(path: Path, lines_path: Path) -> Iterator[Batch[OrderRow]]:
    lines, errors = _read_lines(lines_path)
    seen: dict[tuple[str, str], int] = {}
    spoken_of: set[str] = set()
    for chunk in read_table(path, ORDER_FIELDS):
        orders: list[OrderRow] = []
        errors.extend(chunk.errors)
        for position, number in enumerate(chunk.rows):
            values, wrong = chunk.read(position, ORDER_FIELDS)
            spoken_of.add(values.get("order_key", ""))
            if not wrong:
                wrong = _check_order(path, number, values, seen)
            mine = lines.get(values.get("order_key", ""))
            if not wrong and mine is None:
                wrong = [RowError(str(path), number, "", f"has no line in {lines_path.name}")]
            elif not wrong and mine is not None and mine.bad_row:
                wrong = [RowError(str(path), number, "", f"row {mine.bad_row} of {lines_path.name} is bad")]
            if wrong:
                errors.extend(wrong)
            elif mine is not None:
                orders.append(OrderRow(**values, lines=tuple(mine.good)))
        yield Batch(tuple(orders), _by_row(errors))
        errors = []
    for order_key in lines.keys() - spoken_of:
        row = lines[order_key].first_row
        errors.append(RowError(str(lines_path), row, "order_key", f"no order has this key: {order_key!r}"))
    if errors:
        yield Batch((), _by_row(errors))


def _read_lines(path: Path) -> tuple[dict[str, _Lines], list[RowError]]:
    """Lines by the key of their order. A line that names no order is bad by itself."""
    lines: dict[str, _Lines] = defaultdict(_Lines)
    errors: list[RowError] = []
    for chunk in read_table(path, (_LINE_KEY, *LINE_FIELDS)):
        if chunk.errors:
            # No order is sure to have all its lines.
            raise FileFormatError(str(chunk.errors[0]))
        for position, number in enumerate(chunk.rows):
            key, wrong_key = chunk.read(position, (_LINE_KEY,))
            line, wrong = chunk.read(position, LINE_FIELDS)
            errors.extend(wrong if position in chunk.broken else wrong_key + wrong)
            if "order_key" in key:
                mine = lines[key["order_key"]]
                mine.first_row = mine.first_row or number
                if wrong:
                    mine.bad_row = mine.bad_row or number
                else:
                    mine.good.append(OrderLineRow(*line.values()))
    return dict(lines), errors
