"""Reserves that follow each other are decided in one kernel call: the answers, the state and the journal must not tell."""

import random

import pytest

from engine.core.machine import Machine
from engine.journal.codec import decode_run, encode
from engine.kernels import columns as c
from engine.model import commands as m
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.outcomes import FulfillmentKind, Outcome, Quantity, StockReason

NODES, SKUS = 6, 8
START_NS = 1_000_000_000_000_000_000
SMALL = Limits(
    nodes_max=16,
    skus_max=64,
    cells_max=512,
    open_reservations_max=32,
    reservation_legs_max=64,
    movements_remembered=64,
    regions_max=8,
)


def stocked() -> Machine:
    """Six nodes with little of eight SKUs."""
    machine = Machine(SMALL)
    stock = random.Random(7)
    nodes = tuple(
        Node(f"n{i}", latitude=30.0 + i, longitude=-100.0, ships=i != 1, offers_pickup=i % 2 == 0, closed=i == 5)
        for i in range(NODES)
    )
    rates = tuple(1_000_000 + 10_000 * i for i in range(6))
    for number, (command, argument) in enumerate(
        (
            (m.PutNodes, nodes),
            (m.PutSkus, tuple(Sku(f"S{i}", weight_grams=200 + i) for i in range(SKUS))),
            (m.PutRateCard, RateCard("ground", "USD", (1_000, 5_000), 3, rates)),
            (m.PutZoneChart, ZoneChart((Region("900", 31.0, -100.0),), (200_000, 400_000))),
            (m.PutRoutingPolicy, RoutingPolicy("default", 300_000, True, "ground")),
            (m.PutChannels, (Channel("web", all_nodes=True), Channel("app", all_nodes=True, threshold_units=2))),
        )
    ):
        apply(machine, command(f"w{number}", number, argument))
    for node in range(NODES):
        units = tuple(stock.randint(0, 9) for _ in range(SKUS))
        skus = tuple(f"S{i}" for i in range(SKUS))
        apply(machine, m.ImportStock(f"i{node}", node, skus, (f"n{node}",), units))
    return machine


def apply(machine: Machine, command: m.Command) -> Decision:
    decision = machine.decide(command, START_NS)
    assert isinstance(decision, Decision)
    machine.apply(decision)
    return decision


def reserves(seed: int, count: int) -> list[m.Reserve]:
    """Claims of every kind: shipped and pinned, partial, with one SKU twice, with unknown keys, too large."""
    chance = random.Random(seed)
    commands = []
    for number in range(count):
        skus = [f"S{chance.randrange(SKUS + (chance.random() < 0.05))}" for _ in range(chance.randint(1, 4))]
        lines = tuple((sku, chance.choice((1, 1, 2, 5, 30))) for sku in skus)
        pickup = chance.random() < 0.3
        claim = m.Claim(
            chance.choice(("web", "web", "app", "nobody")) if chance.random() < 0.3 else "web",
            lines,
            FulfillmentKind.PICKUP if pickup else FulfillmentKind.SHIP,
            "" if pickup else chance.choice(("90012", "90012", "10001")),
            f"n{chance.randrange(NODES)}" if pickup else "",
            allow_partial=chance.random() < 0.4,
        )
        commands.append(m.Reserve(f"r{number}", number, claim))
    return commands


@pytest.mark.parametrize("seed", range(12))
def test_a_run_is_its_reserves_one_by_one(seed: int) -> None:
    together, apart = stocked(), stocked()
    commands = reserves(seed, 14)
    judged = together.decide_reserves(commands, START_NS + 5)
    assert judged is not None
    together.apply_reserves(*judged)
    singles = []
    for command in commands:
        decision = apart.decide(command, START_NS + 5)
        assert isinstance(decision, Decision)
        apart.apply(decision)
        singles.append(decision)
    assert [decision.reply for decision in judged[0]] == [decision.reply for decision in singles]
    assert [decision.seq for decision in judged[0]] == [decision.seq for decision in singles]
    assert {decision.outcome for decision in singles} & {Outcome.OK, Outcome.PARTIAL}
    assert together.digest() == apart.digest()


@pytest.mark.parametrize("seed", range(4))
def test_replay_of_a_run_is_the_live_state(seed: int) -> None:
    live, replayed = stocked(), stocked()
    judged = live.decide_reserves(reserves(seed, 14), START_NS + 5)
    assert judged is not None
    live.apply_reserves(*judged)
    run = decode_run([encode(judged[0])])
    replayed.apply_run(run)
    assert replayed.digest() == live.digest()
    assert sum(int(row[0] == c.OP_AT) for row in run.effects) == 1


def test_deciding_a_run_writes_nothing() -> None:
    machine = stocked()
    before = machine.digest()
    assert machine.decide_reserves(reserves(1, 14), START_NS + 5) is not None
    assert machine.digest() == before


def test_a_run_that_does_not_fit_is_left_to_be_decided_one_by_one() -> None:
    machine = stocked()
    claim = m.Claim("web", (("S0", 1),), FulfillmentKind.PICKUP, pickup_node_key="n0")
    apply(machine, m.AdjustStock("more", 1, "S0", "n0", Quantity.ON_HAND, 1_000, StockReason.COUNT))
    commands = [m.Reserve(f"r{i}", i, claim) for i in range(SMALL.open_reservations_max + 1)]
    assert machine.decide_reserves(commands, START_NS) is None
    outcomes = [apply(machine, command).outcome for command in commands]
    assert outcomes == [Outcome.OK] * SMALL.open_reservations_max + [Outcome.CAPACITY_EXHAUSTED]
