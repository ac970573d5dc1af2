"""Snapshots, and a journal cut behind them, over every store: what was decided is there, and goes on."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from engine.follower import Follower, Policy
from engine.journal.codec import encode
from engine.recovery import recover
from engine.snapshots import SnapshotFolder
from tests.builders import SMALL, day
from tests.conformance.stores import StoreUnderTest


def test_a_store_is_followed_cut_and_started_again(store: StoreUnderTest, tmp_path: Path) -> None:
    live, folder = day(6), SnapshotFolder(tmp_path / "snapshots")
    policy = Policy(every_decisions=20, every_s=1e9, keep_decisions=10)
    with closing(store.open()) as writer, closing(store.open()) as beside, folder.locked():
        follower = Follower(beside, folder, SMALL, policy)
        for at in range(0, len(live.decisions), 6):
            writer.append(encode(live.decisions[at : at + 6]), expected_seq=at)
            follower.step()
        end_seq = writer.last_seq()
        assert writer.first_seq() > 1
        assert [each.seq for each in folder.snapshots()] == [end_seq // 24 * 24, end_seq // 24 * 24 - 24]
    with closing(store.open()) as journal:
        machine = recover(journal, SMALL, snapshots=folder)
        assert machine.digest() == live.machine.digest()
        live.machine, before = machine, len(live.decisions)
        live.stock(("A", "dc", 5))
        journal.append(encode(live.decisions[before:]), expected_seq=end_seq)
        assert recover(journal, SMALL, snapshots=folder).digest() == live.machine.digest()
