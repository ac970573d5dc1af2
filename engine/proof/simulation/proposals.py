"""What somebody proposes for the floating work of an order: right, stale, or out of the blue."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from engine.model import commands as m
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import FulfillmentState
from engine.proof.oracle import State
from engine.proof.simulation.history import Ref
from engine.proof.simulation.ledger import Ledger


def proposed(chance: Random, state: State, ledger: Ledger, picked: Ref | int) -> m.Move:
    """A move whose ids are references. Half of them leave the choice to the router; of the others each line stays, goes elsewhere, or is
    divided.
    """
    order_id: Any = picked
    if chance.random() < 0.5:
        return m.Move(order_id)
    known = ledger.resolve(picked)
    work = [each for each in state.work.values() if each.order_id == known and each.floats]
    seen: Any = tuple([ledger.ref("work", each.fulfillment_order_id) for each in work])
    return m.Move(order_id, seen, anywhere(chance, state, work))


def anywhere(chance: Random, state: State, work: Sequence[FulfillmentOrder]) -> tuple[tuple[str, str, int], ...]:
    """(SKU, node, units) of all that floats: each line stays, goes to any node, or is divided."""
    skus, nodes = list(state.skus), list(state.nodes)
    legs: list[tuple[str, str, int]] = []
    for each in work:
        for line in each.lines:
            units = line.units if chance.random() < 0.8 else chance.randint(1, line.units)
            for count in (units, line.units - units):
                node = nodes[each.node_index] if chance.random() < 0.4 else chance.choice(nodes)
                if count:
                    legs.append((skus[line.sku_index], node, count))
    return tuple(legs)


def is_coming(work: FulfillmentOrder) -> bool:
    """Whether a parcel is on its way to a store, or waits there."""
    return work.store_node_index >= 0 and work.state in (FulfillmentState.SHIPPED, FulfillmentState.ARRIVED)
