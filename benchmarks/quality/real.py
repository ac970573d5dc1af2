"""Real orders: the first weeks of a pack under routing by cost and routing by price, played by the production machine, beside hindsight."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from engine.cli.demo import load_scenario
from engine.trials.bound import hindsight, lost_unit_micros
from engine.trials.comparison import column, tally
from engine.trials.player import Player
from engine.trials.policies import contender
from engine.trials.stream import Stream, read_stream, stream_of, write_stream

DAYS = 21
MYOPIC, PRICED, HINDSIGHT = "cheapest", "priced", ""
SEED = 1


class Real(NamedTuple):
    """Losses of the same days, micros: carrier and handling of parcels, and each unit that was not filled at its price and a penalty."""

    myopic: int
    priced: int
    bound: int

    @property
    def closed(self) -> float:
        """Share of the gap between routing by cost and hindsight that prices close."""
        return (self.myopic - self.priced) / (self.myopic - self.bound)


def write(pack: Path, days: int, path: Path) -> None:
    """The stream of the first days of a pack as a file, for ``played``."""
    write_stream(stream_of(load_scenario(SEED, pack, days, lambda _: None), days), path)


def played(path: Path, processes: int) -> Real:
    """Play a stream twice, and find what hindsight costs, in processes of their own."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return Real(*pool.map(_loss, [path] * 3, (MYOPIC, PRICED, HINDSIGHT)))


def _loss(path: Path, name: str) -> int:
    stream = read_stream(path)
    player = Player(stream, contender(name or MYOPIC).policy)
    if not name:
        return int(hindsight(stream, player.pool, lambda *_: None).sum())
    player.play(lambda _: None)
    return _paid(stream, player)


def _paid(stream: Stream, player: Player) -> int:
    sums = tally(player.rows, np.zeros(stream.day_count, np.int64), lost_unit_micros(stream))
    return int(column(sums, "loss_micros").sum())
