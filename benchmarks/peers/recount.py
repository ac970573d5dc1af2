"""What every peer must show after a run: that each reservation it says it made is there whole, and that nothing was sold twice."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class RecountError(AssertionError):
    """A peer's store is not what its answers said; the message names the first difference."""


class Cell(NamedTuple):
    """Units of a SKU at a node, as the store has them after a run."""

    sku: int
    node: int
    on_hand: int
    reserved: int


class Line(NamedTuple):
    """One line of a reservation that the store keeps."""

    reservation_id: int
    sku: int
    node: int
    units: int


@dataclass(frozen=True, slots=True)
class Recounted:
    """What a recount found; nothing was oversold."""

    reservations: int
    units: int


def recount(cells: Iterable[Cell], lines: Iterable[Line], lines_each: int) -> Recounted:
    """Add up the lines of all reservations and compare them with the cells.

    Raises:
        RecountError: a reservation is not whole, a cell has other units reserved than its lines add up to, or more than there are.
    """
    reserved: dict[tuple[int, int], int] = {}
    parts: dict[int, int] = {}
    for line in lines:
        where = line.sku, line.node
        reserved[where] = reserved.get(where, 0) + line.units
        parts[line.reservation_id] = parts.get(line.reservation_id, 0) + 1
    broken = [(number, count) for number, count in parts.items() if count != lines_each]
    if broken:
        raise RecountError(f"reservation {broken[0][0]} has {broken[0][1]} lines, not {lines_each}; {len(broken)} such")
    units = sum(reserved.values())
    for cell in cells:
        told = reserved.pop((cell.sku, cell.node), 0)
        if cell.reserved != told:
            raise RecountError(f"{cell}: its lines add up to {told}")
        if not 0 <= cell.reserved <= cell.on_hand:
            raise RecountError(f"{cell}: oversold")
    if reserved:
        raise RecountError(f"lines of cells that are not there: {sorted(reserved.items())[:3]}")
    return Recounted(len(parts), units)
