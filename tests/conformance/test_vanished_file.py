"""A SQLite journal whose file goes away under the writer, by a hand or a cleaner of folders."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from engine.journal import JournalUnavailable, Record
from tests.conformance.stores import SqlStore


@pytest.mark.parametrize("how", ["removed", "replaced", "moved with its folder"])
def test_a_file_that_goes_away_while_it_is_in_use(tmp_path: Path, how: str) -> None:
    """What is written to it afterwards would be lost, and a new journal at its place could not fence this writer."""
    folder = tmp_path / "folder"
    folder.mkdir()
    store = SqlStore(f"sqlite:///{folder / 'journal.db'}")
    with closing(store.open()) as journal:
        journal.append(Record(1, 1, b"x"), expected_seq=0)
        if how == "moved with its folder":
            folder.rename(tmp_path / "elsewhere")
        else:
            (folder / "journal.db").unlink()
        if how == "replaced":
            SqlStore(f"sqlite:///{folder / 'other.db'}").open().close()
            (folder / "other.db").rename(folder / "journal.db")
        with pytest.raises(JournalUnavailable, match="was removed, moved or replaced") as caught:
            journal.append(Record(2, 1, b"y"), expected_seq=1)
        assert not caught.value.outcome_unknown
