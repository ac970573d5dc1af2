"""The follower beside a warm server, and what it left: snapshots, from which starts went on, held against the whole journal in the end.

A cold server starts its follower itself, as any server does, but is mostly struck down before that interpreter has loaded everything. A
warm one is forked together with a warm follower: the same command on the same terms, ended by the end of its input when the server ends,
however that ends. So it is struck while it replays, audits, writes, and removes.
"""

import os
import runpy
import sys
from pathlib import Path
from select import select

from engine.follower.child import FOUND_SOMETHING, NICE
from engine.follower.walk import walk
from engine.journal import open_journal
from engine.proof.torture.ledger import Ledger
from engine.recovery import recover
from engine.settings import PREFIX, Settings
from engine.snapshots import SnapshotFolder

SETTINGS = {f"{PREFIX}SNAPSHOT_EVERY_DECISIONS": "200", f"{PREFIX}SNAPSHOT_EVERY_S": "1"}
"""All the time, so that most blows fall on a follower at work."""
FOLDER = "snapshots"
_LOGS = "follower-*.log"
_GOES_ON = "going on from the snapshot"
_MADE = "snapshot at seq"
_WRONG = ("something is wrong", "has found something wrong")
_AGAIN_AFTER_S = 0.1
_STANDARD_INPUT = 0


class ForkedFollower:
    """A follower forked from a process that has loaded everything and runs one thread. Takes the place of `FollowerProcess`."""

    def __init__(self, log: Path, url: str, folder: Path) -> None:
        self._input, self._open_end = os.pipe()
        if os.fork() == 0:
            os.close(self._open_end)
            try:
                _follow(self._input, log, [url, "--folder", str(folder)])
            finally:
                os._exit(1)
        os.close(self._input)

    def start(self) -> None:
        """It has begun already."""

    def close(self) -> None:
        """End it at once."""
        os.close(self._open_end)


def _follow(until_closed: int, log: Path, arguments: list[str]) -> None:
    """Be a follower, again and again: the one of the server before may still hold the folder, and at first there is no journal."""
    os.dup2(until_closed, _STANDARD_INPUT)
    for stream in (1, 2):
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644), stream)
    sys.argv = ["stockpool", "snapshot", *arguments, "--follow", "--nice", str(NICE), "--stop-on-eof"]
    is_closed: list[int] = []
    while not is_closed:
        try:
            runpy.run_module("engine", run_name="__main__")
        except SystemExit as end:
            if end.code == FOUND_SOMETHING:
                return
        sys.stdout.flush()
        is_closed, _, _ = select(
            [_STANDARD_INPUT], [], [], _AGAIN_AFTER_S
        )  # nobody writes: it can be read when it is closed


def count_starts(folder: Path) -> int:
    """How many servers went on from a snapshot, by their logs."""
    return sum(_said(log, _GOES_ON) > 0 for log in folder.glob("server-*.log"))


def count_made(folder: Path) -> int:
    """How many snapshots were made."""
    return sum(_said(log, _MADE) for pattern in ("server-*.log", _LOGS) for log in folder.glob(pattern))


def judge_snapshots(url: str, folder: Path, ledger: Ledger) -> None:
    """Replay the whole journal: every snapshot must be what it tells, and a start from the newest must end where the replay ends."""
    for pattern in ("server-*.log", _LOGS):
        for log in folder.glob(pattern):
            if any(_said(log, words) for words in _WRONG):
                ledger.find(
                    "other", f"a follower has found something wrong: {log.read_text(errors='replace')[-2_000:]}"
                )
    limits, snapshots = Settings.load().limits, SnapshotFolder(folder / FOLDER)
    journal = open_journal(url, owner=False)
    try:
        walked = walk(journal, limits, snapshots)
        started = recover(journal, limits, snapshots=snapshots)
    finally:
        journal.close()
    for wrong in walked.wrong:
        ledger.find("other", f"a snapshot or the journal is wrong: {wrong.what} ({wrong.place})")
    if walked.first_seq > 1:
        ledger.find("other", f"the journal begins at seq {walked.first_seq}, although nothing was to be cut")
    if (started.seq, started.digest()) != (walked.machine.seq, walked.machine.digest()):
        ledger.find("other", f"from a snapshot on, seq {started.seq} is another state than by the whole journal")


def _said(log: Path, words: str) -> int:
    """How many lines of the follower or of the server have these words; a server's log also has those of its own follower."""
    lines = log.read_text(errors="replace").splitlines()
    return sum(words in line and not (words is _GOES_ON and "follower:" in line) for line in lines)
