"""The recount's books beside what the server says (totals, and a sample of cells, quantity by quantity) and what callers were told."""

import random
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from engine.client import AsyncClient
from engine.demo.recount import Recount
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import types_pb2 as types

_SAMPLE_SKUS = 200
_SKUS_A_CALL = 20
_READS = ("Get", "BatchGet", "List")
"""How calls begin that change nothing and are not in the journal."""
_CELL_FIELDS = {
    types.QUANTITY_ON_HAND: "on_hand_units",
    types.QUANTITY_DAMAGED: "damaged_units",
    types.QUANTITY_QUALITY_CONTROL: "quality_control_units",
    types.QUANTITY_DISPLAY: "display_units",
    types.QUANTITY_IN_RETURN: "in_return_units",
    types.QUANTITY_RESERVED: "reserved_units",
    types.QUANTITY_ALLOCATED: "allocated_units",
    types.QUANTITY_SAFETY_STOCK: "safety_stock_units",
    types.QUANTITY_INCOMING: "incoming_units",
}


@dataclass(frozen=True, slots=True)
class RecountResult:
    """What the recount found. ``is_ok``: nothing oversold, nothing wrong, and the server says what the books say."""

    is_ok: bool
    units_oversold: int
    event_count: int
    effect_count: int
    refusal_count: int
    promise_count: int
    duplicate_order_count: int
    cell_count: int
    compared_cell_count: int
    finding_count: int
    findings: tuple[str, ...]
    elapsed_s: float


async def recount(
    client: AsyncClient,
    channel_key: str,
    seed: int,
    answered: Mapping[tuple[str, int], int],
    progress: Callable[[int], None],
    books: Recount | None = None,
) -> RecountResult:
    """Recounts the whole journal of an idle server and compares the outcome with what the server says.

    ``channel_key`` is a channel over all nodes, asked for the sample of cells that ``seed`` draws. ``answered`` is how often callers were
    given each outcome by each call: every answer must be a decision of the journal, and every decision somebody's answer. ``progress`` is
    told the last sequence after each message. ``books`` are empty ones of the caller's own, to look into afterwards.

    Raises:
        StockpoolError: a call failed.
    """
    begun = perf_counter()
    books = Recount() if books is None else books
    status = await _read_to_the_end(client, books, progress)
    _compare_totals(books, status)
    _compare_answers(books, answered)
    compared = 0
    async for availability in _sample(client, books, channel_key, seed):
        for cell in availability.cells:
            _compare_cell(books, cell)
            compared += 1
    return RecountResult(
        is_ok=books.is_ok,
        units_oversold=books.oversold_units,
        event_count=books.event_count,
        effect_count=books.effect_count,
        refusal_count=books.refusal_count,
        promise_count=books.promise_count,
        duplicate_order_count=books.duplicate_order_count,
        cell_count=len(books.books.cells),
        compared_cell_count=compared,
        finding_count=books.finding_count,
        findings=tuple(books.findings),
        elapsed_s=perf_counter() - begun,
    )


async def _read_to_the_end(
    client: AsyncClient, books: Recount, progress: Callable[[int], None]
) -> admin.GetStatusResponse:
    """Reads until the server has decided nothing beyond the books: holds may still expire while they are read."""
    while True:
        async for response in client.stream_events(admin.StreamEventsRequest(from_seq=books.last_seq + 1)):
            for event in response.events:
                books.take(event)
            progress(books.last_seq)
        status = await client.get_status(admin.GetStatusRequest())
        if status.journal_seq <= books.last_seq:
            return status


def _compare_totals(recount: Recount, status: admin.GetStatusResponse) -> None:
    books, columns = recount.books, recount.books.columns
    reserved, allocated = recount.open_units_by_cell()
    for name, column, open_units in (
        ("reserved", columns[types.QUANTITY_RESERVED], reserved),
        ("allocated", columns[types.QUANTITY_ALLOCATED], allocated),
    ):
        for cell, units in enumerate(column):
            if units != open_units[cell]:
                recount.find(f"{units} units of {recount.name_of(cell)} are {name}, {open_units[cell]} by what is open")
    counted = {
        "journal_seq": recount.last_seq,
        "cell_count": len(books.cells),
        "on_hand_units": sum(columns[types.QUANTITY_ON_HAND]),
        "reserved_units": sum(columns[types.QUANTITY_RESERVED]),
        "allocated_units": sum(columns[types.QUANTITY_ALLOCATED]),
        "available_units": sum(units for units in books.free if units > 0),
        "shortage_units": -sum(units for units in books.free if units < 0),
        "shortage_cell_count": sum(units < 0 for units in books.free),
        "short_order_units": sum(order.short_units for order in books.open_orders.values()),
        "open_reservation_count": len(books.holds),
        "open_order_count": len(books.open_orders),
        "open_fulfillment_order_count": len(books.work),
    }
    for name, value in counted.items():
        said = getattr(status, name)
        if said != value:
            recount.find(f"the server says {name} is {said}, the books say {value}")
    if sum(order.allocated_units for order in books.open_orders.values()) != counted["allocated_units"]:
        recount.find("the allocated units of the open orders are not those of the cells")


def _compare_answers(recount: Recount, answered: Mapping[tuple[str, int], int]) -> None:
    for (call, outcome), count in answered.items():
        decided = recount.decided[call, outcome]
        if not call.startswith(_READS) and decided != count:
            name = types.Outcome.Name(cast("types.Outcome", outcome)).removeprefix("OUTCOME_")
            recount.find(f"callers were answered {name} by {call} {count} times, the journal holds {decided}")


async def _sample(
    client: AsyncClient, recount: Recount, channel_key: str, seed: int
) -> AsyncIterator[inventory.Availability]:
    """Availability with cells of some SKUs, drawn by seed, for shipping and for pickup: together, most nodes."""
    skus = sorted({sku_key for sku_key, _ in recount.books.cells})
    chosen = random.Random(seed).sample(skus, min(_SAMPLE_SKUS, len(skus)))  # noqa: S311 - a sample, no secret
    for begin in range(0, len(chosen), _SKUS_A_CALL):
        for kind in (types.FULFILLMENT_KIND_SHIP, types.FULFILLMENT_KIND_PICKUP):
            request = inventory.BatchGetAvailabilityRequest(
                channel_key=channel_key, sku_keys=chosen[begin : begin + _SKUS_A_CALL], kind=kind, with_cells=True
            )
            response = await client.batch_get_availability(request)
            if response.result.outcome != types.OUTCOME_OK:
                recount.find(f"BatchGetAvailability answers {types.Outcome.Name(response.result.outcome)}")
            for availability in response.availabilities:
                yield availability


def _compare_cell(recount: Recount, said: types.CellQuantities) -> None:
    cell = recount.books.cells.get((said.sku_key, said.node_key))
    if cell is None:
        recount.find(f"the server has a cell {said.sku_key} at {said.node_key}, the events do not")
        return
    pairs = [(name, recount.books.columns[quantity][cell]) for quantity, name in _CELL_FIELDS.items()]
    pairs.append(("atf_units", recount.books.free[cell]))
    for name, value in pairs:
        if getattr(said, name) != value:
            recount.find(
                f"the server says {name} of {recount.name_of(cell)} is {getattr(said, name)}, the books say {value}"
            )
