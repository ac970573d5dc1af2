"""The oracle: one command in, the answer out, and the state that follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engine.model import commands as m
from engine.model import queries as q
from engine.model.answers import (
    AvailabilityAnswer,
    FulfillmentOrdersAnswer,
    MovementRow,
    MovementsAnswer,
    OrderAnswer,
    ReservationAnswer,
    SkuAvailability,
    StatusAnswer,
)
from engine.model.limits import CLOCK_STEP_NS, Limits
from engine.model.outcomes import FulfillmentKind, Outcome, Quantity, ReservationState
from engine.model.replies import REPLY_OF, BatchReserveReply, Leg
from engine.proof.oracle import (
    batches,
    displacement,
    fulfillment,
    orders,
    prices,
    rerouting,
    reservations,
    returns,
    stock,
)
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
        ended = reservations.expire(self.state), prices.expire(self.state)
        self.state.seq += any(ended)

    def judge(self, command: m.Command, choices: Iterator[Choice]) -> Any:
        """The answer to a command; a repeated one gets its first answer. Raises Malformed, or TooOld; then nothing was decided."""
        state = self.state
        known = state.requests.get(command.request_id)
        if known is not None:
            fingerprint, kind, reply = known
            if (fingerprint, kind) == (command.fingerprint, type(command)):
                return reply
            return REPLIES[type(command).__name__.lower()](Outcome.REQUEST_ID_REUSED, command.request_id)
        if command.age_ns:
            self.require_window(command)
        state.seq += 1
        try:
            reply = self._judge(command, choices)
        except m.Malformed:
            state.seq -= 1
            raise
        state.requests[command.request_id] = command.fingerprint, type(command), reply
        state.decided_ns[command.request_id] = state.now_ns
        if len(state.requests) > state.limits.request_ids_remembered:
            oldest = next(iter(state.requests))
            del state.requests[oldest]
            state.forgotten_ns = max(state.forgotten_ns, state.decided_ns.pop(oldest))
        return reply

    def require_window(self, command: m.Command) -> None:
        """A repeated request that is unknown must be younger than everything that was forgotten. Raises TooOld."""
        state = self.state
        too_old = command.age_ns > state.limits.request_window_ns
        sent_ns = state.now_ns - command.age_ns - CLOCK_STEP_NS
        if too_old or (state.forgotten_ns and sent_ns <= state.forgotten_ns):
            raise m.TooOld(command.age_ns)

    def _judge(self, command: m.Command, choices: Iterator[Choice]) -> Any:
        state = self.state
        plain: dict[type[m.Command], Any] = {
            m.PutNodes: stock.put_nodes,
            m.PutSkus: stock.put_skus,
            m.PutChannels: stock.put_channels,
            m.PutRateCard: stock.put_rate_card,
            m.PutZoneChart: stock.put_zone_chart,
            m.PutRoutingPolicy: stock.put_policy,
            m.ActivateRoutingPolicy: stock.activate_policy,
            m.AdjustStock: stock.adjust,
            m.SetStock: stock.set_stock,
            m.ReceiveStock: stock.receive,
            m.RecordSale: stock.sale,
            m.ImportStock: stock.load,
            m.ExtendReservation: reservations.extend,
            m.ReleaseReservation: reservations.release,
            m.BatchRelease: batches.release,
            m.BatchAdjustStock: batches.adjust,
            m.CancelOrder: orders.cancel,
            m.AuthorizeReturn: returns.authorize,
            m.ReceiveReturn: returns.receive,
            m.SetPrices: prices.set_prices,
        }
        routed: dict[type[m.Command], Any] = {
            m.Reserve: displacement.reserve,
            m.PlaceOrder: displacement.place,
            m.IngestOrder: orders.ingest,
            m.BatchCommit: batches.commit,
            m.ReleaseOrder: fulfillment.release,
            m.RerouteOrder: rerouting.reroute,
            **dict.fromkeys(fulfillment.TARGETS, fulfillment.step),
        }
        if isinstance(command, m.BatchReserve):
            outcome, subject, rows, subjects = reservations.batch_reserve(state, command, choices)
            return BatchReserveReply(outcome, subject, _columns(rows), tuple(subjects))
        if isinstance(command, m.RecordSale):
            displacement.sale(state, command)
        if type(command) in plain:
            return plain[type(command)](state, command)
        return routed[type(command)](state, command, choices)

    # Reading

    def answer(self, query: q.Query) -> Any:
        """The answer to a query about the present, for those kinds that the oracle knows."""
        state = self.state
        if isinstance(query, q.GetReservation):
            return self._reservation(query.reservation_id)
        if isinstance(query, q.GetOrder):
            order = state.orders.get(query.order_id)
            found = (Outcome.OK, "") if order else (Outcome.UNKNOWN_ORDER, str(query.order_id))
            return OrderAnswer(*found, order)
        if isinstance(query, q.GetStatus):
            return StatusAnswer(Outcome.OK, "", self.status(), state.price_plan, prices.age_ns(state))
        if isinstance(query, q.ListMovements):
            pair = query.sku_key, query.node_key
            rows = [MovementRow(0, *each[1:]) for each in reversed(state.movements) if each.pair == pair]
            return MovementsAnswer(Outcome.OK, "", tuple(rows))
        if isinstance(query, q.ListFulfillmentOrders):
            node = state.node_index(query.node_key)
            work = tuple(each for each in state.work.values() if each.is_open and each.node_index == node)
            keys = tuple(state.orders[each.order_id].order_key for each in work)
            return FulfillmentOrdersAnswer(Outcome.OK, "", work, keys)
        if isinstance(query, q.GetPrices):
            return prices.prices_of(state, query)
        assert isinstance(query, q.GetAvailability), query
        return self._availability(query)

    def _reservation(self, reservation_id: int) -> ReservationAnswer:
        state = self.state
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

    def _availability(self, query: q.GetAvailability) -> AvailabilityAnswer:
        state = self.state
        if query.channel_key not in state.channels:
            return AvailabilityAnswer(Outcome.UNKNOWN_CHANNEL, query.channel_key)
        if query.node_key and query.node_key not in state.nodes:
            return AvailabilityAnswer(Outcome.UNKNOWN_NODE, query.node_key)
        found = tuple(
            self.availability(query.channel_key, sku, query.kind, query.node_key)
            if sku in state.skus
            else SkuAvailability(sku, Outcome.UNKNOWN_SKU, -1, 0, ())
            for sku in query.sku_keys
        )
        return AvailabilityAnswer(Outcome.OK, "", found)

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
