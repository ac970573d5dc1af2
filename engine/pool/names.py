"""Keys and their dense indexes: who is called what."""

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers


class Registry:
    """Keys in order of arrival, each with its index. Append-only: reading it from another thread is safe."""

    __slots__ = ("index_of", "keys")

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.index_of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, key: str) -> int:
        """Index of ``key``, −1 when it is unknown."""
        return self.index_of.get(key, -1)

    def put(self, index: int, key: str) -> None:
        """The key at ``index`` is this: a present one, or the next."""
        if index == len(self.keys):
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
