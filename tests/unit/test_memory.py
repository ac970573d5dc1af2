"""How the engine's arrays get their memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import app
from engine.journal.memory import MemoryJournal, Tape
from engine.pool.memory import blank, pretouched
from engine.settings import Settings
from tests.builders import limits

PROGRAM = "import engine, numpy; print(numpy._core.multiarray._get_madvise_hugepage())"


def asked(**environment: str) -> bool:
    kept = {name: value for name, value in os.environ.items() if name != "NUMPY_MADVISE_HUGEPAGE"}
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=kept | environment, check=True, capture_output=True, text=True
    )
    return told.stdout.strip() == "True"


def test_huge_pages_are_not_asked_for_unless_somebody_wants_them() -> None:
    """Their first touch held a decision up for 100 ms."""
    assert not asked()
    assert asked(NUMPY_MADVISE_HUGEPAGE="1") == sys.platform.startswith("linux")


needs_proc = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
CELLS = 1 << 20


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGESIZE")


@needs_proc
def test_the_memory_of_an_array_is_taken_at_once_when_that_is_wanted() -> None:
    before = resident_bytes()
    lazy = blank(15, CELLS)
    assert resident_bytes() - before < lazy.nbytes / 4
    with pretouched():
        taken = blank(15, CELLS)
    assert resident_bytes() - before >= taken.nbytes
    assert blank(15, CELLS).base is None, "only within"


def test_an_array_is_the_same_wherever_its_memory_comes_from() -> None:
    for shape in ((15, 1_000), (7,), (3, 1 << 18)):
        with pretouched():
            taken = blank(*shape)
        lazy = blank(*shape)
        assert (taken.shape, taken.dtype, taken.strides) == (lazy.shape, lazy.dtype, lazy.strides)
        assert taken.flags.c_contiguous
        assert taken.flags.writeable
        assert not taken.any()
        taken[...] = 5
        assert (taken == 5).all()


@needs_proc
def test_a_server_takes_the_memory_of_its_state_when_it_is_told_to() -> None:
    given = limits(cells_max=CELLS)
    journal = MemoryJournal(Tape())
    before = resident_bytes()
    lazy, _ = app._replay(Settings(journal="memory://", limits=given), journal)
    between = resident_bytes()
    ready, _ = app._replay(Settings(journal="memory://", limits=given, pretouch=True), journal)
    size = sum(part.nbytes for at, part in enumerate(ready.pool.state) if at != 7)
    assert between - before < size / 4
    assert resident_bytes() - between >= size
    assert ready.digest() == lazy.digest()
