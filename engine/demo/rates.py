"""Parcel prices that nobody charges: made by formula, shaped like a carrier's list, for scenarios without a price list of their own."""

import numpy as np
from numpy.typing import NDArray

from engine.demo.places import band_metres, regions
from engine.demo.scenario import RateCard, RoutingPolicy, ZoneChart

GRAMS_PER_OUNCE = 28.349523125
ZONES = 8
STEP_OUNCES = (4, 8, 12, *range(16, 16 * 71, 16))
"""4, 8 and 12 ounces, then pound by pound to 70."""

# Dollars: of any package, for each zone beyond the first, for each pound, for each pound and zone beyond the first.
_TARIFFS = {
    "ground": (5.20, 0.22, 0.62, 0.085),
    "priority": (7.10, 0.55, 0.85, 0.240),
    "express": (23.50, 2.30, 1.60, 0.520),
}


def rate_cards() -> tuple[RateCard, ...]:
    """Three services, zones 1 to 8; prices rise with zone and weight and are whole cents in micros."""
    grams = step_grams(np.array(STEP_OUNCES, dtype=np.float64))
    pounds = np.array(STEP_OUNCES, dtype=np.float64)[None, :] / 16
    beyond = np.arange(ZONES, dtype=np.float64)[:, None]
    cards = []
    for service_key, (package, zone, pound, pound_zone) in _TARIFFS.items():
        dollars = package + zone * beyond + (pound + pound_zone * beyond) * pounds
        cards.append(RateCard(service_key, grams, np.rint(dollars * 100).astype(np.int64) * 10_000))
    return tuple(cards)


def distance_chart() -> ZoneChart:
    """Zones by distance, from any node to each three-digit ZIP area."""
    areas, none = regions(), np.empty(0, np.int32)
    return ZoneChart(areas.keys, areas.latitudes, areas.longitudes, band_metres(), none, none, none)


def default_policy() -> RoutingPolicy:
    """The cheapest service, and a dollar and a half for each package beyond the first."""
    return RoutingPolicy("default", 1_500_000, True, rate_cards()[0].service_key)


def step_grams(ounces: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole grams that are not heavier than ``ounces``."""
    return np.floor(ounces * GRAMS_PER_OUNCE).astype(np.int64)
