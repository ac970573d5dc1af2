"""What all players of a scenario share, and the orders that they have under way."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from engine.client import StockpoolError
from engine.demo.agenda import Agenda
from engine.demo.caller import Caller
from engine.demo.scenario import NS_PER_SECOND, Order
from engine.demo.tally import Figures, Tally

MINUTE_NS = 60 * NS_PER_SECOND
HOUR_NS = 60 * MINUTE_NS


class ServerGoneError(Exception):
    """The server does not answer any more; the message is its last error."""


@dataclass(slots=True)
class Job:
    """An order on its way through the nodes.

    ``fulfilled`` has units by line. ``when_done`` is run once nothing is open any more: all shipped, collected or cancelled.
    """

    order: Order
    order_id: int
    figures: Figures
    open_work: set[int] = field(default_factory=set)
    package_count: int = 0
    short_units: int = 0
    is_short: bool = False
    must_reject: bool = False
    fulfilled: Counter[int] = field(default_factory=Counter)
    when_done: list[Callable[[], None]] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether nothing is open any more."""
        return not self.open_work and not self.is_short


@dataclass(slots=True)
class Stage:
    """The caller, the agenda and the figures that all players share.

    ``jobs`` are the orders whose goods will come back, by channel and order key; only those are kept.
    """

    caller: Caller
    agenda: Agenda
    tally: Tally
    jobs: dict[tuple[str, str], Job] = field(default_factory=dict)

    def later(self, delay_ns: int, act: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Lets ``act`` happen ``delay_ns`` after the scenario's present."""
        self.agenda.put(self.agenda.now_ns + delay_ns, partial(self.attempt, act, *arguments))

    async def attempt(self, act: Callable[..., Awaitable[None]], *arguments: Any) -> None:
        """Does it. A call that fails ends what it belongs to and is counted; the others go on.

        Raises:
            ServerGoneError: the server stopped answering.
        """
        try:
            await act(*arguments)
        except StockpoolError as error:
            if error.code.name == "UNAVAILABLE":
                raise ServerGoneError(str(error)) from error
