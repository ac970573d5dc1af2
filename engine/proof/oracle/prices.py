"""What planning says of cells."""

from __future__ import annotations

from engine.model import commands as m
from engine.model import queries as q
from engine.model.answers import CellPrice, PricesAnswer
from engine.model.outcomes import Outcome
from engine.model.prices import PricePlan
from engine.model.replies import PricesReply
from engine.proof.oracle.state import State


def set_prices(state: State, command: m.SetPrices) -> PricesReply:
    count = len(command.sku_keys)
    for keys, known, unknown in (
        (command.sku_keys, state.skus, Outcome.UNKNOWN_SKU),
        (command.node_keys, state.nodes, Outcome.UNKNOWN_NODE),
    ):
        for key in keys:
            if key not in known:
                return PricesReply(unknown, key, count)
    rows = zip(command.sku_keys, command.node_keys, command.price_micros, command.demand_1024ths, strict=True)
    before = dict(state.prices)
    there = 0
    for sku, node, price, demand in rows:
        if (sku, node) in state.cells:
            there += 1
            state.prices[sku, node] = price, demand
    changed = sum(before.get(pair, (0, 0)) != said for pair, said in state.prices.items())
    if command.complete:
        state.price_plan = PricePlan(command.plan_key, state.now_ns)
    return PricesReply(Outcome.OK, "", count, there, changed)


def expire(state: State) -> bool:
    """End prices that are too old to count; whether they were."""
    plan = state.price_plan
    if plan is None or plan.expired or state.now_ns - plan.set_ns < state.limits.price_age_max_ns:
        return False
    state.price_plan = plan._replace(expired=True)
    return True


def prices_of(state: State, query: q.GetPrices) -> PricesAnswer:
    """Every cell of a SKU, in node order."""
    sku = state.sku_index(query.sku_key)
    cells = tuple(
        CellPrice(sku, at, *state.prices.get((query.sku_key, node), (0, 0)))
        for at, node in enumerate(state.nodes)
        if (query.sku_key, node) in state.cells and query.node_key in ("", node)
    )
    return PricesAnswer(Outcome.OK, "", cells, state.price_plan, age_ns(state))


def age_ns(state: State) -> int:
    """How old the prices are; 0 when there are none."""
    return state.now_ns - state.price_plan.set_ns if state.price_plan else 0
