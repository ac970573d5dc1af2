"""A pack of real orders as numbers: indexes, nanoseconds and micros, in order of time.

Whoever has read the pack hands over its tables (``PackTables``); nothing here opens a file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import repeat
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engine.demo.fates import KINDS
from engine.demo.rates import step_grams
from engine.demo.scenario import MICROS, NS_PER_DAY, RateCard

_MICROS_PER_CENT = MICROS // 100


Table: TypeAlias = Mapping[str, Sequence[Any]]
"""Columns of equal length, by name. Texts, integers and aware datetimes; absent texts are empty, absent numbers 0, prices None."""


class PackTables(Protocol):
    """What somebody read of a pack: good rows only, which speak of nodes, SKUs and orders that are there, and have a target.

    Columns: ``nodes`` node_id, kind (store, kiosk, locker, warehouse), name, zip, city, state, lat, lon; ``catalog`` StockCode, description, price
    (micros); ``orders`` order_no, invoice, ts, channel (pos, pickup, ship, marketplace), node_id, dest_zip; ``order_lines`` order_no,
    StockCode, quantity, unit_price_cents; ``returns`` InvoiceNo, InvoiceDate, StockCode (or what is none), quantity, CustomerID;
    ``invoices`` InvoiceNo, CustomerID; ``zone_pairs`` origin_zip3, dest_zip3, zone; ``prices`` service, zone, max_weight_oz, price_usd
    (micros).
    """

    @property
    def name(self) -> str:
        """What the pack is called."""

    @property
    def nodes(self) -> Table: ...  # noqa: D102 - the columns are listed above

    @property
    def catalog(self) -> Table: ...  # noqa: D102

    @property
    def orders(self) -> Table: ...  # noqa: D102

    @property
    def order_lines(self) -> Table: ...  # noqa: D102

    @property
    def returns(self) -> Table: ...  # noqa: D102

    @property
    def invoices(self) -> Table: ...  # noqa: D102

    @property
    def zone_pairs(self) -> Table: ...  # noqa: D102

    @property
    def prices(self) -> Table: ...  # noqa: D102


class PackError(Exception):
    """The pack cannot be played; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class Places:
    """The nodes, in the order of the file: texts, and degrees float64[nodes]. ``kinds``: store, kiosk, locker or warehouse."""

    keys: tuple[str, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    postal_codes: tuple[str, ...]
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]

    def of_kind(self, kind: str) -> NDArray[np.int32]:
        """Indexes of the nodes of a kind."""
        return np.array([index for index, name in enumerate(self.kinds) if name == kind], dtype=np.int32)


@dataclass(frozen=True, slots=True)
class Catalog:
    """The SKUs, in the order of the file; ``price_micros`` int64[skus] is the median price."""

    keys: tuple[str, ...]
    titles: tuple[str, ...]
    price_micros: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class OrderColumns:
    """All orders, in order of time, and their lines: order i has the lines ``starts[i]:starts[i + 1]``, a SKU once.

    ``kinds`` int8 (``fates.KINDS``), ``at_ns`` int64 from midnight of ``first_day``, ``nodes`` int32 (-1: none), ``numbers`` int64 (the pack's own),
    ``customers`` int64 (0: not known); ``line_skus`` int32, ``line_units`` and ``line_prices`` (micros) int64.
    """

    first_day: date
    kinds: NDArray[np.int8]
    at_ns: NDArray[np.int64]
    nodes: NDArray[np.int32]
    postal_codes: list[str]
    numbers: NDArray[np.int64]
    customers: NDArray[np.int64]
    starts: NDArray[np.int64]
    line_skus: NDArray[np.int32]
    line_units: NDArray[np.int64]
    line_prices: NDArray[np.int64]

    @property
    def days(self) -> NDArray[np.int64]:
        """Day of each order, int64[orders]."""
        return self.at_ns // NS_PER_DAY

    @property
    def line_orders(self) -> NDArray[np.int64]:
        """Order of each line, int64[lines]."""
        return np.repeat(np.arange(len(self.kinds)), np.diff(self.starts))


@dataclass(frozen=True, slots=True)
class ReturnColumns:
    """Return lines of catalog SKUs, in order of time; ``customers`` 0 where not known, ``invoices`` the document they came on."""

    at_ns: NDArray[np.int64]
    skus: NDArray[np.int32]
    units: NDArray[np.int64]
    customers: NDArray[np.int64]
    invoices: list[str]


@dataclass(frozen=True, slots=True)
class ZonePairs:
    """Zones that a carrier published, by three-digit ZIP areas."""

    origins: Sequence[str]
    destinations: Sequence[str]
    zones: NDArray[np.int32]


def _indexes(texts: Sequence[str], keys: tuple[str, ...]) -> NDArray[np.int32]:
    """Position of each text in ``keys``; -1 for what is none of them."""
    position = {key: index for index, key in enumerate(keys)}
    return np.fromiter(map(position.get, texts, repeat(-1)), np.int32, len(texts))


def _nanoseconds(times: Sequence[datetime], first_day: date) -> NDArray[np.int64]:
    """Time since midnight of a day."""
    midnight = datetime.combine(first_day, time(), UTC)
    return np.array([moment - midnight for moment in times], "timedelta64[us]").astype(np.int64) * 1_000


