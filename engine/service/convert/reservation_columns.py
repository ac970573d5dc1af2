"""BatchReserve in columns: the same command and the same reply as in rows, without an object for each reservation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from engine.kernels.zones import Integers
from engine.model.commands import BatchReserve, ClaimArrays
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import BatchReserveReply
from engine.pool.names import Names
from engine.service.convert import wire
from engine.service.convert.calendars import due_day
from engine.service.convert.entry import Entry
from engine.service.convert.wording import fill_time
from engine.service.fields import (
    POSTAL_CODE_CHARACTERS_MAX,
    POSTAL_CODE_CHARACTERS_MIN,
    Check,
    Rules,
    fingerprint,
    shown,
)

REPLY_COLUMNS = 5
"""Outcome, reservation id, expires_ns, line index, available units; see ``BatchReserveReply``."""


def batch_reserve(request: Any, rules: Rules) -> BatchReserve:
    """Many claims. ``request`` is a BatchReserveRequest with columns, or its twin of ``wire``."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    if request.reservations:
        check.wrong("columns", "cannot be given together with reservations; send two requests")
        check.done()
    claims = _claims(check, request.columns)
    mark = fingerprint(request, CommandKind.BATCH_RESERVE)
    return BatchReserve(request_id, mark, claims, request.all_or_nothing)


class _Columns(NamedTuple):
    """The columns as they came, none longer than a batch may be."""

    line_counts: Integers
    sku_indexes: Integers
    sku_keys: Sequence[str]
    units: Integers
    pickup_node_indexes: Integers
    pickup_node_keys: Sequence[str]
    postal_codes: Sequence[str]


def _columns(check: Check, message: Any) -> _Columns:
    """Raises InvalidRequest at once when a column has more entries than a batch may have: they may be millions."""
    items = check.limits.batch_items_max
    found: list[Any] = []
    for name in _Columns._fields:
        path, column = f"columns.{name}", getattr(message, name)
        entries = column if name in _TEXTS else numbers(check, path, column)
        most = items * check.limits.lines_per_order_max if name in _A_LINE else items
        check.count(path, len(entries), "batch_items_max", most, 0)
        found.append(column[:] if name in _TEXTS else entries)
    return _Columns(*found)


_TEXTS = ("sku_keys", "pickup_node_keys", "postal_codes")
_A_LINE = ("sku_indexes", "sku_keys", "units")
_PLACES = ("pickup_node_indexes", "pickup_node_keys", "postal_codes")


def numbers(check: Check, path: str, column: Any) -> Integers:
    """A column of numbers."""
    found = wire.numbers(column)
    if found is None:
        check.wrong(path, "is no packed array of numbers: its bytes are cut off or malformed")
        return np.zeros(0, dtype=np.int64)
    return found


def _claims(check: Check, message: Any) -> ClaimArrays:
    columns = _columns(check, message)
    lines = _line_count(check, columns)
    line_counts = _line_counts(check, columns.line_counts, lines)
    _require_place(check, columns, len(line_counts))
    ttl_ns = check.limits.reservation_ttl_default_ns
    if message.HasField("ttl"):
        ttl_ns = check.ttl_ns("columns.ttl", message.ttl)
    claims = ClaimArrays(
        check.key("columns.channel_key", message.channel_key),
        check.optional_key("columns.service_key", message.service_key),
        ttl_ns,
        message.allow_partial,
        due_day(check, "columns.promised_date", message.promised_date, collected=not columns.postal_codes),
        line_counts,
        check.keys("columns.sku_keys", columns.sku_keys),
        columns.sku_indexes,
        _units(check, columns.units, lines),
        columns.pickup_node_indexes,
        check.keys("columns.pickup_node_keys", columns.pickup_node_keys),
        _postal_codes(check, columns.postal_codes),
    )
    indexes = {name: getattr(columns, name) for name in ("sku_indexes", "pickup_node_indexes")}
    require_directory(check, "columns.directory", message.directory, indexes)
    check.done()
    return claims


def _line_count(check: Check, columns: _Columns) -> int:
    """How many lines there are, by their SKUs."""
    if len(columns.sku_keys) and len(columns.sku_indexes):
        check.wrong("columns.sku_indexes", "cannot be given together with columns.sku_keys")
    lines = len(columns.sku_keys) or len(columns.sku_indexes)
    if not lines:
        check.wrong("columns.sku_keys", "is empty; name the SKU of each line there or in columns.sku_indexes")
    return lines


