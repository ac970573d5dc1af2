"""What will happen to orders, drawn by seed before they are played."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.demo.scenario import Disposition, Kind, RejectReason

KINDS = (Kind.POS, Kind.PICKUP, Kind.SHIP, Kind.MARKETPLACE)
"""Kinds by the small numbers that columns hold."""
POS, PICKUP, SHIP, MARKETPLACE = range(4)

REJECTS = 0.02
ABANDONS = 0.03
CANCELS = 0.01
_REASONS = {
    RejectReason.NOT_IN_STOCK: 0.22,
    RejectReason.MISMATCH: 0.25,
    RejectReason.DAMAGED: 0.15,
    RejectReason.WORN_DISPLAY: 0.05,
    RejectReason.TOO_BUSY: 0.28,
    RejectReason.CLOSED: 0.05,
}
_DISPOSITIONS = {
    Disposition.RESTOCK: 0.78,
    Disposition.REFURBISH: 0.05,
    Disposition.QUARANTINE: 0.07,
    Disposition.RETURN_TO_VENDOR: 0.04,
    Disposition.SCRAP: 0.04,
    Disposition.MISSING: 0.02,
}
_SERVICES = (0.80, 0.16, 0.04)
REASONS = tuple(_REASONS)
DISPOSITIONS = tuple(_DISPOSITIONS)


@dataclass(frozen=True, slots=True)
class Fates:
    """Columns, one entry an order: ``rejects`` is an index into ``REASONS``, -1 for none; ``services`` an index of the rate card."""

    rejects: NDArray[np.int8]
    abandons: NDArray[np.bool_]
    cancels: NDArray[np.bool_]
    services: NDArray[np.int8]


def chance(seed: int, *stream: int) -> np.random.Generator:
    """A generator of its own for each purpose, so that a new draw in one place changes no other."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence((seed, *stream))))


def draw_fates(generator: np.random.Generator, kinds: NDArray[np.int8]) -> Fates:
    """Fates of orders of these kinds (int8[orders]).

    Nodes reject parcels only: work that is routed, and may be routed again. Web shoppers (pickup, ship) abandon baskets and cancel; a
    marketplace cancels too. An order has one of these fates at most.
    """
    count = len(kinds)
    web = (kinds == PICKUP) | (kinds == SHIP)
    parcel = (kinds == SHIP) | (kinds == MARKETPLACE)
    what = generator.random(count)
    reasons = generator.choice(len(REASONS), count, p=list(_REASONS.values())).astype(np.int8)
    return Fates(
        rejects=np.where(parcel & (what < REJECTS), reasons, np.int8(-1)),
        abandons=web & (generator.random(count) < ABANDONS),
        cancels=(web | parcel) & (what >= REJECTS) & (what < REJECTS + CANCELS),
        services=generator.choice(3, count, p=_SERVICES).astype(np.int8),
    )


def draw_dispositions(generator: np.random.Generator, count: int) -> NDArray[np.int8]:
    """Indexes into ``DISPOSITIONS``, int8[count]."""
    return generator.choice(len(DISPOSITIONS), count, p=list(_DISPOSITIONS.values())).astype(np.int8)
