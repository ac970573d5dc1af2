"""A folder of files (``adapters/README.md``) as a scenario of the demo: its orders as they came, at the sample's parcel prices.

Shipped orders are bought on the web and routed, pickups collected at their store; goods come back as the file of returns says.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TypeVar

import numpy as np

from adapters.files import FileSource
from adapters.port import Batch, NodeKind, NodeRow, OrderKind, OrderRow, ReturnRow, RowError, SkuRow
from engine.demo import scenario as words
from engine.demo.baskets import in_order, place_of_line
from engine.demo.fates import SHIP
from engine.demo.rates import default_policy, distance_chart, rate_cards

_MICROSECOND = timedelta(microseconds=1)

RowT = TypeVar("RowT")


class FolderError(Exception):
    """The folder holds nothing to play; the message says what it lacks."""


@dataclass(slots=True)
class _Folder:
    """What was read of ``source``, and ``problem``, which is told what is left out. ``cells``: units and safety stock by SKU and node;
    ``sold``: orders by channel and key, in order of time.
    """

    source: FileSource
    problem: Callable[[RowError], None]
    nodes: dict[str, NodeRow] = field(default_factory=dict)
    skus: dict[str, SkuRow] = field(default_factory=dict)
    cells: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    sold: dict[tuple[str, str], OrderRow] = field(default_factory=dict)
    returns: list[ReturnRow] = field(default_factory=list)
    areas: frozenset[str] = field(default_factory=lambda: frozenset(distance_chart().region_keys))

    def good(self, batches: Iterable[Batch[RowT]]) -> Iterator[RowT]:
        """The good rows; the bad ones are told."""
        for batch in batches:
            for error in batch.errors:
                self.problem(error)
            yield from batch.rows

    def refuse(self, file: Path | None, key: str, why: str, row: int = 0) -> None:
        """Tells that a row is left out that was good by itself."""
        self.problem(RowError(str(file), row, key, why))


def folder_scenario(source: FileSource, name: str, seed: int, problem: Callable[[RowError], None]) -> words.Scenario:
    """The scenario of a folder's files; ``problem`` is told of each row that is left out. ``seed`` chooses what the demo looks at when it
    compares.

    A day of the scenario is a day of the calendar, by UTC. All rows are in memory.

    Raises:
        FileFormatError: a file cannot be read.
        FolderError: nothing is left of its nodes, SKUs, counts or orders.
    """
    folder = _Folder(source, problem)
    folder.nodes = {row.node_key: row for row in folder.good(source.nodes())}
    folder.skus = {row.sku_key: row for row in folder.good(source.skus())}
    _read_counts(folder)
    orders = sorted(folder.good(source.orders()), key=lambda row: row.time)
    folder.sold = {(row.channel_key, row.order_key): row for row in orders if _is_order_good(folder, row)}
    parts = (("nodes", folder.nodes), ("SKUs", folder.skus), ("counts", folder.cells), ("orders", folder.sold))
    for what, rows in parts:
        if not rows:
            raise FolderError(f"it has no {what} to play")
    folder.returns = [row for row in folder.good(source.returns()) if _is_return_good(folder, row)]
    return _scenario(folder, name, seed)


def _read_counts(folder: _Folder) -> None:
    """The last row of a cell stands."""
    for part in folder.source.counts():
        for error in part.errors:
            folder.problem(error)
        for row, number in zip(part, part.rows.tolist(), strict=True):
            node = folder.nodes.get(row.node_key)
            if node is None:
                folder.refuse(folder.source.counts_file, "node_key", f"is no node: {row.node_key!r}", number)
            elif row.sku_key not in folder.skus:
                folder.refuse(folder.source.counts_file, "sku_key", f"is no SKU: {row.sku_key!r}", number)
            else:
                safety = node.safety_stock_units if row.safety_stock_units is None else row.safety_stock_units
                folder.cells[row.sku_key, row.node_key] = (row.on_hand_units, safety)


def _unplayable_target(folder: _Folder, row: OrderRow | ReturnRow) -> str:
    if row.node_key and row.node_key not in folder.nodes:
        return f"{row.node_key!r} is no node"
    if row.postal_code and row.postal_code[:3] not in folder.areas:
        return f"{row.postal_code!r} is in no three-digit ZIP area"
    return ""


def _is_order_good(folder: _Folder, row: OrderRow) -> bool:
    unknown = [line.sku_key for line in row.lines if line.sku_key not in folder.skus]
    why = f"{unknown[0]!r} is no SKU" if unknown else _unplayable_target(folder, row)
    if why:
        folder.refuse(folder.source.orders_file, row.order_key, why)
    return not why


def _is_return_good(folder: _Folder, row: ReturnRow) -> bool:
    order = folder.sold.get((row.channel_key, row.order_key))
    if row.order_key and order is None:
        why = f"order {row.order_key!r} is not among the orders"
    elif order is not None and row.sku_key not in {line.sku_key for line in order.lines}:
        why = f"order {row.order_key!r} has no {row.sku_key!r}"
    elif order is not None and row.time < order.time:
        why = f"comes before its order {row.order_key!r}"
    elif row.sku_key not in folder.skus:
        why = f"{row.sku_key!r} is no SKU"
    else:
        why = _unplayable_target(folder, row)
    if why:
        folder.refuse(folder.source.returns_file, row.return_key, why)
    return not why


def _scenario(folder: _Folder, name: str, seed: int) -> words.Scenario:
    orders, services = folder.sold.values(), rate_cards()
    begin = datetime.combine(next(iter(orders)).time.date(), time(), UTC)
    days: dict[int, list[words.Call]] = defaultdict(list)
    counts: dict[int, int] = defaultdict(int)
    brought_back = {(row.channel_key, row.order_key) for row in folder.returns}
    for key, row in folder.sold.items():
        at_ns = (row.time - begin) // _MICROSECOND * 1_000
        counts[at_ns // words.NS_PER_DAY] += 1
        days[at_ns // words.NS_PER_DAY].extend(_calls(row, at_ns, services, returns=key in brought_back))
    for back in folder.returns:
        at_ns = max((back.time - begin) // _MICROSECOND * 1_000, 0)
        days[at_ns // words.NS_PER_DAY].append(_return(folder, back, at_ns))
    currencies = [row.currency_code for row in orders] + [row.currency_code for row in folder.skus.values()]

    def make_day(day: int) -> Sequence[words.Call]:
        return in_order(days[day])

    def make_opening(row_max: int) -> Iterator[words.StockColumns]:
        return _opening(folder, row_max)

    return words.Scenario(
        name=name,
        seed=seed,
        currency_code=next(filter(None, currencies), "USD"),
        first_day=begin.date(),
        nodes=tuple(_node(row) for row in folder.nodes.values()),
        skus=tuple(
            words.Sku(row.sku_key, row.title, row.weight_grams, row.unit_value_micros) for row in folder.skus.values()
        ),
        channels=tuple(words.Channel(key, key, 0, "default") for key in sorted({row.channel_key for row in orders})),
        policies=(default_policy(),),
        rate_cards=services,
        zone_chart=distance_chart(),
        order_counts=tuple(counts[day] for day in range(max(days) + 1)),
        cell_count=len(folder.cells),
        make_opening=make_opening,
        make_day=make_day,
    )


def _node(row: NodeRow) -> words.Node:
    """A node that is closed is there and does nothing."""
    return words.Node(
        node_key=row.node_key,
        name=row.name,
        kind=words.NodeKind.STORE if row.kind is NodeKind.STORE else words.NodeKind.WAREHOUSE,
        latitude=row.latitude,
        longitude=row.longitude,
        postal_code=row.postal_code,
        ships=row.ships and not row.closed,
        offers_pickup=row.offers_pickup and not row.closed,
        accepts_returns=row.accepts_returns and not row.closed,
        package_cost_micros=row.package_cost_micros,
        unit_cost_micros=row.unit_cost_micros,
    )


def _opening(folder: _Folder, row_max: int) -> Iterator[words.StockColumns]:
    cells = list(folder.cells.items())
    for first in range(0, len(cells), row_max):
        part = cells[first : first + row_max]
        yield words.StockColumns(
            sku_keys=[sku_key for (sku_key, _), _ in part],
            node_keys=[node_key for (_, node_key), _ in part],
            on_hand_units=np.array([units for _, (units, _) in part], np.int64),
            safety_stock_units=np.array([safety for _, (_, safety) in part], np.int64),
        )


def _basket(row: OrderRow) -> list[words.OrderLine]:
    """The lines, each SKU once: units added up, the first price stands."""
    lines: dict[str, words.OrderLine] = {}
    for line in row.lines:
        units = lines[line.sku_key].units if line.sku_key in lines else 0
        price = lines[line.sku_key].unit_price_micros if line.sku_key in lines else line.unit_price_micros
        lines[line.sku_key] = words.OrderLine(line.sku_key, units + line.units, price)
    return list(lines.values())


def _calls(row: OrderRow, at_ns: int, cards: Sequence[words.RateCard], *, returns: bool) -> Iterator[words.Order]:
    """An order, and a further call for each ten lines more."""
    lines = _basket(row)
    known = row.service_key in {card.service_key for card in cards}
    service_key = row.service_key if known else cards[0].service_key
    for first in range(0, len(lines), words.LINES_PER_ORDER_MAX):
        yield words.Order(
            kind=words.Kind.PICKUP if row.kind is OrderKind.PICKUP else words.Kind.SHIP,
            channel_key=row.channel_key,
            order_key=place_of_line(SHIP, row.order_key, first)[0],
            at_ns=at_ns,
            node_key=row.node_key,
            postal_code=row.postal_code,
            service_key=service_key if row.postal_code else "",
            customer_key=row.customer_key,
            lines=tuple(lines[first : first + words.LINES_PER_ORDER_MAX]),
            returns=returns,
            part=first // words.LINES_PER_ORDER_MAX,
        )


def _return(folder: _Folder, row: ReturnRow, at_ns: int) -> words.Return:
    """Goods that nobody has judged are put back on the shelf."""
    order_key, index = "", -1
    if row.order_key:
        lines = _basket(folder.sold[row.channel_key, row.order_key])
        place = next(place for place, line in enumerate(lines) if line.sku_key == row.sku_key)
        order_key, index = place_of_line(SHIP, row.order_key, place)
    disposition = words.Disposition(row.disposition.value) if row.disposition else words.Disposition.RESTOCK
    return words.Return(
        channel_key=row.channel_key,
        return_key=row.return_key,
        order_key=order_key,
        at_ns=at_ns,
        node_key=row.node_key,
        postal_code=row.postal_code,
        lines=(words.ReturnLine(index, row.sku_key, row.units, disposition),),
    )
