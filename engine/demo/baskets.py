"""Many orders as columns, and the calls that they become."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.demo.fates import KINDS, POS, REASONS, Fates
from engine.demo.scenario import LINES_PER_ORDER_MAX, NS_PER_SECOND, Call, Channel, Order, OrderLine, Receipt, Return

CHANNELS = (
    Channel("pos", "Tills", 0, "default"),
    Channel("pickup", "Web shop, collected", 0, "default"),
    Channel("ship", "Web shop, sent", 0, "default"),
    Channel("marketplace", "Marketplace", 0, "default"),
)
"""One a kind, in the order of ``KINDS``."""
ABANDONED_SUFFIX = ".x"
_LINGER_NS = 600 * NS_PER_SECOND
_RANK = {Receipt: 0, Order: 1, Return: 2}


@dataclass(frozen=True, slots=True)
class Baskets:
    """Orders in order of time; one entry an order, and the lines of order i at ``starts[i]:starts[i + 1]``.

    ``kinds`` int8 (``fates.KINDS``), ``at_ns`` int64, ``nodes`` int32 (-1: none), ``starts`` int64[orders + 1]; ``line_skus`` int32, ``line_units``
    and ``line_prices`` (micros) int64. ``returned`` bool: goods of this order come back. Texts are sequences.
    """

    kinds: NDArray[np.int8]
    at_ns: NDArray[np.int64]
    nodes: NDArray[np.int32]
    postal_codes: Sequence[str]
    order_keys: Sequence[str]
    customer_keys: Sequence[str]
    starts: NDArray[np.int64]
    line_skus: NDArray[np.int32]
    line_units: NDArray[np.int64]
    line_prices: NDArray[np.int64]
    fates: Fates
    returned: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Keys:
    """What the indexes of columns stand for."""

    nodes: tuple[str, ...]
    skus: tuple[str, ...]
    services: tuple[str, ...]


def place_of_line(kind: int, order_key: str, line: int) -> tuple[str, int]:
    """Key of the call, and index in it, where line ``line`` of a basket ended up."""
    part, index = divmod(line, LINES_PER_ORDER_MAX)
    if kind == POS or part == 0:
        return order_key, line
    return f"{order_key}.{part}", index


def make_orders(baskets: Baskets, keys: Keys, first: int, stop: int) -> Iterator[Order]:
    """The orders ``first`` to ``stop`` (exclusive) as calls, abandoned visits and further parts included, not in order of time."""
    for row in range(first, stop):
        kind = int(baskets.kinds[row])
        begin, end = int(baskets.starts[row]), int(baskets.starts[row + 1])
        lines = tuple(
            OrderLine(keys.skus[sku], units, price)
            for sku, units, price in zip(
                baskets.line_skus[begin:end].tolist(),
                baskets.line_units[begin:end].tolist(),
                baskets.line_prices[begin:end].tolist(),
                strict=True,
            )
        )
        width = len(lines) if kind == POS else LINES_PER_ORDER_MAX
        for part in range(0, len(lines), width):
            yield _order(baskets, keys, row, part // width, lines[part : part + width])
        if baskets.fates.abandons[row]:
            yield _abandoned(baskets, keys, row, lines[:LINES_PER_ORDER_MAX])


def _order(baskets: Baskets, keys: Keys, row: int, part: int, lines: tuple[OrderLine, ...]) -> Order:
    kind = int(baskets.kinds[row])
    reject = int(baskets.fates.rejects[row])
    order_key = baskets.order_keys[row]
    return Order(
        kind=KINDS[kind],
        channel_key=CHANNELS[kind].channel_key,
        order_key=f"{order_key}.{part}" if part else order_key,
        at_ns=int(baskets.at_ns[row]),
        node_key=keys.nodes[baskets.nodes[row]] if baskets.nodes[row] >= 0 else "",
        postal_code=baskets.postal_codes[row],
        service_key=keys.services[baskets.fates.services[row]] if baskets.postal_codes[row] else "",
        customer_key=baskets.customer_keys[row],
        lines=lines,
        rejects=REASONS[reject] if reject >= 0 else None,
        cancels=bool(baskets.fates.cancels[row]),
        returns=bool(baskets.returned[row]),
        part=part,
    )


def _abandoned(baskets: Baskets, keys: Keys, row: int, lines: tuple[OrderLine, ...]) -> Order:
    """A visit with the same basket, ten minutes before somebody buys it: its units are held when the order comes."""
    kind = int(baskets.kinds[row])
    return Order(
        kind=KINDS[kind],
        channel_key=CHANNELS[kind].channel_key,
        order_key=baskets.order_keys[row] + ABANDONED_SUFFIX,
        at_ns=max(0, int(baskets.at_ns[row]) - _LINGER_NS),
        node_key=keys.nodes[baskets.nodes[row]] if baskets.nodes[row] >= 0 else "",
        postal_code=baskets.postal_codes[row],
        service_key=keys.services[baskets.fates.services[row]] if baskets.postal_codes[row] else "",
        customer_key="",
        lines=lines,
        abandons=True,
    )


def in_order(calls: list[Call]) -> list[Call]:
    """Calls by time; at one instant deliveries come before buyers, and buyers before returns."""
    return sorted(calls, key=lambda call: (call.at_ns, _RANK[type(call)]))
