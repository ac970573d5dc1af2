"""What routing adds to a call: a durable Reserve of three lines over the wire, shipped from any of 1,573 nodes, beside one that is collected at a
given node. One call at a time; rounds by turns.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from benchmarks.caller import RESERVE
from benchmarks.history import Note
from benchmarks.load import loaded
from benchmarks.stocking import journaled
from benchmarks.world import World

ROUNDS = 7
NETWORK = World(skus=4 * 1_573, nodes=1_573, cells_per_sku=143, lines=3)
"""Every SKU at 143 of the 1,573 nodes."""


def test_routed_reserve(tmp_path: Path, scale: float, note: Note) -> None:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    journaled(url, NETWORK)
    added, plain = [], []
    with loaded([sys.executable, "-m", "benchmarks.echo_server", url], NETWORK, callers=1) as load:
        for turn in range(ROUNDS + 1):
            collected, shipped = (load.run(RESERVE, int(600 * scale), 1, pickup=way) for way in (True, False))
            assert collected.granted + shipped.granted == collected.calls + shipped.calls, "a Reserve was refused"
            if turn:
                plain.append(collected.p50_ms)
                added.append(shipped.p50_ms - collected.p50_ms)
    note("routed_reserve_added_p50_ms", median(added), "ms")
    note("routed_reserve_plain_p50_ms", median(plain), "ms")
