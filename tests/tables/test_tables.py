"""Every part of every table in this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tables.table import Part, read, run

FILES = sorted(Path(__file__).parent.glob("*.txt"))
PARTS = [pytest.param(part, id=f"{path.stem}: {part.name}") for path in FILES for part in read(path)]


@pytest.mark.parametrize("part", PARTS)
def test_the_table_holds(part: Part) -> None:
    assert part.rows
    run(part)


def test_there_are_tables() -> None:
    assert len(FILES) >= 5
