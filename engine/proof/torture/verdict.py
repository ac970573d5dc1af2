"""The reckoning: what the journal says, beside what the clients were told."""

import asyncio
from collections import Counter
from random import Random
from typing import NamedTuple

from engine.client import AsyncClient
from engine.demo.comparison import recount
from engine.demo.recount import Recount
from engine.journal import open_journal
from engine.journal.codec import decode_requests
from engine.proof.torture import shop
from engine.proof.torture.asking import Asker
from engine.proof.torture.ledger import Entry, Ledger
from engine.proof.torture.shopper import SOON_S
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import types_pb2 as types

REPEATED_MAX = 20_000
"""Answers that are asked for again in the end."""
_AT_ONCE = 48


class Decided(NamedTuple):
    """A decision of the journal."""

    seq: int
    command: str
    outcome: int


class Reading(Recount):
    """A recount that also remembers what became of each request."""

    def __init__(self) -> None:
        super().__init__()
        self.decided_of: dict[str, Decided] = {}
        self.twice = 0

    def take(self, event: admin.Event) -> None:
        """Books one event."""
        super().take(event)
        if event.request_id:
            self.twice += event.request_id in self.decided_of
            self.decided_of[event.request_id] = Decided(event.journal_seq, event.command, event.outcome)


async def judge(client: AsyncClient, ledger: Ledger, random: Random) -> int:
    """Holds the events of an idle server against the ledger, asks again for what was answered, and notes every difference.

    Returns how many answers were asked for again.
    """
    ended = asyncio.ensure_future(asyncio.sleep(SOON_S + 0.5))
    chosen = _choose(ledger.entries, random)
    await ask_again(Asker(client, ledger), chosen)
    await ended  # from here on the server has nothing to decide
    reading = Reading()
    answered = Counter((entry.call, entry.outcome) for entry in ledger.entries)
    result = await recount(client, shop.EVERYTHING, random.randrange(1 << 30), answered, lambda _: None, reading)
    ledger.wrongs["oversold"] += result.units_oversold
    ledger.wrongs["duplicate"] += reading.twice + result.duplicate_order_count
    for finding in result.findings:
        ledger.find("other", finding)
    _compare_answers(reading, ledger)
    _compare_units(reading, ledger)
    audit = await client.audit_invariants(admin.AuditInvariantsRequest(replay=True), timeout_s=600)
    for broken in audit.findings:
        ledger.find("other", f"the audit finds {broken}")
    return len(chosen)


async def ask_again(asker: Asker, entries: list[Entry]) -> None:
    """Repeats requests that were answered: each must get its first answer."""
    for begin in range(0, len(entries), _AT_ONCE):
        await asyncio.gather(*(asker.repeat(entry) for entry in entries[begin : begin + _AT_ONCE]))


def read_offline(url: str, ledger: Ledger) -> None:
    """Reads the journal itself, checksums and all, without a server: every answer has its decision there."""
    seq_of: dict[str, int] = {}
    journal = open_journal(url, owner=False)
    try:
        for record in journal.read():
            for seq, request_id, _ in decode_requests(record):
                if request_id in seq_of:
                    ledger.find("duplicate", f"seq {seq_of[request_id]} and {seq} both decide {request_id}")
                elif request_id:
                    seq_of[request_id] = seq
    finally:
        journal.close()
    for entry in ledger.entries:
        if seq_of.get(entry.request.request_id) != entry.seq:
            ledger.find(
                "lost",
                f"{entry.call} {entry.request.request_id}, answered at seq {entry.seq}, is not in the journal there",
            )


def _compare_answers(reading: Reading, ledger: Ledger) -> None:
    for entry in ledger.entries:
        decided = reading.decided_of.get(entry.request.request_id)
        if decided != (entry.seq, entry.call, entry.outcome):
            told = f"{entry.call} {entry.request.request_id} was answered {entry.outcome} at seq {entry.seq}"
            ledger.find("lost", f"{told}, the events have {decided}")


def _compare_units(reading: Reading, ledger: Ledger) -> None:
    """Units on hand as the answers alone tell, beside those of the events; and nothing left that had never come."""
    on_hand: Counter[tuple[str, str]] = Counter()
    came: Counter[tuple[str, str]] = Counter()
    promised: Counter[tuple[str, str]] = Counter()
    for movement in ledger.movements:
        cell = movement.sku_key, movement.node_key
        on_hand[cell] += movement.units
        if movement.is_promise:
            promised[cell] -= movement.units
        elif movement.units > 0:
            came[cell] += movement.units
    column = reading.books.columns[types.QUANTITY_ON_HAND]
    for cell, position in reading.books.cells.items():
        if on_hand[cell] != column[position]:
            ledger.find(
                "lost", f"{cell} has {column[position]} units on hand by the events, {on_hand[cell]} by the answers"
            )
        if promised[cell] > came[cell]:
            ledger.find("oversold", f"{promised[cell]} units of {cell} went to buyers, {came[cell]} ever came")


def _choose(entries: list[Entry], random: Random) -> list[Entry]:
    """All, or the newest half of what may be asked and a sample of the others."""
    if len(entries) <= REPEATED_MAX:
        return entries
    half = REPEATED_MAX // 2
    return random.sample(entries[:-half], half) + entries[-half:]
