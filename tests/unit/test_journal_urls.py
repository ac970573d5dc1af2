"""Opening by url, and what the errors of a journal tell their reader."""

from __future__ import annotations

import subprocess
import sys

import pytest

from engine.journal import JournalDamaged, JournalFenced, JournalUnavailable, JournalVersion, open_journal
from engine.journal.memory import MemoryJournal


def test_memory() -> None:
    first, second = open_journal("memory://"), open_journal("memory://")
    assert isinstance(first, MemoryJournal)
    assert first is not second


@pytest.mark.parametrize(
    "url", ["", "journal.db", "mysql://host/db", "sqlite", "sqlite://", "sqlite:///:memory:", "memory:"]
)
def test_other_urls_are_refused_with_what_to_use(url: str) -> None:
    with pytest.raises(ValueError, match=r"memory://|sqlite:///path\.db"):
        open_journal(url)


def test_a_missing_driver_is_named_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(JournalUnavailable, match=r"pip install 'stockpool\[postgres\]'"):
        open_journal("postgresql+psycopg://user@localhost/db")


def test_sqlalchemy_is_not_imported_before_it_is_needed() -> None:
    script = "import sys; from engine.journal import open_journal; open_journal('memory://'); print('sqlalchemy' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert result.stdout == "False\n"


def test_errors_say_what_happened_and_what_to_do() -> None:
    fenced = JournalFenced(4, 9)
    assert (fenced.expected_seq, fenced.actual_seq) == (4, 9)
    assert "ends at seq 9" in str(fenced)
    assert "expected 4" in str(fenced)
    assert "replay" in str(fenced)
    damaged = JournalDamaged(7, "the checksum is wrong")
    assert (damaged.seq, damaged.what) == (7, "the checksum is wrong")
    assert "seq 7: the checksum is wrong. Restore" in str(damaged)
    assert "not known whether" in str(JournalUnavailable("gone", outcome_unknown=True))
    assert "nothing was written" in str(JournalUnavailable("full"))
    assert "version 3" in str(JournalVersion(3, 1))
