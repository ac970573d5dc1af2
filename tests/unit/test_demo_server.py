"""What the demo says of the server that it started."""

from pathlib import Path

import pytest

from engine.demo.server import journal_bytes


def test_the_size_of_a_journal_is_that_of_its_file_and_log(tmp_path: Path) -> None:
    file = tmp_path / "journal.db"
    file.write_bytes(b"x" * 4_096)
    assert journal_bytes(f"sqlite:///{file}") == 4_096
    (tmp_path / "journal.db-wal").write_bytes(b"x" * 100)
    for url in (f"sqlite:///{file}", f"sqlite+pysqlite:///{file}", f"sqlite:///{file}?timeout=5"):
        assert journal_bytes(url) == 4_196, url


@pytest.mark.parametrize("url", ["memory://", "postgresql+psycopg://me@here/stock", "postgresql:///stock"])
def test_a_journal_that_is_no_file_has_no_size(url: str) -> None:
    assert journal_bytes(url) is None


def test_a_journal_that_is_gone_has_no_size(tmp_path: Path) -> None:
    """Not 0 bytes: what was written to it is unknown, and lost."""
    assert journal_bytes(f"sqlite:///{tmp_path / 'gone.db'}") is None
