"""A caller who knows what there is: sensible requests by seed, so that long days reach every state of every thing."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from engine.model import commands as m
from engine.model.calendars import Calendar, Hours
from engine.model.network import Channel
from engine.model.orders import ReceivedItem
from engine.model.outcomes import (
    AfterAction,
    Disposition,
    FulfillmentKind,
    FulfillmentState,
    Quantity,
    RejectReason,
    ReservationState,
    ReturnState,
    StockReason,
)
from engine.model.policies import Applies, Form, RoutingPolicy, Rule
from engine.proof.simulation.proposals import is_coming
from tests.builders import CHANNELS, CHART, GROUND, MINUTE_NS, NODES, POLICY, pickup, priced, ship
from tests.property.proposals import propose
from tests.property.twins import Twins

NODE_KEYS = ("dc", "dc", "east", "west", "east", "lab")
CHANNEL_KEYS = ("web", "web", "web", "app", "mall", "till")
RULES = (
    (),
    (Rule("small", Applies(units_max=3), after=AfterAction.REFUSE), Rule("rest", after=AfterAction.PARTIAL)),
    (Rule("in one piece", form=Form(unit_split=False)), Rule("wait", after=AfterAction.HOLD)),
    (Rule("from east", Applies(region_prefixes=("1",)), after=AfterAction.BACKORDER), Rule("rest")),
    (Rule("one thing", Applies(lines_max=1)), Rule("fast", Applies(("express",)), after=AfterAction.PARTIAL)),
)  # fmt: skip
"""Of policies."""


class Busy:
    """One request after the other."""

    def __init__(self, twins: Twins, seed: int) -> None:
        self.twins = twins
        self.chance = Random(seed)
        self.placed = 0
        self.actions: list[tuple[int, Callable[[], Any]]] = [
            (6, self.reserve), (2, self.reserve_many), (2, self.reserve_together), (3, self.release), (2, self.extend), (4, self.commit),
            (5, self.place), (4, self.ingest), (3, self.cancel), (9, self.work), (3, self.reject), (4, self.authorize),
            (4, self.take_back), (9, self.receive), (2, self.sell), (2, self.count), (2, self.adjust), (2, self.load),
            (3, self.wait), (2, self.put), (2, self.repeat), (2, self.price), (2, self.rule), (2, self.let_go),
            (4, self.move),
        ]  # fmt: skip

    def step(self) -> None:
        """The next request."""
        self.chance.choices([action for _, action in self.actions], [weight for weight, _ in self.actions])[0]()

    def tell(self, kind: type[m.Command], **fields: Any) -> Any:
        return self.twins.tell(kind, **fields)

    def pick(self, known: list[int], following: int) -> int:
        """Mostly one of these; else any id that was ever given, or the next."""
        if known and self.chance.random() < 0.85:
            return self.chance.choice(known)
        return self.chance.randint(max(1, following - 20), following)

    def lines(self, most: int = 3) -> tuple[tuple[str, int], ...]:
        chance = self.chance
        return tuple((chance.choice("AAABBCD"), chance.randint(1, 4)) for _ in range(chance.randint(1, most)))[:3]

    def claim(self, **fields: Any) -> m.Claim:
        chance = self.chance
        channel = chance.choice(CHANNEL_KEYS)
        ttl_ns = chance.choice([0, MINUTE_NS, 5 * MINUTE_NS, 30 * MINUTE_NS])
        if chance.random() < 0.3:
            return pickup(self.lines(), chance.choice(["east", "west"]), channel, ttl_ns=ttl_ns, **fields)
        to, service = chance.choice(["10001", "90001", "50001"]), chance.choice(["", "", "ground", "express"])
        if chance.random() < 0.1:
            return ship(
                self.lines(), "", channel, service_key=service, store_key=chance.choice(["east", "west", "lab"])
            )
        return ship(self.lines(), to, channel, service_key=service, ttl_ns=ttl_ns, **fields)

    # Reservations

    def held(self) -> list[int]:
        holds = self.twins.oracle.state.holds
        return [each for each, hold in holds.items() if hold.state == ReservationState.HELD]

    def reserve(self) -> None:
        self.tell(m.Reserve, claim=self.claim(allow_partial=self.chance.random() < 0.4))

    def reserve_many(self) -> None:
        claims = tuple(self.claim(allow_partial=self.chance.random() < 0.4) for _ in range(self.chance.randint(1, 4)))
        self.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims), all_or_nothing=self.chance.random() < 0.4)

    def reserve_together(self) -> None:
        claims = [self.claim(allow_partial=self.chance.random() < 0.4) for _ in range(self.chance.randint(2, 5))]
        self.twins.submit_together([self.twins.store.make(m.Reserve, claim=claim) for claim in claims])

    def release(self) -> None:
        self.release_many()
        self.tell(m.ReleaseReservation, reservation_id=self.pick(self.held(), self.twins.oracle.state.next_hold_id))

    def release_many(self) -> None:
        """Now and then, by a chance of its own: what else happens on a day stays as it was."""
        chance, held = Random(self.twins.store.now_ns), self.held()
        if chance.random() < 0.2:
            some = [*chance.sample(held, min(len(held), 2)), chance.randint(1, self.twins.oracle.state.next_hold_id)]
            self.tell(m.BatchRelease, channel_key=chance.choice(("web", "web", "app", "none")), reservation_ids=some)

    def commit_many(self) -> None:
        """Likewise."""
        chance, held = Random(self.twins.store.now_ns), self.held()
        if held and chance.random() < 0.2:
            some = chance.sample(held, min(len(held), 2))
            self.tell(
                m.BatchCommit, channel_key="web", reservation_ids=some,
                order_keys=[f"m{self.twins.store.now_ns}.{chance.randint(0, 1)}" for _ in some],
            )  # fmt: skip

    def adjust_many(self) -> None:
        """Likewise."""
        chance = Random(self.twins.store.now_ns)
        if chance.random() < 0.2:
            rows = chance.randint(1, 4)
            self.tell(
                m.BatchAdjustStock, sku_keys=[chance.choice("ABC") for _ in range(rows)], sku_indexes=(),
                node_keys=[chance.choice(("dc", "east", "?")) for _ in range(rows)], node_indexes=(),
                delta_units=[chance.choice((-2, -1, 1, 2)) for _ in range(rows)], quantity=Quantity.ON_HAND,
                reason=StockReason.CORRECTION, all_or_nothing=chance.random() < 0.3,
            )  # fmt: skip

    def extend(self) -> None:
        found = self.pick(self.held(), self.twins.oracle.state.next_hold_id)
        ttl_ns = self.chance.choice([MINUTE_NS, 5 * MINUTE_NS, 60 * MINUTE_NS])
        self.tell(m.ExtendReservation, reservation_id=found, ttl_ns=ttl_ns)

    # Orders

    def _key(self) -> str:
        self.placed += 1
        return f"b{self.placed if self.chance.random() < 0.9 else max(self.placed - 5, 1)}"

    def commit(self) -> None:
        self.commit_many()
        chance, state = self.chance, self.twins.oracle.state
        found = self.pick(self.held(), state.next_hold_id)
        hold = state.holds.get(found)
        lines: list[tuple[str, int]] = []
        if hold is not None and chance.random() < 0.6:
            lines = [(leg.sku, chance.randint(1, leg.units)) for leg in hold.legs][:4]
        channel = hold.channel if hold is not None and chance.random() < 0.9 else "web"
        self.tell(
            m.PlaceOrder, channel_key=channel, order_key=self._key(), customer_key="bob", lines=priced(lines),
            reservation_id=found, postal_code=chance.choice(["", "", "10002", "90002"]),
        )  # fmt: skip

    def place(self) -> None:
        claim = self.claim()
        self.tell(
            m.PlaceOrder, channel_key=claim.channel_key, order_key=self._key(), customer_key="", claim=claim,
            lines=priced(claim.lines),
        )  # fmt: skip

    def ingest(self) -> None:
        claim = self.claim()
        self.tell(m.IngestOrder, order_key=self._key(), customer_key="", lines=priced(claim.lines), claim=claim)

    def cancel(self) -> None:
        chance, state = self.chance, self.twins.oracle.state
        order_id = self.pick([each for each, order in state.orders.items() if order.is_open], state.next_order_id)
        order = state.orders.get(order_id)
        lines: list[tuple[int, int]] = []
        if order is not None and chance.random() < 0.7:
            lines = [
                (at, chance.randint(1, line.units)) for at, line in enumerate(order.lines) if chance.random() < 0.7
            ]
        self.tell(m.CancelOrder, order_id=order_id, lines=tuple(lines))

    # Work

    def _work(self) -> int:
        state = self.twins.oracle.state
        known = [each for each, work in state.work.items() if work.is_open or is_coming(work)]
        return self.pick(known, state.next_work_id)

    def work(self) -> None:
        """The next step of some work, as a node would take it."""
        work_id = self._work()
        work = self.twins.oracle.state.work.get(work_id)
        kinds: list[type[m.Command]] = [m.Accept, m.Ship, m.MarkReady, m.HandOver]
        if work is not None and self.chance.random() < 0.9:
            after: type[m.Command] = m.Ship if work.kind == FulfillmentKind.SHIP else m.MarkReady
            following: dict[FulfillmentState, type[m.Command]] = {
                FulfillmentState.OPEN: m.Accept,
                FulfillmentState.ACCEPTED: after,
                FulfillmentState.READY_FOR_PICKUP: m.HandOver,
                FulfillmentState.SHIPPED: m.MarkReady,
                FulfillmentState.ARRIVED: m.HandOver,
            }
            kinds = [following.get(work.state, m.Accept)]
        self.tell(self.chance.choice(kinds), fulfillment_order_id=work_id)

    def reject(self) -> None:
        reason = self.chance.choice([each for each in RejectReason if each])
        self.tell(m.Reject, fulfillment_order_id=self._work(), reason=reason)

    # Returns

    def authorize(self) -> None:
        chance, state = self.chance, self.twins.oracle.state
        gone = [each for each, order in state.orders.items() if any(line.fulfilled_units for line in order.lines)]
        order_id = self.pick(gone, state.next_order_id) if chance.random() < 0.7 else 0
        order = state.orders.get(order_id)
        channel = list(state.channels)[order.channel_index] if order else "web"
        count = len(order.lines) if order else 1
        lines = tuple((chance.randrange(count), chance.choice("ABC"), chance.randint(1, 2)) for _ in range(2))
        way: dict[str, Any] = {"postal_code": "10001"}
        if chance.random() < 0.4:
            way = {"drop_off_node_key": chance.choice(["east", "west", "lab"])}
        self.tell(m.AuthorizeReturn, channel_key=channel, order_id=order_id, lines=lines[: chance.randint(1, 2)], **way)

    def take_back(self) -> None:
        chance, state = self.chance, self.twins.oracle.state
        waiting = [each for each, goods in state.returns.items() if goods.state != ReturnState.RECEIVED]
        items = tuple(
            ReceivedItem(chance.randrange(2), chance.randint(1, 2), chance.choice(list(Disposition)))
            for _ in range(chance.randint(1, 2))
        )
        node = chance.choice(["", "", *NODE_KEYS])
        self.tell(m.ReceiveReturn, return_id=self.pick(waiting, state.next_return_id), node_key=node, items=items)

    # Stock, network, time

    def receive(self) -> None:
        lines = tuple((sku, 2 * units) for sku, units in self.lines())
        self.tell(m.ReceiveStock, node_key=self.chance.choice(NODE_KEYS), lines=lines)

    def sell(self) -> None:
        self.tell(m.RecordSale, node_key=self.chance.choice(NODE_KEYS), channel_key="till", lines=self.lines())

    def count(self) -> None:
        chance = self.chance
        self.tell(
            m.SetStock, sku_key=chance.choice("ABCD"), node_key=chance.choice(NODE_KEYS),
            on_hand_units=chance.randint(0, 9), source_key=chance.choice(["", "wms"]), source_seq=chance.randint(1, 99),
        )  # fmt: skip

    def adjust(self) -> None:
        self.adjust_many()
        chance = self.chance
        quantities = [each for each in Quantity if each not in (Quantity.RESERVED, Quantity.ALLOCATED)]
        self.tell(
            m.AdjustStock, sku_key=chance.choice("ABCD"), node_key=chance.choice(NODE_KEYS),
            quantity=chance.choice(quantities), delta_units=chance.choice([-3, -2, -1, 1, 2, 3]),
            reason=StockReason.CORRECTION,
        )  # fmt: skip

    def load(self) -> None:
        chance = self.chance
        rows = [(chance.choice("ABCD"), chance.choice(NODE_KEYS), chance.randint(0, 9)) for _ in range(5)]
        self.tell(
            m.ImportStock, sku_keys=tuple(row[0] for row in rows), node_keys=tuple(row[1] for row in rows),
            on_hand_units=tuple(row[2] for row in rows),
        )  # fmt: skip

    def price(self) -> None:
        """Planning has thought again."""
        chance = self.chance
        rows = [
            (chance.choice("ABCD"), chance.choice(NODE_KEYS), chance.randrange(3), chance.randrange(2))
            for _ in range(chance.randint(1, 6))
        ]
        skus, nodes, prices, demands = (tuple(column) for column in zip(*rows, strict=True))
        self.tell(
            m.SetPrices, plan_key=f"plan{chance.randrange(9)}", sku_keys=skus, node_keys=nodes, price_micros=prices,
            demand_1024ths=demands, complete=chance.random() < 0.5,
        )  # fmt: skip

    def put(self) -> None:
        """The network changes a little, and back."""
        chance = self.chance
        entries: list[tuple[type[m.Command], dict[str, Any]]] = [
            (m.PutNodes, {"nodes": (chance.choice(NODES)._replace(closed=chance.random() < 0.5),)}),
            (
                m.PutNodes,
                {"nodes": (chance.choice(NODES)._replace(calendar=self.calendar(), closed=chance.random() < 0.3),)},
            ),
            (m.PutNodes, {"nodes": tuple(node._replace(calendar=self.calendar()) for node in NODES)}),
            (m.PutNodes, {"nodes": NODES}),
            (m.PutRateCard, {"rate_card": GROUND._replace(transit_days=(1, 2, 4))}),
            (m.PutChannels, {"channels": (Channel("app", node_keys=("dc", "west"), threshold_units=1),)}),
            (m.PutChannels, {"channels": CHANNELS}),
            (m.PutRoutingPolicy, {"policy": POLICY._replace(split_penalty_micros=chance.choice([0, 9_000_000]))}),
            (m.PutRateCard, {"rate_card": GROUND._replace(price_micros=(chance.randint(0, 9),) * 6)}),
            (m.PutRateCard, {"rate_card": GROUND}),
            (m.PutZoneChart, {"zone_chart": CHART._replace(pair_zones=(chance.randint(0, 3),))}),
        ]
        kind, fields = chance.choice(entries)
        self.tell(kind, **fields)

    def calendar(self) -> Calendar:
        """Long hours or short ones, and little room a day."""
        chance = self.chance
        opens = chance.choice((0, 900, 1_320))
        return Calendar(
            chance.choice(("UTC", "Europe/Zurich", "America/New_York")),
            tuple(Hours(day, opens, 1_440) for day in range(1, chance.choice((2, 7, 8)))),
            handling_minutes=chance.choice((0, 60)),
            orders_per_day_max=chance.choice((0, 2, 5)),
            units_per_day_max=chance.choice((0, 6)),
            pickups_per_hour_max=chance.choice((0, 1, 2)),
        )

    def rule(self) -> None:
        """The merchant thinks again of how orders are routed."""
        chance = self.chance
        key = chance.choice(["default", "whole"])
        if chance.random() < 0.3:
            self.tell(m.ActivateRoutingPolicy, policy_key=key, version=chance.choice([0, 0, 0, 1]))
            return
        rules = chance.choice(RULES)
        policy = RoutingPolicy(
            key,
            900_000,
            key == "default",
            "ground",
            rules=rules,
            draft=chance.random() < 0.3,
            grace_ns=chance.choice([0, MINUTE_NS]),
        )
        self.tell(m.PutRoutingPolicy, policy=policy)

    def let_go(self) -> None:
        """An order that waits is routed again."""
        state = self.twins.oracle.state
        waiting = [each for each, order in state.orders.items() if order.short_units]
        self.tell(m.ReleaseOrder, order_id=self.pick(waiting, state.next_order_id))

    def move(self) -> None:
        """Work that nobody has begun is looked at again: alone, or together, as somebody proposed."""
        state = self.twins.oracle.state
        floating = [each.order_id for each in state.work.values() if each.floats]
        ids = dict.fromkeys(self.pick(floating, state.next_order_id) for _ in range(self.chance.choice([1, 1, 2, 3])))
        proposes = self.chance.random() < 0.4
        moves = tuple(propose(state, order_id, self.chance) if proposes else m.Move(order_id) for order_id in ids)
        self.tell(m.RerouteOrder, moves=moves, saving_micros_min=self.chance.choice([0, 0, 1_000_000, -2_000_000]))

    def wait(self) -> None:
        self.twins.store.wait(self.chance.choice([1, MINUTE_NS, 5 * MINUTE_NS, 20 * MINUTE_NS]))
        self.twins.sweep()

    def repeat(self) -> None:
        self.twins.submit(self.chance.choice(self.twins.asked[-40:]))
