"""The live state against a replay of the journal, and that against the snapshots. Away from the event loop, at its own pace."""

from __future__ import annotations

import asyncio

from engine.core.differences import differences
from engine.core.image import image_of
from engine.core.machine import Machine
from engine.follower.audit import Wrong
from engine.follower.walk import walk
from engine.journal import Journal, JournalDamaged
from engine.model.queries import Finding, TakeImage
from engine.recovery import advance
from engine.service.convert import admin as convert
from engine.service.door import Engine
from engine.snapshots import SnapshotFolder
from engine.writer import Answer
from stockpool.v1 import admin_pb2 as pb

_LIVE = "the live state is what the journal tells"


async def compare(
    engine: Engine, snapshots: SnapshotFolder | None, seq: int, response: pb.AuditInvariantsResponse
) -> None:
    """Add to an audit of the live state at ``seq`` what a replay to there finds; where the two differ, which quantity of which cell."""
    journal, limits = engine.journal, engine.rules.limits
    try:
        seen = await asyncio.to_thread(walk, journal, limits, snapshots, to_seq=seq)
    except JournalDamaged as damage:
        _add(response, Wrong(str(damage), damage.seq or 0, 0, ()))
        return
    response.snapshot_seqs.extend(seen.snapshot_seqs)
    for wrong in seen.wrong:
        _add(response, wrong)
    if seen.machine.seq != seq:
        return
    digest = await asyncio.to_thread(seen.machine.digest)
    if digest == response.digest:
        return
    # It has gone on meanwhile; what was wrong has not gone away.
    taken: Answer = await engine.writer.submit(TakeImage(0))
    found = await asyncio.to_thread(_differences, seen.machine, journal, taken)
    if not found:
        found = [Finding(_LIVE, f"digest at journal_seq {seq}: {response.digest}, replayed {digest}", 1, 0)]
    _add(response, Wrong(_LIVE, seq, 0, tuple(found)))


def _differences(replayed: Machine, journal: Journal, taken: Answer) -> list[Finding]:
    advance(replayed, journal, to_seq=taken.seq)
    return [one._replace(invariant=_LIVE) for one in differences(image_of(replayed), taken.reply.report)]


def _add(response: pb.AuditInvariantsResponse, wrong: Wrong) -> None:
    for one in wrong.findings or (Finding(wrong.what, "", 1, 0),):
        convert.add_finding(response, one._replace(subject=f"{one.subject} ({wrong.place})"))
    response.first_wrong_seq = min(response.first_wrong_seq or wrong.seq, wrong.seq)
