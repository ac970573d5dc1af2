"""What a draft policy would have decided otherwise than the one in force, added up.

Money is micros, days are whole, nodes are told by key: a tally leaves the process that counts it as JSON.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

EXAMPLES_MAX = 20
"""Examples that are kept of each tally: the latest."""


class ShadowSide(NamedTuple):
    """Plans of one of the two policies. Costs are those of routing: carrier, handling, and its own penalty for each split."""

    package_count: int = 0
    carrier_micros: int = 0
    handling_micros: int = 0
    split_micros: int = 0


class ShadowExample(NamedTuple):
    """One claim that the two policies route otherwise; an id that is 0: there is none."""

    seq: int
    order_id: int
    reservation_id: int
    requested_units: int
    active_units: int
    active_micros: int
    active_node_keys: tuple[str, ...]
    draft_units: int
    draft_micros: int
    draft_node_keys: tuple[str, ...]
    days_later: int
    """By how much later the last package arrives under the draft; 0 also where a day of arrival is not known."""


class ShadowTally(NamedTuple):
    """The draft of one channel's policy beside what is in force, over a stretch of the journal.

    Claims are compared on the state that what is in force has left, one at a time. Where both serve the same units (``alike_count``) ``active``
    and ``draft`` add up what that costs, so that less service never looks like thrift.
    """

    channel_key: str
    policy_key: str
    version: int
    since_seq: int
    since_ns: int
    through_seq: int = 0
    passed_count: int = 0
    """Decisions that were not looked at, for the follower was too far behind."""
    failed_count: int = 0
    """Claims that could not be compared: today's code does not make the plan of then, or it failed."""
    compared_count: int = 0
    different_count: int = 0
    """Other units from other cells."""
    more_count: int = 0
    """The draft serves more units."""
    fewer_count: int = 0
    alike_count: int = 0
    active_units: int = 0
    draft_units: int = 0
    active: ShadowSide = ShadowSide()
    draft: ShadowSide = ShadowSide()
    dated_count: int = 0
    """Claims served alike whose days of arrival are known under both."""
    days_later: int = 0
    """By how much later the last package arrives under the draft, added up over these; negative: earlier."""
    examples: tuple[ShadowExample, ...] = ()
    """The latest that were decided otherwise, newest last."""

    def as_json(self) -> dict[str, Any]:
        """Plain data, for a file."""
        return self._asdict() | {
            "active": self.active._asdict(),
            "draft": self.draft._asdict(),
            "examples": [each._asdict() for each in self.examples],
        }

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Self:
        """Read again what ``as_json`` made. Raises TypeError and KeyError when it is nothing of the kind."""
        examples = tuple(
            ShadowExample(**each)._replace(
                active_node_keys=tuple(each["active_node_keys"]), draft_node_keys=tuple(each["draft_node_keys"])
            )
            for each in data["examples"]
        )
        return cls(**data)._replace(
            active=ShadowSide(**data["active"]), draft=ShadowSide(**data["draft"]), examples=examples
        )
