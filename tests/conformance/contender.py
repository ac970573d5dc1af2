"""One of several writers of a journal, as a process of its own: `contender.py URL NAME`.

For each sequence number on standard input it tries to append one decision behind it, and answers `won` or `fenced`.
"""

from __future__ import annotations

import sys
from contextlib import closing

from engine.journal import Journal, JournalFenced, Record, open_journal


def contend(journal: Journal, name: str, expected_seq: int) -> str:
    try:
        journal.append(Record(expected_seq + 1, 1, f"{name} {expected_seq + 1}".encode()), expected_seq=expected_seq)
    except JournalFenced:
        return "fenced"
    return "won"


if __name__ == "__main__":
    with closing(open_journal(sys.argv[1])) as opened:
        for line in sys.stdin:
            sys.stdout.write(contend(opened, sys.argv[2], int(line)) + "\n")
            sys.stdout.flush()
