"""Imports run downwards (the contracts are in pyproject.toml), and the two lowest floors are as pure as they claim."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.sources import ROOT, python_files, run_tool, tree


def test_import_contracts_are_kept() -> None:
    run = run_tool("lint-imports", "--no-cache", "--no-logo")
    assert run.returncode == 0, f"\n{run.stdout}{run.stderr}"


@pytest.mark.skipif(not (ROOT / "engine" / "app.py").exists(), reason="the floors are not all built yet")
def test_every_name_in_the_contracts_exists_or_is_planned() -> None:
    """A floor that was renamed must not live on as an optional name that nothing matches."""
    planned = {"planning", "views", "demo"}
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    floors = next(contract for contract in contracts if contract["name"] == "Imports run downwards")["layers"]
    named = {name.strip(" ()") for layer in floors for name in layer.replace("|", ":").split(":")}
    present = {path.stem if path.is_file() else path.name for path in (ROOT / "engine").iterdir()}
    assert named - present <= planned, f"no such module in engine: {sorted(named - present - planned)}"


@pytest.mark.parametrize(
    ("folder", "allowed"),
    [("engine/model", {"engine.model"}), ("engine/kernels", {"engine.kernels", "numpy", "numba", "llvmlite"})],
)
def test_lowest_floors_import_the_standard_library_and_little_else(folder: str, allowed: set[str]) -> None:
    files = python_files(folder)
    assert files, f"nothing below {folder}"
    strangers = [
        f"{path}:{line} imports {name}"
        for path in files
        for line, name in _imports(path)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == prefix or name.startswith(f"{prefix}.") for prefix in allowed)
    ]
    assert not strangers, "\n".join(strangers)


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively; name the package"
            yield node.lineno, node.module or ""
