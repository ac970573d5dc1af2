"""What the invented chain sells, and which of it each node holds."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.demo.scenario import MICROS, Sku

_MADE_OF = [
    "Oak",
    "Linen",
    "Steel",
    "Glass",
    "Wool",
    "Cork",
    "Copper",
    "Bamboo",
    "Ceramic",
    "Leather",
    "Paper",
    "Marble",
    "Felt",
]
_THINGS = [
    "Lamp",
    "Shelf",
    "Bowl",
    "Clock",
    "Basket",
    "Tray",
    "Frame",
    "Mug",
    "Stool",
    "Vase",
    "Blanket",
    "Lantern",
    "Board",
    "Box",
    "Mirror",
    "Jug",
    "Rug",
    "Hook",
    "Planter",
    "Rack",
]
_COLOURS = ["white", "black", "sand", "moss", "rust", "navy", "plum", "sky", "grey", "ochre"]


@dataclass(frozen=True, slots=True)
class Goods:
    """The catalog as columns: ``popularity`` float64[skus] sums to 1; ``price_micros`` int64[skus]."""

    skus: tuple[Sku, ...]
    popularity: NDArray[np.float64]
    price_micros: NDArray[np.int64]


def make_goods(generator: np.random.Generator, count: int) -> Goods:
    """``count`` SKUs: demand falls like Zipf's law, prices and weights are lognormal and rise together."""
    rank = generator.permutation(count).astype(np.float64)
    popularity = 1.0 / (rank + 12.0) ** 0.95
    price = np.exp(generator.normal(np.log(19.0), 0.75, count))
    price_micros = (np.maximum(np.rint(price), 2).astype(np.int64) * 100 - 1) * (MICROS // 100)
    weight = 420.0 * (price / 19.0) ** 0.7 * np.exp(generator.normal(0.0, 0.7, count))
    weight_grams = np.clip(np.rint(weight), 20, 25_000).astype(np.int64)
    made_of = generator.integers(0, len(_MADE_OF), count)
    things = generator.integers(0, len(_THINGS), count)
    colours = generator.integers(0, len(_COLOURS), count)
    skus = tuple(
        Sku(
            sku_key=f"SKU-{index + 1:04d}",
            title=f"{_MADE_OF[made_of[index]]} {_THINGS[things[index]]}, {_COLOURS[colours[index]]}",
            weight_grams=int(weight_grams[index]),
            unit_value_micros=int(price_micros[index]),
        )
        for index in range(count)
    )
    return Goods(skus, popularity / popularity.sum(), price_micros)


def choose_assortment(generator: np.random.Generator, popularity: NDArray[np.float64], size: int) -> NDArray[np.int64]:
    """``size`` of the SKUs, as ascending positions in ``popularity``: popular ones are likelier, none is certain."""
    # Largest keys of log weight + Gumbel noise: a weighted draw without replacement.
    keys = 0.7 * np.log(popularity) + generator.gumbel(size=len(popularity))
    return np.sort(np.argpartition(-keys, size - 1)[:size])
