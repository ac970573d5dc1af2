"""BatchReserve over the wire: messages of 1,000 reservations of two lines, two messages in flight, every one durable.

Shipped ones are routed (each SKU lies at a few nodes); collected ones are pinned to a store that has both lines.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

import pytest

from benchmarks.caller import BATCH, BATCH_ITEMS, COLUMNS
from benchmarks.history import Note
from benchmarks.load import Load, loaded
from benchmarks.stocking import copy_journal
from benchmarks.world import World

ROUNDS = 3
IN_FLIGHT = 2


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_batch_reserve(world: World, stocked: Path, url: str, scale: float, note: Note) -> None:
    copy_journal(f"sqlite:///{stocked}", url)
    store = "sqlite" if url.startswith("sqlite") else "pg"
    with loaded([sys.executable, "-m", "benchmarks.echo_server", url], world, callers=1) as load:
        for call, batches in ((BATCH, 40), (COLUMNS, 200)):
            for pickup, place in ((False, "_routed"), (True, "")):
                per_s, cpu_us = rates(load, call, max(4, int(batches * scale)), pickup=pickup)
                tag = f"{'_rows' if call == BATCH else ''}{place}"
                note(f"batch_1000{tag}_{store}_per_s", per_s, "1/s")
                note(f"batch_1000{tag}_{store}_server_cpu_us", cpu_us, "us")


def rates(load: Load, call: str, calls: int, *, pickup: bool) -> tuple[float, float]:
    """Reservations a second, and the server's processor time for one reservation: medians over the rounds."""
    measured = [load.run(call, calls, IN_FLIGHT, pickup=pickup) for _ in range(ROUNDS + 1)][1:]
    for one in measured:
        assert one.granted == one.calls * BATCH_ITEMS, "a reservation was refused"
    per_s = median(one.calls_per_s for one in measured) * BATCH_ITEMS
    return per_s, median(one.server_cpu_us for one in measured) / BATCH_ITEMS
