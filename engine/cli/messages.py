"""Messages of the contract as plain data, for JSON, and as tables, for people."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

from engine.cli.output import FAILED, console, print_json

if TYPE_CHECKING:
    from google.protobuf.message import Message
    from rich.console import RenderableType

_DONE = ("OK", "PARTIAL")
_COLUMNS_MAX = 8
"""Wider tables are printed row by row, each as a list."""
_UNPRINTED = {"latitude", "longitude"}


def show(response: "Message", *, as_json: bool) -> None:
    """Prints a response, and ends the command with 1 when its outcome is a refusal."""
    data = as_data(response, brief=not as_json)
    result: dict[str, Any] = data.get("result", {})
    refused = bool(result) and result["outcome"].removeprefix("OUTCOME_") not in _DONE
    if as_json:
        print_json(data)
    else:
        data.pop("result", None)
        if refused:
            _say_refusal(result)
        elif result and not data:
            typer.echo(f"done, seq {result['journal_seq']:,}")
        console().print(*_parts(data), sep="\n", end="\n" if data else "")
    if refused:
        raise typer.Exit(FAILED)


def as_data(message: "Message", *, brief: bool = False) -> dict[str, Any]:
    """Every field of a message under its name in the contract.

    Numbers stay numbers (the usual JSON of protobuf makes texts of 64-bit ones), enums become their names, times ISO 8601, durations seconds.
    Messages that are not set are left out. ``brief``: names of enums without their prefix, times to the second, for people.
    """
    data: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            data[field.name] = [_value(field, one, brief) for one in getattr(message, field.name)]
        elif not field.has_presence or message.HasField(field.name):
            data[field.name] = _value(field, getattr(message, field.name), brief)
    return data


def _value(field: Any, value: Any, brief: bool) -> Any:
    if field.enum_type is not None:
        return _enum_name(field.enum_type, value, brief)
    if field.message_type is None:
        return value
    if field.message_type.full_name == "google.protobuf.Timestamp":
        return f"{value.ToDatetime():%Y-%m-%d %H:%M:%S}" if brief else value.ToJsonString()
    if field.message_type.full_name == "google.protobuf.Duration":
        return value.ToNanoseconds() / 1e9
    return as_data(value, brief=brief)


def _enum_name(kind: Any, value: int, brief: bool) -> str | int:
    found = kind.values_by_number.get(value)
    if found is None:  # a newer server
        return value
    if not brief:
        return str(found.name)
    # Every value carries the name of its enum in front; the shared beginning of all values is that name.
    prefix = len(kind.values_by_number[0].name) - len("UNSPECIFIED") if 0 in kind.values_by_number else 0
    return str(found.name[prefix:]) if value else ""


def _say_refusal(result: dict[str, Any]) -> None:
    about = f" {result['subject']}" if result["subject"] else ""
    typer.secho("refused: ", fg=typer.colors.YELLOW, bold=True, nl=False, err=True)
    typer.echo(f"{result['outcome']}{about}", err=True)
    if result["detail"]:
        typer.echo(f"why: {result['detail']}", err=True)


def _parts(data: dict[str, Any], title: str = "") -> "Iterable[RenderableType]":
    """Plain fields as a list, messages within as further lists, repeated ones as tables."""
    from rich.table import Table

    plain = Table.grid(padding=(0, 2))
    plain.title, plain.title_justify, plain.title_style = title or None, "left", "bold"
    nested: list[RenderableType] = []
    for name, value in data.items():
        if isinstance(value, dict) and not _is_money(value):
            nested.extend(_parts(value, _words(name)))
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            nested.extend(_rows(_words(name), value))
        elif name in _UNPRINTED:
            continue
        elif value not in ("", [], 0, False) or name.endswith(("_units", "_count")):
            plain.add_row(f"[dim]{_words(name)}[/dim]", _text(value))
    return [*([plain] if plain.row_count else []), *nested]


def _rows(title: str, rows: list[dict[str, Any]]) -> "Iterable[RenderableType]":
    names = [
        name
        for name in rows[0]
        if name not in _UNPRINTED and any(row.get(name) not in ("", [], 0, None, False) for row in rows)
    ]
    holds_rows = any(
        row.get(name) and isinstance(row[name], list) and isinstance(row[name][0], dict)
        for row in rows
        for name in names
    )
    if len(names) > _COLUMNS_MAX or holds_rows:
        for number, row in enumerate(rows, start=1):
            yield from _parts(row, f"{title} {number}")
        return
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim", box=None, padding=(0, 1))
    for name in names:
        numeric = all(isinstance(row.get(name), int | float | None) for row in rows)
        table.add_column(_words(name), justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*(_text(row.get(name, "")) for name in names))
    yield table


def _text(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, dict):
        if _is_money(value):
            return f"{value['micros'] / 1e6:,.2f} {value['currency_code']}".rstrip()
        return ", ".join(f"{_words(name)} {_text(one)}" for name, one in value.items() if one not in ("", [], 0))
    if isinstance(value, list):
        return "; ".join(_text(one) for one in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return escape(str(value))


def _is_money(value: dict[str, Any]) -> bool:
    return value.keys() == {"currency_code", "micros"}


def _words(name: str) -> str:
    return name.replace("_", " ")
