"""Memory of 20 million cells, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from benchmarks.history import ROOT, Note

CELLS = 20_000_000


@pytest.mark.long
def test_20m_cells(scale: float, note: Note) -> None:
    command = [sys.executable, "-m", "benchmarks.cells", str(int(CELLS * scale))]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    note("cells_20m_bytes", told["bytes"], "bytes")
    note("cells_20m_used_bytes", told["bytes_used"], "bytes")
    note("import_cells_per_s", told["cells_per_s"], "1/s")
