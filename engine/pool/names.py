"""Keys and their dense indexes: who is called what."""

import re
from array import array
from zlib import crc32

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers

DIRECTORY_CHARACTERS_MAX = 64
_HEXADECIMAL = re.compile(r"[0-9a-f]{1,16}")


class Registry:
    """Keys in order of arrival, each with its index. Append-only: reading it from another thread is safe."""

    __slots__ = ("index_of", "keys", "marks")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.index_of: dict[str, int] = {}
        self.marks = array("I", [0])
        """Entry n tells the first n keys from all others, by a checksum over them."""

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: str) -> int:
        """Index of ``key``, −1 when it is unknown."""
        return self.index_of.get(key, -1)

    def put(self, index: int, key: str) -> None:
        """The key at ``index`` is this: a present one, or the next."""
        if index == len(self.keys):
            self.marks.append(crc32(key.encode() + b"\0", self.marks[-1]))
            self.keys.append(key)
            self.index_of[key] = index


class Names:
    """What the border needs to speak of SKUs, nodes and their groups, channels, services, feeds, regions and cells by their keys."""

    __slots__ = ("_cells", "channels", "currency_code", "groups", "nodes", "regions", "services", "skus", "sources")

    def __init__(self, cells: Integers) -> None:
        self._cells = cells
        self.skus = Registry()
        self.nodes = Registry()
        self.groups = Registry()
        self.channels = Registry()
        self.services = Registry()
        self.sources = Registry()
        self.regions = Registry()
        self.currency_code = ""

    def directory(self) -> str:
        """What tells the present indexes of SKUs and nodes from those of every other store."""
        marked = [(len(registry), registry.marks[len(registry)]) for registry in (self.skus, self.nodes)]
        return "-".join(f"{count:x}.{mark:08x}" for count, mark in marked)

    def known(self, directory: str) -> tuple[int, int] | None:
        """How many SKUs and nodes there were when ``directory`` was told; None when it was told of another store."""
        parts = directory.split("-")
        if len(directory) > DIRECTORY_CHARACTERS_MAX or len(parts) != 2:
            return None
        counts = []
        for part, registry in zip(parts, (self.skus, self.nodes), strict=True):
            told, _, mark = part.partition(".")
            if not _HEXADECIMAL.fullmatch(told) or int(told, 16) > len(registry):
                return None
            counts.append(int(told, 16))
            if mark != f"{registry.marks[counts[-1]]:08x}":
                return None
        return counts[0], counts[1]

    @property
    def sku_keys(self) -> list[str]:
        """Key of each SKU."""
        return self.skus.keys

    @property
    def node_keys(self) -> list[str]:
        """Key of each node."""
        return self.nodes.keys

    @property
    def channel_keys(self) -> list[str]:
        """Key of each channel."""
        return self.channels.keys

    @property
    def service_keys(self) -> list[str]:
        """Key of each carrier service."""
        return self.services.keys

    @property
    def source_keys(self) -> list[str]:
        """Key of each feed."""
        return self.sources.keys

    @property
    def region_keys(self) -> list[str]:
        """Key of each region."""
        return self.regions.keys

    def cell(self, slot: int) -> tuple[int, int]:
        """(SKU index, node index) of an open cell; they never change."""
        key = int(self._cells[c.KEY, slot])
        return key >> SLOT_BITS, key & SLOT_MASK

    def cells(self, slots: Integers) -> tuple[list[int], list[int]]:
        """SKU indexes and node indexes of many open cells."""
        keys = self._cells[c.KEY, slots]
        skus: list[int] = (keys >> SLOT_BITS).tolist()
        nodes: list[int] = (keys & SLOT_MASK).tolist()
        return skus, nodes
