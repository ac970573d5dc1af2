"""Goods that come back: announced, sent or brought, and judged where they arrive."""

from collections import Counter
from functools import partial

from engine.demo.caller import OK
from engine.demo.scenario import Disposition, Return, ReturnLine
from engine.demo.stage import HOUR_NS, MINUTE_NS, Job, Stage
from stockpool.v1 import returns_pb2 as returns
from stockpool.v1 import types_pb2 as types

_DISPOSITIONS = {kind: f"DISPOSITION_{kind.name}" for kind in Disposition}
_ON_THE_ROAD_NS = 2 * HOUR_NS
_AT_THE_COUNTER_NS = 5 * MINUTE_NS


class ReturnsDesk:
    """Takes goods back. ``left_out_count`` returns had nothing to give back: their order was refused, cancelled or never filled."""

    def __init__(self, stage: Stage) -> None:
        self.left_out_count = 0
        self._stage = stage
        self._ask = stage.caller.ask
        self._client = stage.caller.client

    async def take(self, call: Return) -> None:
        """Announces a return, now or as soon as everything of its order has arrived."""
        if not call.order_key:
            await self._authorise(call, 0, call.lines)
            return
        job = self._stage.jobs.get((call.channel_key, call.order_key))
        if job is None:
            self.left_out_count += 1
        elif job.is_done:
            await self._take_from(call, job)
        else:
            job.when_done.append(partial(self._stage.later, 0, self._take_from, call, job))

    async def _take_from(self, call: Return, job: Job) -> None:
        lines = _limited(call.lines, job.fulfilled)
        if lines:
            await self._authorise(call, job.order_id, lines)
        else:
            self.left_out_count += 1

    async def _authorise(self, call: Return, order_id: int, lines: tuple[ReturnLine, ...]) -> None:
        wanted: Counter[tuple[int, str]] = Counter()
        for line in lines:
            wanted[line.line_index, line.sku_key] += line.units
        request = returns.AuthorizeReturnRequest(
            request_id=self._stage.caller.next_id(),
            channel_key=call.channel_key,
            order_id=order_id,
            lines=[
                returns.ReturnItem(line_index=index, units=units)
                if order_id
                else returns.ReturnItem(sku_key=sku_key, units=units)
                for (index, sku_key), units in wanted.items()
            ],
        )
        if call.node_key:
            request.drop_off_node_key = call.node_key
        else:
            request.ship_from.CopyFrom(types.Destination(postal_code=call.postal_code))
        response = await self._ask("AuthorizeReturn", self._client.authorize_return, request)
        if response.result.outcome != OK:
            return
        places = {key: index for index, key in enumerate(wanted)}
        items = [
            returns.ReceivedItem(
                line_index=places[line.line_index, line.sku_key],
                units=line.units,
                disposition=_DISPOSITIONS[line.disposition],
            )
            for line in lines
        ]
        figures = self._stage.tally.at(call.channel_key, call.at_ns)
        figures.returned_units += sum(line.units for line in lines if line.disposition is not Disposition.MISSING)
        delay_ns = _AT_THE_COUNTER_NS if call.node_key else _ON_THE_ROAD_NS
        self._stage.later(delay_ns, self._receive, response.return_order.return_id, items)

    async def _receive(self, return_id: int, items: list[returns.ReceivedItem]) -> None:
        request = returns.ReceiveReturnRequest(
            request_id=self._stage.caller.next_id(), return_id=return_id, items=items
        )
        await self._ask("ReceiveReturn", self._client.receive_return, request)


def _limited(lines: tuple[ReturnLine, ...], fulfilled: Counter[int]) -> tuple[ReturnLine, ...]:
    """The lines with no more units than the order's line ever provided and has not given back; those are taken off ``fulfilled``."""
    kept = []
    for line in lines:
        units = min(line.units, fulfilled[line.line_index])
        if units > 0:
            fulfilled[line.line_index] -= units
            kept.append(ReturnLine(line.line_index, line.sku_key, units, line.disposition))
    return tuple(kept)
