"""Orders, fulfillment orders and returns: the open ones, and the latest of the closed."""

from collections.abc import Iterator

from engine.model.limits import Limits
from engine.model.orders import FulfillmentOrder, Order, Return
from engine.model.outcomes import ReturnState


class OrderBook:
    """Every order that is open, and up to ``closed_orders_remembered`` closed ones; the same for returns."""

    def __init__(self, limits: Limits) -> None:
        self._closed_max = limits.closed_orders_remembered
        self.orders: dict[int, Order] = {}
        self.fulfillment_orders: dict[int, FulfillmentOrder] = {}
        self.returns: dict[int, Return] = {}
        self.next_order_id = 1
        self.next_fulfillment_order_id = 1
        self.next_return_id = 1
        self.open_order_count = 0
        self.open_fulfillment_order_count = 0
        self.short_units = 0
        self._order_of_key: dict[tuple[int, str], int] = {}
        self._open_work: dict[int, dict[int, None]] = {}
        self._closed_orders: dict[int, None] = {}
        self._closed_returns: dict[int, None] = {}

    # Questions

    def order_of_key(self, channel_index: int, order_key: str) -> int:
        """Id of the channel's order with this key, 0 when there is none."""
        return self._order_of_key.get((channel_index, order_key), 0)

    def work_of_node(self, node_index: int) -> Iterator[FulfillmentOrder]:
        """Open fulfillment orders of a node, by id."""
        return (self.fulfillment_orders[work_id] for work_id in self._open_work.get(node_index, ()))

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
        before = self.orders.get(order.order_id)
        if before is None and order.order_id < self.next_order_id and not order.is_open:
            # Closed and forgotten: on replay, where fewer are remembered than when this was decided.
            return
        self.orders[order.order_id] = order
        self.short_units += sum(line.short_units for line in order.lines)
        if before is None:
            self._order_of_key[order.channel_index, order.order_key] = order.order_id
            self.next_order_id = max(self.next_order_id, order.order_id + 1)
        else:
            self.short_units -= sum(line.short_units for line in before.lines)
        self.open_order_count += order.is_open - (before is not None and before.is_open)
        if not order.is_open:
            self._closed_orders[order.order_id] = None
            if len(self._closed_orders) > self._closed_max:
                self._forget_order(next(iter(self._closed_orders)))

    def put_fulfillment_order(self, work: FulfillmentOrder) -> None:
        """The fulfillment order is now this."""
        before = self.fulfillment_orders.get(work.fulfillment_order_id)
        self.fulfillment_orders[work.fulfillment_order_id] = work
        self.next_fulfillment_order_id = max(self.next_fulfillment_order_id, work.fulfillment_order_id + 1)
        self.open_fulfillment_order_count += work.is_open - (before is not None and before.is_open)
        if work.is_open:
            self._open_work.setdefault(work.node_index, {})[work.fulfillment_order_id] = None
        elif before is not None and before.is_open:
            del self._open_work[work.node_index][work.fulfillment_order_id]

    def put_return(self, goods: Return) -> None:
        """The return is now this."""
        self.returns[goods.return_id] = goods
        self.next_return_id = max(self.next_return_id, goods.return_id + 1)
        if goods.state == ReturnState.RECEIVED:
            self._closed_returns[goods.return_id] = None
            if len(self._closed_returns) > self._closed_max:
                oldest = next(iter(self._closed_returns))
                del self._closed_returns[oldest], self.returns[oldest]

    def _forget_order(self, order_id: int) -> None:
        order = self.orders.pop(order_id)
        del self._closed_orders[order_id]
        key = order.channel_index, order.order_key
        if self._order_of_key.get(key) == order_id:
            # Else a later order has the key: on replay, where more are remembered than when that was decided.
            del self._order_of_key[key]
        for work_id in order.fulfillment_order_ids:
            del self.fulfillment_orders[work_id]
