"""In the end of the torture the snapshots are held against the journal: what is wrong with one is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.machine import Machine
from engine.journal import open_journal
from engine.journal.codec import encode
from engine.model.commands import AdjustStock, PutNodes, PutSkus
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.model.network import Node, Sku
from engine.model.outcomes import Quantity, StockReason
from engine.proof.torture import following
from engine.proof.torture.ledger import Ledger
from engine.recovery import recover
from engine.snapshots import SnapshotFolder
from tests.torture.serving import LIMITS

COMMANDS = (
    PutNodes("nodes", 1, (Node("north", "North"),)),
    PutSkus("skus", 2, (Sku("chair"),)),
    *(
        AdjustStock(f"adjust-{number}", 3, "chair", "north", Quantity.ON_HAND, 1, StockReason.CORRECTION)
        for number in range(6)
    ),
)


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A journal of a few decisions with a snapshot in the middle and one at the end."""
    for name in Limits.__dataclass_fields__:
        if (value := getattr(LIMITS, name)) != getattr(Limits(), name):
            monkeypatch.setenv(f"STOCKPOOL_LIMITS__{name.upper()}", str(value))
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    folder = SnapshotFolder(tmp_path / following.FOLDER)
    machine, journal = Machine(LIMITS), open_journal(url)
    with folder.locked():
        for command in COMMANDS:
            decision = machine.decide(command, 1_700_000_000_000_000_000)
            assert isinstance(decision, Decision)
            journal.append(encode([decision]), expected_seq=machine.seq)
            machine.apply(decision)
            if machine.seq in (5, len(COMMANDS)):
                snapshot(folder, machine, url)
    journal.close()
    return url


def snapshot(folder: SnapshotFolder, machine: Machine, url: str) -> None:
    journal = open_journal(url, owner=False)
    mark = journal.mark(machine.seq)
    journal.close()
    assert mark is not None
    folder.write(machine, mark, machine.digest())


def found(url: str, folder: Path) -> str:
    ledger = Ledger()
    following.judge_snapshots(url, folder, ledger)
    assert ledger.wrongs.total() == len(ledger.findings)
    return "\n".join(ledger.findings)


def test_nothing_where_nothing_is_wrong(url: str, tmp_path: Path) -> None:
    assert not found(url, tmp_path)


def test_a_snapshot_of_another_state(url: str, tmp_path: Path) -> None:
    journal = open_journal(url, owner=False)
    machine = recover(journal, LIMITS)
    journal.close()
    machine.pool.state[0][0, 0] += 1
    snapshot(SnapshotFolder(tmp_path / following.FOLDER), machine, url)
    told = found(url, tmp_path)
    assert "a snapshot or the journal is wrong" in told
    assert "is another state than by the whole journal" in told


def test_a_damaged_snapshot(url: str, tmp_path: Path) -> None:
    path = SnapshotFolder(tmp_path / following.FOLDER).snapshots()[0].path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert "is damaged" in found(url, tmp_path)


def test_what_a_follower_found_and_what_logs_count(url: str, tmp_path: Path) -> None:
    (tmp_path / "follower-1.log").write_text("INFO follower: snapshot at seq 5: 0.1 MB\nerror: something is wrong\n")
    (tmp_path / "server-1.log").write_text("INFO going on from the snapshot 5.snapshot\n")
    (tmp_path / "server-2.log").write_text("INFO follower: going on from the snapshot 5.snapshot\n")
    assert "a follower has found something wrong" in found(url, tmp_path)
    assert (following.count_starts(tmp_path), following.count_made(tmp_path)) == (1, 1)
