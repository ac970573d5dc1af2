"""Time, ids and chance are arguments: below `service` nobody asks for them.

The same inputs must give the same journal, byte for byte; one call of a clock in a deep place would end that. Floors that do
input and output may time their own patience (how long to wait for a lock, how long a commit took) with a clock that tells no
time of day; nothing that it says enters the state.
"""

import ast
from pathlib import Path

import pytest

from tests.house.sources import python_files, tree

PURE = ("engine/model", "engine/kernels", "engine/pool", "engine/core", "engine/group.py")
PATIENT = (
    "engine/follower",
    "engine/journal",
    "engine/planning",
    "engine/recovery.py",
    "engine/settings.py",
    "engine/snapshots",
    "engine/views",
    "engine/writer.py",
)

# Modules that have nothing to give but time, ids or chance.
BANNED_MODULES = {"random", "secrets", "uuid"}
BANNED_CALLS = {
    "datetime.date.today",
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "numpy.random",
    "os.urandom",
    "time.time",
    "time.time_ns",
}
STOPWATCHES = {
    f"time.{name}{suffix}" for name in ("monotonic", "perf_counter", "process_time") for suffix in ("", "_ns")
}


@pytest.mark.parametrize("folder", PURE)
def test_pure_floors_know_no_clock_no_ids_no_chance(folder: str) -> None:
    _assert_none(python_files(folder), BANNED_CALLS | STOPWATCHES)


@pytest.mark.parametrize("folder", PATIENT)
def test_floors_below_service_know_no_time_of_day_no_ids_no_chance(folder: str) -> None:
    _assert_none(python_files(folder), BANNED_CALLS)


def _assert_none(files: list[Path], banned: set[str]) -> None:
    found = [offence for path in files for offence in _offences(path, tree(path), banned)]
    assert not found, "take it as an argument:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("source", "offences"),
    [
        ("import time\ntime.time_ns()", 1),
        ("from time import monotonic\nmonotonic()", 1),
        ("from datetime import UTC, datetime\ndatetime.now(UTC)", 1),
        ("import datetime as d\nd.date.today()", 1),
        ("import numpy as np\nnp.random.default_rng(1)", 1),
        ("import uuid", 1),
        ("from random import Random", 1),
        ("from datetime import timedelta\ntimedelta(1)", 0),
        ("import time\ntime.sleep(1)", 0),
        ("def decide(now_ns): return now_ns", 0),
    ],
)
def test_the_search_finds_what_it_should(source: str, offences: int) -> None:
    assert len(_offences(Path("sample.py"), ast.parse(source), BANNED_CALLS | STOPWATCHES)) == offences


def _offences(path: Path, module: ast.Module, banned: set[str]) -> list[str]:
    """Each place that asks for time, an id or chance, through whatever name the module was imported by."""
    names: dict[str, str] = {}
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names |= {alias.asname or alias.name.split(".")[0]: alias.name for alias in node.names}
            found += [(node.lineno, alias.name) for alias in node.names if alias.name.split(".")[0] in BANNED_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            if node.module.split(".")[0] in BANNED_MODULES:
                found.append((node.lineno, node.module))
    for node in ast.walk(module):
        if isinstance(node, ast.Attribute | ast.Name) and _dotted(node, names) in banned:
            found.append((node.lineno, _dotted(node, names)))
    return [f"{path}:{line} uses {name}" for line, name in found]


def _dotted(node: ast.expr, names: dict[str, str]) -> str:
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Attribute) and (owner := _dotted(node.value, names)):
        return f"{owner}.{node.attr}"
    return ""
