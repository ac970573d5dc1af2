"""Many worlds, on many cores, in order: the same figures and the same hash however many cores there are."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import NamedTuple

from engine.proof.simulation.run import Plan, Played, play
from engine.proof.simulation.simulation import Figures

Tell = Callable[[int], None]
"""Told the commands of each world that is done."""


class Summary(NamedTuple):
    """What many worlds came to. ``journal_hash``: of all their journals, in order."""

    worlds: int
    figures: Figures
    journal_hash: str
    broken: Played | None


def campaign(plans: Sequence[Plan], jobs: int, tell: Tell) -> Summary:
    """Play worlds until all are done or one breaks a promise: the first in order, whichever was seen first."""
    figures, joined, count = Figures(), hashlib.blake2b(digest_size=16), 0
    for played in _played(plans, jobs):
        count += 1
        figures += played.figures
        joined.update(bytes.fromhex(played.journal_hash))
        tell(played.figures.commands)
        if played.broken is not None:
            return Summary(count, figures, joined.hexdigest(), played)
    return Summary(count, figures, joined.hexdigest(), None)


def _played(plans: Sequence[Plan], jobs: int) -> Iterator[Played]:
    if jobs <= 1 or len(plans) <= 1:
        yield from map(play, plans)
        return
    # Spawned, so that no worker inherits anything: what it draws comes from its plan.
    with ProcessPoolExecutor(min(jobs, len(plans)), mp_context=get_context("spawn")) as pool:
        ahead = iter(plans)
        waiting = [pool.submit(play, plan) for plan in islice(ahead, 4 * jobs)]
        try:
            while waiting:
                yield waiting.pop(0).result()
                waiting += [pool.submit(play, plan) for plan in islice(ahead, 1)]
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
