"""One of several writers of a journal, as a process of its own: `contender.py URL NAME LAST_SEQ`.

Waits for a line on standard input, then extends the journal as often as it can until it ends at LAST_SEQ, and prints each
sequence number that it won.
"""

from __future__ import annotations

import sys

from engine.journal import JournalFenced, Record, open_journal


def contend(url: str, name: str, last_seq: int) -> list[int]:
    won = []
    journal = open_journal(url)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    seq = journal.last_seq()
    while seq < last_seq:
        try:
            journal.append(Record(seq + 1, 1, f"{name} {seq + 1}".encode()), expected_seq=seq)
        except JournalFenced as fenced:
            seq = fenced.actual_seq
        else:
            seq += 1
            won.append(seq)
    journal.close()
    return won


if __name__ == "__main__":
    sys.stdout.write(" ".join(map(str, contend(sys.argv[1], sys.argv[2], int(sys.argv[3])))))
