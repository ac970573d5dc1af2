"""The books are compared with what the server says, and with what callers were told."""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from engine.client import AsyncClient
from engine.demo.comparison import RecountResult, recount
from stockpool.v1 import admin_pb2 as admin
from stockpool.v1 import inventory_pb2 as inventory
from stockpool.v1 import types_pb2 as types
from tests.unit.decisions import ALLOCATED, OPEN, Journal, held, moved, opened, ordered, working

OK = types.OUTCOME_OK
ANSWERED = {("Reserve", OK): 1, ("PlaceOrder", OK): 1, ("GetOrder", OK): 99}


class Witness:
    """A server that tells the truth about a few events, except where it is told to lie."""

    def __init__(self, journal: Journal) -> None:
        self.events = journal.events
        self.late: list[admin.Event] = []
        self.status = admin.GetStatusResponse(
            journal_seq=len(self.events),
            cell_count=1,
            on_hand_units=9,
            reserved_units=3,
            allocated_units=2,
            available_units=4,
            open_reservation_count=1,
            open_order_count=1,
            open_fulfillment_order_count=1,
        )
        self.cell = types.CellQuantities(
            sku_key="tea", node_key="north", atf_units=4, on_hand_units=9, reserved_units=3, allocated_units=2
        )

    async def stream_events(self, request: admin.StreamEventsRequest) -> AsyncIterator[admin.StreamEventsResponse]:
        for event in self.events[max(request.from_seq, 1) - 1 :]:
            yield admin.StreamEventsResponse(events=[event])

    async def get_status(self, _: admin.GetStatusRequest) -> admin.GetStatusResponse:
        if self.late:
            self.events = [*self.events, self.late.pop()]
        return self.status

    async def batch_get_availability(
        self, request: inventory.BatchGetAvailabilityRequest
    ) -> inventory.BatchGetAvailabilityResponse:
        one = inventory.Availability(sku_key=request.sku_keys[0], outcome=OK, cells=[self.cell])
        return inventory.BatchGetAvailabilityResponse(result=types.Result(outcome=OK), availabilities=[one])

    async def ask(self, **answered: Any) -> RecountResult:
        told = answered.get("answered", ANSWERED)
        return await recount(cast(AsyncClient, self), "web", 1, told, lambda _: None)


@pytest.fixture
def witness() -> Witness:
    journal = Journal()
    journal.add("ImportStock", opened(), moved(9))
    journal.add("Reserve", held(3))
    journal.add("PlaceOrder", moved(2, ALLOCATED), ordered(allocated_units=2), working(OPEN))
    return Witness(journal)


async def test_the_truth_leaves_nothing_to_find(witness: Witness) -> None:
    result = await witness.ask()
    assert result.is_ok, result.findings
    assert (result.event_count, result.promise_count, result.compared_cell_count) == (3, 2, 2)


@pytest.mark.parametrize(
    "field", ["on_hand_units", "reserved_units", "available_units", "shortage_units", "open_order_count", "cell_count"]
)
async def test_a_total_that_differs_is_found(witness: Witness, field: str) -> None:
    setattr(witness.status, field, getattr(witness.status, field) + 1)
    result = await witness.ask()
    assert not result.is_ok
    assert field in result.findings[0]


@pytest.mark.parametrize("field", ["atf_units", "on_hand_units", "damaged_units", "allocated_units", "incoming_units"])
async def test_a_quantity_of_a_cell_that_differs_is_found(witness: Witness, field: str) -> None:
    setattr(witness.cell, field, getattr(witness.cell, field) + 1)
    result = await witness.ask()
    assert f"the server says {field} of tea at north" in result.findings[0]


async def test_a_cell_that_the_events_do_not_know_is_found(witness: Witness) -> None:
    witness.cell.node_key = "south"
    assert "the events do not" in (await witness.ask()).findings[0]


@pytest.mark.parametrize("count", [0, 2])
async def test_an_answer_without_a_decision_is_found(witness: Witness, count: int) -> None:
    result = await witness.ask(answered=ANSWERED | {("Reserve", OK): count})
    assert result.findings == (f"callers were answered OK by Reserve {count} times, the journal holds 1",)


async def test_what_is_decided_meanwhile_is_read_as_well(witness: Witness) -> None:
    event = received_after(witness)
    witness.late.append(event)
    witness.status.journal_seq += 1
    witness.status.on_hand_units += 1
    witness.status.available_units += 1
    witness.cell.on_hand_units += 1
    witness.cell.atf_units += 1
    result = await witness.ask()
    assert result.is_ok, result.findings
    assert result.event_count == 4


def received_after(witness: Witness) -> admin.Event:
    last = witness.events[-1]
    event = admin.Event(journal_seq=last.journal_seq + 1, command="ReceiveStock", outcome=OK, effects=[moved(1)])
    event.time.seconds = last.time.seconds + 1
    return event
