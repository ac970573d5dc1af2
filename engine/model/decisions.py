"""A decision: what was judged, what the caller is told, and the effects. The journal keeps decisions, not commands."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from engine.model.network import Channel, Node, RateCard, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import CommandKind, Outcome
from engine.model.prices import PricePlan
from engine.model.replies import Reply

EffectRow = tuple[int, int, int, int, int, int]
"""One numeric effect: operation and operands, see ``kernels.columns`` (OP_...)."""


class NodePut(NamedTuple):
    """Document: the node at this index is now this."""

    at: int
    node: Node


class SkuPut(NamedTuple):
    """Document: the SKU at this index is now this."""

    at: int
    sku: Sku


class ChannelPut(NamedTuple):
    """Document: the channel at this index is now this."""

    at: int
    channel: Channel


class RateCardPut(NamedTuple):
    """Document: the rate card of the service at this index is now this."""

    at: int
    rate_card: RateCard


class ZoneChartPut(NamedTuple):
    """Document: the zone chart is now this. Regions keep their indexes; new ones follow."""

    zone_chart: ZoneChart


class PolicyPut(NamedTuple):
    """Document: the policy with this key is now this."""

    policy: RoutingPolicy


class PricePlanPut(NamedTuple):
    """Document: prices are now those of this plan."""

    price_plan: PricePlan


class SourcePut(NamedTuple):
    """Document: the feed at this index has this key."""

    at: int
    source_key: str


Document = (
    NodePut
    | SkuPut
    | ChannelPut
    | RateCardPut
    | ZoneChartPut
    | PolicyPut
    | SourcePut
    | PricePlanPut
    | Order
    | FulfillmentOrder
    | Return
)
"""A change too wide for numbers: the record as it now is."""


class Decision(NamedTuple):
    """One judged command. A tuple, for every call makes one: see ``Claim``.

    ``effects`` is an int64 matrix ``[n, 6]`` (or ``None``) that ``kernels.effects.apply_effects`` folds into the state; ``documents``
    follow it. A refusal has neither: it is journaled because refusals stick to their request id. ``encoded`` is the reply as the
    journal and the log of requests keep it.
    """

    seq: int
    now_ns: int
    kind: CommandKind
    request_id: str
    fingerprint: int
    reply: Reply
    encoded: bytes
    effects: Any
    documents: tuple[Document, ...]
    reference: str

    @property
    def outcome(self) -> Outcome:
        """What the caller is told first."""
        return self.reply.outcome


class Stored(NamedTuple):
    """Documents of one type as the journal has them, in order: columns, an entry a document. Ids come again and again."""

    ids: Sequence[int]
    states: Sequence[int]
    encoded: Sequence[bytes]


class Run(NamedTuple):
    """Consecutive decisions as columns: what replay folds in one go. ``effects`` joins theirs (``None``: there are none)."""

    first_seq: int
    times_ns: list[int]
    kinds: list[int]
    request_ids: list[str]
    fingerprints: list[int]
    replies: list[bytes]
    documents: tuple[Document, ...]
    """But orders, fulfillment orders and returns, which follow."""
    orders: Stored
    fulfillment_orders: Stored
    returns: Stored
    effects: Any
