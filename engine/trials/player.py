"""Playing a stream under one policy: commands to the production machine, one after the other, by the stream's own clock.

Chance is written into the stream, so every policy meets the same buyers, rejections and returns (common random numbers). Nodes ship, hand
over and put back at once; a walk-in takes what is free on the shelf and leaves without the rest.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeVar

from engine.core.machine import Machine, Repeated
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.limits import SECOND_NS, Limits
from engine.model.network import RoutingPolicy
from engine.model.orders import FulfillmentOrder, Order, ReceivedItem
from engine.model.outcomes import Disposition, FulfillmentKind, FulfillmentState, Outcome, RejectReason
from engine.planning.history import DAY_NS
from engine.planning.refresh import find_prices, read_all
from engine.pool.pool import Pool
from engine.trials.stream import Event, Kind, Stream, by_day

CommandT = TypeVar("CommandT", bound=m.Command)
_DONE = (Outcome.OK, Outcome.PARTIAL)
_ROWS_AT_ONCE = 20_000
HISTORY_DAYS, HORIZON_DAYS = 28, 7
"""What a refresh of prices looks back and ahead, where nobody sets it otherwise: as the server does."""
_PRICED = ("sku_keys", "node_keys", "price_micros", "demand_1024ths")
_BASKET_LIFE_NS = 900 * SECOND_NS
"""How long a basket holds its units that nobody buys."""


class Unplayable(Exception):
    """The machine refused what every stream must be able to do; the message says what."""


class Sent(NamedTuple):
    """What became of one event: units, packages' nodes, and money in micros. The columns of ``orders`` in a trial's tables."""

    day: int
    kind: str
    channel_key: str
    order_key: str
    units: int
    filled_units: int
    shipments: int
    """Fulfillment orders that left."""
    carrier_micros: int
    handling_micros: int
    unfilled_micros: int
    """Price of the units that were not filled."""
    rejected: bool
    """A node rejected its work."""
    cancelled: bool
    """By the buyer, before anything left."""
    arrival_days: int = 0
    """From the order to its last parcel; 0: nothing was sent, or nobody knows."""


class Player:
    """One policy's machine and what came of the stream so far."""

    def __init__(self, stream: Stream, policy: RoutingPolicy, price_horizon_days: int = HORIZON_DAYS) -> None:
        """Raises Unplayable when the network or the policy is refused."""
        self.rows: list[Sent] = []
        self._stream = stream
        self._is_priced = policy.weights.price > 0
        self._horizon_days = price_horizon_days
        limits = replace(Limits(), request_ids_remembered=1)
        # Prices are found from what was sold; else nobody looks back.
        self._machine = Machine(limits if self._is_priced else replace(limits, movements_remembered=1_024))
        self._orders: dict[tuple[str, str], int] = {}
        self._requests = 0
        self._epoch_ns = int(datetime.fromisoformat(stream.first_day).replace(tzinfo=UTC).timestamp()) * SECOND_NS
        self._now_ns = self._epoch_ns
        self._open(policy)
        self._play: dict[Kind, Callable[[Event], Sent | None]] = {
            Kind.SALE: self._sell,
            Kind.PICKUP: self._order,
            Kind.SHIP: self._order,
            Kind.MARKETPLACE: self._order,
            Kind.RETURN: self._take_back,
            Kind.RECEIPT: self._receive,
        }

    def play(self, progress: Callable[[int], None]) -> None:
        """Every day; ``progress`` is told each that is over, from 0."""
        for day, events in by_day(self._stream):
            if self._is_priced:
                self._now_ns = max(self._now_ns, self._epoch_ns + day * DAY_NS)
                self._refresh_prices(day)
            for event in events:
                self._now_ns = max(self._now_ns, self._epoch_ns + event.at_ns)
                row = self._play[event.kind](event)
                if row is not None:
                    self.rows.append(row)
            progress(day)

    @property
    def pool(self) -> Pool:
        """The live state of the machine."""
        return self._machine.pool

    # The network

    def _open(self, policy: RoutingPolicy) -> None:
        stream = self._stream
        for card in stream.rate_cards:
            self._must(m.PutRateCard, rate_card=card)
        self._must(m.PutZoneChart, zone_chart=stream.zone_chart)
        if not policy.default_service_key:  # a policy that was written for no stream in particular
            policy = policy._replace(default_service_key=stream.rate_cards[0].service_key)
        for first in range(0, len(stream.nodes), 1_000):
            self._must(m.PutNodes, nodes=stream.nodes[first : first + 1_000])
        self._must(m.PutRoutingPolicy, policy=policy)
        for first in range(0, len(stream.skus), 1_000):
            self._must(m.PutSkus, skus=stream.skus[first : first + 1_000])
        channels = tuple(channel._replace(policy_key=policy.policy_key) for channel in stream.channels)
        self._must(m.PutChannels, channels=channels)
        for first in range(0, len(stream.opening), _ROWS_AT_ONCE):
            skus, nodes, on_hand, safety = zip(*stream.opening[first : first + _ROWS_AT_ONCE], strict=True)
            self._must(
                m.ImportStock,
                sku_keys=skus,
                node_keys=nodes,
                on_hand_units=on_hand,
                safety_stock_units=safety,
                all_or_nothing=True,
            )

    def _must(self, kind: type[m.Command], **fields: Any) -> Any:
        try:
            reply = self._tell(kind, **fields)
        except m.Malformed as error:
            raise Unplayable(f"{kind.__name__}: {error}") from None
        if reply.outcome not in _DONE:
            raise Unplayable(f"{kind.__name__}: {reply.outcome.name} {reply.subject}".rstrip())
        return reply

    def _tell(self, kind: type[CommandT], **fields: Any) -> Any:
        machine = self._machine
        while expiry := machine.expire(self._now_ns):
            machine.apply(expiry)
        self._requests += 1
        decision = machine.decide(kind(f"r{self._requests}", 0, **fields), self._now_ns)
        if isinstance(decision, Repeated):
            raise Unplayable(f"request r{self._requests} came twice")
        machine.apply(decision)
        return decision.reply

    def _refresh_prices(self, day: int) -> None:
        """What a server does that refreshes its prices every midnight, but that here the day waits for them."""
        names, plan_key = self._machine.pool.names, f"day-{day}"
        told = read_all(self._machine.pool, self._now_ns, HISTORY_DAYS, self._horizon_days)
        for rows in find_prices(told):
            columns = (
                tuple([names.sku_keys[at] for at in rows.skus.tolist()]),
                tuple([names.node_keys[at] for at in rows.nodes.tolist()]),
                tuple(rows.prices.tolist()),
                tuple(rows.demands.tolist()),
            )
            self._must(m.SetPrices, plan_key=plan_key, **dict(zip(_PRICED, columns, strict=True)))
        self._must(m.SetPrices, plan_key=plan_key, **dict.fromkeys(_PRICED, ()), complete=True)

    # What happens

    def _sell(self, event: Event) -> Sent:
        lines, unfilled = [], 0
        for line in event.lines:
            units = min(line.units, self._on_shelf(line.sku_key, event.node_key))
            unfilled += (line.units - units) * line.price_micros
            if units:
                lines.append((line.sku_key, units))
        if lines:
            self._must(m.RecordSale, node_key=event.node_key, channel_key=event.channel_key, lines=tuple(lines))
        return _row(event, sum(units for _, units in lines), unfilled)

    def _on_shelf(self, sku_key: str, node_key: str) -> int:
        """Units there that nobody was promised; the safety stock is there for walk-ins."""
        pool = self._machine.pool
        slot = pool.stock.find(pool.names.skus.find(sku_key), pool.names.nodes.find(node_key))
        return max(pool.stock.units(slot, c.ATF) + pool.stock.units(slot, c.SAFETY_STOCK), 0) if slot >= 0 else 0

    def _receive(self, event: Event) -> None:
        lines = tuple((line.sku_key, line.units) for line in event.lines)
        self._must(m.ReceiveStock, node_key=event.node_key, lines=lines, reference=event.key)

    def _order(self, event: Event) -> Sent | None:
        kind = FulfillmentKind.PICKUP if event.kind == Kind.PICKUP else FulfillmentKind.SHIP
        plain = tuple((line.sku_key, line.units) for line in event.lines)
        claim = m.Claim(event.channel_key, plain, kind, event.postal_code, event.node_key, event.service_key)
        if event.abandons:
            self._tell(m.Reserve, claim=claim._replace(ttl_ns=_BASKET_LIFE_NS))
            return None
        priced = tuple((line.sku_key, line.units, line.price_micros) for line in event.lines)
        facts = {"order_key": event.key, "customer_key": "", "lines": priced, "claim": claim}
        if event.kind == Kind.MARKETPLACE:
            reply = self._tell(m.IngestOrder, **facts)
        else:
            reply = self._tell(m.PlaceOrder, channel_key=event.channel_key, **facts)
        if reply.outcome not in _DONE:
            refused = _row(event, 0, _value(event))
            return refused._replace(unfilled_micros=0, cancelled=True) if event.cancels else refused
        order_id = reply.order.order_id
        self._orders[event.channel_key, event.key] = order_id
        return self._fulfil(event, order_id)

    def _fulfil(self, event: Event, order_id: int) -> Sent:
        book = self._machine.pool.orders
        if event.cancels:
            self._tell(m.CancelOrder, order_id=order_id)
            return _row(event, 0, 0)._replace(cancelled=True)
        if event.rejects and book.orders[order_id].fulfillment_order_ids:
            first = book.orders[order_id].fulfillment_order_ids[0]
            self._tell(m.Reject, fulfillment_order_id=first, reason=RejectReason(event.rejects))
        for work in list(book.work_of_order(book.orders[order_id])):
            if not work.is_open:
                continue
            if event.kind == Kind.PICKUP:
                self._must(m.MarkReady, fulfillment_order_id=work.fulfillment_order_id)
                self._must(m.HandOver, fulfillment_order_id=work.fulfillment_order_id)
            else:
                self._must(m.Accept, fulfillment_order_id=work.fulfillment_order_id)
                self._must(m.Ship, fulfillment_order_id=work.fulfillment_order_id)
        order = book.orders[order_id]
        if order.short_units:  # nobody waits for what no node has
            self._tell(m.CancelOrder, order_id=order_id)
        return self._counted(event, order)

    def _counted(self, event: Event, order: Order) -> Sent:
        left = [
            work
            for work in self._machine.pool.orders.work_of_order(order)
            if work.state in (FulfillmentState.SHIPPED, FulfillmentState.HANDED_OVER)
        ]
        unfilled = sum((line.units - line.fulfilled_units) * line.unit_price_micros for line in order.lines)
        return _row(event, sum(line.fulfilled_units for line in order.lines), unfilled)._replace(
            shipments=len(left),
            carrier_micros=sum(work.carrier_micros for work in left),
            handling_micros=sum(work.handling_micros for work in left),
            rejected=bool(event.rejects),
            arrival_days=max(map(self._arrival_days, left), default=0) if event.kind != Kind.PICKUP else 0,
        )

    def _arrival_days(self, work: FulfillmentOrder) -> int:
        """As promised where the node has a calendar; else it ships on the day of the order."""
        today = self._now_ns // DAY_NS
        if not work.arrival_day:
            service = self._machine.pool.orders.orders[work.order_id].service_index
            return max(self._machine.pool.network.arrival_day(service, work.zone, today) - today, 0)
        return max(work.arrival_day - today, 0)

    def _take_back(self, event: Event) -> Sent | None:
        order_id = self._orders.get((event.channel_key, event.key), 0) if event.key else 0
        order = self._machine.pool.orders.orders.get(order_id)
        if event.key and order is None:
            return None  # it was refused: there is nothing to give back
        lines: list[tuple[int, str, int]] = []
        items: list[ReceivedItem] = []
        for line in event.lines:
            units = line.units
            if order is not None:
                sold = order.lines[line.order_line]
                units = min(units, sold.fulfilled_units - sold.returned_units)
            if units > 0:
                items.append(ReceivedItem(len(lines), units, Disposition(line.disposition)))
                lines.append((line.order_line, line.sku_key, units))
        if not lines:
            return None
        place = {"drop_off_node_key": event.node_key} if event.node_key else {"postal_code": event.postal_code}
        reply = self._tell(
            m.AuthorizeReturn, channel_key=event.channel_key, order_id=order_id, lines=tuple(lines), **place
        )
        if reply.outcome not in _DONE:
            return None
        self._must(m.ReceiveReturn, return_id=reply.goods.return_id, node_key="", items=tuple(items))
        units = sum(count for _, _, count in lines)
        return _row(event, units, 0)._replace(units=units, carrier_micros=reply.goods.cost_micros)


def _value(event: Event) -> int:
    return sum(line.units * line.price_micros for line in event.lines)


def _row(event: Event, filled_units: int, unfilled_micros: int) -> Sent:
    units = sum(line.units for line in event.lines)
    kind = event.kind.name.lower()
    return Sent(
        event.day, kind, event.channel_key, event.key, units, filled_units, 0, 0, 0, unfilled_micros, False, False
    )
