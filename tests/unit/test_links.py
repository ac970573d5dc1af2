"""Kernels that call kernels by their address: what they answer, what they raise, and that nothing is compiled twice."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.kernels.compiled import address_of
from engine.kernels.links import routing_work
from engine.kernels.routing import route
from engine.kernels.splits import route_split
from engine.kernels.workspace import ROUTER, SCALARS, SPLITTER

CHAIN = """
import numpy as np
from numba import types
from engine.kernels.compiled import address_of, by_address, kernel

VECTOR = types.int64[::1]
HALVES = types.int64(types.Tuple([VECTOR, VECTOR]), types.int64)

@kernel(HALVES)
def half_of_sum(rows, at):
    total = rows[0][at] + rows[1][at]
    if total % 2:
        raise ValueError("odd")
    rows[0][at] = 0
    return total // 2

ask = by_address(HALVES, lambda: half_of_sum)

@kernel(types.int64(types.int64, VECTOR, VECTOR, types.int64))
def doubled(address, one, two, at):
    return 2 * ask(address, ((one, two), at))

one, two = np.array([1, 3]), np.array([2, 5])
where = address_of(half_of_sum)
print(doubled(where, one, two, 1), one.tolist())
try:
    doubled(where, one, two, 0)
except ValueError as error:
    print(error)
"""


@pytest.mark.parametrize("compiler", ["off", pytest.param("on", marks=pytest.mark.compiled)])
def test_a_kernel_calls_another_by_its_address(compiler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOCKPOOL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1" if compiler == "off" else "0")
    script = tmp_path / "chain.py"
    script.write_text(CHAIN, encoding="utf-8")
    for _ in range(2):  # compiled, then loaded from the cache
        ended = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
        assert ended.stdout.split("\n")[:2] == ["8 [1, 0]", "odd"]


@pytest.mark.compiled
def test_scratch_knows_where_the_router_lies() -> None:
    numbers = routing_work(1)[3][SCALARS]
    assert (numbers[ROUTER], numbers[SPLITTER]) == (address_of(route), address_of(route_split))
    assert 0 not in (numbers[ROUTER], numbers[SPLITTER])
