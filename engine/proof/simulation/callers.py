"""Checkouts, stores, marketplaces, feeds and planners: what each of them asks, by chance, knowing what there is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from engine.model import commands as m
from engine.model import queries as q
from engine.model.calendars import Calendar, Hours
from engine.model.network import Channel, Node, Sku
from engine.model.orders import ReceivedItem
from engine.model.outcomes import (
    Disposition,
    FulfillmentKind,
    FulfillmentState,
    Quantity,
    RejectReason,
    ReservationState,
    ReturnState,
    StockReason,
)
from engine.proof.oracle import State
from engine.proof.simulation.history import UNKNOWN_ID, Look, Ref
from engine.proof.simulation.ledger import Ledger
from engine.proof.simulation.many import Asked, as_batch
from engine.proof.simulation.proposals import is_coming, proposed
from engine.proof.simulation.world import CHANNELS, CHART, DAY_NS, GROUND, MINUTE_NS, NODES, POLICY, RULES, SKUS

SKU_KEYS = ("hot", "hot", "hot", "hot", "warm", "warm", "cold", "rare")
NODE_KEYS = ("dc", "dc", "east", "west", "east", "desk")
CHANNEL_KEYS = ("web", "web", "web", "app", "mall", "till")
POSTAL_CODES = ("10001", "90001", "50001", "10001", "90001", "50001", "10001", "77777")
TTLS_NS = (0, MINUTE_NS, 5 * MINUTE_NS, 5 * MINUTE_NS, 30 * MINUTE_NS)
STRANGE = 0.02
"""How often a caller names what does not exist."""


class Callers:
    """One request after the other. Reads the oracle's state: what a caller could know from answers and pages."""

    def __init__(self, chance: Random, state: State, ledger: Ledger) -> None:
        self.chance, self.state, self.ledger = chance, state, ledger
        self._orders = 0
        actions: list[tuple[int, Callable[[], Asked]]] = [
            (9, self.reserve), (2, self.reserve_many), (3, self.release), (3, self.extend), (4, self.commit),
            (5, self.place), (4, self.ingest), (3, self.cancel), (10, self.work), (3, self.reject), (3, self.authorize),
            (4, self.take_back), (7, self.receive), (2, self.sell), (3, self.count), (2, self.adjust), (3, self.load),
            (2, self.put), (2, self.price), (2, self.let_go), (4, self.move),
        ]  # fmt: skip
        self._actions = [action for _, action in actions]
        # Every world has other habits: what is rare in one is all that happens in another.
        self._weights = [weight * chance.choice((0.2, 1, 1, 1, 3)) for weight, _ in actions]

    def ask(self) -> Asked:
        """The next request of anybody."""
        return as_batch(self.chance.choices(self._actions, self._weights)[0](), self.state, self.ledger)

    # What a request is made of

    def _pick(self, noun: str, known: Sequence[int]) -> Ref | int:
        """Mostly one of these; else any that was ever made, or one that never was."""
        chance = self.chance
        if known and chance.random() < 0.85:
            return self.ledger.ref(noun, chance.choice(known))
        if chance.random() < 0.8:
            return self.ledger.any_ref(noun, chance)
        return UNKNOWN_ID + chance.randrange(3)

    def _sku(self) -> str:
        return "?" if self.chance.random() < STRANGE else self.chance.choice(SKU_KEYS)

    def _node(self) -> str:
        return "?" if self.chance.random() < STRANGE else self.chance.choice(NODE_KEYS)

    def _channel(self) -> str:
        return "?" if self.chance.random() < STRANGE else self.chance.choice(CHANNEL_KEYS)

    def _lines(self, most: int = 3) -> m.Lines:
        chance = self.chance
        return tuple((self._sku(), chance.randint(1, 4)) for _ in range(chance.choice((1, 1, 1, 2, 2, most))))

    def _claim(self, *, partial: bool = True) -> m.Claim:
        chance = self.chance
        fields: dict[str, Any] = {"ttl_ns": chance.choice(TTLS_NS), "allow_partial": partial and chance.random() < 0.4}
        lines = self._lines()
        if chance.random() < 0.3:
            return m.Claim(self._channel(), lines, FulfillmentKind.PICKUP, pickup_node_key=self._node(), **fields)
        if chance.random() < 0.3:
            fields["due_day"] = self.state.now_ns // DAY_NS + chance.choice((-1, 1, 2, 3, 6))
        fields["service_key"] = chance.choice(("", "", "", "ground", "express", "express", "boat"))
        if chance.random() < 0.1:
            return m.Claim(self._channel(), lines, FulfillmentKind.SHIP, store_key=self._node(), **fields)
        return m.Claim(self._channel(), lines, FulfillmentKind.SHIP, postal_code=chance.choice(POSTAL_CODES), **fields)

    # Reservations

    def _held(self) -> list[int]:
        return [each for each, hold in self.state.holds.items() if hold.state == ReservationState.HELD]

    def reserve(self) -> Asked:
        """A checkout holds."""
        return m.Reserve, {"claim": self._claim()}

    def reserve_many(self) -> Asked:
        """A marketplace holds for many."""
        claims = [self._claim() for _ in range(self.chance.choice((1, 2, 3, 6)))]
        return m.BatchReserve, {
            "claims": m.ClaimColumns.of(claims),
            "all_or_nothing": self.chance.random() < 0.2,
        }

    def scramble(self, count: int) -> list[Asked]:
        """Several checkouts want the last units at the same moment."""
        sku_key = self.chance.choice(SKU_KEYS)
        claims = [self._claim()._replace(lines=((sku_key, self.chance.randint(1, 4)),)) for _ in range(count)]
        return [(m.Reserve, {"claim": claim}) for claim in claims]

    def rush(self, ttl_ns: int) -> Asked:
        """Everybody wants the same SKU at once, and for as long."""
        claim = m.Claim("web", (("hot", 1),), FulfillmentKind.SHIP, postal_code="10001", ttl_ns=ttl_ns)
        count = self.state.limits.batch_items_max
        return m.BatchReserve, {"claims": m.ClaimColumns.of([claim] * count)}

    def release(self) -> Asked:
        """A shopper leaves."""
        return m.ReleaseReservation, {"reservation_id": self._pick("reservation", self._held())}

    def extend(self) -> Asked:
        """A shopper hesitates."""
        ttl_ns = self.chance.choice((MINUTE_NS, 5 * MINUTE_NS, 60 * MINUTE_NS, 60 * MINUTE_NS))
        return m.ExtendReservation, {"reservation_id": self._pick("reservation", self._held()), "ttl_ns": ttl_ns}

    # Orders

    def _order_key(self) -> str:
        self._orders += 1
        return f"k{self._orders if self.chance.random() < 0.9 else max(self._orders - 5, 1)}"

    def commit(self) -> Asked:
        """A shopper pays for what is held, or for a part of it."""
        chance, held = self.chance, self._held()
        picked = self._pick("reservation", held)
        hold = self.state.holds.get(self.ledger.resolve(picked))
        lines: list[tuple[str, int, int]] = []
        if hold is not None and chance.random() < 0.6:
            lines = [(leg.sku, chance.randint(1, leg.units), 10_000_000) for leg in hold.legs][:4]
        return m.PlaceOrder, {
            "channel_key": hold.channel if hold is not None and chance.random() < 0.95 else "web",
            "order_key": self._order_key(),
            "customer_key": "bob",
            "lines": tuple(lines),
            "reservation_id": picked,
            "postal_code": chance.choice(("", "", "10002", "90002")),
        }

    def place(self) -> Asked:
        """A shopper pays at once."""
        claim = self._claim()
        return m.PlaceOrder, {
            "channel_key": claim.channel_key,
            "order_key": self._order_key(),
            "customer_key": "",
            "lines": tuple((sku, units, 10_000_000) for sku, units in claim.lines),
            "claim": claim,
        }

    def ingest(self) -> Asked:
        """A marketplace has sold."""
        claim = self._claim()
        lines = tuple((sku, units, 9_000_000) for sku, units in claim.lines)
        return m.IngestOrder, {"order_key": self._order_key(), "customer_key": "", "lines": lines, "claim": claim}

    def let_go(self) -> Asked:
        """Somebody looks after an order that waits."""
        waiting = [each for each, order in self.state.orders.items() if order.short_units]
        return m.ReleaseOrder, {"order_id": self._pick("order", waiting)}

    def move(self) -> Asked:
        """Somebody proposes where work that nobody has begun would be better off; or asks for that."""
        chance, state = self.chance, self.state
        floating = [each.order_id for each in state.work.values() if each.floats]
        picked = dict.fromkeys(self._pick("order", floating) for _ in range(chance.choice((1, 1, 2, 3))))
        moves = tuple([proposed(chance, state, self.ledger, each) for each in picked])
        return m.RerouteOrder, {"moves": moves, "saving_micros_min": chance.choice((0, 0, 1_000_000, -2_000_000))}

    def cancel(self) -> Asked:
        """A buyer thinks again."""
        chance = self.chance
        known = [each for each, order in self.state.orders.items() if order.is_open]
        picked = self._pick("order", known)
        order = self.state.orders.get(self.ledger.resolve(picked))
        lines: list[tuple[int, int]] = []
        if order is not None and chance.random() < 0.7:
            lines = [
                (at, chance.randint(1, line.units)) for at, line in enumerate(order.lines) if chance.random() < 0.7
            ]
        return m.CancelOrder, {"order_id": picked, "lines": tuple(lines)}

    # Work

    def _work(self) -> Ref | int:
        return self._pick("work", [key for key, work in self.state.work.items() if work.is_open or is_coming(work)])

    def work(self) -> Asked:
        """A node takes the next step of some work, or a wrong one."""
        picked = self._work()
        work = self.state.work.get(self.ledger.resolve(picked))
        kind: type[m.Command] = self.chance.choice((m.Accept, m.Ship, m.MarkReady, m.HandOver))
        if work is not None and self.chance.random() < 0.9:
            after: type[m.Command] = m.Ship if work.kind == FulfillmentKind.SHIP else m.MarkReady
            following: dict[FulfillmentState, type[m.Command]] = {
                FulfillmentState.OPEN: m.Accept,
                FulfillmentState.ACCEPTED: after,
                FulfillmentState.READY_FOR_PICKUP: m.HandOver,
                FulfillmentState.SHIPPED: m.MarkReady,
                FulfillmentState.ARRIVED: m.HandOver,
            }
            kind = following.get(work.state, m.Accept)
        return kind, {"fulfillment_order_id": picked}

    def reject(self) -> Asked:
        """A node cannot."""
        reason = self.chance.choice([each for each in RejectReason if each])
        return m.Reject, {"fulfillment_order_id": self._work(), "reason": reason}

    # Returns

    def authorize(self) -> Asked:
        """Goods are to come back."""
        chance, state = self.chance, self.state
        gone = [each for each, order in state.orders.items() if any(line.fulfilled_units for line in order.lines)]
        picked: Ref | int = self._pick("order", gone) if chance.random() < 0.7 else 0
        order = state.orders.get(self.ledger.resolve(picked))
        channel = list(state.channels)[order.channel_index] if order else self._channel()
        count = len(order.lines) if order else 1
        lines = tuple((chance.randrange(count), chance.choice(SKU_KEYS), chance.randint(1, 2)) for _ in range(2))
        way = {
            "postal_code": chance.choice(POSTAL_CODES),
            "service_key": chance.choice(("", "", "ground", "express", "express", "boat")),
        }
        if chance.random() < 0.4:
            way = {"drop_off_node_key": self._node()}
        lines = lines[: chance.randint(1, 2)]
        return m.AuthorizeReturn, {"channel_key": channel, "order_id": picked, "lines": lines, **way}

    def take_back(self) -> Asked:
        """Goods arrive."""
        chance = self.chance
        waiting = [each for each, goods in self.state.returns.items() if goods.state != ReturnState.RECEIVED]
        items = tuple(
            ReceivedItem(chance.randrange(2), chance.randint(1, 2), chance.choice(list(Disposition)))
            for _ in range(chance.randint(1, 2))
        )
        node = "" if chance.random() < 0.5 else self._node()
        return m.ReceiveReturn, {"return_id": self._pick("return", waiting), "node_key": node, "items": items}

    # Facts about stock; some of them break promises

    def receive(self) -> Asked:
        """A delivery."""
        return m.ReceiveStock, {
            "node_key": self._node(),
            "lines": tuple((sku, 2 * units) for sku, units in self._lines()),
        }

    def restock(self, units: int) -> Asked:
        """A large delivery of the SKU that everybody wants."""
        return m.ReceiveStock, {"node_key": "dc", "lines": (("hot", units),)}

    def sell(self) -> Asked:
        """A till has sold, whether or not it was promised to somebody."""
        return m.RecordSale, {"node_key": self._node(), "channel_key": "till", "lines": self._lines()}

    def count(self) -> Asked:
        """Somebody counted, or a feed says so: sometimes late, sometimes twice."""
        chance = self.chance
        fields: dict[str, Any] = {"sku_key": self._sku(), "node_key": self._node()}
        fields["on_hand_units"] = None if chance.random() < 0.2 else chance.randint(0, 12)
        fields["safety_stock_units"] = chance.choice((None, None, None, 0, 1, 2))
        fields["expected_on_hand_units"] = chance.choice((None, None, None, 0, 2))
        fields["source_key"] = chance.choice(("", "", "wms", "erp", "pim"))
        fields["source_seq"] = self._source_seq() if fields["source_key"] else 0
        return m.SetStock, fields

    def _source_seq(self) -> int:
        return max(1, self._orders // 4 + self.chance.randint(-6, 2))

    def adjust(self) -> Asked:
        """Breakage, finds, corrections."""
        chance = self.chance
        quantities = [each for each in Quantity if each not in (Quantity.RESERVED, Quantity.ALLOCATED)]
        return m.AdjustStock, {
            "sku_key": self._sku(),
            "node_key": self._node(),
            "quantity": chance.choice(quantities),
            "delta_units": chance.choice((-3, -2, -1, 1, 2, 3)),
            "reason": StockReason.CORRECTION,
        }

    def load(self) -> Asked:
        """A file of counts."""
        chance = self.chance
        rows = [(self._sku(), self._node(), chance.randint(0, 12)) for _ in range(chance.randint(1, 6))]
        skus, nodes, counts = (tuple(column) for column in zip(*rows, strict=True))
        source = chance.choice(("", "", "wms", "erp", "pim"))
        return m.ImportStock, {
            "sku_keys": skus,
            "node_keys": nodes[:1] if chance.random() < 0.3 else nodes,
            "on_hand_units": counts,
            "safety_stock_units": tuple(chance.randint(-1, 2) for _ in rows) if chance.random() < 0.3 else (),
            "source_key": source,
            "source_seq": self._source_seq() if source else 0,
            "all_or_nothing": chance.random() < 0.3,
        }

    def price(self) -> Asked:
        """Planning has thought again."""
        chance = self.chance
        rows = [
            (self._sku(), self._node(), chance.randrange(3) * 900_000, chance.randrange(2) * 512)
            for _ in range(chance.randint(1, 6))
        ]
        skus, nodes, prices, demands = (tuple(column) for column in zip(*rows, strict=True))
        return m.SetPrices, {
            "plan_key": f"plan{chance.randrange(9)}",
            "sku_keys": skus,
            "node_keys": nodes,
            "price_micros": prices,
            "demand_1024ths": demands,
            "complete": chance.random() < 0.5,
        }

    # The network, which changes a little and back

    def put(self) -> Asked:
        """Nodes close and open, prices and rules change."""
        chance = self.chance
        node = chance.choice(
            (*NODES, *NODES, Node("late", "Late", latitude=38.0, longitude=-90.0, postal_code="50011"))
        )
        entries: list[Asked] = [
            (m.PutNodes, {"nodes": (node._replace(closed=chance.random() < 0.7, calendar=self._calendar()),)}),
            (m.PutNodes, {"nodes": (node._replace(closed=chance.random() < 0.7, calendar=self._calendar()),)}),
            (m.PutNodes, {"nodes": (node._replace(ships=chance.random() < 0.7, default_safety_stock_units=1),)}),
            (m.PutNodes, {"nodes": NODES}),
            (m.PutNodes, {"nodes": NODES}),
            (m.PutSkus, {"skus": (chance.choice(SKUS)._replace(weight_grams=chance.choice((0, 700, 6_000))),)}),
            (m.PutSkus, {"skus": (Sku(f"new{chance.randrange(4)}"),)}),
            (m.PutChannels, {"channels": (Channel("app", node_keys=("dc", "west"), threshold_units=1),)}),
            (m.PutChannels, {"channels": (Channel(f"new{chance.randrange(3)}", node_keys=("dc", "?")[: chance.randint(1, 2)]),)}),
            (m.PutChannels, {"channels": (CHANNELS[1]._replace(policy_key=chance.choice(("default", "?"))),)}),
            (m.PutChannels, {"channels": CHANNELS}),
            (m.PutRoutingPolicy, {"policy": POLICY._replace(split_penalty_micros=chance.choice((0, 9_000_000)))}),
            (m.PutRoutingPolicy, {"policy": POLICY._replace(default_service_key=chance.choice(("ground", "boat")))}),
            (m.PutRoutingPolicy, {"policy": POLICY._replace(rules=chance.choice(RULES), draft=True)}),
            (m.PutRoutingPolicy, {"policy": POLICY._replace(rules=chance.choice(RULES), draft=True)}),
            (m.PutRoutingPolicy, {"policy": POLICY._replace(rules=chance.choice(RULES), grace_ns=chance.choice((0, 5)) * MINUTE_NS)}),
            (m.ActivateRoutingPolicy, {"policy_key": "default", "version": chance.choice((0, 0, 1))}),
            (m.ActivateRoutingPolicy, {"policy_key": "default"}),
            (m.ActivateRoutingPolicy, {"policy_key": "default"}),
            (m.PutRateCard, {"rate_card": GROUND._replace(price_micros=(chance.randint(0, 9),) * 6)}),
            (m.PutRateCard, {"rate_card": GROUND._replace(currency_code=chance.choice(("USD", "EUR")))}),
            (m.PutZoneChart, {"zone_chart": CHART._replace(pair_zones=(chance.randint(0, 3),))}),
        ]  # fmt: skip
        return chance.choice(entries)

    def _calendar(self) -> Calendar:
        """Hours around the clock or few, and little room a day. By a chance of its own: what else happens in a world stays as it was."""
        chance = Random(self.state.seq)  # noqa: S311 - nothing here is secret
        opens = chance.choice((0, 1_000, 1_439))
        return Calendar(
            chance.choice(("UTC", "Asia/Tokyo", "Pacific/Apia", "Europe/Zurich")),
            tuple(Hours(day, opens, 1_440) for day in sorted(chance.sample(range(1, 8), chance.choice((1, 6, 7))))),
            handling_minutes=chance.choice((0, 30, 900)),
            orders_per_day_max=chance.choice((0, 1, 4)),
            units_per_day_max=chance.choice((0, 3, 20)),
            pickups_per_hour_max=chance.choice((0, 1, 3)),
        )

    # Reads

    def look(self) -> Look:
        """Somebody looks."""
        chance = self.chance
        ahead = chance.choice((0, 0, 0, 0, 1, 9))
        kind = FulfillmentKind.PICKUP if chance.random() < 0.3 else FulfillmentKind.SHIP
        node = self._node() if chance.random() < 0.4 else ""
        choices: list[tuple[type[q.Query], dict[str, Any]]] = [
            (q.GetAvailability, {"channel_key": self._channel(), "sku_keys": (self._sku(), "hot"), "kind": kind, "node_key": node}),
            (q.GetReservation, {"reservation_id": self._pick("reservation", self._held())}),
            (q.GetOrder, {"order_id": self._pick("order", list(self.state.orders))}),
            (q.GetStatus, {}),
        ]  # fmt: skip
        return Look(*chance.choice(choices), ahead)
