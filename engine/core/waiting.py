"""Orders that wait: on hold, or with units that no node had. Their short units are routed again."""

from engine.core.claims import Planner, Question, node_refusal
from engine.core.draft import Draft
from engine.core.fulfillment import allocation, make_work, routed_again, routing_of, with_work
from engine.core.orders import shortages_of
from engine.kernels import columns as c
from engine.model.commands import ReleaseOrder
from engine.model.orders import Order
from engine.model.outcomes import CommandKind, FulfillmentKind, Outcome
from engine.model.replies import OrderReply
from engine.pool.pool import Pool


def short_lines(order: Order) -> list[int]:
    """Lines with short units."""
    return [index for index, line in enumerate(order.lines) if line.short_units]


def asked_again(pool: Pool, order: Order) -> Question:
    """The claim for the short units of an order."""
    lines = (order.lines[index] for index in short_lines(order))
    return routed_again(pool, order, ((line.sku_index, line.short_units) for line in lines))


def decide_release(pool: Pool, planner: Planner, command: ReleaseOrder, now_ns: int) -> Draft:
    """Route the short units of an order again, as a fact: what still finds no node is short, and nothing is on hold."""
    order = pool.orders.orders.get(command.order_id)
    if order is None:
        return Draft(OrderReply(Outcome.UNKNOWN_ORDER, str(command.order_id)))
    if not order.short_units:
        return Draft(OrderReply(Outcome.INVALID_TRANSITION, order.state.name, order))
    if order.kind == FulfillmentKind.PICKUP:
        refusal = node_refusal(pool, order.pickup_node_index, order.channel_index, c.FLAG_PICKUP)
        if refusal:
            return Draft(OrderReply(refusal, pool.names.node_keys[order.pickup_node_index], order))
    plan = planner.plan(asked_again(pool, order))
    short = short_lines(order)
    legs = [leg._replace(line_index=short[leg.line_index]) for leg in plan.legs]
    work = make_work(pool, order, legs, plan.packages, now_ns)
    lines = list(order.lines)
    for leg in legs:
        line = lines[leg.line_index]
        lines[leg.line_index] = line._replace(
            allocated_units=line.allocated_units + leg.units, short_units=line.short_units - leg.units
        )
    routings = (*order.routings, routing_of(pool, CommandKind.RELEASE_ORDER, plan.cost)) if legs else order.routings
    after = with_work(pool, order._replace(on_hold=False, routings=routings), lines, work)
    shortages = shortages_of(lines)
    reply = OrderReply(Outcome.PARTIAL if shortages else Outcome.OK, "", after, plan.cost, shortages)
    return Draft(reply, allocation(work, 1), (*work, after))
