"""Everything that the auditor knows against everything that a machine holds."""

from __future__ import annotations

from typing import Any

from engine.core.machine import Machine, Repeated
from engine.kernels import columns as c
from engine.model import queries as q
from engine.model.outcomes import FulfillmentKind, Quantity, ReservationState
from engine.pool.replies import encode_reply
from engine.proof.oracle import State
from engine.proof.simulation.auditor import Auditor, Violation
from engine.proof.simulation.witness import (
    NEVER_PROMISED,
    QUANTITY_COUNT,
    findings,
    machine_records,
    place_of,
    promised_days,
)


def compare_cells(auditor: Auditor, machine: Machine) -> None:
    """Every quantity of every cell."""
    state, tally = auditor.oracle.state, auditor.witness.tally
    if len(tally.places) != len(state.cells):
        raise Violation("cells", f"the journal opens {len(tally.places)} cells, the oracle has {len(state.cells)}")
    skus, nodes = list(state.skus), list(state.nodes)
    for slot, units in auditor.witness.cells(machine).items():
        sku, node = tally.places[slot]
        pair = skus[sku], nodes[node]
        wanted = list(state.cells[pair].values())
        if units[:QUANTITY_COUNT] != wanted or units[c.ATF] != state.atf(pair):
            raise Violation("cells", f"{pair}: engine {units}, oracle {wanted}")


def _compare_days(auditor: Auditor, machine: Machine) -> None:
    """What each node has promised for each day."""
    state, found = auditor.oracle.state, promised_days(machine)
    nodes = list(state.nodes)
    for (node, *when), taken in state.taken.items():
        at, number = place_of(*when)
        latest, *units = found.get((nodes.index(node), at), NEVER_PROMISED)
        if latest < number and taken != (0, 0):
            raise Violation("days", f"{node} on {when}: engine nothing, oracle {taken}")
        if latest == number and tuple(units) != taken:
            raise Violation("days", f"{node} on {when}: engine {units}, oracle {taken}")


def compare_recovered(auditor: Auditor, machine: Machine) -> None:
    """What a restart must bring back: cells, records, totals, and the first answer to every request that is remembered."""
    compare_cells(auditor, machine)
    _compare_days(auditor, machine)
    _compare_records(auditor, machine)
    _compare_answers(auditor, machine, [q.GetStatus(0)])
    _compare_first_answers(auditor, machine)


def compare_everything(auditor: Auditor, machine: Machine) -> None:
    """Also reservations, work queues, movements, availability, sums of the journal, and every invariant."""
    compare_recovered(auditor, machine)
    state, tally = auditor.oracle.state, auditor.witness.tally
    for slot, units in auditor.witness.cells(machine).items():
        if tally.units[slot] != units[:QUANTITY_COUNT]:
            raise Violation("effects", f"slot {slot}: Σ effects {tally.units[slot]}, cell {units}")
    wrong = findings(machine)
    if wrong:
        raise Violation("engine's audit", f"{wrong}")
    check_invariants(state)
    _compare_answers(auditor, machine, _questions(state))
    if machine.pool.names.sources.keys != state.sources:
        raise Violation("feeds", f"{machine.pool.names.sources.keys}")


def _compare_records(auditor: Auditor, machine: Machine) -> None:
    state = auditor.oracle.state
    kept: list[tuple[str, dict[int, Any]]] = [
        ("orders", state.orders), ("work", state.work), ("returns", state.returns),
    ]  # fmt: skip
    for (name, wanted), found in zip(kept, machine_records(machine), strict=True):
        plain = {key: auditor.witness.plain(record) for key, record in found.items()}
        if plain != wanted or list(plain) != list(wanted):
            keys = [key for key in plain.keys() | wanted.keys() if plain.get(key) != wanted.get(key)]
            shown = "\n".join(
                f"    {key}: engine {plain.get(key)}\n        oracle {wanted.get(key)}" for key in keys[:3]
            )
            raise Violation(name, f"differ in {keys}\n{shown}")


def _compare_answers(auditor: Auditor, machine: Machine, queries: list[q.Query]) -> None:
    for query in queries:
        wanted = auditor.oracle.answer(query)
        found = auditor.witness.plain(machine.answer(query, machine.now_ns))
        if isinstance(query, q.ListMovements):
            found = found._replace(movements=tuple(row._replace(position=0) for row in found.movements))
        # The oracle knows the time of the last group, a machine that of the last decision.
        if isinstance(query, q.GetPrices):
            found, wanted = found._replace(age_ns=0), wanted._replace(age_ns=0)
        if isinstance(query, q.GetStatus):
            found, wanted = found._replace(price_age_ns=0), wanted._replace(price_age_ns=0)
        if found != wanted:
            raise Violation("read", f"{query}\n    engine: {found}\n    oracle: {wanted}")


def _questions(state: State) -> list[q.Query]:
    """What anybody could read."""
    oldest = max(0, state.next_hold_id - 2 * state.limits.open_reservations_max - 2)
    skus = tuple(state.skus)
    return [
        *(q.GetReservation(0, each) for each in range(oldest, state.next_hold_id + 1)),
        *(
            q.GetAvailability(0, channel, skus, kind, node)
            for channel in state.channels
            for kind in FulfillmentKind
            for node in ("", *state.nodes)
        ),
        *(q.GetPrices(0, sku) for sku in skus),
        *(q.ListMovements(0, *pair, 0, state.limits.movements_remembered) for pair in state.cells),
        *(q.ListFulfillmentOrders(0, node, 0, (), 0, 1_000_000) for node in state.nodes),
    ]


def check_invariants(state: State) -> None:
    """What must hold of any store, said of the oracle's dictionaries, which were found equal to the engine's columns."""
    reserved: dict[Any, int] = {}
    for hold in state.holds.values():
        for leg in hold.legs if hold.state == ReservationState.HELD else ():
            reserved[leg.sku, leg.node] = reserved.get((leg.sku, leg.node), 0) + leg.units
    allocated: dict[Any, int] = {}
    skus, nodes = list(state.skus), list(state.nodes)
    for work in state.work.values():
        for part in work.lines if work.is_open else ():
            pair = skus[part.slot >> 32], nodes[part.slot & 0xFFFF_FFFF]
            allocated[pair] = allocated.get(pair, 0) + part.units
    for pair, cell in state.cells.items():
        sums = (reserved.get(pair, 0), allocated.get(pair, 0))
        if (cell[Quantity.RESERVED], cell[Quantity.ALLOCATED]) != sums:
            raise Violation("reserved, allocated = Σ legs", f"{pair}: {cell}, legs {sums}")
        if any(units < 0 for quantity, units in cell.items() if quantity != Quantity.ON_HAND):
            raise Violation("nothing but on_hand is negative", f"{pair}: {cell}")
    for order in state.orders.values():
        for line in order.lines:
            parts = line.allocated_units + line.fulfilled_units + line.cancelled_units + line.short_units
            if line.units != parts:
                raise Violation("units of a line = Σ its parts", f"{order}")


def _compare_first_answers(auditor: Auditor, machine: Machine) -> None:
    """Byte for byte, and nothing is decided twice."""
    for request_id in auditor.oracle.state.requests:
        command, seq, encoded = auditor.first[request_id]
        again = machine.decide(command, machine.now_ns)
        if not isinstance(again, Repeated):
            raise Violation("acknowledged", f"{command} of seq {seq} is not remembered")
        if (again.seq, encode_reply(again.reply)) != (seq, encoded):
            raise Violation("acknowledged", f"{command} of seq {seq} is answered otherwise: {again}")
