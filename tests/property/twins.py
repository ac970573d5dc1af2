"""The engine and the oracle side by side: every command goes to both, and both must say and know the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from engine.core.image import copy_of
from engine.core.machine import Repeated
from engine.core.rebuilding import machine_of
from engine.journal.codec import decode, encode
from engine.journal.memory import MemoryJournal
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model import queries as q
from engine.model.answers import ReservationAnswer
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.model.orders import FulfillmentLine, FulfillmentOrder, Order, ReturnLine
from engine.model.outcomes import FulfillmentState, Outcome, ReservationState
from engine.model.replies import Leg
from engine.pool.replies import encode_reply
from engine.proof.oracle import Choice, Oracle
from engine.proof.simulation.witness import NEVER_PROMISED, place_of, promised_days
from engine.recovery import recover
from tests.builders import NETWORK, PICKUP, SHIP, Store

ROUTED = (m.Reserve, m.BatchReserve, m.PlaceOrder, m.IngestOrder, m.Reject, m.ReleaseOrder, m.RerouteOrder)


class Twins:
    """A store and its oracle."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.asked: list[m.Command] = []
        self.store = Store(limits, network=False)
        self.oracle = Oracle(limits)
        self.oracle.state.now_ns = self.store.now_ns
        for kind, fields in NETWORK:
            assert self.tell(kind, **fields).outcome == Outcome.OK

    def tell(self, kind: type[m.Command], request_id: str = "", **fields: Any) -> Any:
        """The reply that both give to a command."""
        return self.submit(self.store.make(kind, request_id, **fields))

    def submit(self, command: m.Command) -> Any:
        """The reply that both give to a command; and that deciding it wrote nothing."""
        store = self.store
        self.sweep()
        self.asked.append(command)
        before = _written(store)
        decision = store.machine.decide(command, store.now_ns)
        assert _written(store) == before, "deciding wrote"
        choices: Iterator[Choice] = iter([])
        if isinstance(decision, Decision):
            choices = iter(self._choices(command, decision))
            store.machine.apply(decision)
            store.decisions.append(decision)
        reply = self.oracle.judge(command, choices)
        mine = self.plain(decision.reply)
        assert type(decision.reply) is type(reply)
        assert mine == reply, f"{command}\nengine: {mine}\noracle: {reply}"
        if not isinstance(command, m.BatchReserve) or decision.reply.outcome == Outcome.OK:
            assert next(choices, None) is None, "the oracle granted less than the engine"
        if isinstance(decision, Repeated):
            first = next(each for each in reversed(store.decisions) if each.request_id == command.request_id)
            assert decision.seq == first.seq
            if decision.reply.outcome != Outcome.REQUEST_ID_REUSED:
                assert encode_reply(decision.reply) == first.encoded, "the first answer, byte for byte"
        return decision.reply

    def submit_together(self, commands: list[m.Reserve]) -> None:
        """Reserves that follow each other, decided in one kernel call where they fit; the oracle judges them one by one."""
        store = self.store
        self.sweep()
        before = _written(store)
        judged = store.machine.decide_reserves(commands, store.now_ns)
        assert _written(store) == before, "deciding wrote"
        if judged is None:
            for command in commands:
                self.submit(command)
            return
        self.asked += commands
        decisions, effects = judged
        choices = [self._choices(command, decision) for command, decision in zip(commands, decisions, strict=True)]
        store.machine.apply_reserves(decisions, effects)
        store.decisions += decisions
        for command, decision, chosen in zip(commands, decisions, choices, strict=True):
            reply = self.oracle.judge(command, iter(chosen))
            assert decision.reply == reply, f"{command}\nengine: {decision.reply}\noracle: {reply}"
            assert decision.seq == self.oracle.state.seq

    def sweep(self) -> None:
        """Both see what time it is."""
        self.store.sweep()
        self.oracle.sweep(self.store.now_ns)
        assert self.store.machine.seq == self.oracle.state.seq

    # What the engine chose

    def _keys(self, slot: int) -> tuple[str, str]:
        names = self.store.machine.pool.names
        sku, node = names.cell(slot)
        return names.sku_keys[sku], names.node_keys[node]

    def _choices(self, command: m.Command, decision: Decision) -> list[Choice]:
        """Units by SKU and node, one entry for each claim that was granted anything."""
        if not isinstance(command, ROUTED) or (isinstance(command, m.PlaceOrder) and command.reservation_id):
            return []
        if isinstance(command, m.BatchReserve) and decision.reply.outcome != Outcome.OK:
            # Nothing was held, hence nothing tells what was chosen: ask again as if that did not matter.
            # In a store with room for it: where there is none, the whole batch would be refused for that.
            roomy = replace(self.limits, open_reservations_max=1_024, reservation_legs_max=4_096)
            again = self.store.make(m.BatchReserve, claims=command.claims)
            whole = machine_of(copy_of(self.store.machine), roomy).decide(again, self.store.now_ns)
            assert isinstance(whole, Decision)
            return self._choices(again, whole)
        found: list[Choice] = []
        for row in [] if decision.effects is None else decision.effects.tolist():
            if row[0] == c.OP_HOLD:
                found.append({})
            elif row[0] == c.OP_LEG:
                pair = self._keys(row[2])
                found[-1][pair] = found[-1].get(pair, 0) + row[3]
        by_order: dict[int, Choice] = {}
        for work in decision.documents:
            if isinstance(work, FulfillmentOrder) and work.state == FulfillmentState.OPEN:
                of_order = by_order.setdefault(work.order_id, {})
                for line in work.lines:
                    # The cell of a fulfillment line is open already: routing opens none.
                    pair = self._keys(line.slot)
                    of_order[pair] = of_order.get(pair, 0) + line.units
        return [*found, *by_order.values()]

    def plain(self, value: Any) -> Any:
        """A record as the oracle writes it: a slot is a SKU and a node."""
        if isinstance(value, FulfillmentLine | ReturnLine):
            return value._replace(slot=int(self.store.machine.pool.state[0][c.KEY, value.slot]))
        if isinstance(value, Order):
            # How the engine came to its plan is not the oracle's business.
            value = value._replace(routings=())
        if isinstance(value, tuple):
            parts = [self.plain(part) for part in value]
            return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
        return value

    # What both know

    def compare(self) -> None:
        """Cells, reservations, orders, work, returns, totals; and every invariant holds."""
        state, pool = self.oracle.state, self.store.machine.pool
        for pair in state.cells:
            assert self.store.cell(*pair) == state.cell(pair), pair
        records: list[tuple[Mapping[int, Any], dict[int, Any]]] = [
            (pool.orders.orders, state.orders),
            (pool.orders.fulfillment_orders, state.work),
            (pool.orders.returns, state.returns),
        ]
        for mine, theirs in records:
            assert list(mine) == list(theirs)
            for key, record in mine.items():
                assert self.plain(record) == theirs[key]
        for reservation_id in range(state.next_hold_id + 1):
            assert self.store.ask(q.GetReservation(0, reservation_id)) == self._reservation(reservation_id)
        assert self.store.ask(q.GetStatus(0)).report == self.oracle.status()
        for sku in state.skus:
            assert self.store.ask(q.GetPrices(0, sku)) == self.oracle.answer(q.GetPrices(0, sku))
        assert pool.names.sources.keys == state.sources
        self.compare_days()
        self.store.audit()

    def _reservation(self, reservation_id: int) -> ReservationAnswer:
        state = self.oracle.state
        hold = state.holds.get(reservation_id)
        if hold is None:
            return ReservationAnswer(Outcome.UNKNOWN_RESERVATION, str(reservation_id))
        legs = tuple(
            Leg(leg.line, state.sku_index(leg.sku), state.node_index(leg.node), leg.units) for leg in hold.legs
        )
        return ReservationAnswer(
            Outcome.OK, "", reservation_id, hold.state, state.channel_index(hold.channel), hold.kind, hold.created_ns,
            hold.expires_ns, legs if hold.state == ReservationState.HELD else (), hold.due_day,
        )  # fmt: skip

    def compare_days(self) -> None:
        """What each node has promised for each day."""
        found, nodes = promised_days(self.store.machine), list(self.oracle.state.nodes)
        for (node, *when), taken in self.oracle.state.taken.items():
            at, number = place_of(*when)
            latest, *units = found.get((nodes.index(node), at), NEVER_PROMISED)
            assert latest > number or (latest == number and tuple(units) == taken) or taken == (0, 0), (node, when)

    def compare_availability(self) -> None:
        """What each channel may sell of each SKU, in all and at each node."""
        state = self.oracle.state
        for channel in state.channels:
            for kind in (SHIP, PICKUP):
                for node in ("", *state.nodes):
                    answer = self.store.ask(q.GetAvailability(0, channel, tuple(state.skus), kind, node))
                    expected = tuple(self.oracle.availability(channel, sku, kind, node) for sku in state.skus)
                    assert answer.availabilities == expected, (channel, kind, node)

    def compare_movements(self) -> None:
        """The movements that are remembered, cell by cell."""
        for pair in self.oracle.state.cells:
            answer = self.store.ask(q.ListMovements(0, *pair, 0, self.limits.movements_remembered))
            assert [row[1:] for row in answer.movements] == [
                each[1:] for each in reversed(self.oracle.state.movements) if each.pair == pair
            ]

    def compare_queues(self) -> None:
        """The work of each node."""
        state = self.oracle.state
        for at, node in enumerate(state.nodes):
            answer = self.store.ask(q.ListFulfillmentOrders(0, node, 0, (), 0, 1_000))
            expected = [each for each in state.work.values() if each.is_open and each.node_index == at]
            assert [self.plain(each) for each in answer.fulfillment_orders] == expected
            assert answer.order_keys == tuple(state.orders[each.order_id].order_key for each in expected)

    def replay(self, seed: int) -> None:
        """Whatever the groups, the journal tells the live state, and is written again byte for byte."""
        chance = Random(seed)
        journal, decisions = MemoryJournal(), self.store.decisions
        at = 0
        while at < len(decisions):
            group = decisions[at : at + chance.randint(1, 12)]
            record = encode(group)
            assert encode(decode(record)) == record, f"seed {seed}"
            journal.append(record, expected_seq=group[0].seq - 1)
            at += len(group)
        replayed, live = recover(journal, self.limits), self.store.machine
        assert replayed.digest() == live.digest(), f"seed {seed}"
        for at in range(4):
            assert np.array_equal(live.pool.network.arrays[at], replayed.pool.network.arrays[at]), at


def _written(store: Store) -> list[bytes]:
    """All arrays but the list of nodes whose days are to be settled, which is emptied by looking."""
    *others, capacity = store.machine.pool.state
    return [array.tobytes() for array in (*others, capacity[: c.CAPACITY_TOUCHED])]
