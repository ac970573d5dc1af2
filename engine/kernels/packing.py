"""Effects as bytes for the journal, and back: one call each way, however many operations a record holds.

Rows are packed by operation. Each of the five operand columns of an operation is a base, which ``heads`` tells with the bytes a
difference takes (0, 1, 2, 4 or 8), and the unsigned little-endian differences, column after column in ``packed``. Operations
come in ascending order.
"""

from typing import Final

import numpy as np
from numba import types

from engine.kernels import columns as c
from engine.kernels.compiled import inner, kernel
from engine.kernels.zones import BYTES, BYTES_READ, MATRIX, VECTOR, Bytes, Integers

OPERATIONS_MAX: Final = 16
OPERANDS: Final = c.EFFECT_WIDTH - 1
HEADS_MAX: Final = OPERATIONS_MAX * OPERANDS * 2
ROWS_MAX: Final = 1 << 24
"""Rows that ``unpack_rows`` takes: what is damaged must not ask for all memory."""


@inner
def width_of(spread: np.uint64) -> int:
    """Bytes that hold the differences up to ``spread``."""
    if spread == 0:
        return 0
    if spread < 1 << 8:
        return 1
    if spread < 1 << 16:
        return 2
    return 4 if spread < np.uint64(1) << np.uint64(32) else 8


@kernel(types.UniTuple(types.int64, 2)(MATRIX, BYTES, VECTOR, BYTES), allocates=True)
def pack(effects: Integers, operations: Bytes, heads: Integers, packed: Bytes) -> tuple[int, int]:
    """Pack ``effects`` into ``operations`` (one a row), ``heads`` (HEADS_MAX) and ``packed`` (40 bytes a row at most); returns
    how much of the last two is used.
    """
    counts = np.zeros(OPERATIONS_MAX, dtype=np.int64)
    spans = np.empty((OPERATIONS_MAX, OPERANDS, 2), dtype=np.int64)
    for row in range(effects.shape[0]):
        operation = effects[row, 0]
        operations[row] = operation
        for column in range(OPERANDS):
            value = effects[row, column + 1]
            if counts[operation] == 0:
                spans[operation, column, 0] = value
                spans[operation, column, 1] = value
            elif value < spans[operation, column, 0]:
                spans[operation, column, 0] = value
            elif value > spans[operation, column, 1]:
                spans[operation, column, 1] = value
        counts[operation] += 1
    # Where the next difference of each column goes, and its bytes.
    following = np.zeros((OPERATIONS_MAX, OPERANDS, 2), dtype=np.int64)
    head = 0
    end = 0
    for operation in range(OPERATIONS_MAX):
        if counts[operation] == 0:
            continue
        for column in range(OPERANDS):
            width = width_of(np.uint64(spans[operation, column, 1]) - np.uint64(spans[operation, column, 0]))
            following[operation, column, 0] = end
            following[operation, column, 1] = width
            heads[head] = spans[operation, column, 0]
            heads[head + 1] = width
            end += width * counts[operation]
            head += 2
    for row in range(effects.shape[0]):
        operation = effects[row, 0]
        for column in range(OPERANDS):
            width = following[operation, column, 1]
            at = following[operation, column, 0]
            if width == 0:
                continue
            difference = np.uint64(effects[row, column + 1]) - np.uint64(spans[operation, column, 0])
            packed[at] = difference & np.uint64(0xFF)
            if width > 1:
                packed[at + 1] = (difference >> np.uint64(8)) & np.uint64(0xFF)
            for byte in range(2, width):
                packed[at + byte] = (difference >> np.uint64(8 * byte)) & np.uint64(0xFF)
            following[operation, column, 0] = at + width
    return head, end


