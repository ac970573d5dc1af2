"""Why an order is routed as it is: what was looked at, what was chosen, and what the next best plans would have cost.

SKUs, nodes, channels, regions and services are dense indexes, as in replies; costs are micros.
"""

from typing import NamedTuple

from engine.model.orders import Routing
from engine.model.outcomes import AfterAction, DropReason, FulfillmentKind, Outcome, RuleVerdict
from engine.model.prices import PricePlan
from engine.model.replies import Cell, Cost, Leg, Shortage


class Dropped(NamedTuple):
    """So many nodes were no candidates for this reason."""

    reason: DropReason
    node_count: int


class AskedRule(NamedTuple):
    """A rule of the policy of then, and what it said."""

    name: str
    verdict: RuleVerdict


class ExplainedPackage(NamedTuple):
    """One package of a plan and the terms of its cost."""

    node_index: int
    zone: int
    weight_grams: int
    carrier_micros: int
    handling_micros: int
    price_micros: int = 0
    """Prices of the units in it, weighted."""
    late_micros: int = 0
    """Lateness, weighted."""
    other_micros: int = 0
    """Performance and capacity, weighted."""
    ship_day: int = 0
    """0: not known."""
    arrival_day: int = 0


class ExplainedPlan(NamedTuple):
    """A plan as the router gave it. ``cost`` is None for pickup, and when there is nothing to send."""

    outcome: Outcome
    legs: tuple[Leg, ...]
    packages: tuple[ExplainedPackage, ...]
    cost: Cost | None
    shortages: tuple[Shortage, ...]
    rule: str = ""
    """The rule that decided; empty for a policy without rules, for pickup, and when no rule is for the order."""
    score_micros: int = 0
    """What the router minimised: every term at its weight; 0 for pickup."""

    @property
    def units(self) -> int:
        """Units that it serves."""
        return sum(leg.units for leg in self.legs)

    @property
    def nodes(self) -> frozenset[int]:
        """Nodes that send anything."""
        return frozenset(leg.node_index for leg in self.legs)


class Alternative(NamedTuple):
    """The best plan but for the better ones: no better plan's nodes are all among its own.

    ``without`` names the nodes that the router had to do without to find it. ``extra_micros``: how much higher its score is than that of the
    chosen one, below zero only when that is not proven the least, or was proposed. ``units_fewer``: units that it serves less, which decide first.
    """

    without: tuple[int, ...]
    plan: ExplainedPlan
    extra_micros: int
    units_fewer: int


class Replayed(NamedTuple):
    """What the router saw and did, computed again from the state before the decision."""

    seq: int
    """The decision that made the plan: of the reservation where there was one."""
    now_ns: int
    reproduced: bool
    """Whether the plan computed now serves the same units from the same cells as the one of then."""
    kind: FulfillmentKind
    policy_key: str
    destination: int
    """Region index for shipping, node index for pickup."""
    service_index: int
    lines: tuple[tuple[int, int], ...]
    """(SKU index, units) as the router was asked."""
    node_count: int
    """Nodes of the network; for pickup the one that the buyer chose."""
    candidate_count: int
    dropped: tuple[Dropped, ...]
    plan: ExplainedPlan
    alternatives: tuple[Alternative, ...]
    cells: tuple[Cell, ...]
    """What the stock was, at every node that the plans name, for every SKU asked for."""
    policy_version: int = 0
    rules: tuple[AskedRule, ...] = ()
    """Of the policy, in the order in which they were tried; none for pickup."""
    after: AfterAction | None = None
    """What followed when the rule that decided did not serve in full; ``None``: it did, or the request decided."""
    price_plan: PricePlan | None = None
    """Whose prices there were; expired: they did not count."""
    due_day: int = 0
    """Day by which the buyer was promised arrival; 0: none."""


class Explanation(NamedTuple):
    """One plan of an order. ``replayed`` is None where the state of then cannot be had; ``obstacle`` says why."""

    routing: Routing
    replayed: Replayed | None
    obstacle: str = ""
