"""How the engine's arrays get their memory."""

from __future__ import annotations

import os
import subprocess
import sys

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
