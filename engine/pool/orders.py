"""Orders, fulfillment orders and returns: the open ones, and the latest of the closed."""

from collections import deque
from collections.abc import Collection, Container, Iterable, Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from engine.model.decisions import Stored
from engine.model.limits import Limits
from engine.model.orders import (
    OPEN_ORDER_STATES,
    OPEN_RETURN_STATES,
    OPEN_WORK_STATES,
    FulfillmentOrder,
    Order,
    Return,
)
from engine.pool.records import Records, Shelf


class BookImage(NamedTuple):
    """Everything that an order book knows, as columns."""

    orders: Shelf
    fulfillment_orders: Shelf
    returns: Shelf
    key_channels: Sequence[int]
    keys: Sequence[str]
    key_orders: Sequence[int]
    """Channel, key and id of each order that can be found by its key."""
    closed_orders: Sequence[int]
    closed_returns: Sequence[int]
    """Ids, the first to be forgotten first."""
    following: tuple[int, int, int]
    """Ids that the next order, fulfillment order and return get."""


class OrderBook:
    """Every order that is open, and up to ``closed_orders_remembered`` closed ones; the same for returns."""

    def __init__(self, limits: Limits) -> None:
        self._closed_max = limits.closed_orders_remembered
        self.orders = Records(Order)
        self.fulfillment_orders = Records(FulfillmentOrder)
        self.returns = Records(Return)
        self.next_order_id = 1
        self.next_fulfillment_order_id = 1
        self.next_return_id = 1
        self.open_order_count = 0
        self.open_fulfillment_order_count = 0
        self.short_units = 0
        self._order_of_key: dict[tuple[int, str], int] = {}
        self._open_work: dict[int, dict[int, None]] = {}
        self._short: dict[int, None] = {}
        self._bound_for: dict[int, dict[int, None]] = {}
        # Oldest first.
        self._closed_orders: deque[int] = deque()
        self._closed_returns: deque[int] = deque()

    # Questions

    def order_of_key(self, channel_index: int, order_key: str) -> int:
        """Id of the channel's order with this key, 0 when there is none."""
        return self._order_of_key.get((channel_index, order_key), 0)

    @property
    def closed(self) -> tuple[list[int], list[int]]:
        """Ids of the closed orders and returns that are remembered, the first to be forgotten first."""
        return list(self._closed_orders), list(self._closed_returns)

    @property
    def short(self) -> Collection[int]:
        """Ids of the open orders with short units, those that were short first in front."""
        return self._short.keys()

    def work_of_node(self, node_index: int) -> Iterator[FulfillmentOrder]:
        """Open fulfillment orders of a node, by id."""
        return (self.fulfillment_orders[work_id] for work_id in self._open_work.get(node_index, ()))

    def latest_work_of_node(self, node_index: int) -> Iterator[FulfillmentOrder]:
        """The same from the newest on."""
        return (self.fulfillment_orders[work_id] for work_id in reversed(self._open_work.get(node_index, {})))

    def has_open_work(self, node_index: int) -> bool:
        """Whether a node has any."""
        return bool(self._open_work.get(node_index))

    def bound_for(self, node_index: int) -> Iterator[FulfillmentOrder]:
        """Fulfillment orders of open orders that are shipped to a store, by order."""
        for order_id in self._bound_for.get(node_index, ()):
            yield from self.work_of_order(self.orders[order_id])

    def work_of_order(self, order: Order) -> Iterator[FulfillmentOrder]:
        """Fulfillment orders of an order, by id."""
        return (self.fulfillment_orders[work_id] for work_id in order.fulfillment_order_ids)

    def open_work(self) -> Iterator[FulfillmentOrder]:
        """Every open fulfillment order."""
        for node_index in self._open_work:
            yield from self.work_of_node(node_index)

    # Apply

    def put_order(self, order: Order) -> None:
        """The order is now this."""
        order_id = order.order_id
        before = self.orders.get(order_id)
        if before is None and not self._expect_order(order):
            return
        self.orders[order_id] = order
        self.short_units += order.short_units - (before.short_units if before else 0)
        if order.short_units:
            self._short[order_id] = None
        else:
            self._short.pop(order_id, None)
        if order.ships_to_store:
            bound = self._bound_for.setdefault(order.pickup_node_index, {})
            if order.is_open:
                bound[order_id] = None
            else:
                bound.pop(order_id, None)
        was_open = before is not None and before.is_open
        self.open_order_count += order.is_open - was_open
        if not order.is_open and (was_open or before is None):
            self._close_order(order_id)

    def put_fulfillment_order(self, work: FulfillmentOrder) -> None:
        """The fulfillment order is now this."""
        work_id = work.fulfillment_order_id
        before = self.fulfillment_orders.get(work_id)
        self.fulfillment_orders[work_id] = work
        self.next_fulfillment_order_id = max(self.next_fulfillment_order_id, work_id + 1)
        if not work.is_open:
            self._close_work(work_id, before)
        elif before is None:
            self.open_fulfillment_order_count += 1
            self._open_work.setdefault(work.node_index, {})[work_id] = None

    def put_return(self, goods: Return) -> None:
        """The return is now this."""
        before = self.returns.get(goods.return_id)
        self.returns[goods.return_id] = goods
        self.next_return_id = max(self.next_return_id, goods.return_id + 1)
        if not goods.is_open and (before is None or before.is_open):
            self._close_return(goods.return_id)

    # Apply what the journal tells: to the same end as putting one after the other. Whoever is open at the end is read at once,
    # for the indexes and for those who will ask; of the others, which are most, hardly one is ever looked at again.

    def put_stored_orders(self, stored: Stored) -> None:
        """Orders that replay brings."""
        records = self.orders
        closing = _left(stored, OPEN_ORDER_STATES)
        for order_id, encoded in _latest(stored):
            before = records.peek(order_id)
            if order_id not in closing:
                self.put_order(records.decode(encoded))
            elif before is not None:
                records.keep(order_id, encoded)
                if isinstance(before, Order) and before.is_open:
                    self.open_order_count -= 1
                    self.short_units -= before.short_units
                    self._short.pop(order_id, None)
                    self._bound_for.get(before.pickup_node_index, {}).pop(order_id, None)
                else:
                    del closing[order_id]
            elif self._expect_order(records.decode(encoded)):
                records.keep(order_id, encoded)
            else:
                del closing[order_id]
        for order_id in closing:
            self._close_order(order_id)

    def put_stored_work(self, stored: Stored) -> None:
        """Fulfillment orders that replay brings."""
        records = self.fulfillment_orders
        closing = _left(stored, OPEN_WORK_STATES)
        for work_id, encoded in _latest(stored):
            if work_id in closing:
                before = records.peek(work_id)
                records.keep(work_id, encoded)
                self._close_work(work_id, before)
            else:
                self.put_fulfillment_order(records.decode(encoded))
        self.next_fulfillment_order_id = max(self.next_fulfillment_order_id, max(stored.ids, default=0) + 1)

    def put_stored_returns(self, stored: Stored) -> None:
        """Returns that replay brings."""
        records = self.returns
        closing = _left(stored, OPEN_RETURN_STATES)
        for return_id, encoded in _latest(stored):
            if return_id in closing:
                records.keep(return_id, encoded)
            else:
                self.put_return(records.decode(encoded))
        self.next_return_id = max(self.next_return_id, max(stored.ids, default=0) + 1)
        for return_id in closing:
            self._close_return(return_id)

    # All at once

    def image(self) -> BookImage:
        """Everything, for ``put_image``."""
        channels, keys = zip(*self._order_of_key, strict=True) if self._order_of_key else ((), ())
        return BookImage(
            self.orders.shelf(lambda order: order.is_open),
            self.fulfillment_orders.shelf(lambda work: work.is_open),
            self.returns.shelf(lambda goods: goods.is_open),
            channels,
            keys,
            list(self._order_of_key.values()),
            *self.closed,
            (self.next_order_id, self.next_fulfillment_order_id, self.next_return_id),
        )

    def put_image(self, image: BookImage) -> None:
        """Become what the image tells; the book is empty before. What is closed stays encoded."""
        self.orders.put_shelf(image.orders)
        self.fulfillment_orders.put_shelf(image.fulfillment_orders)
        self.returns.put_shelf(image.returns)
        self._order_of_key = dict(zip(zip(image.key_channels, image.keys, strict=True), image.key_orders, strict=True))
        self._closed_orders.extend(image.closed_orders)
        self._closed_returns.extend(image.closed_returns)
        self.next_order_id, self.next_fulfillment_order_id, self.next_return_id = image.following
        self.open_order_count = len(image.orders.open_ids)
        short = {order_id: self.orders[order_id].short_units for order_id in image.orders.open_ids}
        self.short_units = sum(short.values())
        self._short = dict.fromkeys([order_id for order_id, units in short.items() if units])
        for order_id in short:
            order = self.orders[order_id]
            if order.ships_to_store:
                self._bound_for.setdefault(order.pickup_node_index, {})[order_id] = None
        self.open_fulfillment_order_count = len(image.fulfillment_orders.open_ids)
        for work_id in image.fulfillment_orders.open_ids:
            self._open_work.setdefault(self.fulfillment_orders[work_id].node_index, {})[work_id] = None
        while len(self._closed_orders) > self._closed_max:
            self._forget_order(self._closed_orders.popleft())
        while len(self._closed_returns) > self._closed_max:
            del self.returns[self._closed_returns.popleft()]

    # One thing at a time

    def _expect_order(self, order: Order) -> bool:
        """Make its place for an order that is not here. False: it was closed and forgotten, on replay, where fewer are
        remembered than when this was decided.
        """
        if order.order_id < self.next_order_id and not order.is_open:
            return False
        self._order_of_key[order.channel_index, order.order_key] = order.order_id
        self.next_order_id = max(self.next_order_id, order.order_id + 1)
        return True

    def _close_order(self, order_id: int) -> None:
        self._closed_orders.append(order_id)
        if len(self._closed_orders) > self._closed_max:
            self._forget_order(self._closed_orders.popleft())

    def _close_work(self, work_id: int, before: FulfillmentOrder | bytes | None) -> None:
        if isinstance(before, FulfillmentOrder) and before.is_open:
            self.open_fulfillment_order_count -= 1
            del self._open_work[before.node_index][work_id]

    def _close_return(self, return_id: int) -> None:
        self._closed_returns.append(return_id)
        if len(self._closed_returns) > self._closed_max:
            del self.returns[self._closed_returns.popleft()]

    def _forget_order(self, order_id: int) -> None:
        order = self.orders.pop(order_id)
        key = order.channel_index, order.order_key
        if self._order_of_key.get(key) == order_id:
            # Else a later order has the key: on replay, where more are remembered than when that was decided.
            del self._order_of_key[key]
        for work_id in order.fulfillment_order_ids:
            del self.fulfillment_orders[work_id]


def _latest(stored: Stored) -> Iterable[tuple[int, bytes]]:
    """The last document of each id; ids in the order in which they first come."""
    return dict(zip(stored.ids, stored.encoded, strict=True)).items()


def _left(stored: Stored, states: Container[int]) -> dict[int, None]:
    """Ids that are in none of these states any more, in the order in which they left them."""
    return dict.fromkeys(compress(stored.ids, [state not in states for state in stored.states]))
