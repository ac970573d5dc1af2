"""``python -m tests.golden.make`` writes the files of this version: a journal, its snapshots, and what must be read from them.

Refuses to write over what is there: see README.md in this folder.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from engine.core.audit import DIGEST_VERSION
from engine.core.machine import Machine
from engine.journal import codec, frame, open_journal
from engine.journal.codec import encode
from engine.journal.tables import SCHEMA_VERSION
from engine.kernels import columns as c
from engine.model import queries as q
from engine.model.commands import SetStock
from engine.model.decisions import Decision
from engine.model.outcomes import CommandKind, FulfillmentKind
from engine.recovery import recover
from engine.snapshots import SnapshotFolder
from engine.snapshots import file as snapshot_file
from tests.builders import limits
from tests.property.busy import Busy
from tests.property.twins import Twins

GOLDEN = Path(__file__).parent
LIMITS = limits(reservation_legs_max=400, request_ids_remembered=120, closed_orders_remembered=12)
SEED = 2024
STEPS = 700
GROUP = 9
SNAPSHOTS_AT = (0.6, 0.9)
VERSIONS = {
    "schema": SCHEMA_VERSION,
    "frame": frame.FORMAT_VERSION,
    "record": codec.VERSION,
    "snapshot": snapshot_file.VERSION,
    "digest": DIGEST_VERSION,
}


def folder_name() -> str:
    """The folder of this version's files: the versions of their formats."""
    return "-".join(f"{name}{number}" for name, number in VERSIONS.items())


def history() -> list[Decision]:
    """A long day in which every command is granted and every effect and document comes up."""
    twins = Twins(LIMITS)
    busy = Busy(twins, SEED)
    for sku, node, units in (("A", "dc", 20), ("A", "east", 9), ("B", "dc", 9), ("B", "west", 9), ("C", "east", 9)):
        busy.tell(SetStock, sku_key=sku, node_key=node, on_hand_units=units)
    for _ in range(STEPS):
        busy.step()
    decisions = twins.store.decisions
    granted = {each.kind for each in decisions if each.outcome == 1}
    assert granted == set(CommandKind), f"never granted: {set(CommandKind) - granted}"
    operations = {int(row[0]) for each in decisions if each.effects is not None for row in each.effects}
    assert operations == set(range(c.OP_FEED + 1)), operations
    documents = {type(document) for each in decisions for document in each.documents}
    assert documents == set(codec._DOCUMENT_TYPES), documents
    return decisions


def questions(machine: Machine) -> dict[str, q.Query]:
    """What is asked of whoever has read the files."""
    orders = list(machine.pool.orders.orders)
    asked: dict[str, q.Query] = {
        "status": q.GetStatus(0),
        "availability": q.GetAvailability(0, "web", ("A", "B", "C", "D"), FulfillmentKind.SHIP, ""),
        "movements": q.ListMovements(0, "A", "dc", 0, 20),
        "work": q.ListFulfillmentOrders(0, "dc", 0, (), 0, 100),
        "nodes": q.ListEntries(0, "node", -1, 100),
    }
    asked |= {f"order {order_id}": q.GetOrder(0, order_id, "", "") for order_id in (*orders[:4], *orders[-4:])}
    last = machine.pool.counter(c.RESERVATION_NEXT)
    return asked | {f"reservation {each}": q.GetReservation(0, each) for each in range(max(1, last - 8), last)}


def answers(machine: Machine) -> dict[str, Any]:
    """The answers, as JSON has them."""
    return {
        name: json.loads(msgspec.json.encode(machine.answer(query, machine.now_ns)))
        for name, query in questions(machine).items()
    }


def replies(machine: Machine) -> dict[str, list[Any]]:
    """Every remembered request: fingerprint, sequence, kind, and the reply, in hexadecimal."""
    return {
        request_id: [entry.fingerprint, entry.seq, int(entry.kind), entry.encoded.hex()]
        for request_id, entry in machine.requests.rows()
    }


def expected(machine: Machine) -> dict[str, Any]:
    """What must be read."""
    return {
        "seq": machine.seq,
        "now_ns": machine.now_ns,
        "digest": machine.digest(),
        "answers": answers(machine),
        "replies": replies(machine),
    }


def write(target: Path, decisions: Iterable[Decision]) -> None:
    """The files of this version."""
    target.mkdir()
    made = list(decisions)
    snapshots = SnapshotFolder(target / "snapshots")
    snapshots.path.mkdir()
    with closing(open_journal(f"sqlite:///{target / 'journal.sqlite'}")) as journal:
        for first in range(0, len(made), GROUP):
            journal.append(encode(made[first : first + GROUP]), expected_seq=first)
        ends = [record.last_seq for record in journal.read()]
        for part in SNAPSHOTS_AT:
            mark = journal.mark(ends[int(part * len(ends))])
            assert mark is not None
            machine = recover(journal, LIMITS, to_seq=mark.seq)
            snapshots.write(machine, mark, machine.digest())
        told = {"versions": VERSIONS, "limits": asdict(LIMITS)} | expected(recover(journal, LIMITS))
    text = json.dumps(told, indent=1, ensure_ascii=False, sort_keys=True)
    (target / "expected.json").write_text(text + "\n", encoding="utf-8")


def main() -> None:
    target = GOLDEN / folder_name()
    if target.exists():
        sys.exit(f"{target} is there already. Files of a version are written once: see {GOLDEN / 'README.md'}")
    write(target, history())
    print(f"wrote {target}")  # noqa: T201 - a command


if __name__ == "__main__":
    main()
