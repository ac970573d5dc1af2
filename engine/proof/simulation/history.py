"""What happens in a simulated world, as words: steps that can be told again, with some of them left out.

A step names what was asked and what went wrong. Ids that the engine gave are not written down but referred to (`Ref`), so that a
history from which a part is removed still means something: what it asks of a thing that was never made, it asks of an unknown id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from engine.model.commands import ClaimColumns, Command
from engine.model.queries import Query

UNKNOWN_ID = 1 << 40
"""Stands for a thing that was never made."""


class Ref(NamedTuple):
    """The id of something that an earlier call made. ``noun``: "reservation", "order", "work", "return"; ``at``: which of several."""

    noun: str
    uid: int
    at: int = 0

    def __repr__(self) -> str:
        return f"<{self.noun} of #{self.uid}{f'.{self.at}' if self.at else ''}>"


def _shown(value: Any) -> str:
    """A field for people: many equal claims as one."""
    if not isinstance(value, ClaimColumns):
        return repr(value)
    claims = list(value)
    return f"{len(claims)} x {claims[0]}" if len(claims) > 1 and len(set(claims)) == 1 else repr(claims)


@dataclass(frozen=True, slots=True)
class Ask:
    """A command, asked for the first time. ``under`` another call's request id when it is not 0."""

    uid: int
    kind: type[Command]
    fields: dict[str, Any]
    under: int = 0

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={_shown(value)}" for name, value in self.fields.items())
        return f"#{self.uid} {self.kind.__name__}({fields})" + (f" under the id of #{self.under}" if self.under else "")


@dataclass(frozen=True, slots=True)
class Again:
    """The same request once more: same id, same body. ``ageless``: its sender does not tell how old it is."""

    uid: int
    ageless: bool = False

    def __repr__(self) -> str:
        return f"#{self.uid} again{' (age untold)' if self.ageless else ''}"


@dataclass(frozen=True, slots=True)
class Look:
    """A query. ``ahead``: it asks for a state so many decisions after the present."""

    kind: type[Query]
    fields: dict[str, Any]
    ahead: int = 0

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self.fields.items())
        return f"{self.kind.__name__}({fields})" + (f" at least {self.ahead} ahead" if self.ahead else "")


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, and whether the caller has given up waiting before it is decided."""

    item: Ask | Again | Look
    given_up: bool = False

    def __repr__(self) -> str:
        return f"{self.item!r}{' (nobody waits)' if self.given_up else ''}"


class Trouble(Enum):
    """What goes wrong while a group is made durable."""

    REFUSED = "the disk refuses the write, and says so; the process ends"
    BEFORE = "the process dies before it writes"
    TORN = "the process dies while it writes: a part of the bytes stays"
    UNKNOWN = "the connection breaks in the commit: it may have been written; the process ends"
    LATE = "the connection breaks in the commit, which reaches the disk later, or never; the process ends"
    AFTER = "the process dies after the write, before it answers anybody"
    SLOW = "the write takes long"
    ROTTEN = "the process dies after the write; a restart first meets a copy of the disk with one flipped bit"

    @property
    def ends(self) -> bool:
        """Whether the process ends of it."""
        return self is not Trouble.SLOW


class Fault(NamedTuple):
    """``part``, 0 to 1, says how much: of the bytes that stay, where the flipped bit is, how late, how slow."""

    trouble: Trouble
    part: float

    def __repr__(self) -> str:
        return f"{self.trouble.name} at {self.part:.3f}: {self.trouble.value}"


class Care(Enum):
    """What is done beside the processes."""

    SNAPSHOT = "a follower makes a snapshot"
    DAMAGE = "the newest snapshot loses its end, or one of its bits is another"
    CUT = "the journal is cut behind the older snapshot"
    CUT_SHORT = "the journal is cut, and whoever cuts it dies on the way"


class Upkeep(NamedTuple):
    """``part``, 0 to 1, says where, how far, or how much is kept."""

    care: Care
    part: float

    def __repr__(self) -> str:
        return f"{self.care.name} at {self.part:.3f}: {self.care.value}"


@dataclass(frozen=True, slots=True)
class Step:
    """One group: the clock moves by ``by_ns`` (also back), then one of two processes commits the calls. ``upkeep`` comes first."""

    by_ns: int
    calls: tuple[Call, ...]
    fault: Fault | None = None
    process: int = 0
    upkeep: Upkeep | None = None

    @property
    def command_count(self) -> int:
        """Calls that are commands."""
        return sum(not isinstance(call.item, Look) for call in self.calls)


@dataclass(slots=True)
class History:
    """Everything that happened in one world, in order."""

    steps: list[Step] = field(default_factory=list)

    @property
    def command_count(self) -> int:
        """Calls that are commands."""
        return sum(step.command_count for step in self.steps)

    def told(self) -> str:
        """For people."""
        lines = []
        for at, step in enumerate(self.steps, 1):
            seconds = step.by_ns / 1e9
            process = " · second process" if step.process else ""
            lines.append(f"group {at} · clock {seconds:+,.9g} s{process}")
            if step.upkeep is not None:
                lines.append(f"    before: {step.upkeep!r}")
            lines += [f"    {call!r}" for call in step.calls]
            if step.fault is not None:
                lines.append(f"    ! {step.fault!r}")
        return "\n".join(lines)
