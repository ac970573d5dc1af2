"""Where compiled kernels are kept: a folder named by what they were compiled from. Numba is not loaded to tell.

Numba's own cache notices an edit in the file of a function, not in the files that the function calls (its issue 1833). So the
folder carries a hash of this whole package, where it lies, the versions and the bounds-check flag: an edit anywhere starts an empty
folder.
"""

import hashlib
import os
import sys
from collections import Counter
from functools import cache
from importlib.metadata import version
from pathlib import Path

_PACKAGE = Path(__file__).parent
_DECORATED = b"\n@kernel("
LATER = ("waves",)
"""Modules whose kernels no server waits for: only the processes that plan use them."""


@cache
def _sources() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(_PACKAGE.glob("*.py"))}


@cache
def _fingerprint() -> str:
    digest = hashlib.blake2b(digest_size=8)
    for name, text in _sources().items():
        digest.update(name.encode())
        digest.update(text)
    bounds_check = os.environ.get("NUMBA_BOUNDSCHECK", "0")
    # Where it lies, because Numba looks up by that, too: a copy of this package finds nothing that another one compiled.
    circumstances = (str(_PACKAGE), sys.version, version("numba"), version("llvmlite"), bounds_check)
    digest.update(repr(circumstances).encode())
    return digest.hexdigest()


def cache_folder() -> Path:
    """Folder of the compiled kernels of exactly this source; ``STOCKPOOL_CACHE_DIR`` moves its parent."""
    root = os.environ.get("STOCKPOOL_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "stockpool" / f"kernels-{_fingerprint()}"


def compiled_count() -> int:
    """Kernels in the cache."""
    return sum(1 for _ in cache_folder().rglob("*.nbi"))


def is_complete() -> bool:
    """Whether all kernels that a server starts with are in the cache: then it loads them within a second, else it compiles for half
    a minute.
    """
    compiled = Counter(path.name.partition(".")[0] for path in cache_folder().rglob("*.nbi"))
    modules = ((name.removesuffix(".py"), text.count(_DECORATED)) for name, text in _sources().items())
    return all(compiled[module] >= count for module, count in modules if module not in LATER)
