"""What somebody might propose for the floating work of an order: right, stale, or out of the blue."""

from random import Random

from engine.model import commands as m
from engine.proof.oracle import State


def propose(state: State, order_id: int, chance: Random) -> m.Move:
    """All that floats of the order, each line from some node, or its units from two."""
    work = [each for each in state.work.values() if each.order_id == order_id and each.floats]
    ids = tuple(each.fulfillment_order_id for each in work)
    skus, nodes = list(state.skus), list(state.nodes)
    legs: list[tuple[str, str, int]] = []
    for each in work:
        for line in each.lines:
            units = line.units if chance.random() < 0.8 else chance.randint(1, line.units)
            for count in (units, line.units - units):
                stays = chance.random() < 0.4
                node = nodes[each.node_index] if stays else chance.choice(nodes)
                if count:
                    legs.append((skus[line.sku_index], node, count))
    return m.Move(order_id, ids if chance.random() < 0.9 else ids[:1], tuple(legs))
