"""A pack of real orders, read from Parquet files into columns.

A pack is a folder with ``orders``, ``order_lines``, ``catalog``, ``nodes``, ``returns`` and ``uci_lines_raw`` (``.parquet``), beside folders
``carrier`` and ``geo`` that several packs share. Its README says what each column is and where it comes from.
"""

import csv
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.demo.fates import KINDS
from engine.demo.rates import step_grams
from engine.demo.scenario import MICROS, NS_PER_DAY, RateCard

_RATES = "usps_retail_rates_2025-10-05.csv"
_ZONES = "usps_zones_zip3_sample_2018.parquet"
_MICROS_PER_CENT = MICROS // 100


class PackError(Exception):
    """The pack cannot be read; the message says what is missing and what to do."""


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

    origins: list[str]
    destinations: list[str]
    zones: NDArray[np.int32]


def _read(path: Path, *columns: str) -> dict[str, Any]:
    """The columns of a Parquet file: lists for texts, NumPy arrays for the rest."""
    try:
        import pyarrow as pa  # an extra that only packs need
        from pyarrow import parquet
    except ImportError:
        raise PackError("a pack is a folder of Parquet files: pip install 'stockpool[demo]' to read it") from None
    if not path.is_file():
        raise PackError(f"{path} is missing: give the folder of a whole pack, with carrier/ and geo/ beside it")
    try:
        table = parquet.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise PackError(f"{path} is not what a pack holds: {error}") from None
    absent = [name for name in columns if name not in table.column_names]
    if absent:
        raise PackError(f"{path} has no column {', '.join(absent)}; it has {', '.join(table.column_names)}")
    result: dict[str, Any] = {}
    for name in columns:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        textual = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        result[name] = column.to_pylist() if textual else column.to_numpy()
    return result


def _indexes(texts: list[str | None], keys: tuple[str, ...], what: str) -> NDArray[np.int32]:
    """Position of each text in ``keys``; -1 for None."""
    position: dict[str | None, int] = {key: index for index, key in enumerate(keys)}
    position[None] = -1
    try:
        return np.array([position[text] for text in texts], dtype=np.int32)
    except KeyError as error:
        raise PackError(f"orders speak of the {what} {error}, which the pack does not have") from None


def read_places(folder: Path) -> Places:
    """The nodes of a pack."""
    table = _read(folder / "nodes.parquet", "node_id", "kind", "name", "zip", "city", "state", "lat", "lon")
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
        latitudes=np.asarray(table["lat"], np.float64),
        longitudes=np.asarray(table["lon"], np.float64),
    )


def read_catalog(folder: Path) -> Catalog:
    """The catalog of a pack. SKUs without a description are called by their key; those without a price cost one dollar."""
    table = _read(folder / "catalog.parquet", "StockCode", "description", "price")
    price = np.nan_to_num(np.asarray(table["price"], np.float64), nan=1.0)
    keys = tuple(table["StockCode"])
    titles = tuple(" ".join((text or key).split()) for text, key in zip(table["description"], keys, strict=True))
    return Catalog(keys, titles, np.rint(price * 100).astype(np.int64) * _MICROS_PER_CENT)


def _customers(folder: Path) -> dict[str, int]:
    """Customer of each invoice that names one."""
    table = _read(folder / "uci_lines_raw.parquet", "InvoiceNo", "CustomerID")
    numbers = np.nan_to_num(np.asarray(table["CustomerID"], np.float64), nan=0.0).astype(np.int64)
    return dict(zip(table["InvoiceNo"], numbers.tolist(), strict=True))


def _nanoseconds(times: Any, first_day: np.datetime64) -> NDArray[np.int64]:
    return (np.asarray(times) - first_day).astype("timedelta64[ns]").astype(np.int64)


