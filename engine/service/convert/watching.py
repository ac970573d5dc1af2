"""WatchAvailability: what is watched, and what its watchers are told."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.model.limits import SECOND_NS
from engine.model.outcomes import FulfillmentKind, Outcome
from engine.model.queries import GetAvailability
from engine.service.convert.entry import judge
from engine.service.convert.wording import KINDS
from engine.service.fields import Rules, nanoseconds
from stockpool.v1 import inventory_pb2 as pb

INTERVAL_NS_MIN = SECOND_NS // 10
INTERVAL_NS_MAX = 60 * SECOND_NS
INTERVAL_NS_DEFAULT = SECOND_NS


class Subject(NamedTuple):
    """What is watched. ``sku_keys``: each once, in order, so that those who watch the same are seen to; empty: every SKU."""

    channel_key: str
    kind: FulfillmentKind
    node_key: str
    sku_keys: tuple[str, ...]


class Watch(NamedTuple):
    """A request to watch. ``from_seq`` 0: from the beginning."""

    subject: Subject
    from_seq: int
    interval_ns: int

    def query(self) -> GetAvailability:
        """Asks whether there are such a channel and node, and such a decision to go on from."""
        subject = self.subject
        return GetAvailability(self.from_seq, subject.channel_key, (), subject.kind, subject.node_key)


def watch(request: pb.WatchAvailabilityRequest, rules: Rules) -> Watch:
    """Check a request.

    Raises:
        InvalidRequest: something is wrong with it.
    """
    check = rules.check()
    most = check.limits.batch_items_max
    check.count("sku_keys", len(request.sku_keys), "batch_items_max", most, least=0)
    channel_key = check.key("channel_key", request.channel_key)
    sku_keys = check.keys("sku_keys", request.sku_keys)
    kind = check.word("kind", request.kind, KINDS)
    node_key = check.optional_key("node_key", request.node_key)
    if request.from_seq < 0:
        check.wrong("from_seq", f"must be at least 0, got {request.from_seq}")
    interval_ns = INTERVAL_NS_DEFAULT
    if request.HasField("min_interval"):
        interval_ns = nanoseconds(request.min_interval)
        if interval_ns < INTERVAL_NS_MIN:
            check.wrong("min_interval", f"must be at least 0.1 s, got {interval_ns / SECOND_NS:g} s")
        elif interval_ns > INTERVAL_NS_MAX:
            check.over("min_interval", f"is {interval_ns / SECOND_NS:g} s", "watch_interval_max_ns", INTERVAL_NS_MAX)
    check.done()
    subject = Subject(channel_key, kind, node_key, tuple(sorted(set(sku_keys))))
    return Watch(subject, request.from_seq, interval_ns)


def refused(outcome: Outcome, subject: str, seq: int) -> pb.WatchAvailabilityResponse:
    """There is nothing to watch."""
    response = pb.WatchAvailabilityResponse()
    judge(response.result, outcome, subject, seq)
    return response


def part(
    seq: int, resume_seq: int, complete: bool, unknown: Sequence[str], units: Sequence[tuple[str, int]]
) -> pb.WatchAvailabilityResponse:
    """One message. ``unknown``: keys of SKUs that do not exist; ``units``: of those that do, by key."""
    response = pb.WatchAvailabilityResponse(resume_seq=resume_seq, complete=complete)
    judge(response.result, Outcome.OK, "", seq)
    ok: Any = int(Outcome.OK)
    no_sku: Any = int(Outcome.UNKNOWN_SKU)
    response.availabilities.extend(pb.Availability(sku_key=key, outcome=ok, ats_units=count) for key, count in units)
    response.availabilities.extend(pb.Availability(sku_key=key, outcome=no_sku) for key in unknown)
    return response
