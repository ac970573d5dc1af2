"""The store that a simulated world begins with, drawn by its seed: small enough that everything in it meets everything else."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from engine.model import commands as m
from engine.model.calendars import Calendar, Hours
from engine.model.limits import SECOND_NS, Limits
from engine.model.network import Channel, Node, RateCard, Region, RoutingPolicy, Sku, ZoneChart
from engine.model.outcomes import AfterAction, NodeKind
from engine.model.policies import Applies, Candidates, Form, Rule

EPOCH_NS = 1_700_000_000_000_000_000
MINUTE_NS = 60 * SECOND_NS
DAY_NS = 1_440 * MINUTE_NS

SHIFTS = Calendar(
    "America/Chicago", tuple(Hours(day, 360, 1_200) for day in range(1, 7)), cutoff_minute=960,
    handling_minutes=45, carrier_weekdays=(1, 2, 3, 4, 5), orders_per_day_max=9,
)  # fmt: skip
SHOP_HOURS = Calendar(
    "America/New_York", (*(Hours(day, 540, 1_140) for day in range(1, 7)), Hours(7, 600, 720), Hours(7, 780, 960)),
    holidays=(19_684, 19_716), handling_minutes=20, units_per_day_max=11,
    pickups_per_hour_max=2,
)  # fmt: skip
NODES = (
    Node(
        "dc", "Central warehouse", NodeKind.WAREHOUSE, 40.0, -100.0, "50000",
        package_cost_micros=500_000, calendar=SHIFTS,
    ),
    Node(
        "east", "Shop", NodeKind.STORE, 40.0, -75.0, "10001",
        offers_pickup=True, accepts_returns=True, unit_cost_micros=100_000, calendar=SHOP_HOURS,
    ),
    Node(
        "west", "Shop", NodeKind.STORE, 35.0, -118.0, "90001",
        offers_pickup=True, accepts_returns=True, package_cost_micros=200_000, unit_cost_micros=50_000,
    ),
    Node("desk", "Returns only", NodeKind.STORE, 45.0, -90.0, "", ships=False, accepts_returns=True),
)  # fmt: skip
SKUS = (Sku("hot", "Wanted by all", 500), Sku("warm", "", 1_500), Sku("cold", "", 0), Sku("rare", "", 100))
REGIONS = (Region("100", 40.0, -75.0), Region("900", 35.0, -118.0), Region("500", 40.0, -100.0))
CHART = ZoneChart(REGIONS, (500_000, 2_500_000), ("100",), ("900",), (3,))
GROUND = RateCard(
    "ground",
    "USD",
    (1_000, 5_000),
    3,
    (4_000_000, 6_000_000, 5_000_000, 9_000_000, 7_000_000, 12_000_000),
    transit_days=(1, 2, 5),
)
EXPRESS = RateCard("express", "USD", (1_000, 5_000), 2, (8_000_000, 9_000_000, 12_000_000, -1))
"""Not offered in zone 3, and in zone 2 for light packages only."""
POLICY = RoutingPolicy("default", 1_000_000, allow_unit_split=True, default_service_key="ground")
WHOLE = RoutingPolicy("whole", 1_000_000, allow_unit_split=False, default_service_key="ground")
RULES = (
    (),
    (Rule("small", Applies(units_max=3), after=AfterAction.REFUSE), Rule("rest", after=AfterAction.PARTIAL)),
    (Rule("in one piece", form=Form(unit_split=False)), Rule("wait", after=AfterAction.HOLD)),
    (Rule("from east", Applies(region_prefixes=("1",)), after=AfterAction.BACKORDER), Rule("rest")),
    (Rule("one thing", Applies(lines_max=1)), Rule("fast", Applies(("express",)), after=AfterAction.PARTIAL)),
    (
        Rule("in time", candidates=Candidates(late_days_max=0)),
        Rule("soon", candidates=Candidates(late_days_max=2), after=AfterAction.BACKORDER),
    ),
)  # fmt: skip
"""Rules of a policy, one lot after the other."""
CHANNELS = (
    Channel("web", "Web shop", all_nodes=True),
    Channel("app", "App with a threshold", ("dc", "east", "west"), threshold_units=2),
    Channel("mall", "No splitting", ("dc", "east"), policy_key="whole"),
    Channel("till", "Tills", ("east", "west")),
)
OPENING: tuple[tuple[type[m.Command], dict[str, Any]], ...] = (
    (m.PutRateCard, {"rate_card": GROUND}),
    (m.PutRateCard, {"rate_card": EXPRESS}),
    (m.PutZoneChart, {"zone_chart": CHART}),
    (m.PutRoutingPolicy, {"policy": POLICY}),
    (m.PutRoutingPolicy, {"policy": WHOLE}),
    (m.PutNodes, {"nodes": NODES}),
    (m.PutSkus, {"skus": SKUS}),
    (m.PutChannels, {"channels": CHANNELS}),
    (m.ReceiveStock, {"node_key": "dc", "lines": (("hot", 40), ("warm", 15), ("cold", 5))}),
    (m.ReceiveStock, {"node_key": "east", "lines": (("hot", 9), ("cold", 6))}),
    (m.ReceiveStock, {"node_key": "west", "lines": (("warm", 8), ("rare", 2))}),
)
"""What a store is told first."""


class World(NamedTuple):
    """One draw: limits that are soon reached or never, how callers come, how much goes wrong."""

    limits: Limits
    company_max: int
    """Calls of a group, at most."""
    repeat_share: float
    """How many requests arrive twice or more."""
    give_up_share: float
    look_share: float
    haste: float
    """How many requests wait for nothing before them: 1 means that their order is any."""


def draw(chance: Random) -> World:
    """A world by chance."""
    holds = chance.choice((6, 6, 40, 40, 300))
    limits = Limits(
        nodes_max=6, skus_max=6, cells_max=64, channels_max=5, regions_max=6, zone_pairs_max=16, services_max=3,
        zones_max=4, weight_steps_max=4, sources_max=2,
        open_reservations_max=holds, reservation_legs_max=40 * holds, batch_items_max=max(16, holds // 3),
        reservation_ttl_default_ns=15 * MINUTE_NS, reservation_ttl_max_ns=60 * MINUTE_NS,
        reservation_hold_max_ns=chance.choice((40, 120)) * MINUTE_NS,
        request_ids_remembered=chance.choice((40, 120, 120, 5_000)),
        closed_orders_remembered=chance.choice((4, 4, 30)),
        movements_remembered=64,
    )  # fmt: skip
    return World(
        limits,
        company_max=chance.choice((1, 3, 6, 8, 8, 16, 16, 40)),
        repeat_share=chance.choice((0.0, 0.05, 0.3)),
        give_up_share=chance.choice((0.0, 0.02, 0.1)),
        look_share=chance.choice((0.0, 0.1, 0.2)),
        haste=chance.choice((0.0, 0.2, 1.0)),
    )
