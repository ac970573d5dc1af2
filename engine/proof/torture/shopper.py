"""A client of the torture: one caller who reserves, orders, works for a store, and now and then asks for the same thing again.

It knows what it was told, and notices when the server has forgotten it: a reservation that is unknown, work in a state that nobody
brought it to, an order that can be placed twice.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

from google.protobuf.duration_pb2 import Duration

from engine.proof.torture import shop
from engine.proof.torture.asking import Asker, WrongAnswerError
from engine.proof.torture.ledger import SUCCESSES, Entry
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import reservations_pb2 as reservations
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types

THINKING_S = 0.03
"""Longest pause between two requests."""
HELD_S = (1, 2, 3, 72_000)
"""How long reservations are held: most end while the torture goes on, by the clock, and those that do not end after it."""
SOON_S = 3.0
"""The longest of those that end soon."""
REMEMBERED = 40
"""Reservations, orders and parcels that one caller keeps in mind, each."""

_FORESEEN = {
    "Reserve": {types.OUTCOME_INSUFFICIENT_STOCK, types.OUTCOME_PARTIAL},
    "PlaceOrder": {types.OUTCOME_INSUFFICIENT_STOCK, types.OUTCOME_RESERVATION_EXPIRED},
    "ReleaseReservation": {types.OUTCOME_RESERVATION_EXPIRED},
    "ExtendReservation": {types.OUTCOME_RESERVATION_EXPIRED},
    "AdjustStock": {types.OUTCOME_INSUFFICIENT_STOCK},
    "SetStock": {types.OUTCOME_STALE_QUANTITY},
    "IngestOrder": {types.OUTCOME_PARTIAL},
    "CancelOrder": {types.OUTCOME_INVALID_TRANSITION},
    "Reject": {types.OUTCOME_PARTIAL},
}
"""Answers that belong to the business, beside OUTCOME_OK. Any other says that the server does not know what it had told."""
_MOVABLE = ("Accept", "Reject")
"""Calls to work that no node has begun: a pickup may have moved it elsewhere."""


@dataclass(slots=True)
class Hold:
    """A reservation that was acknowledged."""

    reservation_id: int
    channel_key: str


@dataclass(slots=True)
class Purchase:
    """An order that was acknowledged, and its work that is still open."""

    request: orders.PlaceOrderRequest | orders.IngestOrderRequest
    order_id: int
    work: dict[int, bool] = field(default_factory=dict)
    """Whether each fulfillment order is to be collected."""


@dataclass(slots=True)
class Parcel:
    """A line that was shipped and may come back."""

    order_id: int
    channel_key: str
    line_index: int
    units: int


class Shopper:
    """One caller. The same seed and number ask for the same things, as far as the answers allow."""

    def __init__(self, number: int, seed: int, asker: Asker) -> None:
        self._random = Random(f"{seed}/{number}")  # noqa: S311 - no secret
        self._name = f"c{number}"
        self._asker = asker
        self._count = 0
        self._holds: list[Hold] = []
        self._purchases: list[Purchase] = []
        self._parcels: list[Parcel] = []
        self._acts: dict[Callable[[], Awaitable[None]], int] = {
            self._reserve: 26,
            self._reserve_batch: 4,
            self._order_held: 16,
            self._order_directly: 8,
            self._order_again: 2,
            self._ingest: 4,
            self._give_back: 6,
            self._extend: 4,
            self._work: 26,
            self._cancel: 3,
            self._return: 3,
            self._sell: 6,
            self._receive: 8,
            self._count_stock: 3,
            self._look: 8,
            self._repeat: 5,
            self._reuse: 1,
        }

    async def shop(self, stop: asyncio.Event) -> None:
        """Goes on until told to stop."""
        acts, weights = list(self._acts), list(self._acts.values())
        while not stop.is_set():
            try:
                await self._random.choices(acts, weights)[0]()
            except WrongAnswerError:
                continue  # it is noted; go on with something else
            await asyncio.sleep(self._random.uniform(0, THINKING_S))

    async def burst(self, count: int) -> None:
        """Reserves many times at once: they share a group with others."""
        await asyncio.gather(*(self._reserve() for _ in range(count)), return_exceptions=True)

    async def _ask(self, call: str, request: Any) -> Any:
        self._count += 1
        request.request_id = f"{self._name}-{self._count}"
        twice = self._random.random() < 0.05
        response = await (self._asker.ask_twice_at_once if twice else self._asker.ask)(call, request)
        result = response.result
        moved = call in _MOVABLE and result.outcome == types.OUTCOME_INVALID_TRANSITION and result.subject == "MOVED"
        if result.outcome != types.OUTCOME_OK and result.outcome not in _FORESEEN.get(call, ()) and not moved:
            self._asker.ledger.find("lost", f"{call} is answered {result} to {request}")
            raise WrongAnswerError
        return response

    # --- buyers ---

    def _lines(self, lines_max: int = 3) -> list[types.LineItem]:
        skus = {
            self._random.choice(shop.HOT if self._random.random() < 0.4 else shop.COLD)
            for _ in range(self._random.randint(1, lines_max))
        }
        return [types.LineItem(sku_key=sku_key, units=self._random.randint(1, 4)) for sku_key in sorted(skus)]

    def _place(self) -> dict[str, Any]:
        """Where it goes: a store to collect it at, or an address."""
        if self._random.random() < 0.3:
            return {"pickup_node_key": self._random.choice(shop.STORES)}
        return {"ship_to": types.Destination(postal_code=self._random.choice(shop.POSTAL_CODES))}

    def _claim(self) -> reservations.ReservationRequest:
        return reservations.ReservationRequest(
            channel_key=self._random.choice(shop.SHOPS),
            lines=self._lines(),
            ttl=self._ttl(),
            allow_partial=self._random.random() < 0.3,
            **self._place(),
        )

    async def _reserve(self) -> None:
        claim = self._claim()
        response = await self._ask("Reserve", reservations.ReserveRequest(reservation=claim))
        if response.result.outcome in SUCCESSES:
            self._keep(self._holds, Hold(response.reservation.reservation_id, claim.channel_key))

    async def _reserve_batch(self) -> None:
        request = reservations.BatchReserveRequest(
            reservations=[self._claim() for _ in range(self._random.randint(2, 40))]
        )
        response = await self._ask("BatchReserve", request)
        for claim, result in zip(request.reservations, response.results, strict=True):
            if result.outcome in SUCCESSES:
                self._keep(self._holds, Hold(result.reservation_id, claim.channel_key))

    async def _give_back(self) -> None:
        if hold := self._take(self._holds):
            await self._ask(
                "ReleaseReservation", reservations.ReleaseReservationRequest(reservation_id=hold.reservation_id)
            )

    async def _extend(self) -> None:
        if self._holds:
            hold, ttl = self._random.choice(self._holds).reservation_id, self._ttl()
            await self._ask("ExtendReservation", reservations.ExtendReservationRequest(reservation_id=hold, ttl=ttl))

    async def _order_held(self) -> None:
        if hold := self._take(self._holds):
            request = orders.PlaceOrderRequest(
                channel_key=hold.channel_key, order_key=self._order_key(), reservation_id=hold.reservation_id
            )
            await self._order("PlaceOrder", request)

    async def _order_directly(self) -> None:
        request = orders.PlaceOrderRequest(
            channel_key=self._random.choice(shop.SHOPS),
            order_key=self._order_key(),
            lines=self._items(),
            **self._place(),
        )
        await self._order("PlaceOrder", request)

    async def _ingest(self) -> None:
        address = types.Destination(postal_code=self._random.choice(shop.POSTAL_CODES))
        request = orders.IngestOrderRequest(
            channel_key=shop.MARKET, order_key=self._order_key(), lines=self._items(), ship_to=address
        )
        await self._order("IngestOrder", request)

    async def _order(self, call: str, request: Any) -> None:
        response = await self._ask(call, request)
        if response.result.outcome in SUCCESSES:
            is_pickup = response.order.kind == types.FULFILLMENT_KIND_PICKUP
            work = dict.fromkeys(response.order.fulfillment_order_ids, is_pickup)
            self._keep(self._purchases, Purchase(request, response.order.order_id, work))

    async def _order_again(self) -> None:
        """A second click, with an id of its own: the channel already has an order with this key."""
        if not self._purchases:
            return
        purchase = self._random.choice(self._purchases)
        self._count += 1
        request = type(purchase.request)()
        request.CopyFrom(purchase.request)  # type: ignore[arg-type]
        request.request_id = f"{self._name}-{self._count}"
        call = "PlaceOrder" if isinstance(request, orders.PlaceOrderRequest) else "IngestOrder"
        response = await self._asker.ask(call, request)
        if (response.result.outcome, response.existing_order_id) != (types.OUTCOME_DUPLICATE_ORDER, purchase.order_id):
            self._asker.ledger.find("duplicate", f"order {purchase.order_id} was placed again by {request}: {response}")

    async def _cancel(self) -> None:
        if purchase := self._take(self._purchases):
            await self._ask("CancelOrder", orders.CancelOrderRequest(order_id=purchase.order_id))

    # --- stores ---

    async def _work(self) -> None:
        """One step of some order's work."""
        open_purchases = [purchase for purchase in self._purchases if purchase.work]
        if not open_purchases:
            return
        purchase = self._random.choice(open_purchases)
        work, is_pickup = purchase.work.popitem()
        if self._random.random() < 0.1:
            await self._reject(purchase, work)
            return
        if not is_pickup or self._random.random() < 0.5:
            accepted = await self._ask("Accept", fulfillment.AcceptRequest(fulfillment_order_id=work))
            if accepted.result.outcome != types.OUTCOME_OK:
                return
        if is_pickup:
            await self._ask("MarkReady", fulfillment.MarkReadyRequest(fulfillment_order_id=work))
            await self._ask("HandOver", fulfillment.HandOverRequest(fulfillment_order_id=work))
            return
        response = await self._ask("Ship", fulfillment.ShipRequest(fulfillment_order_id=work, tracking=f"1Z{work}"))
        for line in response.fulfillment_order.lines:
            channel_key = purchase.request.channel_key
            self._keep(self._parcels, Parcel(purchase.order_id, channel_key, line.line_index, line.units))

    async def _reject(self, purchase: Purchase, work: int) -> None:
        reason = self._random.choice(
            (fulfillment.REJECT_REASON_MISMATCH, fulfillment.REJECT_REASON_DAMAGED, fulfillment.REJECT_REASON_TOO_BUSY)
        )
        response = await self._ask("Reject", fulfillment.RejectRequest(fulfillment_order_id=work, reason=reason))
        for replacement in response.replacements:
            purchase.work[replacement.fulfillment_order_id] = False

    async def _return(self) -> None:
        parcel = self._take(self._parcels)
        if parcel is None:
            return
        request = returns.AuthorizeReturnRequest(
            channel_key=parcel.channel_key,
            order_id=parcel.order_id,
            lines=[returns.ReturnItem(line_index=parcel.line_index, units=parcel.units)],
            ship_from=types.Destination(postal_code=self._random.choice(shop.POSTAL_CODES)),
        )
        response = await self._ask("AuthorizeReturn", request)
        disposition = self._random.choice(
            (returns.DISPOSITION_RESTOCK, returns.DISPOSITION_QUARANTINE, returns.DISPOSITION_SCRAP)
        )
        item = returns.ReceivedItem(units=parcel.units, disposition=disposition)
        arrived = returns.ReceiveReturnRequest(return_id=response.return_order.return_id, items=[item])
        await self._ask("ReceiveReturn", arrived)

    async def _sell(self) -> None:
        node_key = self._random.choice(shop.STORES)
        await self._ask(
            "RecordSale", inventory.RecordSaleRequest(node_key=node_key, channel_key=shop.TILL, lines=self._lines())
        )

    async def _receive(self) -> None:
        lines = [types.LineItem(sku_key=line.sku_key, units=5 * line.units) for line in self._lines(6)]
        await self._ask(
            "ReceiveStock", inventory.ReceiveStockRequest(node_key=self._random.choice(shop.NODES), lines=lines)
        )

    async def _count_stock(self) -> None:
        cell: Any = {"sku_key": self._random.choice(shop.SKUS), "node_key": self._random.choice(shop.NODES)}
        if self._random.random() < 0.5:
            delta = self._random.choice((-2, -1, 1, 2))
            await self._ask("AdjustStock", inventory.AdjustStockRequest(delta_units=delta, **cell))
            return
        known = self._random.randint(0, 30)
        request = inventory.SetStockRequest(on_hand_units=known + 3, expected_on_hand_units=known, **cell)
        await self._ask("SetStock", request)

    # --- doubters ---

    async def _look(self) -> None:
        """Reads, at least as new as anybody was told of: what was acknowledged must be there."""
        if self._purchases and self._random.random() < 0.5:
            purchase = self._random.choice(self._purchases)
            response = await self._asker.read("GetOrder", orders.GetOrderRequest(order_id=purchase.order_id))
            if response.order.order_key != purchase.request.order_key:
                self._asker.ledger.find("lost", f"order {purchase.order_id} of {purchase.request} reads {response}")
        elif self._holds:
            hold = self._random.choice(self._holds).reservation_id
            response = await self._asker.read("GetReservation", reservations.GetReservationRequest(reservation_id=hold))
            if response.reservation.state not in {
                reservations.RESERVATION_STATE_HELD,
                reservations.RESERVATION_STATE_EXPIRED,
            }:
                self._asker.ledger.find("lost", f"reservation {hold}, which its owner holds, reads {response}")
        else:
            request = inventory.GetAvailabilityRequest(
                channel_key=shop.SHOPS[0], sku_key=self._random.choice(shop.SKUS)
            )
            await self._asker.read("GetAvailability", request)

    async def _repeat(self) -> None:
        if entry := self._earlier():
            await self._asker.repeat(entry)

    async def _reuse(self) -> None:
        entry = self._earlier()
        if entry is not None and entry.call == "Reserve":
            request = reservations.ReserveRequest(request_id=entry.request.request_id, reservation=self._claim())
            request.reservation.lines.add(sku_key=shop.COLD[0], units=77)  # nobody else asks for so many
            await self._asker.reuse("Reserve", request)

    def _earlier(self) -> Entry | None:
        """An answer that somebody was given, most likely lately."""
        entries = self._asker.ledger.entries
        if not entries:
            return None
        back = int(self._random.expovariate(1 / 200))
        return entries[max(0, len(entries) - 1 - back)]

    # --- what it has in mind ---

    def _ttl(self) -> Duration:
        return Duration(seconds=self._random.choice(HELD_S))

    def _order_key(self) -> str:
        return f"{self._name}-o{self._count + 1}"

    def _items(self) -> list[orders.OrderItem]:
        return [orders.OrderItem(sku_key=line.sku_key, units=line.units) for line in self._lines()]

    def _keep(self, kept: list[Any], one: Any) -> None:
        kept.append(one)
        if len(kept) > REMEMBERED:
            del kept[0]

    def _take(self, kept: list[Any]) -> Any:
        """One of them, at random; it is in mind no longer."""
        return kept.pop(self._random.randrange(len(kept))) if kept else None
