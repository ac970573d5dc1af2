"""Two states that should be the same: what differs is named as people call it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.core.differences import SAME_STATE, differences
from engine.core.image import copy_of, image_of
from engine.core.machine import Machine
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.network import Node, Sku
from engine.model.queries import Finding
from engine.recovery import recover
from tests.builders import SMALL, day, ship

Spoil = Callable[[Machine], object]


def pair() -> tuple[Machine, Machine]:
    store = day(4)
    store.stock(("A", "dc", 20))
    store.reserve(ship([("A", 1)]))
    return store.machine, recover(store.journal(5), SMALL)


def slot(machine: Machine, sku_key: str, node_key: str) -> int:
    names = machine.pool.names
    return machine.pool.stock.find(names.skus.find(sku_key), names.nodes.find(node_key))


@pytest.mark.parametrize("seed", range(3))
def test_live_and_replayed_do_not_differ(seed: int) -> None:
    store = day(seed)
    assert differences(image_of(store.machine), image_of(recover(store.journal(5), SMALL))) == []


def test_a_quantity_of_a_cell_is_named_with_both_numbers() -> None:
    mine, theirs = pair()
    at = slot(theirs, "A", "dc")
    on_hand = int(theirs.pool.state[0][c.ON_HAND, at])
    theirs.pool.state[0][c.ON_HAND, at] += 3
    assert differences(image_of(mine), image_of(theirs)) == [
        Finding(SAME_STATE, "on_hand of A at dc", on_hand, on_hand + 3)
    ]


CHANGES: dict[str, Spoil] = {
    "counter 14": lambda machine: machine.pool.state[8].__setitem__(14, 99),
    "end of reservation": lambda machine: machine.pool.state[3].__setitem__((c.RES_EXPIRES, slice(None)), 5),
    "held 0, row 1": lambda machine: machine.pool.state[4].__setitem__((c.HELD_UNITS, 0), 99),
    "movements 0, row 6": lambda machine: machine.pool.state[6].__setitem__((c.MOVEMENT_REASON, 0), 99),
    "skus 0, row 1": lambda machine: machine.pool.state[1].__setitem__((c.INDEX_COUNT, 0), 99),
    "directory 0": lambda machine: machine.pool.state[2].__setitem__(0, 99),
    "network: nodes[0]": lambda machine: machine.pool.network.nodes.__setitem__(0, Node("other")),
    "network: skus[9]": lambda machine: machine.pool.network.skus.extend([Sku("x")] * (10 - len(machine.pool.network.skus))),
    "network: currency_code": lambda machine: setattr(machine.pool.names, "currency_code", "EUR"),
    "order 1 is remembered": lambda machine: machine.pool.orders.orders.pop(min(machine.pool.orders.orders)),
    "closed orders": lambda machine: machine.pool.orders._closed_orders.append(1),
    "following": lambda machine: setattr(machine.pool.orders, "next_return_id", 77),
    "request r3": lambda machine: machine.requests._entries.__setitem__("r3", (1, 1, 1, b"")),
    "order of each request": lambda machine: machine.requests._entries.__setitem__("r3", machine.requests._entries.pop("r3")),
}  # fmt: skip


@pytest.mark.parametrize("subject", CHANGES)
def test_what_differs_is_named(subject: str) -> None:
    mine, theirs = pair()
    CHANGES[subject](theirs)
    told = [finding.subject for finding in differences(image_of(mine), image_of(theirs), told_max=1_000)]
    wanted = subject
    if subject == "order 1 is remembered":
        wanted = f"order {min(mine.pool.orders.orders)} is remembered"
    assert any(each.startswith(wanted) for each in told), told


def test_no_more_are_told_than_asked_for() -> None:
    mine, theirs = pair()
    theirs.pool.state[0][: c.KEY] += 1
    assert len(differences(image_of(mine), image_of(theirs))) == 20
    assert len(differences(image_of(mine), image_of(theirs), told_max=3)) == 3


def test_a_copy_stays_as_it_was() -> None:
    store = day(1)
    kept, digest = copy_of(store.machine), store.machine.digest()
    twin = recover(store.journal(), SMALL)
    store.stock(("A", "dc", 99))
    store.tell(m.PutNodes, nodes=(Node("new"),))
    store.tell(m.PutSkus, skus=(Sku("new"),))
    assert twin.digest() == digest
    assert differences(image_of(twin), kept) == []
    assert differences(image_of(store.machine), kept) != []
