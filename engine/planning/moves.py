"""What a wave proposes: which floating work should go where, in groups that are decided together.

An order may give way to another one that gains more, hence what belongs together must happen together or not at all: a group is an order
that gains, and those whose units it needs, and those whose units these need.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from time import monotonic
from typing import Any, Final, NamedTuple

import numpy as np

from engine.kernels import columns as c
from engine.kernels.zones import SLOT_BITS, SLOT_MASK, Integers, Network, Stock
from engine.planning.floating import Floats, Sought, chosen_floats, joined_floats
from engine.planning.plans import Judged, Plans
from engine.planning.problem import Problem, Takes, joined_stock
from engine.planning.wave import EFFORT, Ended, Wave, plan_wave

GROUP_MAX: Final = 48
"""Orders of one group: it is one decision, and others wait for it."""
MOMENT_S: Final = 0.1
"""What is left for a wave when the time is over."""


class Wish(NamedTuple):
    """``seconds``: how long to think. ``saving_micros_min``: what a group must save."""

    seconds: float
    saving_micros_min: int = 0


class Asked(NamedTuple):
    """A wave that somebody wants."""

    key: str
    sought: Sought
    wish: Wish


class Report(NamedTuple):
    """What became of a wave; see RunWaveResponse."""

    order_count: int
    proposed_count: int
    moved_count: int
    saving_micros: int
    gap: float
    timed_out: bool
    elapsed_s: float
    stranded_count: int


class Places(NamedTuple):
    """The network, and the SKUs of the shelves that follow: SKU i of them all, one piece after the other, is ``sku_indexes[i]`` of the store."""

    network: Network
    sku_indexes: Integers


class Shelves(NamedTuple):
    """A piece of the stock, the SKUs ascending."""

    stock: Stock


class Proposal(NamedTuple):
    """An order, the work it was seen with, and (SKU index, node index, units) of all that floats of it."""

    order_id: int
    work_ids: tuple[int, ...]
    legs: tuple[tuple[int, int, int], ...]


Group = tuple[Proposal, ...]


class Planned(NamedTuple):
    """What came out. Micros in the wave's own measure, before and after; no joint plan is below ``bound_micros``."""

    order_count: int
    proposed_count: int
    standing_micros: int
    score_micros: int
    bound_micros: int
    timed_out: bool


class Mover(NamedTuple):
    """An order that a wave would move: what that saves it (below zero: it gives way), and units by slot that it takes more, or less."""

    order: int
    saving: int
    changes: dict[int, int]


def find_moves(parts: list[Any]) -> Iterator[list[Group] | Planned]:
    """Groups, then what came out; for ``planning.worker``.

    The parts are one ``Wish``, one ``Places``, and any number of ``Shelves`` and ``Floats``.
    """
    (wish,) = [part for part in parts if isinstance(part, Wish)]
    (places,) = [part for part in parts if isinstance(part, Places)]
    shelves = [part.stock for part in parts if isinstance(part, Shelves)]
    floats = joined_floats([part for part in parts if isinstance(part, Floats)])
    if not floats.order_ids:
        yield Planned(0, 0, 0, 0, 0, False)
        return
    begun = monotonic()
    stock = joined_stock(shelves)
    waves = []
    kept = floats.orders.questions[:, c.ORDER_KEEP_UNITS]
    for keeps in np.unique(kept):  # the orders of one wave keep the same units everywhere
        some = chosen_floats(floats, np.flatnonzero(kept == keeps), places.sku_indexes)
        seconds = max(wish.seconds - (monotonic() - begun), MOMENT_S)
        groups, planned = _one_wave(stock, places.network, some, wish._replace(seconds=seconds))
        waves.append(planned)
        yield groups
    totals = [sum(column) for column in zip(*[wave[:5] for wave in waves], strict=True)]
    totals = [sum(column) for column in zip(*[wave[:5] for wave in waves], strict=True)]
    yield Planned(totals[0], totals[1], totals[2], totals[3], totals[4], any(wave.timed_out for wave in waves))


