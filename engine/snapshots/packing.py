"""Columns of integers as few bytes: most are small, or lie close together.

A column is cut into blocks. A block is a base and the differences to it, of 0, 1, 2 or 4 bytes; where they are wider, of a low and a high
half that are packed alike (a key of a cell is a SKU above a node, a time in nanoseconds changes in its low half). That is a
fourth to a tenth of the size, at the speed of memory: no compression in the common sense comes near it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels.zones import Integers

BLOCK: Final = 1 << 18
"""Entries of a block: 2 MB of them stay in the processor's cache."""
_LOW_BITS: Final = 32
_LOW_MASK: Final = (1 << _LOW_BITS) - 1
_TYPES: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<u1"), 2: np.dtype("<u2"), 4: np.dtype("<u4")}


class Block(NamedTuple):
    """How a block is packed: entries = base + low + (high << 32), with so many bytes each for low and high."""

    base: int
    low_bytes: int
    high_bytes: int

    def size(self, entries: int) -> int:
        """Bytes of the packed block."""
        return entries * (self.low_bytes + self.high_bytes)


def blocks(entries: int) -> Iterator[slice]:
    """The blocks of a column of so many entries."""
    for start in range(0, entries, BLOCK):
        yield slice(start, min(start + BLOCK, entries))


def pack(entries: Integers) -> tuple[Block, bytes]:
    """One block, int64[n] with n at least 1."""
    lowest, highest = int(entries.min()), int(entries.max())
    if highest - lowest <= _LOW_MASK:
        low_bytes = _width(highest - lowest)
        return Block(lowest, low_bytes, 0), _plane(entries - lowest, low_bytes)
    base = lowest & ~_LOW_MASK
    # In unsigned arithmetic a difference of more than half the range comes out right as well.
    differences = entries.view(np.uint64) - np.uint64(base & (1 << 64) - 1)
    low, high = differences & np.uint64(_LOW_MASK), differences >> np.uint64(_LOW_BITS)
    low_bytes, high_bytes = _width(int(low.max())), _width(int(high.max()))
    return Block(base, low_bytes, high_bytes), _plane(low, low_bytes) + _plane(high, high_bytes)


def unpack(block: Block, packed: NDArray[np.uint8], out: Integers) -> None:
    """The block back into int64[n]."""
    low_size = out.size * block.low_bytes
    out[:] = packed[:low_size].view(_TYPES[block.low_bytes]) if block.low_bytes else 0
    if block.high_bytes:
        high = packed[low_size:].view(_TYPES[block.high_bytes]).astype(np.int64)
        out += high << _LOW_BITS
    if block.base:
        out += block.base


def _width(highest: int) -> int:
    """Bytes of the narrowest unsigned integer that holds it."""
    return next(width for width, bits in ((0, 0), (1, 8), (2, 16), (4, 32)) if highest < 1 << bits)


def _plane(values: NDArray[np.int64] | NDArray[np.uint64], width: int) -> bytes:
    return values.astype(_TYPES[width]).tobytes() if width else b""
