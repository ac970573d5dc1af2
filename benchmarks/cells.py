"""``python -m benchmarks.cells COUNT`` imports so many cells into a machine of its own and tells what memory they took, as JSON."""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.stocking import ROWS, UNITS, decide, network
from benchmarks.world import World
from engine.core.machine import Machine
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import Limits

NODES = 1_000


def main() -> None:
    count = int(sys.argv[1])
    process = psutil.Process()
    world = World(skus=count // NODES, nodes=NODES, cells_per_sku=NODES)
    machine = Machine(Limits(cells_max=count))
    for command in network(world):
        decide(machine, command)
    node_keys = tuple(f"N{node:05}" for node in range(NODES))
    skus_each = ROWS // NODES
    before = process.memory_info().rss
    begun = time.perf_counter()
    for first in range(0, world.skus, skus_each):
        skus = range(first, min(first + skus_each, world.skus))
        sku_keys = tuple(f"S{sku:06}" for sku in skus for _ in range(NODES))
        command = m.ImportStock(f"stock/{first}", 1, sku_keys, node_keys * len(skus), (UNITS,) * len(sku_keys))
        decide(machine, command)
    elapsed = time.perf_counter() - begun
    imported = process.memory_info().rss
    assert machine.pool.counter(c.CELLS_OPEN) == world.skus * NODES
    # Writes every page: the memory of a store in which every quantity of every cell was once used.
    np.add(machine.pool.state[0], 0, out=machine.pool.state[0])
    told = {
        "cells": machine.pool.counter(c.CELLS_OPEN),
        "bytes_before": before,
        "bytes": imported,
        "bytes_used": process.memory_info().rss,
        "cells_per_s": machine.pool.counter(c.CELLS_OPEN) / elapsed,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
