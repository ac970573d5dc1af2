"""What one caller asks, asked by one who has many of it: some of the single requests come as batches of a few."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from engine.model import commands as m
from engine.model.outcomes import ReservationState
from engine.proof.oracle import State
from engine.proof.simulation.history import Ref
from engine.proof.simulation.ledger import Ledger

Asked = tuple[type[m.Command], dict[str, Any]]
SHARE = 0.3
"""So many of them come as batches."""


def as_batch(asked: Asked, state: State, ledger: Ledger) -> Asked:
    """The same request, or a batch that has it in it. By a chance of its own: what else happens in a world stays as it was."""
    kind, fields = asked
    chance = Random(state.seq)  # noqa: S311 - nothing here is secret
    if chance.random() > SHARE:
        return asked
    if kind is m.ReleaseReservation:
        ids = _reservations(fields["reservation_id"], chance, state, ledger)
        return m.BatchRelease, {"channel_key": _channel(ids, chance, state, ledger), "reservation_ids": ids}
    if kind is m.PlaceOrder and fields.get("reservation_id"):
        ids = _reservations(fields["reservation_id"], chance, state, ledger)
        key = fields["order_key"]
        return m.BatchCommit, {
            "channel_key": _channel(ids, chance, state, ledger),
            "reservation_ids": ids,
            "order_keys": tuple(key if chance.random() < 0.2 else f"{key}.{at}" for at in range(len(ids))),
            "customer_keys": chance.choice(((), ("eve",) * len(ids))),
        }
    if kind is m.AdjustStock:
        return m.BatchAdjustStock, _rows(fields, chance)
    return asked


def _reservations(first: Ref | int, chance: Random, state: State, ledger: Ledger) -> tuple[Ref | int, ...]:
    held = [each for each, hold in state.holds.items() if hold.state == ReservationState.HELD]
    more: Sequence[int] = held if chance.random() < 0.8 else list(state.holds)
    others = [ledger.ref("reservation", chance.choice(more)) for _ in range(chance.randint(0, 3)) if more]
    return (first, *others)


def _channel(ids: tuple[Ref | int, ...], chance: Random, state: State, ledger: Ledger) -> str:
    """Of the first; sometimes another's, or none that there is."""
    hold = state.holds.get(ledger.resolve(ids[0]))
    known = "web" if hold is None else hold.channel
    return chance.choice((known, known, known, known, known, "web", "app", "?"))


def _rows(fields: dict[str, Any], chance: Random) -> dict[str, Any]:
    """A few rows about a cell and its neighbours."""
    count = chance.randint(1, 5)
    skus = [fields["sku_key"], *(chance.choice(("hot", "warm", "rare")) for _ in range(count - 1))]
    nodes = [fields["node_key"], *(chance.choice(("dc", "east", "desk", "?")) for _ in range(count - 1))]
    return {
        "sku_keys": tuple(skus),
        "sku_indexes": (),
        "node_keys": tuple(nodes[:1] if chance.random() < 0.3 else nodes),
        "node_indexes": (),
        "delta_units": tuple(chance.choice((-3, -1, 1, 2)) for _ in range(chance.choice((1, count)))),
        "quantity": fields["quantity"],
        "reason": fields["reason"],
        "all_or_nothing": chance.random() < 0.3,
    }
