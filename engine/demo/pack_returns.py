"""The returns of a pack, tied to the orders they belong to."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.demo.fates import POS, chance, draw_dispositions
from engine.demo.pack_columns import OrderColumns, ReturnColumns
from engine.demo.scenario import NS_PER_DAY, NS_PER_SECOND

_STREAM = 20
_NS_PER_HOUR = 3_600 * NS_PER_SECOND
PARCEL_SHARE = 0.4
UNTIED_UNITS_MAX = 100


@dataclass(frozen=True, slots=True)
class ReturnPlan:
    """Return lines, in order of time. ``rows`` is the order (-1: none is known), ``lines`` its line counted from the order's first; ``by_parcel``
    says whether they are sent or brought; ``dispositions`` index ``fates.DISPOSITIONS``.
    """

    at_ns: NDArray[np.int64]
    rows: NDArray[np.int64]
    lines: NDArray[np.int64]
    skus: NDArray[np.int32]
    units: NDArray[np.int64]
    customers: NDArray[np.int64]
    by_parcel: NDArray[np.bool_]
    dispositions: NDArray[np.int8]

    def of_day(self, day: int) -> range:
        """The returns of a day."""
        first, stop = np.searchsorted(self.at_ns, [day * NS_PER_DAY, (day + 1) * NS_PER_DAY])
        return range(int(first), int(stop))


class _Sold:
    """Units that each customer bought and has not brought back."""

    def __init__(self, orders: OrderColumns, cancelled: NDArray[np.bool_]) -> None:
        owners = orders.line_orders
        self._orders = orders
        self._owners = owners
        self._left = np.where(cancelled[owners], 0, orders.line_units)
        self._lines: dict[tuple[int, int], list[int]] = defaultdict(list)
        named = np.nonzero(orders.customers[owners] > 0)[0]
        customers, skus = orders.customers[owners[named]], orders.line_skus[named]
        for line, customer, sku in zip(named.tolist(), customers.tolist(), skus.tolist(), strict=True):
            self._lines[customer, sku].append(line)

    def take_back(self, customer: int, sku: int, units: int, at_ns: int) -> Iterator[tuple[int, int, int]]:
        """(order, line in it, units) of what was bought before ``at_ns``, the latest purchase first."""
        for line in reversed(self._lines.get((customer, sku), ())):
            order = int(self._owners[line])
            if units == 0:
                return
            if self._orders.at_ns[order] < at_ns and self._left[line] > 0:
                part = min(units, int(self._left[line]))
                self._left[line] -= part
                units -= part
                yield order, line - int(self._orders.starts[order]), part


def plan_returns(orders: OrderColumns, returns: ReturnColumns, cancelled: NDArray[np.bool_], seed: int) -> ReturnPlan:
    """Ties each return line to what the same customer bought before, the latest purchase first; it may cover several orders.

    What fits no purchase of a known customer was bought before the pack begins, by nobody known, or in an order that gets cancelled: it comes
    back without an order. Parcels come back a day after the order at the earliest, till sales an hour after; what would come after
    the last day is left out.
    """
    sold = _Sold(orders, cancelled)
    found: list[tuple[int, int, int, int, int, int]] = []
    for position in range(len(returns.skus)):
        at_ns, sku = int(returns.at_ns[position]), int(returns.skus[position])
        units, customer = int(returns.units[position]), int(returns.customers[position])
        for order, line, part in sold.take_back(customer, sku, units, at_ns):
            rest = _NS_PER_HOUR if orders.kinds[order] == POS else NS_PER_DAY
            found.append((max(at_ns, int(orders.at_ns[order]) + rest), order, line, sku, part, customer))
            units -= part
        # Several hundred of one SKU without any purchase are a correction of the books, not a buyer.
        if 0 < units <= UNTIED_UNITS_MAX:
            found.append((at_ns, -1, -1, sku, units, customer))
    end = (int(orders.days[-1]) + 1) * NS_PER_DAY
    table = np.array(sorted(row for row in found if row[0] < end), np.int64).reshape(-1, 6)
    generator = chance(seed, _STREAM)
    return ReturnPlan(
        at_ns=table[:, 0],
        rows=table[:, 1],
        lines=table[:, 2],
        skus=table[:, 3].astype(np.int32),
        units=table[:, 4],
        customers=table[:, 5],
        by_parcel=generator.random(len(table)) < PARCEL_SHARE,
        dispositions=draw_dispositions(generator, len(table)),
    )
