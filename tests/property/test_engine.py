"""The engine is its oracle: whatever is asked in whatever order, both say the same and know the same, and replay gives it again."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.model import commands as m
from engine.model import queries as q
from engine.model.orders import FulfillmentOrder, ReceivedItem
from engine.model.outcomes import AfterAction, FulfillmentState, Outcome, RejectReason, ReservationState
from engine.proof.oracle.claims import Refused, ask, candidates, on_offer
from engine.proof.oracle.rules import free, ways
from tests.builders import NODES, PICKUP, SHIP, limits, pickup, priced, ship
from tests.property import asked
from tests.property.busy import Busy
from tests.property.proposals import propose
from tests.property.twins import Twins

LIMITS = limits(reservation_legs_max=400, cells_max=512)
DATA = st.data()


class Engine(RuleBasedStateMachine):
    """A store in use."""

    def __init__(self) -> None:
        super().__init__()
        self.twins = Twins(LIMITS)

    def tell(self, kind: type[m.Command], **fields: Any) -> Any:
        reply = self.twins.tell(kind, **fields)
        event(f"{kind.__name__} {Outcome(reply.outcome).name}")
        return reply

    def known(self, data: st.DataObject, following: int) -> int:
        """An id that is known, was known, or is not known yet."""
        return following - data.draw(st.integers(0, min(8, following - 1)))

    @initialize(
        counts=st.lists(st.integers(0, 9), min_size=8, max_size=8),
        seed=st.integers(0, 1_000),
        steps=st.sampled_from([0, 40, 120]),
    )
    def open(self, counts: list[int], seed: int, steps: int) -> None:
        """Opening stock and groups of nodes, and then perhaps a busy morning."""
        groups = {"dc": ("own",), "east": ("city",), "west": ("own", "far")}
        self.tell(m.PutNodes, nodes=tuple(node._replace(groups=groups.get(node.node_key, ())) for node in NODES))
        pairs = [(sku, node) for sku in "ABCD" for node in ("dc", "east")]
        self.tell(
            m.ImportStock,
            sku_keys=tuple(sku for sku, _ in pairs),
            node_keys=tuple(node for _, node in pairs),
            on_hand_units=tuple(counts),
        )
        busy = Busy(self.twins, seed)
        for _ in range(steps):
            busy.step()

    @invariant()
    def same(self) -> None:
        self.twins.compare()

    def teardown(self) -> None:
        twins = self.twins
        twins.compare_availability()
        twins.compare_movements()
        twins.compare_queues()
        twins.replay(len(twins.store.decisions))

    # Time

    @rule(by_ns=st.sampled_from([1, 10**9, 59 * 10**9, 10 * 60 * 10**9]))
    def wait(self, by_ns: int) -> None:
        self.twins.store.wait(by_ns)
        self.twins.sweep()

    @rule(off_ns=st.sampled_from([-1, 0, 1]), data=DATA)
    def wait_for_an_end(self, off_ns: int, data: st.DataObject) -> None:
        """To the very instant, or one nanosecond beside it."""
        state = self.twins.oracle.state
        ends = sorted({hold.expires_ns for hold in state.holds.values() if hold.state == ReservationState.HELD})
        if ends:
            by_ns = data.draw(st.sampled_from(ends)) + off_ns - self.twins.store.now_ns
            self.wait(max(by_ns, 0))

    # The network and stock

    @rule(put=st.sampled_from(asked.PUTS), data=DATA)
    def put(self, put: tuple[type[m.Command], str, st.SearchStrategy[Any]], data: st.DataObject) -> None:
        kind, field, entries = put
        self.tell(kind, **{field: data.draw(entries)})

    @rule(policy_key=st.sampled_from(["default", "whole", "nobody's"]), version=st.sampled_from([0, 0, 2]))
    def activate(self, policy_key: str, version: int) -> None:
        self.tell(m.ActivateRoutingPolicy, policy_key=policy_key, version=version)

    @rule(fields=asked.ADJUSTMENTS)
    def adjust(self, fields: dict[str, Any]) -> None:
        self.tell(m.AdjustStock, **fields)

    @rule(fields=asked.COUNTS)
    def count(self, fields: dict[str, Any]) -> None:
        self.tell(m.SetStock, **fields)

    @rule(node=asked.NODE_KEYS, lines=asked.lines_of())
    def receive(self, node: str, lines: m.Lines) -> None:
        self.tell(m.ReceiveStock, node_key=node, lines=lines)

    @rule(fields=asked.SALES)
    def sell(self, fields: dict[str, Any]) -> None:
        self.tell(m.RecordSale, **fields)

    @rule(fields=asked.imports())
    def load(self, fields: dict[str, Any]) -> None:
        self.tell(m.ImportStock, **fields)

    # Reservations

    @rule(claim=asked.claims())
    def reserve(self, claim: m.Claim) -> None:
        self.tell(m.Reserve, claim=claim)

    @rule(claims=st.lists(asked.claims(), min_size=1, max_size=4).map(tuple), whole=st.booleans())
    def reserve_many(self, claims: tuple[m.Claim, ...], whole: bool) -> None:
        self.tell(m.BatchReserve, claims=m.ClaimColumns.of(claims), all_or_nothing=whole)

    @rule(claims=st.lists(asked.claims(), min_size=2, max_size=4))
    def reserve_together(self, claims: list[m.Claim]) -> None:
        store = self.twins.store
        self.twins.submit_together([store.make(m.Reserve, claim=claim) for claim in claims])

    @rule(data=DATA, ttl_ns=asked.EXTENSIONS)
    def extend(self, data: st.DataObject, ttl_ns: int) -> None:
        found = self.known(data, self.twins.oracle.state.next_hold_id)
        self.tell(m.ExtendReservation, reservation_id=found, ttl_ns=ttl_ns)

    @rule(data=DATA)
    def release(self, data: st.DataObject) -> None:
        self.tell(m.ReleaseReservation, reservation_id=self.known(data, self.twins.oracle.state.next_hold_id))

    def would(self, claim: m.Claim) -> Outcome:
        """What Reserve would say, without doing it."""
        return Outcome(self.would_decide(claim).reply.outcome)

    def would_decide(self, claim: m.Claim) -> Any:
        store = self.twins.store
        return store.machine.decide(store.make(m.Reserve, claim=claim), store.now_ns)

    def would_move(self, claim: m.Claim) -> bool:
        """Whether a pickup would be granted units that floating parcels keep: nobody counts on them before."""
        decision = self.would_decide(claim)
        work = [each for each in decision.documents if isinstance(each, FulfillmentOrder)]
        return decision.reply.outcome == Outcome.OK and any(each.state == FulfillmentState.MOVED for each in work)

    @rule(
        channel=st.sampled_from(["web", "app", "till"]),
        sku=st.sampled_from("ABC"),
        node=st.sampled_from(["", "east", "west"]),
    )
    def promise(self, channel: str, sku: str, node: str) -> None:
        """If availability says yes, Reserve says yes; and no to one unit more, unless floating parcels can make way for it."""
        kind = PICKUP if node else SHIP
        units = self.twins.store.ats(sku, channel, kind, node)
        if self.full():
            return
        for more, promised in ((0, Outcome.OK), (1, Outcome.INSUFFICIENT_STOCK)):
            lines = ((sku, units + more),)
            claim = pickup(lines, node, channel) if node else ship(lines, channel=channel)
            if units + more and self.within_reach(claim):
                as_promised = self.would(claim) in {promised, self.instead(claim, promised, units)}
                assert as_promised or (more and self.would_move(claim)), (claim, units)

    def instead(self, claim: m.Claim, promised: Outcome, units: int) -> Outcome:
        """What a rule makes of too few units, where it says so."""
        way = next(ways(self.twins.oracle.state, ask(self.twins.oracle.state, claim)))
        short = promised == Outcome.INSUFFICIENT_STOCK and units and way.after == AfterAction.PARTIAL
        return Outcome.PARTIAL if short else promised

    def full(self) -> bool:
        held = [hold for hold in self.twins.oracle.state.holds.values() if hold.state == ReservationState.HELD]
        return len(held) == LIMITS.open_reservations_max

    def within_reach(self, claim: m.Claim) -> bool:
        """Whether every node that availability counts can also send to the buyer, and may send a part."""
        state = self.twins.oracle.state
        try:
            question = ask(state, claim)
        except Refused:
            return False
        if claim.kind == PICKUP:
            return True
        found = [*ways(state, question)]
        if len(found) != 1 or not found[0].unit_split or found[0].packages_max:
            return False
        sku, way = claim.lines[0][0], found[0]
        sent = sum(free(state, way.candidates, (sku, node)) for node in candidates(state, question, way))
        return sent == on_offer(state, claim.channel_key, SHIP, sku)

    # Orders

    @rule(data=DATA)
    def let_go(self, data: st.DataObject) -> None:
        self.tell(m.ReleaseOrder, order_id=self.known(data, self.twins.oracle.state.next_order_id))

    @rule(data=DATA, together=st.integers(1, 3), chance=st.none() | st.randoms(use_true_random=False))
    def move(self, data: st.DataObject, together: int, chance: Random | None) -> None:
        state = self.twins.oracle.state
        ids = dict.fromkeys(self.known(data, state.next_order_id) for _ in range(together))
        moves = tuple(propose(state, order_id, chance) if chance else m.Move(order_id) for order_id in ids)
        self.tell(m.RerouteOrder, moves=moves)

    @rule(claim=asked.claims(partial=False), order_key=asked.ORDER_KEYS)
    def place(self, claim: m.Claim, order_key: str) -> None:
        self.tell(
            m.PlaceOrder,
            channel_key=claim.channel_key,
            order_key=order_key,
            customer_key="anna",
            lines=priced(claim.lines),
            claim=claim,
        )

    @rule(
        data=DATA,
        channel=asked.CHANNEL_KEYS,
        order_key=asked.ORDER_KEYS,
        lines=st.just(()) | st.just(()) | asked.lines_of(3),
        postal_code=st.just("") | asked.POSTAL_CODES,
    )
    def commit(self, data: st.DataObject, channel: str, order_key: str, lines: m.Lines, postal_code: str) -> None:
        self.tell(
            m.PlaceOrder,
            channel_key=channel,
            order_key=order_key,
            customer_key="",
            lines=priced(lines),
            reservation_id=self.known(data, self.twins.oracle.state.next_hold_id),
            postal_code=postal_code,
        )

    @rule(claim=asked.claims(partial=False), order_key=asked.ORDER_KEYS)
    def ingest(self, claim: m.Claim, order_key: str) -> None:
        self.tell(m.IngestOrder, order_key=order_key, customer_key="", lines=priced(claim.lines), claim=claim)

    @rule(data=DATA, lines=st.just([]) | st.lists(st.tuples(st.integers(0, 3), asked.UNITS), max_size=2))
    def cancel(self, data: st.DataObject, lines: list[tuple[int, int]]) -> None:
        order_id = self.known(data, self.twins.oracle.state.next_order_id)
        self.tell(m.CancelOrder, order_id=order_id, lines=tuple(lines))

    @rule(
        channel=st.sampled_from(["web", "app", "mall"]),
        lines=asked.lines_of(3),
        postal_code=asked.POSTAL_CODES,
        due_day=asked.DUE_DAYS,
    )
    def offer(self, channel: str, lines: m.Lines, postal_code: str, due_day: int) -> None:
        """What is offered, PlaceOrder grants at the very price and on the very days; a store that is not offered, Reserve refuses,
        unless floating parcels can make way.
        """
        store = self.twins.store
        answer = store.ask(q.GetFulfillmentOptions(0, channel, lines, postal_code, 9, due_day, 9))
        if answer.outcome != Outcome.OK or self.full():
            return
        names = store.machine.pool.names
        for option in answer.ship_options:
            service_key = names.service_keys[option.service_index]
            claim = ship(lines, postal_code, channel, service_key=service_key, due_day=due_day)
            order = store.make(
                m.PlaceOrder, channel_key=channel, order_key="new", customer_key="", lines=priced(lines), claim=claim
            )
            decision: Any = store.machine.decide(order, store.now_ns)
            assert (decision.reply.outcome, decision.reply.cost) == (Outcome.OK, option.cost)
            assert self.promised(decision) == (option.ship_day, option.arrival_day)
        offered = {names.node_keys[option.node_index]: option for option in answer.pickup_options}
        for node, option in offered.items():
            order = store.make(
                m.PlaceOrder, channel_key=channel, order_key="new", customer_key="", lines=priced(lines),
                claim=pickup(lines, node, channel),
            )  # fmt: skip
            assert self.promised(store.machine.decide(order, store.now_ns)) == (option.ready_day, 0)
            event(f"ready {option.ready_day > 0}")
        for store_option in answer.store_options:
            store_key, option = names.node_keys[store_option.node_index], store_option.shipped
            assert store_key not in {names.node_keys[leg.node_index] for leg in option.legs}
            order = store.make(
                m.PlaceOrder, channel_key=channel, order_key="new", customer_key="", lines=priced(lines),
                claim=ship(lines, "", channel, store_key=store_key, due_day=due_day),
            )  # fmt: skip
            decision = store.machine.decide(order, store.now_ns)
            assert (decision.reply.outcome, decision.reply.cost) == (Outcome.OK, option.cost)
            assert self.promised(decision) == (option.ship_day, option.arrival_day)
            event("shipped to a store")
        for node in names.node_keys:
            claim = pickup(lines, node, channel)
            granted = self.would(claim) == Outcome.OK
            assert granted == (node in offered) or self.would_move(claim), node

    def promised(self, decision: Any) -> tuple[int, int]:
        """The days that an order's work is promised for; 0: not of all of it."""
        work = [each for each in decision.documents if isinstance(each, FulfillmentOrder)]
        ship_days, arrival_days = [each.ship_day for each in work], [each.arrival_day for each in work]
        return max(ship_days) if all(ship_days) else 0, max(arrival_days) if all(arrival_days) else 0

    # Work and returns

    @rule(data=DATA, kind=st.sampled_from([m.Accept, m.Accept, m.Ship, m.MarkReady, m.HandOver]))
    def work(self, data: st.DataObject, kind: type[m.Command]) -> None:
        self.tell(kind, fulfillment_order_id=self.known(data, self.twins.oracle.state.next_work_id))

    @rule(data=DATA)
    def send(self, data: st.DataObject) -> None:
        """Two steps at once, so that goods leave often enough to come back."""
        work_id = self.known(data, self.twins.oracle.state.next_work_id)
        for kind in (m.Accept, m.Ship):
            self.tell(kind, fulfillment_order_id=work_id)

    @rule(data=DATA, reason=asked.REASONS)
    def reject(self, data: st.DataObject, reason: RejectReason) -> None:
        work_id = self.known(data, self.twins.oracle.state.next_work_id)
        self.tell(m.Reject, fulfillment_order_id=work_id, reason=reason)

    @rule(
        data=DATA,
        channel=asked.CHANNEL_KEYS,
        lines=st.lists(st.tuples(st.integers(0, 3), asked.SKU_KEYS, st.integers(1, 3)), min_size=1, max_size=2),
        journey=asked.journeys(),
        of_order=st.booleans(),
    )
    def authorize(
        self,
        data: st.DataObject,
        channel: str,
        lines: list[tuple[int, str, int]],
        journey: dict[str, Any],
        of_order: bool,
    ) -> None:
        order_id = self.known(data, self.twins.oracle.state.next_order_id) if of_order else 0
        self.tell(m.AuthorizeReturn, channel_key=channel, order_id=order_id, lines=tuple(lines), **journey)

    @rule(data=DATA, node=st.just("") | asked.NODE_KEYS, items=asked.RECEIVED)
    def take_back(self, data: st.DataObject, node: str, items: tuple[ReceivedItem, ...]) -> None:
        return_id = self.known(data, self.twins.oracle.state.next_return_id)
        self.tell(m.ReceiveReturn, return_id=return_id, node_key=node, items=items)

    # Repeats

    @rule(data=DATA, other=st.booleans())
    def repeat(self, data: st.DataObject, other: bool) -> None:
        """An earlier request again, or its id with another body."""
        command = data.draw(st.sampled_from(self.twins.asked[-30:]))
        if other:
            command = replace(command, fingerprint=command.fingerprint + 1)
        self.twins.submit(command)


TestEngine = Engine.TestCase
