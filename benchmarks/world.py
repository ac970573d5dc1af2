"""The world that the benchmarks ask about: a network, stock, and questions drawn from a seed.

Nodes lie at random over the United States, every three-digit postal area is a region, zones go by distance. Every SKU lies at
``cells_per_sku`` nodes with more units than any benchmark takes, so that each claim is granted and a run measures one road.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

CHANNEL = "web"


class Ask(NamedTuple):
    """What one reservation asks for: shipped to ``postal_code``, or collected at ``node_key``."""

    lines: tuple[tuple[str, int], ...]
    postal_code: str
    node_key: str


@dataclass(frozen=True, slots=True)
class World:
    """Sizes. ``skus`` is a multiple of ``nodes``, and ``nodes`` of ``cells_per_sku``."""

    skus: int
    nodes: int
    cells_per_sku: int
    seed: int = 1
    lines: int = 2
    """Of every reservation."""

    def nodes_of(self, sku: int) -> Iterator[int]:
        """Nodes where a SKU lies. SKUs that are ``nodes`` apart lie at the same."""
        stride = self.nodes // self.cells_per_sku
        return ((sku * 7 + copy * stride) % self.nodes for copy in range(self.cells_per_sku))

    def asks(self, count: int, *, pickup: bool, seed: int, hot: bool = False) -> Iterator[Ask]:
        """Lines of one or two units each; shipped ones from anywhere to anywhere, collected ones at a node that has them all.

        ``hot``: the first line is always of SKU 0; the others are as ever.
        """
        chance = random.Random(seed)
        for _ in range(count):
            first = 0 if hot else chance.randrange(self.skus)
            others = range(self.lines - 1)
            if pickup:
                skus = [(first + self.nodes * chance.randrange(1, self.skus // self.nodes)) % self.skus for _ in others]
                node_key = f"N{chance.choice(list(self.nodes_of(first))):05}"
            else:
                skus = [chance.randrange(self.skus) for _ in others]
                node_key = ""
            lines = tuple((f"S{sku:06}", chance.randint(1, 2)) for sku in (first, *skus))
            yield Ask(lines, f"{chance.randrange(100, 999)}01", node_key)


LARGE = World(skus=100_000, nodes=200, cells_per_sku=4)
SMALL = World(skus=2_000, nodes=200, cells_per_sku=4)
