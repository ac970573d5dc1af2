"""Waves: floating work is planned jointly in a process of its own, on a cadence or when somebody asks, and moved as anybody's RerouteOrder does."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np

from engine.core.claims import Planner
from engine.kernels import columns as c
from engine.kernels.zones import Integers
from engine.model.commands import Move, ReleaseOrder, RerouteOrder
from engine.model.outcomes import Outcome
from engine.model.replies import OrderReply, RerouteReply
from engine.planning.floating import ORDERS_A_LOOK, Floats, Sought, read_floats, read_found, read_served
from engine.planning.moves import Asked, Group, Places, Planned, Report, Shelves, Wish, find_moves
from engine.planning.problem import cut_stock, network_of
from engine.planning.refresh import CELLS_A_LOOK
from engine.planning.wave import gap_of
from engine.planning.worker import Work, WorkFailed
from engine.pool.names import Names
from engine.pool.pool import Pool
from engine.service.background import OneAtATime
from engine.service.door import Engine
from engine.service.errors import PlanningFailed
from engine.service.looking import look, submit
from engine.settings import Settings

log = logging.getLogger("stockpool")

ORDERS_MAX: Final = 10_000
"""Orders of one wave, the oldest first: the others wait for the next one."""


class WaveRunner:
    """One wave at a time. Belongs to the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._every_s = settings.wave_every_s
        self._think_s = settings.wave_think_s
        self._timeout_s = settings.price_timeout_s
        self._one = OneAtATime[Report]()

    def start(self, engine: Engine) -> None:
        """Keep the cadence, where one is set."""
        if self._every_s is not None:
            self._one.keep(self._keep(engine, self._every_s))

    async def close(self) -> None:
        """End what is under way, at once: what has moved is whole."""
        await self._one.close()

    async def run(self, engine: Engine, asked: Asked) -> Report:
        """Plan and move, or wait for the wave that is under way. Goes on when the caller no longer waits.

        Raises:
            PlanningFailed: what has moved before is whole.
            NotServing, JournalLost: the writer has stopped.
        """
        return await self._one.run(lambda: self._run(engine, asked))

    async def _keep(self, engine: Engine, every_s: int) -> None:
        seen_seq = -1
        while True:
            await asyncio.sleep(every_s)
            if engine.writer.last_seq == seen_seq:
                continue  # nothing has happened since a wave found nothing
            try:
                key = f"wave-{time.time_ns()}"
                await _serve_short(engine, key)
                before_seq = engine.writer.last_seq
                report = await self.run(engine, Asked(key, Sought(), Wish(self._think_s)))
                seen_seq = -1 if report.proposed_count else before_seq
            except PlanningFailed as error:
                log.warning("no wave was planned: %s The next one follows in %d s", error, every_s)
            except Exception:
                log.exception("no wave was planned; the next one follows in %d s", every_s)

    async def _run(self, engine: Engine, asked: Asked) -> Report:
        work = Work(find_moves, timeout_s=self._timeout_s + asked.wish.seconds)
        try:
            report = await _Wave(engine, asked, work).run()
        except WorkFailed as error:
            raise PlanningFailed(f"The planning process found no moves: {error}.") from None
        finally:
            await asyncio.shield(asyncio.to_thread(work.close))
        log.log(
            logging.INFO if report.proposed_count else logging.DEBUG,
            "wave: %d orders, %d better elsewhere, %d moved, saving %.2f, gap %.4f %%, in %.1f s",
            *(report.order_count, report.proposed_count, report.moved_count, report.saving_micros / 1_000_000),
            *(100 * report.gap, report.elapsed_s),
        )
        return report


async def _serve_short(engine: Engine, key: str) -> None:
    """Orders with short units that a node has by now get them, those that are short for longest first."""
    ids: list[int] = await look(engine, lambda pool, _: list(pool.orders.short)[:ORDERS_MAX])
    planner = await _planner(engine) if ids else None
    for chunk in _chunks(ids):
        served: list[int] = await look(engine, _with(read_served, planner, chunk))
        for order_id in served:
            reply: OrderReply = await submit(engine, ReleaseOrder(f"{key}/{order_id}", 0, order_id))
            if reply.outcome in (Outcome.OK, Outcome.PARTIAL):
                log.info("order %d: units that were short have come (%s)", order_id, reply.outcome.name)