def _one_wave(stock: Stock, network: Network, floats: Floats, wish: Wish) -> tuple[list[Group], Planned]:
    """Plan one wave, and leave in the stock what it does not take."""
    cells = stock[0]
    slots = np.searchsorted(cells[c.KEY], floats.keys)
    standing = Takes(slots, floats.units, floats.takes_first)
    free = cells[c.ATF].copy()
    np.add.at(cells[c.ATF], slots, floats.units)
    problem = Problem(stock, network, floats.orders)
    plans = Plans(problem, EFFORT.unserved_micros)
    judged, _ = plans.judge(standing)
    before = _scores(judged, plans)
    wave = plan_wave(problem, wish.seconds, standing)
    after = _scores(wave.plans, plans)
    movers = list(_movers(standing, wave, before - after))
    groups = grouped(movers, free, max(wish.saving_micros_min, 1))
    for order in range(len(before)):
        legs = wave.plans.legs_of(order)
        np.subtract.at(cells[c.ATF], legs[:, c.LEG_SLOT], legs[:, c.LEG_UNITS])
    proposals = [tuple([_proposal(mover, floats, wave, cells) for mover in group]) for group in groups]
    timed_out = wave.ended == Ended.TIME
    planned = Planned(len(before), sum(map(len, groups)), int(before.sum()), wave.score, wave.bound, timed_out)
    return proposals, planned


def _scores(judged: Judged, plans: Plans) -> Integers:
    served = judged.plans[:, c.PLAN_STATUS] == c.STATUS_ROUTED
    scores: Integers = np.where(served, judged.plans[:, c.PLAN_SCORE], plans.penalties)
    return scores


def _movers(standing: Takes, wave: Wave, savings: Integers) -> Iterator[Mover]:
    for order, saving in enumerate(savings.tolist()):
        legs = wave.plans.legs_of(order)
        if not len(legs):
            continue
        changes: defaultdict[int, int] = defaultdict(int)
        for slot, units in legs[:, [c.LEG_SLOT, c.LEG_UNITS]].tolist():
            changes[slot] += units
        own = slice(standing.first[order], standing.first[order + 1])
        for slot, units in zip(standing.slots[own].tolist(), standing.units[own].tolist(), strict=True):
            changes[slot] -= units
        changed = {slot: units for slot, units in changes.items() if units}
        if changed:
            yield Mover(order, saving, changed)


def _proposal(mover: Mover, floats: Floats, wave: Wave, cells: Integers) -> Proposal:
    legs = wave.plans.legs_of(mover.order)
    keys = cells[c.KEY, legs[:, c.LEG_SLOT]]
    rows = zip((keys >> SLOT_BITS).tolist(), (keys & SLOT_MASK).tolist(), legs[:, c.LEG_UNITS].tolist(), strict=True)
    return Proposal(floats.order_ids[mover.order], floats.work_ids[mover.order], tuple(rows))


def grouped(movers: Sequence[Mover], free: Integers, saving_min: int) -> list[list[Mover]]:
    """Groups that can be decided one after the other: each is feasible when those before it have moved, and saves ``saving_min``.

    Who gains most leads, and brings those who must give way: of a cell that lacks units whoever would leave it, greatest saving first.
    Ties go to the earlier order. ``free``: units by slot beside what the movers have now; it is changed.
    """
    ranked = sorted(movers, key=lambda mover: (-mover.saving, mover.order))
    leaving: defaultdict[int, list[Mover]] = defaultdict(list)
    for mover in ranked:
        for slot, units in mover.changes.items():
            if units < 0:
                leaving[slot].append(mover)
    done: set[int] = set()
    groups = []
    for leader in ranked:
        group = _with_those_who_give_way(leader, leaving, free, done) if leader.order not in done else None
        if group is None or sum(mover.saving for mover in group) < saving_min:
            continue
        groups.append(group)
        for mover in group:
            done.add(mover.order)
            for slot, units in mover.changes.items():
                free[slot] -= units
    return groups


def _with_those_who_give_way(
    leader: Mover, leaving: dict[int, list[Mover]], free: Integers, done: set[int]
) -> list[Mover] | None:
    """The leader and whom it needs; None: there are not enough who leave, or too many are needed."""
    group, members = [leader], {leader.order}
    left: defaultdict[int, int] = defaultdict(int)
    lacking = list(leader.changes)
    for slot, units in leader.changes.items():
        left[slot] -= units
    while lacking:
        slot = lacking.pop()
        while left[slot] < 0 and free[slot] + left[slot] < 0:
            giver = next((each for each in leaving[slot] if each.order not in done | members), None)
            if giver is None or len(group) == GROUP_MAX:
                return None
            group.append(giver)
            members.add(giver.order)
            for other, units in giver.changes.items():
                left[other] -= units
                lacking.append(other)
    return group
