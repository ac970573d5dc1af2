"""A promised day: who may serve late, what that counts, and that the order keeps it for whoever routes its units again."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.policies import contradictions
from engine.follower.explanations import explain_order
from engine.model import commands as m
from engine.model import queries as q
from engine.model.calendars import Calendar, Hours
from engine.model.explanations import Dropped, ExplainedPackage, Replayed
from engine.model.outcomes import DropReason, FulfillmentState, Outcome, RejectReason, RuleVerdict
from engine.model.policies import Candidates, RoutingPolicy, Rule, Weights
from engine.pool.calendars import DAY_NS
from tests.builders import EPOCH_NS, GROUND, NODES, POLICY, Store, limits, pickup, ship

TODAY = EPOCH_NS // DAY_NS
ALWAYS = Calendar("UTC", tuple(Hours(day, 0, 1_440) for day in range(1, 8)))
"""Whatever is asked for leaves on the same day."""
LADDER = tuple(Rule(f"{days} days", candidates=Candidates(late_days_max=days)) for days in (0, 2, 3))
CENT = 10_000


def priced_policy(penalty: int, weight: int = 100, rules: tuple[Rule, ...] = ()) -> RoutingPolicy:
    return POLICY._replace(weights=Weights(lateness=weight), late_penalty_micros=penalty, rules=rules)


@pytest.fixture
def store() -> Store:
    """From east a package takes 1 day to 10001, from dc 2, from west 5; dc and west leave today, east has no calendar."""
    store = Store(limits(open_reservations_max=16, reservation_legs_max=64))
    calendars = {"dc": ALWAYS, "east": ALWAYS, "west": ALWAYS}
    store.tell(m.PutNodes, nodes=tuple(node._replace(calendar=calendars.get(node.node_key)) for node in NODES))
    store.tell(m.PutRateCard, rate_card=GROUND._replace(transit_days=(1, 2, 5)))
    store.stock(("A", "dc", 10), ("A", "west", 10))
    return store


def put(store: Store, policy: RoutingPolicy) -> None:
    assert store.tell(m.PutRoutingPolicy, policy=policy).outcome == Outcome.OK


def senders(store: Store, reply: Any) -> list[str]:
    names = store.machine.pool.names.node_keys
    orders = store.machine.pool.orders
    work = orders.work_of_order(orders.orders[reply.order.order_id])
    return [names[each.node_index] for each in work if each.is_open]


def explained(store: Store, order_id: int) -> list[Replayed]:
    found = explain_order(store.journal(), store.machine.pool.limits, store.order(order_id))
    replayed = [each.replayed for each in found if each.replayed is not None]
    assert len(replayed) == len(found)
    assert all(each.reproduced for each in replayed)
    return replayed


def due(days: int, units: int = 1, **fields: Any) -> m.Claim:
    return ship([("A", units)], due_day=TODAY + days, **fields)


@pytest.mark.parametrize(
    ("days", "sender", "rule"),
    [
        (9, "dc", "0 days"),
        (2, "dc", "0 days"),
        (1, "dc", "2 days"),
        (0, "dc", "2 days"),
        (-1, "dc", "3 days"),
        (-2, "", ""),
    ],
)
def test_a_ladder_serves_as_little_late_as_it_can(store: Store, days: int, sender: str, rule: str) -> None:
    put(store, POLICY._replace(rules=LADDER))
    reply = store.place(due(days))
    if not sender:
        assert (reply.outcome, reply.shortages[0].available_units) == (Outcome.INSUFFICIENT_STOCK, 0)
        return
    assert senders(store, reply) == [sender]
    (told,) = explained(store, reply.order.order_id)
    assert (told.plan.rule, told.due_day) == (rule, TODAY + days)


def test_without_a_promise_nobody_is_late(store: Store) -> None:
    put(store, POLICY._replace(rules=LADDER))
    store.stock(("A", "dc", 0))
    reply = store.place(ship([("A", 1)]))
    assert (senders(store, reply), reply.order.promised_day) == (["west"], 0)


def test_late_nodes_are_dropped_by_name_and_so_are_those_of_unknown_arrival(store: Store) -> None:
    put(store, POLICY._replace(rules=LADDER[:1]))
    store.tell(m.PutNodes, nodes=(NODES[1],))
    store.stock(("A", "east", 5))
    (told,) = explained(store, store.place(due(2)).order.order_id)
    assert told.dropped == (
        Dropped(DropReason.DOES_NOT_SHIP, 1),
        Dropped(DropReason.LATE, 1),
        Dropped(DropReason.ARRIVAL_UNKNOWN, 1),
    )
    assert [each.verdict for each in told.rules] == [RuleVerdict.SERVED]
    store.tell(m.PutRateCard, rate_card=GROUND)
    assert store.place(due(2)).outcome == Outcome.INSUFFICIENT_STOCK, "no card tells how long it takes"


@pytest.mark.parametrize("days", [-1, 0, 1, 2, 3, 4, 5, 6])
def test_lateness_is_weighed_against_the_other_costs(store: Store, days: int) -> None:
    """West is cheaper than dc by less than three days late, and arrives three days later."""
    put(store, priced_policy(200 * CENT))
    flat = (4_000_000, 4_000_000, 8_500_000, 8_500_000, 4_000_000, 4_000_000)
    store.tell(m.PutRateCard, rate_card=GROUND._replace(transit_days=(1, 2, 5), price_micros=flat))
    late = {"dc": max(2 - days, 0) * 200 * CENT, "west": max(5 - days, 0) * 200 * CENT}
    total = {"dc": 8_500_000 + 500_000 + late["dc"], "west": 4_000_000 + 250_000 + late["west"]}
    best = min(total, key=lambda node: total[node])
    reply = store.place(due(days))
    assert senders(store, reply) == [best]
    assert (reply.cost.total, reply.cost.lateness) == (total[best], late[best])


def test_the_weight_scales_the_penalty_and_the_explanation_tells_it(store: Store) -> None:
    put(store, priced_policy(100 * CENT, 250))
    store.stock(("A", "west", 0))
    reply = store.place(due(0))
    assert (reply.cost.lateness, reply.cost.total) == (500 * CENT, 5_000_000 + 500_000 + 500 * CENT)
    (routing,) = store.order(reply.order.order_id).routings
    assert (routing.total_micros, routing.late_micros) == (reply.cost.total, reply.cost.lateness)
    (told,) = explained(store, reply.order.order_id)
    assert told.plan.packages == (ExplainedPackage(0, 2, 500, 5_000_000, 500_000, 0, 500 * CENT, 0, TODAY, TODAY + 2),)


def test_an_unknown_arrival_counts_as_a_year(store: Store) -> None:
    put(store, priced_policy(3_000))
    store.tell(m.PutNodes, nodes=(NODES[1],))
    store.stock(("A", "east", 5), ("A", "west", 0))
    assert senders(store, store.place(due(0))) == ["east"], "cheap enough all the same"
    put(store, priced_policy(5_000))
    reply = store.place(due(0))
    assert (senders(store, reply), reply.cost.lateness) == (["dc"], 10_000)
    store.stock(("A", "dc", 0))
    assert store.place(due(0)).cost.lateness == 366 * 5_000


def test_a_reservation_keeps_the_day_for_its_order(store: Store) -> None:
    put(store, priced_policy(CENT, rules=LADDER))
    held = store.reserve(due(1))
    assert (held.due_day, held.cost.lateness) == (TODAY + 1, CENT)
    assert store.ask(q.GetReservation(0, held.reservation_id)).due_day == TODAY + 1
    reply = store.commit(held.reservation_id)
    assert (reply.order.promised_day, reply.cost.lateness, reply.cost.total) == (TODAY + 1, CENT, held.cost.total)
    (told,) = explained(store, reply.order.order_id)
    assert (told.due_day, told.plan.rule) == (TODAY + 1, "2 days")


def test_reservations_of_a_batch_have_days_of_their_own(store: Store) -> None:
    put(store, POLICY._replace(rules=LADDER[:1]))
    claims = [due(1), due(2), ship([("A", 1)]), pickup([("A", 1)], "west")]
    reply = store.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims))
    assert reply.outcome == Outcome.OK
    found = [store.ask(q.GetReservation(0, at)) for at in (1, 2, 3)]
    assert [each.due_day for each in found] == [TODAY + 2, 0, 0]


def test_who_rejects_is_replaced_by_nobody_later_than_the_rule_tolerates(store: Store) -> None:
    put(store, POLICY._replace(rules=LADDER))
    reply = store.place(due(2))
    (work,) = store.work(reply.order.order_id)
    rejected = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.TOO_BUSY)
    assert (rejected.outcome, senders(store, reply)) == (Outcome.OK, ["west"])
    late = store.place(due(1))
    (work,) = store.work(late.order.order_id)
    rejected = store.tell(m.Reject, fulfillment_order_id=work.fulfillment_order_id, reason=RejectReason.TOO_BUSY)
    assert (rejected.outcome, rejected.shortages[0].available_units) == (Outcome.PARTIAL, 0), (
        "west would be 4 days late"
    )
    assert explained(store, late.order.order_id)[-1].due_day == TODAY + 1


def test_what_waits_is_released_within_the_promise_alone(store: Store) -> None:
    put(store, POLICY._replace(rules=LADDER[:1]))
    store.stock(("A", "dc", 0))
    order = store.ingest(due(3, units=2)).order
    assert order.short_units == 2
    assert store.tell(m.ReleaseOrder, order_id=order.order_id).outcome == Outcome.PARTIAL, "west is 2 days late"
    store.stock(("A", "dc", 5))
    released = store.tell(m.ReleaseOrder, order_id=order.order_id)
    assert (released.outcome, senders(store, released)) == (Outcome.OK, ["dc"])
    assert [each.state for each in store.work(order.order_id)] == [FulfillmentState.OPEN]


def test_options_are_what_an_order_with_the_promise_would_get(store: Store) -> None:
    put(store, priced_policy(CENT, rules=LADDER[:2]))
    for days in range(-1, 7):
        answer = store.ask(q.GetFulfillmentOptions(0, "web", (("A", 1),), "10001", 0, TODAY + days))
        offered = [option for option in answer.ship_options if option.service_index == 0]
        reply = store.place(due(days))
        assert (reply.outcome == Outcome.OK) == bool(offered)
        for option in offered:
            assert (option.cost, option.arrival_day) == (reply.cost, TODAY + 2)
            assert option.cost.lateness == max(2 - days, 0) * CENT


def test_a_penalty_without_a_weight_is_refused_and_a_weight_without_a_penalty(store: Store) -> None:
    del store
    assert [path for path, _ in contradictions(priced_policy(CENT, 0))] == ["late_penalty"]
    assert [path for path, _ in contradictions(priced_policy(0))] == ["weights.lateness"]
    assert not list(contradictions(priced_policy(CENT)))
