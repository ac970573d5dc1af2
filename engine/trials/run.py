"""A whole trial: the stream once, each policy in a process of its own, and a folder that holds what went in and what came out.

The folder: ``inputs/stream.msgpack.zlib``, ``inputs/policies/NAME.json`` (or ``.toml``), ``inputs/trial.json``; and ``orders``, ``days``, ``results`` and ``channels`` as
Parquet (CSV without pyarrow), ``results.json`` and ``report.html`` (without the libraries that draw it: no page). What went in gives what came
out, byte for byte, with the same versions of engine and libraries.
"""

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing.queues import Queue
from pathlib import Path
from queue import Empty
from typing import Any, NamedTuple

import numpy as np

from engine.kernels.zones import Integers
from engine.model.network import RoutingPolicy
from engine.trials.bound import hindsight, lost_unit_micros
from engine.trials.comparison import (
    DAY_COLUMNS,
    RESULT_COLUMNS,
    Result,
    Tally,
    by_channel,
    compare,
    day_rows,
    result_rows,
    tally,
)
from engine.trials.player import HORIZON_DAYS, Player, Sent
from engine.trials.policies import Contender, contender
from engine.trials.stream import Stream, read_stream, write_stream
from engine.trials.tables import write_table

STREAM, POLICIES, SETTINGS = "inputs/stream.msgpack.zlib", "inputs/policies", "inputs/trial.json"
BOUND = "hindsight bound"
_POLL_S = 0.2
Progress = Callable[[str, int, int], None]
"""Told a policy's name, how many days it has played, and of how many; or ``BOUND``, and SKUs."""


class Trial(NamedTuple):
    """What came of a trial. ``rows`` by policy."""

    stream: Stream
    seed: int
    rows: dict[str, list[Sent]]
    tallies: dict[str, Tally]
    results: list[Result]


def prepare(
    folder: Path,
    stream: Stream,
    contenders: list[Contender],
    seed: int,
    *,
    bounded: bool = True,
    price_horizon_days: int = HORIZON_DAYS,
) -> None:
    """Writes everything that a trial needs into its folder; ``bounded``: the hindsight bound is wanted; ``price_horizon_days``: how far ahead
    policies look that weigh prices. Raises OSError.
    """
    (folder / POLICIES).mkdir(parents=True, exist_ok=True)
    write_stream(stream, folder / STREAM)
    for each in contenders:
        (folder / POLICIES / f"{each.name}{each.suffix}").write_text(each.text, encoding="utf-8")
    names = [f"{each.name}{each.suffix}" for each in contenders]
    settings = {"seed": seed, "policies": names, "bound": bounded, "price_horizon_days": price_horizon_days}
    settings["version"] = version("stockpool")
    (folder / SETTINGS).write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


class Settings(NamedTuple):
    """What a prepared folder asks for. ``policies`` by name, the first one first."""

    seed: int
    policies: dict[str, RoutingPolicy]
    bounded: bool
    price_horizon_days: int


def read_settings(folder: Path) -> Settings:
    """What a prepared folder asks for. Raises OSError, ValueError, KeyError, TypeError, PolicyUnreadable."""
    told: dict[str, Any] = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
    found = [contender(str(folder / POLICIES / str(name))) for name in told["policies"]]
    horizon_days = int(told.get("price_horizon_days", HORIZON_DAYS))  # folders of earlier versions do not tell
    return Settings(int(told["seed"]), {each.name: each.policy for each in found}, bool(told["bound"]), horizon_days)


def run_trial(folder: Path, progress: Progress, workers: int) -> Trial:
    """Plays the stream of a prepared folder under each of its policies, in ``workers`` processes at a time, and writes the tables.

    Raises:
        StreamUnreadable: the stream is damaged.
        Unplayable: a policy or the network was refused.
        OSError, ValueError, KeyError, TypeError, PolicyUnreadable: the folder is no prepared one.
    """
    settings = read_settings(folder)
    stream = read_stream(folder / STREAM)
    rows, bound = _played(folder / STREAM, settings, progress, workers)
    lost = lost_unit_micros(stream)
    tallies = {name: tally(played, bound, lost) for name, played in rows.items()}
    trial = Trial(stream, settings.seed, rows, tallies, compare(tallies))
    write_table(
        folder, "orders", ("policy", *Sent._fields), [(name, *row) for name, each in rows.items() for row in each]
    )
    write_table(folder, "days", DAY_COLUMNS, day_rows(tallies))
    write_table(folder, "results", RESULT_COLUMNS, result_rows(trial.results))
    channels = by_channel(rows, stream.day_count)
    of_channels = [(name, *row) for name, results in channels.items() for row in result_rows(results)]
    write_table(folder, "channels", ("channel_key", *RESULT_COLUMNS), of_channels)
    told = [dict(zip(RESULT_COLUMNS, row, strict=True)) for row in result_rows(trial.results)]
    (folder / "results.json").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return trial


def _played(path: Path, settings: Settings, progress: Progress, workers: int) -> tuple[dict[str, list[Sent]], Integers]:
    """What came of each policy, in the order of the settings whatever ended first, and the bound by day."""
    policies = settings.policies
    tasks = len(policies) + settings.bounded
    if min(workers, tasks) <= 1:  # one at a time needs no process of its own
        rows = {name: _play(path, name, settings, progress) for name in policies}
        return rows, _bound(path, settings, progress)
    context = multiprocessing.get_context("spawn")
    told: Queue[tuple[str, int, int]] = context.Queue()
    with ProcessPoolExecutor(min(workers, tasks), mp_context=context, initializer=_begin, initargs=(told,)) as pool:
        bound = pool.submit(_bound_apart, path, settings)
        futures = {name: pool.submit(_play_apart, path, name, settings) for name in policies}
        try:
            _follow(told, [bound, *futures.values()], progress)
            return {name: future.result() for name, future in futures.items()}, bound.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _follow(told: "Queue[tuple[str, int, int]]", futures: list["Future[Any]"], progress: Progress) -> None:
    while True:
        over = all(future.done() for future in futures)
        try:
            progress(*told.get(timeout=_POLL_S))
        except Empty:
            if over:
                return


_told: "Queue[tuple[str, int, int]] | None" = None
"""In a process of the pool: where it tells how far it is."""


def _begin(told: "Queue[tuple[str, int, int]]") -> None:
    global _told  # noqa: PLW0603 - what a process of the pool is given once
    _told = told


def _tell(name: str, done: int, total: int) -> None:
    assert _told is not None
    _told.put((name, done, total))


def _play_apart(path: Path, name: str, settings: Settings) -> list[Sent]:
    return _play(path, name, settings, _tell)


def _play(path: Path, name: str, settings: Settings, progress: Progress) -> list[Sent]:
    stream = read_stream(path)
    player = Player(stream, settings.policies[name], settings.price_horizon_days)
    player.play(lambda day: progress(name, day + 1, stream.day_count))
    return player.rows


def _bound_apart(path: Path, settings: Settings) -> Integers:
    return _bound(path, settings, _tell)


def _bound(path: Path, settings: Settings, progress: Progress) -> Integers:
    stream = read_stream(path)
    if not settings.bounded:
        return np.zeros(stream.day_count, np.int64)
    pool = Player(stream, next(iter(settings.policies.values()))).pool
    return hindsight(stream, pool, lambda done, total: progress(BOUND, done, total))
