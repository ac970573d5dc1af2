"""How kernels are compiled: the decorators. Importing any kernel imports this module first, hence the folder of the cache is set before
the first function is decorated.
"""

from collections.abc import Callable
from typing import Any, cast

from numba import config, njit

from engine.kernels.cache import cache_folder

config.CACHE_DIR = str(cache_folder())

_njit = cast("Any", njit)  # its stubs do not know every option


def kernel(signature: Any, *, long: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile at import with an explicit ``signature``, cached on disk.

    Eager on purpose: a lazy kernel recompiles silently for an int32 argument. Only a ``long`` one, of many milliseconds, lets go of
    the interpreter lock: while the event loop is busy, getting it back takes ten times what a short one computes.
    """
    decorate: Callable[[Callable[..., Any]], Any] = _njit(signature, cache=True, nogil=long, no_cfunc_wrapper=True)
    return decorate


def inner(function: Callable[..., Any]) -> Any:
    """For functions that only kernels call: compiled into their callers. Without an entry from Python, which would be a third of the
    time to compile them.
    """
    return _njit(nogil=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


def inlined(function: Callable[..., Any]) -> Any:
    """For a link of a chain of calls, between a kernel and a large ``inner`` function: written out in its caller before anything is
    compiled. Whatever an ``inner`` function calls is optimised once more with it, so each link would cost the whole chain again.
    """
    return _njit(nogil=True, inline="always")(function)
