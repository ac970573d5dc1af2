"""What was sent, and what it made: request by request, so that later requests can refer to it."""

from __future__ import annotations

import struct
from dataclasses import replace
from random import Random
from typing import Any, TypeVar
from zlib import crc32

from engine.model import commands as m
from engine.model.outcomes import Outcome
from engine.model.queries import Query
from engine.model.replies import (
    BatchReserveReply,
    OrderReply,
    ReserveReply,
    ReturnReply,
)
from engine.proof.simulation.history import UNKNOWN_ID, Again, Ask, Look, Ref

T = TypeVar("T")


class Ledger:
    """Commands by uid, and the ids that their answers gave."""

    def __init__(self) -> None:
        self.commands: dict[int, m.Command] = {}
        self._sent_s: dict[int, float] = {}
        self._uids: dict[str, int] = {}
        self._made: dict[tuple[str, int], list[int]] = {}
        self._refs: dict[tuple[str, int], Ref] = {}
        self._all: dict[str, list[Ref]] = {}

    def make(self, ask: Ask, instant_s: float) -> m.Command:
        """The command of a first request, with the ids that it refers to filled in."""
        request_id = f"r{ask.uid}"
        if ask.under and ask.under in self.commands:
            request_id = self.commands[ask.under].request_id
        fields = {name: self._fill(value) for name, value in ask.fields.items()}
        fingerprint = crc32(f"{ask.kind.__name__} {sorted(fields.items())}".encode())
        command = ask.kind(request_id, fingerprint, **fields)
        self.commands[ask.uid] = command
        self._uids.setdefault(request_id, ask.uid)
        self._sent_s[ask.uid] = instant_s
        return command

    def repeat(self, again: Again, instant_s: float) -> m.Command | None:
        """The command of a repeated request; None when the first one was left out."""
        command = self.commands.get(again.uid)
        if command is None or again.ageless:
            return command
        return replace(command, age_ns=1 + int((instant_s - self._sent_s[again.uid]) * 1e9))

    def query(self, look: Look, min_seq: int) -> Query:
        """The query of a look."""
        return look.kind(min_seq, **{name: self.resolve(value) for name, value in look.fields.items()})

    def note(self, command: m.Command, reply: Any, work_ids: list[int]) -> None:
        """A command was decided for the first time. ``work_ids``: fulfillment orders that the decision tells of, also where the reply does not."""
        uid = self._uids[command.request_id]
        for noun, ids in [*_ids(command, reply), ("work", work_ids)]:
            made = self._made.setdefault((noun, uid), [])
            for made_id in ids:
                if (noun, made_id) in self._refs:
                    continue  # of an order that had some work already
                ref = Ref(noun, uid, len(made))
                made.append(made_id)
                self._refs[noun, made_id] = ref
                self._all.setdefault(noun, []).append(ref)

    def ref(self, noun: str, made_id: int) -> Ref:
        """What made this."""
        return self._refs[noun, made_id]

    def any_ref(self, noun: str, chance: Random) -> Ref | int:
        """Something that was made at any time, rather lately."""
        refs = self._all.get(noun)
        return chance.choice(refs[-40:]) if refs else UNKNOWN_ID

    def _fill(self, value: Any) -> Any:
        """A field of a request with ids in the places of references."""
        if isinstance(value, m.Move):
            work_ids = tuple([self.resolve(each) for each in value.work_ids])
            return value._replace(order_id=self.resolve(value.order_id), work_ids=work_ids)
        if isinstance(value, tuple) and any(isinstance(each, m.Move | Ref) for each in value):
            return tuple([self._fill(each) for each in value])
        return self.resolve(value)

    def resolve(self, value: T | Ref) -> T | int:
        """The id that a reference stands for; everything else as it is."""
        if not isinstance(value, Ref):
            return value
        made = self._made.get((value.noun, value.uid), [])
        return made[value.at] if value.at < len(made) else UNKNOWN_ID


def _ids(command: m.Command, reply: Any) -> list[tuple[str, list[int]]]:
    if isinstance(reply, ReserveReply):
        return [("reservation", [reply.reservation_id] if reply.reservation_id else [])]
    if isinstance(reply, BatchReserveReply):
        rows = struct.iter_unpack("<5q", reply.columns)
        return [("reservation", [row[1] for row in rows if row[1]])]
    if isinstance(reply, OrderReply) and isinstance(command, m.PlaceOrder | m.IngestOrder) and reply.order is not None:
        return [("order", [reply.order.order_id])]
    if isinstance(command, m.BatchCommit) and reply.columns:
        rows = struct.iter_unpack("<5q", reply.columns)
        return [("order", [row[1] for row in rows if row[0] == Outcome.OK])]
    if isinstance(reply, ReturnReply) and isinstance(command, m.AuthorizeReturn) and reply.goods is not None:
        return [("return", [reply.goods.return_id])]
    return []
