"""What a shopper is offered: ship services, pickup stores, and stores to which it can be shipped, each with its date, as PlaceOrder would grant it now."""

from collections.abc import Collection
from typing import NamedTuple

from engine.core.claims import Plan, Planner, ask, reply_legs
from engine.kernels import columns as c
from engine.kernels.batches import PICKUP_NEEDS
from engine.kernels.reach import ats
from engine.model import answers as a
from engine.model import queries as q
from engine.model import replies as r
from engine.model.commands import Claim
from engine.model.outcomes import FulfillmentKind, Outcome
from engine.pool.pool import Pool


def get_options(pool: Pool, planner: Planner, query: q.GetFulfillmentOptions, now_ns: int) -> a.OptionsAnswer:
    """Every service that reaches the buyer, priced by the router, and the nearest stores that have everything."""
    options: list[a.ShipOption] = []
    shortages: tuple[r.Shortage, ...] = ()
    # Without a service there is still the question, which then is refused for one reason or another.
    for index, service_key in enumerate(pool.names.service_keys or [""]):
        claim = Claim(query.channel_key, query.lines, FulfillmentKind.SHIP, query.postal_code, "", service_key)
        claim = claim._replace(due_day=query.due_day)
        question = ask(pool, claim, now_ns)
        if question.refusal:
            return a.OptionsAnswer(Outcome(question.refusal), question.subject)
        plan = planner.plan(question)
        if plan.outcome == Outcome.OK and plan.cost is not None:
            legs, days = reply_legs(pool, plan.legs), _days(pool, index, plan)
            options.append(a.ShipOption(index, available=True, cost=plan.cost, legs=legs, **days._asdict()))
        shortages = shortages or plan.shortages
    options.sort(key=lambda option: (option.cost.total, option.service_index))
    pickups = _pickup_options(pool, query, now_ns)
    stores = _store_options(pool, planner, query, now_ns)
    return a.OptionsAnswer(Outcome.OK, "", tuple(options), pickups, () if options else shortages, stores)


def _store_options(
    pool: Pool, planner: Planner, query: q.GetFulfillmentOptions, now_ns: int
) -> tuple[a.StoreOption, ...]:
    """Of the nearest stores those to which everything can be shipped by the policy's default service."""
    if not query.ship_to_store_max:
        return ()
    channel = pool.names.channels.find(query.channel_key)
    metres = pool.network.metres_from(pool.network.region_of(query.postal_code))
    stores = pool.network.candidates(channel, PICKUP_NEEDS).tolist()
    options = []
    for node in sorted(stores, key=lambda node: (metres[node], node))[: query.ship_to_store_max]:
        store_key = pool.names.node_keys[node]
        claim = Claim(query.channel_key, query.lines, FulfillmentKind.SHIP, due_day=query.due_day, store_key=store_key)
        question = ask(pool, claim, now_ns)
        plan = None if question.refusal else planner.plan(question)
        if plan is not None and plan.outcome == Outcome.OK and plan.cost is not None:
            days = _days(pool, question.service_index, plan)
            shipped = a.ShipOption(
                question.service_index,
                available=True,
                cost=plan.cost,
                legs=reply_legs(pool, plan.legs),
                **days._asdict(),
            )
            options.append(a.StoreOption(node, round(metres[node]), shipped))
    return tuple(options)


class _Days(NamedTuple):
    ship_day: int
    arrival_day: int


def _days(pool: Pool, service_index: int, plan: Plan) -> _Days:
    """When the last package leaves, and when the last one arrives; 0 where that of any package is not known."""
    leaving = {pool.names.cell(leg.slot)[1]: leg.day for leg in plan.legs}
    network = pool.network
    arriving = [network.arrival_day(service_index, box.zone, leaving[box.node_index]) for box in plan.packages]
    return _Days(_last(leaving.values()), _last(arriving))


def _last(days: Collection[int]) -> int:
    return max(days) if all(days) else 0


def _pickup_options(pool: Pool, query: q.GetFulfillmentOptions, now_ns: int) -> tuple[a.PickupOption, ...]:
    """Stores that have every line, nearest first; what is listed, Reserve grants."""
    if not query.pickup_store_max:
        return ()
    channel = pool.names.channels.find(query.channel_key)
    threshold = pool.network.channels[channel].threshold_units
    wanted: dict[int, int] = {}
    for sku_key, units in query.lines:
        sku = pool.names.skus.find(sku_key)
        wanted[sku] = wanted.get(sku, 0) + units
    having: set[int] | None = None
    for sku, units in wanted.items():
        pooled = int(ats(pool.stock.arrays, pool.network.node_rows, sku, channel, PICKUP_NEEDS)) - threshold
        nodes = {node for node, slot in pool.stock.cells_of(sku) if pool.stock.units(slot, c.ATF) >= units}
        having = (nodes if having is None else having & nodes) if pooled >= units else set()
    offering = having & set(pool.network.candidates(channel, PICKUP_NEEDS).tolist()) if having else set()
    metres = pool.network.metres_from(pool.network.region_of(query.postal_code))
    nearest = sorted(offering, key=lambda node: (metres[node], node))[: query.pickup_store_max]
    return tuple(
        a.PickupOption(node, round(metres[node]), True, *pool.promises.ready(node, now_ns)) for node in nearest
    )
