"""What an adapter is: the one place where another system's data turns into rows that Stockpool understands, and back.

An adapter is a class that fulfils ``Inbound``, ``Outbound`` or both. It translates; it decides nothing and keeps no stock. What
calls it (the command line, a feed) takes its batches and talks to the server through ``engine.client``.

====================  =========  ========================================================================================
method                required   meaning
====================  =========  ========================================================================================
``nodes``             inbound    the network: places that hold stock
``skus``              inbound    the catalog: what is sold and counted
``counts``            inbound    units on hand, as columns (a feed has millions of rows)
``orders``            optional   orders that were sold elsewhere: facts, to be ingested
``returns``           optional   goods announced to come back
``put_stock_levels``  outbound   publishes what a channel may sell
``put_confirmations`` optional   tells the other system what became of its orders
====================  =========  ========================================================================================

A source that has no data of a kind yields nothing. Optional methods may raise ``NotSupportedError``.

Rules for the rows:

* Keys are the other system's own text, 1 to 64 characters. Units are whole pieces, money integer micros of one currency, weights
  grams, times aware UTC datetimes.
* A bad row never stops the good ones. It comes back as a ``RowError`` in the batch where it was found, with the file, its row
  number, the field and what is wrong, so that a person can repair it.
* Batches come in the order of the source and are made as they are read, so that no file needs to fit into memory.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

KEY_LENGTH_MAX = 64
"""Characters of a key."""
TEXT_LENGTH_MAX = 200
"""Characters of a name or title."""
UNITS_MAX = 1_000_000_000
WEIGHT_GRAMS_MAX = 1_000_000
MICROS_MAX = 10**12
"""A million of the currency; anything above these is a slip of the pen, and the server would not take it."""


class NotSupportedError(Exception):
    """The other system does not do this; the message says which method and why."""


class NodeKind(StrEnum):
    """What kind of place a node is."""

    STORE = "store"
    WAREHOUSE = "warehouse"
    SUPPLIER = "supplier"
    MARKETPLACE = "marketplace"


class OrderKind(StrEnum):
    """How an order reaches its buyer."""

    SHIP = "ship"
    PICKUP = "pickup"


class Disposition(StrEnum):
    """What becomes of a returned unit."""

    RESTOCK = "restock"
    REFURBISH = "refurbish"
    QUARANTINE = "quarantine"
    RETURN_TO_VENDOR = "return_to_vendor"
    SCRAP = "scrap"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class RowError:
    """A row that cannot be used.

    ``row`` is what an editor shows: for CSV the header is row 1; for Parquet data rows count from 1. 0 speaks of the whole file.
    ``field`` is the column, empty when the row as a whole is wrong.
    """

    file: str
    row: int
    field: str
    message: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.row}" if self.row else self.file
        return f"{where}: {self.field}: {self.message}" if self.field else f"{where}: {self.message}"


class BadRowsError(Exception):
    """Rows are bad and the caller wanted all or nothing; ``errors`` lists the first of them, ``count`` is how many there are."""

    def __init__(self, errors: tuple[RowError, ...], count: int) -> None:
        super().__init__(f"{count} bad rows, nothing was passed on; first: {errors[0]}")
        self.errors = errors
        self.count = count


@dataclass(frozen=True, slots=True)
class NodeRow:
    """A place that holds stock. Degrees for the position; costs in micros of the store's currency."""

    node_key: str
    name: str
    kind: NodeKind
    latitude: float
    longitude: float
    postal_code: str
    closed: bool
    ships: bool
    offers_pickup: bool
    accepts_returns: bool
    package_cost_micros: int
    unit_cost_micros: int
    safety_stock_units: int


@dataclass(frozen=True, slots=True)
class SkuRow:
    """What is sold and counted."""

    sku_key: str
    title: str
    weight_grams: int
    unit_value_micros: int
    currency_code: str


