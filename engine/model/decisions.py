"""A decision: what was judged, what the caller is told, and the effects. The journal keeps decisions, not commands."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import CommandKind, Outcome
from engine.model.replies import Reply

EffectRow = tuple[int, int, int, int, int, int]
"""One numeric effect: operation and operands, see ``kernels.columns`` (OP_...)."""


class NodePut(NamedTuple):
    """Document: the node at this index is now this."""

    index: int
    node: Node


class SkuPut(NamedTuple):
    """Document: the SKU at this index is now this."""

    index: int
    sku: Sku


class ChannelPut(NamedTuple):
    """Document: the channel at this index is now this."""

    index: int
    channel: Channel


class RateCardPut(NamedTuple):
    """Document: the rate card of the service at this index is now this."""

    index: int
    rate_card: RateCard


class ZoneChartPut(NamedTuple):
    """Document: the zone chart is now this. Regions keep their indexes; new ones follow."""

    zone_chart: ZoneChart


class PolicyPut(NamedTuple):
    """Document: the policy with this key is now this."""

    policy: RoutingPolicy


class SourcePut(NamedTuple):
    """Document: the feed at this index has this key."""

    index: int
    source_key: str


Document = NodePut | SkuPut | ChannelPut | RateCardPut | ZoneChartPut | PolicyPut | SourcePut | Order | FulfillmentOrder | Return
"""A change too wide for numbers: the record as it now is."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One judged command.

    ``effects`` is an int64 matrix ``[n, 6]`` (or ``None``) that ``kernels.effects.apply_effects`` folds into the state; ``documents``
    follow it. A refusal has neither: it is journaled because refusals stick to their request id.
    """

    seq: int
    now_ns: int
    kind: CommandKind
    request_id: str
    fingerprint: int
    reply: Reply
    effects: Any
    documents: tuple[Document, ...]
    reference: str

    @property
    def outcome(self) -> Outcome:
        """What the caller is told first."""
        return self.reply.outcome
