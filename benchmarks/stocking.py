"""The world of ``world.py`` put into a machine, or into a journal that a server can start from."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import closing

from benchmarks.world import CHANNEL, Ask, World
from engine.core.machine import Machine, Repeated
from engine.journal import Journal, open_journal
from engine.journal.codec import encode
from engine.model import commands as m
from engine.model.decisions import Decision
from engine.model.limits import Limits
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.outcomes import FulfillmentKind, Outcome

BEGIN_NS = 1_700_000_000_000_000_000
UNITS = 1_000_000_000
ROWS = 20_000
"""Rows of one ImportStock, entries of one PutSkus."""
SERVICE = "ground"
STEP_GRAMS = tuple(454 * pounds for pounds in range(1, 21))
BAND_METRES = (80_000, 240_000, 480_000, 960_000, 1_600_000, 2_300_000, 2_900_000)


def claim(ask: Ask, ttl_ns: int = 0) -> m.Claim:
    """The claim of an ask, as the core takes it."""
    if ask.node_key:
        return m.Claim(CHANNEL, ask.lines, FulfillmentKind.PICKUP, pickup_node_key=ask.node_key, ttl_ns=ttl_ns)
    return m.Claim(CHANNEL, ask.lines, FulfillmentKind.SHIP, ask.postal_code, ttl_ns=ttl_ns)


def network(world: World) -> Iterator[m.Command]:
    """The commands that make the network and its SKUs."""
    chance = random.Random(world.seed)
    zones = len(BAND_METRES) + 1
    prices = tuple(
        4_000_000 + zone * 900_000 + step * 600_000 for zone in range(zones) for step in range(len(STEP_GRAMS))
    )
    yield m.PutRateCard("rates", 1, RateCard(SERVICE, "USD", STEP_GRAMS, zones, prices))
    regions = tuple(Region(str(key), chance.uniform(26, 48), chance.uniform(-123, -71)) for key in range(100, 1_000))
    yield m.PutZoneChart("zones", 1, ZoneChart(regions, BAND_METRES))
    yield m.PutRoutingPolicy("policy", 1, RoutingPolicy(split_penalty_micros=2_000_000, default_service_key=SERVICE))
    yield m.PutChannels("channels", 1, (Channel(CHANNEL, all_nodes=True),))
    nodes = tuple(
        Node(
            f"N{number:05}",
            latitude=chance.uniform(26, 48),
            longitude=chance.uniform(-123, -71),
            offers_pickup=True,
            accepts_returns=True,
            package_cost_micros=chance.randrange(500_000, 3_000_000),
            unit_cost_micros=chance.randrange(100_000, 900_000),
        )
        for number in range(world.nodes)
    )
    yield m.PutNodes("nodes", 1, nodes)
    skus = [Sku(f"S{number:06}", weight_grams=chance.randrange(50, 1_500)) for number in range(world.skus)]
    for first in range(0, world.skus, ROWS):
        yield m.PutSkus(f"skus/{first}", 1, tuple(skus[first : first + ROWS]))


def stock(world: World) -> Iterator[m.Command]:
    """The commands that put every SKU at its nodes."""
    skus_each = max(1, ROWS // world.cells_per_sku)
    for first in range(0, world.skus, skus_each):
        rows = [
            (f"S{sku:06}", f"N{node:05}")
            for sku in range(first, min(first + skus_each, world.skus))
            for node in world.nodes_of(sku)
        ]
        sku_keys, node_keys = zip(*rows, strict=True)
        yield m.ImportStock(f"stock/{first}", 1, sku_keys, node_keys, (UNITS,) * len(rows))


def decide(machine: Machine, command: m.Command, now_ns: int = BEGIN_NS) -> Decision:
    """Decide and apply one command, which must be granted."""
    decision = machine.decide(command, now_ns)
    assert not isinstance(decision, Repeated)
    assert decision.outcome == Outcome.OK, (type(command).__name__, decision.reply)
    machine.apply(decision)
    return decision


def make_machine(world: World, limits: Limits | None = None) -> Machine:
    """A machine that holds the world."""
    machine = Machine(limits or Limits())
    for command in (*network(world), *stock(world)):
        decide(machine, command)
    return machine


Decide = Callable[[m.Command], Decision]


def journaled(
    url: str,
    world: World,
    play: Callable[[Decide], Iterator[None]] | None = None,
    limits: Limits | None = None,
) -> Machine:
    """Journal the world at ``url``, then what ``play`` decides through the function it is given, as a writer would have.

    A record ends where ``play`` yields. Returns the machine that decided.
    """
    machine = Machine(limits or Limits())
    with closing(open_journal(url)) as journal:
        for command in (*network(world), *stock(world)):
            append(journal, [decide(machine, command)])
        group: list[Decision] = []

        def deciding(command: m.Command) -> Decision:
            group.append(decide(machine, command))
            return group[-1]

        for _ in play(deciding) if play else ():
            append(journal, group)
            group.clear()
        if group:
            append(journal, group)
    return machine


def append(journal: Journal, decisions: list[Decision]) -> None:
    """Add one record of consecutive decisions."""
    journal.append(encode(decisions), expected_seq=decisions[0].seq - 1)


def copy_journal(source_url: str, target_url: str) -> None:
    """Append every record of one journal to an empty one."""
    with closing(open_journal(source_url)) as source, closing(open_journal(target_url)) as target:
        for record in source.read():
            target.append(record, expected_seq=record.first_seq - 1)
