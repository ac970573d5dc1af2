"""Waves: orders that may wait are routed jointly, with a proof of how far from the best the result can be at most.

Column generation. A linear program (`Master`) shares the scarce units among the plans known so far; its duals say what a unit
of each cell is worth to the wave; the router, asked for every order at price + dual, finds the plans that are missing. What
the program divides, an integer program over the same plans decides (`rechosen`), and the router lets each order improve on what
the others leave.

The bound. For any duals λ ≥ 0, the sum over orders of the least score at price + λ, less Σ λ × stock, is at most the score of any
joint choice: no choice takes more than the stock, so none pays more for λ than the last sum takes away (Lagrangian relaxation;
Geoffrion 1974). It is computed in integers from the router's minima alone: whatever the solvers did, it holds.
"""

from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from math import inf
from time import monotonic
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.kernels import columns as c
from engine.kernels import waves as kernels
from engine.kernels.zones import Integers
from engine.planning.master import Master, rechosen
from engine.planning.plans import PER_CENT, Judged, Plans
from engine.planning.problem import Problem, Takes

LOTS = 1_024
WHOLE_SHARE = 1 - 1e-6
"""Share of a plan in the linear program's solution from which on it counts as the order's only one."""
VAIN_MAX = 2
"""Integer programs in a row that find nothing better: then it is enough."""
EXPLORED = 4
"""Sets of duals made by lot before each integer program."""


class Ended(StrEnum):
    """Why a wave looked no further."""

    PROVED = "proved"
    """The gap asked for is proved."""
    EXHAUSTED = "exhausted"
    """All rounds are over: nothing better was found, or proved."""
    TIME = "time"
    """The time is up. Another run may get further, and end with other plans."""
    CANCELLED = "cancelled"


class Effort(NamedTuple):
    """How far to look, whatever the time: a wave that these end is the same wherever and whenever it is planned."""

    gap: float = 0.0005
    """Certified gap at which a wave is good enough, as a share of the bound."""
    price_rounds: int = 6
    """Rounds of the subgradient method, before the linear program."""
    rounds_max: int = 40
    """Linear programs at most."""
    choices_max: int = 12
    """Integer programs at most."""
    loose_max: int = 4_000
    """Orders in one integer program."""
    nodes_max: int = 2_000
    """Nodes in the search of one integer program."""
    unserved_micros: int = 1_000_000_000
    """Score of not serving an order with a line that must be served."""


EFFORT = Effort()


class Progress(NamedTuple):
    """Where a wave is: the stage, the best score and the best bound so far."""

    stage: str
    score: int
    bound: int
    seconds: float


class Wave(NamedTuple):
    """What became of a wave. Micros throughout; the *score* is what is minimised, *cost* the money in it (PLAN_SCORE, PLAN_COST)."""

    plans: Judged
    """The plan of each order in full; slots are those of the problem. STATUS_INFEASIBLE: not served."""
    score: int
    cost: int
    bound: int
    """No joint choice of plans has a lower score than this."""
    gap: float
    """(score − bound) / bound."""
    sequential_score: int
    """Score of deciding the orders exactly, one after the other, in the order of the problem."""
    standing_score: int | None
    """Score of what stood, orders whose units are gone counted as not served; None where nothing stood, or took a unit twice."""
    unserved: int
    """Orders that are not served at all."""
    inexact: int
    """Orders for which the router's minimum is not proved, so that the bound counts a weaker one."""
    rounds: int
    considered: int
    """Plans that were looked at."""
    ended: Ended
    seconds: float


Watch = Callable[[Progress], bool]
"""Told of progress every second or so; answers whether to go on."""


def plan_wave(
    problem: Problem,
    seconds: float,
    standing: Takes | None = None,
    effort: Effort = EFFORT,
    watch: Watch | None = None,
) -> Wave:
    """Route the orders of ``problem`` jointly, in ``seconds`` or a little more: what has begun is ended first.

    ``standing``: what the orders take now, if they do; its units count as free in the problem's stock. The answer is never worse
    than that, nor than deciding one order after the other. Changes nothing that it is given. Raises ValueError when orders differ in
    ORDER_KEEP_UNITS.
    """
    return _Planner(problem, seconds, effort, watch).run(standing)


def gap_of(score: int, bound: int) -> float:
    """How far ``score`` lies above ``bound``, as a share of it; infinite above a bound of 0."""
    if score <= bound:
        return 0.0
    return (score - bound) / bound if bound > 0 else inf


def lots(draw: int, items: Integers, below: int) -> Integers:
    """A number in 0 .. ``below`` − 1 for each item, different in every draw: a hash (SplitMix64, Steele and others 2014)."""
    mixed = (items.astype(np.uint64) << np.uint64(20)) + np.uint64(draw)
    mixed = mixed * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    drawn: Integers = ((mixed ^ (mixed >> np.uint64(31))) % np.uint64(below)).astype(np.int64)
    return drawn