def _require_place(check: Check, columns: _Columns, items: int) -> None:
    """One of the columns of places, with an entry a reservation or one for all."""
    given = [name for name in _PLACES if len(getattr(columns, name))]
    if len(given) != 1:
        text = f"give one of {', '.join(_PLACES)}; {' and '.join(given) or 'none'} came"
        check.wrong(f"columns.{given[0] if given else 'postal_codes'}", text)
        return
    count = len(getattr(columns, given[0]))
    if count not in (1, items):
        check.wrong(f"columns.{given[0]}", f"must have 1 entry or one a reservation ({items}), has {count}")


def _units(check: Check, units: Integers, lines: int) -> Integers:
    if len(units) not in (1, lines) or not lines:
        if len(units) != lines:
            check.wrong("columns.units", f"must have 1 entry or one a line ({lines}), has {len(units)}")
        return np.ones(lines, dtype=np.int64)
    if units.min() < 1 or units.max() > check.limits.units_max:
        for position in np.flatnonzero((units < 1) | (units > check.limits.units_max)).tolist():
            check.units(f"columns.units[{position}]", int(units[position]))
    return units if len(units) == lines else np.full(lines, units[0], dtype=np.int64)


def _line_counts(check: Check, counts: Integers, lines: int) -> Integers:
    """How many lines each reservation has."""
    path, most = "columns.line_counts", check.limits.lines_per_order_max
    if not len(counts):
        check.wrong(path, "is empty; say how many lines each reservation has, or once for all")
    elif counts.min() < 1 or counts.max() > most:
        for position in np.flatnonzero((counts < 1) | (counts > most)).tolist():
            check.whole(f"{path}[{position}]", int(counts[position]), 1, "lines_per_order_max", most)
    elif lines:
        if len(counts) == 1:
            counts = np.full(-(-lines // int(counts[0])), counts[0], dtype=np.int64)
        if int(counts.sum()) != lines:
            check.wrong(path, f"make {int(counts.sum())} lines, but there are {lines}")
        check.count(path, len(counts), "batch_items_max", check.limits.batch_items_max)
    return counts


def _postal_codes(check: Check, codes: Sequence[str]) -> Sequence[str]:
    lengths = {*map(len, codes)} or {POSTAL_CODE_CHARACTERS_MIN}
    within = min(lengths) >= POSTAL_CODE_CHARACTERS_MIN and max(lengths) <= POSTAL_CODE_CHARACTERS_MAX
    if not (within and "".join(codes).isprintable()):
        for position, code in enumerate(codes):
            check.postal_code(f"columns.postal_codes[{position}]", code)
    return codes


def require_directory(check: Check, path: str, directory: str, columns: Mapping[str, Integers]) -> None:
    """Indexes are those of this store, and are known to exist, when the directory of which they are is one of this store's.

    ``path``: of the directory; ``columns``: those of indexes beside it, of SKUs and then of nodes, by their field.
    """
    if not any(map(len, columns.values())):
        if directory:
            check.wrong(path, "is for indexes, of which there are none; leave it empty")
        return
    known = check.names.known(directory)
    if known is None:
        text = "is none of this store; ask NetworkService.GetIndexes for the indexes, and send what it says along with them"
        check.wrong(path, f"{text}, got {shown(directory)}")
        return
    for (name, indexes), count in zip(columns.items(), known, strict=True):
        if len(indexes) and (indexes.min() < 0 or indexes.max() >= count):
            for position in np.flatnonzero((indexes < 0) | (indexes >= count)).tolist():
                text = f"must be below {count}, as the directory has so many, and at least 0; got {indexes[position]}"
                check.wrong(f"{path.removesuffix('directory')}{name}[{position}]", text)


def _fill_batch(response: Any, reply: BatchReserveReply, names: Names) -> None:
    del names
    if not reply.columns:
        return
    rows = np.frombuffer(reply.columns, dtype="<i8").reshape(-1, REPLY_COLUMNS)
    columns = response.columns
    ids = rows[:, 1]
    columns.reservation_ids = wire.packed(ids)
    held = np.flatnonzero(ids)
    if held.size:
        fill_time(columns.expire_time, int(rows[held[0], 2]))
    if (rows[:, 0] != Outcome.OK).any():
        columns.outcomes, columns.line_indexes, columns.available_units = (wire.packed(rows[:, at]) for at in (0, 3, 4))
    for item, key in reply.subjects:
        columns.subjects.add(item_index=item, subject=key)


BATCH_RESERVE_COLUMNS = Entry(batch_reserve, wire.BatchReserveResponse, _fill_batch)
