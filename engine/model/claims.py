"""Claims on units: one, or many as columns."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from engine.model.outcomes import FulfillmentKind

Numbers: TypeAlias = Any
"""Whole numbers: a sequence, or int64[n]."""
Lines = tuple[tuple[str, int], ...]
"""(SKU key, units) a line."""


class Claim(NamedTuple):
    """What to hold or to order: ``postal_code`` for shipping, or ``store_key`` for shipping to a store at which the buyer collects;
    ``pickup_node_key`` for pickup of what the store has. ``service_key`` "": the policy's.

    A tuple, for every call makes one: a frozen dataclass takes three times as long to make.
    """

    channel_key: str
    lines: Lines
    kind: FulfillmentKind
    postal_code: str = ""
    pickup_node_key: str = ""
    service_key: str = ""
    allow_partial: bool = False
    ttl_ns: int = 0
    due_day: int = 0
    """Day (since 1970-01-01) by which the buyer was promised arrival; 0: none, and for pickup."""
    store_key: str = ""


@dataclass(frozen=True, slots=True)
class ClaimColumns:
    """Many claims, a column for each property: a batch of a thousand is judged without an object for each.

    ``places``: the postal code of a shipped claim, the node key of a collected one. ``line_counts`` says how many of ``sku_keys``
    and ``units``, which have an entry a line, belong to each claim.
    """

    channel_keys: list[str]
    kinds: list[int]
    places: list[str]
    service_keys: list[str]
    allow_partial: list[bool]
    ttl_ns: list[int]
    line_counts: list[int]
    sku_keys: list[str]
    units: list[int]
    due_days: list[int]
    store_keys: list[str]

    @classmethod
    def of(cls, claims: Iterable[Claim]) -> "ClaimColumns":
        """The columns of claims."""
        rows = list(claims)
        return cls(
            [claim.channel_key for claim in rows],
            [int(claim.kind) for claim in rows],
            [claim.pickup_node_key if claim.kind == FulfillmentKind.PICKUP else claim.postal_code for claim in rows],
            [claim.service_key for claim in rows],
            [claim.allow_partial for claim in rows],
            [claim.ttl_ns for claim in rows],
            [len(claim.lines) for claim in rows],
            [sku_key for claim in rows for sku_key, _ in claim.lines],
            [units for claim in rows for _, units in claim.lines],
            [claim.due_day for claim in rows],
            [claim.store_key for claim in rows],
        )

    def __len__(self) -> int:
        return len(self.kinds)

    def __iter__(self) -> Iterator[Claim]:
        first = 0
        for item, count in enumerate(self.line_counts):
            yield self.claim(item, first)
            first += count

    def claim(self, item: int, first_line: int) -> Claim:
        """One of them, whose lines begin at ``first_line``."""
        kind, place = FulfillmentKind(self.kinds[item]), self.places[item]
        span = slice(first_line, first_line + self.line_counts[item])
        return Claim(
            self.channel_keys[item],
            tuple(zip(self.sku_keys[span], self.units[span], strict=True)),
            kind,
            place if kind == FulfillmentKind.SHIP else "",
            place if kind == FulfillmentKind.PICKUP else "",
            self.service_keys[item],
            self.allow_partial[item],
            self.ttl_ns[item],
            self.due_days[item],
            self.store_keys[item],
        )


@dataclass(frozen=True, slots=True, eq=False)
class ClaimArrays:
    """Many claims that have much in common, as arrays (int64): the road of a caller who sends columns.

    Of ``sku_keys`` and ``sku_indexes``, which have an entry a line, one is empty; so are two of ``node_indexes``, ``node_keys`` (of stores where goods are
    collected) and ``postal_codes``, of which there is an entry a claim, or one for all. ``line_counts``: lines of each claim. Indexes are known to
    exist, keys may be unknown.
    """

    channel_key: str
    service_key: str
    ttl_ns: int
    allow_partial: bool
    due_day: int
    line_counts: Numbers
    sku_keys: Sequence[str]
    sku_indexes: Numbers
    units: Numbers
    node_indexes: Numbers
    node_keys: Sequence[str]
    postal_codes: Sequence[str]

    def __len__(self) -> int:
        return len(self.line_counts)

    @property
    def kind(self) -> FulfillmentKind:
        """Of all of them."""
        return FulfillmentKind.SHIP if self.postal_codes else FulfillmentKind.PICKUP