def arrange_places(table: Table) -> Places:
    """The nodes of a pack."""
    names = tuple(
        f"{name} ({city}, {state})" if city else name
        for name, city, state in zip(table["name"], table["city"], table["state"], strict=True)
    )
    return Places(
        keys=tuple(table["node_id"]),
        names=names,
        kinds=tuple(table["kind"]),
        # Leading zeros of New England and Puerto Rico were lost on the way.
        postal_codes=tuple(code.zfill(5) for code in table["zip"]),
        latitudes=np.array(table["lat"], np.float64),
        longitudes=np.array(table["lon"], np.float64),
    )


def arrange_catalog(table: Table) -> Catalog:
    """The catalog of a pack. SKUs without a description are called by their key; those without a price cost one dollar."""
    keys = tuple(table["StockCode"])
    titles = tuple(" ".join((text or key).split()) for text, key in zip(table["description"], keys, strict=True))
    price = np.array([MICROS if price is None else price for price in table["price"]], np.int64)
    return Catalog(keys, titles, np.rint(price / _MICROS_PER_CENT).astype(np.int64) * _MICROS_PER_CENT)


def arrange_orders(tables: PackTables, places: Places, catalog: Catalog) -> OrderColumns:
    """All orders of a pack. Lines of the same SKU in an order are added up; the first one's price stands."""
    orders, lines = tables.orders, tables.order_lines
    first_day = min(orders["ts"]).date()
    numbers, times = np.array(orders["order_no"], np.int64), _nanoseconds(orders["ts"], first_day)
    sequence = np.lexsort((numbers, times))
    numbers = numbers[sequence]

    by_number = np.argsort(numbers)
    line_numbers = np.array(lines["order_no"], np.int64)
    owners = by_number[np.searchsorted(numbers, line_numbers, sorter=by_number)]
    code = owners * len(catalog.keys) + _indexes(lines["StockCode"], catalog.keys)
    distinct, first_line, group = np.unique(code, return_index=True, return_inverse=True)
    units = np.bincount(group, weights=np.array(lines["quantity"], np.float64))
    owners = distinct // len(catalog.keys)

    kind_of = {kind.value: number for number, kind in enumerate(KINDS)}
    customer_of = dict(zip(tables.invoices["InvoiceNo"], tables.invoices["CustomerID"], strict=True))
    postal_codes, invoices = orders["dest_zip"], orders["invoice"]
    return OrderColumns(
        first_day=first_day,
        kinds=np.array([kind_of[channel] for channel in orders["channel"]], np.int8)[sequence],
        at_ns=times[sequence],
        nodes=_indexes(orders["node_id"], places.keys)[sequence],
        postal_codes=[postal_codes[row] for row in sequence.tolist()],
        numbers=numbers,
        customers=np.array([customer_of.get(invoices[row], 0) for row in sequence.tolist()], np.int64),
        starts=np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(numbers)))]),
        line_skus=(distinct % len(catalog.keys)).astype(np.int32),
        line_units=units.astype(np.int64),
        line_prices=np.array(lines["unit_price_cents"], np.int64)[first_line] * _MICROS_PER_CENT,
    )


def arrange_returns(table: Table, catalog: Catalog, first_day: date) -> ReturnColumns:
    """Return lines of a pack, without those that are fees, postage or discounts."""
    skus, at_ns = _indexes(table["StockCode"], catalog.keys), _nanoseconds(table["InvoiceDate"], first_day)
    kept = np.nonzero(skus >= 0)[0]
    kept = kept[np.argsort(at_ns[kept], kind="stable")]
    return ReturnColumns(
        at_ns=at_ns[kept],
        skus=skus[kept],
        units=np.array(table["quantity"], np.int64)[kept],
        customers=np.array(table["CustomerID"], np.int64)[kept],
        invoices=[table["InvoiceNo"][row] for row in kept.tolist()],
    )


def arrange_zone_pairs(table: Table) -> ZonePairs:
    """The carrier's published zones."""
    return ZonePairs(table["origin_zip3"], table["dest_zip3"], np.array(table["zone"], np.int32))


def arrange_rate_cards(table: Table) -> tuple[RateCard, ...]:
    """The carrier's list prices, cheapest service first. Steps that no whole gram falls into are left out (16 after 15.999 ounces)."""
    prices: dict[str, dict[tuple[int, float], int]] = {}
    cells = zip(table["service"], table["zone"], table["max_weight_oz"], table["price_usd"], strict=True)
    for service, zone, ounces, price in cells:
        prices.setdefault(service, {})[zone, ounces] = price
    cards = [_rate_card(service.removesuffix("_retail"), of_service) for service, of_service in prices.items()]
    return tuple(sorted(cards, key=lambda card: int(card.price_micros[0, 0])))


def _rate_card(service_key: str, prices: dict[tuple[int, float], int]) -> RateCard:
    ounces = sorted({weight for _, weight in prices})
    grams = step_grams(np.array(ounces))
    kept = np.nonzero(np.diff(grams, prepend=0) > 0)[0]
    zones = range(1, 1 + max(zone for zone, _ in prices))
    table = [[prices.get((zone, ounces[step]), -1) for step in kept] for zone in zones]
    return RateCard(service_key, grams[kept], np.array(table, np.int64))
