"""Memory of 20 million cells with 5 million open reservations, and of orders, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.history import ROOT, Note

CELLS = 20_000_000
HELD = 5_000_000
ORDERS = 100_000


@pytest.mark.long
def test_20m_cells(scale: float, note: Note) -> None:
    cells, held, orders = (int(number * scale) for number in (CELLS, HELD, ORDERS))
    command = [sys.executable, "-m", "benchmarks.cells", str(cells), str(held), str(orders)]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    note("cells_20m_bytes", told["bytes"], "bytes")
    note("cells_20m_used_bytes", told["bytes_used"], "bytes")
    note("cells_20m_held_5m_bytes", told["bytes_held"], "bytes")
    note("cell_bytes", (told["bytes_used"] - told["bytes_before"]) / cells, "bytes")
    note("reservation_bytes", (told["bytes_held"] - told["bytes_used"]) / held, "bytes")
    note("order_bytes", (told["bytes_ordered"] - told["bytes_held"]) / orders, "bytes")
    note("import_cells_per_s", told["cells_per_s"], "1/s")
