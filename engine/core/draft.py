"""What deciding returns: the reply and the effects, not yet applied."""

from collections.abc import Sequence
from typing import NamedTuple

from engine.kernels.zones import Integers
from engine.model.decisions import Document, EffectRow
from engine.model.orders import FulfillmentOrder
from engine.model.replies import Cost, Reply


class Draft(NamedTuple):
    """A judgement. ``effects``: rows, or a matrix int64[n, 6] whose first row is free for OP_AT."""

    reply: Reply
    effects: Sequence[EffectRow] | Integers = ()
    documents: tuple[Document, ...] = ()
    reference: str = ""


class Work(NamedTuple):
    """New fulfillment orders, the effects that allocate their units, and what they cost."""

    fulfillment_orders: tuple[FulfillmentOrder, ...]
    effects: list[EffectRow]
    cost: Cost | None
