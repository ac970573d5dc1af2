"""From the command to a server that answers: with kernels to compile, with kernels compiled before, and with a journal to replay.

Python files are compiled as the environment has it: where bytecode is neither installed nor written (PYTHONDONTWRITEBYTECODE), every start
compiles all that it imports, one to two seconds. The figure with bytecode is a warm start that never does.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import grpc
import psutil  # type: ignore[import-untyped]
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.history import Note
from benchmarks.load import SERVE, hear, piped
from benchmarks.world import LARGE, World


def start_s(url: str, cache: Path | None = None, bytecode: Path | None = None) -> tuple[float, float]:
    """Seconds until health says SERVING, and the processor seconds until then, also those of a process that helped to compile.

    ``cache`` is a folder for kernels, ``bytecode`` one for Python files; None: as the environment has it.
    """
    environment = os.environ | ({"STOCKPOOL_CACHE_DIR": str(cache)} if cache else {})
    if bytecode:
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        environment["PYTHONPYCACHEPREFIX"] = str(bytecode)
    begun = time.perf_counter()
    with piped([*SERVE, url], environment) as server:
        target = json.loads(hear(server))["target"]
        with grpc.insecure_channel(target) as channel:
            health: Any = health_pb2_grpc.HealthStub(channel)
            said = health.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=60)
            elapsed = time.perf_counter() - begun
            taken_s = sum(psutil.Process(server.pid).cpu_times()[:4])
    assert said.status == health_pb2.HealthCheckResponse.SERVING
    return elapsed, taken_s


def test_start(tmp_path: Path, note: Note) -> None:
    cache = tmp_path / "kernels"
    for name, starts in (("cold", 1), ("warm", 3)):
        elapsed, cpu = zip(*(start_s("memory://", cache) for _ in range(starts)), strict=True)
        note(f"{name}_start_s", median(elapsed), "s")
        note(f"{name}_start_cpu_s", median(cpu), "s")
    elapsed, _ = zip(*(start_s("memory://", cache, tmp_path / "bytecode") for _ in range(4)), strict=True)
    note("warm_start_with_bytecode_s", median(elapsed[1:]), "s")


def test_start_with_journal(world: World, stocked_url: str, note: Note) -> None:
    """The world of the load benchmarks: 400,000 cells."""
    if world is not LARGE:
        pytest.skip("the small world says nothing about this")
    note("start_400k_cells_s", median(start_s(stocked_url)[0] for _ in range(3)), "s")
