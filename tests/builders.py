"""Small stores to test with: limits that are soon reached, a network of four nodes, and a way to drive a machine by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, TypeVar
from zlib import crc32

from engine.core.machine import Machine, Repeated
from engine.journal.codec import encode
from engine.journal.memory import MemoryJournal
from engine.model import commands as m
from engine.model import queries as q
from engine.model.decisions import Decision
from engine.model.limits import SECOND_NS, Limits
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.orders import FulfillmentOrder, Order, ReceivedItem, Return
from engine.model.outcomes import Disposition, FulfillmentKind, NodeKind, Outcome, RejectReason
from engine.model.replies import Cell

EPOCH_NS = 1_700_000_000_000_000_000
MINUTE_NS = 60 * SECOND_NS
SHIP, PICKUP = FulfillmentKind.SHIP, FulfillmentKind.PICKUP

CommandT = TypeVar("CommandT", bound=m.Command)

SMALL = Limits(
    nodes_max=8,
    skus_max=16,
    cells_max=256,
    channels_max=6,
    regions_max=6,
    services_max=3,
    zones_max=4,
    weight_steps_max=4,
    sources_max=2,
    open_reservations_max=6,
    reservation_legs_max=24,
    batch_items_max=16,
    reservation_ttl_default_ns=15 * MINUTE_NS,
    reservation_ttl_max_ns=60 * MINUTE_NS,
    reservation_hold_max_ns=120 * MINUTE_NS,
    request_ids_remembered=200,
    price_age_max_ns=90 * MINUTE_NS,
    closed_orders_remembered=4,
    movements_remembered=64,
)
"""Limits under which every test stays small; arrays of this size are made in a millisecond."""


def limits(**changes: int) -> Limits:
    """Small limits, some of them changed."""
    return replace(SMALL, **changes)


NODES = (
    Node("dc", "Central warehouse", NodeKind.WAREHOUSE, 40.0, -100.0, "50000", package_cost_micros=500_000),
    Node(
        "east", "Shop", NodeKind.STORE, 40.0, -75.0, "10001",
        offers_pickup=True, accepts_returns=True, unit_cost_micros=100_000,
    ),
    Node(
        "west", "Shop", NodeKind.STORE, 35.0, -118.0, "90001",
        offers_pickup=True, accepts_returns=True, package_cost_micros=200_000, unit_cost_micros=50_000,
    ),
    Node("lab", "Returns only", NodeKind.STORE, 45.0, -90.0, "", ships=False, accepts_returns=True),
)  # fmt: skip
SKUS = (Sku("A", "Ant", 500), Sku("B", "Bee", 1_500), Sku("C", "Cicada", 0), Sku("D", "Dragonfly", 100))
REGIONS = (Region("100", 40.0, -75.0), Region("900", 35.0, -118.0), Region("500", 40.0, -100.0))
CHART = ZoneChart(REGIONS, (500_000, 2_500_000), ("100",), ("900",), (3,))
"""Zone 1 up to 500 km, zone 2 up to 2,500 km, zone 3 beyond, and from east to west exactly 3."""
GROUND = RateCard(
    "ground", "USD", (1_000, 5_000), 3, (4_000_000, 6_000_000, 5_000_000, 9_000_000, 7_000_000, 12_000_000)
)
EXPRESS = RateCard("express", "USD", (1_000, 5_000), 2, (8_000_000, 9_000_000, 12_000_000, -1))
"""Not offered in zone 3, and in zone 2 for light packages only: heavier ones go as several."""
POLICY = RoutingPolicy("default", 1_000_000, allow_unit_split=True, default_service_key="ground")
WHOLE = RoutingPolicy("whole", 1_000_000, allow_unit_split=False, default_service_key="ground")
CHANNELS = (
    Channel("web", "Web shop", all_nodes=True),
    Channel("app", "App with a threshold", ("dc", "east", "west"), threshold_units=2),
    Channel("mall", "No splitting", ("dc", "east"), policy_key="whole"),
    Channel("till", "Tills", ("east", "west")),
)
NETWORK: tuple[tuple[type[m.Command], dict[str, Any]], ...] = (
    (m.PutRateCard, {"rate_card": GROUND}),
    (m.PutRateCard, {"rate_card": EXPRESS}),
    (m.PutZoneChart, {"zone_chart": CHART}),
    (m.PutRoutingPolicy, {"policy": POLICY}),
    (m.PutRoutingPolicy, {"policy": WHOLE}),
    (m.PutNodes, {"nodes": NODES}),
    (m.PutSkus, {"skus": SKUS}),
    (m.PutChannels, {"channels": CHANNELS}),
)


def ship(lines: Sequence[tuple[str, int]], to: str = "10001", channel: str = "web", **fields: Any) -> m.Claim:
    """A claim to ship."""
    return m.Claim(channel, tuple(lines), SHIP, postal_code=to, **fields)


def pickup(lines: Sequence[tuple[str, int]], at: str = "east", channel: str = "web", **fields: Any) -> m.Claim:
    """A claim to collect."""
    return m.Claim(channel, tuple(lines), PICKUP, pickup_node_key=at, **fields)


def priced(lines: Sequence[tuple[str, int]], price: int = 10_000_000) -> m.PricedLines:
    """Lines of an order, all at one price."""
    return tuple((sku_key, units, price) for sku_key, units in lines)


class Store:
    """A machine, the time, and every decision so far: what the writer does, one command at a time and without a journal."""

    def __init__(self, limits: Limits = SMALL, *, network: bool = True) -> None:
        self.machine = Machine(limits)
        self.now_ns = EPOCH_NS
        self.decisions: list[Decision] = []
        self._requests = 0
        if network:
            for kind, fields in NETWORK:
                assert self.tell(kind, **fields).outcome == Outcome.OK

    def make(self, kind: type[CommandT], request_id: str = "", **fields: Any) -> CommandT:
        """A command with a request id of its own and a fingerprint of its fields."""
        self._requests += 1
        fingerprint = crc32(f"{kind.__name__} {sorted(fields.items())}".encode())
        return kind(request_id or f"r{self._requests}", fingerprint, **fields)

    def tell(self, kind: type[m.Command], request_id: str = "", **fields: Any) -> Any:
        """The reply to a command, decided now."""
        return self.submit(self.make(kind, request_id, **fields))

    def submit(self, command: m.Command) -> Any:
        """The reply to a command, decided now; what has expired by now ends first."""
        self.sweep()
        decision = self.machine.decide(command, self.now_ns)
        if isinstance(decision, Repeated):
            return decision.reply
        self._apply(decision)
        return decision.reply

    def ask(self, query: q.Query) -> Any:
        """The answer to a query, now."""
        self.sweep()
        return self.machine.answer(query, self.now_ns)

    def sweep(self) -> None:
        """End what has expired."""
        while expiry := self.machine.expire(self.now_ns):
            self._apply(expiry)

    def _apply(self, decision: Decision) -> None:
        self.machine.apply(decision)
        self.decisions.append(decision)

    def wait(self, by_ns: int) -> None:
        """Let time pass."""
        self.now_ns += by_ns

    # Short cuts

    def stock(self, *counts: tuple[str, str, int]) -> None:
        """Set on hand: (SKU, node, units)."""
        for sku_key, node_key, units in counts:
            assert self.tell(m.SetStock, sku_key=sku_key, node_key=node_key, on_hand_units=units).outcome == Outcome.OK

    def reserve(self, claim: m.Claim) -> Any:
        """Hold a claim."""
        return self.tell(m.Reserve, claim=claim)

    def place(self, claim: m.Claim, order_key: str = "") -> Any:
        """Order a claim directly."""
        return self.tell(
            m.PlaceOrder,
            channel_key=claim.channel_key,
            order_key=order_key or f"o{self._requests}",
            customer_key="anna",
            lines=priced(claim.lines),
            claim=claim,
        )

    def commit(self, reservation_id: int, lines: Sequence[tuple[str, int]] = (), **fields: Any) -> Any:
        """Order what is held."""
        whole = {"channel_key": "web", "order_key": f"o{self._requests}", "customer_key": "anna"} | fields
        return self.tell(m.PlaceOrder, lines=priced(lines), reservation_id=reservation_id, **whole)

    def ingest(self, claim: m.Claim, order_key: str = "") -> Any:
        """Book an order that was sold elsewhere."""
        key = order_key or f"o{self._requests}"
        return self.tell(m.IngestOrder, order_key=key, customer_key="", lines=priced(claim.lines), claim=claim)

    def cell(self, sku_key: str, node_key: str) -> Cell:
        """All quantities of a cell; zeros where there is none."""
        names, stock = self.machine.pool.names, self.machine.pool.stock
        sku, node = names.skus.find(sku_key), names.nodes.find(node_key)
        slot = stock.find(sku, node)
        return stock.cell(slot) if slot >= 0 else Cell(sku, node, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)

    def ats(self, sku_key: str, channel: str = "web", kind: FulfillmentKind = SHIP, node: str = "") -> int:
        """Units that a channel may sell."""
        answer = self.ask(q.GetAvailability(0, channel, (sku_key,), kind, node))
        return int(answer.availabilities[0].ats_units)

    def order(self, order_id: int) -> Order:
        """An order that is remembered."""
        return self.machine.pool.orders.orders[order_id]

    def work(self, order_id: int) -> list[FulfillmentOrder]:
        """The fulfillment orders of an order."""
        orders = self.machine.pool.orders
        return list(orders.work_of_order(orders.orders[order_id]))

    def goods(self, return_id: int) -> Return:
        """A return that is remembered."""
        return self.machine.pool.orders.returns[return_id]

    # What must always hold

    def audit(self) -> None:
        """Every invariant holds."""
        report = self.ask(q.Audit(0, digest=False)).report
        assert not report.findings, report.findings

    def journal(self, group: int = 1) -> MemoryJournal:
        """The decisions so far as a journal, ``group`` of them a record."""
        journal = MemoryJournal()
        for at in range(0, len(self.decisions), group):
            part = self.decisions[at : at + group]
            journal.append(encode(part), expected_seq=part[0].seq - 1)
        return journal


def _calls(store: Store, chance: Random, at: int) -> list[Callable[[], Any]]:
    lines = [(chance.choice("ABCZ"), chance.randint(1, 4)) for _ in range(chance.randint(1, 3))]
    claim = ship(lines, to=chance.choice(["10001", "90001", "77777"]), ttl_ns=chance.randint(1, 40) * MINUTE_NS)
    tell = store.tell
    goods: dict[str, Any] = {"channel_key": "web", "order_id": 0, "lines": ((-1, "A", 2),), "postal_code": "10001"}
    count: dict[str, Any] = {
        "sku_key": "B",
        "node_key": "lab",
        "on_hand_units": at,
        "source_key": "wms",
        "source_seq": at + 1,
    }
    received = (ReceivedItem(0, 1, Disposition.RESTOCK),)
    return [
        partial(store.reserve, claim),
        partial(store.reserve, pickup(lines, allow_partial=True)),
        partial(tell, m.BatchReserve, claims=m.ClaimColumns.of((claim, claim))),
        partial(store.place, claim, f"k{at}"),
        partial(store.ingest, claim, f"m{at}"),
        partial(store.commit, at // 3 + 1),
        partial(tell, m.ExtendReservation, reservation_id=at // 2, ttl_ns=MINUTE_NS),
        partial(tell, m.CancelOrder, order_id=at // 4, lines=()),
        partial(tell, m.Accept, fulfillment_order_id=at // 3),
        partial(tell, m.Ship, fulfillment_order_id=at // 4),
        partial(tell, m.Reject, fulfillment_order_id=at // 4 + 1, reason=RejectReason.MISMATCH),
        partial(tell, m.AuthorizeReturn, **goods),
        partial(tell, m.ReceiveReturn, return_id=1, node_key="", items=received),
        partial(tell, m.RecordSale, node_key="east", channel_key="till", lines=(("A", 1),)),
        partial(tell, m.SetStock, **count),
        partial(tell, m.PutSkus, skus=(Sku(f"N{at % 5}", weight_grams=at),)),
    ]


def day(seed: int, given: Limits = SMALL) -> Store:
    """A busy day: a bit of everything, refusals and expiries included."""
    chance = Random(seed)
    store = Store(given)
    store.stock(("A", "dc", 20), ("A", "east", 5), ("B", "dc", 9), ("C", "west", 7))
    for at in range(60):
        chance.choice(_calls(store, chance, at))()
        store.wait(chance.randint(0, 3) * MINUTE_NS)
    store.sweep()
    store.audit()
    return store
