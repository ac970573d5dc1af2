"""How kernels are compiled: one decorator, one cache folder named by what it was compiled from.

Numba's cache notices an edit in the file of a function, not in the files that the function calls (its issue 1833). So the cache
folder carries a hash of this whole package, the versions and the bounds-check flag: an edit anywhere starts an empty folder.
Importing any kernel imports this module first, hence the folder is set before the first function is decorated.
"""

import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import llvmlite
import numba
from numba import config, njit


def _fingerprint() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    flags = (sys.version, numba.__version__, llvmlite.__version__, bool(config.BOUNDSCHECK))
    digest.update(repr(flags).encode())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Folder of the compiled kernels of exactly this source; ``STOCKPOOL_CACHE_DIR`` moves its parent."""
    root = os.environ.get("STOCKPOOL_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "stockpool" / f"kernels-{_fingerprint()}"


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
