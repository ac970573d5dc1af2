"""Rows of another system become requests: the network and catalog in puts, counts in a stream of columns, orders and returns one by one."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from typing import Any, TypeVar

from adapters.port import Batch, CountColumns, Inbound, NodeRow, OrderKind, OrderRow, ReturnRow, RowError, SkuRow
from engine.client import Client
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import network_pb2 as network
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types

_ENTRIES_MAX = 1_000
_STREAM_ROWS_MAX = 1_000_000
_ATOMIC_ROWS_MAX = 200_000
"""Rows that one import stream takes: in all, and all or nothing."""
_DONE = {types.OUTCOME_OK, types.OUTCOME_PARTIAL}

RowT = TypeVar("RowT")


@dataclass(slots=True)
class Intake:
    """What came in, by kind. ``problem`` is called with each row that did not, as it is found; ``known`` counts orders of an earlier import."""

    client: Client
    problem: Callable[[RowError], None]
    progress: Callable[[int], None]
    all_or_nothing: bool = False
    source_key: str = ""
    source_seq: int = 0
    applied: dict[str, int] = field(default_factory=dict)
    known: int = 0

    def take(self, source: Inbound, files: dict[str, str]) -> None:
        """Everything that a source has, in the order in which rows need one another; ``files`` names its file of each kind.

        Raises:
            StockpoolError: a call failed; what was applied before stays.
        """
        steps: tuple[tuple[str, Callable[[Any, str], int], Callable[[], Iterator[Any]]], ...] = (
            ("nodes", self._nodes, source.nodes),
            ("skus", self._skus, source.skus),
            ("counts", self._counts, source.counts),
            ("orders", self._orders, source.orders),
            ("returns", self._returns, source.returns),
        )
        for kind, send, read in steps:
            if kind in files:
                self.applied[kind] = send(read(), files[kind])

    def _nodes(self, batches: Iterator[Batch[NodeRow]], file: str) -> int:
        applied = 0
        for rows in self._chunks(batches):
            request = network.PutNodesRequest(nodes=[_node(row) for row in rows])
            applied += self._judge(file, "", self.client.put_nodes(request).result) * len(rows)
        return applied

    def _skus(self, batches: Iterator[Batch[SkuRow]], file: str) -> int:
        applied = 0
        for rows in self._chunks(batches):
            request = network.PutSkusRequest(skus=[_sku(row) for row in rows])
            applied += self._judge(file, "", self.client.put_skus(request).result) * len(rows)
        return applied

    def _counts(self, parts: Iterator[CountColumns], file: str) -> int:
        applied = 0
        following = next(parts, None)
        while following is not None:
            rows: list[int] = []
            stream, following = self._stream(following, parts, rows)
            if not stream:
                continue  # every row of it was bad
            response = self.client.import_stock(stream)
            applied += response.applied_count
            for refusal in response.refusals:
                name = types.Outcome.Name(refusal.outcome).removeprefix("OUTCOME_")
                self.problem(RowError(file, rows[refusal.row_index], "", f"refused: {name} {refusal.subject}".rstrip()))
            unnamed = response.row_count - response.applied_count - len(response.refusals)
            if unnamed:
                self.problem(RowError(file, 0, "", f"{unnamed} more rows were refused"))
        return applied

    def _stream(
        self, first: CountColumns, parts: Iterator[CountColumns], rows: list[int]
    ) -> tuple[list[inventory.ImportStockRequest], CountColumns | None]:
        """As many messages as one stream takes, and the first part of the next one. ``rows`` gets the number of each row."""
        row_max = _ATOMIC_ROWS_MAX if self.all_or_nothing else _STREAM_ROWS_MAX
        messages: list[inventory.ImportStockRequest] = []
        for part in chain((first,), parts):
            if len(rows) + len(part) > row_max:
                return messages, part
            for error in part.errors:
                self.problem(error)
            if len(part):
                messages.append(self._message(part))
                rows.extend(part.rows.tolist())
            self.progress(len(part) + len(part.errors))
        return messages, None

    def _message(self, part: CountColumns) -> inventory.ImportStockRequest:
        return inventory.ImportStockRequest(
            all_or_nothing=self.all_or_nothing,
            sku_keys=part.sku_keys,
            node_keys=part.node_keys,
            on_hand_units=part.on_hand_units.tolist(),
            safety_stock_units=part.safety_stock_units.tolist(),
            source_key=self.source_key,
            source_seq=self.source_seq,
            reference="import",
        )

    def _orders(self, batches: Iterator[Batch[OrderRow]], file: str) -> int:
        return sum(self._order(row, file) for rows in self._chunks(batches) for row in rows)

    def _order(self, row: OrderRow, file: str) -> bool:
        lines = [
            orders.OrderItem(
                sku_key=line.sku_key,
                units=line.units,
                unit_price=types.Money(currency_code=row.currency_code, micros=line.unit_price_micros),
            )
            for line in row.lines
        ]
        common: dict[str, Any] = {
            "channel_key": row.channel_key,
            "order_key": row.order_key,
            "customer_key": row.customer_key,
            "lines": lines,
        }
        if row.kind is OrderKind.PICKUP:  # nobody can have sold it without the store: a request, not a fact
            place = orders.PlaceOrderRequest(pickup_node_key=row.node_key, **common)
            return self._judge(file, row.order_key, self.client.place_order(place).result)
        ingest = orders.IngestOrderRequest(
            ship_to=types.Destination(postal_code=row.postal_code), service_key=row.service_key, **common
        )
        return self._judge(file, row.order_key, self.client.ingest_order(ingest).result)

    def _returns(self, batches: Iterator[Batch[ReturnRow]], file: str) -> int:
        return sum(self._return(row, file) for rows in self._chunks(batches) for row in rows)

    def _return(self, row: ReturnRow, file: str) -> bool:
        order_id, line_index = 0, 0
        if row.order_key:
            found = self.client.get_order(orders.GetOrderRequest(channel_key=row.channel_key, order_key=row.order_key))
            places = [line.line_index for line in found.order.lines if line.sku_key == row.sku_key]
            if not self._judge(file, row.return_key, found.result):
                return False
            if not places:
                return self._refuse(file, row.return_key, f"order {row.order_key} has no {row.sku_key}")
            order_id, line_index = found.order.order_id, places[0]
        item = returns.ReturnItem(line_index=line_index, sku_key="" if order_id else row.sku_key, units=row.units)
        request = returns.AuthorizeReturnRequest(
            request_id=_id_of(row), channel_key=row.channel_key, order_id=order_id, lines=[item]
        )
        if row.node_key:
            request.drop_off_node_key = row.node_key
        else:
            request.ship_from.postal_code = row.postal_code
        announced = self.client.authorize_return(request)
        if not self._judge(file, row.return_key, announced.result) or row.disposition is None:
            return announced.result.outcome in _DONE
        judged = returns.ReceivedItem(line_index=0, units=row.units, disposition=f"DISPOSITION_{row.disposition.name}")
        arrived = returns.ReceiveReturnRequest(
            request_id=_id_of(row, "received"), return_id=announced.return_order.return_id, items=[judged]
        )
        return self._judge(file, row.return_key, self.client.receive_return(arrived).result)

    def _chunks(self, batches: Iterator[Batch[RowT]]) -> Iterator[list[RowT]]:
        """Good rows in chunks that one put takes; bad ones are reported as they are met."""
        waiting: list[RowT] = []
        for batch in batches:
            for error in batch.errors:
                self.problem(error)
            self.progress(len(batch) + len(batch.errors))
            waiting.extend(batch.rows)
            while len(waiting) >= _ENTRIES_MAX:
                yield waiting[:_ENTRIES_MAX]
                del waiting[:_ENTRIES_MAX]
        if waiting:
            yield waiting

    def _judge(self, file: str, key: str, result: types.Result) -> bool:
        """Whether it was done; a refusal is reported under the key of its row."""
        if result.outcome in _DONE:
            return True
        if result.outcome == types.OUTCOME_DUPLICATE_ORDER:
            self.known += 1
            return False
        name = types.Outcome.Name(result.outcome).removeprefix("OUTCOME_")
        return self._refuse(file, key, f"refused: {name} {result.subject}".rstrip())

    def _refuse(self, file: str, key: str, why: str) -> bool:
        self.problem(RowError(file, 0, key, why))
        return False


def _id_of(row: ReturnRow, step: str = "announced") -> str:
    """The same row is the same request: importing a file again does nothing twice."""
    return f"import-{step}-{blake2b(repr(row).encode(), digest_size=16).hexdigest()}"


def _node(row: NodeRow) -> network.Node:
    return network.Node(
        node_key=row.node_key,
        name=row.name,
        kind=f"NODE_KIND_{row.kind.name}",
        latitude=row.latitude,
        longitude=row.longitude,
        postal_code=row.postal_code,
        closed=row.closed,
        ships=row.ships,
        offers_pickup=row.offers_pickup,
        accepts_returns=row.accepts_returns,
        package_cost=types.Money(micros=row.package_cost_micros),
        unit_cost=types.Money(micros=row.unit_cost_micros),
        default_safety_stock_units=row.safety_stock_units,
    )


def _sku(row: SkuRow) -> network.Sku:
    return network.Sku(
        sku_key=row.sku_key,
        title=row.title,
        weight_grams=row.weight_grams,
        unit_value=types.Money(currency_code=row.currency_code, micros=row.unit_value_micros),
    )
