"""RunWave in messages."""

from math import isfinite

from engine.model.limits import SECOND_NS
from engine.model.outcomes import Outcome
from engine.planning.floating import Sought
from engine.planning.moves import Asked, Report, Wish
from engine.pool.names import Names
from engine.service.convert.entry import judge
from engine.service.convert.wording import fill_money
from engine.service.fields import Rules, nanoseconds
from stockpool.v1 import planning_pb2 as pb

PARTS = 1_000_000
THINK_NS = 5 * SECOND_NS
THINK_NS_MAX = 600 * SECOND_NS


def run_wave(request: pb.RunWaveRequest, rules: Rules, names: Names) -> Asked | None:
    """The wave that is wanted; None: there is no such channel."""
    check = rules.check()
    request_id = check.request_id(request.request_id)
    channel_key = check.optional_key("channel_key", request.channel_key)
    saving_min = check.cost("saving_min", request.saving_min)
    think_ns = nanoseconds(request.think_time) if request.HasField("think_time") else THINK_NS
    if think_ns <= 0:
        check.wrong("think_time", f"must be above 0, got {think_ns / SECOND_NS:g} s")
    elif think_ns > THINK_NS_MAX:
        check.over("think_time", f"is {think_ns / SECOND_NS:g} s", "wave_think_max_ns", THINK_NS_MAX)
    check.done()
    channel = names.channels.find(channel_key) if channel_key else -1
    if channel_key and channel < 0:
        return None
    return Asked(request_id, Sought(channel, request.with_released), Wish(think_ns / SECOND_NS, saving_min))


def no_wave(request: pb.RunWaveRequest, seq: int) -> pb.RunWaveResponse:
    """The answer where there is no such channel."""
    response = pb.RunWaveResponse()
    judge(response.result, Outcome.UNKNOWN_CHANNEL, request.channel_key, seq)
    return response


def wave(report: Report, seq: int, names: Names) -> pb.RunWaveResponse:
    """What became of a wave."""
    response = pb.RunWaveResponse(
        order_count=report.order_count,
        proposed_count=report.proposed_count,
        moved_count=report.moved_count,
        gap_ppm=round(report.gap * PARTS) if isfinite(report.gap) else -1,
        timed_out=report.timed_out,
        stranded_count=report.stranded_count,
    )
    judge(response.result, Outcome.OK, "", seq)
    fill_money(response.saving, report.saving_micros, names)
    elapsed_ns = round(report.elapsed_s * SECOND_NS)
    response.elapsed.seconds, response.elapsed.nanos = divmod(elapsed_ns, SECOND_NS)
    return response
