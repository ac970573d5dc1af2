"""What callers may ask, as strategies: mostly sound, sometimes not."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import strategies as st

from engine.core.policies import contradictions
from engine.model import commands as m
from engine.model.calendars import Calendar, Cutoff, Hours
from engine.model.limits import SECOND_NS
from engine.model.network import Channel, Node
from engine.model.orders import ReceivedItem
from engine.model.outcomes import AfterAction, Disposition, NodeKind, Quantity, RejectReason, StockReason
from engine.model.policies import ANY, Applies, Candidates, Form, RoutingPolicy, Rule
from tests.builders import CHANNELS, CHART, EPOCH_NS, EXPRESS, GROUND, MINUTE_NS, NODES, SKUS, pickup, ship

SKU_KEYS = st.sampled_from("A" * 10 + "B" * 8 + "C" * 4 + "DZ")
NODE_KEYS = st.sampled_from(["dc", "east", "west"] * 4 + ["lab", "lab", "hub", "?"])
CHANNEL_KEYS = st.sampled_from(["web"] * 8 + ["app"] * 4 + ["mall", "mall", "till", "till", "?"])
POSTAL_CODES = st.sampled_from(["10001", "90001", "50001"] * 5 + ["77777"])
SERVICE_KEYS = st.sampled_from([""] * 8 + ["ground", "express"] * 3 + ["boat"])
UNITS = st.integers(1, 4)
DUE_DAYS = st.sampled_from([0, 0, 0, *(EPOCH_NS // (1_440 * MINUTE_NS) + day for day in (-1, 1, 2, 5))])
"""The store stays within the day in which it begins, or little more."""
EXTENSIONS = st.sampled_from([SECOND_NS, MINUTE_NS, 7 * MINUTE_NS, 60 * MINUTE_NS])
TTLS = st.just(0) | EXTENSIONS
ORDER_KEYS = st.sampled_from([f"k{at}" for at in range(12)])


def lines_of(most: int = 4) -> st.SearchStrategy[tuple[tuple[str, int], ...]]:
    """Lines of at most three SKUs: the oracle tries every plan there is."""
    lines = st.lists(st.tuples(SKU_KEYS, UNITS), min_size=1, max_size=most)
    return lines.filter(lambda found: len({sku for sku, _ in found}) <= 3).map(tuple)


@st.composite
def claims(draw: st.DrawFn, *, partial: bool = True) -> m.Claim:
    """A claim to ship or to collect."""
    fields: dict[str, Any] = {"channel": draw(CHANNEL_KEYS), "allow_partial": partial and draw(st.booleans())}
    fields["ttl_ns"] = draw(TTLS)
    if draw(st.integers(0, 3)) == 0:
        return pickup(draw(lines_of()), at=draw(NODE_KEYS), **fields)
    fields["due_day"] = draw(DUE_DAYS)
    if draw(st.integers(0, 7)) == 0:
        return ship(draw(lines_of()), to="", store_key=draw(NODE_KEYS), service_key=draw(SERVICE_KEYS), **fields)
    return ship(draw(lines_of()), to=draw(POSTAL_CODES), service_key=draw(SERVICE_KEYS), **fields)


# The network

CALENDARS = st.builds(
    lambda zone, days, opens, handling, orders, units, pickups: Calendar(
        zone, tuple(Hours(day, opens, 1_440) for day in sorted(days)), cutoffs=(Cutoff("express", 1_390),),
        handling_minutes=handling, orders_per_day_max=orders, units_per_day_max=units,
        pickups_per_hour_max=pickups,
    ),
    st.sampled_from(["UTC", "Asia/Tokyo", "America/Los_Angeles", "Europe/Zurich"]),
    st.sets(st.integers(1, 7), min_size=1),
    st.sampled_from([0, 600, 1_380]),
    st.sampled_from([0, 30, 900]),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([0, 2, 9]),
    st.sampled_from([0, 1, 2]),
)  # fmt: skip
NODE_VARIANTS = st.builds(
    lambda node, closed, ships, offers, accepts, cost, safety, calendar, groups: node._replace(
        closed=closed, ships=ships, offers_pickup=offers, accepts_returns=accepts,
        unit_cost_micros=cost, default_safety_stock_units=safety, calendar=calendar, groups=groups,
    ),
    st.sampled_from((*NODES, *NODES, Node("hub", "Late", latitude=38.0, longitude=-90.0, postal_code="50011"))),
    st.sampled_from([False, False, False, True]),
    st.sampled_from([True, True, True, False]),
    st.booleans(),
    st.booleans(),
    st.sampled_from([0, 50_000, 3_000_000]),
    st.integers(0, 2),
    st.none() | CALENDARS,
    st.sampled_from([(), ("own",), ("city",), ("own", "far")]),
)  # fmt: skip
SKU_VARIANTS = st.builds(
    lambda sku, grams, value: sku._replace(weight_grams=grams, unit_value_micros=value),
    st.sampled_from(SKUS),
    st.sampled_from([0, 300, 1_000, 6_000]),
    st.sampled_from([0, 5_000_000, 20_000_000]),
)
APPLIES = st.builds(
    lambda services, values, units, lines, regions: Applies(
        services, values[0], values[1], units[0], units[1], lines[0], lines[1], regions
    ),
    st.sampled_from([(), (), ("ground",), ("ground", "express")]),
    st.sampled_from([(0, 0), (0, 0), (0, 20_000_000), (20_000_000, 0)]),
    st.sampled_from([(0, 0), (0, 0), (0, 3), (3, 0), (2, 5)]),
    st.sampled_from([(0, 0), (0, 0), (0, 1), (2, 0)]),
    st.sampled_from([(), (), ("1",), ("9", "500"), ("100", "900")]),
)
CANDIDATES = st.just(Candidates()) | st.builds(
    Candidates,
    st.sampled_from([(), (), ("own",), ("city", "own")]),
    st.sampled_from([(), (), ("far",)]),
    st.sampled_from([(), (), (NodeKind.STORE,), (NodeKind.WAREHOUSE, NodeKind.STORE)]),
    st.sampled_from([0, 0, 100, 2_200]),
    st.sampled_from([0, 0, 1, 3]),
    st.sampled_from([ANY, ANY, 0, 2]),
)
FORMS = st.builds(
    lambda form, value: Form(form[0], value if form[0] != 1 else 0, form[1]),
    st.sampled_from([(0, None), (0, None), (0, False), (0, True), (1, None), (1, False), (2, False)]),
    st.sampled_from([0, 0, 20_000_000]),
)
RULES = st.builds(partial(Rule, ""), APPLIES, CANDIDATES, FORMS, st.sampled_from(AfterAction))


def named(rules: list[Rule]) -> tuple[Rule, ...]:
    """Rules of a policy, each with a name of its own; those that would never be reached become ones that are tried."""
    found = tuple(rule._replace(name=f"rule {at}") for at, rule in enumerate(rules))
    if any(contradictions(RoutingPolicy(rules=found))):
        found = tuple(rule._replace(after=AfterAction.NEXT) for rule in found)
    return found


CHANNEL_VARIANTS = st.builds(
    lambda channel, nodes, all_nodes, threshold, policy: Channel(
        channel.channel_key, "", tuple(nodes), all_nodes, threshold, policy
    ),
    st.sampled_from(CHANNELS),
    st.lists(NODE_KEYS, max_size=3),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from(["default", "default", "whole", "nobody's"]),
)
POLICY_VARIANTS = st.builds(
    lambda key, penalty, split, service, rules, draft: RoutingPolicy(
        key, penalty, split, service, rules=named(rules), draft=draft
    ),
    st.sampled_from(["default", "whole"]),
    st.sampled_from([0, 1, 900_000, 20_000_000]),
    st.booleans(),
    st.sampled_from(["ground", "ground", "express", "", "boat"]),
    st.just([]) | st.lists(RULES, min_size=1, max_size=3),
    st.sampled_from([False, False, True]),
)
RATE_CARD_VARIANTS = st.sampled_from(
    [
        GROUND,
        EXPRESS._replace(transit_days=(1, 2)),
        GROUND._replace(transit_days=(1, 2, 5)),
        GROUND._replace(price_micros=(1, 1, 1, 1, 1, 1)),
        GROUND._replace(zone_count=1, price_micros=(4_000_000, 6_000_000)),
        EXPRESS._replace(step_grams=(700,), price_micros=(3_000_000, 2_000_000)),
    ]
)
CHART_VARIANTS = st.sampled_from(
    [
        CHART,
        CHART._replace(pair_zones=(0,)),
        CHART._replace(band_metres=()),
        CHART._replace(pair_origins=("100", "900"), pair_destinations=("100", "900"), pair_zones=(2, 0)),
    ]
)
PUTS: list[tuple[type[m.Command], str, st.SearchStrategy[Any]]] = [
    (m.PutNodes, "nodes", NODE_VARIANTS.map(lambda node: (node,))),
    (m.PutSkus, "skus", SKU_VARIANTS.map(lambda sku: (sku,))),
    (m.PutChannels, "channels", CHANNEL_VARIANTS.map(lambda channel: (channel,))),
    (m.PutRoutingPolicy, "policy", POLICY_VARIANTS),
    (m.PutRateCard, "rate_card", RATE_CARD_VARIANTS),
    (m.PutZoneChart, "zone_chart", CHART_VARIANTS),
]
"""Command, its field, and what may stand there."""

# Stock

SOURCES = st.sampled_from(["", "", "", "wms", "erp", "pim"])
QUANTITIES = st.sampled_from(
    [
        Quantity.ON_HAND, Quantity.ON_HAND, Quantity.DAMAGED, Quantity.QUALITY_CONTROL, Quantity.DISPLAY,
        Quantity.IN_RETURN, Quantity.SAFETY_STOCK, Quantity.INCOMING,
    ]
)  # fmt: skip
ADJUSTMENTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "sku_key": SKU_KEYS,
        "node_key": NODE_KEYS,
        "quantity": QUANTITIES,
        "delta_units": st.integers(-4, -1) | st.integers(1, 9),
        "reason": st.sampled_from(StockReason),
    }
)
COUNTS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "sku_key": SKU_KEYS,
        "node_key": NODE_KEYS,
        "on_hand_units": st.none() | st.integers(0, 12),
        "safety_stock_units": st.none() | st.none() | st.integers(0, 2),
        "expected_on_hand_units": st.none() | st.none() | st.integers(0, 6),
        "source_key": SOURCES,
        "source_seq": st.integers(1, 9),
    }
)
SALES: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {"node_key": NODE_KEYS, "channel_key": CHANNEL_KEYS, "lines": lines_of()}
)
ROWS = st.lists(st.tuples(SKU_KEYS, NODE_KEYS, st.integers(0, 9), st.integers(-1, 2)), min_size=1, max_size=6)


@st.composite
def imports(draw: st.DrawFn) -> dict[str, Any]:
    """Rows of an import."""
    skus, nodes, counts, safety = (tuple(column) for column in zip(*draw(ROWS), strict=True))
    return {
        "sku_keys": skus,
        "node_keys": nodes[:1] if draw(st.booleans()) else nodes,
        "on_hand_units": counts,
        "safety_stock_units": safety if draw(st.booleans()) else (),
        "source_key": draw(SOURCES),
        "source_seq": draw(st.integers(1, 9)),
        "all_or_nothing": draw(st.booleans()),
    }


# Returns

RECEIVED = st.lists(
    st.builds(ReceivedItem, st.integers(0, 2), st.integers(1, 3), st.sampled_from(Disposition)), min_size=1, max_size=3
).map(tuple)
REASONS = st.sampled_from([reason for reason in RejectReason if reason])


@st.composite
def journeys(draw: st.DrawFn) -> dict[str, Any]:
    """How goods come back."""
    if draw(st.booleans()):
        return {"drop_off_node_key": draw(NODE_KEYS)}
    return {"postal_code": draw(POSTAL_CODES), "service_key": draw(SERVICE_KEYS)}
