"""How much each client has under way at a time, so that none takes the room of all."""

RETRY_AFTER_NS = 100_000_000


class Crowded(Exception):
    """One more is one too many: ``limit``, of this value, is reached. Come back after ``retry_after_ns``."""

    def __init__(self, limit: str, value: int, whose: str, retry_after_ns: int = RETRY_AFTER_NS) -> None:
        super().__init__(limit, value)
        self.limit = limit
        self.value = value
        self.whose = whose
        self.retry_after_ns = retry_after_ns


class Crowd:
    """Counts what is under way by client: by credential, or by connection where there are none."""

    __slots__ = ("_counts", "_limit", "_maximum")

    def __init__(self, limit: str, maximum: int) -> None:
        self._limit = limit
        self._maximum = maximum
        self._counts: dict[str, int] = {}

    def __len__(self) -> int:
        """Clients that have something under way."""
        return len(self._counts)

    def enter(self, client: str) -> None:
        """One more begins. Raises Crowded."""
        count = self._counts.get(client, 0)
        if count >= self._maximum:
            raise Crowded(self._limit, self._maximum, "This client")
        self._counts[client] = count + 1

    def leave(self, client: str) -> None:
        """One that began has ended."""
        count = self._counts[client] - 1
        if count:
            self._counts[client] = count
        else:
            del self._counts[client]
