"""What somebody might propose for the floating work of an order: right, stale, or out of the blue."""

from random import Random

from engine.model import commands as m
from engine.proof.oracle import State
from engine.proof.simulation.proposals import anywhere


def propose(state: State, order_id: int, chance: Random) -> m.Move:
    """All that floats of the order, somewhere; sometimes as if only a part of its work were known."""
    work = [each for each in state.work.values() if each.order_id == order_id and each.floats]
    ids = tuple(each.fulfillment_order_id for each in work)
    return m.Move(order_id, ids if chance.random() < 0.9 else ids[:1], anywhere(chance, state, work))
