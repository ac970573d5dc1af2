"""Long days by seed: far enough that closed orders are forgotten, rings wrap, and ids meet columns that are still held."""

from __future__ import annotations

import os
from collections import Counter

import pytest

from engine.kernels import columns as c
from engine.model.commands import BatchReserve, ClaimColumns, SetStock
from engine.model.decisions import Decision
from engine.model.orders import FulfillmentOrder
from engine.model.outcomes import CommandKind, FulfillmentState, Outcome
from tests.builders import limits, pickup, ship
from tests.property.busy import Busy
from tests.property.twins import Twins

SHIP_FIRST = ship([("A", 4)], "90001"), pickup([("A", 1)], "east")
"""Whether the second is served depends on which nodes the first is split over."""
LIMITS = limits(reservation_legs_max=400, request_ids_remembered=60)
LONG = os.environ.get("HYPOTHESIS_PROFILE") == "long"
SEEDS = range(200 if LONG else 4)
STEPS = 4_000 if LONG else 1_500


@pytest.mark.parametrize("seed", SEEDS)
def test_a_long_day(seed: int) -> None:
    twins = Twins(LIMITS)
    busy = Busy(twins, seed)
    for sku, node, units in (("A", "dc", 20), ("A", "east", 9), ("B", "dc", 9), ("B", "west", 9), ("C", "east", 9)):
        twins.store.now_ns += 1
        twins.sweep()
        busy.tell(SetStock, sku_key=sku, node_key=node, on_hand_units=units)
    for step in range(STEPS):
        busy.step()
        if step % 10 == 0:
            twins.compare()
        if step % 50 == 0:
            twins.compare_availability()
            twins.compare_movements()
            twins.compare_queues()
    twins.compare()
    twins.replay(seed)
    pool = twins.store.machine.pool
    assert pool.counter(c.RESERVATION_NEXT) > 2 * pool.state[3].shape[1], "columns were used again"
    assert pool.counter(c.MOVEMENT_NEXT) > LIMITS.movements_remembered, "the ring was used again"
    assert pool.orders.next_order_id > len(pool.orders.orders) + 1, "orders were forgotten"
    assert len(twins.store.decisions) > LIMITS.request_ids_remembered, "requests were forgotten"


def moves_work(decision: Decision) -> bool:
    return any(
        isinstance(each, FulfillmentOrder) and each.state == FulfillmentState.MOVED for each in decision.documents
    )


def test_the_days_reach_everything() -> None:
    """What a day never does, it does not prove."""
    seen: Counter[tuple[CommandKind, Outcome]] = Counter()
    moving: Counter[CommandKind] = Counter()
    for seed in range(3):
        twins = Twins(LIMITS)
        busy = Busy(twins, 100 + seed)
        for _ in range(STEPS):
            busy.step()
        seen.update((decision.kind, Outcome(decision.outcome)) for decision in twins.store.decisions)
        moving.update(decision.kind for decision in twins.store.decisions if moves_work(decision))
    moved_by = {CommandKind.REROUTE_ORDER, CommandKind.RECORD_SALE, CommandKind.RESERVE}
    assert set(moving) >= moved_by, moving
    good = {kind for kind, outcome in seen if outcome in (Outcome.OK, Outcome.PARTIAL)}
    assert good == set(CommandKind), set(CommandKind) - good
    refused = {outcome for _, outcome in seen}
    assert refused >= {
        Outcome.UNKNOWN_RESERVATION, Outcome.UNKNOWN_ORDER, Outcome.UNKNOWN_LINE, Outcome.UNKNOWN_FULFILLMENT_ORDER,
        Outcome.UNKNOWN_RETURN, Outcome.UNKNOWN_DESTINATION, Outcome.DUPLICATE_ORDER, Outcome.RESERVATION_EXPIRED,
        Outcome.RESERVATION_COMMITTED, Outcome.RESERVATION_RELEASED,
        Outcome.NODE_NOT_IN_CHANNEL, Outcome.NODE_CLOSED, Outcome.STALE_SOURCE, Outcome.INSUFFICIENT_STOCK,
        Outcome.PARTIAL, Outcome.INVALID_TRANSITION, Outcome.UNITS_EXCEEDED, Outcome.CAPACITY_EXHAUSTED,
        Outcome.BATCH_REFUSED, Outcome.NO_PLAN, Outcome.UNKNOWN_POLICY,
    }, sorted(refused)  # fmt: skip


def test_a_batch_that_is_refused_for_room_is_judged_by_what_it_would_have_held() -> None:
    """Nothing in the journal says how its lines were split, and another split would have refused another item."""
    twins = Twins(limits(open_reservations_max=1))
    for node, units in (("dc", 2), ("east", 1), ("west", 2)):
        twins.tell(SetStock, sku_key="A", node_key=node, on_hand_units=units)
    told = twins.tell(BatchReserve, claims=ClaimColumns.of(SHIP_FIRST), all_or_nothing=True)
    assert (told.outcome, told.subject) == (Outcome.CAPACITY_EXHAUSTED, "open_reservations_max")