@inner
def heads_fit(heads: Integers, counts: Integers, size: int) -> bool:
    """Whether ``heads`` tells of as many bytes as there are, for so many rows of each operation."""
    head = 0
    end = 0
    for operation in range(OPERATIONS_MAX):
        if counts[operation] == 0:
            continue
        for _ in range(OPERANDS):
            if head + 2 > heads.size or heads[head + 1] not in (0, 1, 2, 4, 8):
                return False
            end += heads[head + 1] * counts[operation]
            head += 2
    return head == heads.size and end == size


@inner
def unpack_column(packed: Bytes, base: int, width: int, rows: Integers, out: Integers) -> None:
    """Put the numbers of one column of an operation where they belong. A loop for each width: one for all takes ten times as long."""
    if width == 0:
        for k in range(rows.size):
            out[rows[k]] = base
    elif width == 1:
        for k in range(rows.size):
            out[rows[k]] = base + np.int64(packed[k])
    elif width == 2:
        for k in range(rows.size):
            out[rows[k]] = base + (np.int64(packed[2 * k]) | np.int64(packed[2 * k + 1]) << 8)
    else:
        for k in range(rows.size):
            difference = np.uint64(0)
            for byte in range(width):
                difference |= np.uint64(packed[width * k + byte]) << np.uint64(8 * byte)
            out[rows[k]] = np.int64(np.uint64(base) + difference)


@kernel(types.boolean(BYTES_READ, VECTOR, BYTES_READ, MATRIX), allocates=True)
def unpack(operations: Bytes, heads: Integers, packed: Bytes, effects: Integers) -> bool:
    """Fill ``effects`` with what was packed; False when the parts do not belong together, and then nothing is read."""
    counts = np.zeros(OPERATIONS_MAX, dtype=np.int64)
    for row in range(operations.size):
        if operations[row] >= OPERATIONS_MAX:
            return False
        counts[operations[row]] += 1
    if not heads_fit(heads, counts, packed.size):
        return False
    rows = np.empty(operations.size, dtype=np.int64)
    head = 0
    end = 0
    for operation in range(OPERATIONS_MAX):
        if counts[operation] == 0:
            continue
        found = 0
        for row in range(operations.size):
            if operations[row] == operation:
                rows[found] = row
                found += 1
                effects[row, 0] = operation
        for column in range(OPERANDS):
            base, width = heads[head], heads[head + 1]
            unpack_column(packed[end : end + width * found], base, width, rows[:found], effects[:, column + 1])
            end += width * found
            head += 2
    return True


def pack_rows(rows: Integers) -> bytes:
    """Rows of OPERANDS numbers (int64[n, OPERANDS]) as bytes: n, base and bytes a difference of each column, then the differences."""
    effects = np.zeros((len(rows), c.EFFECT_WIDTH), dtype=np.int64)
    effects[:, 1:] = rows
    heads = np.zeros(HEADS_MAX, dtype=np.int64)
    packed = np.empty(rows.size * 8, dtype=np.uint8)
    _, size = pack(effects, np.empty(len(rows), dtype=np.uint8), heads, packed)
    return np.array([len(rows), *heads[: 2 * OPERANDS]], dtype="<i8").tobytes() + packed[:size].tobytes()


def unpack_rows(content: bytes) -> Integers:
    """What ``pack_rows`` made bytes of. Raises ValueError when it did not."""
    head_bytes = 8 * (1 + 2 * OPERANDS)
    if len(content) < head_bytes:
        raise ValueError("packed rows are cut off")
    count, *heads = np.frombuffer(content[:head_bytes], dtype="<i8").tolist()
    differences = np.frombuffer(content, dtype=np.uint8, offset=head_bytes)
    if not 0 <= count <= ROWS_MAX:
        raise ValueError("packed rows have no such count")
    effects = np.empty((count, c.EFFECT_WIDTH), dtype=np.int64)
    told = np.array(heads if count else [], dtype=np.int64)
    if not unpack(np.zeros(count, dtype=np.uint8), told, differences, effects):
        raise ValueError("the parts of packed rows do not fit together")
    return effects[:, 1:]
