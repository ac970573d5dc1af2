"""The pages point at what is there, and their example is good."""

import re
from pathlib import Path

import pytest

from adapters.files import FileSource
from tests.house.sources import ROOT, project_files

PAGES = [path for path in project_files() if path.suffix == ".md"]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    inside = [target.partition("#")[0] for target in targets if "://" not in target]
    missing = [target for target in inside if not (ROOT / page.parent / target).exists()]
    assert not missing


def test_the_example_has_no_bad_row() -> None:
    source = FileSource.from_folder(ROOT / "adapters" / "example")
    nodes, skus, counts = list(source.nodes()), list(source.skus()), list(source.counts())
    assert [len(batch.rows) for batch in (*nodes, *skus)] == [3, 3]
    assert [len(columns) for columns in counts] == [6]
    errors = (
        [batch.errors for batch in nodes] + [batch.errors for batch in skus] + [columns.errors for columns in counts]
    )
    assert not any(errors)
