"""GetShadowReport: a draft policy beside the one in force."""

from typing import Any, NamedTuple

from engine.model.outcomes import Outcome
from engine.model.policies import RoutingPolicy
from engine.model.queries import GetEntry
from engine.model.shadows import ShadowExample, ShadowSide, ShadowTally
from engine.pool.names import Names
from engine.service.convert.entry import judge
from engine.service.convert.wording import fill_money, fill_time
from engine.service.fields import Rules
from stockpool.v1 import planning_pb2 as pb

NO_FOLLOWER = "this server has no follower, which compares: start it with --snapshots FOLDER"
NOT_YET = "the follower has not come to it yet: ask again in a moment"


class Wanted(NamedTuple):
    """What is asked for. ``version`` 0: whichever the draft has."""

    channel_key: str
    version: int


def get_shadow_report(request: pb.GetShadowReportRequest, rules: Rules) -> Wanted:
    """The channel and the version."""
    check = rules.check()
    wanted = Wanted(check.key("channel_key", request.channel_key), check.optional_id("version", request.version))
    check.done()
    return wanted


def channel_of(request: pb.GetShadowReportRequest, rules: Rules) -> GetEntry:
    """The query for the channel."""
    return GetEntry(0, "channel", get_shadow_report(request, rules).channel_key)


def refused(outcome: Outcome, subject: str, seq: int) -> pb.GetShadowReportResponse:
    """There is no such channel, or no such draft."""
    response = pb.GetShadowReportResponse()
    judge(response.result, outcome, subject, seq)
    return response


def shadow_report(
    seq: int, draft: RoutingPolicy, tally: ShadowTally | None, obstacle: str, names: Names
) -> pb.GetShadowReportResponse:
    """The answer for a draft that is under shadow."""
    response = refused(Outcome.OK, "", seq)
    response.policy_key, response.version = draft.policy_key, draft.version
    if tally is None:
        response.obstacle = obstacle
    else:
        _fill(response.report, tally, names)
    return response


_COUNTS = (
    "passed_count", "failed_count", "compared_count", "different_count", "more_count", "fewer_count", "active_units",
    "draft_units", "alike_count", "dated_count", "days_later",
)  # fmt: skip


def _fill(message: Any, tally: ShadowTally, names: Names) -> None:
    message.since_journal_seq, message.through_journal_seq = tally.since_seq, tally.through_seq
    fill_time(message.since_time, tally.since_ns)
    for name in _COUNTS:
        setattr(message, name, getattr(tally, name))
    _fill_cost(message.active, tally.active, names)
    _fill_cost(message.draft, tally.draft, names)
    for example in tally.examples:
        _fill_example(message.examples.add(), example, names)


def _fill_cost(message: Any, side: ShadowSide, names: Names) -> None:
    message.package_count = side.package_count
    fill_money(message.carrier, side.carrier_micros, names)
    fill_money(message.handling, side.handling_micros, names)
    fill_money(message.split_penalty, side.split_micros, names)


def _fill_example(message: Any, example: ShadowExample, names: Names) -> None:
    message.journal_seq = example.seq
    message.order_id, message.reservation_id = example.order_id, example.reservation_id
    message.requested_units, message.days_later = example.requested_units, example.days_later
    message.active_units, message.draft_units = example.active_units, example.draft_units
    fill_money(message.active_cost, example.active_micros, names)
    fill_money(message.draft_cost, example.draft_micros, names)
    message.active_node_keys.extend(example.active_node_keys)
    message.draft_node_keys.extend(example.draft_node_keys)
