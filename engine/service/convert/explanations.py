"""ExplainOrder: why an order is routed as it is."""

from collections.abc import Iterable
from typing import Any

from engine.model.explanations import Alternative, ExplainedPlan, Explanation, Replayed
from engine.model.outcomes import FulfillmentKind
from engine.pool.names import Names
from engine.service.convert.calendars import promised_date
from engine.service.convert.entry import Entry
from engine.service.convert.events import COMMANDS
from engine.service.convert.orders import GET_ORDER, get_order
from engine.service.convert.planning import fill_plan
from engine.service.convert.wording import add_cell, add_legs, add_shortages, fill_cost, fill_money, fill_time
from stockpool.v1 import orders_pb2 as pb

_TERMS = {"price": "price", "late": "lateness", "other": "penalties"}
"""Terms that a package has only where the policy counts them."""


def add_explanations(messages: Any, explained: Iterable[Explanation], names: Names) -> None:
    """Append every plan of an order, in order."""
    for routing, replayed, obstacle in explained:
        message = messages.add(
            journal_seq=routing.seq,
            command=COMMANDS[routing.kind],
            reservation_id=routing.reservation_id,
            rejected_fulfillment_order_id=routing.rejected_id,
            replayed=replayed is not None,
            obstacle=obstacle,
            proposed=routing.proposed,
        )
        if routing.package_count:
            fill_money(message.total_cost, routing.total_micros, names)
        if replayed is not None:
            _fill(message, replayed, names)


def _fill(message: Any, told: Replayed, names: Names) -> None:
    message.plan_journal_seq = told.seq
    fill_time(message.plan_time, told.now_ns)
    message.reproduced = told.reproduced
    message.policy_key = told.policy_key
    if told.kind == FulfillmentKind.SHIP:
        message.region_key = names.region_keys[told.destination]
        message.service_key = names.service_keys[told.service_index]
    message.promised_date = promised_date(told.due_day)
    for sku_index, units in told.lines:
        message.lines.add(sku_key=names.sku_keys[sku_index], units=units)
    message.node_count, message.candidate_count = told.node_count, told.candidate_count
    for reason, node_count in told.dropped:
        message.dropped.add(reason=int(reason), node_count=node_count)
    _fill_plan(message.plan, told.plan, names)
    for alternative in told.alternatives:
        _fill_alternative(message.alternatives.add(), alternative, names)
    message.policy_version, message.after = told.policy_version, int(told.after or 0)
    for name, verdict in told.rules:
        message.rules.add(name=name, verdict=int(verdict))
    for cell in told.cells:
        add_cell(message.cells, cell, names)
    if told.price_plan is not None:
        fill_plan(message.price_plan, told.price_plan, told.now_ns - told.price_plan.set_ns)


def _fill_plan(message: Any, plan: ExplainedPlan, names: Names) -> None:
    message.outcome, message.rule = int(plan.outcome), plan.rule
    if plan.cost is not None:
        fill_cost(message.cost, plan.cost, names)
        fill_money(message.score, plan.score_micros, names)
    add_legs(message.legs, plan.legs, names)
    for box in plan.packages:
        added = message.packages.add(
            node_key=names.node_keys[box.node_index], zone=box.zone, weight_grams=box.weight_grams
        )
        fill_money(added.carrier, box.carrier_micros, names)
        fill_money(added.handling, box.handling_micros, names)
        for name in ("price", "late", "other"):
            micros = getattr(box, f"{name}_micros")
            if micros:
                fill_money(getattr(added, _TERMS[name]), micros, names)
        added.ship_date, added.arrival_date = promised_date(box.ship_day), promised_date(box.arrival_day)
    add_shortages(message.shortages, plan.shortages, names)


def _fill_alternative(message: Any, alternative: Alternative, names: Names) -> None:
    _fill_plan(message.plan, alternative.plan, names)
    fill_money(message.extra_cost, alternative.extra_micros, names)
    message.units_fewer = alternative.units_fewer
    message.without_node_keys.extend(names.node_keys[node] for node in alternative.without)


EXPLAIN_ORDER = Entry(get_order, pb.ExplainOrderResponse, GET_ORDER.fill)
"""The judgement and the order; the explanations come from the journal."""
