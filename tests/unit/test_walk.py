"""An audit walks along the journal while a follower beside it makes snapshots and drops old ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.follower import walk as walking
from engine.follower.walk import walk
from engine.journal.memory import MemoryJournal
from engine.snapshots import SnapshotFolder
from tests.builders import SMALL, day
from tests.unit.test_follower import OFTEN, follower, growing


@pytest.mark.parametrize("moment", ["advance", "require_fit"])
def test_a_snapshot_that_is_dropped_meanwhile_is_passed_over(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, journal = SnapshotFolder(tmp_path), MemoryJournal()
    one = follower(journal, folder, OFTEN)
    for _ in growing(day(0), journal):
        one.step()
    newer, older = folder.snapshots()
    true = getattr(walking, moment)

    def dropping(*given: Any, **named: Any) -> Any:
        for each in (older.path, newer.path) if moment == "require_fit" else (older.path,):
            each.unlink(missing_ok=True)
        return true(*given, **named)

    monkeypatch.setattr(walking, moment, dropping)
    seen = walk(journal, SMALL, folder)
    assert seen.wrong == ()
    assert seen.snapshot_seqs == ((newer.seq,) if moment == "advance" else seen.snapshot_seqs)
    assert seen.machine.seq == journal.last_seq()
