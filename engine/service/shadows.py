"""What a draft policy would decide otherwise: found by the follower, read from the file that it leaves beside the snapshots."""

from __future__ import annotations

import asyncio

from engine.follower.shadows import read_tally
from engine.model.answers import EntriesAnswer
from engine.model.network import Channel
from engine.model.outcomes import Outcome
from engine.model.policies import RoutingPolicy
from engine.model.queries import GetEntry
from engine.service.convert import shadows as convert
from engine.service.door import Context, Door
from engine.snapshots import SnapshotFolder
from stockpool.v1 import planning_pb2 as pb


async def shadow_report(
    door: Door, snapshots: SnapshotFolder | None, request: pb.GetShadowReportRequest, context: Context
) -> pb.GetShadowReportResponse:
    """The report of a channel. Raises what ``Door.ask`` raises."""
    engine, answer = await door.ask(context, request, convert.channel_of)
    wanted = convert.get_shadow_report(request, engine.rules)
    found: EntriesAnswer = answer.reply
    if found.outcome != Outcome.OK:
        return convert.refused(found.outcome, found.subject, answer.seq)
    channel: Channel = found.entries[0]
    answer = await engine.writer.submit(GetEntry(0, "policy_draft", channel.policy_key))
    found = answer.reply
    if found.outcome != Outcome.OK:
        return convert.refused(Outcome.UNKNOWN_POLICY, f"{channel.policy_key} under shadow", answer.seq)
    draft: RoutingPolicy = found.entries[0]
    if not draft.shadow or wanted.version not in (0, draft.version):
        which = f" version {wanted.version}" if wanted.version else ""
        return convert.refused(Outcome.UNKNOWN_POLICY, f"{channel.policy_key}{which} under shadow", answer.seq)
    tally = None
    if snapshots is not None:
        tally = await asyncio.to_thread(read_tally, snapshots, wanted.channel_key, draft.version)
    obstacle = convert.NO_FOLLOWER if snapshots is None else convert.NOT_YET
    return convert.shadow_report(answer.seq, draft, tally, obstacle, engine.names)