def read_orders(folder: Path, places: Places, catalog: Catalog) -> OrderColumns:
    """All orders of a pack. Lines of the same SKU in an order are added up; the first one's price stands."""
    orders = _read(folder / "orders.parquet", "order_no", "invoice", "ts", "channel", "node_id", "dest_zip")
    lines = _read(folder / "order_lines.parquet", "order_no", "StockCode", "quantity", "unit_price_cents")
    numbers = np.asarray(orders["order_no"], np.int64)
    times = np.asarray(orders["ts"])
    sequence = np.lexsort((numbers, times))
    numbers = numbers[sequence]
    first = times[sequence[0]].astype("datetime64[D]")

    row_of = np.full(int(numbers.max()) + 1, -1, np.int64)
    row_of[numbers] = np.arange(len(numbers))
    owners = row_of[np.asarray(lines["order_no"], np.int64)]
    skus = _indexes(lines["StockCode"], catalog.keys, "SKU")
    code = owners * len(catalog.keys) + skus
    distinct, first_line, group = np.unique(code, return_index=True, return_inverse=True)
    units = np.bincount(group, weights=np.asarray(lines["quantity"], np.float64))
    owners = distinct // len(catalog.keys)

    kind_of = {kind.value: number for number, kind in enumerate(KINDS)}
    customer_of = _customers(folder)
    postal_codes, channels, invoices = orders["dest_zip"], orders["channel"], orders["invoice"]
    return OrderColumns(
        first_day=first.item(),
        kinds=np.array([kind_of[channels[row]] for row in sequence], np.int8),
        at_ns=_nanoseconds(times[sequence], first),
        nodes=_indexes(orders["node_id"], places.keys, "node")[sequence],
        postal_codes=[postal_codes[row] or "" for row in sequence],
        numbers=numbers,
        customers=np.array([customer_of.get(invoices[row], 0) for row in sequence], np.int64),
        starts=np.concatenate([[0], np.cumsum(np.bincount(owners, minlength=len(numbers)))]),
        line_skus=(distinct % len(catalog.keys)).astype(np.int32),
        line_units=units.astype(np.int64),
        line_prices=np.asarray(lines["unit_price_cents"], np.int64)[first_line] * _MICROS_PER_CENT,
    )


def read_returns(folder: Path, catalog: Catalog, first_day: date) -> ReturnColumns:
    """Return lines of a pack, without those that are fees, postage or discounts."""
    table = _read(folder / "returns.parquet", "InvoiceNo", "InvoiceDate", "StockCode", "quantity", "CustomerID")
    position = {key: index for index, key in enumerate(catalog.keys)}
    skus = np.array([position.get(code, -1) for code in table["StockCode"]], np.int32)
    at_ns = _nanoseconds(table["InvoiceDate"], np.datetime64(first_day))
    kept = np.nonzero(skus >= 0)[0]
    kept = kept[np.argsort(at_ns[kept], kind="stable")]
    customers = np.nan_to_num(np.asarray(table["CustomerID"], np.float64), nan=0.0).astype(np.int64)
    return ReturnColumns(
        at_ns=at_ns[kept],
        skus=skus[kept],
        units=np.asarray(table["quantity"], np.int64)[kept],
        customers=customers[kept],
        invoices=[table["InvoiceNo"][row] for row in kept],
    )


def read_zone_pairs(folder: Path) -> ZonePairs:
    """The carrier's published zones."""
    table = _read(folder.parent / "carrier" / _ZONES, "origin_zip3", "dest_zip3", "zone")
    return ZonePairs(table["origin_zip3"], table["dest_zip3"], np.asarray(table["zone"], np.int32))


def read_rate_cards(folder: Path) -> tuple[RateCard, ...]:
    """The carrier's list prices, cheapest service first. Steps that no whole gram falls into are left out (16 after 15.999 ounces)."""
    path = folder.parent / "carrier" / _RATES
    if not path.is_file():
        raise PackError(f"{path} is missing: give the folder of a whole pack, with carrier/ and geo/ beside it")
    prices: dict[str, dict[tuple[int, float], int]] = {}
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            cell = (int(row["zone"]), float(row["max_weight_oz"]))
            prices.setdefault(row["service"], {})[cell] = round(float(row["price_usd"]) * 100) * _MICROS_PER_CENT
    cards = [_rate_card(service.removesuffix("_retail"), table) for service, table in prices.items()]
    return tuple(sorted(cards, key=lambda card: int(card.price_micros[0, 0])))


def _rate_card(service_key: str, prices: dict[tuple[int, float], int]) -> RateCard:
    ounces = sorted({weight for _, weight in prices})
    grams = step_grams(np.array(ounces))
    kept = np.nonzero(np.diff(grams, prepend=0) > 0)[0]
    zones = range(1, 1 + max(zone for zone, _ in prices))
    table = [[prices.get((zone, ounces[step]), -1) for step in kept] for zone in zones]
    return RateCard(service_key, grams[kept], np.array(table, np.int64))
