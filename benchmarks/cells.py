"""``python -m benchmarks.cells COUNT HELD ORDERS`` imports so many cells into a machine of its own, holds so many reservations of two lines at once, and
makes orders of some of them; and tells what memory each took, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from typing import Any

import numpy as np
import psutil  # type: ignore[import-untyped]

from benchmarks.stocking import ROWS, UNITS, decide, network
from benchmarks.world import CHANNEL, World
from engine.core.machine import Machine
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import Limits

NODES = 1_000
BATCH = 1_000
LINES = 2
_REQUESTS = count()


def rss() -> int:
    """Resident bytes of this process."""
    return int(psutil.Process().memory_info().rss)


def fill(machine: Machine, world: World) -> None:
    """Every SKU at every node."""
    for command in network(world):
        decide(machine, command)
    node_keys = tuple(f"N{node:05}" for node in range(NODES))
    skus_each = ROWS // NODES
    for first in range(0, world.skus, skus_each):
        skus = range(first, min(first + skus_each, world.skus))
        sku_keys = tuple(f"S{sku:06}" for sku in skus for _ in range(NODES))
        command = m.ImportStock(f"stock/{first}", 1, sku_keys, node_keys * len(skus), (UNITS,) * len(sku_keys))
        decide(machine, command)


def hold(machine: Machine, world: World, held: int) -> None:
    """So many reservations at once, in batches as callers send them in columns."""
    chance = np.random.default_rng(1)
    for _ in range(0, held, BATCH):
        claims = m.ClaimArrays(
            CHANNEL,
            "",
            0,
            False,
            0,
            np.full(BATCH, LINES, dtype=np.int64),
            (),
            chance.integers(0, world.skus, BATCH * LINES),
            np.ones(BATCH * LINES, dtype=np.int64),
            chance.integers(0, NODES, BATCH),
            (),
            (),
        )
        decide(machine, m.BatchReserve(f"held/{next(_REQUESTS)}", 1, claims))


def order(machine: Machine, orders: int) -> None:
    """Orders of the first reservations."""
    for first in range(1, orders + 1, BATCH):
        ids = range(first, first + BATCH)
        keys = tuple(f"order-{reservation_id:09}" for reservation_id in ids)
        decide(machine, m.BatchCommit(f"orders/{first}", 1, CHANNEL, tuple(ids), keys))


def main() -> None:
    cells, held, orders = map(int, sys.argv[1:4])
    world = World(skus=cells // NODES, nodes=NODES, cells_per_sku=NODES)
    limits = Limits(cells_max=cells)
    if held:
        limits = Limits(cells_max=cells, open_reservations_max=held, reservation_legs_max=LINES * held)
    machine = Machine(limits)
    told: dict[str, Any] = {"bytes_before": rss()}
    begun = time.perf_counter()
    fill(machine, world)
    told["cells_per_s"] = cells / (time.perf_counter() - begun)
    told["cells"] = machine.pool.counter(c.CELLS_OPEN)
    told["bytes"] = rss()
    assert told["cells"] == world.skus * NODES
    # Writes every page: the memory of a store in which every quantity of every cell was once used.
    np.add(machine.pool.state[0], 0, out=machine.pool.state[0])
    told["bytes_used"] = rss()
    hold(machine, world, held)
    assert machine.pool.counter(c.RESERVATIONS_OPEN) == held
    told["bytes_held"] = rss()
    order(machine, orders)
    assert len(machine.pool.orders.orders) == orders
    told["bytes_ordered"] = rss()
    print(json.dumps(told))


if __name__ == "__main__":
    main()
