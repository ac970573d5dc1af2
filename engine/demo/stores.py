"""What nodes do: deliveries, their queue of work, parcels and pickups, and the units that they cannot find."""

from collections import Counter
from zlib import crc32

from engine.demo.caller import OK, PARTIAL
from engine.demo.scenario import Receipt, RejectReason
from engine.demo.stage import HOUR_NS, MINUTE_NS, Job, Stage
from stockpool.v1 import fulfillment_pb2 as fulfillment
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import orders_pb2 as orders
from stockpool.v1 import types_pb2 as types

_REASONS = {reason: f"REJECT_REASON_{reason.name}" for reason in RejectReason}
_CANCELS_AFTER_NS = 10 * MINUTE_NS
_ACCEPTS_AFTER_NS = (20 * MINUTE_NS, 60 * MINUTE_NS)
_SHIPS_AFTER_NS = (HOUR_NS, 4 * HOUR_NS)
_READY_AFTER_NS = (30 * MINUTE_NS, 2 * HOUR_NS)
_COLLECTED_AFTER_NS = (HOUR_NS, 6 * HOUR_NS)
_GIVES_UP_AFTER_NS = 24 * HOUR_NS
"""How long a marketplace's buyer waits for units that no node has."""


class Stores:
    """Works off what orders ask of the nodes."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._ask = stage.caller.ask
        self._client = stage.caller.client
        self._missing: Counter[tuple[str, str]] = Counter()

    def miss(self, cell: types.CellQuantities) -> None:
        """A till sold units that were promised: whoever looks for them next will not find them."""
        self._missing[cell.node_key, cell.sku_key] = -cell.atf_units

    async def receive(self, receipt: Receipt) -> None:
        """A delivery arrives: a fact."""
        request = inventory.ReceiveStockRequest(
            request_id=self._stage.caller.next_id(),
            node_key=receipt.node_key,
            lines=[types.LineItem(sku_key=sku_key, units=units) for sku_key, units in receipt.lines],
            reference=receipt.reference,
        )
        await self._ask("ReceiveStock", self._client.receive_stock, request)
        for sku_key, _ in receipt.lines:
            self._missing.pop((receipt.node_key, sku_key), None)

    def begin(self, job: Job) -> None:
        """Takes an order that was just placed."""
        if job.order.cancels:
            self._stage.later(_CANCELS_AFTER_NS, self._cancel, job)
            return
        for work_id in sorted(job.open_work):
            self._queue(job, work_id)
        if job.is_short:
            self._stage.later(_GIVES_UP_AFTER_NS, self._give_up, job)

    def _queue(self, job: Job, work_id: int) -> None:
        if job.order.node_key:
            self._stage.later(_spread(work_id, _READY_AFTER_NS), self._make_ready, job, work_id)
        else:
            self._stage.later(_spread(work_id, _ACCEPTS_AFTER_NS), self._accept, job, work_id)

    async def _cancel(self, job: Job) -> None:
        request = orders.CancelOrderRequest(
            request_id=self._stage.caller.next_id(), order_id=job.order_id, reference="the buyer changed their mind"
        )
        response = await self._ask("CancelOrder", self._client.cancel_order, request)
        if response.result.outcome == OK:
            job.figures.cancelled_orders += 1
        job.open_work.clear()
        job.is_short = False
        _finish(job)

    async def _accept(self, job: Job, work_id: int) -> None:
        if job.must_reject and job.order.rejects is not None:
            job.must_reject = False
            await self._reject(job, work_id, job.order.rejects)
            return
        request = fulfillment.AcceptRequest(request_id=self._stage.caller.next_id(), fulfillment_order_id=work_id)
        response = await self._ask("Accept", self._client.accept, request)
        if response.result.outcome != OK:
            _close(job, work_id)
        elif self._cannot_find(response.fulfillment_order):
            await self._reject(job, work_id, RejectReason.NOT_IN_STOCK)
        else:
            self._stage.later(_spread(work_id, _SHIPS_AFTER_NS), self._ship, job, work_id)

    async def _ship(self, job: Job, work_id: int) -> None:
        request = fulfillment.ShipRequest(
            request_id=self._stage.caller.next_id(), fulfillment_order_id=work_id, tracking=f"SP{work_id:010d}"
        )
        response = await self._ask("Ship", self._client.ship, request)
        if response.result.outcome == OK:
            work, figures = response.fulfillment_order, job.figures
            job.package_count += 1
            figures.packages += 1
            figures.sent_orders += job.package_count == 1
            figures.split_orders += job.package_count == 2
            figures.cost_micros += work.carrier_cost.micros + work.handling_cost.micros
            figures.zones[work.zone] += 1
            _fulfil(job, work)
        _close(job, work_id)

    async def _make_ready(self, job: Job, work_id: int) -> None:
        request = fulfillment.MarkReadyRequest(request_id=self._stage.caller.next_id(), fulfillment_order_id=work_id)
        response = await self._ask("MarkReady", self._client.mark_ready, request)
        if response.result.outcome != OK:
            _close(job, work_id)
        elif self._cannot_find(response.fulfillment_order):
            await self._reject(job, work_id, RejectReason.NOT_IN_STOCK)
        else:
            self._stage.later(_spread(work_id, _COLLECTED_AFTER_NS), self._hand_over, job, work_id)

    async def _hand_over(self, job: Job, work_id: int) -> None:
        request = fulfillment.HandOverRequest(request_id=self._stage.caller.next_id(), fulfillment_order_id=work_id)
        response = await self._ask("HandOver", self._client.hand_over, request)
        if response.result.outcome == OK:
            job.figures.collected_orders += 1
            _fulfil(job, response.fulfillment_order)
        _close(job, work_id)

    async def _reject(self, job: Job, work_id: int, reason: RejectReason) -> None:
        request = fulfillment.RejectRequest(
            request_id=self._stage.caller.next_id(), fulfillment_order_id=work_id, reason=_REASONS[reason]
        )
        response = await self._ask("Reject", self._client.reject, request)
        job.figures.rejected_work += 1
        for work in response.replacements:
            job.open_work.add(work.fulfillment_order_id)
            self._queue(job, work.fulfillment_order_id)
        if response.result.outcome == PARTIAL and not job.is_short:
            job.is_short = True
            self._stage.later(_GIVES_UP_AFTER_NS, self._give_up, job)
        _close(job, work_id)

    async def _give_up(self, job: Job) -> None:
        """Cancels what is short by now; what was found in the meantime is worked off."""
        page = orders.GetOrderRequest(order_id=job.order_id)
        order = (await self._ask("GetOrder", self._client.get_order, page)).order
        lines = [
            orders.LineUnits(line_index=line.line_index, units=line.short_units)
            for line in order.lines
            if line.short_units
        ]
        if lines:
            request = orders.CancelOrderRequest(
                request_id=self._stage.caller.next_id(), order_id=job.order_id, lines=lines, reference="not to be had"
            )
            response = await self._ask("CancelOrder", self._client.cancel_order, request)
            if response.result.outcome == OK:
                job.figures.lost_units += sum(line.units for line in lines) - job.short_units
        job.is_short = False
        _finish(job)

    def _cannot_find(self, work: fulfillment.FulfillmentOrder) -> bool:
        """Whether a unit of this work is among those that a till sold; it is found out once."""
        if not self._missing:
            return False
        cells = [(work.node_key, line.sku_key) for line in work.lines]
        if not any(cell in self._missing for cell in cells):
            return False
        for cell, line in zip(cells, work.lines, strict=True):
            if cell in self._missing:
                self._missing[cell] -= line.units
                if self._missing[cell] <= 0:
                    del self._missing[cell]
        return True


def _close(job: Job, work_id: int) -> None:
    job.open_work.discard(work_id)
    _finish(job)


def _fulfil(job: Job, work: fulfillment.FulfillmentOrder) -> None:
    for line in work.lines:
        job.fulfilled[line.line_index] += line.units


def _finish(job: Job) -> None:
    if job.is_done:
        for act in job.when_done:
            act()
        job.when_done.clear()


def _spread(work_id: int, bounds_ns: tuple[int, int]) -> int:
    """A time between the bounds that depends on the work alone: some stores are quicker than others."""
    shortest, longest = bounds_ns
    return shortest + crc32(work_id.to_bytes(8, "little")) % (longest - shortest)
