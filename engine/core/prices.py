"""Prices as journaled state: what planning found units to be worth, by which plan, and how old that is."""

import numpy as np

from engine.core.draft import Draft
from engine.core.queries import age_ns
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.answers import CellPrice, PricesAnswer
from engine.model.commands import SetPrices
from engine.model.decisions import PricePlanPut
from engine.model.outcomes import Outcome
from engine.model.prices import PricePlan
from engine.model.queries import GetPrices
from engine.model.replies import PricesReply
from engine.pool.pool import Pool


def decide_set_prices(pool: Pool, command: SetPrices, now_ns: int) -> Draft:
    """Write what planning says of cells. Cells that do not exist are passed over; one unknown key refuses everything.

    Only what differs becomes an effect: a plan that confirms most prices is small in the journal.
    """
    count = len(command.sku_keys)
    skus = np.fromiter(map(pool.names.skus.find, command.sku_keys), dtype=np.int64, count=count)
    nodes = np.fromiter(map(pool.names.nodes.find, command.node_keys), dtype=np.int64, count=count)
    for keys, found, unknown in (
        (command.sku_keys, skus, Outcome.UNKNOWN_SKU),
        (command.node_keys, nodes, Outcome.UNKNOWN_NODE),
    ):
        if count and found.min() < 0:
            return Draft(PricesReply(unknown, keys[int((found < 0).argmax())], count))
    slots = pool.stock.slots_of(skus, nodes)
    there = np.flatnonzero(slots >= 0)
    # A later row of the same cell wins: the first mention seen from the end.
    _, from_end = np.unique(slots[there][::-1], return_index=True)
    last = there[np.sort(there.size - 1 - from_end)]
    prices = np.array(command.price_micros, dtype=np.int64)[last]
    demands = np.array(command.demand_1024ths, dtype=np.int64)[last]
    effects = _price_rows(pool.state[0], slots[last], prices, demands)
    documents = (PricePlanPut(PricePlan(command.plan_key, now_ns)),) if command.complete else ()
    return Draft(PricesReply(Outcome.OK, "", count, int(there.size), len(effects) - 1), effects, documents)


def _price_rows(cells: Integers, slots: Integers, prices: Integers, demands: Integers) -> Integers:
    """OP_PRICE rows of the cells that change, behind a row that is free for OP_AT."""
    changed = np.flatnonzero((cells[c.PRICE, slots] != prices) | (cells[c.DEMAND, slots] != demands))
    rows = np.zeros((1 + changed.size, c.EFFECT_WIDTH), dtype=np.int64)
    rows[1:, 0] = c.OP_PRICE
    rows[1:, 1] = slots[changed]
    rows[1:, 2] = prices[changed]
    rows[1:, 3] = demands[changed]
    return rows


def expiry_documents(pool: Pool, now_ns: int) -> tuple[PricePlanPut, ...]:
    """The plan as it is once its prices are too old to count; none while they do, or when that is known.

    That prices end is journaled, as the end of a reservation is: routing needs no clock, and every replay knows when it went without.
    """
    plan = pool.network.price_plan
    if plan is None or plan.expired or now_ns - plan.set_ns < pool.limits.price_age_max_ns:
        return ()
    return (PricePlanPut(plan._replace(expired=True)),)


def get_prices(pool: Pool, query: GetPrices, now_ns: int) -> PricesAnswer:
    """Prices of a SKU at its cells, in node order, and the plan that they are from."""
    sku = pool.names.skus.find(query.sku_key)
    if sku < 0:
        return PricesAnswer(Outcome.UNKNOWN_SKU, query.sku_key)
    node = -1
    if query.node_key:
        node = pool.names.nodes.find(query.node_key)
        if node < 0:
            return PricesAnswer(Outcome.UNKNOWN_NODE, query.node_key)
    cells = tuple(
        CellPrice(sku, at, pool.stock.units(slot, c.PRICE), pool.stock.units(slot, c.DEMAND))
        for at, slot in pool.stock.cells_of(sku)
        if node in (-1, at)
    )
    plan = pool.network.price_plan
    return PricesAnswer(Outcome.OK, "", cells, plan, age_ns(plan, now_ns))
