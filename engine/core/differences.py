"""Where two machines differ that should be in the same state: which quantity of which cell, which reservation, which order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice, zip_longest
from typing import Any

import numpy as np

from engine.core.image import Columns, Image
from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers
from engine.model.queries import Finding

State = Image[Columns]
TOLD_MAX = 20
SAME_STATE = "the states are the same"
_CELL_ROWS = {
    c.ON_HAND: "on_hand", c.DAMAGED: "damaged", c.QUALITY_CONTROL: "quality_control", c.DISPLAY: "display", c.IN_RETURN: "in_return",
    c.RESERVED: "reserved", c.ALLOCATED: "allocated", c.SAFETY_STOCK: "safety_stock", c.INCOMING: "incoming", c.ATF: "ATF",
    c.PENDING: "pending", c.KEY: "key", c.MOVED: "newest movement", c.PRICE: "price", c.DEMAND: "demand",
}  # fmt: skip
_RESERVATION_ROWS = {
    c.RES_ID: "id", c.RES_STATE: "state", c.RES_EXPIRES: "end", c.RES_CREATED: "beginning", c.RES_CHANNEL: "channel",
    c.RES_DESTINATION: "destination", c.RES_META: "kind and service", c.RES_LEG: "first leg",
}  # fmt: skip
# Without numeric effects a decision moves neither of the first two; the third counts stale entries of a heap.
_NO_STATE = (c.SEQ, c.NOW_NS, c.EXPIRY_COUNT)


def differences(expected: State, actual: State, told_max: int = TOLD_MAX) -> list[Finding]:
    """The first differences, those of quantities first; none when the states are the same.

    Where something is not a number, the finding's two numbers are 1 and 0.
    """
    return list(islice(_all(expected, actual), told_max))


def _all(expected: State, actual: State) -> Iterator[Finding]:
    mine, theirs = expected.columns, actual.columns
    yield from _of_cells(expected, actual)
    yield from _of_matrix("counter {at}", mine.counters, theirs.counters, skipped=_NO_STATE)
    yield from _of_reservations(mine, theirs)
    for name in ("skus", "directory", "held", "movements", "feeds", "capacity"):
        yield from _of_matrix(f"{name} {{at}}", getattr(mine, name), getattr(theirs, name))
    for name, one, other in zip(expected.network._fields, expected.network, actual.network, strict=True):
        if one != other:
            yield from _of_sequence(f"network: {name}", one, other)
    book, other_book = expected.orders, actual.orders
    for name in ("orders", "fulfillment_orders", "returns"):
        one, other = getattr(book, name), getattr(other_book, name)
        yield from _of_mapping(
            name.removesuffix("s").replace("_", " "),
            dict(zip(one.ids, one.encoded, strict=True)),
            dict(zip(other.ids, other.encoded, strict=True)),
        )
    for name in ("closed_orders", "closed_returns", "following"):
        if list(getattr(book, name)) != list(getattr(other_book, name)):
            yield Finding(SAME_STATE, name.replace("_", " "), 1, 0)
    yield from _of_mapping("request", _requests(expected), _requests(actual))


def _of_cells(expected: State, actual: State) -> Iterator[Finding]:
    mine, theirs = expected.columns.cells, actual.columns.cells
    shared = min(mine.shape[1], theirs.shape[1])
    for row, quantity in _CELL_ROWS.items():
        for slot in np.flatnonzero(mine[row, :shared] != theirs[row, :shared]).tolist():
            yield Finding(
                SAME_STATE, f"{quantity} of {_cell(expected, slot)}", int(mine[row, slot]), int(theirs[row, slot])
            )
    if mine.shape[1] != theirs.shape[1]:
        yield Finding(SAME_STATE, "slots in use", mine.shape[1], theirs.shape[1])


def _cell(image: State, slot: int) -> str:
    key = int(image.columns.cells[c.KEY, slot])
    sku, node = key >> SLOT_BITS, key & SLOT_MASK
    skus, nodes = image.network.skus, image.network.nodes
    if sku >= len(skus) or node >= len(nodes):
        return f"slot {slot}"
    return f"{skus[sku].sku_key} at {nodes[node].node_key}"


def _of_reservations(expected: Columns, actual: Columns) -> Iterator[Finding]:
    mine, theirs = (
        {column[c.RES_ID]: column for column in matrix.T.tolist()}
        for matrix in (expected.reservations, actual.reservations)
    )
    for reservation_id in sorted(mine.keys() | theirs.keys()):
        one, other = mine.get(reservation_id), theirs.get(reservation_id)
        if one is None or other is None:
            yield Finding(SAME_STATE, f"reservation {reservation_id} is remembered", int(bool(one)), int(bool(other)))
            continue
        for row, name in _RESERVATION_ROWS.items():
            if one[row] != other[row]:
                yield Finding(SAME_STATE, f"{name} of reservation {reservation_id}", one[row], other[row])


def _of_matrix(name: str, mine: Integers, theirs: Integers, *, skipped: tuple[int, ...] = ()) -> Iterator[Finding]:
    shared = min(mine.shape[1], theirs.shape[1])
    for row in range(min(len(mine), len(theirs))):
        for at in np.flatnonzero(mine[row, :shared] != theirs[row, :shared]).tolist():
            if at not in skipped:
                subject = name.format(at=at) + (f", row {row}" if len(mine) > 1 else "")
                yield Finding(SAME_STATE, subject, int(mine[row, at]), int(theirs[row, at]))
    if mine.shape != theirs.shape:
        yield Finding(SAME_STATE, f"size of {name.partition(' ')[0]}", mine.size, theirs.size)


def _of_sequence(name: str, one: Any, other: Any) -> Iterator[Finding]:
    if not isinstance(one, list):
        yield Finding(SAME_STATE, name, 1, 0)
        return
    for at, (mine, theirs) in enumerate(zip_longest(one, other)):
        if mine != theirs:
            yield Finding(SAME_STATE, f"{name}[{at}]", 1, 0)


def _of_mapping(name: str, one: Mapping[Any, Any], other: Mapping[Any, Any]) -> Iterator[Finding]:
    if list(one.items()) == list(other.items()):
        return
    for key in {**one, **other}:
        if key not in one or key not in other:
            yield Finding(SAME_STATE, f"{name} {key} is remembered", int(key in one), int(key in other))
        elif one[key] != other[key]:
            yield Finding(SAME_STATE, f"{name} {key}", 1, 0)
    if list(one) != list(other):
        yield Finding(SAME_STATE, f"order of each {name}", 1, 0)


def _requests(image: State) -> dict[str, tuple[Any, ...]]:
    requests = image.requests
    rows = zip(requests.fingerprints, requests.seqs, requests.kinds, requests.encoded, strict=True)
    return dict(zip(requests.request_ids, rows, strict=True))
