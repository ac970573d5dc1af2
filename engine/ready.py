"""What a server says of itself: that it answers calls, and why it does no more."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ready:
    """A server that answers calls: where it listens, and what it knows. The url has no password in it."""

    target: str
    journal_url: str
    journal_seq: int
    node_count: int
    sku_count: int
    replay_s: float


class JournalLost(Exception):
    """The journal could not be written and the server has ended. Nobody was told that the last changes were made."""