@dataclass(frozen=True, slots=True)
class CountRow:
    """Units on hand of one SKU at one node; ``safety_stock_units`` None leaves it as it is."""

    sku_key: str
    node_key: str
    on_hand_units: int
    safety_stock_units: int | None


@dataclass(frozen=True, slots=True)
class CountColumns:
    """Many count rows as columns of equal length, in the order of the source.

    ``on_hand_units`` and ``safety_stock_units`` are int64[n], the latter -1 where the row leaves it as it is; ``rows`` int64[n] are row
    numbers as in ``RowError``. ``errors`` are the bad rows that stood between them.
    """

    sku_keys: list[str]
    node_keys: list[str]
    on_hand_units: NDArray[np.int64]
    safety_stock_units: NDArray[np.int64]
    rows: NDArray[np.int64]
    errors: tuple[RowError, ...] = ()

    def __len__(self) -> int:
        return len(self.sku_keys)

    def __iter__(self) -> Iterator[CountRow]:
        columns = zip(self.sku_keys, self.node_keys, self.on_hand_units, self.safety_stock_units, strict=True)
        for sku_key, node_key, on_hand, safety in columns:
            yield CountRow(sku_key, node_key, int(on_hand), int(safety) if safety >= 0 else None)


@dataclass(frozen=True, slots=True)
class OrderLineRow:
    """A line of an order."""

    sku_key: str
    units: int
    unit_price_micros: int


@dataclass(frozen=True, slots=True)
class OrderRow:
    """An order that was sold elsewhere. ``postal_code`` for SHIP, ``node_key`` for PICKUP; the other one is empty."""

    channel_key: str
    order_key: str
    time: datetime
    kind: OrderKind
    node_key: str
    postal_code: str
    service_key: str
    customer_key: str
    currency_code: str
    lines: tuple[OrderLineRow, ...]


@dataclass(frozen=True, slots=True)
class ReturnRow:
    """Units of a SKU that come back. ``order_key`` may be empty (a receipt only); ``node_key`` is where the buyer brings them, else
    they travel from ``postal_code``. ``disposition`` None: not judged yet.
    """

    return_key: str
    channel_key: str
    order_key: str
    sku_key: str
    units: int
    time: datetime
    node_key: str
    postal_code: str
    disposition: Disposition | None


@dataclass(frozen=True, slots=True)
class StockLevel:
    """What a channel may sell of a SKU; ``node_key`` is empty for the whole channel. ``journal_seq`` is the state that was read."""

    channel_key: str
    sku_key: str
    node_key: str
    available_units: int
    journal_seq: int


@dataclass(frozen=True, slots=True)
class Confirmation:
    """What became of a line of an order: ``state`` is the order's state as the contract names it, in lower case."""

    channel_key: str
    order_key: str
    sku_key: str
    state: str
    units: int
    node_key: str
    tracking: str
    time: datetime


RowT_co = TypeVar("RowT_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Batch(Generic[RowT_co]):
    """Good rows, in the order of the source, and the bad ones that stood between them."""

    rows: tuple[RowT_co, ...]
    errors: tuple[RowError, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)


@runtime_checkable
class Inbound(Protocol):
    """A system that data comes from. Each method may be called once or often and starts from the beginning."""

    def nodes(self) -> Iterator[Batch[NodeRow]]:
        """The network."""

    def skus(self) -> Iterator[Batch[SkuRow]]:
        """The catalog; a key occurs once."""

    def counts(self) -> Iterator[CountColumns]:
        """Units on hand."""

    def orders(self) -> Iterator[Batch[OrderRow]]:
        """Orders that were sold elsewhere."""

    def returns(self) -> Iterator[Batch[ReturnRow]]:
        """Goods announced to come back."""


@runtime_checkable
class Outbound(Protocol):
    """A system that is told what the engine knows."""

    def put_stock_levels(self, levels: Iterable[StockLevel]) -> int:
        """Publishes stock levels; returns how many were written."""

    def put_confirmations(self, confirmations: Iterable[Confirmation]) -> int:
        """Confirms orders; returns how many were written."""
