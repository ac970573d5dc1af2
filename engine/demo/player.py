"""Plays a scenario through the real client: each call of it becomes the requests that the real caller would make.

Till sales are booked as facts; a pickup is held at its store, placed, made ready and handed over; a shipped order looks at the options,
is held and placed, accepted and sent by the nodes (some reject it); a marketplace's order is ingested; goods come back. Each caller
waits for an answer before it goes on, and what an answer brings about later goes on the agenda.
"""

from collections.abc import Awaitable, Callable

from engine.client import AsyncClient
from engine.demo.agenda import Agenda
from engine.demo.caller import Caller
from engine.demo.checkouts import Checkouts
from engine.demo.giveback import ReturnsDesk
from engine.demo.scenario import NS_PER_DAY, Call, Kind, Order, Receipt, Return, Scenario
from engine.demo.stage import ServerGoneError, Stage
from engine.demo.stores import Stores
from engine.demo.tally import Tally


class Player:
    """Plays a scenario through one client.

    ``caller`` and ``tally`` hold what came of it; ``order_count`` is how many orders were begun and ``day`` which day is being played.
    """

    def __init__(self, client: AsyncClient, scenario: Scenario, *, in_flight: int = 64) -> None:
        """``in_flight`` callers at most wait for an answer at the same time."""
        self.scenario = scenario
        self.in_flight = in_flight
        self.caller = Caller(client, f"demo-{scenario.seed}")
        self.tally = Tally()
        self.order_count = 0
        self.day = 0
        self.agenda = Agenda(self._play)
        stage = Stage(self.caller, self.agenda, self.tally)
        self._stage = stage
        self._stores = Stores(stage)
        self._desk = ReturnsDesk(stage)
        checkouts = Checkouts(stage, self._stores)
        self._order_max: int | None = None
        self._sellers: dict[Kind, Callable[[Order], Awaitable[None]]] = {
            Kind.POS: checkouts.sell_at_till,
            Kind.PICKUP: checkouts.order_for_pickup,
            Kind.SHIP: checkouts.order_for_shipping,
            Kind.MARKETPLACE: checkouts.ingest,
        }

    async def play(self, day_count: int, order_max: int | None = None) -> None:
        """Plays the first days, at most ``order_max`` orders of them, and then whatever they still bring about.

        A day begins when the calls of the one before are answered. ``stop`` ends it early.

        Raises:
            ServerGoneError: the server stopped answering.
        """
        self._order_max = order_max
        try:
            for self.day in range(day_count):
                if self.is_stopped or self._has_enough:
                    break
                calls = self.scenario.day(self.day)
                await self.agenda.run(calls, until_ns=(self.day + 1) * NS_PER_DAY, in_flight=self.in_flight)
            await self.agenda.run(in_flight=self.in_flight)
        except ExceptionGroup as group:
            gone = group.subgroup(ServerGoneError)
            if gone is None:
                raise
            raise ServerGoneError(str(gone.exceptions[0])) from None

    def stop(self) -> None:
        """Lets the requests under way finish and begins no others."""
        self.agenda.stopped = True

    @property
    def is_stopped(self) -> bool:
        """Whether ``stop`` was called."""
        return self.agenda.stopped

    @property
    def left_out_return_count(self) -> int:
        """Returns that had nothing to give back."""
        return self._desk.left_out_count

    @property
    def _has_enough(self) -> bool:
        return self._order_max is not None and self.order_count >= self._order_max

    async def _play(self, call: Call) -> None:
        match call:
            case Order():
                if self._has_enough:
                    return
                self.order_count += not call.abandons and not call.part
                await self._stage.attempt(self._sellers[call.kind], call)
            case Return():
                await self._stage.attempt(self._desk.take, call)
            case Receipt():
                await self._stage.attempt(self._stores.receive, call)
