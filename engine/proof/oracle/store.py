"""The oracle: one command in, the answer out, and the state that follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.model import commands as m
from engine.model import queries as q
from engine.model.limits import Limits
from engine.model.outcomes import FulfillmentKind, Outcome, Quantity, ReservationState
from engine.model.replies import REPLY_OF, BatchReserveReply, SkuAvailability
from engine.proof.oracle import fulfillment, orders, reservations, returns, stock
from engine.proof.oracle.claims import node_refusal, on_offer
from engine.proof.oracle.reservations import BatchRow
from engine.proof.oracle.state import Choice, State

REPLIES = {kind.name.replace("_", "").lower(): reply for kind, reply in REPLY_OF.items()}


class Oracle:
    """A store that is judged by the book."""

    def __init__(self, limits: Limits) -> None:
        self.state = State(limits)

    def sweep(self, now_ns: int) -> None:
        """Let time come: what has expired ends, which is a decision of its own."""
        self.state.now_ns = now_ns
        if reservations.expire(self.state):
            self.state.seq += 1

    def judge(self, command: m.Command, choices: Iterator[Choice]) -> Any:
        """The answer to a command; a repeated one gets its first answer."""
        state = self.state
        known = state.requests.get(command.request_id)
        if known is not None:
            fingerprint, kind, reply = known
            if (fingerprint, kind) == (command.fingerprint, type(command)):
                return reply
            return REPLIES[type(command).__name__.lower()](Outcome.REQUEST_ID_REUSED, command.request_id)
        state.seq += 1
        reply = self._judge(command, choices)
        state.requests[command.request_id] = command.fingerprint, type(command), reply
        if len(state.requests) > state.limits.request_ids_remembered:
            del state.requests[next(iter(state.requests))]
        return reply

    def _judge(self, command: m.Command, choices: Iterator[Choice]) -> Any:
        state = self.state
        plain: dict[type[m.Command], Any] = {
            m.PutNodes: stock.put_nodes,
            m.PutSkus: stock.put_skus,
            m.PutChannels: stock.put_channels,
            m.PutRateCard: stock.put_rate_card,
            m.PutZoneChart: stock.put_zone_chart,
            m.PutRoutingPolicy: stock.put_policy,
            m.AdjustStock: stock.adjust,
            m.SetStock: stock.set_stock,
            m.ReceiveStock: stock.receive,
            m.RecordSale: stock.sale,
            m.ImportStock: stock.load,
            m.ExtendReservation: reservations.extend,
            m.ReleaseReservation: reservations.release,
            m.CancelOrder: orders.cancel,
            m.AuthorizeReturn: returns.authorize,
            m.ReceiveReturn: returns.receive,
        }
        routed: dict[type[m.Command], Any] = {
            m.Reserve: reservations.reserve,
            m.PlaceOrder: orders.place,
            m.IngestOrder: orders.ingest,
            **dict.fromkeys(fulfillment.TARGETS, fulfillment.step),
        }
        if isinstance(command, m.BatchReserve):
            outcome, subject, rows, subjects = reservations.batch_reserve(state, command, choices)
            return BatchReserveReply(outcome, subject, _columns(rows), tuple(subjects))
        if type(command) in plain:
            return plain[type(command)](state, command)
        return routed[type(command)](state, command, choices)

    # Reading

    def availability(self, channel: str, sku: str, kind: FulfillmentKind, node: str = "") -> SkuAvailability:
        """What a channel may sell; every key must be known."""
        state = self.state
        units = on_offer(state, channel, kind, sku) - state.channels[channel].threshold_units
        if node:
            found = state.nodes[node]
            offers = found.ships if kind == FulfillmentKind.SHIP else found.offers_pickup
            serving = node_refusal(state, node, channel, offers=offers) is None
            units = min(units, state.free((sku, node))) if serving else 0
        return SkuAvailability(sku, Outcome.OK, state.sku_index(sku), max(units, 0), ())

    def status(self) -> q.Status:
        """Counts and totals."""
        state = self.state
        held = [hold for hold in state.holds.values() if hold.state == ReservationState.HELD]
        short = [max(0, -state.atf(pair)) for pair in state.cells]
        return q.Status(
            len(state.nodes),
            len(state.skus),
            len(state.channels),
            len(state.cells),
            sum(state.units(pair, Quantity.ON_HAND) for pair in state.cells),
            sum(leg.units for hold in held for leg in hold.legs),
            sum(line.units for work in state.work.values() if work.is_open for line in work.lines),
            sum(state.free(pair) for pair in state.cells),
            sum(short),
            sum(units > 0 for units in short),
            sum(line.short_units for order in state.orders.values() for line in order.lines),
            len(held),
            sum(order.is_open for order in state.orders.values()),
            sum(work.is_open for work in state.work.values()),
        )


def _columns(rows: list[BatchRow]) -> bytes:
    return b"".join(int(value).to_bytes(8, "little", signed=True) for row in rows for value in row)
