"""What is journaled about prices beside the prices themselves: which plan set them, and when."""

from typing import NamedTuple


class PricePlan(NamedTuple):
    """The last plan whose prices are complete. A cell keeps what an earlier plan said of it where this one says the same."""

    plan_key: str
    set_ns: int
    """When its last part was journaled: its age counts from here."""
    expired: bool = False
    """It became older than ``price_age_max_ns`` with no other after it: prices do not count any more."""
