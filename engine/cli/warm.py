"""``stockpool warm``: compile the kernels now, so that no server start has to."""

from typing import Annotated

import typer

from engine.cli.output import print_json


def warm(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Compile every kernel, or load it from the cache, and say where the cache is.

    Once a machine and version; `serve` does the same before it answers.
    """
    report = warm_kernels()
    if as_json:
        print_json(report)
    else:
        how = "compiled" if report["compiled"] else "loaded from the cache"
        typer.echo(f"{report['modules']} kernel modules {how} in {report['seconds']} s; cache: {report['cache']}")


def warm_kernels() -> dict[str, object]:
    """Imports every kernel module: a kernel is compiled, or loaded, when its module is imported."""
    import importlib
    import pkgutil
    from time import perf_counter

    begun = perf_counter()
    from engine import kernels
    from engine.kernels.compiled import cache_folder

    folder = cache_folder()
    before = _count(folder)
    names = [found.name for found in pkgutil.iter_modules(kernels.__path__)]
    for name in names:
        importlib.import_module(f"engine.kernels.{name}")
    return {
        "modules": len(names),
        "compiled": _count(folder) - before,
        "seconds": round(perf_counter() - begun, 1),
        "cache": str(folder),
    }


def _count(folder: object) -> int:
    from pathlib import Path

    return sum(1 for _ in Path(str(folder)).rglob("*.nbc"))
