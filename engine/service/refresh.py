"""Refreshing prices: planned in a process of its own, on a cadence or when somebody asks, and written as anybody's SetPrices are.

The writer is asked for a little at a time, in both directions, so that nobody's request waits for a refresh. What is read is therefore not of one
instant, but each SKU's cells are: a price may be wrong by what happened meanwhile, as it may be by everything that happens afterwards.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from engine.model.answers import StatusAnswer
from engine.model.commands import SetPrices
from engine.model.outcomes import Outcome
from engine.model.queries import GetStatus
from engine.model.replies import PricesReply
from engine.planning.demand import History
from engine.planning.history import DAY_NS, OrdersRead, SalesRead, read_orders, read_sales
from engine.planning.refresh import (
    MOVEMENTS_A_LOOK,
    ORDERS_A_LOOK,
    ORDERS_MAX,
    Horizon,
    Rows,
    find_prices,
    read_cells,
    read_lanes,
)
from engine.planning.worker import Work, WorkFailed
from engine.pool.names import Names
from engine.pool.pool import Pool
from engine.service.background import OneAtATime
from engine.service.door import Engine
from engine.service.errors import PlanningFailed
from engine.service.looking import look, pieces, submit
from engine.settings import Settings

log = logging.getLogger("stockpool")


Keys = tuple[str, ...]
Numbers = tuple[int, ...]


class PriceRefresher:
    """One refresh at a time. Belongs to the event loop."""

    def __init__(self, settings: Settings) -> None:
        self._every_s = settings.price_refresh_s
        self._history_ns = settings.price_history_days * DAY_NS
        self._horizon_days = settings.price_horizon_days
        self._timeout_s = settings.price_timeout_s
        self._one = OneAtATime[str]()
        self.problem = ""
        """Why the last refresh failed; empty when it did not."""

    def start(self, engine: Engine) -> None:
        """Keep the cadence, where one is set."""
        if self._every_s is not None:
            self._one.keep(self._keep(engine, self._every_s))

    async def close(self) -> None:
        """End what is under way, at once: what has been written is whole."""
        await self._one.close()

    async def refresh(self, engine: Engine, plan_key: str) -> str:
        """Plan and write prices, or wait for the refresh that is under way. Goes on when the caller no longer waits.

        Returns the key of the plan that is in force then. One that is in force already is not made again.

        Raises:
            PlanningFailed: nothing is in force that was not before.
            NotServing, JournalLost: the writer has stopped.
        """
        return await self._one.run(lambda: self._refresh(engine, plan_key))

    async def _keep(self, engine: Engine, every_s: int) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.refresh(engine, f"refresh-{time.time_ns()}")
            except PlanningFailed as error:
                log.warning("prices were not refreshed: %s The next attempt follows in %d s", error, every_s)
            except Exception:
                log.exception("prices were not refreshed; the next attempt follows in %d s", every_s)

    async def _refresh(self, engine: Engine, plan_key: str) -> str:
        begun_s = time.monotonic()
        status: StatusAnswer = await submit(engine, GetStatus(0))
        if status.price_plan is not None and status.price_plan.plan_key == plan_key:
            return plan_key
        work = Work(find_prices, timeout_s=self._timeout_s)
        try:
            done = await _Refresh(engine, plan_key, work).run(self._history_ns, self._horizon_days)
        except WorkFailed as error:
            self.problem = str(error)
            raise PlanningFailed(f"The planning process found no prices: {error}.") from None
        finally:
            await asyncio.shield(asyncio.to_thread(work.close))
        self.problem = ""
        log.info(
            "prices refreshed: %d of %d cells changed, by %d sales of %.1f days and %d orders of %.1f days, in %.1f s",
            *(done.changed_count, done.cell_count, done.sale_count, done.history_days[0]),
            *(done.order_count, done.history_days[1], time.monotonic() - begun_s),
        )
        return plan_key


class _Refresh:
    """One refresh. ``run`` once."""

    def __init__(self, engine: Engine, plan_key: str, work: Work) -> None:
        self._engine = engine
        self._plan_key = plan_key
        self._work = work
        self._attempt = f"{plan_key[:32]}-{time.time_ns()}"
        """Begins the ids of its requests: of this attempt alone, for the next one may find other prices."""
        self._parts = 0
        self.cell_count = self.sale_count = self.order_count = self.changed_count = 0
        self.history_days = [0.0, 0.0]
        """That the sales and the orders reach back."""

    async def run(self, history_ns: int, horizon_days: int) -> Self:
        """Read, think, write. Raises WorkFailed; then the plan is not in force."""
        work = self._work
        await asyncio.to_thread(work.start)
        async for part in self._read(history_ns, horizon_days):
            await asyncio.to_thread(work.send, part)
        results = work.results()
        while (rows := await asyncio.to_thread(next, results, None)) is not None:
            await self._write(*_keyed(rows, self._engine.names), complete=False)
        await self._write((), (), (), (), complete=True)
        return self

    async def _read(self, history_ns: int, horizon_days: int) -> AsyncIterator[Any]:
        """Everything that the thought is given."""
        now_ns = await self._look(lambda _, now: now)
        since_ns = now_ns - history_ns
        sold_ns, before = now_ns, 0
        while True:
            sold: SalesRead = await self._look(_sales_reader(since_ns, before))
            yield sold.sales
            self.sale_count += len(sold.sales.keys)
            sold_ns, before = min(sold_ns, sold.oldest_ns), sold.before
            if not before:
                break
        ordered_ns, before = now_ns, 0
        while True:
            placed: OrdersRead = await self._look(_orders_reader(since_ns, before))
            yield placed.ordered
            self.order_count += placed.order_count
            ordered_ns, before = min(ordered_ns, placed.oldest_ns), placed.before
            if not before or self.order_count >= ORDERS_MAX:
                break
        sales, orders = [History(max(begin_ns, since_ns), now_ns) for begin_ns in (sold_ns, ordered_ns)]
        self.history_days = [(now_ns - history.begin_ns) / DAY_NS for history in (sales, orders)]
        yield Horizon(sales, orders, horizon_days)
        yield await self._look(lambda pool, _: read_lanes(pool))
        async for piece in pieces(self._engine, read_cells):
            yield piece
            self.cell_count += piece.cells.shape[1]

    async def _look(self, take: Callable[[Pool, int], Any]) -> Any:
        return await look(self._engine, take)

    async def _write(self, skus: Keys, nodes: Keys, prices: Numbers, demands: Numbers, *, complete: bool) -> None:
        request_id = f"{self._attempt}/{self._parts}"
        self._parts += 1
        part = SetPrices(request_id, 0, self._plan_key, skus, nodes, prices, demands, complete)
        reply: PricesReply = await submit(self._engine, part)
        assert reply.outcome == Outcome.OK, reply  # SKUs and nodes stay, and nobody else has such an id
        self.changed_count += reply.changed_count


def _sales_reader(since_ns: int, before: int) -> Callable[[Pool, int], Any]:
    return lambda pool, _: read_sales(pool, since_ns, before, MOVEMENTS_A_LOOK)


def _orders_reader(since_ns: int, before: int) -> Callable[[Pool, int], Any]:
    return lambda pool, _: read_orders(pool, since_ns, before, ORDERS_A_LOOK)


def _keyed(rows: Rows, names: Names) -> tuple[Keys, Keys, Numbers, Numbers]:
    skus, nodes = names.sku_keys, names.node_keys
    return (
        tuple([skus[at] for at in rows.skus.tolist()]),
        tuple([nodes[at] for at in rows.nodes.tolist()]),
        tuple(rows.prices.tolist()),
        tuple(rows.demands.tolist()),
    )
