"""Real places of the USA: cities for nodes, three-digit ZIP areas for destinations, and the distances between them.

The two tables beside this module are small extracts; their headers and ``README.md`` name the sources.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

EARTH_RADIUS_METRES = 6_371_000.0
METRES_PER_MILE = 1609.344
BAND_MILES = (50, 150, 300, 600, 1000, 1400, 1800)
"""Upper bounds of zones 1 to 7; farther is zone 8. On real carrier pairs this rule is right for 85 % and one zone off for the rest."""


@dataclass(frozen=True, slots=True)
class City:
    """A populous place; degrees."""

    name: str
    state: str
    latitude: float
    longitude: float
    postal_code: str
    population: int


@dataclass(frozen=True, slots=True)
class Regions:
    """All three-digit ZIP areas, by key: centroids in degrees, one postal code of each, and population (0 where unknown)."""

    keys: tuple[str, ...]
    latitudes: NDArray[np.float64]
    longitudes: NDArray[np.float64]
    postal_codes: tuple[str, ...]
    populations: NDArray[np.float64]


def _rows(name: str) -> Iterator[dict[str, str]]:
    with files(__package__).joinpath(name).open(encoding="utf-8") as lines:
        yield from csv.DictReader(line for line in lines if not line.startswith("#"))


@cache
def cities() -> tuple[City, ...]:
    """The 200 largest cities, most populous first."""
    return tuple(
        City(
            row["city"],
            row["state"],
            float(row["latitude"]),
            float(row["longitude"]),
            row["postal_code"],
            int(row["population"]),
        )
        for row in _rows("cities.csv")
    )


@cache
def regions() -> Regions:
    """The 896 areas that have postal codes."""
    rows = list(_rows("regions.csv"))
    return Regions(
        keys=tuple(row["region"] for row in rows),
        latitudes=np.array([float(row["latitude"]) for row in rows]),
        longitudes=np.array([float(row["longitude"]) for row in rows]),
        postal_codes=tuple(row["postal_code"] for row in rows),
        populations=np.array([float(row["population"]) for row in rows]),
    )


def band_metres() -> NDArray[np.int64]:
    """``BAND_MILES`` in metres, int64[7]."""
    return np.array([round(miles * METRES_PER_MILE) for miles in BAND_MILES], dtype=np.int64)


def distances(
    from_latitudes: NDArray[np.float64],
    from_longitudes: NDArray[np.float64],
    to_latitudes: NDArray[np.float64],
    to_longitudes: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Great-circle metres, float64[from, to]; all positions in degrees."""
    lat_a, lon_a = np.radians(from_latitudes)[:, None], np.radians(from_longitudes)[:, None]
    lat_b, lon_b = np.radians(to_latitudes)[None, :], np.radians(to_longitudes)[None, :]
    haversine = np.sin((lat_a - lat_b) / 2) ** 2 + np.cos(lat_a) * np.cos(lat_b) * np.sin((lon_a - lon_b) / 2) ** 2
    metres: NDArray[np.float64] = 2 * EARTH_RADIUS_METRES * np.arcsin(np.sqrt(np.minimum(haversine, 1.0)))
    return metres