async def _planner(engine: Engine) -> Planner:
    """Scratch of its own, for questions between two groups of commands."""
    planner: Planner = await look(engine, lambda pool, _: Planner(pool))
    return planner


def _chunks(ids: Sequence[int]) -> list[Sequence[int]]:
    return [ids[at : at + ORDERS_A_LOOK] for at in range(0, len(ids), ORDERS_A_LOOK)]


def _with(read: Callable[..., Any], planner: Planner | None, ids: Sequence[int]) -> Callable[[Pool, int], Any]:
    return lambda pool, _: read(pool, planner, ids)


class _Wave:
    """One wave. ``run`` once."""

    def __init__(self, engine: Engine, asked: Asked, work: Work) -> None:
        self._engine = engine
        self._asked = asked
        self._work = work
        self._attempt = f"{asked.key[:32]}-{time.time_ns()}"
        """Begins the ids of its moves: of this attempt alone, for the next one may find other moves."""
        self._groups = 0
        self._moved = self._saving = self._stranded = 0

    async def run(self) -> Report:
        """Read, think, move. Raises WorkFailed."""
        begun_s = time.monotonic()
        floats = [each async for each in self._floats()]
        self._stranded = sum([each.left_out for each in floats])
        if not any(each.order_ids for each in floats):
            return self._report(Planned(0, 0, 0, 0, 0, timed_out=False), begun_s)
        await asyncio.to_thread(self._work.start)
        for part in (self._asked.wish, *floats):
            await asyncio.to_thread(self._work.send, part)
        skus = np.unique(np.concatenate([each.orders.lines[:, c.LINE_SKU] for each in floats]))
        network = await self._look(lambda pool, _: network_of(pool))
        await asyncio.to_thread(self._work.send, Places(network, skus))
        for some in _pieces(skus, network[0].shape[1]):
            await asyncio.to_thread(self._work.send, Shelves(await self._look(_cutter(some))))
        results: Iterator[list[Group] | Planned] = self._work.results()
        while not isinstance(part := await asyncio.to_thread(next, results), Planned):
            for group in part:
                await self._move(group)
        return self._report(part, begun_s)

    def _report(self, planned: Planned, begun_s: float) -> Report:
        gap, elapsed_s = gap_of(planned.score_micros, planned.bound_micros), time.monotonic() - begun_s
        counts = planned.order_count, planned.proposed_count, self._moved, self._saving
        return Report(*counts, gap, planned.timed_out, elapsed_s, self._stranded)

    async def _floats(self) -> Any:
        """The orders that float, the oldest first."""
        found: set[int] = set()
        next_node = 0
        while next_node >= 0:
            piece = await self._look(_finder(next_node, self._asked.sought))
            found.update(piece.order_ids)
            next_node = piece.next_node
        planner = await _planner(self._engine) if found else None
        for chunk in _chunks(sorted(found)[:ORDERS_MAX]):
            floats: Floats = await self._look(_with(read_floats, planner, chunk))
            yield floats

    async def _move(self, group: Group) -> None:
        names = self._engine.names
        moves = tuple([Move(order_id, work_ids, _keyed(legs, names)) for order_id, work_ids, legs in group])
        command = RerouteOrder(f"{self._attempt}/{self._groups}", 0, moves, self._asked.wish.saving_micros_min)
        self._groups += 1
        reply: RerouteReply = await submit(self._engine, command)
        if reply.moved:
            self._moved += len(group)
            self._saving += reply.saving_micros

    async def _look(self, take: Callable[[Pool, int], Any]) -> Any:
        return await look(self._engine, take)


def _keyed(legs: tuple[tuple[int, int, int], ...], names: Names) -> tuple[tuple[str, str, int], ...]:
    return tuple([(names.sku_keys[sku], names.node_keys[node], units) for sku, node, units in legs])


def _pieces(skus: Integers, node_count: int) -> list[Integers]:
    """The SKUs in pieces of about CELLS_A_LOOK cells, if every node had all of them."""
    size = max(CELLS_A_LOOK // max(node_count, 1), 1)
    return [skus[at : at + size] for at in range(0, len(skus), size)]


def _cutter(skus: Integers) -> Callable[[Pool, int], Any]:
    return lambda pool, _: cut_stock(pool.stock.arrays, skus)


def _finder(first_node: int, sought: Sought) -> Callable[[Pool, int], Any]:
    return lambda pool, now_ns: read_found(pool, now_ns, first_node, sought)
