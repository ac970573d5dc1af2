"""Count rows, a million at a time: looked at as a whole, and row by row only near something that is wrong."""

from dataclasses import replace
from itertools import compress

import numpy as np

from adapters import fields
from adapters.fields import UNREADABLE, Field, Raw
from adapters.port import KEY_LENGTH_MAX, UNITS_MAX, CountColumns, RowError
from adapters.tables import Chunk

COUNT_FIELDS = (
    Field("sku_key", fields.key),
    Field("node_key", fields.key),
    Field("on_hand", fields.units),
    Field("safety_stock", fields.units, -1),
)
_BLOCK_ROWS = 250
"""Rows that are looked at one by one for the sake of a bad one among them."""
_DIGITS_MAX = len(str(UNITS_MAX))


def count_columns(chunk: Chunk) -> CountColumns:
    """The good rows of a chunk as columns, and its bad ones."""
    whole = slice(0, len(chunk.rows))
    columns = None if chunk.broken else _at_once(chunk, whole)
    if columns is None:
        blocks = [slice(first, first + _BLOCK_ROWS) for first in range(0, whole.stop, _BLOCK_ROWS)]
        parts = [_block(chunk, block) for block in blocks]
        columns = CountColumns(
            sku_keys=[key for part in parts for key in part.sku_keys],
            node_keys=[key for part in parts for key in part.node_keys],
            on_hand_units=np.concatenate([part.on_hand_units for part in parts]),
            safety_stock_units=np.concatenate([part.safety_stock_units for part in parts]),
            rows=np.concatenate([part.rows for part in parts]),
            errors=tuple(error for part in parts for error in part.errors),
        )
    return replace(columns, errors=columns.errors + tuple(chunk.errors)) if chunk.errors else columns


def _block(chunk: Chunk, block: slice) -> CountColumns:
    broken = any(block.start <= position < block.stop for position in chunk.broken)
    columns = None if broken else _at_once(chunk, block)
    return _row_by_row(chunk, block) if columns is None else columns


def _at_once(chunk: Chunk, part: slice) -> CountColumns | None:
    """The rows of a part as columns when all of them are surely good, else None."""
    sku_keys, node_keys = chunk.columns["sku_key"][part], chunk.columns["node_key"][part]
    on_hand = _good_units(chunk.columns["on_hand"][part])
    safety_stock = _good_or_absent(
        chunk.columns["safety_stock"][part] if "safety_stock" in chunk.columns else None, len(sku_keys)
    )
    if on_hand is None or safety_stock is None or not _are_keys(sku_keys) or not _are_keys(node_keys):
        return None
    return CountColumns(
        sku_keys=sku_keys,
        node_keys=node_keys,
        on_hand_units=np.array(on_hand, np.int64),
        safety_stock_units=np.array(safety_stock, np.int64),
        rows=np.array(chunk.rows[part], np.int64),
    )


def _are_keys(column: list[Raw]) -> bool:
    """Whether every value is surely a key. A doubt is enough for False: the values are then looked at one by one."""
    try:
        together = "".join(column)
    except TypeError:
        return False
    lengths = set(map(len, column))
    return (
        bool(lengths.isdisjoint({0}))
        and max(lengths, default=1) <= KEY_LENGTH_MAX
        and " " not in together
        and together.isprintable()
        and not UNREADABLE.search(together)
    )


def _good_units(column: list[Raw]) -> list[int] | None:
    """The column as integers when every value is surely good, else None."""
    kinds = set(map(type, column))
    if kinds == {str}:
        together = "".join(column)
        plain = together.isascii() and all(map(str.isdecimal, column)) and max(map(len, column)) <= _DIGITS_MAX
        numbers = list(map(int, column)) if plain else None
    elif kinds == {int}:
        numbers = column
    elif not kinds:
        numbers = []
    else:
        numbers = None
    if numbers and not (min(numbers) >= 0 and max(numbers) <= UNITS_MAX):
        return None
    return numbers


def _good_or_absent(column: list[Raw] | None, count: int) -> list[int] | None:
    """As ``_good_units``, with -1 where nothing is given."""
    if column is None:
        return [-1] * count
    given = [value is not None and value != "" for value in column]
    if all(given):
        return _good_units(column)
    numbers = _good_units(list(compress(column, given)))
    if numbers is None:
        return None
    rest = iter(numbers)
    return [next(rest) if there else -1 for there in given]


def _row_by_row(chunk: Chunk, part: slice) -> CountColumns:
    good: list[tuple[str, str, int, int]] = []
    rows: list[int] = []
    errors: list[RowError] = []
    for position in range(part.start, min(part.stop, len(chunk.rows))):
        values, wrong = chunk.read(position, COUNT_FIELDS)
        if wrong:
            errors.extend(wrong)
        else:
            good.append((values["sku_key"], values["node_key"], values["on_hand"], values["safety_stock"]))
            rows.append(chunk.rows[position])
    return CountColumns(
        sku_keys=[row[0] for row in good],
        node_keys=[row[1] for row in good],
        on_hand_units=np.array([row[2] for row in good], np.int64),
        safety_stock_units=np.array([row[3] for row in good], np.int64),
        rows=np.array(rows, np.int64),
        errors=tuple(errors),
    )
