"""Whole numbers as protobuf packs them into an array: seven bits a byte, the lowest first, negative ones as their 64-bit complement.

See "Base 128 Varints" and "Packed Repeated Fields" in protobuf's description of its encoding. The generated classes make a Python object
of every number; a batch of a thousand has several thousand of them.
"""

from typing import Final

import numpy as np
from numba import types

from engine.kernels.compiled import kernel
from engine.kernels.zones import BYTES, BYTES_READ, VECTOR, Bytes, Integers

VARINT_BYTES_MAX: Final = 10
_MORE: Final = 0x80
_BITS: Final = 7


@kernel(types.int64(BYTES_READ, VECTOR))
def read_varints(packed: Bytes, numbers: Integers) -> int:
    """Fill ``numbers`` from ``packed``; returns how many there are, −1 when the bytes are no packed numbers, or more than there is room for."""
    count = np.int64(0)
    number = np.uint64(0)
    shift = np.uint64(0)
    for at in range(packed.size):
        byte = np.uint64(packed[at])
        if shift >= VARINT_BYTES_MAX * _BITS:
            return np.int64(-1)
        number |= (byte & np.uint64(_MORE - 1)) << shift
        shift += np.uint64(_BITS)
        if byte < _MORE:
            if count == numbers.size:
                return np.int64(-1)
            numbers[count] = np.int64(number)
            count += 1
            number = np.uint64(0)
            shift = np.uint64(0)
    return count if shift == 0 else np.int64(-1)


@kernel(types.int64(VECTOR, BYTES))
def write_varints(numbers: Integers, packed: Bytes) -> int:
    """Pack ``numbers`` into ``packed``, which has VARINT_BYTES_MAX for each; returns how many bytes they take."""
    size = np.int64(0)
    for i in range(numbers.size):
        rest = np.uint64(numbers[i])
        while rest >= _MORE:
            packed[size] = rest & np.uint64(_MORE - 1) | np.uint64(_MORE)
            rest >>= np.uint64(_BITS)
            size += 1
        packed[size] = rest
        size += 1
    return size
