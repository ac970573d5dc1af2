"""ImportStock: a stream of columns, message by message, or as one decision."""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np

from engine.kernels.zones import Integers
from engine.model.commands import ImportStock
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import ImportReply, Reply
from engine.service.convert.batches import named
from engine.service.convert.entry import judge
from engine.service.convert.reservation_columns import numbers, require_directory
from engine.service.errors import InvalidRequest, Problem
from engine.service.fields import IMPORT_ID_CHARACTERS_MAX, SEQ_MAX, Check, Rules, fingerprint
from stockpool.v1 import inventory_pb2 as pb

T = TypeVar("T")

REFUSALS_TOLD_MAX = 1_000
"""Rows that a response tells one by one."""


def import_message(request: Any, rules: Rules, position: int) -> ImportStock:
    """The command of message ``position`` of a stream; it is remembered under an id of its own. ``request`` may be a twin of ``wire``."""
    check = rules.check()
    request_id = check.request_id(request.request_id, IMPORT_ID_CHARACTERS_MAX)
    sku_keys, skus = named(check, "sku", request)
    rows = len(sku_keys) or len(skus)
    node_keys, nodes = named(check, "node", request, required=rows > 0)
    node_count = len(node_keys) or len(nodes)
    if node_count not in (0, 1, rows):
        check.wrong("node_keys", f"must have 1 entry or one a row ({rows}), has {node_count}")
    require_directory(check, "directory", request.directory, {"sku_indexes": skus, "node_indexes": nodes})
    on_hand = _units(check, "on_hand_units", request.on_hand_units, rows, 0)
    safety_stock: Integers | tuple[()] = ()
    if request.safety_stock_units:
        safety_stock = _units(check, "safety_stock_units", request.safety_stock_units, rows, -1)
    source_key = check.optional_key("source_key", request.source_key)
    if source_key:
        check.whole("source_seq", request.source_seq, 1, "source_seq_max", SEQ_MAX)
    elif request.source_seq:
        check.wrong("source_key", "is missing; source_seq is the number of a feed")
    reference = check.reference(request.reference)
    check.done()
    return ImportStock(
        f"{request_id}/{position}",
        fingerprint(request, CommandKind.IMPORT_STOCK),
        sku_keys,
        node_keys,
        on_hand,
        safety_stock,
        source_key,
        request.source_seq,
        all_or_nothing=False,
        reference=reference,
        sku_indexes=skus,
        node_indexes=nodes,
    )


def _units(check: Check, path: str, column: Any, rows: int, least: int) -> Integers:
    units = numbers(check, path, column)
    if len(units) != rows:
        check.wrong(path, f"must have one entry a row ({rows}), has {len(units)}")
    elif rows and not (units.min() >= least and units.max() <= check.limits.units_max):
        for position in np.flatnonzero((units < least) | (units > check.limits.units_max)).tolist():
            check.units(f"{path}[{position}]", int(units[position]), least)
    return units


class Gathered:
    """The messages of an all-or-nothing stream, which become one command."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._parts: list[ImportStock] = []
        self._rows = 0

    def add(self, part: ImportStock) -> None:
        """The next message.

        Raises:
            InvalidRequest: there are too many rows, or the message speaks for another feed than the first.
        """
        limit = self._rules.limits.import_all_or_nothing_rows_max
        self._rows += part.row_count
        if self._rows > limit:
            text = (
                f"the stream has more than {limit} rows, the limit import_all_or_nothing_rows_max; send several streams"
            )
            raise InvalidRequest([Problem("sku_keys", text, "import_all_or_nothing_rows_max", limit)])
        first = self._parts[0] if self._parts else part
        for field in ("source_key", "source_seq", "reference"):
            if getattr(part, field) != getattr(first, field):
                raise InvalidRequest([Problem(field, "must be the same in every message of an all-or-nothing stream")])
        for field in ("sku_indexes", "node_indexes"):
            if bool(len(getattr(part, field))) != bool(len(getattr(first, field))):
                raise InvalidRequest(
                    [Problem(field, "must be given in every message of an all-or-nothing stream, or in none")]
                )
        self._parts.append(part)

    def command(self) -> ImportStock:
        """All rows as one command, remembered under the id of the first message."""
        first = self._parts[0]
        marks = b"".join(part.fingerprint.to_bytes(8, "little", signed=True) for part in self._parts)
        with_safety_stock = any(len(part.safety_stock_units) for part in self._parts)
        return ImportStock(
            first.request_id,
            int.from_bytes(blake2b(marks, digest_size=8).digest(), "little", signed=True),
            tuple([key for part in self._parts for key in part.sku_keys]),
            tuple([key for part in self._parts for key in _by_row(part.node_keys, part)]),
            np.concatenate([part.on_hand_units for part in self._parts]),
            np.concatenate([_safety_stock(part) for part in self._parts]) if with_safety_stock else (),
            first.source_key,
            first.source_seq,
            all_or_nothing=True,
            reference=first.reference,
            sku_indexes=np.concatenate([part.sku_indexes for part in self._parts]),
            node_indexes=np.concatenate(
                [np.array(_by_row([*part.node_indexes], part), dtype=np.int64) for part in self._parts]
            ),
        )


def _by_row(column: Sequence[T], part: ImportStock) -> Sequence[T]:
    return [column[0]] * part.row_count if len(column) == 1 else column


def _safety_stock(part: ImportStock) -> Integers:
    if len(part.safety_stock_units):
        return np.array(part.safety_stock_units, dtype=np.int64)
    return np.full(part.row_count, -1, dtype=np.int64)


class Import:
    """The response to a stream, while its messages are decided."""

    def __init__(self) -> None:
        self._response = pb.ImportStockResponse()
        self._refused = 0
        self._first_row = 0
        self._worst: tuple[Outcome, str] = (Outcome.OK, "")
        self._seq = 0

    def add(self, rows: int, seq: int, reply: Reply) -> None:
        """The reply to the next message, which had so many rows."""
        response = self._response
        applied = 0
        if isinstance(reply, ImportReply):
            applied = reply.applied_count
            for row_index, outcome, subject in reply.refusals[: REFUSALS_TOLD_MAX - len(response.refusals)]:
                response.refusals.add(
                    row_index=self._first_row + row_index,
                    outcome=int(outcome),
                    subject=subject,
                )
        if reply.outcome not in (Outcome.OK, Outcome.PARTIAL) and self._worst[0] == Outcome.OK:
            self._worst = reply.outcome, reply.subject
        response.row_count += rows
        response.applied_count += applied
        self._refused += rows - applied
        self._first_row += rows
        self._seq = max(self._seq, seq)

    def response(self) -> pb.ImportStockResponse:
        """All messages were decided. A message that was refused as a whole lends its outcome to the whole stream."""
        outcome, subject = self._worst
        if outcome == Outcome.OK and self._refused:
            outcome = Outcome.PARTIAL
        judge(self._response.result, outcome, subject, self._seq)
        if self._refused:
            self._response.result.detail += f" {self._refused} of {self._first_row} rows were not applied."
        return self._response
