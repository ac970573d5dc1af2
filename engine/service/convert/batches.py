"""BatchRelease, BatchAdjustStock and BatchCommit: columns in, columns out, see ``wire``."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from engine.kernels.zones import Integers
from engine.model.commands import BatchAdjustStock, BatchCommit, BatchRelease
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import BatchReply
from engine.pool.names import Names
from engine.service.convert import wire
from engine.service.convert.entry import Entry
from engine.service.convert.inventory import ADJUSTABLE, REASONS
from engine.service.convert.reservation_columns import REPLY_COLUMNS, numbers, require_directory
from engine.service.fields import Check, Rules, fingerprint


def batch_release(request: Any, rules: Rules) -> BatchRelease:
    """Many reservations end."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    channel_key = check.key("channel_key", request.channel_key)
    ids = _ids(check, request.reservation_ids)
    check.done()
    return BatchRelease(request_id, fingerprint(request, CommandKind.BATCH_RELEASE), channel_key, ids)


def _ids(check: Check, column: Any) -> Integers:
    ids = numbers(check, "reservation_ids", column)
    check.count("reservation_ids", len(ids), "batch_items_max", check.limits.batch_items_max)
    for position in np.flatnonzero(ids < 1).tolist():
        check.id(f"reservation_ids[{position}]", int(ids[position]))
    return ids


def batch_commit(request: Any, rules: Rules) -> BatchCommit:
    """Many reservations become orders."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    channel_key = check.key("channel_key", request.channel_key)
    most = check.limits.batch_items_max
    check.count("order_keys", len(request.order_keys), "batch_items_max", most, 0)
    check.count("customer_keys", len(request.customer_keys), "batch_items_max", most, 0)
    ids = _ids(check, request.reservation_ids)
    order_keys = check.keys("order_keys", request.order_keys)
    customer_keys = tuple(request.customer_keys)
    for position, key in enumerate(customer_keys):
        check.optional_key(f"customer_keys[{position}]", key)
    if len(order_keys) != len(ids):
        check.wrong("order_keys", f"must have one entry a reservation ({len(ids)}), has {len(order_keys)}")
    if customer_keys and len(customer_keys) != len(ids):
        check.wrong(
            "customer_keys", f"must be empty or have one entry a reservation ({len(ids)}), has {len(customer_keys)}"
        )
    check.done()
    mark = fingerprint(request, CommandKind.BATCH_COMMIT)
    return BatchCommit(request_id, mark, channel_key, ids, order_keys, customer_keys)


def batch_adjust(request: Any, rules: Rules) -> BatchAdjustStock:
    """A quantity of many cells changes."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    sku_keys, skus = named(check, "sku", request)
    rows = len(sku_keys) or len(skus)
    node_keys, nodes = named(check, "node", request, required=rows > 0)
    deltas = numbers(check, "delta_units", request.delta_units)
    for name, count in (("node_keys", len(node_keys) or len(nodes)), ("delta_units", len(deltas))):
        check.count(name, count, "import_rows_per_message_max", check.limits.import_rows_per_message_max, 0)
        if count not in (1, rows):
            check.wrong(name, f"must have 1 entry or one a row ({rows}), has {count}")
    most = check.limits.units_max
    for position in np.flatnonzero((deltas == 0) | (deltas < -most) | (deltas > most)).tolist():
        if deltas[position]:
            check.units(f"delta_units[{position}]", abs(int(deltas[position])))
        else:
            check.wrong(f"delta_units[{position}]", "must not be 0")
    require_directory(check, "directory", request.directory, {"sku_indexes": skus, "node_indexes": nodes})
    quantity = check.word("quantity", request.quantity, ADJUSTABLE)
    reason = check.word("reason", request.reason, REASONS)
    reference = check.reference(request.reference)
    check.done()
    mark = fingerprint(request, CommandKind.BATCH_ADJUST_STOCK)
    return BatchAdjustStock(
        request_id, mark, sku_keys, skus, node_keys, nodes, deltas, quantity, reason, reference,
        request.all_or_nothing,
    )  # fmt: skip


def named(check: Check, noun: str, request: Any, *, required: bool = True) -> tuple[Sequence[str], Integers]:
    """The column of keys and that of indexes of rows, of which one is empty. Raises InvalidRequest at once when there are too many."""
    keys, path = getattr(request, f"{noun}_keys"), f"{noun}_indexes"
    most = check.limits.import_rows_per_message_max
    check.count(f"{noun}_keys", len(keys), "import_rows_per_message_max", most, 0)
    indexes = numbers(check, path, getattr(request, path))
    check.count(path, len(indexes), "import_rows_per_message_max", most, 0)
    if len(keys) and len(indexes):
        check.wrong(path, f"cannot be given together with {noun}_keys")
    if required and not len(keys) and not len(indexes):
        check.wrong(f"{noun}_keys", f"is empty; name the {noun} of each row there or in {path}")
    return check.keys(f"{noun}_keys", keys), indexes


def _rows(reply: BatchReply) -> Integers:
    return np.frombuffer(reply.columns, dtype="<i8").reshape(-1, REPLY_COLUMNS)


def _fill_outcomes(response: Any, reply: BatchReply, names: Names) -> None:
    del names
    rows = _rows(reply)
    if (rows[:, 0] != Outcome.OK).any():
        response.outcomes = wire.packed(rows[:, 0])


def _fill_balances(response: Any, reply: BatchReply, names: Names) -> None:
    _fill_outcomes(response, reply, names)
    response.balance_units = wire.packed(_rows(reply)[:, 1])


def _fill_orders(response: Any, reply: BatchReply, names: Names) -> None:
    _fill_outcomes(response, reply, names)
    response.order_ids = wire.packed(_rows(reply)[:, 1])


BATCH_RELEASE = Entry(batch_release, wire.BatchReleaseResponse, _fill_outcomes)
BATCH_ADJUST_STOCK = Entry(batch_adjust, wire.BatchAdjustStockResponse, _fill_balances)
BATCH_COMMIT = Entry(batch_commit, wire.BatchCommitResponse, _fill_orders)