class _Stopped(Exception):
    """Time is up, or the caller has seen enough."""


class _Planner:
    """One wave under way."""

    def __init__(self, problem: Problem, seconds: float, effort: Effort, watch: Watch | None) -> None:
        self._begun = monotonic()
        self._seconds = seconds
        self._effort = effort
        self._watch = watch
        self._plans = Plans(problem, effort.unserved_micros)
        self._unpriced = np.zeros(len(self._plans.free), np.int64)
        self._chosen = np.full(self._plans.count, -1)
        self._score = int(self._plans.penalties.sum())
        self._bound = 0
        self._duals = self._unpriced
        """Those of the best bound."""
        self._minima = self._unpriced
        self._inexact = 0
        self._rounds = 0
        self._ended = Ended.EXHAUSTED
        self._sequential = self._score
        self._standing: int | None = None

    # The whole

    def run(self, standing: Takes | None) -> Wave:
        """All stages, until the gap is proved or there is a reason to stop."""
        if self._plans.count:
            self._begin(standing)
            with suppress(_Stopped):
                self._search()
        return self._told()

    def _begin(self, standing: Takes | None) -> None:
        """What is to be beaten: the orders one after the other, and what stands."""
        plans = self._plans
        in_turn = self._chosen.copy()
        plans.settle(in_turn, self._unpriced, plans.everyone)
        self._sequential = int(plans.scores(in_turn).sum())
        self._offer(in_turn)
        if standing is not None:
            _, kept = plans.judge(standing)
            if np.all(plans.usage(kept) <= plans.free):
                self._standing = int(plans.scores(kept).sum())
                self._offer(kept)

    def _search(self) -> None:
        self._price()
        if self._is_proved():
            return
        master = Master(self._plans)
        duals = self._generate(master)
        self._choose(master, duals)

    # Bounds

    def _ask(self, duals: Integers) -> Integers:
        """Ask the router for every order at these duals, and keep the bound if it is the best. Returns the minima."""
        plans = self._plans
        minima = plans.ask(duals)
        inexact = int(np.count_nonzero(plans.told[kernels.TOLD_EXACT] == 0))
        bound = int(minima.sum()) - int((duals * plans.free).sum())
        if bound > self._bound or self._rounds == 0:
            self._bound, self._duals, self._minima, self._inexact = bound, duals, minima, inexact
        self._rounds += 1
        self._look_up("pricing")
        return minima

    def _price(self) -> None:
        """First duals by the subgradient method, and with them the plans that matter (step by Polyak's rule, halved on failure)."""
        plans, duals, pace = self._plans, self._unpriced, 1.0
        for _ in range(self._effort.price_rounds):
            before = self._bound
            minima = self._ask(duals)
            taken = plans.usage(
                np.where(plans.told[kernels.TOLD_SCORE] < plans.penalties, plans.told[kernels.TOLD_PLAN], -1)
            )
            excess = np.where((duals > 0) | (taken > plans.free), taken - plans.free, 0)
            length = int((excess * excess).sum())
            if length == 0:
                break
            if self._bound <= before:
                pace /= 2
            bound = int(minima.sum()) - int((duals * plans.free).sum())
            step = pace * (self._score - bound) / length
            duals = np.rint(np.maximum(0, duals + step * excess)).astype(np.int64)

    def _generate(self, master: Master) -> Integers:
        """Linear programs and the router in turn, until the bound meets the program's score. Returns the program's last duals."""
        plans, duals = self._plans, self._duals
        for _ in range(self._effort.rounds_max):
            solved = master.solve()
            if solved is None:
                break
            duals, known = solved, plans.used
            self._ask(duals)
            missing = master.score - self._bound
            if missing <= self._effort.gap / 8 * self._bound or (plans.used == known and missing <= 0):
                break
            # Between the best duals and the program's: these leap about, and what lies between is often better than both.
            self._ask((self._duals + duals) // 2)
            if plans.used == known:
                break
        return duals

    # Choices

    def _offer(self, chosen: Integers) -> bool:
        """Take a choice if it is better than what there is."""
        score = int(self._plans.scores(chosen).sum())
        if score >= self._score:
            return False
        self._chosen, self._score = chosen.copy(), score
        return True

    def _choose(self, master: Master, duals: Integers) -> None:
        """Round the program's solution, then let one set of orders after the other change their plans, with ever more to choose from."""
        plans, effort = self._plans, self._effort
        self._offer(self._rounded(master, duals))
        in_vain = 0
        for turn in range(effort.choices_max):
            if self._is_proved() or in_vain == VAIN_MAX:
                return
            loose = self._loose(turn)
            self._enrich(np.flatnonzero(loose), turn)
            seconds = self._seconds - (monotonic() - self._begun)
            better, timed_out = rechosen(plans, self._chosen, loose, (effort.nodes_max, max(seconds, 0.01)))
            plans.settle(better, self._unpriced, plans.everyone)
            in_vain = 0 if self._offer(better) else in_vain + 1
            if timed_out:
                self._ended = Ended.TIME
                raise _Stopped
            self._look_up("choosing")

    def _rounded(self, master: Master, duals: Integers) -> Integers:
        """Orders that the program gives one whole plan get it; the others, at price + dual, what is left; then everybody improves."""
        plans = self._plans
        whole = np.flatnonzero(master.shares > WHOLE_SHARE)
        rounded = np.full(plans.count, -1)
        rounded[plans.rows[kernels.PLANS_ORDER, whole]] = whole
        plans.settle(rounded, duals, np.flatnonzero(rounded < 0))
        plans.settle(rounded, self._unpriced, plans.everyone)
        return rounded

    def _loose(self, turn: int) -> NDArray[np.bool_]:
        """Orders that may change: all that compete for a cell; of too many, those whom the lot of this turn and their excess make the first."""
        plans = self._plans
        slots, _, of = plans.takes
        loose = np.zeros(plans.count, np.bool_)
        loose[plans.rows[kernels.PLANS_ORDER, of[(plans.wanted > plans.free)[slots]]]] = True
        competing = np.flatnonzero(loose)
        if len(competing) > self._effort.loose_max:
            worth = self._excess()[competing] * lots(turn, competing, LOTS)
            first = competing[np.argsort(-worth, kind="stable")]
            loose[:] = False
            loose[first[: self._effort.loose_max // 4]] = True
            loose |= self._rivals(loose, self._effort.loose_max - self._effort.loose_max // 4)
        return loose

    def _rivals(self, loose: NDArray[np.bool_], count: int) -> NDArray[np.bool_]:
        """Up to ``count`` orders, the first ones, that now hold cells worth something of which the orders ``loose`` have a plan."""
        plans = self._plans
        slots, _, of = plans.takes
        wanted = np.zeros(len(plans.free), np.bool_)
        wanted[slots[loose[plans.rows[kernels.PLANS_ORDER, of]]]] = True
        wanted &= self._duals > 0
        now = plans.taken(self._chosen)
        holders = np.unique(np.repeat(plans.everyone, np.diff(now.first))[wanted[now.slots]])
        rivals = np.zeros(plans.count, np.bool_)
        rivals[holders[~loose[holders]][:count]] = True
        return rivals

    def _excess(self) -> Integers:
        """What each order's plan costs beyond its least score, both at price + dual: the gap, but for units left over."""
        plans = self._plans
        now = plans.taken(self._chosen)
        paid = np.zeros(len(now.slots) + 1, np.int64)
        paid[1:] = np.cumsum(self._duals[now.slots] * now.units)
        return plans.scores(self._chosen) + paid[now.first[1:]] - paid[now.first[:-1]] - self._minima

    def _enrich(self, orders: Integers, turn: int) -> None:
        """More plans for these orders: what they would do if some contested cells were dearer, some cheaper, as the lot falls."""
        plans = self._plans
        contested = np.flatnonzero(plans.wanted > plans.free)
        dearest = int(self._duals.max())
        for draw in range(turn * EXPLORED, (turn + 1) * EXPLORED):
            moved = self._duals.copy()
            moved[contested] = moved[contested] * lots(3 * draw, contested, 2 * PER_CENT) // PER_CENT
            moved[contested] += lots(3 * draw + 1, contested, 2) * lots(3 * draw + 2, contested, dearest + 1)
            plans.explore(moved, orders)

    # Ends

    def _is_proved(self) -> bool:
        if self._score - self._bound <= self._effort.gap * self._bound:
            self._ended = Ended.PROVED
            return True
        return False

    def _look_up(self, stage: str) -> None:
        """Tell how far it is; stop when the time is up or the caller says so."""
        seconds = monotonic() - self._begun
        if self._watch is not None and not self._watch(Progress(stage, self._score, self._bound, seconds)):
            self._ended = Ended.CANCELLED
            raise _Stopped
        if seconds > self._seconds:
            self._ended = Ended.TIME
            raise _Stopped

    def _told(self) -> Wave:
        judged, _ = self._plans.judge(self._plans.taken(self._chosen))
        served = judged.plans[:, c.PLAN_STATUS] == c.STATUS_ROUTED
        score = int(np.where(served, judged.plans[:, c.PLAN_SCORE], self._plans.penalties).sum())
        return Wave(
            plans=judged,
            score=score,
            cost=int(judged.plans[served, c.PLAN_COST].sum()),
            bound=self._bound,
            gap=gap_of(score, self._bound),
            sequential_score=self._sequential,
            standing_score=self._standing,
            unserved=int(np.count_nonzero(~served)),
            inexact=self._inexact,
            rounds=self._rounds,
            considered=self._plans.used,
            ended=self._ended,
            seconds=monotonic() - self._begun,
        )
