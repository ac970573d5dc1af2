"""Compiling the kernels: the cache knows whether it is complete, another process helps, and its failure does no harm."""

from __future__ import annotations

import ast
import logging
import pkgutil
import subprocess
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from numba.core.caching import FunctionCache
from typer.testing import CliRunner

from engine import kernels
from engine.cli.main import app
from engine.cli.serve import _say_if_cold
from engine.cli.warm import BESIDE, COLD, compiled_elsewhere, warm_kernels
from engine.demo.server import ServerFailedError
from engine.kernels.cache import LATER, cache_folder, compiled_count, is_complete

FOLDER = Path(kernels.__path__[0])
ZONES_KERNELS = 1
STOCK_KERNELS = 4
"""Those of `stock`, and those of `zones`, which it imports."""


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache that nothing was compiled into, for this process and those that it starts."""
    monkeypatch.setenv("STOCKPOOL_CACHE_DIR", str(tmp_path))
    return cache_folder()


def names() -> list[str]:
    return [found.name for found in pkgutil.iter_modules(kernels.__path__)]


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.compiled
def test_every_kernel_counts() -> None:
    assert warm_kernels(LATER)["modules"] == len(names())
    found = {
        id(value)
        for name in names()
        for value in vars(import_module(f"engine.kernels.{name}")).values()
        if isinstance(getattr(value, "_cache", None), FunctionCache)
    }
    assert is_complete()
    assert compiled_count() == len(found)


def test_an_empty_cache_is_not_complete(empty_cache: Path) -> None:
    assert not empty_cache.exists()
    assert not compiled_count()
    assert not is_complete()


@pytest.mark.compiled
@pytest.mark.usefixtures("empty_cache")
def test_another_process_fills_the_cache() -> None:
    with compiled_elsewhere(("stock",)) as process:
        assert process is not None
        assert process.wait() == 0
    assert compiled_count() == STOCK_KERNELS


@pytest.mark.compiled
def test_two_processes_fill_one_cache(empty_cache: Path) -> None:
    with compiled_elsewhere(("stock",)) as process:
        assert process is not None
        run("import engine.kernels.stock")
        assert process.wait() == 0
    assert Counter(path.suffix for path in empty_cache.rglob("*.*")) == {".nbc": STOCK_KERNELS, ".nbi": STOCK_KERNELS}
    written = {path: path.stat().st_mtime_ns for path in empty_cache.rglob("*.*")}
    run("import engine.kernels.stock")
    assert {path: path.stat().st_mtime_ns for path in empty_cache.rglob("*.*")} == written, "compiled again"


@pytest.mark.compiled
@pytest.mark.usefixtures("empty_cache")
@pytest.mark.parametrize("executable", ["/no/such/python", "false"])
def test_a_process_that_fails_does_no_harm(executable: str) -> None:
    program = (
        "import sys\n"
        "from engine.cli.warm import compiled_elsewhere, import_kernels\n"
        f"sys.executable = {executable!r}\n"
        "with compiled_elsewhere(('zones',)):\n"
        "    import_kernels(('zones',))\n"
    )
    run(program)
    assert compiled_count() == ZONES_KERNELS


@pytest.mark.usefixtures("empty_cache")
def test_no_process_stays_behind() -> None:
    with compiled_elsewhere(BESIDE) as process:
        assert process is not None
    assert process.returncode is not None


def test_nothing_waits_for_what_is_compiled_elsewhere() -> None:
    assert set(BESIDE) <= set(names())
    for name in sorted({*names()} - {*BESIDE}):
        nodes = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8")).body
        imported = {node.module for node in nodes if isinstance(node, ast.ImportFrom)}
        assert not imported & {f"engine.kernels.{beside}" for beside in BESIDE}, name


@pytest.mark.usefixtures("empty_cache")
def test_a_cold_server_says_that_it_compiles(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="stockpool"):
        _say_if_cold()
    assert caplog.messages == [COLD]


@pytest.mark.parametrize("is_cold", [True, pytest.param(False, marks=pytest.mark.compiled)])
def test_a_cold_demo_says_that_it_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cold: bool) -> None:
    async def fail(*_: Any) -> None:
        raise ServerFailedError("not today")

    monkeypatch.setattr("engine.demo.run.run_demo", fail)
    if is_cold:
        monkeypatch.setenv("STOCKPOOL_CACHE_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["demo", "--report", str(tmp_path / "report.html")])
    assert "not today" in result.output
    assert (COLD in result.output) is is_cold


def test_serve_imports_no_kernel_before_the_help_is_there() -> None:
    """One import above it, and everything is compiled by one process."""
    program = (
        "import sys, engine.cli.warm as warm\n"
        "from engine.cli.serve import _serve, load_settings\n"
        "def look():\n"
        "    sys.exit(repr(sorted(name for name in sys.modules if name.startswith('engine.kernels.') and name != 'engine.kernels.cache')))\n"
        "warm.warm_kernels = look\n"
        "_serve(load_settings(journal='memory://'), as_json=True, stop_on_eof=True)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr.strip() == "[]"
