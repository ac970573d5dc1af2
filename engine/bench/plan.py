"""What a load is made of, as it is handed to the processes that make it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

RESERVE, BATCH, COLUMNS = "reserve", "batch", "columns"
LINES_MAX = 10
BATCH_MAX = 1_000


class BenchError(Exception):
    """The load cannot be made, or something is wrong with what was measured. ``hint`` says what to do."""

    def __init__(self, what: str, why: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.why, self.hint = what, why, hint


@dataclass(frozen=True, slots=True)
class Indexes:
    """What the server tells to use in the place of keys; in the order of the keys of ``Goods``."""

    directory: str
    skus: tuple[int, ...]
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Goods:
    """What may be reserved, and by which way. Every SKU lies at every node of ``node_keys``."""

    channel_key: str
    sku_keys: tuple[str, ...]
    node_keys: tuple[str, ...] = ()
    """Reservations are collected at one of these, drawn for each; none: they are shipped to ``postal_code``."""
    postal_code: str = ""
    ttl_s: float = 0.0
    """How long each reservation holds; 0: as long as the server lets it without being asked."""
    indexes: Indexes | None = None
    """For calls in columns: learned from the server."""


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: closed loop with ``in_flight`` calls at a time, or open loop with ``rate`` calls a second, whatever the answers do."""

    call: str
    items: int
    """Reservations a call."""
    lines: int
    """Of each reservation, every one of another SKU, one unit each."""
    hot: float
    """Share of the reservations whose first line is of the first SKU; the other SKUs are drawn uniformly."""
    in_flight: int
    rate: float
    """Calls a second, by all processes together; 0: closed loop."""
    seconds: float
    warm_up_s: float
    """Before these; nothing of it is measured."""
    timeout_s: float
    """After which a call is given up."""

    @property
    def is_open(self) -> bool:
        """Whether calls come at a constant rate."""
        return self.rate > 0

    @property
    def loop(self) -> str:
        """In words."""
        return f"open {self.rate:,.10g}/s" if self.is_open else f"closed {self.in_flight:,}"


@dataclass(frozen=True, slots=True)
class Share:
    """What one process of ``processes`` does of a point."""

    target: str
    token: str | None
    roots: str | None
    """PEM text of the authorities to trust; none: no TLS."""
    goods: Goods
    point: Point
    process: int
    processes: int
    seed: int

    @property
    def in_flight(self) -> int:
        """Its part of the calls in flight; the first processes take what does not go into equal parts."""
        whole, rest = divmod(self.point.in_flight, self.processes)
        return whole + (self.process < rest)

    def due_s(self) -> Iterator[float]:
        """When its calls are due in an open loop, in seconds from the begin: the processes take turns, so that all together come evenly."""
        end_s = self.point.warm_up_s + self.point.seconds
        number = self.process
        while (due := number / self.point.rate) < end_s:
            yield due
            number += self.processes

    def as_json(self) -> dict[str, Any]:
        """As it goes to the process."""
        return asdict(self)

    @classmethod
    def of_json(cls, told: dict[str, Any]) -> Share:
        """As it comes out there."""
        goods = told["goods"]
        indexes = goods["indexes"]
        if indexes is not None:
            indexes = Indexes(indexes["directory"], tuple(indexes["skus"]), tuple(indexes["nodes"]))
        keys = {"sku_keys": tuple(goods["sku_keys"]), "node_keys": tuple(goods["node_keys"])}
        held = Goods(**goods | keys | {"indexes": indexes})
        return cls(**told | {"goods": held, "point": Point(**told["point"])})
