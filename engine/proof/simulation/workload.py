"""The days of a world, step by step: who asks when, what the network between does to requests, and what goes wrong."""

from __future__ import annotations

from random import Random

from engine.proof.simulation.callers import Callers
from engine.proof.simulation.history import Again, Ask, Call, Care, Fault, Look, Step, Trouble, Upkeep
from engine.proof.simulation.many import Asked
from engine.proof.simulation.simulation import Simulation
from engine.proof.simulation.world import MINUTE_NS, OPENING, World

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS
_MOMENTS_NS = (0, 1, 1_000, 5_000_000, SECOND_NS, SECOND_NS, 20 * SECOND_NS, MINUTE_NS, 5 * MINUTE_NS)
_LEAPS_NS = (3_600 * SECOND_NS, 40 * DAY_NS, 366 * DAY_NS)
_TROUBLES = (*(trouble for trouble in Trouble if trouble.ends), Trouble.TORN, Trouble.TORN)
_CARES = (*Care, *[Care.SNAPSHOT] * 3, Care.CUT)
_UPKEEP_SHARE = 0.08
LEAPS_MAX = 20
"""Far jumps of the clock: sixty of them by a year would leave the range of time."""


class Workload:
    """Draws one step after the other. What it draws depends on the seed and on what happened so far, and on nothing else."""

    def __init__(self, chance: Random, world: World, simulation: Simulation, crashes_per_thousand: float) -> None:
        self._chance, self._world, self._simulation = chance, world, simulation
        # A process that was overtaken ends as well, when it notices: one end in three comes so.
        self._crash_share = crashes_per_thousand / 1_400
        self._callers = Callers(chance, simulation.auditor.oracle.state, simulation.auditor.ledger)
        self._uid = 0
        self._flight: list[Ask | Again] = []
        """Under way: late requests, and those that come once more."""
        self._opening = list(OPENING)
        self._unopened: int = 0
        self._agenda: list[tuple[list[Asked], int]] = []
        """What is to happen next: requests, and how far the clock moves before."""
        self._leaps = 0
        self._upkeep_chance = Random(chance.getrandbits(64))  # noqa: S311 - as above

    def next(self) -> Step:
        """The next step."""
        by_ns = self._by_ns()
        if self._chance.random() < self._crash_share:
            return self._glance(by_ns)
        if self._unopened or self._opening:
            items: list[Ask | Again | Look] = [self._open()]
        elif self._agenda:
            asked, by_ns = self._agenda.pop(0)
            items = [self._first(each) for each in asked]
        else:
            items = self._group()
        gives_up = 0.0 if self._unopened else self._world.give_up_share
        calls = tuple(Call(item, self._chance.random() < gives_up) for item in items)
        commands = sum(not isinstance(call.item, Look) for call in calls)
        return Step(by_ns, calls, self._fault(commands), self._process(commands), self._upkeep())

    def heard(self, step: Step, *, answered: bool) -> None:
        """What became of a step: who got no answer asks again, mostly."""
        if answered:
            self._unopened = 0
        for call in step.calls:
            if isinstance(call.item, Look) or (answered and not call.given_up):
                continue
            for _ in range(self._chance.choice((0, 1, 1, 1, 2))):
                self._flight.append(self._again(call.item.uid))

    # Who asks

    def _open(self) -> Ask | Again:
        """The store is set up; whoever does it insists on an answer."""
        if self._unopened:
            return Again(self._unopened, ageless=True)
        ask = self._first(self._opening.pop(0))
        self._unopened = ask.uid
        return ask

    def _again(self, uid: int) -> Again:
        return Again(uid, ageless=self._chance.random() < 0.1)

    def _first(self, asked: Asked) -> Ask:
        self._uid += 1
        return Ask(self._uid, *asked)

    def _group(self) -> list[Ask | Again | Look]:
        chance, world = self._chance, self._world
        if chance.random() < 0.01:
            self._plan_rush()
        items: list[Ask | Again | Look] = []
        if world.company_max > 1 and chance.random() < 0.1:
            items += [
                self._first(each) for each in self._callers.scramble(chance.randint(2, min(8, world.company_max)))
            ]
        for _ in range(chance.randint(1, world.company_max)):
            if chance.random() < world.look_share:
                items.append(self._callers.look())
            elif self._flight and chance.random() < 0.5:
                items.append(self._flight.pop(chance.randrange(len(self._flight))))
            else:
                items += self._sent()
        return items

    def _sent(self) -> list[Ask | Again | Look]:
        """A first request, unless it is late; perhaps it comes twice, or its id is used for something else."""
        chance, world = self._chance, self._world
        ask = self._first(self._callers.ask())
        if self._uid > 1 and chance.random() < 0.01:
            ask = Ask(ask.uid, ask.kind, ask.fields, under=chance.randint(max(1, self._uid - 50), self._uid - 1))
        late = chance.random() < world.haste * 0.5
        if late:
            self._flight.append(ask)
        if chance.random() < world.repeat_share:
            self._flight.append(self._again(ask.uid))
        return [] if late else [ask]

    def _plan_rush(self) -> None:
        """A hot SKU is held by as many as may, and all of them leave at the same instant."""
        limits, callers = self._world.limits, self._callers
        ttl_ns = self._chance.choice((MINUTE_NS, 5 * MINUTE_NS))
        count = self._chance.randint(1, 3)
        self._agenda += [([callers.restock(limits.open_reservations_max)], 0)]
        self._agenda += [([callers.rush(ttl_ns)], 0) for _ in range(count)]
        self._agenda += [([self._callers.ask()], ttl_ns - 1), ([self._callers.ask()], 1)]

    def _glance(self, by_ns: int) -> Step:
        """Somebody reads from the other process, which may have been overtaken long ago."""
        looks = [Call(self._callers.look()) for _ in range(self._chance.randint(1, 3))]
        again = [Call(self._again(self._chance.randint(1, self._uid)))] if self._uid else []
        return Step(by_ns, (*looks, *self._chance.choice(([], again))), process=1)

    # What goes wrong

    def _by_ns(self) -> int:
        chance = self._chance
        behind_ns = self._simulation.behind_ns
        if behind_ns > 0 and chance.random() < 0.1:
            return behind_ns + SECOND_NS
        drawn = chance.random()
        if drawn < 0.01:
            return -chance.choice((1, SECOND_NS, 10 * MINUTE_NS, 400 * DAY_NS))
        if drawn < 0.015 and self._leaps < LEAPS_MAX:
            self._leaps += 1
            return chance.choice(_LEAPS_NS)
        return chance.choice(_MOMENTS_NS)

    def _fault(self, commands: int) -> Fault | None:
        chance = self._chance
        part = chance.choice((0.0, 1.0, chance.random(), chance.random(), chance.random(), chance.random()))
        if chance.random() < self._crash_share * max(commands, 0.05):
            return Fault(chance.choice(_TROUBLES), part)
        return Fault(Trouble.SLOW, part) if chance.random() < 0.01 else None

    def _upkeep(self) -> Upkeep | None:
        chance = self._upkeep_chance
        if chance.random() >= _UPKEEP_SHARE:
            return None
        return Upkeep(chance.choice(_CARES), chance.random())

    def _process(self, commands: int) -> int:
        """Mostly the first; at times another one has been started beside it, by mistake or because the first was thought dead."""
        return int(self._chance.random() < 0.3 * self._crash_share * commands)
