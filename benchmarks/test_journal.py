"""What durability costs: an append of a small group, and reading a journal back.

`pytest benchmarks/test_journal.py` prints the tables. Disks differ by the minute, so the floor is measured in the same run: the
bytes of one record appended to a plain file and synced. `floor` is what no store can beat; what a store takes beyond it is its
own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from benchmarks.history import Note
from engine.journal import Record, open_journal

BODY = os.urandom(2_000)  # a group of about fifty small commands
GROUPS = {"2 kB": BODY, "40 kB": os.urandom(40_000)}
REPLAYED_BYTES = 64_000_000


def appender(journal: Any, body: bytes) -> Callable[[], None]:
    seq = 0

    def append() -> None:
        nonlocal seq
        journal.append(Record(seq + 1, 50, body), expected_seq=seq)
        seq += 50

    return append


@pytest.mark.parametrize("size", GROUPS)
def test_floor(benchmark: Any, tmp_path: Path, note: Note, size: str) -> None:
    body = GROUPS[size]
    benchmark.group = f"append one record of {size}"
    file = os.open(tmp_path / "floor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)

    def append() -> None:
        os.write(file, body)
        os.fdatasync(file)

    benchmark.pedantic(append, rounds=2_000, warmup_rounds=50)
    os.close(file)
    note(f"append_{size.replace(' ', '_')}_floor_us", benchmark.stats.stats.median * 1e6, "us")


@pytest.mark.parametrize("url", ["memory", "sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("size", GROUPS)
def test_append(benchmark: Any, url: str, note: Note, size: str) -> None:
    benchmark.group = f"append one record of {size}"
    with closing(open_journal(url)) as journal:
        benchmark.pedantic(appender(journal, GROUPS[size]), rounds=2_000, warmup_rounds=50)
        assert journal.last_seq() == 2_050 * 50
    note(
        f"append_{size.replace(' ', '_')}_{url.partition(':')[0].partition('+')[0]}_us",
        benchmark.stats.stats.median * 1e6,
        "us",
    )


@pytest.mark.parametrize("url", ["memory", "sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("size", GROUPS)
def test_read(benchmark: Any, url: str, size: str) -> None:
    records = min(4_000, REPLAYED_BYTES // len(GROUPS[size]))
    benchmark.group = f"read {records} records of {size}"
    with closing(open_journal(url)) as journal:
        append = appender(journal, GROUPS[size])
        for _ in range(records):
            append()
        read = benchmark.pedantic(lambda: sum(1 for _ in journal.read()), rounds=5, warmup_rounds=1)
        assert read == records
