"""What snapshots save and cost: a start with and without one, making one, and the follower beside a server under load."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from statistics import median

import pytest

from benchmarks.caller import RESERVE
from benchmarks.history import ROOT, Note
from benchmarks.load import SERVE, hear, loaded, piped
from benchmarks.stocking import BEGIN_NS, claim, journaled
from benchmarks.world import World
from engine.core.machine import Machine
from engine.follower.status import STATUS
from engine.journal import open_journal
from engine.journal.codec import encode
from engine.journal.sql import SqlJournal
from engine.model import commands as m
from engine.model.decisions import Decision
from engine.snapshots import SnapshotFolder

WORLD = World(skus=5_000, nodes=50, cells_per_sku=10)
GROUP = 100
GROUP_NS = 20_000_000
"""A hundred Reserves every 20 ms: 5,000 a second, each for a minute."""
TTL_NS = 60_000_000_000
CALLERS = 2
ROUNDS = 3
TAIL = 0.05
"""Share of the decisions that lie behind the newest snapshot when the server starts."""


def reserves_and_expiries(path: Path, decisions: int, folder: SnapshotFolder) -> int:
    """A journal of Reserves and of their ends, and a snapshot near its end; returns its last sequence."""
    url = f"sqlite:///{path}"
    machine = journaled(url, WORLD)
    asks = WORLD.asks(decisions, pickup=False, seed=41)
    now_ns = BEGIN_NS
    with closing(open_journal(url)) as journal, folder.locked():
        assert isinstance(journal, SqlJournal)
        # Nothing here is worth a sync.
        journal._store._connection.exec_driver_sql("PRAGMA synchronous = OFF")  # type: ignore[attr-defined] # noqa: SLF001
        while machine.seq < decisions:
            now_ns += GROUP_NS
            group = decided(machine, [claim(next(asks), TTL_NS) for _ in range(GROUP)], now_ns)
            journal.append(encode(group), expected_seq=group[0].seq - 1)
            if machine.seq >= decisions * (1 - TAIL) and not folder.snapshots():
                mark = journal.mark(machine.seq)
                assert mark is not None
                folder.write(machine, mark, machine.digest())
    return machine.seq


def decided(machine: Machine, claims: list[m.Claim], now_ns: int) -> list[Decision]:
    """What ended by now, and a run of Reserves: one group of the writer."""
    group: list[Decision] = []
    while expiry := machine.expire(now_ns):
        machine.apply(expiry)
        group.append(expiry)
    first = machine.seq
    commands = [m.Reserve(f"reserve-{first + at}", first + at, claim=each) for at, each in enumerate(claims)]
    judged = machine.decide_reserves(commands, now_ns)
    assert judged is not None
    machine.apply_reserves(*judged)
    return group + judged[0]


def start_s(path: Path, seq: int, *options: str) -> float:
    """Seconds that a server says it took until it was at the end of a journal: a copy, for the server adds to it."""
    copy = shutil.copy(path, path.with_name("served.db"))
    with piped([*SERVE, f"sqlite:///{copy}", *options]) as server:
        told = json.loads(hear(server))
    assert told["journal_seq"] == seq
    return float(told["replay_s"])


@pytest.mark.parametrize(
    ("name", "decisions", "rounds"),
    [("1m", 1_000_000, 3), pytest.param("10m", 10_000_000, 1, marks=pytest.mark.long)],
)
def test_recovery(tmp_path: Path, scale: float, note: Note, name: str, decisions: int, rounds: int) -> None:
    path, folder = tmp_path / "journal.db", SnapshotFolder(tmp_path / "snapshots")
    seq = reserves_and_expiries(path, int(decisions * scale), folder)
    whole_s = median(start_s(path, seq) for _ in range(rounds))
    note(f"recover_{name}_s", whole_s, "s")
    note(f"recover_{name}_per_s", seq / whole_s, "1/s")
    note(f"journal_{name}_bytes", path.stat().st_size, "bytes")
    snapshots = ("--snapshots", str(folder.path))
    note(f"recover_{name}_from_snapshot_s", median(start_s(path, seq, *snapshots) for _ in range(rounds)), "s")
    note(f"snapshot_{name}_decisions_bytes", folder.snapshots()[0].size, "bytes")


@pytest.mark.parametrize(
    ("name", "cells"), [("1m", 1_000_000), pytest.param("20m", 20_000_000, marks=pytest.mark.long)]
)
def test_snapshot_of_cells(tmp_path: Path, scale: float, note: Note, name: str, cells: int) -> None:
    command = [sys.executable, "-m", "benchmarks.snapshots", str(int(cells * scale)), str(tmp_path)]
    told = json.loads(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout)
    note(f"snapshot_{name}_cells_bytes", told["bytes"], "bytes")
    note(f"snapshot_{name}_cells_written_s", told["written_s"], "s")
    note(f"snapshot_{name}_cells_read_s", told["read_s"], "s")
    note(f"snapshot_{name}_cells_made_s", told["made_s"], "s")
    note(f"audit_{name}_cells_s", told["audit_s"], "s")
    note(f"digest_{name}_cells_s", told["digest_s"], "s")


def test_follower_under_load(world: World, stocked_url: str, tmp_path: Path, scale: float, note: Note) -> None:
    """Rounds with and without a follower, by turns: what it takes of the calls a second, and what of a core."""
    calls, folder = int(8_000 * scale), tmp_path / "snapshots"
    plain = [sys.executable, "-m", "benchmarks.echo_server", stocked_url]
    every = max(calls // 2, 1)
    followed = [
        *("env", f"STOCKPOOL_SNAPSHOTS={folder}", f"STOCKPOOL_SNAPSHOT_EVERY_DECISIONS={every}"),
        *plain[:-1],
        f"sqlite:///{shutil.copy(stocked_url.removeprefix('sqlite:///'), tmp_path / 'followed.db')}",
    ]
    ratios = []
    with loaded(plain, world, CALLERS) as without, loaded(followed, world, CALLERS) as beside:
        for turn in range(ROUNDS + 1):
            alone, both = without.run(RESERVE, calls, 64), beside.run(RESERVE, calls, 64)
            if turn:
                ratios.append(both.calls_per_s / alone.calls_per_s)
        _wait_for(folder / STATUS)
    status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    note("unary_followed_over_alone", median(ratios), "ratio")
    note("follower_core_share", status["core_share"], "ratio")
    note("audit_core_share", status["audit_core_share"], "ratio")


def _wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
