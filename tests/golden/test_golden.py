"""What earlier versions wrote is read: the whole journal, from each snapshot, and behind a cut. See README.md."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from engine.core.audit import DIGEST_VERSION
from engine.core.machine import Machine
from engine.follower.audit import broken_invariants
from engine.follower.walk import walk
from engine.journal import Journal, open_journal
from engine.journal.codec import decode
from engine.model.limits import Limits
from engine.recovery import recover
from engine.snapshots import SnapshotFolder
from tests.golden.make import GOLDEN, answers, folder_name, replies

FOLDERS = sorted(path for path in GOLDEN.iterdir() if (path / "expected.json").is_file())


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of one version's files: a database that is opened writes beside itself."""
    copied: Path = shutil.copytree(request.param, tmp_path / "golden")
    return copied


def told(golden: Path) -> Any:
    return json.loads((golden / "expected.json").read_text(encoding="utf-8"))


def given(golden: Path) -> Limits:
    """The limits of then; those that came later have their defaults."""
    return Limits(**told(golden)["limits"])


def opened(golden: Path) -> Journal:
    return open_journal(f"sqlite:///{golden / 'journal.sqlite'}")


def check(machine: Machine, golden: Path) -> None:
    expected = told(golden)
    assert (machine.seq, machine.now_ns) == (expected["seq"], expected["now_ns"])
    assert broken_invariants(machine) == ()
    assert holds(answers(machine), expected["answers"])
    assert replies(machine) == expected["replies"], "the first answers, byte for byte"
    if expected["versions"]["digest"] == DIGEST_VERSION:
        assert machine.digest() == expected["digest"]


def holds(answer: Any, expected: Any) -> bool:
    """Whether an answer says all that was expected; fields that came later follow at the end of a record."""
    if isinstance(expected, dict):
        return all(name in answer and holds(answer[name], value) for name, value in expected.items())
    if isinstance(expected, list):
        return len(answer) >= len(expected) and all(map(holds, answer, expected))
    return bool(answer == expected)


def test_there_are_files_of_this_version() -> None:
    """Whoever changes a format writes new files beside the old ones: see README.md."""
    assert folder_name() in [path.name for path in FOLDERS]


def test_the_whole_journal(golden: Path) -> None:
    with closing(opened(golden)) as journal:
        check(recover(journal, given(golden)), golden)
        decisions = [decision for record in journal.read() for decision in decode(record)]
        assert [decision.seq for decision in decisions] == list(range(1, told(golden)["seq"] + 1))


def test_from_each_snapshot(golden: Path) -> None:
    folder = SnapshotFolder(golden / "snapshots")
    with closing(opened(golden)) as journal:
        while folder.snapshots():
            check(recover(journal, given(golden), snapshots=folder), golden)
            folder.snapshots()[0].path.unlink()


def test_behind_a_cut(golden: Path) -> None:
    folder = SnapshotFolder(golden / "snapshots")
    with closing(opened(golden)) as journal:
        mark = journal.mark(folder.snapshots()[-1].seq)
        assert mark is not None
        journal.cut(mark)
    with closing(opened(golden)) as journal:
        assert journal.first_seq() == mark.seq + 1
        check(recover(journal, given(golden), snapshots=folder), golden)


def test_the_audit_finds_nothing(golden: Path) -> None:
    with closing(opened(golden)) as journal:
        seen = walk(journal, given(golden), SnapshotFolder(golden / "snapshots"))
    assert seen.wrong == ()
    assert len(seen.snapshot_seqs) == 2
