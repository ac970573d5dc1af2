"""``stockpool warm``: compile the kernels now, so that no server start has to."""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from engine.cli.output import print_json
from engine.kernels.cache import LATER

COLD = "compiling kernels, once for this version: up to half a minute"
"""What is said before it is done, so that nobody thinks it hangs."""
BESIDE = ("splits", "effects", "packing", "audit")
"""Kernel modules that another process compiles meanwhile: half of the work, and none that the rest waits for."""
_COLLECT_AFTER = (10_000, 50, 100_000)
"""Thresholds of the garbage collector. What compiling leaves stays: looking through all of it again and again takes seconds."""


def warm(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Compile every kernel, or load it from the cache, and say where the cache is.

    Once a machine and version; `serve` does the same before it answers.
    """
    report = warm_kernels(LATER)
    if as_json:
        print_json(report)
    else:
        how = "compiled" if report["compiled"] else "loaded from the cache"
        typer.echo(f"{report['modules']} kernel modules {how} in {report['seconds']} s; cache: {report['cache']}")


def warm_kernels(later: tuple[str, ...] = ()) -> dict[str, object]:
    """Imports the kernel modules of a server and ``later`` ones; while a kernel is missing in the cache, with another process's help."""
    import pkgutil
    from time import perf_counter

    from engine import kernels
    from engine.kernels.cache import cache_folder, compiled_count, is_complete

    begun, before = perf_counter(), compiled_count()
    found = {module.name for module in pkgutil.iter_modules(kernels.__path__)}
    names = [*sorted(found.difference(LATER, BESIDE)), *reversed(BESIDE), *later]
    if is_complete():
        import_kernels(names)
    else:
        # It begins at one end of its list and we, when we are done with ours, at the other.
        with compiled_elsewhere(BESIDE):
            import_kernels(names)
    return {
        "modules": len(names),
        "compiled": compiled_count() - before,
        "seconds": round(perf_counter() - begun, 1),
        "cache": str(cache_folder()),
    }


def import_kernels(names: Iterable[str]) -> None:
    """Imports modules of kernels: a kernel is compiled, or loaded, when its module is imported."""
    import gc
    from importlib import import_module

    usual = gc.get_threshold()
    gc.set_threshold(*_COLLECT_AFTER)
    try:
        for name in names:
            import_module(f"engine.kernels.{name}")
    finally:
        gc.set_threshold(*usual)


@contextmanager
def compiled_elsewhere(names: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes] | None]:
    """Lets another process compile modules of kernels into the cache; it ends with the block. None: it could not be started.

    Nothing depends on it. What it has not put there is compiled here when it is imported, and a file that both write is either's,
    complete: Numba renames it into place.
    """
    program = (
        f"import sys; sys.path[:] = {sys.path!r}; from engine.cli.warm import import_kernels; import_kernels({names!r})"
    )
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(  # noqa: S603 - ourselves
            [sys.executable, "-c", program], stdin=quiet, stdout=quiet, stderr=quiet
        )
    except OSError:
        yield None
        return
    with process:
        try:
            yield process
        finally:
            process.kill()
