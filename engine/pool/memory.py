"""Where the arrays of the state lie.

They are as long as the limits allow, and memory is given to them by the operating system as it is first touched. That costs: 0.2 us for a page of 4 kB
on most machines, 10 to 15 us on a virtual one whose host gives memory only then, and a reservation needs 160 bytes that nobody has touched before.
"""

import math
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from engine.kernels.zones import Integers

_HUGE_PAGE = 1 << 21
_TOUCH_EVERY = 4_096 // 8
_at_once: ContextVar[bool] = ContextVar("pretouch", default=False)


@contextmanager
def pretouched() -> Iterator[None]:
    """Within it arrays get all of their memory when they are made, in huge pages where the system has them: nobody waits for it later."""
    token = _at_once.set(True)
    try:
        yield
    finally:
        _at_once.reset(token)


def blank(*shape: int) -> Integers:
    """An array of zeros, int64[shape], whose memory is taken as it is touched, or now, see ``pretouched``."""
    if not _at_once.get():
        return np.zeros(shape, dtype=np.int64)
    count = math.prod(shape)
    length = -(-count * 8 // _HUGE_PAGE) * _HUGE_PAGE
    memory = mmap.mmap(-1, max(length, _HUGE_PAGE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        memory.madvise(mmap.MADV_HUGEPAGE)
    taken = np.frombuffer(memory, dtype=np.int64)
    taken[::_TOUCH_EVERY] = 0
    return taken[:count].reshape(shape)
