"""``python -m benchmarks.snapshots COUNT FOLDER`` makes and reads a snapshot of so many cells, and audits them; it tells the figures as JSON."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.stocking import ROWS, decide, network
from benchmarks.world import World
from engine.core.machine import Machine
from engine.follower.audit import broken_invariants
from engine.journal import Mark
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import Limits
from engine.snapshots import SnapshotFolder, SnapshotReader, read_machine

NODES = 1_000
UNITS_MAX = 2_000

T = TypeVar("T")


def stocked(count: int) -> Machine:
    """A machine with so many cells, units on hand at random."""
    chance = random.Random(31)
    world = World(skus=count // NODES, nodes=NODES, cells_per_sku=NODES)
    machine = Machine(Limits(cells_max=max(count, Limits().cells_max)))
    for command in network(world):
        decide(machine, command)
    node_keys = tuple(f"N{node:05}" for node in range(NODES))
    skus_each = ROWS // NODES
    for first in range(0, world.skus, skus_each):
        skus = range(first, min(first + skus_each, world.skus))
        sku_keys = tuple(f"S{sku:06}" for sku in skus for _ in range(NODES))
        units = tuple(chance.randrange(UNITS_MAX) for _ in sku_keys)
        decide(machine, m.ImportStock(f"stock/{first}", 1, sku_keys, node_keys * len(skus), units))
    return machine


def timed(what: Callable[[], T]) -> tuple[float, T]:
    """Seconds that it took, and what it gave."""
    begun = time.perf_counter()
    given = what()
    return time.perf_counter() - begun, given


def main() -> None:
    machine = stocked(int(sys.argv[1]))
    folder = SnapshotFolder(Path(sys.argv[2]))
    digest_s, digest = timed(machine.digest)
    # Written, synced, read back into a second machine, and its digest compared.
    made_s, made = timed(lambda: folder.write(machine, Mark(machine.seq, 1, 1), digest))

    def verify() -> None:
        with SnapshotReader(made.path) as reader:
            reader.verify()

    def read() -> Machine:
        with SnapshotReader(made.path) as reader:
            return read_machine(reader, machine.pool.limits)

    verify_s, _ = timed(verify)
    read_s, _ = timed(read)
    audit_s, findings = timed(lambda: broken_invariants(machine))
    assert findings == ()
    told: dict[str, Any] = {
        "cells": machine.pool.counter(c.CELLS_OPEN),
        "bytes": made.size,
        "made_s": made_s,
        "written_s": made_s - read_s,
        "read_s": read_s,
        "verify_s": verify_s,
        "digest_s": digest_s,
        "audit_s": audit_s,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
